//! Our BM25 encoder: texts to sparse vectors, so that embedded and server indexes rank alike.
//!
//! Steps: words (UAX #29; runs of Han and Kana as character bigrams) -> lower case (NFKC) -> stop words out ->
//! Snowball stem -> diacritics folded -> 32-bit term id. A document's vector holds the saturated,
//! length-normalised term frequency; a query's holds its term counts; the store multiplies with
//! the inverse document frequency (Qdrant's IDF modifier). Their dot product is BM25.
//!
//! Source: Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond", 2009.
//! Two details carry the quality: `avg_len` is the collection's own mean, and query terms carry counts.

use rust_stemmers::{Algorithm, Stemmer};
use std::collections::{HashMap, HashSet};
use std::sync::OnceLock;
use stop_words::Language;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;
use unicode_segmentation::UnicodeSegmentation;
use vellum_core::vector::SparseVector;

/// Term-frequency saturation.
const K1: f32 = 1.2;
/// Weight of length normalisation.
const B: f32 = 0.75;
/// Longest word that is indexed, in bytes; longer ones are encoded data.
const MAX_WORD_BYTES: usize = 128;

/// Languages with a stemmer: ISO 639-1 code, Snowball algorithm, stop-word list.
const LANGUAGES: &[(&str, Algorithm, Option<Language>)] = &[
    ("ar", Algorithm::Arabic, Some(Language::Arabic)),
    ("da", Algorithm::Danish, Some(Language::Danish)),
    ("de", Algorithm::German, Some(Language::German)),
    ("el", Algorithm::Greek, Some(Language::Greek)),
    ("en", Algorithm::English, Some(Language::English)),
    ("es", Algorithm::Spanish, Some(Language::Spanish)),
    ("fi", Algorithm::Finnish, Some(Language::Finnish)),
    ("fr", Algorithm::French, Some(Language::French)),
    ("hu", Algorithm::Hungarian, Some(Language::Hungarian)),
    ("it", Algorithm::Italian, Some(Language::Italian)),
    ("nl", Algorithm::Dutch, Some(Language::Dutch)),
    ("no", Algorithm::Norwegian, Some(Language::Norwegian)),
    ("pt", Algorithm::Portuguese, Some(Language::Portuguese)),
    ("ro", Algorithm::Romanian, Some(Language::Romanian)),
    ("ru", Algorithm::Russian, Some(Language::Russian)),
    ("sv", Algorithm::Swedish, Some(Language::Swedish)),
    ("ta", Algorithm::Tamil, None),
    ("tr", Algorithm::Turkish, Some(Language::Turkish)),
];

/// The stop words of each of [`LANGUAGES`], made when they are first needed: a thousand words take longer than the rest of a
/// search.
static STOP_WORDS: [OnceLock<HashSet<String>>; LANGUAGES.len()] =
    [const { OnceLock::new() }; LANGUAGES.len()];

/// Returns the stop words of the language at `index`, as words are compared with them.
fn stop_words_of(index: usize) -> &'static HashSet<String> {
    STOP_WORDS[index].get_or_init(|| {
        let list = LANGUAGES[index].2.map(stop_words::get);
        list.into_iter().flatten().map(|word| normalised(word)).collect()
    })
}

/// Returns whether `code` names a language with a stemmer.
pub fn has_analyser(code: &str) -> bool {
    LANGUAGES.iter().any(|(known, ..)| *known == code)
}

/// Returns the ISO 639-1 codes of the languages with a stemmer, ascending.
pub fn analyser_codes() -> impl Iterator<Item = &'static str> {
    LANGUAGES.iter().map(|(code, ..)| *code)
}

/// Turns text of one language into terms.
pub struct Analyser {
    stemmer: Option<Stemmer>,
    /// `None` for none.
    stop_words: Option<&'static HashSet<String>>,
    /// What terms begin with.
    scope: String,
}

impl Analyser {
    /// Returns the analyser of an ISO 639-1 code; for an unknown or absent code one that only folds.
    pub fn new(language: Option<&str>) -> Self {
        let known =
            language.and_then(|code| LANGUAGES.iter().position(|(known, ..)| *known == code));
        let stemmer = known.map(|index| Stemmer::create(LANGUAGES[index].1));
        Self { stemmer, stop_words: known.map(stop_words_of), scope: String::new() }
    }

    /// Returns the analyser of a language beside a collection's main one: its terms are told apart from those of other
    /// languages, so that a word weighs by how rare it is in its own.
    pub fn scoped(code: &str) -> Self {
        Self { scope: format!("{code}:"), ..Self::new(Some(code)) }
    }

    /// Returns the terms of `text`, in order, repeated as they occur.
    pub fn terms(&self, text: &str) -> Vec<String> {
        let mut terms = Vec::new();
        let mut run: Vec<char> = Vec::new();
        for word in text.split_word_bounds() {
            let mut chars = word.chars();
            match (chars.next(), chars.next()) {
                (Some(only), None) if is_unspaced(only) => run.push(only),
                _ => {
                    push_bigrams(&mut run, &mut terms);
                    if word.len() <= MAX_WORD_BYTES && word.chars().any(char::is_alphanumeric) {
                        terms.extend(self.term(word));
                    }
                }
            }
        }
        push_bigrams(&mut run, &mut terms);
        terms
    }

    /// Returns the number of stop words of this language in `text`.
    pub fn n_stop_words(&self, text: &str) -> usize {
        let words = text.unicode_words();
        words.filter(|word| self.is_stop_word(&normalised(word))).count()
    }

    /// Returns `text` without the stop words of this language.
    pub fn without_stop_words(&self, text: &str) -> String {
        let is_stop_word = |word: &&str| self.is_stop_word(&normalised(word));
        text.split_word_bounds().filter(|word| !is_stop_word(word)).collect()
    }

    /// Whether a word, as [`normalised`] gives it, is a stop word.
    fn is_stop_word(&self, word: &str) -> bool {
        self.stop_words.is_some_and(|words| words.contains(word))
    }

    /// Returns the term of one word; `None` for a stop word.
    fn term(&self, word: &str) -> Option<String> {
        let lower = normalised(word);
        if self.is_stop_word(&lower) {
            return None;
        }
        let stem = match &self.stemmer {
            Some(stemmer) => stemmer.stem(&lower).into_owned(),
            None => lower,
        };
        let folded = stem.nfkd().filter(|c| !is_combining_mark(*c));
        Some(self.scope.chars().chain(folded).collect())
    }
}

/// Returns a word as stop words are listed.
fn normalised(word: &str) -> String {
    word.nfkc().collect::<String>().to_lowercase().replace('’', "'")
}

/// Whether a character belongs to a script that is written without spaces between words.
fn is_unspaced(c: char) -> bool {
    matches!(u32::from(c), 0x3040..=0x30FF | 0x3400..=0x4DBF | 0x4E00..=0x9FFF | 0xF900..=0xFAFF | 0x20000..=0x323AF)
}

/// Empties a run of unspaced characters into overlapping pairs; a lone character stands for itself.
fn push_bigrams(run: &mut Vec<char>, terms: &mut Vec<String>) {
    if let [only] = run[..] {
        terms.push(only.to_string());
    }
    terms.extend(run.windows(2).map(|pair| pair.iter().collect::<String>()));
    run.clear();
}

/// Returns the stable id of a term: FNV-1a of 64 bits, folded to 32.
fn term_id(term: &str) -> u32 {
    let hash = term.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    (hash ^ (hash >> 32)) as u32
}

fn counts(terms: &[String]) -> HashMap<u32, f32> {
    let mut counts = HashMap::new();
    for term in terms {
        *counts.entry(term_id(term)).or_insert(0.0) += 1.0;
    }
    counts
}

/// Returns the document weights of `terms`; `avg_len` is the mean number of terms of a chunk, > 0.
pub fn document_vector(terms: &[String], avg_len: f32) -> SparseVector {
    let norm = K1 * (1.0 - B + B * terms.len() as f32 / avg_len.max(1.0));
    let weigh = |(term, tf): (u32, f32)| (term, tf * (K1 + 1.0) / (tf + norm));
    SparseVector::from_pairs(counts(terms).into_iter().map(weigh).collect())
}

/// Returns the query weights of `terms`: their counts.
pub fn query_vector(terms: &[String]) -> SparseVector {
    SparseVector::from_pairs(counts(terms).into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_by_language() {
        let check = |language, text: &str, expect: &[&str]| {
            assert_eq!(Analyser::new(language).terms(text), expect, "{text}");
        };
        check(Some("en"), "The pumps were running in 3.5 °C", &["pump", "run", "3.5", "c"]);
        check(Some("de"), "Die Häuser der Städte", &["haus", "stadt"]);
        check(Some("es"), "las canciones", &["cancion"]);
        check(Some("zh"), "北京 大学生", &["北京", "大学", "学生"]);
        check(None, "Error ERR_42 café", &["error", "err_42", "cafe"]);
    }

    #[test]
    fn weights_saturate_and_prefer_short_texts() {
        let analyser = Analyser::new(Some("en"));
        let weight = |text: &str| document_vector(&analyser.terms(text), 4.0).values()[0];
        assert!(weight("pump") > weight("pump pump pump pump").min(2.2) / 2.2 * 0.4);
        let short = document_vector(&analyser.terms("pump"), 4.0);
        let long = document_vector(&analyser.terms("pump valve gauge sensor truck door"), 4.0);
        let of_pump = |v: &SparseVector| {
            let at = v.indices().binary_search(&term_id("pump")).unwrap();
            v.values()[at]
        };
        assert!(of_pump(&short) > of_pump(&long));
        assert_eq!(query_vector(&analyser.terms("pump pumps")).values(), [2.0]);
    }
}
