//! A JSON parser (RFC 8259) that keeps its stack on the heap and its values in one list.
//!
//! Nodes stand in the order of the text, each with its place in it and the index one past its last descendant,
//! so the tree is walked without recursion and keys keep their order. Strings are decoded when asked for.
//! Words such as `NaN` that some programs write are taken for literals.

/// Deepest nesting of objects and lists.
pub(super) const MAX_DEPTH: usize = 256;
/// Most values of one text; 24 bytes each.
const MAX_NODES: usize = 6_000_000;

/// Why a text is not one JSON value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    Malformed,
    TooDeep,
    TooMany,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Object,
    List,
    String,
    /// A number, `true`, `false` or `null`.
    Literal,
}

/// A value with its place in the source; strings without their quotes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Node {
    pub(super) kind: Kind,
    key: (u32, u32),
    value: (u32, u32),
    /// One past the last node below this one.
    pub(super) next: u32,
}

impl Node {
    /// Returns the decoded key; empty where there is none.
    pub(super) fn key(&self, source: &str) -> String {
        unescaped(slice(source, self.key))
    }

    /// Returns the value as it is written.
    pub(super) fn value<'a>(&self, source: &'a str) -> &'a str {
        slice(source, self.value)
    }

    pub(super) fn is_scalar(&self) -> bool {
        matches!(self.kind, Kind::String | Kind::Literal)
    }
}

fn slice(source: &str, (start, end): (u32, u32)) -> &str {
    source.get(start as usize..end as usize).unwrap_or_default()
}

/// Returns the places of the members of `node`, which is at `at`.
pub(super) fn children<'a>(
    nodes: &'a [Node],
    at: usize,
    node: &Node,
) -> impl Iterator<Item = usize> + 'a {
    let end = node.next as usize;
    let first = (at + 1 < end).then_some(at + 1);
    std::iter::successors(first, move |&child| {
        Some(nodes[child].next as usize).filter(|&next| next < end)
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expect {
    Value,
    /// A value or the end of the list.
    First,
    Key,
    /// A key or the end of the object.
    FirstKey,
    /// A comma or the end of what is open.
    Next,
}

/// Returns the nodes of `source`, which is one value.
pub(super) fn parse(source: &str) -> Result<Vec<Node>, Fault> {
    let mut parser = Parser::new(source);
    parser.run()?;
    Ok(parser.nodes)
}

/// Returns whether `source` has no fault but that it ends too soon.
pub(super) fn is_cut_short(source: &str) -> bool {
    let mut parser = Parser { is_cut: true, ..Parser::new(source) };
    parser.run().is_err() && parser.at >= source.len() && parser.nodes.len() > 2
}

struct Parser<'a> {
    bytes: &'a [u8],
    at: usize,
    nodes: Vec<Node>,
    open: Vec<u32>,
    /// The source may end within a word.
    is_cut: bool,
}

impl<'a> Parser<'a> {
    fn new(source: &'a str) -> Self {
        let (nodes, open) = (Vec::new(), Vec::new());
        Self { bytes: source.as_bytes(), at: 0, nodes, open, is_cut: false }
    }

    fn run(&mut self) -> Result<(), Fault> {
        // Places are kept in 32 bits.
        if self.bytes.len() > u32::MAX as usize {
            return Err(Fault::TooMany);
        }
        let mut expect = Expect::Value;
        let mut key = (0, 0);
        loop {
            self.skip_blanks();
            let Some(&byte) = self.bytes.get(self.at) else { return Err(Fault::Malformed) };
            expect = match (expect, byte) {
                (Expect::Key | Expect::FirstKey, b'"') => {
                    key = self.string()?;
                    self.skip_blanks();
                    if self.bytes.get(self.at) != Some(&b':') {
                        return Err(Fault::Malformed);
                    }
                    self.at += 1;
                    Expect::Value
                }
                (Expect::First | Expect::Next, b']') => self.close(Kind::List)?,
                (Expect::FirstKey | Expect::Next, b'}') => self.close(Kind::Object)?,
                (Expect::Next, b',') => {
                    self.at += 1;
                    let parent = self.open.last().map(|&open| self.nodes[open as usize].kind);
                    if parent == Some(Kind::Object) { Expect::Key } else { Expect::Value }
                }
                (Expect::Value | Expect::First, _) => {
                    let expect = self.value(std::mem::take(&mut key))?;
                    if self.nodes.len() > MAX_NODES {
                        return Err(Fault::TooMany);
                    }
                    expect
                }
                _ => return Err(Fault::Malformed),
            };
            if self.open.is_empty() {
                self.skip_blanks();
                let is_end = self.at == self.bytes.len();
                return if is_end { Ok(()) } else { Err(Fault::Malformed) };
            }
        }
    }

    fn value(&mut self, key: (u32, u32)) -> Result<Expect, Fault> {
        let start = self.at as u32;
        let next = self.nodes.len() as u32 + 1;
        let (kind, value, expect) = match self.bytes[self.at] {
            b'{' => (Kind::Object, (start, start), Expect::FirstKey),
            b'[' => (Kind::List, (start, start), Expect::First),
            b'"' => (Kind::String, self.string()?, Expect::Next),
            b'-' | b'0'..=b'9' | b'a'..=b'z' | b'I' | b'N' => {
                let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
                self.at += self.bytes[self.at..].iter().take_while(|byte| is_part(byte)).count();
                let word = &self.bytes[start as usize..self.at];
                let may_be_cut = self.is_cut && self.at == self.bytes.len();
                if !(is_literal(word) || may_be_cut) {
                    return Err(Fault::Malformed);
                }
                (Kind::Literal, (start, self.at as u32), Expect::Next)
            }
            _ => return Err(Fault::Malformed),
        };
        if matches!(kind, Kind::Object | Kind::List) {
            if self.open.len() == MAX_DEPTH {
                return Err(Fault::TooDeep);
            }
            self.open.push(next - 1);
            self.at += 1;
        }
        self.nodes.push(Node { kind, key, value, next });
        Ok(expect)
    }

    fn close(&mut self, kind: Kind) -> Result<Expect, Fault> {
        self.at += 1;
        let open = self.open.pop().ok_or(Fault::Malformed)?;
        let next = self.nodes.len() as u32;
        let node = &mut self.nodes[open as usize];
        node.value.1 = self.at as u32;
        node.next = next;
        if node.kind == kind { Ok(Expect::Next) } else { Err(Fault::Malformed) }
    }

    /// Returns the place of the string that opens here, without its quotes.
    fn string(&mut self) -> Result<(u32, u32), Fault> {
        let start = self.at + 1;
        let mut at = start;
        loop {
            match self.bytes.get(at) {
                Some(b'"') => break,
                Some(b'\\') => at += 2,
                Some(_) => at += 1,
                None => {
                    self.at = self.bytes.len();
                    return Err(Fault::Malformed);
                }
            }
        }
        self.at = at + 1;
        Ok((start as u32, at as u32))
    }

    fn skip_blanks(&mut self) {
        let blanks = self.bytes[self.at..].iter().take_while(|b| b" \t\r\n".contains(b)).count();
        self.at += blanks;
    }
}

fn is_literal(word: &[u8]) -> bool {
    let is_word =
        matches!(word, b"true" | b"false" | b"null" | b"NaN" | b"Infinity" | b"-Infinity");
    is_word || str::from_utf8(word).is_ok_and(|word| word.parse::<f64>().is_ok())
}

/// Returns the characters that a string stands for; escapes that mean nothing stay as they are.
pub(super) fn unescaped(source: &str) -> String {
    let mut text = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(at) = rest.find('\\') {
        text.push_str(&rest[..at]);
        let escape = &rest[at + 1..];
        let (c, n_bytes) = match escape.as_bytes().first() {
            Some(b'n') => ('\n', 1),
            Some(b't') => ('\t', 1),
            Some(b'r') => ('\r', 1),
            Some(b'b' | b'f') => (' ', 1),
            Some(&c @ (b'"' | b'\\' | b'/')) => (char::from(c), 1),
            Some(b'u') => unicode(escape).unwrap_or(('\u{fffd}', 1)),
            _ => ('\\', 0),
        };
        text.push(c);
        rest = &escape[n_bytes..];
    }
    text.push_str(rest);
    text
}

/// Returns the character of `uXXXX`, or of two that are a surrogate pair, and how long that is.
fn unicode(escape: &str) -> Option<(char, usize)> {
    let unit = |text: &str| u32::from_str_radix(text, 16).ok();
    let first = unit(escape.get(1..5)?)?;
    if let Some(c) = char::from_u32(first) {
        return Some((c, 5));
    }
    let low = escape.get(5..11).filter(|low| low.starts_with("\\u"));
    match low.and_then(|low| unit(&low[2..])) {
        Some(second @ 0xdc00..=0xdfff) if first < 0xdc00 => {
            let code = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
            Some((char::from_u32(code)?, 11))
        }
        _ => Some(('\u{fffd}', 5)),
    }
}
