//! Every stable word that a reason answers with is listed, and every listed word exists.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use crate::source::{File, Kind, Token, files, inline_modules, root, tokens};

#[test]
fn the_list_of_reasons_is_the_code() {
    let text = fs::read_to_string(root().join("docs/reasons.md")).unwrap();
    let listed = listed(&text);
    let spoken: BTreeSet<String> = files().iter().flat_map(codes).collect();

    let odd: Vec<_> = spoken.iter().filter(|code| !is_dotted(code)).collect();
    assert!(odd.is_empty(), "not dotted words: {odd:?}");
    let missing: Vec<_> = spoken.iter().filter(|code| !listed.contains_key(*code)).collect();
    let lines: Vec<_> = missing.iter().map(|code| format!("| `{code}` |  |")).collect();
    assert!(
        missing.is_empty(),
        "docs/reasons.md does not list these; paste them and say what they mean:\n{}",
        lines.join("\n")
    );
    let gone: Vec<_> = listed.keys().filter(|code| !spoken.contains(*code)).collect();
    assert!(gone.is_empty(), "docs/reasons.md lists what no reason says: {gone:?}");
    let silent: Vec<_> = listed.iter().filter(|(_, meaning)| meaning.is_empty()).collect();
    assert!(silent.is_empty(), "docs/reasons.md does not say what these mean: {silent:?}");
    assert!(listed.keys().is_sorted(), "the rows are in the order of the alphabet");
}

/// The rows of the table: code and meaning.
fn listed(text: &str) -> BTreeMap<String, String> {
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `"));
    let mut listed = BTreeMap::new();
    for row in rows {
        let (code, rest) = row.split_once("` |").unwrap_or_else(|| panic!("not a row: {row}"));
        let meaning = rest.trim().trim_end_matches('|').trim().to_owned();
        assert!(listed.insert(code.to_owned(), meaning).is_none(), "listed twice: {code}");
    }
    listed
}

/// The string literals in the bodies of the functions called `code`, outside tests.
fn codes(file: &File) -> Vec<String> {
    let around = inline_modules(&file.tokens);
    if file.path.contains("/tests") {
        return Vec::new();
    }
    let mut codes = Vec::new();
    for (at, pair) in file.tokens.windows(2).enumerate() {
        if pair[0].is("fn") && pair[1].is("code") && !around[at].contains(&"tests") {
            let body = body(&file.tokens[at..]);
            // The name of a feature, in an attribute, is no code.
            let named = |at: usize| at >= 2 && body[at - 1].is("=") && body[at - 2].is("feature");
            let texts = body.iter().enumerate().filter(|(at, token)| token.kind == Kind::Text && !named(*at));
            codes.extend(texts.map(|(_, token)| token.text.clone()));
        }
    }
    codes
}

/// The body of the function that begins here; empty for a declaration.
fn body(tokens: &[Token]) -> &[Token] {
    let Some(start) = tokens.iter().position(|t| t.is("{") || t.is(";")) else { return &[] };
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate().skip(start) {
        depth += usize::from(token.is("{"));
        depth -= usize::from(token.is("}"));
        if depth == 0 {
            return &tokens[start..at];
        }
    }
    &tokens[start..]
}

fn is_dotted(code: &str) -> bool {
    let word = |word: &str| {
        !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    };
    code.contains('.') && code.split('.').all(word)
}

#[test]
fn codes_are_found_where_they_are_spoken() {
    let text = r#"
        trait Explain { fn code(&self) -> &'static str; }
        impl Explain for A { fn code(&self) -> &'static str { match self { Self::X => "a.x", #[cfg(feature = "y")] Self::Y { .. } => { "a.y" } } } }
        const OTHER: &str = "not.this";
        mod tests { impl Explain for B { fn code(&self) -> &'static str { "test.word" } } }
    "#;
    let file = |path: &str| File { path: path.to_owned(), tokens: tokens(text) };
    assert_eq!(codes(&file("decide/a.rs")), ["a.x", "a.y"]);
    assert_eq!(codes(&file("decide/a/tests.rs")), [""; 0]);
    assert!(
        is_dotted("retry.out_of_time") && !is_dotted("retry") && !is_dotted("Retry.x") && !is_dotted("a..b")
    );
    let rows = listed("# Reasons\n\n| code | meaning |\n|---|---|\n| `a.x` | it is x |\n| `a.y` |  |\n");
    assert_eq!(rows.values().collect::<Vec<_>>(), ["it is x", ""]);
}
