//! Writes what is read from PDFs, for comparison and for the eye: `pages [--worker PROGRAM] [--picture PAGE] DIR FILE...`.
//!
//! For each file `NAME.txt` (pages parted by form feeds, each between its running header and footer) and `NAME.json`
//! (the document with its layout) in DIR, and one line of JSON on stdout: name, pages and seconds, or name and error. With `--worker` a pool of one child
//! reads, and its cost counts; without, this process does. `--picture` also writes `NAME.png`, 1,000 pixels wide.
#![expect(clippy::print_stdout, reason = "a program for the eye")]

use serde_json::json;
use std::path::{Path, PathBuf};
use std::time::Instant;
use vellum_convert::{PoolSettings, Settings, WorkerPool, convert, render_page};
use vellum_core::document::{Document, Edge, Span};
use vellum_core::ports::{ConvertInput, Converter};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (mut picture, mut pool) = (None, None);
    let mut args = std::env::args().skip(1).peekable();
    while let Some(option) = args.next_if(|arg| arg.starts_with("--")) {
        let value = args.next().ok_or("an option has a value")?;
        match option.as_str() {
            "--picture" => picture = Some(value.parse()?),
            "--worker" => {
                let settings = PoolSettings::new(value, Vec::new());
                pool = Some(WorkerPool::new(PoolSettings { workers: 1, ocr: None, ..settings }));
            }
            _ => return Err(format!("there is no option {option}").into()),
        }
    }
    let folder = PathBuf::from(args.next().ok_or("name a folder")?);
    std::fs::create_dir_all(&folder)?;
    if let Some(pool) = &pool {
        // The first child is started outside the timing, as peers import their library.
        pool.check().await?;
    }
    let settings = Settings::default();
    for path in args {
        let name =
            Path::new(&path).file_name().ok_or("name a file")?.to_string_lossy().into_owned();
        let start = Instant::now();
        let input = ConvertInput { name: name.clone(), content: std::fs::read(&path)?.into() };
        let result = match &pool {
            Some(pool) => pool.convert(input).await,
            None => convert(&input, &settings),
        };
        let seconds = start.elapsed().as_secs_f64();
        let document = match result {
            Ok(document) => document,
            Err(error) => {
                println!("{}", json!({ "name": name, "error": error.message() }));
                continue;
            }
        };
        let pages: Vec<String> = document.pages().map(|page| whole(&document, page)).collect();
        println!("{}", json!({ "name": name, "pages": pages.len(), "seconds": seconds }));
        std::fs::write(folder.join(format!("{name}.txt")), pages.join("\u{c}"))?;
        std::fs::write(folder.join(format!("{name}.json")), serde_json::to_vec(&document)?)?;
        if let Some(page) = picture {
            let png = render_page(&std::fs::read(&path)?.into(), page, 1000, &settings)?;
            std::fs::write(folder.join(format!("{name}.png")), png)?;
        }
    }
    Ok(())
}

/// Returns the text of a page between its running header and footer.
fn whole(document: &Document, (page, span): (u32, Span)) -> String {
    let at = |edge| {
        let furniture = document.layout.furniture.iter();
        furniture.filter(move |line| line.page == page && line.edge == edge).map(|line| &*line.text)
    };
    let text = &document.text[span.start..span.end];
    at(Edge::Top).chain([text]).chain(at(Edge::Bottom)).collect::<Vec<_>>().join("\n")
}
