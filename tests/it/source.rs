//! The crate's own sources as tokens, for the tests that hold the house to its rules.

use std::fs;
use std::path::{Path, PathBuf};

/// A file below `src/`.
pub(crate) struct File {
    /// Its path below `src/`, with `/`.
    pub(crate) path: String,
    pub(crate) tokens: Vec<Token>,
}

/// An identifier, `::`, a string literal (without quotes), or one other character.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) text: String,
    pub(crate) line: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Word,
    Text,
    Sign,
}

impl Token {
    pub(crate) fn is(&self, text: &str) -> bool {
        self.kind != Kind::Text && self.text == text
    }
}

/// Every Rust file below `src/`, in the order of the paths.
pub(crate) fn files() -> Vec<File> {
    let src = root().join("src");
    let mut paths = Vec::new();
    collect(&src, &mut paths);
    paths.sort();
    let files: Vec<File> = paths
        .iter()
        .map(|path| {
            let below = path.strip_prefix(&src).unwrap().to_str().unwrap().replace('\\', "/");
            File { path: below, tokens: tokens(&fs::read_to_string(path).unwrap()) }
        })
        .collect();
    assert!(files.len() > 10, "the sources were not found: {}", src.display());
    files
}

pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

/// Rust text as tokens; comments, lifetimes and character literals are left out.
pub(crate) fn tokens(text: &str) -> Vec<Token> {
    let mut lexer = Lexer { chars: text.chars().collect(), at: 0, line: 1, tokens: Vec::new() };
    while lexer.at < lexer.chars.len() {
        lexer.step();
    }
    lexer.tokens
}

struct Lexer {
    chars: Vec<char>,
    at: usize,
    line: usize,
    tokens: Vec<Token>,
}

impl Lexer {
    fn step(&mut self) {
        match self.peek(0) {
            '/' if self.peek(1) == '/' => self.skip_while(|c| c != '\n'),
            '/' if self.peek(1) == '*' => self.block_comment(),
            '"' => self.string(),
            'r' | 'b' | 'c' if self.string_prefix() => {}
            '\'' => self.quote(),
            c if c.is_alphabetic() || c == '_' => {
                let start = self.at;
                self.skip_while(|c| c.is_alphanumeric() || c == '_');
                let word = self.chars[start..self.at].iter().collect();
                self.push(Kind::Word, word);
            }
            ':' if self.peek(1) == ':' => {
                self.at += 2;
                self.push(Kind::Sign, "::".to_owned());
            }
            c => {
                self.advance();
                if !c.is_whitespace() {
                    self.push(Kind::Sign, c.to_string());
                }
            }
        }
    }

    /// Takes a string with a prefix (`r#"`, `b"`, `br"` …), if one begins here.
    fn string_prefix(&mut self) -> bool {
        let letters = (0..2).take_while(|i| matches!(self.peek(*i), 'r' | 'b' | 'c')).count();
        let raw = (0..letters).any(|i| self.peek(i) == 'r');
        let hashes = (letters..).take_while(|i| self.peek(*i) == '#').count();
        if self.peek(letters + hashes) != '"' || (hashes > 0 && !raw) {
            return false;
        }
        self.at += letters + hashes;
        if raw {
            self.raw_string(hashes)
        } else {
            self.string()
        }
        true
    }

    fn string(&mut self) {
        self.advance();
        let mut text = String::new();
        while self.at < self.chars.len() && self.peek(0) != '"' {
            if self.peek(0) == '\\' {
                self.advance();
            }
            text.push(self.peek(0));
            self.advance();
        }
        self.advance();
        self.push(Kind::Text, text);
    }

    fn raw_string(&mut self, hashes: usize) {
        self.advance();
        let mut text = String::new();
        let ends = |lexer: &Self| lexer.peek(0) == '"' && (1..=hashes).all(|i| lexer.peek(i) == '#');
        while self.at < self.chars.len() && !ends(self) {
            text.push(self.peek(0));
            self.advance();
        }
        self.at += 1 + hashes;
        self.push(Kind::Text, text);
    }

    /// A lifetime or a character.
    fn quote(&mut self) {
        let escaped = self.peek(1) == '\\';
        if escaped || self.peek(2) == '\'' {
            self.at += if escaped { 3 } else { 2 };
            self.skip_while(|c| c != '\'');
        }
        self.advance();
    }

    fn block_comment(&mut self) {
        let mut depth = 0;
        loop {
            match (self.peek(0), self.peek(1)) {
                ('/', '*') => (depth, self.at) = (depth + 1, self.at + 2),
                ('*', '/') => (depth, self.at) = (depth - 1, self.at + 2),
                _ => self.advance(),
            }
            if depth == 0 || self.at >= self.chars.len() {
                return;
            }
        }
    }

    fn skip_while(&mut self, wanted: impl Fn(char) -> bool) {
        while self.at < self.chars.len() && wanted(self.peek(0)) {
            self.advance();
        }
    }

    fn advance(&mut self) {
        self.line += usize::from(self.peek(0) == '\n');
        self.at += 1;
    }

    fn peek(&self, ahead: usize) -> char {
        self.chars.get(self.at + ahead).copied().unwrap_or('\0')
    }

    fn push(&mut self, kind: Kind, text: String) {
        self.tokens.push(Token { kind, text, line: self.line });
    }
}

/// For each token, the inline modules around it.
pub(crate) fn inline_modules(tokens: &[Token]) -> Vec<Vec<&str>> {
    let mut open: Vec<Option<&str>> = Vec::new();
    let mut around = Vec::with_capacity(tokens.len());
    for (at, token) in tokens.iter().enumerate() {
        if token.is("{") {
            let module = at >= 2 && tokens[at - 2].is("mod");
            open.push(module.then(|| tokens[at - 1].text.as_str()));
        } else if token.is("}") {
            open.pop();
        }
        around.push(open.iter().flatten().copied().collect());
    }
    around
}

/// The module path of a file below `src/`: `decide/retry/mod.rs` is `decide::retry`.
pub(crate) fn module_of(path: &str) -> Vec<&str> {
    let path = path.strip_suffix(".rs").unwrap_or(path);
    let path = path.strip_suffix("/mod").unwrap_or(path);
    path.split('/').collect()
}

#[test]
fn comments_and_quotes_hide_nothing_and_invent_nothing() {
    let text = r##"
        // use crate::hidden;
        /* crate::a /* crate::b */ crate::c */
        fn f<'a>(x: &'a str) -> char { let _ = "crate::d \" "; let _ = r#"e"f"#; b'"'; '\''; '{' }
        end
    "##;
    let tokens = tokens(text);
    let words: Vec<_> = tokens.iter().filter(|t| t.kind == Kind::Word).map(|t| t.text.as_str()).collect();
    assert_eq!(words, ["fn", "f", "a", "x", "a", "str", "char", "let", "_", "let", "_", "b", "end"]);
    let texts: Vec<_> = tokens.iter().filter(|t| t.kind == Kind::Text).map(|t| t.text.as_str()).collect();
    assert_eq!(texts, ["crate::d \" ", "e\"f"]);
    assert_eq!(tokens.last().unwrap().line, 5);
    assert!(!tokens.iter().any(|t| t.is("crate")));
}

#[test]
fn modules_are_named_by_their_files_and_braces() {
    assert_eq!(module_of("decide/retry/mod.rs"), ["decide", "retry"]);
    assert_eq!(module_of("decide/retry/policy.rs"), ["decide", "retry", "policy"]);
    let tokens = tokens("mod a { fn f() {} mod b { here } } there");
    let around = inline_modules(&tokens);
    let of = |word: &str| around[tokens.iter().position(|t| t.is(word)).unwrap()].clone();
    assert_eq!((of("here"), of("there")), (vec!["a", "b"], vec![]));
}
