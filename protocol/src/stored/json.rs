//! As much JSON as Kafka's one-line state files need. Numbers are whole.

use super::error::TextFault;

/// Deeper values are refused, so that the parser's stack is bounded.
const MAX_DEPTH: usize = 16;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Json {
    Null,
    Bool(bool),
    Number(i64),
    /// A number that is not whole or not within 64 bits.
    OtherNumber,
    String(String),
    Array(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl Json {
    /// Parses a text that holds one value and nothing after it but space.
    pub(super) fn parse(text: &str) -> Result<Self, TextFault> {
        let mut parser = Parser { text, depth: 0 };
        let value = parser.value()?;
        parser.skip_space();
        if parser.text.is_empty() { Ok(value) } else { Err(TextFault::Trailing) }
    }

    /// The field of an object; of two with one name the later one counts, as in Kafka's parser.
    pub(super) fn get(&self, name: &str) -> Option<&Self> {
        let Self::Object(fields) = self else { return None };
        fields.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    pub(super) fn as_i64(&self) -> Option<i64> {
        if let Self::Number(number) = self { Some(*number) } else { None }
    }

    pub(super) fn as_str(&self) -> Option<&str> {
        if let Self::String(text) = self { Some(text) } else { None }
    }
}

/// Appends a string literal.
pub(super) fn write_string(out: &mut String, text: &str) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            control if control < ' ' => out.push_str(&format!("\\u{:04X}", u32::from(control))),
            other => out.push(other),
        }
    }
    out.push('"');
}

struct Parser<'a> {
    text: &'a str,
    depth: usize,
}

impl Parser<'_> {
    fn value(&mut self) -> Result<Json, TextFault> {
        self.skip_space();
        match self.text.chars().next() {
            None => Err(TextFault::Truncated),
            Some('{') => self.nested(Self::object),
            Some('[') => self.nested(Self::array),
            Some('"') => self.string().map(Json::String),
            Some('-' | '0'..='9') => Ok(self.number()),
            Some(_) => self.word(),
        }
    }

    fn nested(&mut self, read: fn(&mut Self) -> Result<Json, TextFault>) -> Result<Json, TextFault> {
        if self.depth == MAX_DEPTH {
            return Err(TextFault::Syntax("JSON is nested too deep"));
        }
        self.depth += 1;
        let value = read(self);
        self.depth -= 1;
        value
    }

    fn object(&mut self) -> Result<Json, TextFault> {
        let mut fields = Vec::new();
        self.list('{', '}', |parser| {
            let name = parser.string()?;
            parser.expect(':')?;
            fields.push((name, parser.value()?));
            Ok(())
        })?;
        Ok(Json::Object(fields))
    }

    fn array(&mut self) -> Result<Json, TextFault> {
        let mut elements = Vec::new();
        self.list('[', ']', |parser| {
            elements.push(parser.value()?);
            Ok(())
        })?;
        Ok(Json::Array(elements))
    }

    fn list(
        &mut self,
        open: char,
        close: char,
        mut element: impl FnMut(&mut Self) -> Result<(), TextFault>,
    ) -> Result<(), TextFault> {
        self.expect(open)?;
        if self.take(close) {
            return Ok(());
        }
        loop {
            element(self)?;
            if self.take(close) {
                return Ok(());
            }
            self.expect(',')?;
        }
    }

    fn string(&mut self) -> Result<String, TextFault> {
        self.expect('"')?;
        let mut out = String::new();
        loop {
            match self.next()? {
                '"' => return Ok(out),
                '\\' => out.push(self.escape()?),
                control if control < ' ' => {
                    return Err(TextFault::Syntax("control character in a JSON string"));
                }
                other => out.push(other),
            }
        }
    }

    fn escape(&mut self) -> Result<char, TextFault> {
        Ok(match self.next()? {
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => {
                let unit = self.code_unit()?;
                match char::from_u32(unit) {
                    Some(character) => character,
                    None => self.low_surrogate(unit)?,
                }
            }
            same @ ('"' | '\\' | '/') => same,
            _ => return Err(TextFault::Syntax("unknown escape in a JSON string")),
        })
    }

    fn low_surrogate(&mut self, high: u32) -> Result<char, TextFault> {
        let unpaired = TextFault::Syntax("unpaired surrogate in a JSON string");
        if self.next()? != '\\' || self.next()? != 'u' {
            return Err(unpaired);
        }
        let units = [high as u16, self.code_unit()? as u16];
        match char::decode_utf16(units).next() {
            Some(Ok(character)) => Ok(character),
            _ => Err(unpaired),
        }
    }

    /// Four hexadecimal digits.
    fn code_unit(&mut self) -> Result<u32, TextFault> {
        let mut unit = 0;
        for _ in 0..4 {
            let digit = self.next()?.to_digit(16);
            unit = unit * 16 + digit.ok_or(TextFault::Syntax("malformed \\u escape"))?;
        }
        Ok(unit)
    }

    fn number(&mut self) -> Json {
        let end = self.text.find(|c: char| !matches!(c, '0'..='9' | '-' | '+' | '.' | 'e' | 'E'));
        let (number, rest) = self.text.split_at(end.unwrap_or(self.text.len()));
        self.text = rest;
        number.parse().map_or(Json::OtherNumber, Json::Number)
    }

    fn word(&mut self) -> Result<Json, TextFault> {
        for (word, value) in [("null", Json::Null), ("true", Json::Bool(true)), ("false", Json::Bool(false))]
        {
            if let Some(rest) = self.text.strip_prefix(word) {
                self.text = rest;
                return Ok(value);
            }
        }
        Err(TextFault::Syntax("not a JSON value"))
    }

    fn next(&mut self) -> Result<char, TextFault> {
        let mut characters = self.text.chars();
        let character = characters.next().ok_or(TextFault::Truncated)?;
        self.text = characters.as_str();
        Ok(character)
    }

    /// Takes a character after space, if it is the next one.
    fn take(&mut self, character: char) -> bool {
        self.skip_space();
        match self.text.strip_prefix(character) {
            Some(rest) => {
                self.text = rest;
                true
            }
            None => false,
        }
    }

    fn expect(&mut self, character: char) -> Result<(), TextFault> {
        if self.take(character) {
            return Ok(());
        }
        if self.text.is_empty() {
            Err(TextFault::Truncated)
        } else {
            Err(TextFault::Syntax("malformed JSON"))
        }
    }

    fn skip_space(&mut self) {
        self.text = self.text.trim_start_matches([' ', '\t', '\n', '\r']);
    }
}
