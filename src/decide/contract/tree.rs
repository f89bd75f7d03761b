//! A JSON text as a tree that keeps what the text says: every digit, and every member of an object, also the second of
//! one name.

use std::borrow::Cow;

use crate::base::canonical::{Flaw, Lexer};

/// How deep documents, and schemas, may be nested.
pub(super) const DEPTH_MAX: usize = 32;

/// A value in a document.
#[derive(Debug)]
pub(super) enum Node<'a> {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, as it stands.
    Number(&'a str),
    /// A string, decoded.
    Text(Cow<'a, str>),
    /// An array.
    Array(Vec<Self>),
    /// An object's members, as they stand.
    Object(Vec<Member<'a>>),
}

/// A member of an object: its name, decoded, and its value.
pub(super) type Member<'a> = (Cow<'a, str>, Node<'a>);

/// Why there is no tree.
#[derive(Debug)]
pub(super) enum Broken {
    /// The text is not JSON.
    Syntax(Flaw),
    /// It is nested deeper than [`DEPTH_MAX`] at this byte.
    TooDeep(usize),
}

impl From<Flaw> for Broken {
    fn from(flaw: Flaw) -> Self {
        Self::Syntax(flaw)
    }
}

/// The tree of a whole text.
pub(super) fn parse(text: &str) -> Result<Node<'_>, Broken> {
    let mut parser = Parser { lexer: Lexer::new(text, 0), depth: 0 };
    let node = parser.value()?;
    parser.lexer.end()?;
    Ok(node)
}

/// The value that begins at the byte `at`, and the byte where it ends; whatever follows is not looked at.
pub(super) fn prefix(text: &str, at: usize) -> Result<(Node<'_>, usize), Broken> {
    let mut parser = Parser { lexer: Lexer::new(text, at), depth: 0 };
    let node = parser.value()?;
    Ok((node, parser.lexer.at()))
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn value(&mut self) -> Result<Node<'a>, Broken> {
        self.lexer.skip_space();
        Ok(match self.lexer.peek() {
            Some(b'{') => self.nested(Self::object)?,
            Some(b'[') => self.nested(Self::array)?,
            Some(b'"') => Node::Text(self.lexer.string()?),
            Some(b'-' | b'0'..=b'9') => Node::Number(self.lexer.digits()?),
            Some(b't') => self.word("true", Node::Bool(true))?,
            Some(b'f') => self.word("false", Node::Bool(false))?,
            Some(b'n') => self.word("null", Node::Null)?,
            _ => return Err(self.lexer.expected("a value").into()),
        })
    }

    fn nested(
        &mut self,
        inner: impl FnOnce(&mut Self) -> Result<Node<'a>, Broken>,
    ) -> Result<Node<'a>, Broken> {
        if self.depth == DEPTH_MAX {
            return Err(Broken::TooDeep(self.lexer.at()));
        }
        self.depth += 1;
        let node = inner(self)?;
        self.depth -= 1;
        Ok(node)
    }

    fn array(&mut self) -> Result<Node<'a>, Broken> {
        self.lexer.eat(b'[');
        let mut items = Vec::new();
        while !self.lexer.closes(b']', items.len())? {
            items.push(self.value()?);
        }
        Ok(Node::Array(items))
    }

    fn object(&mut self) -> Result<Node<'a>, Broken> {
        self.lexer.eat(b'{');
        let mut members = Vec::new();
        while !self.lexer.closes(b'}', members.len())? {
            let name = self.lexer.name()?;
            members.push((name, self.value()?));
        }
        Ok(Node::Object(members))
    }

    fn word(&mut self, word: &'static str, node: Node<'a>) -> Result<Node<'a>, Broken> {
        self.lexer.word(word)?;
        Ok(node)
    }
}
