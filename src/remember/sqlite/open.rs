//! Opening: find, make or refuse the file, one process at a time.

use std::fs::DirBuilder;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;

use crate::base::time::Clock;
use crate::remember::sqlite::boot::Clocks;
use crate::remember::sqlite::connect::{self, Use};
use crate::remember::sqlite::own_transaction::{self, Lane};
use crate::remember::sqlite::owner::{self, Owner};
use crate::remember::sqlite::readers::Readers;
use crate::remember::sqlite::reserve::{self, Reserve};
use crate::remember::sqlite::schema::{self, FORMAT, Found};
use crate::remember::sqlite::site::Site;
use crate::remember::sqlite::writer::Writer;
use crate::remember::sqlite::{Sqlite, beside, busy, gate};
use crate::remember::store::Error;

/// How a store is opened.
#[derive(Clone)]
pub struct Options {
    create: bool,
    read_only: bool,
    migrate: Option<bool>,
    lock_dir: Option<PathBuf>,
    busy_max: Duration,
    one_connection: bool,
    clock: Option<Arc<dyn Clock>>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            create: true,
            read_only: false,
            migrate: None,
            lock_dir: None,
            busy_max: busy::BUSY_MAX,
            one_connection: false,
            clock: None,
        }
    }
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("create", &self.create)
            .field("read_only", &self.read_only)
            .field("migrate", &self.migrate)
            .field("lock_dir", &self.lock_dir)
            .field("busy_max", &self.busy_max)
            .field("one_connection", &self.one_connection)
            .finish_non_exhaustive()
    }
}

impl Options {
    /// Whether a store is made where there is none. The default is yes; else it is [`Error::Missing`].
    #[must_use]
    pub const fn create(mut self, create: bool) -> Self {
        self.create = create;
        self
    }

    /// Only read: no store is made, and every write is refused. The store must be there.
    ///
    /// The engine makes its own files beside it, `-wal` and `-shm`, where they are not there; on a full disk the reserve
    /// is given back for them. On a file system of this machine that is read-only as a whole, the store is read without
    /// them, unless its log has commits that are not in it yet: that is [`Error::ReadOnly`].
    #[must_use]
    pub const fn read_only(mut self) -> Self {
        self.read_only = true;
        self.create = false;
        self
    }

    /// Whether a store is brought to this release's format when it is opened to be written. Unless it is said, one of an
    /// older format is. With `false` it is left as it is, and this release works with it; with `true` it also gets the
    /// indexes that a release of the same format did not make yet.
    #[must_use]
    pub const fn migrate(mut self, migrate: bool) -> Self {
        self.migrate = Some(migrate);
        self
    }

    /// Where the locks are, instead of beside the file: for a file system on which locks do not work. It is written
    /// into a new store, and every process must name the same, since they see each other only through it.
    #[must_use]
    pub fn lock_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.lock_dir = Some(folder.into());
        self
    }

    /// How long a write waits for other processes before it is [`Error::Busy`]. The default is 30 s.
    #[must_use]
    pub const fn busy_max(mut self, bound: Duration) -> Self {
        self.busy_max = bound;
        self
    }

    /// Reads on the connection that writes, instead of on up to three of their own: for a process that lives for a moment, to which
    /// opening a connection is much of what it does. Then reads wait for writes. Of no effect with
    /// [`read_only`](Self::read_only).
    #[must_use]
    pub const fn one_connection(mut self) -> Self {
        self.one_connection = true;
        self
    }

    /// For tests: judges leases by the monotonic moment of `clock` instead of the time since boot, and takes the wall
    /// time from it.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Opens the store at `path`. On a full disk the reserve is given back, and the opening is tried once more.
    ///
    /// # Errors
    /// [`Error::Missing`]; [`Error::NotAStore`] for a file that is something else; [`Error::TooNew`];
    /// [`Error::Corrupt`]; [`Error::ReadOnly`] for a folder or a file system that cannot be written; [`Error::Setting`] when the engine
    /// refuses what durability hangs on, such as a write-ahead log on a network file system, or when the store was made
    /// with another lock folder; [`Error::Full`]; [`Error::Busy`]; [`Error::Io`].
    pub fn open(self, path: impl AsRef<Path>) -> Result<Sqlite, Error> {
        busy::allow(self.busy_max, None);
        let opened = self.open_with_bound(path.as_ref());
        busy::allow(busy::BUSY_MAX, None);
        opened
    }

    fn open_with_bound(self, path: &Path) -> Result<Sqlite, Error> {
        let path = resolve(path)?;
        if !self.create && !path.exists() {
            return Err(Error::Missing { path });
        }
        let reserve = Reserve::beside(&path);
        let stood = reserve.stands();
        let full = match self.clone().open_at(path.clone()) {
            Err(Error::Full { detail }) => detail,
            done => return done,
        };
        // Another process may have found the same and given it back meanwhile.
        let freed = reserve.give_back();
        if freed || stood {
            reserve::tell_full(&path, freed);
            return self.open_at(path);
        }
        Err(Error::Full { detail: format!("{}: {full}", path.display()) })
    }

    fn open_at(self, path: PathBuf) -> Result<Sqlite, Error> {
        let locks = self.lock_dir.clone().unwrap_or_else(|| beside(&path, "-lock"));
        let clocks = self.clock.clone().map_or_else(Clocks::system, Clocks::given);
        if self.read_only {
            return self.open_to_read(path, locks, clocks);
        }
        make_folder(&locks)?;
        // A process stopped in its opening cannot hold the others up for ever, so the gate may be None.
        let held = gate(&locks);
        schema::make_file(&path)?;
        schema::check_magic(&path)?;
        let connection = self.connect(&path)?;
        self.check_lock_dir(&connection, &path)?;
        let owner = Owner::new(&locks)?;
        owner::clear_the_dead(&locks);
        let name = owner.name().to_owned();
        let site = Arc::new(Site::new(path, locks, clocks, name, self.busy_max, false));
        if !site.reserve.fill() {
            let full = site.reserve.was_given_back() || !has_room(&site);
            site.counts.full.store(full, std::sync::atomic::Ordering::Relaxed);
        }
        drop(held);
        let writer = Writer::start(Arc::clone(&site), connection)?;
        let readers = Readers::new(Arc::clone(&site), self.one_connection.then(|| writer.queue()));
        let lane = Arc::new(std::sync::Mutex::new(Lane::new(&site)));
        own_transaction::remember(&site);
        Ok(Sqlite::new(site, readers, Some(writer), lane, Some(owner)))
    }

    fn open_to_read(self, path: PathBuf, locks: PathBuf, clocks: Clocks) -> Result<Sqlite, Error> {
        schema::check_magic(&path)?;
        let connection = connect::open_read_only(&path)?.connection;
        match schema::identify(&connection, &path)? {
            Found::Store(_) => {}
            Found::Nothing => return Err(Error::NotAStore { path, found: String::from("an empty file") }),
        }
        drop(connection);
        let site = Arc::new(Site::new(path, locks, clocks, String::from("reader"), self.busy_max, true));
        let lane = Arc::new(std::sync::Mutex::new(Lane::new(&site)));
        let readers = Readers::new(Arc::clone(&site), None);
        Ok(Sqlite::new(site, readers, None, lane, None))
    }

    fn connect(&self, path: &Path) -> Result<Connection, Error> {
        let mut connection = connect::open(path)?;
        // Judged before anything is changed: what is not ours stays as it is.
        let found = schema::identify(&connection, path)?;
        connect::use_wal(&connection)?;
        let wanted = match (found, self.migrate) {
            (Found::Nothing, _) => true,
            (Found::Store(format), None) => format != FORMAT,
            (Found::Store(_), Some(migrate)) => migrate,
        };
        if wanted {
            let lock_dir = self.lock_dir.as_deref().map_or_else(String::new, |dir| dir.display().to_string());
            schema::migrate(&mut connection, path, &lock_dir)?;
        }
        connect::check(&connection, Use::Write)?;
        Ok(connection)
    }

    fn check_lock_dir(&self, connection: &Connection, path: &Path) -> Result<(), Error> {
        let read = || {
            connection
                .query_row("SELECT lock_dir FROM store WHERE one = 1", [], |row| row.get::<_, String>(0))
        };
        let stored = busy::persist("cannot read the store's row", read).map_err(|error| match error {
            Error::Backend { source, .. } => Error::Corrupt { detail: format!("no store row: {source}") },
            other => other,
        })?;
        let given = self.lock_dir.as_deref().map_or_else(String::new, |dir| dir.display().to_string());
        if stored == given {
            return Ok(());
        }
        let say = |dir: &str| {
            if dir.is_empty() { beside(path, "-lock").display().to_string() } else { dir.to_owned() }
        };
        Err(Error::Setting { name: "lock_dir", found: say(&given), needed: say(&stored) })
    }
}

/// An absolute path without links in it, so that every process finds the same locks.
fn resolve(path: &Path) -> Result<PathBuf, Error> {
    let io = |source| Error::Io { action: "cannot find the store's folder", path: path.to_owned(), source };
    if let Ok(found) = path.canonicalize() {
        return Ok(found);
    }
    let Some(name) = path.file_name() else {
        return Err(Error::invalid("path", path.display(), "the name of a file"));
    };
    let folder =
        path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    match folder.canonicalize() {
        Ok(folder) => Ok(folder.join(name)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(Error::Missing { path: folder.to_owned() })
        }
        Err(error) => Err(io(error)),
    }
}

fn make_folder(locks: &Path) -> Result<(), Error> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(locks).map_err(|source| match source.kind() {
        std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem => {
            Error::ReadOnly { detail: format!("cannot make the lock folder {}: {source}", locks.display()) }
        }
        std::io::ErrorKind::StorageFull => Error::Full { detail: source.to_string() },
        _ => Error::Io { action: "cannot make the lock folder", path: locks.to_owned(), source },
    })
}

/// Whether the reserve could not be made for another reason than a full disk; then new work need not be refused.
fn has_room(site: &Site) -> bool {
    let probe = beside(&site.path, "-probe");
    let room = std::fs::write(&probe, [0_u8; 4096]).is_ok();
    drop(std::fs::remove_file(probe));
    room
}
