//! One verb being carried out: where it reads and writes, on which store, for whom, when.

use std::borrow::Cow;
use std::cell::{OnceCell, RefCell};
use std::ffi::{OsStr, OsString};
use std::fs::{DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::base::text::shown;
use crate::base::time::Timestamp;
use crate::operate::cli::args::{Global, One};
use crate::operate::cli::config::Config;
use crate::operate::cli::failure::{Exit, Failure, Stop};
use crate::operate::cli::place::{self, At, Place, Surroundings};
use crate::operate::cli::print::{Paint, When};
use crate::operate::cli::remote::Remote;
use crate::operate::cli::shared;
use crate::operate::cli::{Home, Host, Io};
use crate::operate::operator::{self, Operator};
use crate::remember::blocking::block_on;
use crate::remember::postgres::Postgres;
use crate::remember::runs::{Json, Run};
use crate::remember::sqlite::Sqlite;
use crate::remember::store::{self, Store};

/// The most bytes of an input that are read; a store takes much less.
const INPUT_MAX: u64 = 16 * 1024 * 1024;

pub(super) struct Session<'a, 'io> {
    pub(super) host: &'a Host,
    pub(super) global: &'a Global,
    pub(super) io: &'a mut Io<'io>,
    pub(super) now: Timestamp,
    /// What is written down, once it was read.
    pub(super) config: OnceCell<Option<Arc<Config>>>,
    /// The store, once it was opened: a verb of several parts opens it once.
    pub(super) kept: RefCell<Option<(Need, Arc<dyn Store>)>>,
}

/// How a verb needs the store.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// Only to look: the store must be there.
    Read,
    /// To change what is there: the store must be there too, since one that was just made has nothing to change.
    Write,
    /// To begin something: a store that is not there is made, for its owner alone.
    Create,
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
            Some(store) => {
                // The password of an address is not written on a screen; whoever has it gives it by a variable.
                let text = match place::find(Some(store), None, &Surroundings::of_process()) {
                    Ok(Place { at: At::Remote(remote), .. }) => OsString::from(remote.to_string()),
                    Ok(_) => store.clone(),
                    Err(_) => OsString::new(),
                };
                format!("{name} --store {}", quoted(text))
            }
        }
    }

    pub(super) fn failed(&self, error: &operator::Error) -> Failure {
        Failure::of_operator(error, &self.program())
    }

    /// The run that was meant.
    pub(super) fn find(&self, operator: &Operator, one: &One) -> Result<Run, Stop> {
        let found = one.run.parse().map_err(Into::into).and_then(|run| block_on(operator.find(&run)));
        found.map_err(|error| self.failed(&error).into())
    }

    /// `text`, which `what` is, as JSON.
    pub(super) fn json_of(&self, what: &str, text: &str) -> Result<Json, Stop> {
        serde_json::from_str::<&RawValue>(text).map(RawValue::to_owned).map_err(|error| {
            Failure::usage(format!("{what}: it is no JSON: {error}"))
                .hint("text needs quotes of its own, such as '\"done\"'")
                .into()
        })
    }

    /// What is in a file, or on stdin for `-`, as JSON.
    pub(super) fn json_in(&mut self, path: &Path) -> Result<Json, Stop> {
        let (what, mut text) = (path.display().to_string(), Vec::new());
        let read = if path.as_os_str() == "-" {
            self.say_that_input_is_read()?;
            self.io.input.take(INPUT_MAX).read_to_end(&mut text)
        } else {
            File::open(path).and_then(|file| file.take(INPUT_MAX).read_to_end(&mut text))
        };
        let what = if what == "-" { String::from("stdin") } else { what };
        read.map_err(|error| {
            Failure::new(Exit::Failed, "input.unreadable", format!("{what} cannot be read: {error}"))
        })?;
        if text.len() as u64 >= INPUT_MAX {
            return Err(Failure::usage(format!("{what} has more than {INPUT_MAX} bytes")).into());
        }
        let text = String::from_utf8(text)
            .map_err(|_| Failure::usage(format!("{what} is not UTF-8, so it is no JSON")))?;
        self.json_of(&what, &text)
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
        if let (Home::Open(store), None) = (&self.host.home, &self.global.store) {
            return Ok(Arc::clone(store));
        }
        if let Some((had, store)) = &*self.kept.borrow()
            && (*had != Need::Read || need == Need::Read)
        {
            return Ok(Arc::clone(store));
        }
        let store: Arc<dyn Store> = match self.opened(need)? {
            Opened::Sqlite(store) => Arc::new(store),
            Opened::Postgres(store, _) => Arc::new(store),
        };
        *self.kept.borrow_mut() = Some((need, Arc::clone(&store)));
        Ok(store)
    }

    /// Where files are that processes on this machine share about the store.
    pub(super) fn shared_folder(&self) -> Result<PathBuf, Stop> {
        if self.open_store_of_host() {
            return Ok(shared::of_user());
        }
        Ok(match self.place()?.at {
            At::File(path) => shared::beside(&path),
            At::Remote(_) => shared::of_user(),
        })
    }

    /// Whether the store is one that the program has opened itself.
    pub(super) fn open_store_of_host(&self) -> bool {
        matches!((&self.host.home, &self.global.store), (Home::Open(_), None))
    }

    /// The store as what it is.
    pub(super) fn opened(&self, need: Need) -> Result<Opened, Stop> {
        let place = self.place()?;
        match &place.at {
            At::File(path) => open_file(&place, path, need).map(Opened::Sqlite),
            At::Remote(remote) => {
                let store = open_remote(&place, remote, need)?;
                Ok(Opened::Postgres(store, remote.to_string()))
            }
        }
    }

    /// Brings the store to this release's format: the one that stood there before, and the one that stands there now.
    pub(super) fn migrate(&self) -> Result<(Option<u32>, u32), Stop> {
        let place = self.place()?;
        match &place.at {
            At::File(path) => {
                let of_store = |error: store::Error| Failure::of_store(&error);
                let from = open_file(&place, path, Need::Read)?.info().map_err(of_store)?.format;
                let open = Sqlite::options().create(false).migrate(true).open(path);
                let to = open.and_then(|store| store.info()).map_err(of_store)?.format;
                Ok((Some(from), to))
            }
            At::Remote(remote) => {
                let of_remote = |error| Failure::of_remote(&error, &place, remote.note.as_deref());
                let from = remote.migrate(Postgres::options()).map_err(of_remote)?;
                Ok((from, crate::remember::postgres::FORMAT.max(from.unwrap_or(0))))
            }
        }
    }

    /// Where the store is looked for.
    pub(super) fn place(&self) -> Result<Place, Stop> {
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
        Ok(place::find(given, default, &Surroundings::of_process())?)
    }
}

/// A store as what it is.
pub(super) enum Opened {
    /// A file.
    Sqlite(Sqlite),
    /// A schema in a database, and its address as it may be shown.
    Postgres(Postgres, String),
}

fn missing(place: &Place) -> Stop {
    Failure::new(Exit::Config, "store.missing", format!("there is no store at {place}"))
        .hint(
            "name another with --store URL or $UNATTENDED_STORE; `exec` or the first job that runs makes one",
        )
        .into()
}

fn open_file(place: &Place, path: &Path, need: Need) -> Result<Sqlite, Stop> {
    // Also where the engine would say something less clear of a folder that is not there.
    match path.try_exists() {
        Ok(true) => {}
        Ok(false) if need == Need::Create => make_folder_of(path)?,
        Ok(false) => return Err(missing(place)),
        Err(source) => return Err(unreadable(path.to_owned(), source).into()),
    }
    let options = match need {
        Need::Read => Sqlite::options().read_only(),
        // Its format is changed by `store migrate` alone.
        Need::Write => Sqlite::options().create(false).migrate(false).one_connection(),
        Need::Create => Sqlite::options().migrate(false).one_connection(),
    };
    options.open(path).map_err(|error| match error {
        store::Error::Missing { .. } => missing(place),
        error => Failure::of_store(&error).into(),
    })
}

/// Makes the folder of a store that is about to be made, for its owner alone. One that is there stays as it is.
fn make_folder_of(path: &Path) -> Result<(), Stop> {
    let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) else { return Ok(()) };
    let mut builder = DirBuilder::new();
    std::os::unix::fs::DirBuilderExt::mode(builder.recursive(true), 0o700);
    builder.create(folder).map_err(|source| {
        let error =
            store::Error::Io { action: "cannot make the store's folder", path: folder.to_owned(), source };
        Failure::of_store(&error).into()
    })
}

fn open_remote(place: &Place, remote: &Remote, need: Need) -> Result<Postgres, Stop> {
    let options = Postgres::options();
    let options = if need == Need::Create { options } else { options.migrate(false) };
    remote.open(options).map_err(|error| match error {
        store::Error::Missing { .. } => missing(place),
        error => Failure::of_remote(&error, place, remote.note.as_deref()).into(),
    })
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

/// `text` as a shell takes it for one word, safe to show on a terminal: what that would not show is an escape of `$'…'`.
pub(super) fn quoted(text: impl AsRef<OsStr>) -> String {
    let bytes = text.as_ref().as_bytes();
    match std::str::from_utf8(bytes) {
        Ok(text) if matches!(shown(text), Cow::Borrowed(_)) => plainly_quoted(text),
        _ => escaped(bytes),
    }
}

fn plainly_quoted(text: &str) -> String {
    let safe = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,~".contains(c);
    if !text.is_empty() && !text.starts_with('~') && text.chars().all(safe) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

fn escaped(bytes: &[u8]) -> String {
    let mut word = String::from("$'");
    // Three octal digits are the one escape that all shells end at the same place.
    let octal = |word: &mut String, bytes: &[u8]| {
        bytes.iter().for_each(|byte| word.push_str(&format!("\\{byte:03o}")));
    };
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            let mut buffer = [0; 4];
            let text = c.encode_utf8(&mut buffer);
            match (c, shown(text)) {
                ('\\' | '\'', _) => word.extend(['\\', c]),
                (_, Cow::Borrowed(_)) => word.push(c),
                (_, Cow::Owned(_)) => octal(&mut word, text.as_bytes()),
            }
        }
        octal(&mut word, chunk.invalid());
    }
    word.push('\'');
    word
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
    fn a_command_to_type_is_safe_to_show_and_comes_back_as_it_was() {
        let all: [&[u8]; 5] =
            [b"\x1b[31mred", b"two\nlines", b"it's\t\\", b"/x/\xff.db", "a\u{202e}b\u{9b}1".as_bytes()];
        for given in all {
            let word = quoted(OsStr::from_bytes(given));
            assert!(matches!(shown(&word), Cow::Borrowed(_)), "{word:?}");
            assert!(word.starts_with("$'") && word.ends_with('\''), "{word}");
        }
        assert_eq!(quoted("\x1b[31mred's"), r"$'\033[31mred\'s'");
        assert_eq!(quoted(OsStr::from_bytes(b"\xff.db")), r"$'\377.db'");
    }

    #[test]
    fn one_line_is_read_and_no_more() {
        let mut input = io::Cursor::new(b"yes\nrest".to_vec());
        assert_eq!(one_line(&mut input).unwrap(), "yes");
        assert_eq!(input.position(), 4);
        assert_eq!(one_line(&mut io::Cursor::new(vec![b'x'; 5000])).unwrap().len(), 1024);
    }
}
