//! Every backend of this crate keeps every rule of the seam.

use std::sync::Arc;
use std::time::Duration;

use unattended::memory::Memory;
use unattended::store::Store;
use unattended::testing::conformance::{self, HandClock, Harness};

struct OnMemory {
    clock: Arc<HandClock>,
    store: Memory,
}

impl OnMemory {
    fn new() -> Self {
        let clock = Arc::new(HandClock::new());
        Self { store: Memory::on(Arc::clone(&clock) as Arc<_>), clock }
    }
}

impl Harness for OnMemory {
    fn store(&self) -> &dyn Store {
        &self.store
    }

    fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    fn step_wall(&self, by_ms: i64) -> bool {
        self.clock.step_wall(by_ms);
        true
    }

    fn second(&self) -> Option<Box<dyn Store>> {
        Some(Box::new(self.store.second()))
    }
}

#[test]
fn memory_keeps_the_rules() {
    conformance::run(OnMemory::new);
}

#[test]
fn memory_tells_the_same_story_twice() {
    conformance::differential(OnMemory::new, 0..20);
}

#[cfg(feature = "sqlite")]
mod on_sqlite {
    use unattended::sqlite::Sqlite;

    use super::*;

    struct OnSqlite {
        clock: Arc<HandClock>,
        store: Sqlite,
        folder: tempfile::TempDir,
    }

    impl OnSqlite {
        fn new() -> Self {
            let clock = Arc::new(HandClock::new());
            let folder = tempfile::tempdir().unwrap();
            Self { store: open(&folder, &clock), clock, folder }
        }
    }

    fn open(folder: &tempfile::TempDir, clock: &Arc<HandClock>) -> Sqlite {
        let clock = Arc::clone(clock) as Arc<_>;
        Sqlite::options().clock(clock).open(folder.path().join("store.db")).unwrap()
    }

    impl Harness for OnSqlite {
        fn store(&self) -> &dyn Store {
            &self.store
        }

        fn advance(&self, by: Duration) {
            self.clock.advance(by);
        }

        fn step_wall(&self, by_ms: i64) -> bool {
            self.clock.step_wall(by_ms);
            true
        }

        fn second(&self) -> Option<Box<dyn Store>> {
            Some(Box::new(open(&self.folder, &self.clock)))
        }
    }

    #[test]
    fn sqlite_keeps_the_rules() {
        conformance::run(OnSqlite::new);
    }

    #[test]
    fn sqlite_and_memory_tell_the_same_story() {
        conformance::differential(OnSqlite::new, 0..20);
    }
}
