//! A shop: a folder, a store in it or in PostgreSQL, and the binary that is typed.

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use serde_json::Value;
use unattended::sqlite::Sqlite;
use unattended::store::Store;

use crate::pg;

/// A place of work with a store of its own.
pub struct Shop {
    folder: tempfile::TempDir,
    database: Option<pg::Database>,
}

/// What the tool answered.
#[derive(Debug)]
pub struct Given {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Given {
    /// Each line of the answer as JSON.
    pub fn lines(&self) -> Vec<Value> {
        self.out
            .lines()
            .map(|line| {
                serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line:?}\n{self:?}"))
            })
            .collect()
    }

    /// The one object of the answer.
    pub fn object(&self) -> Value {
        let lines = self.lines();
        assert_eq!(lines.len(), 1, "{self:?}");
        lines.into_iter().next().unwrap()
    }

    /// `error` of what stands on stderr.
    pub fn error(&self) -> Value {
        let line = self.err.lines().last().unwrap_or_default();
        let value: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {self:?}"));
        value["error"].clone()
    }

    /// The same, which must have ended so.
    pub fn ended(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:?}");
        self
    }
}

impl Shop {
    /// On SQLite. The store is not there yet.
    pub fn sqlite() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), database: None }
    }

    /// On PostgreSQL, in a schema of its own; `None` where there is none.
    pub fn postgres() -> Option<Self> {
        let database = pg::Database::new()?;
        Some(Self { folder: tempfile::tempdir().unwrap(), database: Some(database) })
    }

    /// One on each kind of store that there is.
    pub fn each() -> Vec<Self> {
        [Some(Self::sqlite()), Self::postgres()].into_iter().flatten().collect()
    }

    /// Where its files are.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A file in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder().join(name)
    }

    /// A file in the folder with this in it.
    pub fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// What `--store` is given.
    pub fn store_url(&self) -> String {
        match &self.database {
            None => self.path("store.db").display().to_string(),
            Some(database) => {
                let join = if database.url.contains('?') { '&' } else { '?' };
                format!("{}{join}schema={}", database.url, database.schema)
            }
        }
    }

    /// The same store, opened by the test.
    pub fn store(&self) -> Arc<dyn Store> {
        match &self.database {
            None => Arc::new(Sqlite::options().open(self.path("store.db")).unwrap()),
            Some(database) => Arc::new(database.open()),
        }
    }

    /// The tool on this store, for a process of the test's own making.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = tool();
        command
            .env("UNATTENDED_STORE", self.store_url())
            .env("HOME", self.folder())
            .current_dir(self.folder());
        command.args(args);
        command
    }

    /// Types this.
    pub fn run(&self, args: &[&str]) -> Given {
        given(self.command(args), "")
    }

    /// Types this, with something on stdin.
    pub fn run_with(&self, args: &[&str], input: &str) -> Given {
        given(self.command(args), input)
    }
}

/// The tool, with nothing around it that says where anything is.
pub fn tool() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_unattended"));
    let kept = ["PATH", "LANG", "TZ", "TMPDIR", "LLVM_PROFILE_FILE"];
    let kept: Vec<(OsString, OsString)> =
        std::env::vars_os().filter(|(name, _)| kept.iter().any(|kept| name == kept)).collect();
    command.env_clear().envs(kept).env("USER", "ada");
    command
}

/// Runs it, with this on stdin.
pub fn given(mut command: Command, input: &str) -> Given {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    // Who does not read its input closes it.
    let writer = std::thread::spawn(move || drop(stdin.write_all(input.as_bytes())));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Given { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
}
