//! One verb being carried out: where it reads and writes, on which store, for whom, when.

use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;

use crate::base::time::Timestamp;
use crate::operate::cli::args::Global;
use crate::operate::cli::failure::{Exit, Failure, Stop};
use crate::operate::cli::place::{self, Surroundings};
use crate::operate::cli::print::{Paint, When};
use crate::operate::cli::{Home, Host, Io};
use crate::operate::operator::{self, Operator};
use crate::remember::sqlite::Sqlite;
use crate::remember::store::{self, Store};

pub(super) struct Session<'a, 'io> {
    pub(super) host: &'a Host,
    pub(super) global: &'a Global,
    pub(super) io: &'a mut Io<'io>,
    pub(super) now: Timestamp,
}

/// How a verb needs the store.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    Read,
    Write,
}

impl Session<'_, '_> {
    pub(super) fn json(&self) -> bool {
        self.global.json
    }

    pub(super) fn out(&mut self) -> &mut dyn Write {
        self.io.out
    }

    pub(super) fn input(&mut self) -> &mut dyn Read {
        self.io.input
    }

    pub(super) fn paint(&self) -> Paint {
        Paint { on: self.io.colour }
    }

    pub(super) fn when(&self) -> When {
        When { now: self.now, absolute: self.global.absolute }
    }

    /// One object on a line of its own.
    pub(super) fn object(&mut self, value: &impl Serialize) -> Result<(), Stop> {
        let mut line = serde_json::to_string(value)
            .map_err(|error| Failure::new(Exit::Failed, "output.failed", error.to_string()))?;
        line.push('\n');
        self.io.out.write_all(line.as_bytes())?;
        Ok(())
    }

    /// What a person types before a verb to come back to this store.
    pub(super) fn program(&self) -> String {
        let name = &self.host.program;
        match &self.global.store {
            None => name.clone(),
            Some(store) => format!("{name} --store {}", quoted(&store.to_string_lossy())),
        }
    }

    pub(super) fn failed(&self, error: &operator::Error) -> Failure {
        Failure::of_operator(error, &self.program())
    }

    /// A person who typed the command without a pipe would wait for an answer, and the program for input.
    pub(super) fn say_that_input_is_read(&mut self) -> Result<(), Stop> {
        if self.io.ask {
            writeln!(self.io.err, "reading JSON from the terminal; end it with Ctrl-D")?;
        }
        Ok(())
    }

    /// Asks a person; `None` if there is none to ask.
    pub(super) fn asked(&mut self, question: &str) -> Option<bool> {
        if !self.io.ask {
            return None;
        }
        let asked = write!(self.io.err, "{question} [y/N] ").and_then(|()| self.io.err.flush());
        let answer = asked.and_then(|()| one_line(self.io.input)).unwrap_or_default();
        Some(matches!(answer.trim(), "y" | "Y" | "yes"))
    }

    pub(super) fn operator(&self, need: Need) -> Result<Operator, Stop> {
        let by = match &self.global.by {
            Some(by) => by.clone(),
            None => Surroundings::of_process().user().unwrap_or_else(|| String::from("unknown")),
        };
        let store = self.store(need)?;
        let operator = Operator::new(store, &by).map_err(|error| self.failed(&error))?;
        Ok(operator.on(Arc::clone(&self.host.clock)))
    }

    pub(super) fn store(&self, need: Need) -> Result<Arc<dyn Store>, Stop> {
        match (&self.host.home, &self.global.store) {
            (Home::Open(store), None) => Ok(Arc::clone(store)),
            _ => Ok(Arc::new(self.sqlite(need)?)),
        }
    }

    /// The store as the file that it is. None of the verbs makes one: a place where nothing is holds no run either.
    pub(super) fn sqlite(&self, need: Need) -> Result<Sqlite, Stop> {
        let given = self.global.store.as_deref();
        let default = match &self.host.home {
            Home::At(path) => Some(path.as_path()),
            Home::Search => None,
            Home::Open(_) if given.is_some() => None,
            Home::Open(_) => {
                let failure = Failure::usage("this verb looks at a store's file, and the program gave none");
                return Err(failure.hint("name the file with --store").into());
            }
        };
        let place = place::find(given, default, &Surroundings::of_process())?;
        let missing = || -> Stop {
            let message = format!("there is no store at {} ({})", place.path.display(), place.from);
            let hint =
                "name another with --store PATH or $UNATTENDED_STORE; the first job that runs makes one";
            Failure::new(Exit::Config, "store.missing", message).hint(hint).into()
        };
        // Also where the engine would say something less clear of a folder that is not there.
        match place.path.try_exists() {
            Ok(true) => {}
            Ok(false) => return Err(missing()),
            Err(source) => return Err(unreadable(place.path, source).into()),
        }
        let options = match need {
            Need::Read => Sqlite::options().read_only(),
            Need::Write => Sqlite::options().create(false),
        };
        options.open(&place.path).map_err(|error| match error {
            store::Error::Missing { .. } => missing(),
            error => Failure::of_store(&error).into(),
        })
    }
}

fn unreadable(path: PathBuf, source: io::Error) -> Failure {
    Failure::of_store(&store::Error::Io { action: "cannot look for the store", path, source })
}

/// One line of at most a kilobyte, read without taking more than it.
fn one_line(input: &mut dyn Read) -> io::Result<String> {
    let (mut line, mut byte) = (Vec::new(), [0]);
    while line.len() < 1024 && input.read(&mut byte)? == 1 && byte != *b"\n" {
        line.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&line).into_owned())
}

/// `text` as a shell takes it for one word.
pub(super) fn quoted(text: &str) -> String {
    let safe = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,~".contains(c);
    if !text.is_empty() && !text.starts_with('~') && text.chars().all(safe) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_to_type_can_be_typed() {
        assert_eq!(quoted("/var/lib/x.db"), "/var/lib/x.db");
        assert_eq!(quoted("a b"), "'a b'");
        assert_eq!(quoted("it's; rm -rf"), r"'it'\''s; rm -rf'");
        assert_eq!(quoted(""), "''");
        assert_eq!(quoted("~x"), "'~x'");
    }

    #[test]
    fn one_line_is_read_and_no_more() {
        let mut input = io::Cursor::new(b"yes\nrest".to_vec());
        assert_eq!(one_line(&mut input).unwrap(), "yes");
        assert_eq!(input.position(), 4);
        assert_eq!(one_line(&mut io::Cursor::new(vec![b'x'; 5000])).unwrap().len(), 1024);
    }
}
