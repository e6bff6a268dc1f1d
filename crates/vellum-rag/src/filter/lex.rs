//! Words, symbols and values of a filter's text, each with the byte it begins at.

use vellum_core::{Error, ErrorKind, Result, metadata};

/// Longest filter in bytes.
const MAX_BYTES: usize = 256 << 10;
/// Longest first, so that `<=` is not read as `<`.
const SYMBOLS: [&str; 12] = ["..", "!=", "<=", ">=", "(", ")", "[", "]", ",", "=", "<", ">"];

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    /// A field or a keyword.
    Word(String),
    Symbol(&'static str),
    Value(Value),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Text(String),
    Number(f64),
    /// First millisecond of a day, and of the next.
    Day(i64, i64),
    /// Milliseconds since the Unix epoch.
    Moment(i64),
}

impl Value {
    /// Returns the number; for a day that of its first millisecond, and for a text none.
    pub(super) fn start(&self) -> f64 {
        match self {
            Self::Text(_) => f64::NAN,
            Self::Number(number) => *number,
            Self::Day(ms, _) | Self::Moment(ms) => *ms as f64,
        }
    }
}

/// Returns the tokens of `text`.
pub(super) fn tokens(text: &str) -> Result<Vec<(usize, Token)>> {
    if text.len() > MAX_BYTES {
        let message = format!("the filter has {} bytes; at most {MAX_BYTES} are read", text.len());
        return Err(Error::new(ErrorKind::Invalid, message).with_hint("use a shorter list"));
    }
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(first) = text[at..].chars().next() {
        let rest = &text[at..];
        if first.is_whitespace() {
            at += first.len_utf8();
            continue;
        }
        let (token, length) = if first == '"' {
            string(text, at)?
        } else if let Some(symbol) = SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol)) {
            (Token::Symbol(symbol), symbol.len())
        } else if first.is_ascii_alphabetic() {
            let inside = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
            let length = rest.find(|c| !inside(c)).unwrap_or(rest.len());
            (Token::Word(rest[..length].to_owned()), length)
        } else if first.is_ascii_digit() || first == '-' {
            plain(text, at)?
        } else {
            return Err(problem(text, at, "expected a field, a value or an operator"));
        };
        tokens.push((at, token));
        at += length;
    }
    Ok(tokens)
}

/// Reads a text in double quotes, with the escapes of JSON.
fn string(text: &str, at: usize) -> Result<(Token, usize)> {
    let mut escaped = false;
    for (index, c) in text[at..].char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => {
                let length = index + 1;
                let value = serde_json::from_str(&text[at..at + length])
                    .map_err(|_| problem(text, at, "expected a text as in JSON"))?;
                return Ok((Token::Value(Value::Text(value)), length));
            }
            _ => {}
        }
    }
    Err(problem(text, at, "expected a `\"` at the end of this text"))
}

/// Reads a number or a date.
fn plain(text: &str, at: usize) -> Result<(Token, usize)> {
    let bytes = &text.as_bytes()[at..];
    let inside = |index: usize| match bytes[index] {
        b'.' => bytes.get(index + 1).is_some_and(u8::is_ascii_digit),
        byte => byte.is_ascii_alphanumeric() || matches!(byte, b':' | b'+' | b'-'),
    };
    let length = (0..bytes.len()).find(|index| !inside(*index)).unwrap_or(bytes.len());
    let written = &text[at..at + length];
    let value = if let Some(number) = metadata::number(written) {
        Value::Number(number)
    } else if let Some((first, next)) = metadata::day(written) {
        Value::Day(first, next)
    } else if let Some(ms) = metadata::instant(written) {
        Value::Moment(ms)
    } else {
        return Err(problem(text, at, "expected a number, YYYY-MM-DD or RFC 3339"));
    };
    Ok((Token::Value(value), length))
}

/// Returns the error of a text that makes no sense from byte `at` on.
pub(super) fn problem(text: &str, at: usize, expected: &str) -> Error {
    let number = text[..at].chars().count() + 1;
    let rest: String = text[at..].chars().take(20).collect();
    let found = if rest.is_empty() { "the end".to_owned() } else { format!("`{rest}`") };
    let message = format!("filter, character {number}: {expected}, found {found}");
    Error::new(ErrorKind::Invalid, message).with_hint(
        "write it like: format = \"pdf\" and metadata.date >= 2024-01-01 and not source in [\"a.pdf\"]",
    )
}
