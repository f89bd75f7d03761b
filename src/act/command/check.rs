//! Whether a command can be started as it was given.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use crate::act::command::{Command, Contain, Error, Stdin};

/// What an argument, a variable or a path may be.
const NO_NUL: &str = "text without a NUL byte";

impl Command {
    /// Whether it can be started as it was given. [`start`](Self::start) and the runs look too.
    ///
    /// # Errors
    /// [`Error::Invalid`] with what is wrong.
    pub fn check(&self) -> Result<(), Error> {
        if self.program.is_empty() {
            return Err(invalid("program", String::from("empty"), "a name or a path"));
        }
        let paths = [Some(self.program.as_os_str()), self.dir.as_deref().map(AsRef::as_ref)];
        for (field, text) in ["program", "dir"].into_iter().zip(paths) {
            without_nul(field, text.unwrap_or_default())?;
        }
        self.args.iter().try_for_each(|arg| without_nul("arg", arg))?;
        for (name, value) in &self.envs {
            without_nul("env", name)?;
            without_nul("env", value.as_deref().unwrap_or_default())?;
            if name.is_empty() || name.as_bytes().contains(&b'=') {
                return Err(invalid("env", shown(name), "a name that is not empty, without ="));
            }
        }
        if self.timeout.is_some_and(|limit| limit.is_zero()) {
            return Err(invalid(
                "timeout",
                format!("{:?}", Duration::ZERO),
                "more than zero, or unbounded()",
            ));
        }
        if self.stop_after == Some(0) {
            return Err(invalid("stop_after", String::from("0"), "at least 1 byte"));
        }
        if self.is_shimmed() && self.stdin == Stdin::Inherit {
            let allowed = "Closed or Bytes for a command that is recorded or in a control group";
            return Err(invalid("stdin", String::from("Inherit"), allowed));
        }
        #[cfg(not(target_os = "linux"))]
        if self.is_shimmed() {
            return Err(invalid("contain or recorded", String::from("not of this system"), "Linux"));
        }
        Ok(())
    }

    /// Whether it is started by a shell that waits until it may become the program.
    pub(super) const fn is_shimmed(&self) -> bool {
        self.recorded.is_some() || matches!(self.contain, Contain::Cgroup(_))
    }
}

fn without_nul(field: &'static str, text: &OsStr) -> Result<(), Error> {
    if text.as_bytes().contains(&0) {
        return Err(invalid(field, shown(text), NO_NUL));
    }
    Ok(())
}

/// At most 64 characters, without what a terminal would take as a command.
fn shown(text: &OsStr) -> String {
    let text = text.to_string_lossy();
    text.chars().take(64).flat_map(char::escape_default).collect()
}

const fn invalid(field: &'static str, given: String, allowed: &'static str) -> Error {
    Error::Invalid { field, given, allowed }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(command: &Command) -> &'static str {
        match command.check() {
            Err(Error::Invalid { field, .. }) => field,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_cannot_be_started_is_refused_by_name() {
        let command = || Command::new("true");
        assert_eq!(refused(&Command::new("")), "program");
        assert_eq!(refused(&Command::new("a\0b")), "program");
        assert_eq!(refused(&command().arg("a\0b")), "arg");
        assert_eq!(refused(&command().env("A\0", "b")), "env");
        assert_eq!(refused(&command().env("A", "b\0")), "env");
        assert_eq!(refused(&command().env("A=B", "c")), "env");
        assert_eq!(refused(&command().env("", "c")), "env");
        assert_eq!(refused(&command().dir("/\0")), "dir");
        assert_eq!(refused(&command().timeout(Duration::ZERO)), "timeout");
        assert_eq!(refused(&command().stop_after(0)), "stop_after");
        let contained = command().contain(Contain::Cgroup("/x".into()));
        assert_eq!(refused(&contained.stdin(Stdin::Inherit)), "stdin");
        command().unbounded().check().unwrap();
        let error = command().arg("a\0b\u{1b}").check().unwrap_err();
        assert_eq!(error.to_string(), "arg is a\\u{0}b\\u{1b}, allowed is text without a NUL byte");
    }
}
