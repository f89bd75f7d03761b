//! A store in PostgreSQL, as a command line names it: an address, and what the usual variables and the password file
//! add to it. What is secret leaves this file only towards the driver.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use tokio_postgres::Config;
use tokio_postgres::config::Host;

use crate::operate::cli::address::{after_scheme, wrong_in};
use crate::operate::cli::failure::{Exit, Failure};
use crate::operate::cli::place::Surroundings;
use crate::remember::postgres::{Options, Postgres, SCHEMA};

/// The most bytes of a password file that are read.
const PASSFILE_MAX: u64 = 1024 * 1024;
/// Where a server on the same machine is asked when nothing names one.
const SOCKETS: &str = "/var/run/postgresql";

/// Where it is, and how to get in.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Remote {
    /// As the driver takes it; it holds the password.
    url: String,
    /// As it may be shown, and typed again.
    shown: String,
    schema: String,
    /// What was passed over on the way, and may be why it is refused.
    pub(super) note: Option<String>,
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote").field("shown", &self.shown).finish_non_exhaustive()
    }
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl Remote {
    /// Reads `text`, which `from` names. What it does not say is taken from `PGHOST`, `PGPORT`, `PGDATABASE`, `PGUSER`,
    /// `PGPASSWORD`, `PGSSLMODE`, and the password file of `PGPASSFILE` or `~/.pgpass`.
    pub(super) fn parse(text: &str, from: &str, around: &Surroundings<'_>) -> Result<Self, Failure> {
        const ALLOWED: &str = "allowed is postgres://USER@HOST:PORT/DATABASE?schema=NAME; the password is best given by PGPASSWORD or ~/.pgpass";
        let refused = |what: String| {
            Failure::new(Exit::Config, "store.address_invalid", format!("{from}: {what}")).hint(ALLOWED)
        };
        // The driver knows its scheme in small letters alone.
        let rest = after_scheme(text).ok_or_else(|| refused(String::from("it is no such address")))?;
        let (mut url, schema) = without_schema(&format!("postgres://{rest}"));
        let schema = schema.unwrap_or_else(|| String::from(SCHEMA));
        let parse = |url: &str| {
            let known = ["verify-full", "verify-ca"].iter().fold(url.to_owned(), |known, word| {
                known.replace(&format!("sslmode={word}"), "sslmode=require")
            });
            known.parse::<Config>().map_err(|_| wrong_in(&known))
        };
        let config = parse(&url).map_err(refused)?;
        let var = |name: &str| around.set(name).map(|value| value.to_string_lossy().into_owned());
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            let local = || if Path::new(SOCKETS).is_dir() { SOCKETS } else { "localhost" }.to_owned();
            add(&mut url, "host", &var("PGHOST").unwrap_or_else(local));
            if config.get_ports().is_empty()
                && let Some(port) = var("PGPORT")
            {
                add(&mut url, "port", &port);
            }
        }
        let user = || var("PGUSER").or_else(|| around.user_here());
        if config.get_user().is_none()
            && let Some(user) = user()
        {
            add(&mut url, "user", &user);
        }
        if config.get_dbname().is_none()
            && let Some(database) = var("PGDATABASE")
        {
            add(&mut url, "dbname", &database);
        }
        if !url.contains("sslmode=")
            && let Some(mode) = var("PGSSLMODE")
        {
            add(&mut url, "sslmode", &mode);
        }
        let full = parse(&url).map_err(|what| {
            refused(format!("with what PGHOST, PGPORT, PGUSER, PGDATABASE and PGSSLMODE say, {what}"))
        })?;
        let shown = shown(&full, &schema);
        let mut note = None;
        if full.get_password().is_none() {
            let password = match var("PGPASSWORD") {
                Some(password) => Some(password),
                None => from_file(&full, around, &mut note),
            };
            if let Some(password) = password {
                add(&mut url, "password", &password);
            }
        }
        Ok(Self { url, shown, schema, note })
    }

    /// Opens it.
    pub(super) fn open(&self, options: Options) -> Result<Postgres, crate::remember::store::Error> {
        options.schema(self.schema.as_str()).connect_blocking(&self.url)
    }

    /// Brings its schema to this release's format, and says which stood there before.
    pub(super) fn migrate(&self, options: Options) -> Result<Option<u32>, crate::remember::store::Error> {
        let options = options.schema(self.schema.as_str());
        crate::remember::blocking::block_on(crate::remember::postgres::migrate(&self.url, options))
    }
}

/// The address without its parameter `schema`, which the server does not know, and what that says.
fn without_schema(url: &str) -> (String, Option<String>) {
    let Some((before, query)) = url.split_once('?') else { return (url.to_owned(), None) };
    let mut schema = None;
    let rest: Vec<&str> = query
        .split('&')
        .filter(|part| match part.strip_prefix("schema=") {
            Some(name) => {
                schema = Some(name.to_owned());
                false
            }
            None => !part.is_empty(),
        })
        .collect();
    let join = if rest.is_empty() { "" } else { "?" };
    (format!("{before}{join}{}", rest.join("&")), schema)
}

/// Adds a parameter to the query.
fn add(url: &mut String, name: &str, value: &str) {
    url.push(if url.contains('?') { '&' } else { '?' });
    url.push_str(name);
    url.push('=');
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~/".contains(&byte) {
            url.push(char::from(byte));
        } else {
            url.push_str(&format!("%{byte:02X}"));
        }
    }
}

/// What may be told: who, where and which, and nothing else.
fn shown(config: &Config, schema: &str) -> String {
    let mut text = String::from("postgres://");
    if let Some(user) = config.get_user() {
        text.push_str(user);
        text.push('@');
    }
    let (hosts, sockets) = names(config);
    text.push_str(&hosts.join(","));
    if let Some(database) = config.get_dbname() {
        text.push('/');
        text.push_str(database);
    }
    for host in sockets {
        add(&mut text, "host", &host);
    }
    if schema != SCHEMA {
        add(&mut text, "schema", schema);
    }
    text
}

/// Hosts with their ports, and folders of sockets.
fn names(config: &Config) -> (Vec<String>, Vec<String>) {
    let (mut hosts, mut sockets) = (Vec::new(), Vec::new());
    for (index, host) in config.get_hosts().iter().enumerate() {
        match host {
            Host::Tcp(name) => {
                let port = port(config, index);
                hosts.push(if port == 5432 { name.clone() } else { format!("{name}:{port}") });
            }
            Host::Unix(path) => sockets.push(path.display().to_string()),
        }
    }
    (hosts, sockets)
}

fn port(config: &Config, index: usize) -> u16 {
    let ports = config.get_ports();
    ports.get(index).or_else(|| ports.first()).copied().unwrap_or(5432)
}

/// The password that the file has for this server, database and user, if the file is its owner's alone.
fn from_file(config: &Config, around: &Surroundings<'_>, note: &mut Option<String>) -> Option<String> {
    let home = || around.set("HOME").map(|home| PathBuf::from(home).join(".pgpass"));
    let path = around.set("PGPASSFILE").map(PathBuf::from).or_else(home)?;
    let found = fs::metadata(&path).ok().filter(fs::Metadata::is_file)?;
    if std::os::unix::fs::PermissionsExt::mode(&found.permissions()) & 0o077 != 0 {
        *note = Some(format!("{} was passed over: others may read it; `chmod 600` it", path.display()));
        return None;
    }
    if found.len() > PASSFILE_MAX {
        *note = Some(format!("{} was passed over: it has more than {PASSFILE_MAX} bytes", path.display()));
        return None;
    }
    let text = fs::read_to_string(&path).ok()?;
    let user = config.get_user()?;
    let database = config.get_dbname().unwrap_or(user);
    let hosts = config.get_hosts().iter().enumerate().map(|(index, host)| {
        let name = match host {
            Host::Tcp(name) => name.clone(),
            // The file names the usual folder of sockets so.
            Host::Unix(_) => String::from("localhost"),
        };
        (name, port(config, index).to_string())
    });
    let hosts: Vec<(String, String)> = hosts.collect();
    text.lines().find_map(|line| {
        let fields = fields(line)?;
        let fits = |field: &str, value: &str| field == "*" || field == value;
        let here = hosts.iter().any(|(host, port)| fits(&fields[0], host) && fits(&fields[1], port));
        (here && fits(&fields[2], database) && fits(&fields[3], user)).then(|| fields[4].clone())
    })
}

/// `host:port:database:user:password` with `\:` and `\\`, see <https://www.postgresql.org/docs/current/libpq-pgpass.html>.
fn fields(line: &str) -> Option<[String; 5]> {
    if line.starts_with('#') {
        return None;
    }
    let (mut all, mut escaped) = (vec![String::new()], false);
    for c in line.trim_end_matches(['\r', '\n']).chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' => {
                escaped = true;
                continue;
            }
            // The password may have colons that are not escaped.
            ':' if all.len() < 5 => {
                all.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(last) = all.last_mut() {
            last.push(c);
        }
    }
    all.try_into().ok()
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;

    fn read(url: &str, vars: &[(&str, &str)]) -> Remote {
        let var = |name: &str| vars.iter().find(|(n, _)| *n == name).map(|(_, v)| OsString::from(v));
        Remote::parse(url, "--store", &Surroundings { var: &var, root: false }).unwrap()
    }

    fn config(remote: &Remote) -> Config {
        remote.url.parse().unwrap()
    }

    #[test]
    fn the_schema_is_taken_out_before_the_driver_sees_it() {
        let remote = read("postgres://ada:pw@db/x?schema=jobs&sslmode=disable", &[]);
        assert_eq!(
            (remote.schema.as_str(), remote.url.as_str()),
            ("jobs", "postgres://ada:pw@db/x?sslmode=disable")
        );
        assert_eq!(read("postgres://ada:pw@db/x?schema=jobs", &[]).url, "postgres://ada:pw@db/x");
        assert_eq!(read("postgres://ada:pw@db/x", &[]).schema, SCHEMA);
    }

    #[test]
    fn no_password_is_shown() {
        let remote = read(
            "postgres://ada:hunter2@db:5433/x?schema=jobs&password=hunter3",
            &[("PGPASSWORD", "hunter4")],
        );
        assert_eq!(remote.to_string(), "postgres://ada@db:5433/x?schema=jobs");
        assert!(!format!("{remote:?}").contains("hunter"));
    }

    #[test]
    fn what_the_address_does_not_say_the_variables_do() {
        let vars = [
            ("PGHOST", "db.example"),
            ("PGPORT", "6000"),
            ("PGUSER", "ada"),
            ("PGPASSWORD", "p:w &#"),
            ("PGDATABASE", "jobs"),
        ];
        let found = config(&read("postgres://", &vars));
        assert_eq!(found.get_hosts(), [Host::Tcp(String::from("db.example"))]);
        assert_eq!(found.get_ports(), [6000]);
        assert_eq!((found.get_user(), found.get_dbname()), (Some("ada"), Some("jobs")));
        assert_eq!(found.get_password(), Some(b"p:w &#".as_slice()));
        let said = config(&read("postgres://eve:own@other/theirs", &vars));
        assert_eq!((said.get_user(), said.get_dbname()), (Some("eve"), Some("theirs")));
        assert_eq!(said.get_password(), Some(b"own".as_slice()));
    }

    #[test]
    fn the_password_file_is_read_as_libpq_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pass");
        fs::write(&path, "# mine\nother:*:*:*:no\ndb:5432:jobs:ada:a\\:b\\\\c:d\n*:*:*:*:any\n").unwrap();
        let mode =
            |mode| fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
        let vars = [("PGPASSFILE", path.to_str().unwrap())];
        mode(0o600);
        let password = |url: &str| config(&read(url, &vars)).get_password().map(<[u8]>::to_vec);
        assert_eq!(password("postgres://ada@db/jobs"), Some(b"a:b\\c:d".to_vec()));
        assert_eq!(password("postgres://eve@db/jobs"), Some(b"any".to_vec()));
        mode(0o644);
        let open = read("postgres://ada@db/jobs", &vars);
        assert_eq!(config(&open).get_password(), None);
        assert!(open.note.is_some_and(|note| note.contains("others may read it")));
    }

    #[test]
    fn what_cannot_be_read_is_not_repeated() {
        let failure = Remote::parse(
            "postgres://ada:hunter2@db:hunter3/x?nonsense",
            "--store",
            &Surroundings { var: &|_| None, root: false },
        );
        let failure = failure.unwrap_err();
        assert_eq!((failure.exit, &*failure.code), (Exit::Config, "store.address_invalid"));
        assert!(!failure.json().contains("hunter"), "{}", failure.json());
    }
}
