//! Pairs, a line each.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::decide::similarity::Policy;
use crate::operate::cli::Io;
use crate::operate::cli::failure::{Exit, Failure, Stop};
use crate::operate::cli::session::Session;
use crate::operate::cli::similarity::{Answer, Of, contents, open};
use crate::operate::cli::simulate::lines::{Lines, Next};
use crate::operate::cli::simulate::trace::unreadable;

/// A longer line of pairs is not read.
const LINE_MAX: usize = 64 << 20;
/// So many lines are looked at to find out what their fields are.
const LOOK_LINES: usize = 100;
/// And of no more bytes than this: they are held until that is known.
const LOOK_BYTES: usize = 1 << 20;

pub(super) fn of_pairs(
    session: &mut Session<'_, '_>,
    policy: &Policy,
    pairs: &Path,
    given: Option<Of>,
) -> Result<Exit, Stop> {
    let (json, paint) = (session.json(), session.paint());
    let stdin = pairs.as_os_str() == "-";
    if stdin && session.io.ask {
        writeln!(session.io.err, "reading pairs from the terminal; end them with Ctrl-D")?;
    }
    let mut file;
    let Io { input, out, .. } = &mut *session.io;
    let source: &mut dyn Read = if stdin {
        &mut **input
    } else {
        file = open(pairs)?;
        &mut file
    };
    let mut pairs = Pairs::new(source);
    let of = given.unwrap_or_else(|| pairs.look());
    let mut buffer = Vec::new();
    loop {
        if pairs.may_wait() {
            out.flush()?;
        }
        let answered = match pairs.next() {
            One::End => return Ok(Exit::Done),
            One::Broken(error) => return Err(unreadable(&error).into()),
            One::TooLong => Err(Wrong::Line(format!("it has more than {LINE_MAX} bytes"))),
            One::Line(line) => {
                one(policy, &line, of).map(|answer| answer.write(*out, json, paint, &mut buffer))
            }
        };
        match answered {
            Ok(written) => written?,
            Err(wrong) => return Err(wrong.told(pairs.number).into()),
        }
    }
}

/// Lines of which the first are looked at before any is answered.
struct Pairs<'a> {
    lines: Lines<&'a mut dyn Read>,
    held: VecDeque<Vec<u8>>,
    /// What came behind those that are held, if that was no line.
    last: Option<One<'static>>,
    /// The number of the line that was given last, from 1.
    number: u64,
}

/// What comes next.
enum One<'a> {
    Line(Cow<'a, [u8]>),
    TooLong,
    Broken(io::Error),
    End,
}

impl<'a> Pairs<'a> {
    fn new(source: &'a mut dyn Read) -> Self {
        Self { lines: Lines::new(source, LINE_MAX), held: VecDeque::new(), last: None, number: 0 }
    }

    /// What the fields are, as far as the first lines show: files, if one of them is the name of one.
    fn look(&mut self) -> Of {
        let mut bytes = 0_usize;
        while self.held.len() < LOOK_LINES && bytes < LOOK_BYTES {
            let line = match self.lines.next() {
                Ok(Next::Line(line)) => line.to_vec(),
                Ok(Next::TooLong) => return self.ended(One::TooLong),
                Ok(Next::End) => return self.ended(One::End),
                Err(error) => return self.ended(One::Broken(error)),
            };
            let (is_file, is_pair) = match fields(&line) {
                Ok((old, new)) => (path(old).is_file() || path(new).is_file(), true),
                Err(_) => (false, false),
            };
            bytes = bytes.saturating_add(line.len());
            self.held.push_back(line);
            if is_file {
                return Of::Files;
            }
            // Nothing behind it is answered.
            if !is_pair {
                break;
            }
        }
        Of::Texts
    }

    fn ended(&mut self, last: One<'static>) -> Of {
        self.last = Some(last);
        Of::Texts
    }

    fn may_wait(&self) -> bool {
        self.held.is_empty() && self.last.is_none() && self.lines.may_wait()
    }

    fn next(&mut self) -> One<'_> {
        self.number = self.number.saturating_add(1);
        if let Some(line) = self.held.pop_front() {
            return One::Line(Cow::Owned(line));
        }
        if let Some(last) = self.last.take() {
            return last;
        }
        match self.lines.next() {
            Ok(Next::Line(line)) => One::Line(Cow::Borrowed(line)),
            Ok(Next::TooLong) => One::TooLong,
            Ok(Next::End) => One::End,
            Err(error) => One::Broken(error),
        }
    }
}

/// Why a line cannot be answered.
enum Wrong {
    Line(String),
    File(Failure),
}

impl Wrong {
    fn told(self, number: u64) -> Failure {
        const HINT: &str =
            "the answers to the lines before it stand; neither it nor what follows it was looked at";
        match self {
            Self::Line(said) => {
                Failure::new(Exit::Failed, "pairs.invalid", format!("line {number}: {said}")).hint(HINT)
            }
            Self::File(failure) => {
                let message = format!("line {number}: {}", failure.message);
                Failure::new(Exit::Failed, failure.code, message)
                    .hint(format!("{HINT}; say --text if these are texts"))
            }
        }
    }
}

fn one(policy: &Policy, line: &[u8], of: Of) -> Result<Answer, Wrong> {
    let (old, new) = fields(line).map_err(|said| Wrong::Line(said.to_owned()))?;
    let [name_old, name_new] = [old, new].map(String::from_utf8_lossy);
    match of {
        Of::Texts => Ok(Answer::of(policy, of, (&name_old, &name_new), (old, new))),
        Of::Files => {
            let load = |field: &[u8]| contents(path(field)).map_err(Wrong::File);
            let [before, after] = [load(old)?, load(new)?];
            Ok(Answer::of(policy, of, (&name_old, &name_new), (&before, &after)))
        }
    }
}

fn fields(line: &[u8]) -> Result<(&[u8], &[u8]), &'static str> {
    let mut fields = line.split(|byte| *byte == b'\t');
    match (fields.next(), fields.next(), fields.next()) {
        (Some(old), Some(new), None) => Ok((old, new)),
        (_, None, _) => Err("there is no TAB between old and new"),
        _ => Err("there is more than one TAB"),
    }
}

fn path(field: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(field))
}
