//! Filters as people type them: `format = "pdf" and metadata.date >= 2024-01-01 and not source in ["a.pdf", "b.pdf"]`.
//!
//! ```text
//! or         = and { "or" and }                       and = unary { "and" unary }
//! unary      = "not" unary | "(" or ")" | ( "all" | "any" ) "(" [ or { "," or } ] ")" | "exists" "(" field ")" | leaf
//! leaf       = field ( "=" | "!=" | "<" | "<=" | ">" | ">=" ) value
//!            | field [ "not" ] "in" ( "[" [ value { "," value } ] "]" | [ ">" ] value ".." [ "<" ] value )
//!            | "uri" "under" text
//! field      = "document" | "uri" | "source" | "format" | "title" | "language" | "page" | "bytes" | "metadata." name
//! value      = "text as in JSON" | number | YYYY-MM-DD | RFC 3339
//! ```
//!
//! `a..b` holds both ends; `>` and `<` leave theirs out. A day stands for all its moments in UTC, so `<= 2024-01-31` includes the
//! evening of that day. The value decides how metadata is compared: as text, number or moment. [`print()`] is the inverse
//! of [`parse`], but for `uri`, which is a condition on a document's id.

mod lex;

use lex::{Token, Value, problem};
use std::fmt::Write;
use std::ops::Bound;
use vellum_core::filter::{Field, Filter, Finite, Folder, Interval, Measure};
use vellum_core::ids::{CollectionName, DocumentId};
use vellum_core::metadata::{self, MetadataName};
use vellum_core::{Error, Result};

/// Deepest nesting of parentheses and `not` that is read.
const MAX_NESTING: usize = 64;

const FIELDS: &str =
    "fields are document, uri, source, format, title, language, page, bytes and metadata.NAME";

/// Returns the filter that `text` spells, for a search of `collection`.
///
/// # Errors
/// `Invalid` with the character at which the text stops making sense, and what was expected there.
pub fn parse(text: &str, collection: &CollectionName) -> Result<Filter> {
    let mut parser = Parser { text, tokens: lex::tokens(text)?, next: 0, nesting: 0, collection };
    let filter = parser.or()?;
    if let Some((at, _)) = parser.tokens.get(parser.next) {
        return Err(problem(text, *at, "expected `and`, `or` or the end"));
    }
    filter.check_size()?;
    Ok(filter)
}

/// What can stand left of an operator.
enum Subject {
    Uri,
    Text(Field),
    Number(Measure),
    Metadata(MetadataName),
}

struct Parser<'a> {
    text: &'a str,
    tokens: Vec<(usize, Token)>,
    next: usize,
    nesting: usize,
    collection: &'a CollectionName,
}

impl Parser<'_> {
    fn or(&mut self) -> Result<Filter> {
        let first = self.and()?;
        self.chain(first, "or", Self::and, Filter::Any)
    }

    fn and(&mut self) -> Result<Filter> {
        let first = self.unary()?;
        self.chain(first, "and", Self::unary, Filter::All)
    }

    fn chain(
        &mut self,
        first: Filter,
        word: &str,
        part: fn(&mut Self) -> Result<Filter>,
        join: fn(Vec<Filter>) -> Filter,
    ) -> Result<Filter> {
        let mut parts = vec![first];
        while self.takes_word(word) {
            parts.push(part(self)?);
        }
        Ok(match parts.len() {
            1 => parts.remove(0),
            _ => join(parts),
        })
    }

    fn unary(&mut self) -> Result<Filter> {
        self.nesting += 1;
        if self.nesting > MAX_NESTING {
            return Err(self.expected("less nesting"));
        }
        let filter = self.nested();
        self.nesting -= 1;
        filter
    }

    fn nested(&mut self) -> Result<Filter> {
        if self.takes_word("not") {
            return Ok(Filter::Not(Box::new(self.unary()?)));
        }
        if self.takes("(") {
            let filter = self.or()?;
            self.must(")")?;
            return Ok(filter);
        }
        for (word, join) in [("all", Filter::All as fn(_) -> _), ("any", Filter::Any)] {
            if self.takes_word(word) {
                self.must("(")?;
                return Ok(join(self.list(")", Self::or)?));
            }
        }
        if self.takes_word("exists") {
            self.must("(")?;
            let at = self.at();
            let field = match self.subject()? {
                Subject::Text(field) => field,
                Subject::Metadata(name) => Field::Metadata(name),
                Subject::Uri | Subject::Number(_) => {
                    return Err(problem(self.text, at, "every document has this field"));
                }
            };
            self.must(")")?;
            return Ok(Filter::Exists(field));
        }
        self.leaf()
    }

    fn leaf(&mut self) -> Result<Filter> {
        let subject = self.subject()?;
        if matches!(subject, Subject::Uri) && self.takes_word("under") {
            let at = self.at();
            let Value::Text(uri) = self.value()? else {
                return Err(problem(self.text, at, "expected a uri in double quotes"));
            };
            return Ok(Filter::Under(Folder::new(&uri)?));
        }
        if self.takes_word("not") {
            return Ok(Filter::Not(Box::new(self.member(&subject)?)));
        }
        if self.peeks_word("in") {
            return self.member(&subject);
        }
        let at = self.at();
        let Some((_, Token::Symbol(operator))) = self.tokens.get(self.next) else {
            return Err(self.expected("an operator: =, !=, <, <=, >, >=, in, not in"));
        };
        let operator = *operator;
        if !["=", "!=", "<", "<=", ">", ">="].contains(&operator) {
            return Err(self.expected("an operator: =, !=, <, <=, >, >=, in, not in"));
        }
        self.next += 1;
        let value_at = self.at();
        let value = self.value()?;
        let (from, to) = match operator {
            "=" | "!=" => {
                let equal = self.equal(&subject, vec![(value_at, value)])?;
                return Ok(if operator == "=" { equal } else { Filter::Not(Box::new(equal)) });
            }
            "<" => (None, Some((value, true))),
            "<=" => (None, Some((value, false))),
            ">" => (Some((value, true)), None),
            _ => (Some((value, false)), None),
        };
        self.within(&subject, at, from, to)
    }

    /// Reads `in` and what follows it.
    fn member(&mut self, subject: &Subject) -> Result<Filter> {
        if !self.takes_word("in") {
            return Err(self.expected("`in`"));
        }
        if self.takes("[") {
            let values = self.list("]", |parser| Ok((parser.at(), parser.value()?)))?;
            return self.equal(subject, values);
        }
        let at = self.at();
        let from_open = self.takes(">");
        let from = self.value()?;
        self.must("..")?;
        let to_open = self.takes("<");
        let to = self.value()?;
        self.within(subject, at, Some((from, from_open)), Some((to, to_open)))
    }

    /// Returns the condition that the subject equals one of the values.
    fn equal(&self, subject: &Subject, values: Vec<(usize, Value)>) -> Result<Filter> {
        let (mut texts, mut others) = (Vec::new(), Vec::new());
        for (at, value) in values {
            match value {
                Value::Text(text) => texts.push((at, text)),
                value => others.push((at, value)),
            }
        }
        let field = match subject {
            Subject::Uri => Some(Field::Document),
            Subject::Text(field) => Some(field.clone()),
            Subject::Metadata(name) => Some(Field::Metadata(name.clone())),
            Subject::Number(_) => None,
        };
        let mut any = Vec::new();
        for (at, value) in others {
            any.push(self.within(
                subject,
                at,
                Some((value.clone(), false)),
                Some((value, false)),
            )?);
        }
        match (field, texts.first()) {
            (None, Some((at, _))) => Err(problem(self.text, *at, "expected a number")),
            (Some(field), _) if any.is_empty() || !texts.is_empty() => {
                let id = |uri: &str| DocumentId::derive(self.collection, uri).to_string();
                let is_uri = matches!(subject, Subject::Uri);
                let values = texts.into_iter();
                let values = values.map(|(_, text)| if is_uri { id(&text) } else { text });
                let equal = Filter::In(field, values.collect());
                if any.is_empty() {
                    return Ok(equal);
                }
                any.push(equal);
                Ok(Filter::Any(any))
            }
            _ => Ok(match any.len() {
                1 => any.remove(0),
                _ => Filter::Any(any),
            }),
        }
    }

    /// Returns the condition that the subject lies between two ends, each with whether it is left out.
    fn within(
        &self,
        subject: &Subject,
        at: usize,
        from: Option<(Value, bool)>,
        to: Option<(Value, bool)>,
    ) -> Result<Filter> {
        let is_moment = |end: &Option<(Value, bool)>| {
            end.as_ref().map(|(value, _)| matches!(value, Value::Day(..) | Value::Moment(_)))
        };
        let (first, second) = (is_moment(&from), is_moment(&to));
        if first.is_some() && second.is_some() && first != second {
            return Err(problem(self.text, at, "expected two numbers or two dates"));
        }
        let moments = first.or(second) == Some(true);
        let text = [&from, &to].into_iter().flatten().any(|(v, _)| matches!(v, Value::Text(_)));
        let measure = match subject {
            _ if text => {
                return Err(problem(self.text, at, "expected a number or a date without quotes"));
            }
            Subject::Number(measure) if !moments => measure.clone(),
            Subject::Metadata(name) if moments => Measure::Date(name.clone()),
            Subject::Metadata(name) => Measure::Number(name.clone()),
            Subject::Number(_) => return Err(problem(self.text, at, "expected a number")),
            Subject::Uri | Subject::Text(_) => {
                return Err(problem(
                    self.text,
                    at,
                    "expected text in double quotes, with =, != or in",
                ));
            }
        };
        let finite = |number: f64| {
            Finite::new(number).ok_or_else(|| problem(self.text, at, "expected a finite number"))
        };
        let from = match from {
            None => Bound::Unbounded,
            Some((Value::Day(_, next), true)) => Bound::Included(finite(next as f64)?),
            Some((value, true)) => Bound::Excluded(finite(value.start())?),
            Some((value, false)) => Bound::Included(finite(value.start())?),
        };
        let to = match to {
            None => Bound::Unbounded,
            Some((Value::Day(_, next), false)) => Bound::Excluded(finite(next as f64)?),
            Some((value, true)) => Bound::Excluded(finite(value.start())?),
            Some((value, false)) => Bound::Included(finite(value.start())?),
        };
        let interval = Interval::new(from, to)
            .ok_or_else(|| problem(self.text, at, "expected an end of the range"))?;
        Ok(Filter::Within(measure, interval))
    }

    fn subject(&mut self) -> Result<Subject> {
        let Some((at, Token::Word(word))) = self.tokens.get(self.next) else {
            return Err(self.expected("a field").with_hint(FIELDS));
        };
        let subject = match word.as_str() {
            "uri" => Subject::Uri,
            "document" => Subject::Text(Field::Document),
            "source" => Subject::Text(Field::Source),
            "format" => Subject::Text(Field::Format),
            "title" => Subject::Text(Field::Title),
            "language" => Subject::Text(Field::Language),
            "page" => Subject::Number(Measure::Page),
            "bytes" => Subject::Number(Measure::Bytes),
            other => match other.strip_prefix("metadata.") {
                Some(name) => Subject::Metadata(name.parse()?),
                None => {
                    return Err(problem(self.text, *at, "expected a field").with_hint(FIELDS));
                }
            },
        };
        self.next += 1;
        Ok(subject)
    }

    fn value(&mut self) -> Result<Value> {
        match self.tokens.get(self.next) {
            Some((_, Token::Value(value))) => {
                let value = value.clone();
                self.next += 1;
                Ok(value)
            }
            _ => Err(self.expected("a value: text in double quotes, a number or a date")),
        }
    }

    /// Reads `part`s that commas separate, up to and with `end`.
    fn list<T>(
        &mut self,
        end: &'static str,
        part: impl Fn(&mut Self) -> Result<T>,
    ) -> Result<Vec<T>> {
        let mut parts = Vec::new();
        if self.takes(end) {
            return Ok(parts);
        }
        loop {
            parts.push(part(self)?);
            if self.takes(end) {
                return Ok(parts);
            }
            if !self.takes(",") {
                return Err(self.expected(&format!("`,` or `{end}`")));
            }
        }
    }

    fn takes(&mut self, symbol: &str) -> bool {
        let found =
            matches!(self.tokens.get(self.next), Some((_, Token::Symbol(s))) if *s == symbol);
        self.next += usize::from(found);
        found
    }

    fn must(&mut self, symbol: &str) -> Result<()> {
        if self.takes(symbol) { Ok(()) } else { Err(self.expected(&format!("`{symbol}`"))) }
    }

    fn peeks_word(&self, word: &str) -> bool {
        matches!(self.tokens.get(self.next), Some((_, Token::Word(w))) if w.eq_ignore_ascii_case(word))
    }

    fn takes_word(&mut self, word: &str) -> bool {
        let found = self.peeks_word(word);
        self.next += usize::from(found);
        found
    }

    fn at(&self) -> usize {
        self.tokens.get(self.next).map_or(self.text.len(), |(at, _)| *at)
    }

    fn expected(&self, what: &str) -> Error {
        problem(self.text, self.at(), &format!("expected {what}"))
    }
}

/// Returns the text that [`parse`] reads as `filter`. Moments outside the years 0 to 9999 become the nearest there is.
pub fn print(filter: &Filter) -> String {
    let mut out = String::new();
    write(filter, &mut out);
    out
}

fn write(filter: &Filter, out: &mut String) {
    match filter {
        Filter::All(parts) => write_joined("all", " and ", parts, out),
        Filter::Any(parts) => write_joined("any", " or ", parts, out),
        Filter::Not(part) => {
            out.push_str("not ");
            write(part, out);
        }
        Filter::In(field, values) => {
            let texts: Vec<String> = values.iter().map(|value| quoted(value)).collect();
            let name = name_of(field);
            match texts.as_slice() {
                [one] => push(out, format_args!("{name} = {one}")),
                _ => push(out, format_args!("{name} in [{}]", texts.join(", "))),
            }
        }
        Filter::Within(measure, interval) => write_interval(measure, interval, out),
        Filter::Exists(field) => push(out, format_args!("exists({})", name_of(field))),
        Filter::Under(folder) => push(out, format_args!("uri under {}", quoted(folder.as_str()))),
    }
}

/// Appends to a text, which never fails.
fn push(out: &mut String, what: std::fmt::Arguments<'_>) {
    let _ = out.write_fmt(what);
}

/// Writes `(a and b)`, or `all(...)` where fewer than two parts leave nothing to join.
fn write_joined(name: &str, between: &str, parts: &[Filter], out: &mut String) {
    if parts.len() < 2 {
        out.push_str(name);
    }
    out.push('(');
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            out.push_str(between);
        }
        write(part, out);
    }
    out.push(')');
}

fn write_interval(measure: &Measure, interval: &Interval, out: &mut String) {
    let (name, is_date) = match measure {
        Measure::Page => ("page".to_owned(), false),
        Measure::Bytes => ("bytes".to_owned(), false),
        Measure::Number(name) => (format!("metadata.{name}"), false),
        Measure::Date(name) => (format!("metadata.{name}"), true),
    };
    let value = |end: Finite| if is_date { moment(end.get()) } else { end.get().to_string() };
    match (interval.from(), interval.to()) {
        (Bound::Included(from), Bound::Included(to)) if from == to => {
            push(out, format_args!("{name} = {}", value(from)));
        }
        (Bound::Unbounded, Bound::Included(to)) => {
            push(out, format_args!("{name} <= {}", value(to)));
        }
        (Bound::Unbounded, Bound::Excluded(to)) => {
            push(out, format_args!("{name} < {}", value(to)));
        }
        (Bound::Included(from), Bound::Unbounded) => {
            push(out, format_args!("{name} >= {}", value(from)));
        }
        (Bound::Excluded(from), Bound::Unbounded) => {
            push(out, format_args!("{name} > {}", value(from)));
        }
        (from, to) => {
            let end = |bound, open: &str| match bound {
                Bound::Included(end) => value(end),
                Bound::Excluded(end) => format!("{open}{}", value(end)),
                Bound::Unbounded => String::new(),
            };
            push(out, format_args!("{name} in {}..{}", end(from, ">"), end(to, "<")));
        }
    }
}

fn moment(ms: f64) -> String {
    const FIRST: i64 = -62_167_219_200_000;
    const LAST: i64 = 253_402_207_199_999;
    let ms = (ms as i64).clamp(FIRST, LAST);
    metadata::rfc3339(ms).unwrap_or_default()
}

fn name_of(field: &Field) -> String {
    match field {
        Field::Document => "document".to_owned(),
        Field::Source => "source".to_owned(),
        Field::Format => "format".to_owned(),
        Field::Title => "title".to_owned(),
        Field::Language => "language".to_owned(),
        Field::Metadata(name) => format!("metadata.{name}"),
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests;
