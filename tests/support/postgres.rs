//! A PostgreSQL for tests: `UNATTENDED_TEST_POSTGRES` if it is set, else a throwaway cluster of the binaries on this
//! machine, started once for each test program; else the test says that it is skipped.
//!
//! With `UNATTENDED_REQUIRE_POSTGRES=1` a skip is a failure.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio_postgres::{Client, NoTls};
use unattended::postgres::Postgres;

/// A schema of a test's own. It is dropped with this.
pub(crate) struct Database {
    pub(crate) url: String,
    pub(crate) schema: String,
    hand: Mutex<Option<Hand>>,
}

/// A connection beside the store's.
struct Hand {
    runtime: Runtime,
    client: Client,
}

impl Database {
    /// `None` where there is no PostgreSQL, after the one line that says so.
    pub(crate) fn new() -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let url = url()?.to_owned();
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        Some(Self { url, schema: format!("test_{}_{count}", std::process::id()), hand: Mutex::default() })
    }

    pub(crate) fn open(&self) -> Postgres {
        self.open_at(&self.url)
    }

    /// Opens the store by another way to the same server.
    pub(crate) fn open_at(&self, url: &str) -> Postgres {
        let options = Postgres::options().schema(self.schema.as_str()).connect_max(Duration::from_secs(30));
        options.connect_blocking(url).unwrap_or_else(|error| panic!("{}", unattended::fault::chain(&error)))
    }

    /// Runs statements in which `SCHEMA` stands for the test's schema.
    pub(crate) fn run(&self, sql: &str) {
        self.run_as_it_is(&sql.replace("SCHEMA", &self.schema));
    }

    pub(crate) fn run_as_it_is(&self, sql: &str) {
        self.with_hand(async |client| {
            client.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"))
        });
    }

    /// The one value that a statement gives, as text.
    pub(crate) fn value(&self, sql: &str) -> String {
        let sql = format!("SELECT CAST(({}) AS TEXT)", sql.replace("SCHEMA", &self.schema));
        self.with_hand(async |client| {
            let row = client.query_one(&sql, &[]).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
            row.get::<_, Option<String>>(0).unwrap_or_else(|| String::from("(null)"))
        })
    }

    fn with_hand<T>(&self, work: impl AsyncFnOnce(&Client) -> T) -> T {
        let mut hand = self.hand.lock().unwrap_or_else(PoisonError::into_inner);
        let hand = hand.get_or_insert_with(|| {
            let runtime = runtime();
            let (client, connection) = runtime.block_on(tokio_postgres::connect(&self.url, NoTls)).unwrap();
            runtime.spawn(connection);
            Hand { runtime, client }
        });
        hand.runtime.block_on(work(&hand.client))
    }

    /// Puts a clock in the place of the database's: it stands at 1 January 2026 until it is moved.
    pub(crate) fn stop_the_clock(&self) {
        self.run(
            "CREATE TABLE SCHEMA.hand (at timestamptz NOT NULL);
             INSERT INTO SCHEMA.hand VALUES ('2026-01-01T00:00:00Z');
             CREATE OR REPLACE FUNCTION SCHEMA.clock() RETURNS timestamptz LANGUAGE sql VOLATILE
                 AS $$ SELECT at FROM SCHEMA.hand $$",
        );
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.run(&format!("UPDATE SCHEMA.hand SET at = at + interval '{} milliseconds'", by.as_millis()));
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // A cluster of our own goes as a whole, but somebody else's is left as it was.
        if std::env::var("UNATTENDED_TEST_POSTGRES").is_ok() {
            self.run_as_it_is(&format!("DROP SCHEMA IF EXISTS {} CASCADE", self.schema));
        }
    }
}

pub(crate) fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// Where the server is, once for each program.
pub(crate) fn url() -> Option<&'static str> {
    static URL: OnceLock<Option<String>> = OnceLock::new();
    URL.get_or_init(|| {
        let found = match std::env::var("UNATTENDED_TEST_POSTGRES") {
            Ok(url) => Ok(url),
            Err(_) => Cluster::start(),
        };
        found.map_err(|why| skip("PostgreSQL", &why)).ok()
    })
    .as_deref()
}

/// Says that something is left out, or fails where nothing may be.
fn skip(what: &str, why: &str) {
    let required = std::env::var("UNATTENDED_REQUIRE_POSTGRES").is_ok_and(|value| value == "1");
    // What needs a cluster of our own cannot be had of somebody else's.
    let given = what != "PostgreSQL" && std::env::var("UNATTENDED_TEST_POSTGRES").is_ok();
    assert!(!required || given, "no {what}: {why}");
    // Past the harness, which keeps the output of tests that pass to itself.
    drop(writeln!(std::io::stderr().lock(), "skipped: no {what} ({why})"));
}

/// A cluster in a temporary folder, on a port of the loopback.
struct Cluster;

impl Cluster {
    fn start() -> Result<String, String> {
        let bin = binaries().ok_or("initdb and postgres are not on this machine")?;
        let folder =
            tempfile::Builder::new().prefix("unattended-pg-").tempdir().map_err(|error| error.to_string())?;
        // It goes with the watcher, who outlives this process.
        let folder = folder.keep();
        let user = unprivileged();
        if let Some(user) = &user {
            ran(Command::new("chown").arg(user).arg(&folder))?;
        }
        let data = folder.join("data");
        let mut initdb = as_user(user.as_deref(), &bin.join("initdb"));
        initdb.args([
            "--auth=trust",
            "--username=postgres",
            "--encoding=UTF8",
            "--no-locale",
            "--no-sync",
            "-D",
        ]);
        ran(initdb.arg(&data).current_dir("/"))?;
        let port = free_port();
        let mut server = as_user(user.as_deref(), &bin.join("postgres"));
        server.arg("-D").arg(&data).args(["-h", "127.0.0.1", "-p", &port.to_string(), "-k", ""]);
        for setting in ["max_connections=300", "shared_buffers=256MB", "log_min_messages=warning"] {
            server.args(["-c", setting]);
        }
        if certify(user.as_deref(), &folder).is_ok() {
            drop(AUTHORITY.set(folder.join("ca.pem")));
            for (setting, file) in [("ssl_cert_file", "server.pem"), ("ssl_key_file", "server.key")] {
                server.arg("-c").arg(format!("{setting}={}", folder.join(file).display()));
            }
            server.args(["-c", "ssl=on"]);
        }
        static PIPE: OnceLock<ChildStdin> = OnceLock::new();
        drop(PIPE.set(watched(&server, &folder)));
        Ok(format!("postgres://postgres@127.0.0.1:{port}/postgres"))
    }
}

/// The certificate of the authority that vouches for the throwaway server.
static AUTHORITY: OnceLock<PathBuf> = OnceLock::new();

/// `None` after one line that says so, where the server has no certificate of a known authority.
pub(crate) fn authority() -> Option<&'static Path> {
    url()?;
    let found = AUTHORITY.get();
    if found.is_none() {
        skip("TLS", "the server is not a cluster of our own, or openssl is not on this machine");
    }
    found.map(PathBuf::as_path)
}

/// Makes an authority, and a certificate of it for the loopback.
fn certify(user: Option<&str>, folder: &Path) -> Result<(), String> {
    let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"];
    let openssl = |words: &[&str]| {
        let mut command = as_user(user, Path::new("openssl"));
        ran(command.args(words).current_dir(folder))
    };
    let words =
        ["req", "-x509", "-subj", "/CN=an authority for tests", "-keyout", "ca.key", "-out", "ca.pem"];
    openssl(&[&words[..], &key[..]].concat())?;
    let request = ["req", "-subj", "/CN=localhost", "-keyout", "server.key", "-out", "server.csr"];
    openssl(&[&request[..], &key[..5]].concat())?;
    std::fs::write(folder.join("names"), "subjectAltName = IP:127.0.0.1\n")
        .map_err(|error| error.to_string())?;
    openssl(&[
        "x509",
        "-req",
        "-in",
        "server.csr",
        "-CA",
        "ca.pem",
        "-CAkey",
        "ca.key",
        "-CAcreateserial",
        "-days",
        "2",
        "-extfile",
        "names",
        "-out",
        "server.pem",
    ])
}

/// A PgBouncer before the server, pooling transactions: its URL, once for each program.
pub(crate) fn pgbouncer() -> Option<&'static str> {
    static URL: OnceLock<Option<(String, ChildStdin)>> = OnceLock::new();
    let started = URL.get_or_init(|| start_pgbouncer().map_err(|why| skip("PgBouncer", &why)).ok());
    started.as_ref().map(|(url, _)| url.as_str())
}

fn start_pgbouncer() -> Result<(String, ChildStdin), String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    folders.push(PathBuf::from("/usr/sbin"));
    let program = folders.iter().map(|folder| folder.join("pgbouncer")).find(|program| program.exists());
    let program = program.ok_or("pgbouncer is not on this machine")?;
    if std::env::var("UNATTENDED_TEST_POSTGRES").is_ok() {
        return Err(String::from("the server is not a cluster of our own"));
    }
    let behind: tokio_postgres::Config = url().ok_or("there is no PostgreSQL")?.parse().unwrap();
    let server = behind.get_ports().first().copied().unwrap_or(5432);
    let folder = tempfile::Builder::new()
        .prefix("unattended-pgb-")
        .tempdir()
        .map_err(|error| error.to_string())?
        .keep();
    let port = free_port();
    let config = format!(
        "[databases]\n* = host=127.0.0.1 port={server}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
         unix_socket_dir =\nauth_type = trust\nauth_file = {0}/users\npool_mode = transaction\ndefault_pool_size = 4\n\
         max_client_conn = 500\n",
        folder.display()
    );
    std::fs::write(folder.join("config"), config).unwrap();
    std::fs::write(folder.join("users"), "\"postgres\" \"\"\n").unwrap();
    let user = unprivileged();
    if let Some(user) = &user {
        ran(Command::new("chown").args(["-R", user]).arg(&folder))?;
    }
    let mut bouncer = as_user(user.as_deref(), &program);
    bouncer.arg(folder.join("config"));
    let pipe = watched(&bouncer, &folder);
    Ok((format!("postgres://postgres@127.0.0.1:{port}/postgres"), pipe))
}

/// Starts `server` under a watcher that stops it and removes its folder when this process ends, however it ends: it
/// reads from a pipe whose other end nobody else has.
#[allow(clippy::zombie_processes, reason = "it ends after this process")]
fn watched(server: &Command, folder: &Path) -> ChildStdin {
    const WATCH: &str = r#"folder=$1; shift; cd /
"$@" >"$folder/log" 2>&1 </dev/null & server=$!
cat >/dev/null
kill -QUIT "$server" 2>/dev/null; kill -TERM "$server" 2>/dev/null; wait "$server"; rm -rf "$folder""#;
    let mut watcher = Command::new("sh");
    watcher.args(["-c", WATCH, "watch"]).arg(folder).arg(server.get_program()).args(server.get_args());
    let mut watcher =
        watcher.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    watcher.stdin.take().unwrap()
}

/// Where `initdb` and `postgres` are: on the path, or where Debian keeps them, the newest.
fn binaries() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let mut debian: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|e| e.path().join("bin"))
        .collect();
    debian.sort();
    folders.extend(debian.into_iter().rev());
    folders.into_iter().find(|folder| folder.join("initdb").exists() && folder.join("postgres").exists())
}

/// The server refuses to be root, so root becomes somebody else for it.
fn unprivileged() -> Option<String> {
    let id = Command::new("id").arg("-u").output().unwrap();
    if id.stdout.trim_ascii() != b"0" {
        return None;
    }
    let there = |user: &&&str| Command::new("id").arg(user).output().is_ok_and(|done| done.status.success());
    ["postgres", "nobody"].iter().find(there).map(|user| (*user).to_owned())
}

fn as_user(user: Option<&str>, program: &Path) -> Command {
    let Some(user) = user else { return Command::new(program) };
    let mut command = Command::new("setpriv");
    let group = Command::new("id").args(["-gn", user]).output().unwrap();
    let group = String::from_utf8_lossy(group.stdout.trim_ascii()).into_owned();
    command.args(["--reuid", user, "--regid", &group, "--clear-groups", "--"]).arg(program);
    command
}

fn ran(command: &mut Command) -> Result<(), String> {
    let done = command.stdin(Stdio::null()).output().map_err(|error| format!("{command:?}: {error}"))?;
    if done.status.success() {
        return Ok(());
    }
    Err(format!("{command:?}: {}", String::from_utf8_lossy(&done.stderr)))
}

pub(crate) fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
