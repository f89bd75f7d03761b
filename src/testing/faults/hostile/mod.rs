//! An HTTP/1.1 server on loopback that misbehaves as it is told.

mod reply;
mod wire;

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use crate::base::rng::Rng;

pub use reply::Reply;

/// A server on 127.0.0.1 that answers each request with the [`Reply`] that a script, a seed or a closure gives.
///
/// It keeps what it was asked ([`requests`](Self::requests)), so that a test counts what was done twice. Each answer
/// closes its connection. Its waits are of real time, because its clients are real; keep them short. Dropping it ends
/// every wait at once and closes every connection; no thread of it is left.
///
/// ```
/// use std::io::{Read, Write};
/// use unattended::testing::faults::{Hostile, Reply};
///
/// let server = Hostile::script([Reply::status(503), Reply::ok(r#"{"page":1}"#)])?;
/// let get = || -> std::io::Result<String> {
///     let (mut client, mut answer) = (std::net::TcpStream::connect(server.addr())?, String::new());
///     client.write_all(b"GET /pages HTTP/1.1\r\nHost: hostile\r\n\r\n")?;
///     client.read_to_string(&mut answer)?;
///     Ok(answer)
/// };
/// assert!(get()?.starts_with("HTTP/1.1 503 "));
/// assert!(get()?.ends_with(r#"{"page":1}"#));
/// assert_eq!(server.requests()[1].path, "/pages");
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Hostile {
    addr: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
    /// Two ends of a connection: the port of the first is taken, and nobody listens on it.
    refusing: (TcpStream, TcpStream),
}

/// A request as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Request {
    /// The how manieth request it was, from 1.
    pub number: u64,
    /// `GET`, `POST` …
    pub method: String,
    /// The path with its query.
    pub path: String,
    /// Names in lower case, values without the white space around them; at most 128.
    pub headers: Vec<(String, String)>,
    /// At most the first 64 KiB.
    pub body: Vec<u8>,
    /// Whether it carried the current [token](Hostile::token); true where none is asked for.
    pub authorized: bool,
    /// Whether the effect that it asked for took place, see [`Reply::applied`].
    pub applied: bool,
    /// The status that was sent, if one was.
    pub status: Option<u16>,
}

impl Request {
    /// The value of the first header of this name, in any case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut named = self.headers.iter().filter(|(own, _)| own.eq_ignore_ascii_case(name));
        named.next().map(|(_, value)| value.as_str())
    }

    /// The header `Idempotency-Key`.
    #[must_use]
    pub fn idempotency_key(&self) -> Option<&str> {
        self.header("idempotency-key")
    }
}

impl Hostile {
    /// How many connections are served at the same time; one more is closed at once.
    pub const CONNECTIONS_MAX: usize = 64;
    /// How many requests are kept; later ones are answered and only counted.
    pub const REQUESTS_MAX: usize = 10_000;
    /// The host of [`unresolvable`](Self::unresolvable): names under `.invalid` do not exist (RFC 6761, 6.4).
    pub const UNRESOLVABLE: &'static str = "hostile.invalid";

    /// The replies in this order, one for each request; when they are used up, 200 with `{}`: it has recovered.
    ///
    /// # Errors
    ///
    /// No socket or no thread.
    pub fn script(replies: impl IntoIterator<Item = Reply>) -> io::Result<Self> {
        let mut script = Script::new(replies);
        Self::answering(move |_| script.next())
    }

    /// A script for each path, compared without the query; any other path is a 404.
    ///
    /// # Errors
    ///
    /// As [`script`](Self::script).
    pub fn routes<P: Into<String>, S: IntoIterator<Item = Reply>>(
        routes: impl IntoIterator<Item = (P, S)>,
    ) -> io::Result<Self> {
        let scripts = routes.into_iter().map(|(path, script)| (path.into(), Script::new(script)));
        let mut scripts: BTreeMap<String, Script> = scripts.collect();
        Self::answering(move |request| {
            let path = request.path.split('?').next().unwrap_or_default();
            scripts.get_mut(path).map_or_else(|| Reply::status(404), Script::next)
        })
    }

    /// Each reply as often as its weight says, by chance. The same seed gives the same replies in the same order. Where no
    /// weight is more than zero, 200 with `{}`.
    ///
    /// # Errors
    ///
    /// As [`script`](Self::script).
    pub fn seeded(seed: u64, weights: impl IntoIterator<Item = (u32, Reply)>) -> io::Result<Self> {
        let mut rng = Rng::seeded(seed);
        let weights: Vec<(u32, Reply)> = weights.into_iter().collect();
        let total: u64 = weights.iter().map(|(weight, _)| u64::from(*weight)).sum();
        Self::answering(move |_| {
            let mut drawn = rng.up_to(total.saturating_sub(1));
            for (weight, reply) in &weights {
                match drawn.checked_sub(u64::from(*weight)) {
                    Some(rest) => drawn = rest,
                    None => return reply.clone(),
                }
            }
            recovered()
        })
    }

    /// What the closure says. It is asked for one request after the other, and must not ask this server anything; when it
    /// panics, the answer is a 500.
    ///
    /// # Errors
    ///
    /// As [`script`](Self::script).
    pub fn answering(answer: impl FnMut(&Request) -> Reply + Send + 'static) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let addr = listener.local_addr()?;
        let refusing = unlistened()?;
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            changed: Condvar::new(),
            answer: Mutex::new(Box::new(answer)),
        });
        let accepting = Arc::clone(&shared);
        let acceptor = Builder::new().name("hostile".into()).spawn(move || accept(&listener, &accepting))?;
        Ok(Self { addr, shared, acceptor: Some(acceptor), refusing })
    }

    /// Where it listens.
    #[must_use]
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The URL of a path of it, such as `/pages`.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    /// Where every connection is refused, for as long as this server lives: the port is taken and nobody listens on it.
    ///
    /// # Errors
    ///
    /// The socket does not say its address.
    pub fn refusing_addr(&self) -> io::Result<SocketAddr> {
        self.refusing.0.local_addr()
    }

    /// The URL of a path on a host whose name is never found.
    #[must_use]
    pub fn unresolvable(path: &str) -> String {
        format!("http://{}{path}", Self::UNRESOLVABLE)
    }

    /// From now on a request must carry `Authorization: Bearer` and this token; any other is a 401, and is asked of neither
    /// script nor closure. Calling it again rotates the token: the one before has expired.
    pub fn token(&self, current: impl Into<String>) {
        self.shared.state().token = Some(current.into());
    }

    /// The requests so far, in their order; at most the first [`REQUESTS_MAX`](Self::REQUESTS_MAX).
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.shared.state().requests.clone()
    }

    /// How many requests there were.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.shared.state().count
    }

    /// How often each effect took place, by the `Idempotency-Key` of the request, or by method and path where it has none.
    /// More than once is what a client that is careful avoids; see [`Reply::applied`].
    #[must_use]
    pub fn effects(&self) -> BTreeMap<String, u32> {
        let mut effects = BTreeMap::new();
        for request in self.shared.state().requests.iter().filter(|request| request.applied) {
            let key = request.idempotency_key().map(str::to_owned);
            let key = key.unwrap_or_else(|| format!("{} {}", request.method, request.path));
            let times: &mut u32 = effects.entry(key).or_default();
            *times = times.saturating_add(1);
        }
        effects
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        {
            let mut state = self.shared.state();
            state.stopping = true;
            for stream in state.open.values() {
                // One that is closed already is what is wanted.
                let _closed = stream.shutdown(Shutdown::Both);
            }
        }
        self.shared.changed.notify_all();
        // The acceptor looks whether it should go on when something comes.
        let _woken = TcpStream::connect(self.addr);
        if let Some(acceptor) = self.acceptor.take() {
            // What it could say is a panic, which has been printed.
            drop(acceptor.join());
        }
        // Every read, write and wait of theirs has ended; the bound is for a closure that does not.
        let open = |state: &mut State| !state.open.is_empty();
        let state = self.shared.state();
        drop(self.shared.changed.wait_timeout_while(state, Duration::from_secs(5), open));
    }
}

impl fmt::Debug for Hostile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hostile")
            .field("addr", &self.addr)
            .field("count", &self.count())
            .finish_non_exhaustive()
    }
}

/// What decides about a request.
type Answer = Box<dyn FnMut(&Request) -> Reply + Send>;

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    /// Apart from the state, so that a closure may look at what was asked before.
    answer: Mutex<Answer>,
}

#[derive(Default)]
struct State {
    stopping: bool,
    /// What is being served; the streams are there to be shut down.
    open: BTreeMap<u64, TcpStream>,
    connections: u64,
    token: Option<String>,
    requests: Vec<Request>,
    count: u64,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits, and says whether the server stops.
    fn pause(&self, wait: Duration) -> bool {
        let state = self.state();
        let waited = self.changed.wait_timeout_while(state, wait, |state| !state.stopping);
        waited.unwrap_or_else(PoisonError::into_inner).0.stopping
    }

    /// Takes a connection in, unless there are too many.
    fn enter(&self, stream: &TcpStream) -> Option<u64> {
        let mut state = self.state();
        if state.stopping || state.open.len() >= Hostile::CONNECTIONS_MAX {
            return None;
        }
        let stream = stream.try_clone().ok()?;
        state.connections = state.connections.saturating_add(1);
        let id = state.connections;
        state.open.insert(id, stream);
        Some(id)
    }

    fn leave(&self, id: u64) {
        self.state().open.remove(&id);
        self.changed.notify_all();
    }

    /// What the request gets. It is kept before it is answered, so that who has the answer finds it.
    fn decide(&self, request: &mut Request) -> Reply {
        let mut answer = self.answer.lock().unwrap_or_else(PoisonError::into_inner);
        {
            let mut state = self.state();
            state.count = state.count.saturating_add(1);
            request.number = state.count;
            request.authorized = state.token.as_ref().is_none_or(|token| {
                request.header("authorization").and_then(|given| given.strip_prefix("Bearer ")) == Some(token)
            });
        }
        let reply = if request.authorized {
            let given = catch_unwind(AssertUnwindSafe(|| answer(request)));
            given.unwrap_or_else(|_| Reply::status(500))
        } else {
            Reply::status(401).header("WWW-Authenticate", "Bearer error=\"invalid_token\"")
        };
        (request.applied, request.status) = (reply.applied, reply.seen());
        let mut state = self.state();
        if state.requests.len() < Hostile::REQUESTS_MAX {
            state.requests.push(request.clone());
        }
        reply
    }
}

/// Takes connections until the server stops.
fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    loop {
        let accepted = listener.accept();
        if shared.pause(Duration::ZERO) {
            return;
        }
        let Ok((stream, _)) = accepted else {
            // Out of descriptors, as a rule; some may be free again soon.
            shared.pause(Duration::from_millis(10));
            continue;
        };
        let Some(id) = shared.enter(&stream) else { continue };
        let serving = Arc::clone(shared);
        let thread = Builder::new().name(format!("hostile {id}")).spawn(move || {
            serve(&stream, &serving);
            // Closed here and in the state's copy before it is said to be over.
            drop(stream);
            serving.leave(id);
        });
        if thread.is_err() {
            shared.leave(id);
        }
    }
}

fn serve(stream: &TcpStream, shared: &Shared) {
    // A client that goes away is no news here.
    let Ok(Some(mut request)) = wire::read(stream) else { return };
    let reply = shared.decide(&mut request);
    let _gone: io::Result<()> = wire::answer(stream, &request, &reply, |wait| shared.pause(wait));
}

struct Script(VecDeque<Reply>);

impl Script {
    fn new(replies: impl IntoIterator<Item = Reply>) -> Self {
        Self(replies.into_iter().collect())
    }

    fn next(&mut self) -> Reply {
        self.0.pop_front().unwrap_or_else(recovered)
    }
}

fn recovered() -> Reply {
    Reply::ok("{}")
}

/// A connection of this process with itself. Nobody listens on the port of its first end, and nobody else can take it.
fn unlistened() -> io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let near = TcpStream::connect(listener.local_addr()?)?;
    let (far, _) = listener.accept()?;
    Ok((near, far))
}

#[cfg(test)]
mod tests;
