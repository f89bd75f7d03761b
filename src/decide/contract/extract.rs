//! Finds the one JSON object in a text, or says why there is not one.

use std::fmt;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::Refusal;
use super::tree::{self, Broken, Node};
use crate::base::canonical::{self, Position};

/// How the JSON was found in a proposal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Extraction {
    /// All of it is JSON, but for white space around it.
    Whole,
    /// It stands alone in a fence of back quotes.
    Fenced {
        /// How many bytes are before it.
        offset: usize,
        /// How many bytes of the text were left aside.
        aside: usize,
    },
    /// It stands in other text.
    Embedded {
        /// How many bytes are before it.
        offset: usize,
        /// How many bytes of the text were left aside.
        aside: usize,
    },
}

impl fmt::Display for Extraction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole => f.write_str("all of it is JSON"),
            Self::Fenced { offset, aside } => {
                write!(f, "taken out of a fence at byte {offset}, {aside} bytes left aside")
            }
            Self::Embedded { offset, aside } => {
                write!(f, "taken out of the text at byte {offset}, {aside} bytes left aside")
            }
        }
    }
}

/// The one candidate in `text`.
pub(super) fn from_text(text: &str) -> Result<(&str, Extraction), Refusal> {
    let whole = text.trim();
    if tree::parse(whole).is_ok() {
        return Ok((whole, Extraction::Whole));
    }
    let mut first: Option<Range<usize>> = None;
    let mut at = 0;
    while let Some(open) = text[at..].find(['{', '[']).map(|found| at + found) {
        let Some(end) = candidate(text, open)? else {
            at = open + 1;
            continue;
        };
        match &first {
            None => first = Some(open..end),
            Some(first) if same(&text[first.clone()], &text[open..end]) => {}
            Some(first) => {
                let position = |offset| Position::in_text(text.as_bytes(), offset);
                return Err(Refusal::Ambiguous { first: position(first.start), second: position(open) });
            }
        }
        at = end;
    }
    let found = first.ok_or(Refusal::NoCandidate { bytes: text.len() })?;
    let (offset, aside) = (found.start, text.len() - found.len());
    let fenced = is_fenced(&text[..found.start], &text[found.end..]);
    let how =
        if fenced { Extraction::Fenced { offset, aside } } else { Extraction::Embedded { offset, aside } };
    Ok((&text[found], how))
}

/// Where the candidate ends that begins at `open`; `None` if the bracket there is prose.
fn candidate(text: &str, open: usize) -> Result<Option<usize>, Refusal> {
    let broken = || Refusal::Broken { at: Position::in_text(text.as_bytes(), open) };
    let is_array = text.as_bytes().get(open) == Some(&b'[');
    match tree::prefix(text, open) {
        Ok((node, end)) if is_array => Ok(has_object(&node).then_some(end)),
        // What follows an opening bracket that is not the start of an array is what is left of one.
        Ok(_) if text[..open].trim_end().ends_with('[') => Err(broken()),
        Ok((_, end)) => Ok(Some(end)),
        Err(Broken::TooDeep(_)) => Err(broken()),
        Err(Broken::Syntax(_)) if is_array => Ok(None),
        Err(Broken::Syntax(_)) => Err(broken()),
    }
}

fn has_object(node: &Node<'_>) -> bool {
    match node {
        Node::Object(_) => true,
        Node::Array(items) => items.iter().any(has_object),
        Node::Null | Node::Bool(_) | Node::Number(_) | Node::Text(_) => false,
    }
}

/// Whether two documents are one value. Those that have no canonical form are never.
fn same(one: &str, other: &str) -> bool {
    one == other
        || matches!((canonical::from_text(one), canonical::from_text(other)), (Ok(a), Ok(b)) if a == b)
}

/// Whether nothing stands between what is around a document and a fence: three back quotes, a word or none, a line end.
fn is_fenced(before: &str, after: &str) -> bool {
    let opens = before.trim_end_matches([' ', '\t']);
    let line = opens.strip_suffix('\n').map(|lines| lines.lines().next_back().unwrap_or_default().trim());
    let word = line.and_then(|line| line.strip_prefix("```"));
    word.is_some_and(|word| word.chars().all(char::is_alphanumeric)) && after.trim_start().starts_with("```")
}
