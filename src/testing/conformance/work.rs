//! Attention, claims, concurrency and pruning.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use super::kit::{
    LEASE, NS, SEC, claim, codes, ensure, full, get, get_in, insert, keys, refused, same, state, store, write,
};
use super::{Check, Harness, Verdict};
use crate::base::time::Timestamp;
use crate::remember::blocking::Blocking;
use crate::remember::store::{
    ApplyError, Batch, Change, ClaimDue, Claimed, Expect, LeaseChange, Ns, Order, Prune, Put, Query, Store,
    Write,
};

pub(super) const CHECKS: &[Check] = &[
    Check { name: "attention: due or orphaned, not paused, not leased", run: attention },
    Check { name: "a lease follows no step of the wall clock", run: wall_steps },
    Check { name: "claim_due takes by rank, up to its limit, and writes the event", run: claims },
    Check { name: "claim_due filters by kind, state and namespace", run: claim_filters },
    Check { name: "claim_due flags an orphan and shuts its owner out", run: orphans },
    Check { name: "claim_due never takes what is paused, not yet due, or leased", run: left_alone },
    Check { name: "claim_due gives out one record of a serial key, in its turn", run: serial },
    Check { name: "claim_due takes the oldest first where it is told to", run: oldest_first },
    Check { name: "what is due in a while is due by the store's clock", run: due_in },
    Check { name: "no two claimers get one record", run: claimers },
    Check { name: "of concurrent writers at one version one wins, and none is lost", run: writers },
    Check { name: "prune takes what is settled and old, up to its limit, with its events", run: prunes },
    Check { name: "prune takes what has expired, and never what is leased", run: prune_spares_leases },
    Check { name: "a second handle sees the same records, and its end ends its leases", run: second_handle },
    Check { name: "the caps name the backend", run: caps },
];

fn now(h: &dyn Harness) -> Result<Timestamp, String> {
    if get_in(h, Ns::SNAPSHOT, "clock")?.is_none() {
        write(h, Write::new(Ns::SNAPSHOT, "clock", Expect::Absent, Put::nothing()), "a look at the clock")?;
    } else {
        let version = get_in(h, Ns::SNAPSHOT, "clock")?.map_or(0, |record| record.version);
        let look = Write::new(Ns::SNAPSHOT, "clock", Expect::Version(version), Put::nothing());
        write(h, look, "a look at the clock")?;
    }
    get_in(h, Ns::SNAPSHOT, "clock")?.map(|record| record.updated_at).ok_or_else(|| "no clock".to_owned())
}

fn due(at: Timestamp) -> Put {
    Put { due_at: Change::to(at), ..state("queued") }
}

fn needs(h: &dyn Harness) -> Result<String, String> {
    let query = Query { attention: true, order: Order::Oldest, ..Query::all(NS) };
    let oldest = keys(h, &query)?;
    let mut ranked = keys(h, &Query { order: Order::Rank, limit: 1, ..query.clone() })?;
    let mut newest = keys(h, &Query { order: Order::Newest, limit: 2, ..query })?;
    ranked.sort();
    newest.reverse();
    let mut sorted = oldest.clone();
    sorted.sort();
    same!(ranked, sorted, "attention by rank against oldest first, as sets");
    same!(newest, oldest, "attention newest first, reversed, against oldest first");
    Ok(oldest.join(" "))
}

fn attention(h: &dyn Harness) -> Verdict {
    let start = now(h)?;
    write(h, insert("idle", state("done")), "insert")?;
    write(h, insert("due", due(start)), "insert")?;
    write(h, insert("soon", due(start + SEC * 60)), "insert")?;
    write(h, insert("paused", Put { paused: Some(true), ..due(start) }), "insert")?;
    write(h, insert("held", Put::claim("processing", LEASE * 4)), "insert")?;
    let held_and_due = Put { due_at: Change::to(start), ..Put::claim("processing", LEASE * 4) };
    write(h, insert("held and due", held_and_due), "insert")?;
    write(h, insert("held and paused", Put { paused: Some(true), ..Put::claim("x", LEASE) }), "insert")?;
    same!(needs(h)?, "due", "what needs attention at first");
    h.advance(SEC * 60);
    same!(needs(h)?, "due soon", "what needs attention when one more is due");
    h.advance(SEC * 60);
    same!(
        needs(h)?,
        "due soon held,held and due".replace(',', " "),
        "what needs attention when the leases are over"
    );
    let held = get(h, "held")?;
    write(h, Write::new(NS, "held", Expect::Fence(held.fence), Put::renew(LEASE)), "a late renewal")?;
    let back = Put { lease: LeaseChange::End, due_at: Change::to(start + LEASE * 100), ..Put::nothing() };
    let both = get(h, "held and due")?;
    write(h, Write::new(NS, "held and due", Expect::Fence(both.fence), back), "put off")?;
    same!(needs(h)?, "due soon", "what needs attention after a renewal and a putting off");
    Ok(())
}

fn wall_steps(h: &dyn Harness) -> Verdict {
    if !h.step_wall(0) {
        return Ok(());
    }
    let held = write(h, insert("a", Put::claim("processing", LEASE)), "claim")?;
    let take = |version| Write::new(NS, "a", Expect::LeaseOver { version }, Put::claim("processing", LEASE));
    h.step_wall(3_600_000);
    ensure!(get(h, "a")?.leased(), "the lease is over because the wall clock was set an hour ahead");
    refused(h, take(held.version), "a takeover after the wall clock was set ahead")?;
    h.step_wall(-7_200_000);
    h.advance(LEASE);
    ensure!(!get(h, "a")?.leased(), "the lease is live because the wall clock was set back");
    same!(needs(h)?, "a", "what needs attention after the wall clock was set back");
    write(h, take(held.version), "a takeover at the lease's end after the wall clock was set back")?;
    Ok(())
}

fn take(h: &dyn Harness, claim: ClaimDue) -> Result<Vec<Claimed>, String> {
    store(h).claim_due(claim).map_err(|error| format!("claim_due: {}", full(&error)))
}

fn names(claimed: &[Claimed]) -> String {
    claimed.iter().map(|one| one.record.key.as_str()).collect::<Vec<_>>().join(" ")
}

fn claims(h: &dyn Harness) -> Verdict {
    let start = now(h)?;
    for (key, rank) in [("low", -2_000_000), ("high", 9), ("mid", -5), ("mid2", -5)] {
        write(h, insert(key, Put { rank: Some(rank), ..due(start) }), "insert")?;
    }
    let ranked = Query { attention: true, order: Order::Rank, limit: 1, ..Query::all(NS) };
    same!(keys(h, &ranked)?, ["high", "mid", "mid2", "low"], "page by page, by rank");
    let first = take(h, claim(3))?;
    same!(names(&first), "high mid mid2", "three claims, by rank");
    for one in &first {
        let stored = get(h, &one.record.key)?;
        same!(one.record, stored, "the record that was handed over against the one that is stored");
        same!((stored.state.as_str(), one.from.as_str()), ("processing", "queued"), "state and state before");
        same!((stored.due_at, one.orphan), (None, false), "due time and orphan flag");
        same!(stored.owner.as_deref(), Some(h.store().owner()), "the owner");
        ensure!(
            stored.leased() && stored.fence == stored.version,
            "not leased under a new fence: {stored:?}"
        );
        same!(codes(h, &one.record.key)?, ["due"], "the events");
    }
    let query = store(h).events(NS, "high", 0, 9).map_err(|error| full(&error))?;
    same!(query[0].event.actor, "worker:check", "the actor");
    same!(query[0].event.from.as_deref(), Some("queued"), "the state before, in the event");
    let named = ClaimDue { owner: Some("worker:7".into()), ..claim(9) };
    let second = take(h, named)?;
    same!(names(&second), "low", "what is left");
    same!(second[0].record.owner.as_deref(), Some("worker:7"), "the named owner");
    same!(take(h, claim(9))?.len(), 0, "claims when nothing is left");
    let fence = Expect::Fence(first[0].record.fence);
    write(h, Write::new(NS, "high", fence, state("done")), "a write under the claim's fence")?;
    Ok(())
}

fn claim_filters(h: &dyn Harness) -> Verdict {
    let start = now(h)?;
    for (key, state, kind) in [("a", "queued", "x"), ("b", "failed_transient", "y"), ("c", "waiting", "x")] {
        let put = Put { state: Some(state.into()), kind: Some(kind.into()), ..due(start) };
        write(h, insert(key, put), "insert")?;
    }
    write(h, Write::new(Ns::LEDGER, "d", Expect::Absent, due(start)), "insert elsewhere")?;
    let states = vec![String::from("queued"), String::from("failed_transient")];
    let of = |kind: &str| ClaimDue { kinds: vec![kind.into()], states: states.clone(), ..claim(9) };
    same!(names(&take(h, of("y"))?), "b", "claims of kind y");
    same!(names(&take(h, of("x"))?), "a", "claims of kind x, not in state waiting");
    same!(names(&take(h, claim(9))?), "c", "claims of any kind and state");
    same!(names(&take(h, ClaimDue { ns: Ns::LEDGER, ..claim(9) })?), "d", "claims in another namespace");
    Ok(())
}

fn orphans(h: &dyn Harness) -> Verdict {
    let start = now(h)?;
    write(h, insert("a", due(start)), "insert")?;
    let first = take(h, claim(1))?;
    same!(names(&first), "a", "the first claim");
    same!(take(h, claim(1))?.len(), 0, "claims while it is leased");
    h.advance(LEASE);
    let second = take(h, claim(1))?;
    same!(names(&second), "a", "the claim after the lease's end");
    same!((second[0].orphan, second[0].from.as_str()), (true, "processing"), "orphan flag and state before");
    ensure!(second[0].record.fence > first[0].record.fence, "the orphan's new fence is not above the old");
    same!(codes(h, "a")?, ["due", "orphan"], "the events");
    let zombie = Write::new(NS, "a", Expect::Fence(first[0].record.fence), state("succeeded"));
    refused(h, zombie, "the write of the owner that was taken for dead")
}

fn left_alone(h: &dyn Harness) -> Verdict {
    let start = now(h)?;
    write(h, insert("paused", Put { paused: Some(true), ..due(start) }), "insert")?;
    write(h, insert("later", due(start + LEASE * 50)), "insert")?;
    write(h, insert("held", Put::claim("processing", LEASE * 40)), "insert")?;
    let orphan = Put { paused: Some(true), ..Put::claim("processing", SEC) };
    write(h, insert("paused orphan", orphan), "insert")?;
    h.advance(LEASE);
    same!(names(&take(h, claim(9))?), "", "claims of what is to be left alone");
    let paused = get(h, "paused")?;
    let resume = Put { paused: Some(false), ..Put::nothing() };
    write(h, Write::new(NS, "paused", Expect::Version(paused.version), resume), "resume")?;
    same!(names(&take(h, claim(9))?), "paused", "the claim after it was resumed");
    Ok(())
}

fn serial(h: &dyn Harness) -> Verdict {
    let start = now(h)?;
    let of = |key: &str| Put { serial_key: Change::to(key.to_owned()), ..due(start) };
    for (key, serial) in [("a1", "a"), ("a2", "a"), ("b1", "b"), ("a3", "a")] {
        write(h, insert(key, of(serial)), "insert")?;
    }
    write(h, insert("free", due(start)), "insert")?;
    write(
        h,
        Write::new(Ns::LEDGER, "a0", Expect::Absent, Put { lease: LeaseChange::For(LEASE), ..of("a") }),
        "elsewhere",
    )?;
    let by_key = Query { serial_key: Some(String::from("a")), order: Order::Oldest, ..Query::all(NS) };
    same!(keys(h, &by_key)?.join(" "), "a1 a2 a3", "the records with one serial key");
    let first = take(h, claim(9))?;
    same!(names(&first), "a1 b1 free", "one of each serial key, and what has none");
    same!(names(&take(h, claim(9))?), "", "claims while another of the same key is held");
    same!(needs(h)?, "", "what needs attention while another of the same key is held");
    let fence = Expect::Fence(first[0].record.fence);
    let done = Put { lease: LeaseChange::End, ..state("done") };
    write(h, Write::new(NS, "a1", fence, done), "the end of the first")?;
    same!(needs(h)?, "a2 a3", "what needs attention after the first has ended");
    same!(names(&take(h, claim(1))?), "a2", "the next of the same key");
    h.advance(LEASE);
    let orphan = take(h, ClaimDue { order: Order::Oldest, ..claim(1) })?;
    same!(names(&orphan), "a2", "the orphan, when its lease is over");
    same!(names(&take(h, claim(9))?), "b1 free", "of those that are left, what no other holds");
    Ok(())
}

fn oldest_first(h: &dyn Harness) -> Verdict {
    let start = now(h)?;
    for (key, rank) in [("old", 1), ("new", 9)] {
        write(h, insert(key, Put { rank: Some(rank), ..due(start) }), "insert")?;
    }
    same!(names(&take(h, ClaimDue { order: Order::Oldest, ..claim(1) })?), "old", "the oldest");
    same!(names(&take(h, claim(1))?), "new", "the highest in rank");
    Ok(())
}

fn due_in(h: &dyn Harness) -> Verdict {
    let start = now(h)?;
    let wait = |secs: u32| Put { due_in: Some(SEC * secs), ..state("queued") };
    write(h, insert("at once", wait(0)), "insert")?;
    // The date says otherwise, as that of a clock that is an hour ahead would.
    let ahead = Put { due_at: Change::to(start + SEC * 3600), ..wait(60) };
    write(h, insert("soon", ahead.clone()), "insert")?;
    let idle = write(h, insert("idle", state("queued")), "insert")?;
    write(h, Write::new(NS, "idle", Expect::Version(idle.version), ahead), "an update")?;
    same!(needs(h)?, "at once", "what needs attention at first");
    for key in ["soon", "idle"] {
        let record = get(h, key)?;
        let wait = record.due_at.map(|due| due - record.updated_at);
        same!(wait.and_then(|wait| wait.to_std().ok()), Some(SEC * 60), format!("the wait of {key}"));
    }
    h.advance(SEC * 61);
    same!(needs(h)?, "at once soon idle", "what needs attention a minute later");
    Ok(())
}

fn claimers(h: &dyn Harness) -> Verdict {
    let start = now(h)?;
    for index in 0..60 {
        write(h, insert(&format!("k{index}"), due(start)), "insert")?;
    }
    let others: Vec<Box<dyn Store>> = (0..3).filter_map(|_| h.second()).collect();
    let mut stores: Vec<&dyn Store> = others.iter().map(AsRef::as_ref).collect();
    stores.resize(4, h.store());
    let taken = Mutex::new(Vec::new());
    let failed = Mutex::new(None);
    std::thread::scope(|scope| {
        for store in stores {
            let (taken, failed) = (&taken, &failed);
            scope.spawn(move || {
                let mut empty = 0;
                while empty < 40 {
                    match Blocking(store).claim_due(claim(3)) {
                        Ok(some) if some.is_empty() => empty += 1,
                        Ok(some) => taken.lock().unwrap_or_else(PoisonError::into_inner).extend(some),
                        Err(error) => {
                            *failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(full(&error));
                            return;
                        }
                    }
                }
            });
        }
    });
    same!(
        failed.into_inner().unwrap_or_else(PoisonError::into_inner),
        None,
        "claim_due beside other claimers"
    );
    let taken = taken.into_inner().unwrap_or_else(PoisonError::into_inner);
    let once: BTreeSet<&str> = taken.iter().map(|one| one.record.key.as_str()).collect();
    same!((taken.len(), once.len()), (60, 60), "claims, and different records among them");
    for one in &taken {
        same!(get(h, &one.record.key)?.fence, one.record.fence, "the fence that its one claimer was given");
    }
    Ok(())
}

fn writers(h: &dyn Harness) -> Verdict {
    let first = Put { rank: Some(0), ..state("s") };
    write(h, insert("a", first), "insert")?;
    let failed = Mutex::new(None);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            let (store, failed) = (h.store(), &failed);
            scope.spawn(move || {
                for _ in 0..10 {
                    if let Err(found) = add_one(store) {
                        *failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(found);
                        return;
                    }
                }
            });
        }
    });
    same!(
        failed.into_inner().unwrap_or_else(PoisonError::into_inner),
        None,
        "read, add one, write at its version"
    );
    same!(get(h, "a")?.rank, 80, "the sum of 8 writers times 10");
    Ok(())
}

fn add_one(store: &dyn Store) -> Verdict {
    let store = Blocking(store);
    for _ in 0..10_000 {
        let record = store.get(NS, "a").map_err(|error| full(&error))?.ok_or("the record is missing")?;
        let put = Put { rank: Some(record.rank + 1), ..Put::nothing() };
        match store.apply(Batch::of(Write::new(NS, "a", Expect::Version(record.version), put))) {
            Ok(_) => return Ok(()),
            Err(ApplyError::Conflict(_)) => {}
            Err(error) => return Err(full(&error)),
        }
    }
    Err(String::from("no write in 10000 tries"))
}

fn prune_of(h: &dyn Harness, states: &[&str], before: Timestamp, limit: u32) -> Result<u64, String> {
    let states = states.iter().map(|state| (*state).to_owned()).collect();
    let prune = Prune { ns: NS, states, updated_before: before, limit };
    store(h).prune(prune).map_err(|error| format!("prune: {}", full(&error)))
}

fn all_keys(h: &dyn Harness) -> Result<String, String> {
    Ok(keys(h, &Query { order: Order::Oldest, ..Query::all(NS) })?.join(" "))
}

fn prunes(h: &dyn Harness) -> Verdict {
    for (key, put) in
        [("a", state("done")), ("b", state("queued")), ("c", state("done")), ("d", state("failed"))]
    {
        write(h, insert(key, put).event(super::kit::event("made")), "insert")?;
    }
    write(h, Write::new(Ns::LEDGER, "e", Expect::Absent, state("done")), "insert elsewhere")?;
    h.advance(SEC);
    let middle = now(h)?;
    write(h, insert("young", state("done")), "insert")?;
    same!(prune_of(h, &[], middle, 100)?, 0, "records pruned with no state named");
    same!(prune_of(h, &["done"], get(h, "a")?.updated_at, 100)?, 0, "records pruned that changed just then");
    same!(prune_of(h, &["done"], middle, 1)?, 1, "records pruned with a limit of 1");
    same!(prune_of(h, &["done"], middle, 100)?, 1, "records pruned by the second call");
    same!(all_keys(h)?, "b d young", "what is left");
    same!(codes(h, "a")?.len(), 0, "events of a pruned record");
    same!(
        prune_of(h, &["failed", "done"], middle + SEC * 9, 100)?,
        2,
        "records pruned with two states named"
    );
    ensure!(get_in(h, Ns::LEDGER, "e")?.is_some(), "a prune of one namespace took a record of another");
    write(h, insert("a", state("queued")), "a pruned key, written again")?;
    same!(codes(h, "a")?.len(), 0, "events of a key written again after a prune");
    Ok(())
}

fn prune_spares_leases(h: &dyn Harness) -> Verdict {
    let start = now(h)?;
    let expiring = |put: Put| Put { expires_at: Change::to(start + SEC), ..put };
    write(h, insert("expires", expiring(state("done"))), "insert")?;
    write(h, insert("expires live", expiring(state("queued"))), "insert")?;
    write(h, insert("expires held", expiring(Put::claim("processing", LEASE))), "insert")?;
    write(h, insert("done held", Put::claim("done", LEASE)), "insert")?;
    write(h, insert("stays", state("queued")), "insert")?;
    same!(prune_of(h, &["done"], start, 100)?, 0, "records pruned before anything expired");
    h.advance(SEC);
    same!(prune_of(h, &[], start + SEC * 99, 100)?, 0, "records pruned with no state named");
    same!(prune_of(h, &["done"], start, 100)?, 1, "records pruned: one expired, settled and without a lease");
    let left = "expires live,expires held,done held,stays";
    same!(all_keys(h)?, left.replace(',', " "), "what is left: what expired before it was settled stays");
    same!(prune_of(h, &["done"], start + SEC * 99, 100)?, 0, "records pruned that are held");
    h.advance(LEASE);
    same!(prune_of(h, &["done"], start + SEC * 99, 100)?, 1, "records pruned after the leases were over");
    same!(all_keys(h)?, "expires live expires held stays", "what is left at last");
    Ok(())
}

fn second_handle(h: &dyn Harness) -> Verdict {
    let Some(second) = h.second() else { return Ok(()) };
    write(h, insert("a", state("queued")), "insert")?;
    let seen = Blocking(&*second).get(NS, "a").map_err(|error| full(&error))?;
    same!(seen, Some(get(h, "a")?), "the record through the second handle");
    let batch = Batch::of(insert("b", Put::claim("processing", LEASE)));
    let held = Blocking(&*second).apply(batch).map_err(|error| full(&error))?;
    let version = held.first().map_or(0, |written| written.version);
    same!(get(h, "b")?.owner.as_deref(), Some(second.owner()), "the owner of the second handle's claim");
    let take = Write::new(NS, "b", Expect::LeaseOver { version }, Put::claim("processing", LEASE));
    refused(h, take.clone(), "a takeover while the second handle is open")?;
    same!(needs(h)?, "", "what needs attention while the second handle is open");
    drop(second);
    if h.store().caps().multi_host {
        h.advance(LEASE);
    }
    ensure!(!get(h, "b")?.leased(), "the lease of a handle that is gone reads as live");
    same!(needs(h)?, "b", "what needs attention after the second handle is gone");
    let taken = write(h, take, "a takeover after the second handle is gone")?;
    ensure!(taken.fence > version, "the takeover's fence {} after {version}", taken.fence);
    h.advance(Duration::from_millis(1));
    ensure!(get(h, "b")?.leased(), "the new holder's lease reads as over");
    Ok(())
}

fn caps(h: &dyn Harness) -> Verdict {
    ensure!(!h.store().caps().name.is_empty(), "the backend has no name");
    Ok(())
}
