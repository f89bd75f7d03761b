//! Every backend of this crate keeps every rule of the seam.
#![allow(clippy::unwrap_used, reason = "a test helper stops at the first failure")]

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

/// A store with one fault, which the suite must find: a check that cannot fail is none.
mod with_a_fault {
    use unattended::store::{
        Applied, ApplyError, Batch, ClaimDue, Claimed, Error, Expect, Fencing, LeaseChange, Page, Prune,
        Query, Record, Write,
    };
    use unattended::time::BoxFuture;

    use super::*;
    use crate::forward::forward;

    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Fault {
        None,
        WritesOneByOne,
        ForgetsBatches,
        TakesLiveLeases,
        LetsZombiesWrite,
        KeepsTheFence,
        LosesEvents,
        ShowsThePausedAsDue,
        SkipsARecord,
        PrunesEverything,
    }

    struct Faulty {
        inner: OnMemory,
        fault: Fault,
    }

    impl Faulty {
        fn rewrite(&self, write: &Write) -> Write {
            let mut write = write.clone();
            match (self.fault, write.expect) {
                (Fault::TakesLiveLeases, Expect::LeaseOver { version }) => {
                    write.expect = Expect::Version(version)
                }
                (Fault::LetsZombiesWrite, Expect::Fence(fence)) if fence > 0 => {
                    let current =
                        unattended::blocking::Blocking(&self.inner.store).get(write.ns, &write.key).unwrap();
                    write.expect = current.map_or(write.expect, |record| Expect::Version(record.version));
                }
                (Fault::KeepsTheFence, Expect::LeaseOver { .. }) => write.put.fence = Fencing::Keep,
                (Fault::LosesEvents, Expect::Version(_)) => write.event = None,
                _ => {}
            }
            write
        }
    }

    impl Store for Faulty {
        forward!(caps owner get events => (inner.store));

        fn apply(&self, batch: Batch) -> BoxFuture<'_, Result<Applied, ApplyError>> {
            Box::pin(async move {
                if self.fault == Fault::None || batch.check().is_err() {
                    return self.inner.store.apply(batch).await;
                }
                let writes: Vec<Write> = batch.writes().iter().map(|write| self.rewrite(write)).collect();
                if self.fault == Fault::WritesOneByOne {
                    let mut all = Applied { now: Default::default(), writes: Vec::new(), replayed: false };
                    for write in writes {
                        let one = self.inner.store.apply(Batch::of(write)).await?;
                        all.now = one.now;
                        all.writes.extend(one.writes);
                    }
                    return Ok(all);
                }
                if self.fault == Fault::ForgetsBatches || writes != batch.writes() {
                    return self.inner.store.apply(Batch::new(writes)).await;
                }
                self.inner.store.apply(batch).await
            })
        }
        fn scan(&self, query: Query) -> BoxFuture<'_, Result<Page, Error>> {
            Box::pin(async move {
                let mut page = self.inner.store.scan(query.clone()).await?;
                match self.fault {
                    Fault::ShowsThePausedAsDue if query.attention => {
                        let mut all = query;
                        (all.attention, all.cursor) = (false, None);
                        let all = self.inner.store.scan(all).await?.records;
                        page.records.extend(all.into_iter().filter(|record| record.paused));
                    }
                    Fault::SkipsARecord if page.next.is_some() => drop(page.records.pop()),
                    _ => {}
                }
                Ok(page)
            })
        }
        fn prune(&self, prune: Prune) -> BoxFuture<'_, Result<u64, Error>> {
            Box::pin(async move {
                if self.fault == Fault::PrunesEverything {
                    let held = self.inner.store.scan(Query::all(prune.ns)).await?.records;
                    for record in held.into_iter().filter(Record::leased) {
                        let mut end = unattended::store::Put::nothing();
                        end.lease = LeaseChange::End;
                        let write = Write::new(record.ns, record.key, Expect::Version(record.version), end);
                        self.inner.store.apply(Batch::of(write)).await.unwrap();
                    }
                }
                self.inner.store.prune(prune).await
            })
        }
        fn claim_due(&self, claim: ClaimDue) -> BoxFuture<'_, Result<Vec<Claimed>, Error>> {
            self.inner.store.claim_due(claim)
        }
    }

    impl Harness for Faulty {
        fn store(&self) -> &dyn Store {
            self
        }
        fn advance(&self, by: Duration) {
            self.inner.advance(by);
        }
    }

    #[test]
    fn is_found_by_the_rule_that_it_breaks() {
        let broken = |fault| -> String {
            let broken = conformance::broken(|| Faulty { inner: OnMemory::new(), fault });
            broken.into_iter().map(|one| one.check).collect::<Vec<_>>().join("; ")
        };
        assert_eq!(broken(Fault::None), "");
        for (fault, rule) in [
            (Fault::WritesOneByOne, "as a whole or not at all"),
            (Fault::ForgetsBatches, "sent again is answered as then"),
            (Fault::TakesLiveLeases, "a live lease is not over"),
            (Fault::LetsZombiesWrite, "the zombie is refused"),
            (Fault::KeepsTheFence, "the zombie is refused"),
            (Fault::LosesEvents, "events come oldest first"),
            (Fault::ShowsThePausedAsDue, "due or orphaned, not paused"),
            (Fault::SkipsARecord, "pages show everything once"),
            (Fault::PrunesEverything, "never what is leased"),
        ] {
            let broken = broken(fault);
            assert!(broken.contains(rule), "{fault:?}: expected that {rule:?} is broken, found {broken:?}");
        }
    }

    #[test]
    fn is_found_by_the_story_too() {
        for fault in
            [Fault::ForgetsBatches, Fault::TakesLiveLeases, Fault::KeepsTheFence, Fault::WritesOneByOne]
        {
            let found = (0..40).find_map(|seed| {
                conformance::first_difference(&Faulty { inner: OnMemory::new(), fault }, seed)
            });
            assert!(found.is_some(), "{fault:?} was not found in 40 stories");
        }
    }
}

#[cfg(feature = "sqlite")]
mod on_sqlite {
    use unattended::sqlite::{Options, Sqlite};

    use super::*;

    struct OnSqlite {
        clock: Arc<HandClock>,
        store: Sqlite,
        folder: tempfile::TempDir,
        options: fn() -> Options,
    }

    impl OnSqlite {
        fn new() -> Self {
            Self::opened(Sqlite::options)
        }

        fn opened(options: fn() -> Options) -> Self {
            let clock = Arc::new(HandClock::new());
            let folder = tempfile::tempdir().unwrap();
            Self { store: open(&folder, &clock, options), clock, folder, options }
        }
    }

    fn open(folder: &tempfile::TempDir, clock: &Arc<HandClock>, options: fn() -> Options) -> Sqlite {
        let clock = Arc::clone(clock) as Arc<_>;
        options().clock(clock).open(folder.path().join("store.db")).unwrap()
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
            Some(Box::new(open(&self.folder, &self.clock, self.options)))
        }
    }

    #[test]
    fn sqlite_keeps_the_rules() {
        conformance::run(OnSqlite::new);
    }

    #[test]
    fn sqlite_on_one_connection_keeps_the_rules() {
        conformance::run(|| OnSqlite::opened(|| Sqlite::options().one_connection()));
    }

    #[test]
    fn sqlite_and_memory_tell_the_same_story() {
        conformance::differential(OnSqlite::new, 0..20);
    }
}
