//! What a build reads when an original is gone: the kept one, or the text as the live version's chunks hold it.
//!
//! Chunks are byte-exact and know their place, their headings, their pages and the places of their words. What no chunk holds
//! between two of them is white space and table rules; it is filled with line ends, so that positions stay what they were
//! and citations of the new version point to the same characters.

use super::Run;
use super::converted::{self, Converted};
use super::cut::About;
use crate::copies;
use crate::documents::{self, name_of};
use std::collections::BTreeMap;
use vellum_core::chunk::Chunk;
use vellum_core::document::{Document, Layout, Section, SectionKind, Span};
use vellum_core::filter::{Field, Filter};
use vellum_core::ids::{ContentHash, DocumentId};
use vellum_core::ledger::{DocumentState, LedgerRow};
use vellum_core::ports::{Content, ObjectMeta, Parts};
use vellum_core::{Error, ErrorKind, Result};

/// Chunks read at a time.
const SCAN_PAGE: usize = 512;
/// Longest text that is put together again, in bytes; it is held whole.
const MAX_TEXT: usize = 64 << 20;

/// What there is to read of a document.
pub(super) enum Body {
    /// Its bytes.
    Bytes(Content),
    /// What the converter made of it before, and the hash of what that was.
    Parts(Parts, ContentHash),
    /// Its text.
    Text(Box<Text>),
}

/// A document as the live version's chunks hold it.
pub(super) struct Text {
    pub(super) document: Document,
    /// What was known of it when it was read.
    pub(super) about: About,
    /// Hash of the bytes that it was made of.
    pub(super) content: ContentHash,
}

/// Reads a document from its source. A build takes what the converter made of it before, or, when that is not kept and the source
/// no longer has the document, what is kept or known of it.
pub(super) async fn read(
    run: &Run<'_>,
    object: &ObjectMeta,
    limit: u64,
) -> Result<(ObjectMeta, Body)> {
    if let Some(Converted { object, parts, content }) = converted::find(run, object).await? {
        return Ok((object, Body::Parts(parts, content)));
    }
    let gone = match run.app.objects.get(&object.uri, limit).await {
        Ok((object, content)) => return Ok((object, Body::Bytes(content))),
        Err(error) if error.kind() == ErrorKind::NotFound && run.follows.is_some() => error,
        Err(error) => return Err(error),
    };
    let known = match &run.follows {
        Some(live) => {
            let row = documents::row(run.app, live, &object.uri).await?;
            row.filter(|row| row.state == DocumentState::Indexed).map(|row| (live, row))
        }
        None => None,
    };
    let Some((live, row)) = known else { return Err(gone) };
    let Some(hash) = row.content.clone() else { return Err(gone) };
    let meta = |name: String| ObjectMeta {
        name,
        uri: row.uri.clone(),
        size: row.bytes,
        etag: row.etag.clone(),
    };
    let (kept, collection, wanted) =
        (run.app.kept.clone(), run.collection.name.clone(), hash.clone());
    if let Some(content) = super::blocking(move || kept.get(&collection, &wanted)).await?? {
        return Ok((meta(name_of(&row.uri)), Body::Bytes(content)));
    }
    let holder = copies::holder(run.app, live, &row).await?;
    let chunks = chunks(run, live, holder).await?;
    let name = chunks.first().map_or_else(|| name_of(&row.uri), |chunk| chunk.source.clone());
    let Some(first) = chunks.first() else { return Err(gone) };
    let about = About { language: first.language.clone(), metadata: first.metadata.clone() };
    let Some(document) = super::blocking(move || rebuilt(&chunks)).await? else { return Err(gone) };
    tell(run, &row);
    Ok((meta(name), Body::Text(Box::new(Text { document, about, content: hash }))))
}

fn tell(run: &Run<'_>, row: &LedgerRow) {
    run.warn(format!(
        "{}: the original is gone; its text was taken from the live version as it was extracted then",
        row.uri
    ));
}

async fn chunks(
    run: &Run<'_>,
    live: &vellum_core::access::VersionPass,
    document: DocumentId,
) -> Result<Vec<Chunk>> {
    let filter = Filter::In(Field::Document, vec![document.to_string()]);
    let (mut chunks, mut after, mut bytes) = (Vec::new(), None, 0);
    loop {
        let page = run.app.vectors.scan(live, after, SCAN_PAGE, Some(&filter)).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        bytes += page.iter().map(|chunk| chunk.text.len()).sum::<usize>();
        if bytes > MAX_TEXT {
            let message = "the original is gone, and its text is too long to be put together again";
            return Err(Error::new(ErrorKind::Rejected, message));
        }
        chunks.extend(page);
    }
    chunks.sort_by_key(|chunk| chunk.ordinal);
    Ok(chunks)
}

/// Returns the document that was cut into these chunks, ascending; `None` without any.
fn rebuilt(chunks: &[Chunk]) -> Option<Document> {
    let first = chunks.first()?;
    let mut text = String::new();
    let mut chars = 0;
    let mut layout = Layout::default();
    for chunk in chunks {
        let gap = chunk.span.start.saturating_sub(text.len());
        let filler = filler(gap, chunk.char_start.saturating_sub(chars));
        chars += filler.chars().count();
        text.push_str(&filler);
        let overlap = text.len().saturating_sub(chunk.span.start);
        let news = chunk.text.get(overlap..).unwrap_or_default();
        chars += news.chars().count();
        text.push_str(news);
        let known = layout.words.last().map_or(0, |word| word.end);
        let at = u32::try_from(chunk.span.start).unwrap_or(u32::MAX);
        for mut word in chunk.places.words() {
            (word.start, word.end) = (word.start.saturating_add(at), word.end.saturating_add(at));
            if word.start >= known {
                layout.words.push(word);
            }
        }
        for start in &chunk.pages {
            let is_new = layout.pages.last().is_none_or(|size| size.page < start.page);
            layout.pages.extend(chunk.places.page_size(start.page).filter(|_| is_new));
        }
    }
    Some(Document {
        format: first.format,
        title: first.title.clone(),
        sections: sections(chunks, text.len()),
        text,
        metadata: BTreeMap::new(),
        layout,
    })
}

/// Returns white space of this many bytes and characters; of line ends alone where no such text exists.
fn filler(bytes: usize, chars: usize) -> String {
    // U+3000 has three bytes, U+00A0 two.
    let more = bytes.saturating_sub(chars);
    let (wide, double) = (more / 2, more % 2);
    if bytes < chars || wide + double > chars {
        return "\n".repeat(bytes);
    }
    ["\u{3000}".repeat(wide), "\u{a0}".repeat(double), "\n".repeat(chars - wide - double)].concat()
}

/// Returns the pages and headings that chunks of a text of `len` bytes tell of, ascending by start.
fn sections(chunks: &[Chunk], len: usize) -> Vec<Section> {
    let mut pages: BTreeMap<u32, usize> = BTreeMap::new();
    for chunk in chunks {
        for start in &chunk.pages {
            pages.entry(start.page).or_insert(chunk.span.start + start.at);
        }
    }
    let ends = pages.values().skip(1).copied().chain([len]);
    let page = |((&page, &start), end): ((&u32, &usize), usize)| Section {
        kind: SectionKind::Page(page),
        span: Span { start, end: end.max(start) },
    };
    let mut sections: Vec<Section> = pages.iter().zip(ends).map(page).collect();
    let mut open: Vec<(&str, usize)> = Vec::new();
    let mut close = |(depth, (title, start)): (usize, (&str, usize)), end: usize| {
        let level = u8::try_from(depth + 1).unwrap_or(6).min(6);
        let kind = SectionKind::Heading { level, title: title.to_owned() };
        sections.push(Section { kind, span: Span { start, end } });
    };
    for chunk in chunks {
        let at = chunk.span.start;
        let same =
            open.iter().zip(&chunk.headings).take_while(|((open, _), now)| open == now).count();
        for depth in (same..open.len()).rev() {
            close((depth, open[depth]), at);
        }
        open.truncate(same);
        open.extend(chunk.headings[same..].iter().map(|title| (title.as_str(), at)));
    }
    for (depth, heading) in open.into_iter().enumerate() {
        close((depth, heading), len);
    }
    let rank = |section: &Section| match &section.kind {
        SectionKind::Page(_) => 0,
        SectionKind::Heading { level, .. } => *level,
    };
    sections.sort_by_key(|section| (section.span.start, rank(section)));
    sections
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::split::{Origin, Place, split};
    use proptest::prelude::*;
    use vellum_core::collection::SplitterSettings;
    use vellum_core::document::{PageSize, Position, Rect};
    use vellum_core::metadata::Metadata;

    fn cut(document: &Document, max_tokens: usize, overlap_tokens: usize) -> Vec<Chunk> {
        let origin = Origin {
            collection: &"c".parse().unwrap(),
            uri: "mem:///a",
            name: "a",
            content: &ContentHash::of(b"x"),
            settings: "s",
            title: document.title.as_deref(),
            language: None,
            bytes: 1,
            metadata: &Metadata::default(),
        };
        let settings = SplitterSettings::new(max_tokens, overlap_tokens);
        let n_tokens = |text: &str| text.split_whitespace().count() + 2;
        split(document, &mut Place::default(), &origin, &settings, &n_tokens, &[])
    }

    /// Three pages of sentences with wide characters, a heading, and the places of their words.
    fn sample(words: &[String]) -> Document {
        let text = words.join(" ");
        let third = |n: usize| {
            let at = text.len() * n / 3;
            (at..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap()
        };
        let mut document = Document::plain(text.clone());
        document.title = Some("T".into());
        for n in 0..3 {
            let span = Span { start: third(n), end: third(n + 1) };
            document.sections.push(Section { kind: SectionKind::Page(n as u32 + 1), span });
            document.layout.pages.push(PageSize {
                page: n as u32 + 1,
                width: 500.0,
                height: 700.0,
            });
        }
        let mut at = 0;
        for word in words {
            let page = (0..3).rev().find(|n| third(*n) <= at).unwrap() as u32 + 1;
            let rect = Rect { x0: 10.0, y0: at as f32, x1: 20.0, y1: at as f32 + 5.0 };
            let end = at + word.len();
            document.layout.words.push(Position { start: at as u32, end: end as u32, page, rect });
            at = end + 1;
        }
        document
    }

    proptest! {
        #[test]
        fn what_was_cut_is_put_together_again(
            words in proptest::collection::vec("[a-zä日]{1,9}[.]?", 1..120),
            max_tokens in 8usize..40,
            overlap in 0usize..8,
        ) {
            let document = sample(&words);
            let chunks = cut(&document, max_tokens, overlap);
            let again = rebuilt(&chunks).unwrap();
            let visible = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
            prop_assert_eq!(visible(&again.text), visible(&document.text));
            for chunk in &chunks {
                prop_assert_eq!(&again.text[chunk.span.start..chunk.span.end], chunk.text.as_str());
                prop_assert_eq!(again.text[..chunk.span.start].chars().count(), chunk.char_start);
                let [now, then] = [&again, &document].map(|it| {
                    it.layout.words.iter().filter(|w| (w.start as usize) >= chunk.span.start && (w.end as usize) <= chunk.span.end)
                        .map(|w| (w.start, w.end, w.page)).collect::<Vec<_>>()
                });
                prop_assert_eq!(now, then);
            }
            // Cut by the same settings it falls into the same chunks but for their headings and pages' white space.
            let texts = |chunks: Vec<Chunk>| chunks.into_iter().map(|chunk| chunk.text).collect::<Vec<_>>().join(" ");
            prop_assert_eq!(visible(&texts(cut(&again, 400, 0))), visible(&texts(cut(&document, 400, 0))));
        }
    }

    #[test]
    fn headings_hold_what_they_held() {
        let mut document = Document::plain(
            "One\n\nfirst words here\n\nTwo\n\nother words there\n\nThree\n\nlast words",
        );
        let at = |word: &str| document.text.find(word).unwrap();
        let bounds = [
            (1, "One", at("One"), at("Three")),
            (2, "Two", at("Two"), at("Three")),
            (1, "Three", at("Three"), document.text.len()),
        ];
        for (level, title, start, end) in bounds {
            let kind = SectionKind::Heading { level, title: title.into() };
            document.sections.push(Section { kind, span: Span { start, end } });
        }
        let chunks = cut(&document, 8, 0);
        let again = cut(&rebuilt(&chunks).unwrap(), 8, 0);
        let headings =
            |chunks: &[Chunk]| chunks.iter().map(|it| it.headings.clone()).collect::<Vec<_>>();
        assert!(chunks.len() >= 3);
        assert_eq!(headings(&again), headings(&chunks));
    }
}
