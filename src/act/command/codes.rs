//! What a program's exit codes mean.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use crate::base::fault::{Class, Fault, Reached, Severity};

/// What a program's exit codes mean. Each is a fault with the code `exit.N`; what is in no table is of no class.
///
/// ```
/// use unattended::command::Codes;
/// use unattended::fault::Class;
///
/// // grep says 1 where it found nothing.
/// let grep = Codes::sysexits().success(1).permanent(2);
/// assert!(grep.is_success(1));
/// assert_eq!((grep.fault(2).class, grep.fault(2).code.as_ref()), (Class::Permanent, "exit.2"));
/// assert_eq!(Codes::curl().fault(28).class, Class::Transient);
/// assert_eq!(Codes::sysexits().fault(1).class, Class::Unknown);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Codes {
    success: BTreeSet<i32>,
    faults: BTreeMap<i32, Fault>,
}

impl Default for Codes {
    fn default() -> Self {
        Self::sysexits()
    }
}

impl Codes {
    /// None but 0, which is a success.
    #[must_use]
    pub fn none() -> Self {
        Self { success: BTreeSet::from([0]), faults: BTreeMap::new() }
    }

    /// Those of `sysexits.h` (4.0BSD) and of shells: 75 (temporary failure) is transient; 64 (usage), 65 (data), 66 (no input),
    /// 67 (no user), 68 (no host), 69 (unavailable; but see below), 72, 73, 76, 77 (permission), 78 (configuration), 126 (not executable), 127 (not found)
    /// permanent; 74 (input or output) and 71 (operating system) transient. 69 and 70 (internal) are of no class: programs say them
    /// of what passes and of what does not. So is 128 + N, which a shell says of a program that signal N ended.
    #[must_use]
    pub fn sysexits() -> Self {
        let codes = Self::none().with(&[71, 74, 75], Class::Transient, Reached::Maybe);
        let codes = codes.with(&[64, 65, 66, 67, 68, 72, 73, 76, 77, 78], Class::Permanent, Reached::Yes);
        codes.with(&[126, 127], Class::Permanent, Reached::No)
    }

    /// Those of curl (`man curl`, EXIT CODES). Names that are not found, refused connections, time-outs and connections that break are
    /// transient; what is wrong with the request, the certificate or the files is permanent; 67 is a login that was refused. 22, an
    /// answer of 400 or above with `--fail`, is of no class, as the number does not tell which.
    #[must_use]
    pub fn curl() -> Self {
        let codes = Self::none()
            .with(&[5, 6, 7, 97], Class::Transient, Reached::No)
            .with(&[8, 12, 16, 18, 28, 35, 52, 55, 56, 80, 89, 92, 95, 96], Class::Transient, Reached::Maybe)
            .with(
                &[1, 2, 3, 4, 23, 26, 37, 41, 43, 45, 48, 53, 58, 59, 60, 66, 77, 83, 90],
                Class::Permanent,
                Reached::No,
            )
            .with(&[9, 19, 33, 36, 47, 51, 61, 63, 68, 69, 73, 78, 79, 91], Class::Permanent, Reached::Yes)
            .with(&[67, 94], Class::Unauthorized, Reached::No);
        codes.fatal(27)
    }

    /// Those of ssh: 255 is ssh's own failure, most often the connection, and transient; anything else comes from the program on the
    /// other side and means what it does in [`sysexits`](Self::sysexits). A refused key is a 255 as well.
    #[must_use]
    pub fn ssh() -> Self {
        Self::sysexits().with(&[255], Class::Transient, Reached::Maybe)
    }

    /// Those of rsync (`man rsync`, EXIT VALUES). Time-outs, sockets and broken streams are transient, and so are files that vanished
    /// (24); usage, versions and what is not supported are permanent; a partial transfer (23) is of no class.
    #[must_use]
    pub fn rsync() -> Self {
        let codes = Self::none()
            .with(&[5, 10, 12, 14, 20, 24, 30], Class::Transient, Reached::Maybe)
            .with(&[35], Class::Transient, Reached::No)
            .with(&[1, 2, 3, 4, 6, 25], Class::Permanent, Reached::Yes);
        // What carries it is ssh: 255, and a command that is not there.
        codes.fatal(22).with(&[255], Class::Transient, Reached::Maybe).with(
            &[127],
            Class::Permanent,
            Reached::No,
        )
    }

    /// Those of git: 129 (usage) is permanent, 128 is whatever made it give up and of no class.
    #[must_use]
    pub fn git() -> Self {
        Self::none().with(&[129], Class::Permanent, Reached::No)
    }

    /// The same, where `code` is a success.
    #[must_use]
    pub fn success(mut self, code: i32) -> Self {
        self.faults.remove(&code);
        self.success.insert(code);
        self
    }

    /// The same, where `code` may be another at the next try. Nobody knows whether what it was for was done.
    #[must_use]
    pub fn transient(self, code: i32) -> Self {
        self.with(&[code], Class::Transient, Reached::Maybe)
    }

    /// The same, where `code` is final.
    #[must_use]
    pub fn permanent(self, code: i32) -> Self {
        self.with(&[code], Class::Permanent, Reached::Yes)
    }

    /// The same, where `code` means `fault`.
    #[must_use]
    pub fn means(mut self, code: i32, fault: Fault) -> Self {
        self.success.remove(&code);
        self.faults.insert(code, fault);
        self
    }

    /// Whether `code` is a success.
    #[must_use]
    pub fn is_success(&self, code: i32) -> bool {
        self.success.contains(&code)
    }

    /// What `code` means as a failure.
    #[must_use]
    pub fn fault(&self, code: i32) -> Fault {
        self.faults.get(&code).cloned().unwrap_or_else(|| of(code, Class::Unknown, Reached::Maybe))
    }

    fn with(mut self, codes: &[i32], class: Class, reached: Reached) -> Self {
        for code in codes {
            self = self.means(*code, of(*code, class, reached));
        }
        self
    }

    /// The program was out of memory, which it may be again.
    fn fatal(self, code: i32) -> Self {
        self.means(code, of(code, Class::Permanent, Reached::Maybe).severity(Severity::Fatal))
    }
}

fn of(code: i32, class: Class, reached: Reached) -> Fault {
    Fault { code: Cow::Owned(format!("exit.{code}")), ..Fault::new(class, "exit") }.reached(reached)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sysexits_says_which_may_work_later() {
        let codes = Codes::sysexits();
        for (code, class) in [
            (75, Class::Transient),
            (64, Class::Permanent),
            (78, Class::Permanent),
            (127, Class::Permanent),
            (1, Class::Unknown),
            (69, Class::Unknown),
            (137, Class::Unknown),
        ] {
            assert_eq!(codes.fault(code).class, class, "{code}");
            assert_eq!(codes.fault(code).code, format!("exit.{code}"));
        }
        assert!(codes.is_success(0) && !codes.is_success(75));
    }

    #[test]
    fn the_tables_of_programs_differ_and_can_be_changed() {
        assert_eq!(Codes::ssh().fault(255).class, Class::Transient);
        assert_eq!(Codes::rsync().fault(23).class, Class::Unknown);
        assert_eq!(Codes::curl().fault(67).class, Class::Unauthorized);
        assert_eq!(Codes::curl().fault(7).reached, Reached::No);
        let codes = Codes::git().transient(128).success(1).permanent(0);
        assert_eq!(codes.fault(128).class, Class::Transient);
        assert!(codes.is_success(1) && !codes.is_success(0));
    }
}
