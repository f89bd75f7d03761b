//! Where the store is: what was given, else the first of the places that an operator would look at.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::operate::cli::address::{after_scheme, is_meant};
use crate::operate::cli::failure::{Exit, Failure};
use crate::operate::cli::remote::Remote;

/// The file's name where only a folder is given.
pub(super) const FILE: &str = "unattended.db";
/// The folder for services and for root.
const SYSTEM: &str = "/var/lib/unattended";

/// A place, and why it is this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) at: At,
    /// Why there, such as `$STATE_DIRECTORY`.
    pub(super) from: &'static str,
}

/// What kind of place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum At {
    /// A file of SQLite.
    File(PathBuf),
    /// A schema in PostgreSQL.
    Remote(Box<Remote>),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.at {
            At::File(path) => write!(f, "{} ({})", path.display(), self.from),
            At::Remote(remote) => write!(f, "{remote} ({})", self.from),
        }
    }
}

/// What the process is asked about itself.
pub(super) struct Surroundings<'a> {
    pub(super) var: &'a dyn Fn(&str) -> Option<OsString>,
    pub(super) root: bool,
}

impl Surroundings<'_> {
    pub(super) fn of_process() -> Self {
        Self { var: &|name| std::env::var_os(name), root: is_root() }
    }

    /// A variable that is there and not empty.
    pub(super) fn set(&self, name: &str) -> Option<OsString> {
        (self.var)(name).filter(|value| !value.is_empty())
    }

    /// Whose process it is.
    pub(super) fn user_here(&self) -> Option<String> {
        let names = ["USER", "LOGNAME"];
        names.into_iter().find_map(|name| self.set(name)).map(|name| name.to_string_lossy().into_owned())
    }

    /// Who sits at the terminal, also behind sudo.
    pub(super) fn user(&self) -> Option<String> {
        let names = ["SUDO_USER", "USER", "LOGNAME"];
        names.into_iter().find_map(|name| self.set(name)).map(|name| name.to_string_lossy().into_owned())
    }
}

/// The place of the store.
///
/// `given` is `--store`; `default` is an application's own, which takes the place of the search.
pub(super) fn find(
    given: Option<&OsStr>,
    default: Option<&Path>,
    around: &Surroundings<'_>,
) -> Result<Place, Failure> {
    if let Some(given) = given {
        return parse(given, "--store", around);
    }
    if let Some(default) = default {
        return Ok(file_in(default.to_owned(), "the application's own"));
    }
    if let Some(given) = around.set("UNATTENDED_STORE") {
        return parse(&given, "$UNATTENDED_STORE", around);
    }
    if let Some(list) = around.set("STATE_DIRECTORY") {
        // systemd separates several with a colon; the first is the main one.
        let first = std::env::split_paths(&list).next().unwrap_or_default();
        return Ok(file(first.join(FILE), "$STATE_DIRECTORY"));
    }
    if around.root {
        return Ok(file(Path::new(SYSTEM).join(FILE), "the default for root"));
    }
    let absolute = |name: &str| around.set(name).map(PathBuf::from).filter(|path| path.is_absolute());
    if let Some(state) = absolute("XDG_STATE_HOME") {
        return Ok(file(state.join("unattended").join(FILE), "$XDG_STATE_HOME"));
    }
    if let Some(home) = absolute("HOME") {
        let path = home.join(".local/state/unattended").join(FILE);
        return Ok(file(path, "the default in $HOME"));
    }
    Err(Failure::new(Exit::Config, "store.no_place", "nothing says where the store is")
        .hint("name it with --store or $UNATTENDED_STORE: a path, sqlite:PATH or postgres://…"))
}

fn parse(text: &OsStr, from: &'static str, around: &Surroundings<'_>) -> Result<Place, Failure> {
    const ALLOWED: &str = "allowed is a path, sqlite:PATH or postgres://USER@HOST/DB";
    let refused = |message: String, hint: &str| {
        Err(Failure::new(Exit::Config, "store.unknown_kind", message).hint(hint.to_owned()))
    };
    let lossy = text.to_string_lossy();
    let told = lossy.trim();
    if told.is_empty() {
        return Err(Failure::usage(format!("{from} is empty; {ALLOWED}")));
    }
    if let Some(path) = of_sqlite(text) {
        if path.is_empty() {
            return Err(Failure::usage(format!("{from} names no path; {ALLOWED}")));
        }
        return Ok(file_in(PathBuf::from(path), from));
    }
    if after_scheme(told).is_some() {
        if text.to_str().is_none() {
            return refused(format!("{from} is an address that is not UTF-8"), ALLOWED);
        }
        let remote = Remote::parse(told, from, around)?;
        return Ok(Place { at: At::Remote(Box::new(remote)), from });
    }
    // What is no scheme, and what follows one, may hold a password: it is not repeated.
    if is_meant(told) {
        let message = format!("{from} looks like the address of a database, and is none that can be read");
        return refused(message, &format!("{ALLOWED}; a path that looks so is written ./PATH"));
    }
    match told.split_once(':') {
        Some((scheme, rest)) if rest.starts_with("//") || matches!(scheme, "postgres" | "postgresql") => {
            let plain = scheme.len() <= 20 && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric());
            let kind = if plain { format!("kind {scheme:?}") } else { String::from("a kind") };
            refused(format!("{from} names a store of {kind}, which this program does not have"), ALLOWED)
        }
        _ => Ok(file_in(PathBuf::from(text), from)),
    }
}

/// What follows `sqlite:`, in whatever case that is written.
fn of_sqlite(text: &OsStr) -> Option<&OsStr> {
    let (scheme, path) = text.as_bytes().trim_ascii().split_at_checked(b"sqlite:".len())?;
    let path = path.strip_prefix(b"//").unwrap_or(path);
    scheme.eq_ignore_ascii_case(b"sqlite:").then(|| OsStr::from_bytes(path))
}

fn file_in(path: PathBuf, from: &'static str) -> Place {
    let is_folder = path.is_dir() || path.as_os_str().as_bytes().ends_with(b"/");
    let path = if is_folder { path.join(FILE) } else { path };
    file(path, from)
}

const fn file(path: PathBuf, from: &'static str) -> Place {
    Place { at: At::File(path), from }
}

#[cfg(unix)]
fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[cfg(not(unix))]
const fn is_root() -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(vars: &[(&str, &str)], root: bool, given: Option<&str>, default: Option<&str>) -> PathBuf {
        match try_found(vars, root, given, default).unwrap().at {
            At::File(path) => path,
            At::Remote(remote) => PathBuf::from(remote.to_string()),
        }
    }

    fn try_found(
        vars: &[(&str, &str)],
        root: bool,
        given: Option<&str>,
        default: Option<&str>,
    ) -> Result<Place, Failure> {
        let var = |name: &str| vars.iter().find(|(n, _)| *n == name).map(|(_, v)| OsString::from(v));
        find(given.map(OsStr::new), default.map(Path::new), &Surroundings { var: &var, root })
    }

    #[test]
    fn the_order() {
        let vars = [
            ("UNATTENDED_STORE", "/e/store"),
            ("STATE_DIRECTORY", "/s/one:/s/two"),
            ("XDG_STATE_HOME", "/x"),
            ("HOME", "/h"),
        ];
        let path = |skip: usize, root| found(&vars[skip..], root, None, None);
        assert_eq!(path(0, true), Path::new("/e/store"));
        assert_eq!(path(1, true), Path::new("/s/one/unattended.db"));
        assert_eq!(path(2, true), Path::new("/var/lib/unattended/unattended.db"));
        assert_eq!(path(2, false), Path::new("/x/unattended/unattended.db"));
        assert_eq!(path(3, false), Path::new("/h/.local/state/unattended/unattended.db"));
        assert_eq!(found(&vars, true, Some("/g"), Some("/d")), Path::new("/g"));
        assert_eq!(found(&vars, true, None, Some("/d")), Path::new("/d"));
        assert_eq!(try_found(&[], false, None, None).unwrap_err().exit, Exit::Config);
    }

    #[test]
    fn what_is_empty_or_relative_where_it_must_not_be_is_as_if_not_set() {
        let vars = [("UNATTENDED_STORE", ""), ("XDG_STATE_HOME", "rel"), ("HOME", "/h")];
        assert_eq!(found(&vars, false, None, None), Path::new("/h/.local/state/unattended/unattended.db"));
    }

    #[test]
    fn urls() {
        let path = |given| found(&[], false, Some(given), None);
        assert_eq!(path("sqlite:/a/b"), Path::new("/a/b"));
        assert_eq!(path("sqlite:///a/b"), Path::new("/a/b"));
        assert_eq!(path("odd:name"), Path::new("odd:name"));
        assert_eq!(path("/tmp/"), Path::new("/tmp/unattended.db"));
        assert_eq!(try_found(&[], false, Some("sqlite:"), None).unwrap_err().exit, Exit::Usage);
        assert_eq!(path("postgres://ada:hunter2@db/x"), Path::new("postgres://ada@db/x"));
        assert_eq!(path(" Postgres://ada:hunter2@db/x "), Path::new("postgres://ada@db/x"));
        assert_eq!(path("SQLite:/a/b"), Path::new("/a/b"));
        assert_eq!(path("/data/a=b/x.db"), Path::new("/data/a=b/x.db"));
        assert_eq!(path("./postgres/x@y.db"), Path::new("./postgres/x@y.db"));
    }

    #[test]
    fn an_address_is_never_taken_for_a_path_and_its_password_never_repeated() {
        for address in [
            "mysql://ada:hunter2@db/x",
            "host=127.0.0.1 user=bob password=hunter2",
            "password=hunter2 x://",
            "postgres//bob:hunter2@h/db",
            "postgres:/bob:hunter2@h/db",
            "hunter2/hunter2://h",
            "postgres:hunter2",
        ] {
            for vars in [&[][..], &[("UNATTENDED_STORE", address)]] {
                let given = if vars.is_empty() { Some(address) } else { None };
                let refused = try_found(vars, false, given, None).unwrap_err();
                assert_eq!((refused.exit, &*refused.code), (Exit::Config, "store.unknown_kind"), "{address}");
                assert!(!refused.json().contains("hunter2"), "{}", refused.json());
                assert!(refused.json().contains("postgres://USER@HOST/DB"), "{}", refused.json());
            }
        }
    }

    #[test]
    fn a_path_may_have_any_bytes() {
        let of = |bytes: &[u8]| {
            find(Some(OsStr::from_bytes(bytes)), None, &Surroundings { var: &|_| None, root: false })
        };
        for given in [&b"/x/\xff.db"[..], b"sqlite:/x/\xff.db"] {
            assert_eq!(of(given).unwrap().at, At::File(PathBuf::from(OsStr::from_bytes(b"/x/\xff.db"))));
        }
        assert_eq!(of(b"postgres://bob:\xff@h/db").unwrap_err().exit, Exit::Config);
    }

    #[test]
    fn whoever_called_sudo_is_the_operator() {
        let var = |name: &str| match name {
            "SUDO_USER" => Some(OsString::from("ada")),
            "USER" => Some(OsString::from("root")),
            _ => None,
        };
        assert_eq!(Surroundings { var: &var, root: true }.user().as_deref(), Some("ada"));
        assert_eq!(Surroundings { var: &|_| None, root: false }.user(), None);
    }
}
