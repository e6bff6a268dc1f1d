//! Writes what is read from PDFs, for comparison and for the eye: `pages DIR FILE...`.
//!
//! For each file `NAME.txt` (pages parted by form feeds) and `NAME.json` (the document with its positions) in
//! DIR; prints name, pages, bytes of text and seconds. `--picture PAGE` also writes `NAME.png`, 1,000 pixels wide.
#![expect(clippy::print_stdout, reason = "a program for the eye")]

use std::path::{Path, PathBuf};
use std::time::Instant;
use vellum_convert::{Settings, convert, render_page};
use vellum_core::ports::ConvertInput;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1).peekable();
    let picture = match args.next_if(|arg| arg == "--picture") {
        Some(_) => Some(args.next().ok_or("name a page")?.parse()?),
        None => None,
    };
    let folder = PathBuf::from(args.next().ok_or("name a folder")?);
    for path in args {
        let name =
            Path::new(&path).file_name().ok_or("name a file")?.to_string_lossy().into_owned();
        let content = std::fs::read(&path)?.into();
        let start = Instant::now();
        let settings = Settings::default();
        let document = match convert(&ConvertInput { name: name.clone(), content }, &settings) {
            Ok(document) => document,
            Err(error) => {
                println!("{name}\trejected: {error}");
                continue;
            }
        };
        let seconds = start.elapsed().as_secs_f64();
        let pages: Vec<&str> =
            document.pages().map(|(_, span)| &document.text[span.start..span.end]).collect();
        println!("{name}\t{}\t{}\t{seconds:.3}", pages.len(), document.text.len());
        std::fs::write(folder.join(format!("{name}.txt")), pages.join("\u{c}"))?;
        std::fs::write(folder.join(format!("{name}.json")), serde_json::to_vec(&document)?)?;
        if let Some(page) = picture {
            let png = render_page(&std::fs::read(&path)?.into(), page, 1000, &settings)?;
            std::fs::write(folder.join(format!("{name}.png")), png)?;
        }
    }
    Ok(())
}
