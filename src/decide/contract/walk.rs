//! Goes through a document beside its schema, and notes whatever is not as the schema says.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt::{self, Write as _};

use super::schema::{Array, Kind, Map, Object, Schema, Tagged, Text, Whole};
use super::tree::{self, Broken, DEPTH_MAX, Member, Node};
use super::{Problem, Violations};
use crate::base::canonical::{self, Position};
use crate::base::redact::REDACTED;
use crate::base::text::shortened;

/// How much of a name is told in a path, in characters.
const NAME_MAX: usize = 64;
/// Up to so many members are compared each with each, which is faster than putting them in order.
const FEW: usize = 16;
/// A number that is not longer, and has no exponent, can always be kept.
const SHORT: usize = 15;

/// Everything in which `document` is not as `schema` says.
pub(super) fn examine(schema: &Schema, document: &str) -> Violations {
    let tree = tree::parse(document);
    let mut walk = Walk { found: Violations::default(), path: Vec::new(), secret: false };
    match &tree {
        Ok(node) => walk.value(schema, node),
        Err(broken) => note_broken(&mut walk.found, document, broken),
    }
    walk.found
}

fn note_broken(found: &mut Violations, document: &str, broken: &Broken) {
    let position = |offset| Position::in_text(document.as_bytes(), offset);
    match broken {
        Broken::Syntax(flaw) => {
            let (given, allowed) = match &flaw.problem {
                canonical::Problem::Syntax { expected } => ("not JSON", (*expected).to_owned()),
                other => ("not text", format!("no {other}")),
            };
            let given = format!("{given} from {} on", position(flaw.offset));
            found.note(Problem::NotJson, String::new, given, allowed);
        }
        Broken::TooDeep(offset) => {
            let given = format!("nested deeper at {}", position(*offset));
            found.note(Problem::TooDeep, String::new, given, format!("at most {DEPTH_MAX} levels"));
        }
    }
}

/// A name as a part of a JSON pointer.
pub(super) fn segment(name: &str) -> String {
    shortened(name, NAME_MAX).replace('~', "~0").replace('/', "~1")
}

struct Walk<'d> {
    found: Violations,
    path: Vec<Segment<'d>>,
    /// Whether what is told must not say what is given.
    secret: bool,
}

#[derive(Clone, Copy)]
enum Segment<'d> {
    Name(&'d str),
    Index(usize),
    /// A name that is data, in a secret.
    Hidden,
}

impl<'d> Walk<'d> {
    fn value(&mut self, schema: &'d Schema, node: &'d Node<'d>) {
        let outer = self.secret;
        self.secret |= schema.secret;
        match (&schema.kind, node) {
            (_, Node::Null) if schema.nullable => {}
            (Kind::Any, node) => self.any(node),
            (Kind::Bool, Node::Bool(_)) => {}
            (Kind::Text(schema), Node::Text(text)) => self.text(schema, text),
            (Kind::Integer(integer), Node::Number(digits)) => match Whole::of(digits) {
                Some(whole) if integer.has(whole) && can_be_kept(digits) => {}
                Some(_) => self.note(Problem::OutOfBounds, shortened(digits, 100), schema),
                None => self.note(Problem::WrongType, shortened(digits, 100), schema),
            },
            (Kind::Number(number), Node::Number(digits)) => {
                if !number.has(digits) || !can_be_kept(digits) {
                    self.note(Problem::OutOfBounds, shortened(digits, 100), schema);
                }
            }
            (Kind::Array(schema), Node::Array(items)) => self.array(schema, items),
            (Kind::Map(schema), Node::Object(members)) => self.map(schema, members),
            (Kind::Object(schema), Node::Object(members)) => self.object(schema, members, None),
            (Kind::Tagged(schema), Node::Object(members)) => self.tagged(schema, members),
            (_, node) => self.note(Problem::WrongType, Given(node), schema),
        }
        self.secret = outer;
    }

    /// A value that nothing is said of: its numbers can be kept, and no name stands twice in one object.
    fn any(&mut self, node: &'d Node<'d>) {
        match node {
            Node::Null | Node::Bool(_) | Node::Text(_) => {}
            Node::Number(digits) => {
                if !can_be_kept(digits) {
                    let allowed = "a number that an f64 can hold, or a whole one of at most 1024 digits";
                    self.note(Problem::OutOfBounds, shortened(digits, 100), allowed);
                }
            }
            Node::Array(items) => items.iter().enumerate().for_each(|(index, item)| {
                self.at(Segment::Index(index), |walk| walk.any(item));
            }),
            Node::Object(members) => {
                self.duplicates(members);
                members.iter().for_each(|(name, value)| self.at_data(name, |walk| walk.any(value)));
            }
        }
    }

    fn text(&mut self, schema: &Text, text: &str) {
        if let Some(listed) = &schema.listed {
            if listed.binary_search_by(|other| other.as_str().cmp(text)).is_err() {
                self.note(Problem::NotListed, Quoted(text), schema);
            }
            return;
        }
        // Each character has a byte at least: a text of few bytes need not be counted.
        let fits = (schema.length.least == 0 && text.len() <= schema.length.most)
            || schema.length.has(text.chars().count());
        if !fits {
            let given = format_args!("a text of {} characters", text.chars().count()).to_string();
            self.note(Problem::Length, given, schema);
        } else if !schema.fits(text) {
            self.note(Problem::Format, Quoted(text), schema);
        }
    }

    fn array(&mut self, schema: &'d Array, items: &'d [Node<'d>]) {
        if !schema.count.has(items.len()) {
            self.note(Problem::Length, format_args!("an array of {} items", items.len()), schema);
        }
        for (index, item) in items.iter().enumerate() {
            self.at(Segment::Index(index), |walk| walk.value(&schema.items, item));
        }
    }

    fn map(&mut self, schema: &'d Map, members: &'d [Member<'d>]) {
        self.duplicates(members);
        if !schema.count.has(members.len()) {
            self.note(Problem::Length, format_args!("an object of {} members", members.len()), schema);
        }
        for (name, value) in members {
            self.at_data(name, |walk| {
                if let Some(names) = &schema.names {
                    walk.text(names, name);
                }
                walk.value(&schema.values, value);
            });
        }
    }

    fn tagged(&mut self, schema: &'d Tagged, members: &'d [Member<'d>]) {
        let listed = || Names(schema.variants.iter().map(|(name, _)| name.as_str()).collect());
        let tag = members.iter().find(|(name, _)| *name == schema.tag);
        let (problem, given) = match tag {
            None => (Problem::Missing, Cow::Borrowed("missing")),
            Some((_, Node::Text(name))) => match schema.place(name) {
                Ok(at) => return self.object(&schema.variants[at].1, members, Some(&schema.tag)),
                Err(_) => (Problem::NotListed, Cow::Owned(Quoted(name).to_string())),
            },
            Some((_, other)) => (Problem::WrongType, Cow::Owned(Given(other).to_string())),
        };
        self.at(Segment::Name(&schema.tag), |walk| walk.note(problem, given, listed()));
    }

    /// The members of an object; `tag` is one that its schema does not name.
    fn object(&mut self, schema: &'d Object, members: &'d [Member<'d>], tag: Option<&str>) {
        self.duplicates(members);
        let mut seen = vec![false; schema.fields.len()];
        for (name, value) in members {
            match schema.place(name) {
                Ok(at) => {
                    seen[at] = true;
                    self.at(Segment::Name(name), |walk| walk.value(&schema.fields[at].schema, value));
                }
                Err(_) if tag == Some(name) => {}
                Err(_) if schema.unknown_allowed => self.at_data(name, |walk| walk.any(value)),
                Err(_) => self.at_data(name, |walk| {
                    let known = Names(schema.fields.iter().map(|field| field.name.as_str()).collect());
                    walk.note_plain(Problem::UnknownField, "an unknown field", known);
                }),
            }
        }
        for (field, _) in schema.fields.iter().zip(seen).filter(|(field, seen)| field.required && !seen) {
            self.at(Segment::Name(&field.name), |walk| {
                walk.note_plain(Problem::Missing, "missing", &field.schema);
            });
        }
    }

    /// Notes each name that stands in the object more than once.
    fn duplicates(&mut self, members: &'d [Member<'d>]) {
        let mut before = BTreeSet::new();
        for (at, (name, _)) in members.iter().enumerate() {
            let again = match members.len() {
                0..=FEW => members[..at].iter().any(|(other, _)| other == name),
                _ => !before.insert(name),
            };
            if again {
                self.at_data(name, |walk| {
                    walk.note_plain(Problem::DuplicateField, "there more than once", "one member of a name");
                });
            }
        }
    }

    fn at(&mut self, segment: Segment<'d>, inner: impl FnOnce(&mut Self)) {
        self.path.push(segment);
        inner(self);
        self.path.pop();
    }

    /// At a member whose name is data, and so a part of the secret, if it is one.
    fn at_data(&mut self, name: &'d str, inner: impl FnOnce(&mut Self)) {
        self.at(if self.secret { Segment::Hidden } else { Segment::Name(name) }, inner);
    }

    /// Notes a violation that tells what is given, unless that is a secret.
    fn note(&mut self, problem: Problem, given: impl fmt::Display, allowed: impl fmt::Display) {
        if self.secret {
            self.note_plain(problem, REDACTED, allowed);
        } else {
            self.note_plain(problem, given, allowed);
        }
    }

    fn note_plain(&mut self, problem: Problem, given: impl fmt::Display, allowed: impl fmt::Display) {
        let path = &self.path;
        self.found.note(problem, || pointer(path), given, allowed);
    }
}

fn pointer(path: &[Segment<'_>]) -> String {
    let mut text = String::new();
    for part in path {
        text.push('/');
        match part {
            Segment::Name(name) => text.push_str(&segment(name)),
            // Writing to a String cannot fail.
            Segment::Index(index) => write!(text, "{index}").unwrap_or_default(),
            Segment::Hidden => text.push_str(REDACTED),
        }
    }
    text
}

/// Whether a number has a canonical form, in which it is stored.
fn can_be_kept(digits: &str) -> bool {
    let plain = digits.len() <= SHORT && !digits.contains(['e', 'E']);
    plain || canonical::from_text(digits).is_ok()
}

/// What a value is, for people, in a few words.
struct Given<'a>(&'a Node<'a>);

impl fmt::Display for Given<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Node::Null => f.write_str("null"),
            Node::Bool(value) => value.fmt(f),
            Node::Number(digits) => f.write_str(&shortened(digits, 100)),
            Node::Text(text) => Quoted(text).fmt(f),
            Node::Array(items) => write!(f, "an array of {} items", items.len()),
            Node::Object(members) => write!(f, "an object of {} members", members.len()),
        }
    }
}

/// The beginning of a text, in quotes.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", shortened(self.0, 100))
    }
}

/// Names, one after the other.
struct Names<'a>(Vec<&'a str>);

impl fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("no field at all");
        }
        f.write_str(&self.0.join(", "))
    }
}
