use super::*;
use proptest::prelude::*;
use vellum_core::ErrorKind;

fn name() -> CollectionName {
    "c".parse().unwrap()
}

fn read(text: &str) -> Filter {
    parse(text, &name()).unwrap()
}

#[test]
fn what_people_write() {
    let check = |text: &str, printed: &str| assert_eq!(print(&read(text)), printed, "{text}");
    check(
        "format = \"pdf\" and metadata.date >= 2024-01-01 and not (source in [\"a.pdf\",\"b.pdf\"])",
        "(format = \"pdf\" and metadata.date >= 2024-01-01T00:00:00Z and not source in [\"a.pdf\", \"b.pdf\"])",
    );
    check("page=3", "page = 3");
    check("page in 3..5 OR bytes < 1000", "(page in 3..5 or bytes < 1000)");
    check("page in >3..<5", "page in >3..<5");
    check("metadata.year != 2024", "not metadata.year = 2024");
    check("metadata.year = \"2024\"", "metadata.year = \"2024\"");
    check("metadata.year in [2023, \"x\"]", "(metadata.year = 2023 or metadata.year = \"x\")");
    check("metadata.n > -1.5", "metadata.n > -1.5");
    // A day is all its moments.
    check("metadata.d <= 2024-01-31", "metadata.d < 2024-02-01T00:00:00Z");
    check("metadata.d > 2024-01-31", "metadata.d >= 2024-02-01T00:00:00Z");
    check("metadata.d = 2024-02-29", "metadata.d in 2024-02-29T00:00:00Z..<2024-03-01T00:00:00Z");
    check(
        "metadata.d in 2024-01-01..2024-01-31",
        "metadata.d in 2024-01-01T00:00:00Z..<2024-02-01T00:00:00Z",
    );
    check("metadata.d < 2024-01-01T02:00:00+02:00", "metadata.d < 2024-01-01T00:00:00Z");
    check(
        "exists(metadata.author) and exists(title)",
        "(exists(metadata.author) and exists(title))",
    );
    check("uri under \"file:///a\"", "uri under \"file:///a/\"");
    check("source not in []", "not source in []");
    check("all() and any()", "(all() and any())");
    let id = DocumentId::derive(&name(), "file:///a.md");
    assert_eq!(read("uri = \"file:///a.md\""), Filter::In(Field::Document, vec![id.to_string()]));
    // `and` binds more tightly, and parentheses group.
    assert_eq!(read("page=1 or page=2 and page=3"), read("page=1 or (page=2 and page=3)"));
    assert_ne!(read("page=1 or page=2 and page=3"), read("(page=1 or page=2) and page=3"));
}

#[test]
fn errors_name_the_character() {
    let check = |text: &str, at: usize, part: &str| {
        let error = parse(text, &name()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        let message = error.message();
        assert!(message.contains(&format!("character {at}:")), "{text}: {message}");
        assert!(message.contains(part), "{text}: {message}");
        assert!(error.hint().is_some());
    };
    check("", 1, "expected a field");
    check("formt = \"pdf\"", 1, "expected a field");
    check("format \"pdf\"", 8, "expected an operator");
    check("format = pdf", 10, "expected a value");
    check("format = \"pdf", 10, "expected a `\"`");
    check("format = \"pdf\" page = 1", 16, "expected `and`, `or` or the end");
    check("ä = 1", 1, "expected a field");
    check("title = \"ä\" und", 13, "expected `and`");
    check("(page = 1", 10, "expected `)`");
    check("page = \"1\"", 8, "expected a number");
    check("page in 1..2024-01-01", 9, "two numbers or two dates");
    check("format > 3", 8, "expected text in double quotes");
    check("metadata.d >= 2024-13-01", 15, "YYYY-MM-DD");
    check("source in [\"a\" \"b\"]", 16, "`,` or `]`");
    check("exists(page)", 8, "every document has");
    check(&"(".repeat(100_000), MAX_NESTING + 1, "less nesting");
    for bad in ["metadata.A = 1", "metadata. = 1", "metadata.a.b = 1"] {
        assert!(
            parse(bad, &name()).unwrap_err().message().contains("no name of metadata"),
            "{bad}"
        );
    }
    assert!(parse(&format!("{}page = 1", "not ".repeat(20)), &name()).is_err(), "too deep");
}

fn measures() -> impl Strategy<Value = (Measure, bool)> {
    let key = "[a-z0-9_-]{1,9}";
    prop_oneof![
        Just((Measure::Page, false)),
        Just((Measure::Bytes, false)),
        key.prop_map(|key| (Measure::Number(key.parse().unwrap()), false)),
        key.prop_map(|key| (Measure::Date(key.parse().unwrap()), true)),
    ]
}

fn ends(is_date: bool) -> BoxedStrategy<Bound<Finite>> {
    let number = if is_date {
        (-62_000_000_000_000i64..250_000_000_000_000).prop_map(|ms| ms as f64).boxed()
    } else {
        prop_oneof![any::<f64>(), (-9i32..9).prop_map(f64::from)].boxed()
    };
    let number = number.prop_map(|number| Finite::new(number).unwrap_or(Finite::new(0.5).unwrap()));
    prop_oneof![
        number.clone().prop_map(Bound::Included),
        number.prop_map(Bound::Excluded),
        Just(Bound::Unbounded),
    ]
    .boxed()
}

pub(super) fn filters() -> impl Strategy<Value = Filter> {
    let field = || {
        prop_oneof![
            prop::sample::select(vec![
                Field::Document,
                Field::Source,
                Field::Format,
                Field::Title,
                Field::Language
            ]),
            "[a-z0-9_-]{1,9}".prop_map(|key| Field::Metadata(key.parse().unwrap())),
        ]
    };
    let within = measures().prop_flat_map(|(measure, is_date)| {
        (Just(measure), ends(is_date), ends(is_date)).prop_filter_map("an end", |(m, from, to)| {
            Some(Filter::Within(m, Interval::new(from, to)?))
        })
    });
    let leaf = prop_oneof![
        (field(), prop::collection::vec(any::<String>(), 0..3)).prop_map(|(f, v)| Filter::In(f, v)),
        within,
        field().prop_map(Filter::Exists),
        "[a-z]{1,5}://[^\\pC]{0,9}".prop_map(|uri| Filter::Under(Folder::new(&uri).unwrap())),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Filter::All),
            prop::collection::vec(inner.clone(), 0..4).prop_map(Filter::Any),
            inner.prop_map(|part| Filter::Not(Box::new(part))),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_printed_reads_back(filter in filters()) {
        let printed = print(&filter);
        prop_assert_eq!(parse(&printed, &name()).unwrap(), filter, "{}", printed);
    }

    #[test]
    fn no_text_breaks_the_parser(text in "([a-z.]{1,9}|[\"\\\\()\\[\\],=<>!]|[0-9-]{1,10}|\\PC| ){0,24}") {
        let _ = parse(&text, &name());
    }
}
