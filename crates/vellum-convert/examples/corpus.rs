//! Prints the documents of a folder as `corpus.jsonl` of a dataset: id, title, text and sections.
//!
//! Run: `cargo run -p vellum-convert --example corpus -- FOLDER`. The id is the file name.

use std::io::Write;
use std::path::PathBuf;
use vellum_convert::{Settings, convert};
use vellum_core::ports::ConvertInput;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args_os().nth(1).ok_or("name a folder")?;
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)?
        .map(|entry| entry.map(|e| e.path()))
        .collect::<Result<_, _>>()?;
    files.sort();
    let mut out = std::io::stdout().lock();
    for file in files.iter().filter(|file| file.is_file()) {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let input = ConvertInput { name: name.clone(), content: std::fs::read(file)?.into() };
        let document = convert(&input, &Settings::default())?;
        let line = serde_json::json!({
            "_id": name,
            "title": document.title,
            "text": document.text,
            "sections": document.sections,
        });
        writeln!(out, "{line}")?;
    }
    Ok(())
}
