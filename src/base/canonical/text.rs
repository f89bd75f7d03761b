//! The scanner: JSON text to its canonical form, without a tree in between.

use super::error::short;
use super::lex::{Flaw, Lexer};
use super::write::{self, Object};
use super::{BYTES_MAX, DEPTH_MAX, Error, Problem, number};

/// The canonical form of a whole text.
pub(super) fn canonical(json: &[u8]) -> Result<String, Error> {
    let mut out = String::with_capacity(json.len().min(BYTES_MAX));
    append(&mut out, json, 0)?;
    Ok(out)
}

/// Appends the canonical form of a whole text that stands `depth` levels deep.
pub(super) fn append(out: &mut String, json: &[u8], depth: usize) -> Result<(), Error> {
    let text = std::str::from_utf8(json)
        .map_err(|e| Flaw { problem: Problem::NotUtf8, offset: e.valid_up_to() }.in_text(json))?;
    let mut scanner = Scanner { lexer: Lexer::new(text, 0), depth, out };
    scanner.document().map_err(|flaw| flaw.in_text(json))
}

struct Scanner<'a> {
    lexer: Lexer<'a>,
    depth: usize,
    out: &'a mut String,
}

impl Scanner<'_> {
    fn document(&mut self) -> Result<(), Flaw> {
        self.value()?;
        self.lexer.end()
    }

    fn value(&mut self) -> Result<(), Flaw> {
        self.lexer.skip_space();
        if self.out.len() > BYTES_MAX {
            return Err(self.lexer.flaw(Problem::TooLong));
        }
        match self.lexer.peek() {
            Some(b'{') => self.nested(Self::object),
            Some(b'[') => self.nested(Self::array),
            Some(b'"') => {
                let text = self.lexer.string()?;
                write::string(self.out, &text);
                Ok(())
            }
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true"),
            Some(b'f') => self.word("false"),
            Some(b'n') => self.word("null"),
            _ => Err(self.lexer.expected("a value")),
        }
    }

    fn nested(&mut self, inner: fn(&mut Self) -> Result<(), Flaw>) -> Result<(), Flaw> {
        if self.depth == DEPTH_MAX {
            return Err(self.lexer.flaw(Problem::TooDeep));
        }
        self.depth += 1;
        inner(self)?;
        self.depth -= 1;
        Ok(())
    }

    fn array(&mut self) -> Result<(), Flaw> {
        self.lexer.eat(b'[');
        self.out.push('[');
        let mut index = 0;
        while !self.lexer.closes(b']', index)? {
            write::separate(self.out, index);
            self.value()?;
            index += 1;
        }
        self.out.push(']');
        Ok(())
    }

    fn object(&mut self) -> Result<(), Flaw> {
        let start = self.lexer.at();
        self.lexer.eat(b'{');
        let mut object = Object::open(self.out);
        let mut index = 0;
        while !self.lexer.closes(b'}', index)? {
            let name = self.lexer.name()?;
            object.name(self.out, name.into_owned());
            self.value()?;
            object.valued(self.out);
            index += 1;
        }
        object.close(self.out).map_err(|name| {
            let problem = Problem::DuplicateKey { key: short(&name) };
            Flaw { problem, offset: start }
        })
    }

    fn number(&mut self) -> Result<(), Flaw> {
        let offset = self.lexer.at();
        let parts = self.lexer.number()?;
        number::write_text(self.out, &parts).map_err(|problem| Flaw { problem, offset })
    }

    fn word(&mut self, word: &'static str) -> Result<(), Flaw> {
        self.lexer.word(word)?;
        self.out.push_str(word);
        Ok(())
    }
}
