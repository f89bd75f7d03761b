//! What a thread does while another process holds the engine's lock: short jittered sleeps, up to a bound.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rusqlite::Connection;

use crate::base::rng::{Rng, entropy};
use crate::base::time::{Clock, Moment, SleepBlocking, System};
use crate::remember::sqlite::error;
use crate::remember::store::Error;

/// How long a write waits for other processes unless the options say otherwise.
pub(super) const BUSY_MAX: Duration = Duration::from_secs(30);

thread_local! {
    static ALLOWED: Cell<Duration> = const { Cell::new(BUSY_MAX) };
    static SINCE: Cell<Moment> = const { Cell::new(Moment::ZERO) };
    static CLOSING: RefCell<Option<Arc<AtomicBool>>> = const { RefCell::new(None) };
    static JITTER: RefCell<Rng> = RefCell::new(Rng::seeded(entropy()));
}

/// Sets for this thread how long its connections wait, and the flag that ends every wait at once.
pub(super) fn allow(allowed: Duration, closing: Option<Arc<AtomicBool>>) {
    ALLOWED.set(allowed);
    CLOSING.with_borrow_mut(|flag| *flag = closing);
}

/// Runs `action` with connections of this thread that do not wait at all.
pub(super) fn without_waiting<T>(action: impl FnOnce() -> T) -> T {
    let allowed = ALLOWED.replace(Duration::ZERO);
    let done = action();
    ALLOWED.set(allowed);
    done
}

/// How long this thread waited in its last wait, and how long it may.
pub(super) fn waited() -> (Duration, Duration) {
    (System.moment().since(SINCE.get()), ALLOWED.get())
}

/// Installs the handler: the first thing that is done to a connection.
pub(super) fn install(connection: &mut Connection) -> rusqlite::Result<()> {
    connection.busy_handler(Some(wait as fn(i32) -> bool))
}

/// Runs `action` again while the engine says that it is busy without having asked the handler, up to the bound.
pub(super) fn persist<T>(
    what: &'static str,
    action: impl FnMut() -> rusqlite::Result<T>,
) -> Result<T, Error> {
    insist(action).map_err(|found| error::of(what, found))
}

/// The same, in the engine's terms.
pub(super) fn insist<T>(mut action: impl FnMut() -> rusqlite::Result<T>) -> rusqlite::Result<T> {
    let mut count = 0;
    loop {
        match action() {
            Err(found) if error::is_busy(&found) && wait(count) => count += 1,
            done => return done,
        }
    }
}

/// Sleeps about as long as a commit takes at first, at most 7.5 ms later, and says whether to try again.
fn wait(count: i32) -> bool {
    let now = System.moment();
    if count == 0 {
        SINCE.set(now);
    }
    let closing = CLOSING.with_borrow(|flag| flag.as_ref().is_some_and(|flag| flag.load(Ordering::Relaxed)));
    if closing || now.since(SINCE.get()) >= ALLOWED.get() {
        return false;
    }
    // Whoever sleeps long here is passed by those who sleep short, so the steps grow only where nobody gets in.
    let step = match now.since(SINCE.get()).as_millis() {
        0..500 => 200,
        500..5_000 => 1_000,
        _ => 5_000,
    };
    let jitter = JITTER.with_borrow_mut(|rng| rng.up_to(step));
    System.sleep_blocking(Duration::from_micros(step / 2 + jitter));
    true
}
