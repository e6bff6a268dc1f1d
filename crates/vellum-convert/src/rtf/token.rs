//! Rich text as a stream of tokens (RTF specification 1.9.1, "Conventions of an RTF reader").
//!
//! One pass over the bytes, no state but the place. Line ends mean nothing and are dropped; the data after `\bin`
//! are jumped over, however much the file claims there is.

/// A piece of rich text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token<'a> {
    Open,
    Close,
    /// A control word with its number.
    Word(&'a str, Option<i32>),
    /// A control symbol: a backslash and this.
    Symbol(u8),
    /// A byte that was written as `\'hh`.
    Byte(u8),
    /// Bytes of text.
    Text(&'a [u8]),
}

/// Iterates over the tokens of a file.
pub(super) struct Tokens<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Tokens<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    fn control(&mut self) -> Option<Token<'a>> {
        let rest = &self.bytes[self.at..];
        let n_letters = rest.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
        if n_letters == 0 {
            let symbol = *rest.first()?;
            self.at += 1;
            if symbol != b'\'' {
                return Some(Token::Symbol(symbol));
            }
            let digits = rest.get(1..3).and_then(|digits| str::from_utf8(digits).ok());
            let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
            self.at += if byte.is_some() { 2 } else { 0 };
            return Some(byte.map_or(Token::Symbol(b'\''), Token::Byte));
        }
        let word = str::from_utf8(&rest[..n_letters]).unwrap_or_default();
        let after = &rest[n_letters..];
        let n_sign = usize::from(after.first() == Some(&b'-'));
        let n_digits = after[n_sign..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let n_number = if n_digits > 0 { n_sign + n_digits } else { 0 };
        let number = str::from_utf8(&after[..n_number]).ok().and_then(|text| text.parse().ok());
        let n_blank = usize::from(after.get(n_number) == Some(&b' '));
        self.at += n_letters + n_number + n_blank;
        if word == "bin" {
            let n_bytes = usize::try_from(number.unwrap_or(0)).unwrap_or(0);
            self.at = self.at.saturating_add(n_bytes).min(self.bytes.len());
        }
        Some(Token::Word(word, number))
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        let is_line_end = |byte: &&u8| matches!(byte, b'\r' | b'\n' | 0);
        self.at += self.bytes[self.at..].iter().take_while(is_line_end).count();
        let byte = *self.bytes.get(self.at)?;
        match byte {
            b'{' => {
                self.at += 1;
                Some(Token::Open)
            }
            b'}' => {
                self.at += 1;
                Some(Token::Close)
            }
            b'\\' => {
                self.at += 1;
                self.control()
            }
            _ => {
                let start = self.at;
                let is_text = |byte: &&u8| !matches!(byte, b'{' | b'}' | b'\\' | b'\r' | b'\n' | 0);
                self.at += self.bytes[start..].iter().take_while(is_text).count();
                Some(Token::Text(&self.bytes[start..self.at]))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens() {
        let source = b"{\\rtf1\\b-2 a\r\nb\\'e9\\~\\'zz\\bin3 }}}\\u";
        let found: Vec<Token<'_>> = Tokens::new(source).collect();
        let expect = [
            Token::Open,
            Token::Word("rtf", Some(1)),
            Token::Word("b", Some(-2)),
            Token::Text(b"a"),
            Token::Text(b"b"),
            Token::Byte(0xe9),
            Token::Symbol(b'~'),
            Token::Symbol(b'\''),
            Token::Text(b"zz"),
            Token::Word("bin", Some(3)),
            Token::Word("u", None),
        ];
        assert_eq!(found, expect);
    }
}
