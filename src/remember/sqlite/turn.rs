//! Turns between processes: two kernel locks before the engine's own, so that a steady writer cannot starve others.
//!
//! A writer first takes the lock `turn`, then waits for `main` while it holds it, then lets `turn` go and works under
//! `main`. So whoever has just worked stands behind whoever waits. Both are polled, never waited on in the kernel. A
//! process that is stopped in the middle of its turn keeps its locks: when a lock does not come free although the
//! engine is, whoever finds that goes ahead, and moves all to the next pair of locks by a byte that all of them read.
//! The locks only order writers; what is written is kept whole by the engine alone, so that doing without a turn is
//! slow for others, never wrong.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::base::time::{Clock, Moment, SleepBlocking, System};
use crate::remember::file::{lock_file, try_lock};

/// How many pairs of locks there are. Each stopped process makes one of them useless until it goes on.
const PAIRS: u8 = 8;
/// How long a lock is waited for before the engine is asked whether anybody works at all.
const PATIENCE: Duration = Duration::from_millis(20);
const POLL_TURN: Duration = Duration::from_micros(150);
const POLL_MAIN: Duration = Duration::from_micros(30);
/// How long a turn is waited for; then the engine's own lock decides.
const WAIT_MAX: Duration = Duration::from_secs(1);

/// One writer's place at the locks. Not shared: the kernel tells lock holders apart by their open files.
pub(super) struct Turnstile {
    folder: PathBuf,
    /// Holds the number of the pair in use.
    pair: Option<File>,
    locks: [Option<(File, File)>; PAIRS as usize],
}

/// A turn, or the right to go ahead without one; it ends when this is dropped.
pub(super) struct Turn<'a>(Option<&'a File>);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if let Some(main) = self.0 {
            // A lock that cannot be released is released with its file; until then the others find the engine free.
            drop(main.unlock());
        }
    }
}

/// How the wait at one pair of locks ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    Taken,
    /// The lock is held, and nobody works: its holder is stopped.
    Stuck,
    /// Others have gone over to another pair.
    Moved,
    /// The bound is reached.
    Over,
}

impl Turnstile {
    pub(super) fn new(folder: &Path) -> Self {
        let pair = lock_file(&folder.join("turn")).ok();
        Self { folder: folder.to_owned(), pair, locks: [const { None }; PAIRS as usize] }
    }

    /// Waits for a turn. `engine_free` tells whether the engine's write lock is to be had, without waiting, and may
    /// keep it; it is asked when a lock does not come free in time, and what it says is believed.
    pub(super) fn enter(&mut self, mut engine_free: impl FnMut() -> bool) -> Turn<'_> {
        let end = System.moment().after(WAIT_MAX);
        loop {
            let pair = self.current();
            self.open(pair);
            match self.take(pair, end, &mut engine_free) {
                Wait::Taken => return Turn(self.main(pair)),
                Wait::Moved => {}
                Wait::Stuck => {
                    self.leave(pair);
                    return Turn(None);
                }
                Wait::Over => return Turn(None),
            }
        }
    }

    /// Takes `turn`, then `main`, then lets `turn` go.
    fn take(&self, pair: u8, end: Moment, engine_free: &mut impl FnMut() -> bool) -> Wait {
        let Some((turn, main)) = self.locks.get(usize::from(pair)).and_then(Option::as_ref) else {
            return Wait::Over;
        };
        let waited = self.wait(turn, pair, POLL_TURN, end, engine_free);
        if waited != Wait::Taken {
            return waited;
        }
        let waited = self.wait(main, pair, POLL_MAIN, end, engine_free);
        drop(turn.unlock());
        waited
    }

    fn wait(
        &self,
        file: &File,
        pair: u8,
        every: Duration,
        end: Moment,
        engine_free: &mut impl FnMut() -> bool,
    ) -> Wait {
        loop {
            if poll(file, every, PATIENCE, || self.current() != pair) {
                return Wait::Taken;
            }
            if self.current() != pair {
                return Wait::Moved;
            }
            if engine_free() {
                return Wait::Stuck;
            }
            if System.moment() >= end {
                return Wait::Over;
            }
        }
    }

    /// Moves all to the next pair whose locks nobody holds, unless somebody has already.
    fn leave(&mut self, stuck: u8) {
        if self.current() != stuck {
            return;
        }
        for step in 1..PAIRS {
            let next = (stuck + step) % PAIRS;
            self.open(next);
            if self.main(next).is_some_and(|main| try_lock(main) && main.unlock().is_ok()) {
                self.set_current(next);
                return;
            }
        }
    }

    fn main(&self, pair: u8) -> Option<&File> {
        self.locks.get(usize::from(pair))?.as_ref().map(|(_, main)| main)
    }

    fn open(&mut self, pair: u8) {
        let Some(slot) = self.locks.get_mut(usize::from(pair)) else { return };
        if slot.is_none() {
            let turn = lock_file(&self.folder.join(format!("turn-{pair}"))).ok();
            let main = lock_file(&self.folder.join(format!("main-{pair}"))).ok();
            *slot = turn.zip(main);
        }
    }

    fn current(&self) -> u8 {
        let mut byte = [0];
        let Some(mut file) = self.pair.as_ref() else { return 0 };
        match file.seek(SeekFrom::Start(0)).and_then(|_| file.read(&mut byte)) {
            Ok(_) => byte[0] % PAIRS,
            Err(_) => 0,
        }
    }

    fn set_current(&self, pair: u8) {
        if let Some(mut file) = self.pair.as_ref() {
            // When it cannot be written, everybody goes on finding the next pair alone.
            drop(file.seek(SeekFrom::Start(0)).and_then(|_| file.write_all(&[pair])));
        }
    }
}

/// A lock on one file that is waited for, up to a bound.
pub(super) struct Held(File);

impl Drop for Held {
    fn drop(&mut self) {
        drop(self.0.unlock());
    }
}

/// Waits up to `patience` for the lock of `path`; `None` when it was not to be had.
pub(super) fn hold(path: &Path, patience: Duration) -> Option<Held> {
    let file = lock_file(path).ok()?;
    poll(&file, Duration::from_micros(500), patience, || false).then_some(Held(file))
}

fn poll(file: &File, every: Duration, patience: Duration, given_up: impl Fn() -> bool) -> bool {
    if try_lock(file) {
        return true;
    }
    let end = System.moment().after(patience);
    loop {
        System.sleep_blocking(every);
        if try_lock(file) {
            return true;
        }
        if System.moment() >= end || given_up() {
            return false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_holder_that_never_leaves_delays_others_once() {
        let folder = tempfile::tempdir().unwrap();
        let mut stopped = Turnstile::new(folder.path());
        let _turn = stopped.enter(|| panic!("nobody is before it"));
        let mut other = Turnstile::new(folder.path());
        let begun = System.moment();
        let mut asked = 0;
        // The engine is busy when it is asked first: then the holder works, and is waited for.
        let turn = other.enter(|| {
            asked += 1;
            asked > 1
        });
        assert!(turn.0.is_none(), "it goes ahead without a turn");
        assert!(System.moment().since(begun) >= PATIENCE * 2);
        drop(turn);
        let mut third = Turnstile::new(folder.path());
        assert_ne!(third.current(), 0, "the third reads which pair is in use");
        let turn = third.enter(|| panic!("the next pair is free"));
        assert!(turn.0.is_some());
    }

    #[test]
    fn a_turn_ends_when_it_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let mut one = Turnstile::new(folder.path());
        let mut two = Turnstile::new(folder.path());
        for _ in 0..3 {
            assert!(one.enter(|| false).0.is_some());
            assert!(two.enter(|| false).0.is_some());
        }
        assert_eq!(two.current(), 0, "nobody had to leave the first pair");
    }

    #[test]
    fn without_a_folder_there_are_no_turns_and_no_failure() {
        let mut turnstile = Turnstile::new(Path::new("/nowhere/at/all"));
        assert!(turnstile.enter(|| false).0.is_none());
    }
}
