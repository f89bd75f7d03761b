//! A tree that is watched by the kernel's events.

mod mailbox;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::{Config, ErrorKind, RecommendedWatcher, RecursiveMode, Watcher};

use crate::base::time::{Clock, Moment, Now, System};
use crate::decide::intent::{self, Closing, Hint, Intent, Policy, Root, State, Token, Trouble};
use crate::observe::files::driver::Driver;
use crate::observe::files::error::interval;
use crate::observe::files::{Error, Scan};
use mailbox::Mailbox;

/// Whether each folder has a watch of its own, or the system watches whole trees.
const EACH_FOLDER: bool = cfg!(any(target_os = "linux", target_os = "android"));
/// How often it is looked whether a root that is gone is back.
const ROOT_EVERY: Duration = Duration::from_secs(1);
/// How often the tree is looked at again at once because new folders were found in it.
const ROUNDS_MAX: usize = 4;

/// How a tree is to be watched.
///
/// ```no_run
/// use std::time::Duration;
/// use unattended::files::{Scan, Watch};
/// use unattended::time::{Clock, System};
///
/// let mut tree = Watch::new(Scan::workspace("docs")).or_poll(Duration::from_secs(2)).start(System.now())?;
/// while let Some(intent) = tree.next(Duration::from_secs(3600)) {
///     println!("{intent}");
/// }
/// # Ok::<(), unattended::files::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Watch {
    scan: Scan,
    policy: Policy,
    poll_every: Option<Duration>,
    look_every: Option<Duration>,
}

impl Watch {
    /// The tree of `scan`, with the [default policy](Policy::default).
    #[must_use]
    pub fn new(scan: Scan) -> Self {
        let look_every = Some(Duration::from_secs(600));
        Self { scan, policy: Policy::default(), poll_every: None, look_every }
    }

    /// By another policy.
    #[must_use]
    pub const fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// Polls `every` so often (1 ms to 24 h) where the system gives no events, or no more of them. Without this that is an error.
    #[must_use]
    pub const fn or_poll(mut self, every: Duration) -> Self {
        self.poll_every = Some(every);
        self
    }

    /// Looks at the tree `every` so often (1 ms to 24 h) although nothing was heard of it; `None` never. By default every ten
    /// minutes: a network file system tells nothing of what other hosts do.
    #[must_use]
    pub const fn look_every(mut self, every: Option<Duration>) -> Self {
        self.look_every = every;
        self
    }

    /// Begins with what is there now.
    ///
    /// # Errors
    ///
    /// [`Error::NoFolder`], [`Error::TooMany`], [`Error::Field`], [`Error::Policy`]; and where it [does not poll](Self::or_poll)
    /// instead [`Error::WatchLimit`], [`Error::WatcherLimit`] and [`Error::Watch`].
    pub fn start(self, now: Now) -> Result<Watching, Error> {
        let Self { scan, policy, poll_every, look_every } = self;
        poll_every.map_or(Ok(()), |every| interval("or_poll", every))?;
        look_every.map_or(Ok(()), |every| interval("look_every", every))?;
        let mailbox = Arc::new(Mailbox::default());
        let mut events = Events { watcher: None, watched: BTreeMap::new(), is_limited: false };
        let opened = events.open(&scan, &mailbox);
        let walked = scan.walk();
        let folders = walked.folders.clone();
        let driver = Driver::start(scan, policy, walked)?;
        let next_look = look_every.map(|every| now.moment.after(every));
        let mut watching = Watching { driver, events, mailbox, poll_every, look_every, next_look };
        match opened.and_then(|()| watching.events.watch(&watching.driver.scan, folders)) {
            // What was made while the watches were set is found by this; it changes what it began with.
            Ok(()) => {
                drop(watching.covered_and_settled(now));
            }
            Err(error) => watching.poll_instead(now).ok_or(error)?,
        }
        Ok(watching)
    }
}

/// A tree that is watched by the kernel's events, by notify. An event is only a hint to look.
///
/// Each folder of the tree has a watch, and folders that are left out have none. The events are read by a thread of notify's; nothing
/// else happens but in [`turn`](Self::turn), which has to be called when [`wait`](Self::wait) says so, or when
/// [`next_wake`](Self::next_wake) has come. [`next`](Self::next) does both by the machine's clock.
#[derive(Debug)]
pub struct Watching {
    driver: Driver,
    events: Events,
    mailbox: Arc<Mailbox>,
    poll_every: Option<Duration>,
    look_every: Option<Duration>,
    next_look: Option<Moment>,
}

/// How it is known that something happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The kernel tells.
    Events,
    /// The kernel tells of a part of the tree; the rest is looked at [every so often](Watch::look_every).
    SomeEvents,
    /// It is looked every so often.
    Polling,
}

impl Watching {
    /// Waits, in real time, until something was heard, for `timeout` at most. Whether something was.
    pub fn wait(&self, timeout: Duration) -> bool {
        self.mailbox.wait(timeout)
    }

    /// Takes in what was heard, and says what has happened, if that is over. `None` says nothing. It never waits, but looks at
    /// the tree when it is time to: for 50,000 entries that is about a tenth of a second.
    pub fn turn(&mut self, now: Now) -> Option<Intent> {
        self.hear(now);
        if self.next_look.is_some_and(|at| at <= now.moment) {
            let state = self.driver.scan.snapshot();
            self.driver.compare(&state, now);
            self.driver.keep(state);
            self.plan_look(now);
        }
        if !self.driver.is_due(now) {
            return None;
        }
        let intent = self.covered_and_settled(now);
        self.plan_look(now);
        Some(intent)
    }

    /// When to call [`turn`](Self::turn) again, if nothing is heard before.
    #[must_use]
    pub fn next_wake(&self) -> Option<Moment> {
        self.driver.judge.next_wake().into_iter().chain(self.next_look).min()
    }

    /// The next thing that happens, by the machine's clock; `None` if nothing has after `timeout`.
    pub fn next(&mut self, timeout: Duration) -> Option<Intent> {
        let end = System.moment().after(timeout);
        loop {
            let now = System.now();
            if let Some(intent) = self.turn(now) {
                return Some(intent);
            }
            if now.moment >= end {
                return None;
            }
            let wake = self.next_wake().map_or(end, |wake| wake.min(end));
            // Whether something was heard or not, it is time for a turn.
            self.wait(wake.since(now.moment));
        }
    }

    /// How it is known that something happens.
    #[must_use]
    pub const fn source(&self) -> Source {
        match (&self.events.watcher, self.events.is_limited) {
            (Some(_), false) => Source::Events,
            (Some(_), true) => Source::SomeEvents,
            (None, _) => Source::Polling,
        }
    }

    /// The tree as it was judged last.
    #[must_use]
    pub const fn state(&self) -> &State {
        self.driver.base()
    }

    /// A tool announces itself: see [`Judge::begin_bulk`](crate::decide::intent::Judge::begin_bulk).
    ///
    /// # Errors
    ///
    /// [`intent::Error::TooManyAnnounced`].
    pub fn begin_bulk(&mut self, name: &str, now: Now) -> Result<Token, intent::Error> {
        self.driver.judge.begin_bulk(name, now)
    }

    /// The tool has ended: see [`Judge::end_bulk`](crate::decide::intent::Judge::end_bulk).
    pub fn end_bulk(&mut self, token: Token, now: Now) -> Closing {
        self.driver.judge.end_bulk(token, now)
    }

    /// Takes what is in the mailbox.
    fn hear(&mut self, now: Now) {
        let mail = self.mailbox.take();
        if mail.changed {
            self.driver.judge.observe(Hint::Changed, now);
        }
        for _ in 0..mail.overflows {
            self.driver.judge.observe(Hint::Overflow, now);
            // Folders may have gone and come without a word.
            self.events.watched.clear();
        }
        if let Some(trouble) = mail.trouble {
            self.fails(trouble, now);
        }
        // A new folder is watched at once, so that it is known how long things go on in it.
        for folder in mail.folders {
            let folders = self.driver.scan.folders_below(&folder);
            if let Err(error) = self.events.watch(&self.driver.scan, folders) {
                self.fails(trouble_of(&error), now);
            }
        }
    }

    /// Says what has happened until now, with a watch on each folder that there is: what is made in a folder before it has one is
    /// found by looking once more.
    fn covered_and_settled(&mut self, now: Now) -> Intent {
        for _ in 0..ROUNDS_MAX {
            let walked = self.driver.scan.walk();
            let fresh = self.events.unwatched(&walked.folders);
            if self.events.watcher.is_none() || fresh.is_empty() {
                self.events.is_limited = false;
                return self.driver.settle(walked.state, now);
            }
            if let Err(error) = self.events.watch(&self.driver.scan, fresh) {
                self.fails(trouble_of(&error), now);
                return self.driver.settle(self.driver.scan.snapshot(), now);
            }
        }
        // Folders come faster than they are watched: to be looked at again.
        let intent = self.driver.settle(self.driver.scan.snapshot(), now);
        self.driver.judge.observe(Hint::Changed, now);
        intent
    }

    fn fails(&mut self, trouble: Trouble, now: Now) {
        if self.poll_instead(now).is_some() || !self.events.is_limited {
            self.driver.judge.observe(Hint::Trouble(trouble), now);
        }
        self.events.is_limited = true;
    }

    /// Polls from now on, if that is wanted and not yet so.
    fn poll_instead(&mut self, now: Now) -> Option<()> {
        self.poll_every?;
        self.events.watcher = None;
        self.events.watched.clear();
        self.plan_look(now);
        Some(())
    }

    fn plan_look(&mut self, now: Now) {
        let every = if self.events.watcher.is_none() { self.poll_every } else { self.look_every };
        let is_gone = !matches!(self.driver.base().root(), Root::Folder(_));
        let every =
            if is_gone { Some(every.map_or(ROOT_EVERY, |every| every.min(ROOT_EVERY))) } else { every };
        self.next_look = every.map(|every| now.moment.after(every));
    }
}

/// The kernel's events.
struct Events {
    watcher: Option<RecommendedWatcher>,
    /// The folders that have a watch, with their inodes.
    watched: BTreeMap<PathBuf, u64>,
    is_limited: bool,
}

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Events").field("watched", &self.watched.len()).finish_non_exhaustive()
    }
}

impl Events {
    fn open(&mut self, scan: &Scan, mailbox: &Arc<Mailbox>) -> Result<(), Error> {
        let (root, filter, mailbox) = (scan.root().to_owned(), scan.filter.clone(), Arc::clone(mailbox));
        let put = move |event| mailbox.put(event, &root, &filter);
        // Links are not followed: one that leads up would be watched for ever.
        let config = Config::default().with_follow_symlinks(false);
        let watcher =
            RecommendedWatcher::new(put, config).map_err(|error| error_of(error, scan.root(), 0))?;
        self.watcher = Some(watcher);
        Ok(())
    }

    /// Those of `folders` that have no watch; and those that are not there any more are forgotten.
    fn unwatched(&mut self, folders: &[(PathBuf, u64)]) -> Vec<(PathBuf, u64)> {
        let there: BTreeMap<&PathBuf, u64> = folders.iter().map(|(path, inode)| (path, *inode)).collect();
        self.watched.retain(|path, inode| there.get(path) == Some(inode));
        let fresh = folders.iter().filter(|(path, _)| !self.watched.contains_key(path));
        fresh.cloned().collect()
    }

    /// Sets a watch on each of `folders`, whether they have one or not.
    fn watch(&mut self, scan: &Scan, folders: Vec<(PathBuf, u64)>) -> Result<(), Error> {
        let Some(watcher) = self.watcher.as_mut() else { return Ok(()) };
        let known = self.watched.len().saturating_add(folders.len());
        for (path, inode) in folders {
            // A path that ends in a separator is another one for notify.
            let is_root = path.as_os_str().is_empty();
            let whole = if is_root { scan.root().to_owned() } else { scan.root().join(&path) };
            let mode = if EACH_FOLDER { RecursiveMode::NonRecursive } else { RecursiveMode::Recursive };
            if EACH_FOLDER || is_root {
                match watcher.watch(&whole, mode) {
                    Ok(()) => {}
                    // It is gone again, or may not be read: the state says so.
                    Err(error) if is_passed_over(&error) && !is_root => {}
                    Err(error) => return Err(error_of(error, &whole, known)),
                }
            }
            self.watched.insert(path, inode);
        }
        Ok(())
    }
}

fn is_passed_over(error: &notify::Error) -> bool {
    use std::io::ErrorKind::{NotADirectory, NotFound, PermissionDenied};
    match &error.kind {
        ErrorKind::PathNotFound => true,
        ErrorKind::Io(error) => matches!(error.kind(), NotFound | NotADirectory | PermissionDenied),
        _ => false,
    }
}

fn trouble_of(error: &Error) -> Trouble {
    if matches!(error, Error::WatchLimit { .. }) { Trouble::WatchLimit } else { Trouble::Broken }
}

fn error_of(error: notify::Error, path: &Path, folders: usize) -> Error {
    // EMFILE: no more instances for this user, or no more open files for this process.
    const EMFILE: i32 = 24;
    match &error.kind {
        ErrorKind::MaxFilesWatch => Error::WatchLimit { folders, allowed: limit("max_user_watches") },
        ErrorKind::Io(io) if cfg!(unix) && io.raw_os_error() == Some(EMFILE) => {
            Error::WatcherLimit { allowed: limit("max_user_instances") }
        }
        _ => Error::Watch { path: path.to_owned(), source: error.into() },
    }
}

fn limit(name: &str) -> Option<u64> {
    fs::read_to_string(Path::new("/proc/sys/fs/inotify").join(name)).ok()?.trim().parse().ok()
}
