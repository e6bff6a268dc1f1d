//! The extractive answerer: picks the sentences that answer best, or finds that nothing does.
//!
//! Steps: units of the passages -> a short list by shared words -> embeddings of the short list -> score ->
//! the best, and others that nearly equal it without repeating it. A sentence's score mixes its cosine
//! with the question, the share of the question's information (inverse document frequency over
//! the retrieved passages) that its words cover, and the same of what surrounds it.
//!
//! The text of an answer is always verbatim document text; nothing is generated.

use crate::bm25::Analyser;
use crate::search::Hit;
use crate::units::{self, UnitKind};
use std::collections::{HashMap, HashSet};
use vellum_core::document::Span;
use vellum_core::ids::DocumentId;
use vellum_core::vector::Embedding;

/// Sentences that are embedded for one answer; bounds its cost.
const SHORT_LIST: usize = 48;
/// Shortest sentence that can be an answer, in words.
const MIN_WORDS: usize = 3;
/// Most sentences in an answer.
const MAX_SENTENCES: usize = 3;
/// A further sentence must reach this share of the best one's score.
const NEAR_BEST: f32 = 0.88;
/// A further sentence this close to a chosen one repeats it.
const SAME: f32 = 0.92;
/// Weight of a sentence's cosine with the question.
///
/// The five weights were fitted as a softmax over the sentences of a question, once on 472 questions about
/// five long documents of other companies and once on `eval/handbook`; these lie between the two fits.
const W_SENTENCE: f32 = 0.35;
/// Weight of the cosine of the sentence before it, which often names what the sentence is about.
const W_BEFORE: f32 = 0.10;
/// Weight of the passage's cosine with the question.
const W_PASSAGE: f32 = 0.20;
/// Weight of the share of the question that the sentence covers together with its title and headings.
const W_WORDS: f32 = 0.20;
/// Weight of the share of the question that the whole passage covers.
const W_PASSAGE_WORDS: f32 = 0.15;
/// Below this score nothing is an answer where only words count, because the embedder does not know the
/// language: about half of what the question tells must be there.
const REFUSE_WORDS_BELOW: f32 = 0.5;
/// Below this score nothing is an answer. Chosen by hand on the handbook questions (see `eval/handbook`), a
/// compromise: higher refuses more of what nothing answers and more of what something does.
const REFUSE_BELOW: f32 = 0.38;

/// A sentence that may answer.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// Index of its passage among the hits.
    pub hit: usize,
    /// Its bytes in the passage's text.
    pub span: Span,
    /// What it is.
    pub kind: UnitKind,
    /// Bytes of the sentence before it in the passage.
    pub before: Option<Span>,
    /// Share of the question's information that its words, title and headings cover, in [0, 1].
    pub coverage: f32,
    /// Share that its passage covers, in [0, 1].
    pub passage_coverage: f32,
}

/// A chosen sentence.
#[derive(Debug, Clone)]
pub struct Choice {
    /// The sentence.
    pub candidate: Candidate,
    /// Its score, about 0 to 1.
    pub score: f32,
}

/// Returns the short list of sentences to embed, in order of passage and position.
pub fn candidates(question: &str, hits: &[Hit], analyser: &Analyser) -> Vec<Candidate> {
    let passages = passages(hits, analyser);
    let weights = information(question, &passages, analyser);
    let mut found = Vec::new();
    for (index, hit) in hits.iter().enumerate() {
        let text = &hit.chunk.text;
        let surroundings = terms_around(hit, analyser);
        let passage_coverage = weights.covered(&passages[&passage_of(hit)]);
        let mut before = None;
        let units = units::units(text);
        for (at, unit) in units.iter().enumerate() {
            let sentence = &text[unit.span.start..unit.span.end];
            let ends_block = units.get(at + 1).is_none_or(|next| next.starts_block);
            let is_line = unit.starts_block && ends_block && unit.kind == UnitKind::Sentence;
            if can_answer(sentence, hit) && !(is_line && reads_as_heading(sentence)) {
                let mut terms: HashSet<String> = analyser.terms(sentence).into_iter().collect();
                terms.extend(surroundings.iter().cloned());
                let coverage = weights.covered(&terms);
                let (span, kind) = (unit.span, unit.kind);
                found.push(Candidate {
                    hit: index,
                    span,
                    kind,
                    before,
                    coverage,
                    passage_coverage,
                });
            }
            before = Some(unit.span);
        }
    }
    if found.len() > SHORT_LIST {
        // Words first; among equals the better passage.
        let mut order: Vec<usize> = (0..found.len()).collect();
        order.sort_by(|a, b| found[*b].coverage.total_cmp(&found[*a].coverage).then(a.cmp(b)));
        let keep: HashSet<usize> = order.into_iter().take(SHORT_LIST).collect();
        let mut index = 0;
        found.retain(|_| {
            index += 1;
            keep.contains(&(index - 1))
        });
    }
    found
}

/// Whether a unit says something: long enough, not a heading, not a question.
fn can_answer(sentence: &str, hit: &Hit) -> bool {
    let words =
        sentence.split_whitespace().filter(|w| w.chars().any(char::is_alphanumeric)).count();
    let bare = sentence.trim_start_matches(['#', ' ']);
    let is_heading = hit.chunk.headings.iter().any(|heading| heading == bare)
        || hit.chunk.title.as_deref() == Some(bare);
    // A line in capitals is a heading, in whatever format.
    let is_heading = is_heading
        || sentence.chars().any(char::is_uppercase) && !sentence.chars().any(char::is_lowercase);
    let is_dense = sentence.chars().any(|c| ('\u{3040}'..='\u{9fff}').contains(&c));
    (words >= MIN_WORDS || is_dense) && !is_heading && !sentence.ends_with(['?', '？'])
}

/// Whether a line that is a paragraph of its own is a heading: short, and neither a sentence nor a statement
/// of the form `name: value`.
fn reads_as_heading(line: &str) -> bool {
    const MAX_WORDS: usize = 9;
    let ends = ['.', '!', ';', ':', ')', '"', '”', '。', '…'];
    line.split_whitespace().count() <= MAX_WORDS && !line.ends_with(ends) && !line.contains(": ")
}

/// Terms that hold for every sentence of a passage: its title, headings and file name.
fn terms_around(hit: &Hit, analyser: &Analyser) -> Vec<String> {
    let chunk = &hit.chunk;
    let around = [chunk.title.as_deref().unwrap_or_default(), &chunk.source]
        .into_iter()
        .chain(chunk.headings.iter().map(String::as_str));
    around.flat_map(|text| analyser.terms(text)).collect()
}

/// How much each term of a question tells; the sum is 1 unless there is no term.
struct Information(HashMap<String, f32>);

impl Information {
    /// Returns the share that `terms` cover, in [0, 1].
    fn covered(&self, terms: &HashSet<String>) -> f32 {
        terms.iter().filter_map(|term| self.0.get(term)).sum()
    }
}

/// What tells passages apart: the document, and the ordinal of a chunk or of the first one of its parent.
type PassageKey = (DocumentId, u32);

fn passage_of(hit: &Hit) -> PassageKey {
    let chunk = &hit.chunk;
    (chunk.document, chunk.parent.map_or(chunk.ordinal, |parent| parent.first))
}

/// Returns the terms of each passage; chunks of one parent are one passage.
fn passages(hits: &[Hit], analyser: &Analyser) -> HashMap<PassageKey, HashSet<String>> {
    let mut passages: HashMap<PassageKey, HashSet<String>> = HashMap::new();
    for hit in hits {
        passages.entry(passage_of(hit)).or_default().extend(analyser.terms(&hit.chunk.text));
    }
    passages
}

/// Weighs each term of the question by its rarity among the passages.
fn information(
    question: &str,
    passages: &HashMap<PassageKey, HashSet<String>>,
    analyser: &Analyser,
) -> Information {
    let n = passages.len() as f32;
    let terms: HashSet<String> = analyser.terms(question).into_iter().collect();
    let idf = |term: &String| {
        let df = passages.values().filter(|passage| passage.contains(term)).count() as f32;
        (1.0 + (n - df + 0.5) / (df + 0.5)).ln()
    };
    let total: f32 = terms.iter().map(idf).sum();
    Information(terms.into_iter().map(|term| (term.clone(), idf(&term) / total)).collect())
}

/// Returns the texts to embed for `candidates`: the sentences, and those before them; none twice.
pub fn texts(hits: &[Hit], candidates: &[Candidate]) -> Vec<String> {
    let mut seen = HashSet::new();
    let spans = candidates.iter().flat_map(|c| [Some(c.span), c.before].map(|span| (c.hit, span)));
    spans
        .filter_map(|(hit, span)| Some(&hits[hit].chunk.text[span?.start..span?.end]))
        .filter(|text| seen.insert(*text))
        .map(str::to_owned)
        .collect()
}

/// Returns the sentences that answer, best first; empty when none is good enough.
///
/// `embeddings` are those of [`texts`], by text; without a `question` vector only words count.
/// O(candidates * dim).
pub fn choose(
    question: Option<&Embedding>,
    hits: &[Hit],
    candidates: &[Candidate],
    embeddings: &HashMap<&str, &Embedding>,
) -> Vec<Choice> {
    let embedding = |hit: usize, span: Span| {
        embeddings.get(&hits[hit].chunk.text[span.start..span.end]).copied()
    };
    let cosine = |vector: Option<&Embedding>| match (vector, question) {
        (Some(vector), Some(question)) => vector.cosine(question),
        _ => 0.0,
    };
    let least = if question.is_some() { REFUSE_BELOW } else { REFUSE_WORDS_BELOW };
    let score = |candidate: &Candidate| {
        let words = W_WORDS * candidate.coverage + W_PASSAGE_WORDS * candidate.passage_coverage;
        if question.is_none() {
            return words / (W_WORDS + W_PASSAGE_WORDS);
        }
        let before = candidate.before.and_then(|span| embedding(candidate.hit, span));
        W_SENTENCE * cosine(embedding(candidate.hit, candidate.span))
            + W_BEFORE * cosine(before)
            + W_PASSAGE * cosine(hits[candidate.hit].dense.as_ref())
            + words
    };
    let mut order: Vec<(&Candidate, f32)> = candidates.iter().map(|c| (c, score(c))).collect();
    // A stable sort: among equals the better passage.
    order.sort_by(|a, b| b.1.total_cmp(&a.1));
    let mut chosen: Vec<&Embedding> = Vec::new();
    let mut choices = Vec::new();
    let Some(&(_, best)) = order.first() else { return choices };
    for (candidate, score) in order {
        if score < least.max(best * NEAR_BEST) || choices.len() == MAX_SENTENCES {
            break;
        }
        let Some(vector) = embedding(candidate.hit, candidate.span) else { continue };
        if !chosen.iter().any(|other| other.cosine(vector) > SAME) {
            chosen.push(vector);
            choices.push(Choice { candidate: candidate.clone(), score });
        }
    }
    choices
}

/// Returns a unit as a reader wants it: one line; a table row with its header cells.
pub fn readable(chunk_text: &str, candidate: &Candidate) -> String {
    let text = &chunk_text[candidate.span.start..candidate.span.end];
    match candidate.kind {
        UnitKind::Sentence => {
            let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
            line.trim_start_matches(['-', '*', '•', '#', ' ']).to_owned()
        }
        UnitKind::TableRow => {
            let header = table_header(chunk_text, candidate.span);
            let cells = cells(text);
            match header {
                Some(header) if header.len() == cells.len() => header
                    .iter()
                    .zip(&cells)
                    .filter(|(_, cell)| !cell.is_empty())
                    .map(|(name, cell)| {
                        if name.is_empty() { (*cell).to_owned() } else { format!("{name}: {cell}") }
                    })
                    .collect::<Vec<_>>()
                    .join("; "),
                _ => cells.join(", "),
            }
        }
    }
}

fn cells(row: &str) -> Vec<&str> {
    row.trim().trim_matches('|').split('|').map(str::trim).collect()
}

/// Returns the cells of the first row of the table that holds `row`; `None` when it is that row.
fn table_header(text: &str, row: Span) -> Option<Vec<&str>> {
    let mut header = None;
    for line in text[..row.start].lines().rev() {
        let line = line.trim();
        if !line.starts_with('|') {
            break;
        }
        header = Some(line);
    }
    header.map(cells)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_are_told_from_answers() {
        for heading in ["2. End of the TW-210", "Paid leave", "What to do in an emergency"] {
            assert!(reads_as_heading(heading), "{heading}");
        }
        for answer in
            ["Call 4900.", "Monday to Monday: +44 1539 555 0177", "It costs (net) 12 EUR)"]
        {
            assert!(!reads_as_heading(answer), "{answer}");
        }
    }

    #[test]
    fn rows_are_read_with_their_header() {
        let text = "Prices\n\n| Item | Price |\n| --- | --- |\n| TW-210 | 89 EUR |";
        let start = text.find("| TW").unwrap();
        let span = Span { start, end: text.len() };
        let row = Candidate {
            hit: 0,
            span,
            kind: UnitKind::TableRow,
            before: None,
            coverage: 0.0,
            passage_coverage: 0.0,
        };
        assert_eq!(readable(text, &row), "Item: TW-210; Price: 89 EUR");
        let line = Candidate { span: Span { start: 0, end: 6 }, kind: UnitKind::Sentence, ..row };
        assert_eq!(readable("- a\n b", &line), "a b");
    }
}
