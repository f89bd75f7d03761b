//! How a store is opened.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod};
use tokio::time::timeout;
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres::{Config, Socket};

use crate::base::park;
use crate::remember::postgres::engine::Engine;
use crate::remember::postgres::info::Durability;
use crate::remember::postgres::link::Link;
use crate::remember::postgres::schema::{self, FORMAT, Found, Name};
use crate::remember::postgres::writer::Writer;
use crate::remember::postgres::{Postgres, tls};
use crate::remember::store::{BatchId, Error};

/// The most connections of each kind.
const CONNECTIONS_MAX: usize = 256;
/// Connections for writes that wait for a lock.
pub(super) const PATIENT: usize = 2;

type MakeManager = dyn Fn(Config, ManagerConfig) -> Manager + Send + Sync;

/// How a store is opened.
#[derive(Clone)]
pub struct Options {
    schema: String,
    lanes: usize,
    readers: usize,
    connect_max: Duration,
    answer_max: Duration,
    migrate: Option<bool>,
    application_name: Option<String>,
    manager: Option<Arc<MakeManager>>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            schema: String::from(super::SCHEMA),
            lanes: 2,
            readers: 4,
            connect_max: Duration::from_secs(5),
            answer_max: Duration::from_secs(30),
            migrate: None,
            application_name: None,
            manager: None,
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("schema", &self.schema)
            .field("lanes", &self.lanes)
            .field("readers", &self.readers)
            .field("connect_max", &self.connect_max)
            .field("answer_max", &self.answer_max)
            .field("migrate", &self.migrate)
            .field("application_name", &self.application_name)
            .finish_non_exhaustive()
    }
}

impl Options {
    /// The schema that the store is in: a plain identifier of at most 48 characters. The default is `unattended`. Each
    /// schema is a store of its own.
    #[must_use]
    pub fn schema(mut self, name: impl Into<String>) -> Self {
        self.schema = name.into();
        self
    }

    /// How many groups of writes may be under way at the same time, each on a connection. 1 to 256; the default is 2,
    /// which is the fastest for one server.
    #[must_use]
    pub const fn lanes(mut self, lanes: usize) -> Self {
        self.lanes = lanes;
        self
    }

    /// How many reads, claims and prunes may be under way at the same time, each on a connection. 1 to 256; the default
    /// is 4.
    #[must_use]
    pub const fn readers(mut self, readers: usize) -> Self {
        self.readers = readers;
        self
    }

    /// How long a request waits for a connection, also while the server is down, before it is
    /// [`Error::Unreachable`]. The default is 5 s.
    #[must_use]
    pub const fn connect_max(mut self, bound: Duration) -> Self {
        self.connect_max = bound;
        self
    }

    /// How long the answer to a statement may take; then its connection is given up. The default is 30 s.
    #[must_use]
    pub const fn answer_max(mut self, bound: Duration) -> Self {
        self.answer_max = bound;
        self
    }

    /// Whether the schema is brought to this release's format. Unless it is said, an empty database is filled and an
    /// older store is refused with [`Error::Setting`], so that no worker changes a database unasked; with `false` an
    /// empty one is [`Error::Missing`].
    #[must_use]
    pub const fn migrate(mut self, migrate: bool) -> Self {
        self.migrate = Some(migrate);
        self
    }

    /// The name that the server shows for the connections. The default is the one in the URL, else `unattended`.
    #[must_use]
    pub fn application_name(mut self, name: impl Into<String>) -> Self {
        self.application_name = Some(name.into());
        self
    }

    /// Your own TLS for the connections that a URL opens, such as one with client certificates. It is used as the URL's
    /// `sslmode` says; without it, that of the feature `postgres-tls`.
    #[must_use]
    pub fn tls<T>(mut self, connector: T) -> Self
    where
        T: MakeTlsConnect<Socket> + Clone + Sync + Send + 'static,
        T::Stream: Sync + Send,
        T::TlsConnect: Sync + Send,
        <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
    {
        let make = move |config, manager| Manager::from_config(config, connector.clone(), manager);
        self.manager = Some(Arc::new(make));
        self
    }

    /// Opens the store that `url` names: `postgres://user:password@host:port/database?sslmode=require`, or
    /// `host=… user=…`.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an option or a URL that cannot be (the URL is never shown); [`Error::Setting`] for a
    /// server that is too old, a database that is not UTF-8, a role or database that is refused, a store of an older
    /// format, or TLS without the feature for it; [`Error::Missing`] and [`Error::TooNew`]; [`Error::Unreachable`].
    pub async fn connect(self, url: &str) -> Result<Postgres, Error> {
        let manager = self.manager_of(url)?;
        let size = self.lanes.saturating_add(self.readers).saturating_add(PATIENT);
        let pool = Pool::builder(manager).max_size(size).build();
        let pool =
            pool.map_err(|error| Error::Backend { action: "cannot make a pool", source: Box::new(error) })?;
        self.open(pool, true).await
    }

    /// [`connect`](Self::connect), for programs without an async runtime. It parks the thread.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub fn connect_blocking(self, url: &str) -> Result<Postgres, Error> {
        park::block_on(self.connect(url))
    }

    /// Opens the store over your own pool, whose connections may be shared with other uses. Those that this store was
    /// the first to ask for end with it, and the pool replaces them. Those that others asked for may need your runtime, so [`Caps::own_threads`](crate::remember::store::Caps::own_threads) is false, and the blocking
    /// face refuses where it would wait for itself.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub async fn over(self, pool: Pool) -> Result<Postgres, Error> {
        self.open(pool, false).await
    }

    async fn open(self, pool: Pool, own: bool) -> Result<Postgres, Error> {
        let schema = Name::new(&self.schema)?;
        for (field, given) in [("lanes", self.lanes), ("readers", self.readers)] {
            if given == 0 || given > CONNECTIONS_MAX {
                return Err(Error::invalid(field, given, format!("1 to {CONNECTIONS_MAX}")));
            }
        }
        for (field, given) in [("connect_max", self.connect_max), ("answer_max", self.answer_max)] {
            if given.is_zero() {
                return Err(Error::invalid(field, "0 s", "more than 0 s"));
            }
        }
        let engine = Engine::start()?;
        let link = Link::new(pool, schema, owner_name(), self.readers, self.connect_max, self.answer_max);
        let link = Arc::new(link);
        let (ours, migrate) = (Arc::clone(&link), self.migrate);
        let durability = engine.run(async move { ready(&ours, migrate).await }).await?;
        let writer = Writer::start(&engine, &link, self.lanes);
        Ok(Postgres { engine, link, writer, durable: durability.durable(), own })
    }

    fn manager_of(&self, url: &str) -> Result<Manager, Error> {
        let (mut config, demanded) = tls::config_of(url)?;
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        if let Some(name) = &self.application_name {
            config.application_name(name);
        } else if config.get_application_name().is_none() {
            config.application_name("unattended");
        }
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(self.connect_max);
        }
        match &self.manager {
            Some(make) => Ok(make(config, recycling)),
            None => tls::manager(config, recycling, demanded),
        }
    }
}

/// Brings the store that `url` names to this release's format, as a step of its own, and says which format stood there
/// before (`None`: nothing). Safe from several hosts at once.
///
/// # Errors
/// As [`Options::connect`].
pub async fn migrate(url: &str, options: Options) -> Result<Option<u32>, Error> {
    let options = options.migrate(false);
    let manager = options.manager_of(url)?;
    let pool = Pool::builder(manager).max_size(1).build();
    let pool =
        pool.map_err(|error| Error::Backend { action: "cannot make a pool", source: Box::new(error) })?;
    let schema = Name::new(&options.schema)?;
    let engine = Engine::start()?;
    let link = Link::new(pool, schema, String::new(), 1, options.connect_max, options.answer_max);
    let step = async move {
        let mut connection = link.connection().await?;
        let found = timeout(link.answer_max, schema::migrate(&mut connection, &link.schema)).await;
        match found.unwrap_or_else(|_| Err(Error::Unreachable { detail: String::from("no answer") }))? {
            Found::Nothing => Ok(None),
            Found::Store(format) => Ok(Some(format)),
        }
    };
    engine.run(step).await
}

/// Looks at what stands there, fills it if it may, and reads the settings back.
async fn ready(link: &Link, migrate: Option<bool>) -> Result<Durability, Error> {
    let mut connection = link.connection().await?;
    let look = async {
        let found = schema::identify(&connection, &link.schema).await?;
        match (found, migrate) {
            (Found::Nothing, Some(false)) => {
                let path = std::path::PathBuf::from(format!("the schema {}", link.schema.as_str()));
                return Err(Error::Missing { path });
            }
            (Found::Nothing, _) | (Found::Store(..FORMAT), Some(true)) => {
                schema::migrate(&mut connection, &link.schema).await?;
            }
            (Found::Store(format @ ..FORMAT), _) => {
                let needed = format!("{FORMAT}; run postgres::migrate first");
                return Err(Error::Setting { name: "format", found: format.to_string(), needed });
            }
            (Found::Store(FORMAT..), _) => {}
        }
        Durability::read(&connection).await
    };
    timeout(link.answer_max, look).await.unwrap_or_else(|_| {
        Err(Error::Unreachable { detail: format!("no answer within {:?}", link.answer_max) })
    })
}

/// A name that no other handle has: host, process and a random end.
fn owner_name() -> String {
    let host = ["/proc/sys/kernel/hostname", "/etc/hostname"]
        .iter()
        .find_map(|path| std::fs::read_to_string(path).ok());
    let host = host.or_else(|| std::env::var("HOSTNAME").ok()).or_else(|| std::env::var("COMPUTERNAME").ok());
    let host: String = host.as_deref().unwrap_or("host").trim().chars().take(64).collect();
    let id = BatchId::new().to_string();
    format!("postgres:{host}:{}:{}", std::process::id(), id.rsplit('-').next().unwrap_or(&id))
}
