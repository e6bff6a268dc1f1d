//! Prints what is extracted from a file: `cargo run -p vellum-convert --example convert FILE`.
#![expect(clippy::print_stdout, reason = "a program for the eye")]

use vellum_core::document::SectionKind;
use vellum_core::ports::ConvertInput;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    for path in std::env::args().skip(1) {
        let input = ConvertInput { name: path.clone(), content: std::fs::read(&path)?.into() };
        let document = match vellum_convert::convert(&input, &vellum_convert::Settings::default()) {
            Ok(document) => document,
            Err(error) => {
                println!("{path}: rejected: {error}");
                continue;
            }
        };
        println!(
            "{path}: {} {:?} {:?}",
            document.format.as_str(),
            document.title,
            document.metadata
        );
        if document.pages().next().is_none() {
            println!("{}", document.text);
        }
        for section in &document.sections {
            match &section.kind {
                SectionKind::Page(number) => {
                    println!("\n======== page {number}");
                    println!("{}", &document.text[section.span.start..section.span.end]);
                }
                SectionKind::Heading { level, title } => {
                    println!(
                        "{:>8}..{:<8} {} {title}",
                        section.span.start,
                        section.span.end,
                        "#".repeat((*level).into())
                    );
                }
            }
        }
    }
    Ok(())
}
