//! `vellum eval export DIR`: a dataset of what people thought of answers.
//!
//! The corpus is all of the collection, so that what is measured is what is asked; documents are known by their uris.
//! Written in BEIR layout with the evidence as spans, as `vellum eval --dataset DIR` reads it.

use crate::print::{self, Outcome};
use crate::session::Session;
use serde_json::json;
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use vellum_core::ids::{CollectionName, DocumentId};
use vellum_core::{Error, ErrorKind, Result};
use vellum_http::wire::{DocumentState, DocumentText};
use vellum_rag::feedback::{self, Judged};

/// Writes the dataset of a collection to `dir`, which must be empty or not be there.
pub(super) async fn export(
    session: &Session,
    collection: &CollectionName,
    dir: &Path,
) -> Result<Outcome> {
    let opinions: Vec<_> =
        session.feedback(collection).await?.into_iter().map(Into::into).collect();
    if opinions.is_empty() {
        print::note(format_args!(
            "nobody has judged an answer from collection `{collection}` yet; the console has buttons for it"
        ));
        return Ok(Outcome::No);
    }
    must_be_empty(dir)?;
    let mut corpus = Writer::create(dir, "corpus.jsonl")?;
    let mut known: HashMap<DocumentId, (String, usize)> = HashMap::new();
    let mut after = None;
    loop {
        let page = session.documents(collection, after.as_deref()).await?;
        for document in page.documents {
            // A copy has no text of its own; citations name the document that holds it.
            if document.state != DocumentState::Indexed || document.is_copy {
                continue;
            }
            let DocumentText { title, text, pages } = session.text(document.id).await?;
            let sections: Vec<_> = pages
                .iter()
                .map(|it| {
                    json!({ "kind": { "page": it.page }, "span": { "start": it.start, "end": it.end } })
                })
                .collect();
            known.insert(document.id, (document.uri.clone(), text.chars().count()));
            corpus.line(&json!({
                "_id": document.uri, "title": title, "text": text, "sections": sections
            }))?;
        }
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    corpus.finish()?;
    let judged = feedback::judge(&opinions, &|id| known.get(&id).map(|(_, chars)| *chars));
    write_judgements(dir, &judged, &known)?;
    let proven = judged.iter().filter(|one| !one.spans.is_empty()).count();
    let (given, made, documents, dir) = (opinions.len(), judged.len(), known.len(), dir.display());
    print::note(format_args!(
        "{given} opinions became {made} questions about {documents} documents ({proven} with evidence); `vellum eval --dataset {dir}` measures on them"
    ));
    Ok(Outcome::Yes)
}

fn write_judgements(
    dir: &Path,
    judged: &[Judged],
    known: &HashMap<DocumentId, (String, usize)>,
) -> Result<()> {
    let mut queries = Writer::create(dir, "queries.jsonl")?;
    let mut qrels = Writer::create(dir, "qrels/test.tsv")?;
    let mut spans = Writer::create(dir, "spans.jsonl")?;
    qrels.text("query-id\tcorpus-id\tscore")?;
    for Judged { id, question, grades, spans: evidence } in judged {
        queries.line(&json!({ "_id": id, "text": question }))?;
        for (document, grade) in grades {
            qrels.text(&format!("{id}\t{}\t{grade}", known[document].0))?;
        }
        for (document, start, end) in evidence {
            let uri = &known[document].0;
            let span = json!({ "query-id": id, "corpus-id": uri, "start": start, "end": end });
            spans.line(&span)?;
        }
    }
    queries.finish()?;
    qrels.finish()?;
    spans.finish()
}

fn must_be_empty(dir: &Path) -> Result<()> {
    let failed = |error| Error::io(format!("write to `{}`", dir.display()), error);
    fs::create_dir_all(dir.join("qrels")).map_err(failed)?;
    let found = fs::read_dir(dir).map_err(failed)?.count() - 1;
    let judged = fs::read_dir(dir.join("qrels")).map_err(failed)?.count();
    if found + judged == 0 {
        return Ok(());
    }
    let message = format!("folder `{}` is not empty", dir.display());
    Err(Error::new(ErrorKind::Conflict, message).with_hint("name a new folder"))
}

/// A file that is written line by line.
struct Writer {
    path: PathBuf,
    out: BufWriter<File>,
}

impl Writer {
    fn create(dir: &Path, name: &str) -> Result<Self> {
        let path = dir.join(name);
        let file = File::create(&path)
            .map_err(|error| Error::io(format!("write `{}`", path.display()), error))?;
        Ok(Self { path, out: BufWriter::new(file) })
    }

    fn line(&mut self, value: &serde_json::Value) -> Result<()> {
        self.text(&value.to_string())
    }

    fn text(&mut self, line: &str) -> Result<()> {
        let written = writeln!(self.out, "{line}");
        written.map_err(|error| Error::io(format!("write `{}`", self.path.display()), error))
    }

    fn finish(mut self) -> Result<()> {
        self.out
            .flush()
            .map_err(|error| Error::io(format!("write `{}`", self.path.display()), error))
    }
}
