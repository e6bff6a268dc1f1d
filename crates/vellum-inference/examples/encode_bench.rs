//! Measures the bundled embedder: `encode_bench FILE [--n N] [--vectors OUT]`.
//!
//! FILE holds one text per line (JSON Lines with a `text` field, or plain). N takes the first N texts, and
//! repeats them when there are fewer. Prints one JSON document with the time to the first vector
//! since the process was ready to load, the throughput and the peak resident memory. `--vectors`
//! writes f32 little-endian `[n, dim]`, for a comparison of results in the same run.

#![expect(clippy::print_stdout, reason = "the result of a measurement goes to stdout")]

use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Instant;
use std::{env, fs};
use vellum_core::ports::{Embedder, TextKind};
use vellum_core::{Error, ErrorKind, Result};
use vellum_inference::{LocalEmbedder, Options};

#[derive(Default)]
struct Args {
    file: PathBuf,
    n: Option<usize>,
    vectors: Option<PathBuf>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let args = args()?;
    let texts = texts(&args)?;

    let start = Instant::now();
    let embedder = LocalEmbedder::bundled(Options::for_this_machine())?;
    let load_ms = start.elapsed().as_secs_f64() * 1e3;
    embedder.embed(&texts[..1], TextKind::Query).await?;
    let first_ms = start.elapsed().as_secs_f64() * 1e3;

    let start = Instant::now();
    let vectors = embedder.embed(&texts, TextKind::Passage).await?;
    let seconds = start.elapsed().as_secs_f64();
    if let Some(path) = args.vectors {
        let bytes: Vec<u8> =
            vectors.iter().flat_map(|v| v.as_slice()).flat_map(|v| v.to_le_bytes()).collect();
        fs::write(&path, bytes).map_err(|e| Error::io(format!("write `{}`", path.display()), e))?;
    }
    let result = json!({
        "texts": texts.len(),
        "seconds": seconds,
        "texts_per_s": texts.len() as f64 / seconds,
        "peak_rss_mb": peak_rss_mb(),
        "load_ms": load_ms,
        "first_vector_ms": first_ms,
    });
    println!("{result}");
    Ok(())
}

fn args() -> Result<Args> {
    let usage =
        || Error::new(ErrorKind::Invalid, "usage: encode_bench FILE [--n N] [--vectors OUT]");
    let mut args = Args::default();
    let mut words = env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--n" => {
                let n = words.next().and_then(|n| n.parse().ok());
                args.n = Some(n.ok_or_else(usage)?);
            }
            "--vectors" => args.vectors = Some(words.next().ok_or_else(usage)?.into()),
            _ => args.file = word.into(),
        }
    }
    if args.file.as_os_str().is_empty() { Err(usage()) } else { Ok(args) }
}

fn texts(args: &Args) -> Result<Vec<String>> {
    let lines = fs::read_to_string(&args.file)
        .map_err(|e| Error::io(format!("read `{}`", args.file.display()), e))?;
    let texts: Vec<String> = lines
        .lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| match serde_json::from_str::<Value>(line) {
            Ok(Value::Object(row)) => {
                row.get("text").and_then(Value::as_str).unwrap_or(line).into()
            }
            _ => line.into(),
        })
        .collect();
    if texts.is_empty() {
        return Err(Error::new(ErrorKind::Invalid, "the file holds no texts"));
    }
    let n = args.n.unwrap_or(texts.len());
    Ok(texts.iter().cycle().take(n.max(1)).cloned().collect())
}

/// Returns the peak resident memory of this process; 0 where the system does not tell.
fn peak_rss_mb() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kb = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok());
    kb.unwrap_or(0.0) / 1024.0
}
