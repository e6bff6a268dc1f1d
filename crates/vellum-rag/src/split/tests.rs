//! Every splitter on documents that people wrote, and on documents that nobody would.

use super::*;
use proptest::prelude::*;
use vellum_core::document::Section;

const SPECIAL: usize = 2;

/// Counts words, as a stand-in for a tokenizer.
fn words(text: &str) -> usize {
    text.split_whitespace().count() + SPECIAL
}

/// Counts what no tokenizer does: joined text may count more or less than its parts.
fn by_chars(text: &str) -> usize {
    text.chars().count().div_ceil(4) + SPECIAL
}

/// Every method; sentences differ in meaning by their length, which is as good as any.
fn methods() -> Vec<SplitMethod> {
    SplitMethod::NAMES.iter().map(|name| SplitMethod::from_name(name, 60).unwrap()).collect()
}

fn with_vectors(sentences: Vec<Sentence>) -> Vec<(Sentence, Embedding)> {
    let vector =
        |it: &Sentence| Embedding::normalised(vec![1.0, (it.text.len() % 7) as f32]).unwrap();
    sentences.into_iter().map(|it| (it.clone(), vector(&it))).collect()
}

fn settings(method: SplitMethod, max_tokens: usize, overlap_tokens: usize) -> SplitterSettings {
    SplitterSettings { method, ..SplitterSettings::new(max_tokens, overlap_tokens) }
}

fn chunks_from(
    document: &Document,
    place: &mut Place,
    settings: &SplitterSettings,
    n_tokens: &dyn Fn(&str) -> usize,
) -> Vec<Chunk> {
    let (collection, content) = ("c".parse().unwrap(), ContentHash::of(document.text.as_bytes()));
    let origin = Origin {
        collection: &collection,
        uri: "file:///a",
        name: "a",
        content: &content,
        settings: "s",
        title: Some("T"),
        language: Some("en"),
        bytes: 14,
        metadata: &Metadata::default(),
    };
    let sentences = with_vectors(sentences(document, &origin, settings, usize::MAX, n_tokens));
    let start = *place;
    let chunks = split(document, place, &origin, settings, n_tokens, &sentences);
    let vectors = vectors(&chunks, start, &sentences);
    assert_eq!(vectors.len(), chunks.len());
    for (chunk, vector) in chunks.iter().zip(vectors) {
        assert_eq!(vector.is_some(), !sentences.is_empty() && chunk.context.is_empty());
    }
    chunks
}

fn chunks(document: &Document, settings: &SplitterSettings) -> Vec<Chunk> {
    chunks_from(document, &mut Place::default(), settings, &words)
}

fn texts(document: &Document, settings: &SplitterSettings) -> Vec<String> {
    chunks(document, settings).into_iter().map(|chunk| chunk.text).collect()
}

/// Returns a document whose lines that begin with `#` are headings, and where `~` ends a page.
fn written(text: &str) -> Document {
    let mut document = Document::plain(text);
    let mut headings: Vec<(usize, u8, &str)> = Vec::new();
    let mut at = 0;
    for line in text.split('\n') {
        if let Some(title) = line.strip_prefix('#') {
            let level = 1 + title.bytes().take_while(|byte| *byte == b'#').count();
            headings.push((at, level as u8, title.trim_matches(['#', ' '])));
        }
        at += line.len() + 1;
    }
    for (index, (start, level, title)) in headings.iter().enumerate() {
        let next = headings[index + 1..].iter().find(|(_, other, _)| other <= level);
        let span = Span { start: *start, end: next.map_or(text.len(), |(start, ..)| *start) };
        let kind = SectionKind::Heading { level: *level, title: (*title).to_owned() };
        document.sections.push(Section { kind, span });
    }
    let mut start = 0;
    for (number, page) in (1..).zip(text.split_inclusive('~')) {
        let span = Span { start, end: start + page.len() };
        document.sections.push(Section { kind: SectionKind::Page(number), span });
        start += page.len();
    }
    document.sections.sort_by_key(|section| section.span.start);
    document
}

#[test]
fn each_method_cuts_its_way() {
    let text = "# Leave\n\nOne two three. Four five.\n\n## Paid\n\nSix seven.~ Eight nine.\n\n- ten\n- eleven";
    let check = |name: &str, max: usize, expect: &[&str]| {
        let method = SplitMethod::from_name(name, 50).unwrap();
        assert_eq!(texts(&written(text), &settings(method, max, 0)), expect, "{name} {max}");
    };
    check(
        "sentence",
        9,
        &[
            "# Leave\n\nOne two three. Four five.",
            "## Paid\n\nSix seven.~ Eight nine.",
            "- ten\n- eleven",
        ],
    );
    check(
        "recursive",
        8,
        &[
            "# Leave",
            "One two three. Four five.",
            "## Paid\n\nSix seven.~ Eight nine.",
            "- ten\n- eleven",
        ],
    );
    check(
        "recursive",
        5,
        &[
            "# Leave",
            "One two three.",
            "Four five.",
            "## Paid",
            "Six seven.",
            "~ Eight nine.",
            "- ten",
            "- eleven",
        ],
    );
    check(
        "markdown",
        14,
        &[
            "# Leave\n\nOne two three. Four five.",
            "## Paid\n\nSix seven.~ Eight nine.\n\n- ten\n- eleven",
        ],
    );
    check(
        "page",
        99,
        &[
            "# Leave\n\nOne two three. Four five.\n\n## Paid\n\nSix seven.~",
            "Eight nine.\n\n- ten\n- eleven",
        ],
    );
}

#[test]
fn windows_are_as_long_as_they_may_be() {
    let document = Document::plain("One, two, three, four, five, six.");
    let texts = |max, overlap| texts(&document, &settings(SplitMethod::Fixed, max, overlap));
    assert_eq!(texts(5, 0), ["One, two, three,", "four, five, six."]);
    assert_eq!(
        texts(5, 2),
        ["One, two, three,", "two, three, four,", "three, four, five,", "four, five, six."]
    );
}

#[test]
fn packs_whole_sentences() {
    let document = Document::plain("One two three. Four five six. Seven eight nine.");
    let texts = |max, overlap| texts(&document, &settings(SplitMethod::Sentence, max, overlap));
    assert_eq!(texts(8, 0), ["One two three. Four five six.", "Seven eight nine."]);
    assert_eq!(texts(8, 3), ["One two three. Four five six.", "Four five six. Seven eight nine."]);
    assert_eq!(texts(4, 0).len(), 6, "a long sentence is cut between words");
    assert_eq!(texts(5, 3).len(), 3, "overlap never takes the room of what is new");
}

#[test]
fn a_heading_starts_a_chunk_when_there_is_enough_before_it() {
    let document = written("Intro goes here now.\n\n# Policy\n\nText of it.");
    let chunks = chunks(&document, &settings(SplitMethod::Sentence, 14, 0));
    let texts: Vec<&str> = chunks.iter().map(|chunk| chunk.text.as_str()).collect();
    assert_eq!(texts, ["Intro goes here now.", "# Policy\n\nText of it."]);
    assert_eq!(chunks[1].headings, ["Policy"]);
    assert!(chunks[0].headings.is_empty());
}

#[test]
fn a_heading_above_a_heading_is_no_chunk_alone() {
    let document = written("# A\n\n## B\n\nText of it.\n\n## C\n\nMore.\n\n# D");
    let texts = texts(&document, &settings(SplitMethod::Markdown, 50, 0));
    assert_eq!(texts, ["# A\n\n## B\n\nText of it.", "## C\n\nMore.", "# D"]);
}

#[test]
fn context_is_indexed_and_not_cited() {
    let document = written("# Leave\n\n## Paid\n\nOne two three four five six. Seven eight.");
    let mut settings = settings(SplitMethod::Sentence, 16, 0);
    settings.context = true;
    let chunks = chunks(&document, &settings);
    assert_eq!(chunks[0].context, "T > Leave");
    let last = chunks.last().unwrap();
    assert_eq!(
        last.context, "Leave > Paid",
        "the outermost goes first where a quarter is too little"
    );
    assert_eq!(last.indexed_text(), format!("Leave > Paid\n{}", last.text));
    assert!(chunks.iter().all(|chunk| document.text.contains(&chunk.text)));
}

#[test]
fn parents_are_sections_or_windows_of_them() {
    let document = written("# A\n\nOne two. Three four. Five six.\n\n# B\n\nSeven eight.");
    let parents = |parent_tokens| -> Vec<Option<(u32, u32)>> {
        let mut settings = settings(SplitMethod::Sentence, 4, 0);
        settings.parent_tokens = parent_tokens;
        let mut place = Place { chunks: 10, ..Place::default() };
        let chunks = chunks_from(&document, &mut place, &settings, &words);
        chunks.iter().map(|chunk| chunk.parent.map(|p| (p.first - 10, p.last - 10))).collect()
    };
    let section_a = Some((0, 3));
    let section_b = Some((4, 5));
    assert_eq!(parents(16), [section_a, section_a, section_a, section_a, section_b, section_b]);
    let (first, second) = (Some((0, 1)), Some((2, 3)));
    assert_eq!(parents(6), [first, first, second, second, section_b, section_b]);
    assert_eq!(parents(0), [None; 6]);
}

#[test]
fn pages_and_characters_of_a_chunk() {
    let text = "äöü one. Two.";
    let mut document = Document::plain(text);
    let second = text.find("Two").unwrap();
    for (page, start, end) in [(1, 0, second), (2, second, text.len())] {
        let span = Span { start, end };
        document.sections.push(Section { kind: SectionKind::Page(page), span });
    }
    let split = |place: &mut Place, max| {
        chunks_from(&document, place, &settings(SplitMethod::Sentence, max, 0), &words)
    };
    let one = split(&mut Place::default(), 99);
    assert_eq!((one[0].page_at(0), one[0].page_at(second)), (Some(1), Some(2)));
    let mut place = Place::default();
    let two = split(&mut place, 4);
    assert_eq!((two[1].char_start, two[1].page_at(0)), (9, Some(2)));
    assert_eq!(two[1].char_range(Span { start: 0, end: 3 }), (9, 12));

    // The same text once more, as the next part: as if it stood behind the first.
    assert_eq!(place, Place { bytes: text.len() + 2, chars: 15, chunks: 2 });
    let next = split(&mut place, 4);
    assert_eq!((next[0].ordinal, next[0].char_start, next[0].span.start), (2, 15, 18));
    assert_eq!((next[1].ordinal, next[1].char_start), (3, 24));
    assert_eq!(place.chunks, 4);
    assert!(next.iter().all(|chunk| chunk.title.as_deref() == Some("T")));
    let ids: std::collections::HashSet<_> = two.iter().chain(&next).map(|c| c.id).collect();
    assert_eq!(ids.len(), 4);
}

/// Asserts what holds for every splitter, on one part of a document.
fn check_invariants(
    document: &Document,
    start: Place,
    settings: &SplitterSettings,
    n_tokens: &dyn Fn(&str) -> usize,
) -> Result<(), TestCaseError> {
    let mut place = start;
    let chunks = chunks_from(document, &mut place, settings, n_tokens);
    let again = chunks_from(document, &mut start.clone(), settings, n_tokens);
    prop_assert_eq!(&chunks, &again);
    let mut covered = 0;
    for (index, chunk) in chunks.iter().enumerate() {
        // Byte-exact, and within the part.
        let (from, to) = (chunk.span.start - start.bytes, chunk.span.end - start.bytes);
        prop_assert_eq!(document.text.get(from..to), Some(chunk.text.as_str()));
        prop_assert_eq!(chunk.ordinal, start.chunks + index as u32);
        let chars = document.text[..from].chars().count();
        prop_assert_eq!(chunk.char_start, start.chars + chars);
        prop_assert!(n_tokens(&chunk.indexed_text()) <= settings.max_tokens);
        prop_assert!(settings.context || chunk.context.is_empty());
        // Each begins and ends behind the one before; they share the overlap at most.
        if let Some(before) = index.checked_sub(1).map(|before| &chunks[before]) {
            prop_assert!(before.span.start < chunk.span.start && before.span.end < chunk.span.end);
        }
        if from < covered {
            let shared = n_tokens(&document.text[from..covered]) - SPECIAL;
            prop_assert!(shared <= settings.overlap_tokens, "{shared} tokens are shared");
        } else {
            let gap = &document.text[covered..from];
            prop_assert!(is_blank(gap, settings.method), "{gap:?} is lost");
        }
        covered = to;
        if settings.method == SplitMethod::Page {
            let pages = document.pages().filter(|(_, page)| page.start < to && from < page.end);
            prop_assert!(pages.count() <= 1, "a chunk reaches over a page");
        }
        if let Some(parent) = chunk.parent {
            prop_assert!((parent.first..=parent.last).contains(&chunk.ordinal));
            let family = &chunks
                [(parent.first - start.chunks) as usize..=(parent.last - start.chunks) as usize];
            prop_assert!(family.iter().all(|sibling| sibling.parent == chunk.parent));
            let last = family[family.len() - 1].span.end - start.bytes;
            let text = &document.text[family[0].span.start - start.bytes..last];
            prop_assert!(n_tokens(text) <= settings.parent_tokens);
        }
    }
    let rest = &document.text[covered..];
    prop_assert!(is_blank(rest, settings.method), "{rest:?} is lost");
    Ok(())
}

/// Whether a text is white space, or, between sentences, the rule of a table.
fn is_blank(text: &str, method: SplitMethod) -> bool {
    let by_unit = !matches!(method, SplitMethod::Fixed | SplitMethod::Recursive);
    text.chars().all(|c| c.is_whitespace() || (by_unit && "|-:".contains(c)))
}

proptest! {
    #[test]
    fn nothing_is_lost_doubled_or_too_long(
        text in "((#{1,2} )?[a-zé一 ]{1,30}[.!?\n|~-]{0,2}( |\n\n)?){0,14}",
        max_tokens in 3usize..24,
        overlap in 0usize..12,
        parent_tokens in 0usize..80,
        context: bool,
        by_word: bool,
        at in 0usize..100,
    ) {
        let document = written(&text);
        let n_tokens: &dyn Fn(&str) -> usize = if by_word { &words } else { &by_chars };
        let parent_tokens = if parent_tokens < max_tokens { 0 } else { parent_tokens };
        let start = Place { bytes: at, chars: at, chunks: at as u32 };
        for method in methods() {
            for overlap_tokens in [0, overlap] {
                let settings =
                    SplitterSettings { method, max_tokens, overlap_tokens, parent_tokens, context };
                check_invariants(&document, start, &settings, n_tokens)?;
            }
        }
    }
}
