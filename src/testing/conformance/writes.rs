//! Preconditions, versions, fences, what a write keeps and sets, and the bounds.

use std::time::Duration;

use super::kit::{
    LEASE, NS, SEC, applied, codes, conflicts, ensure, event, get, get_in, insert, refused, same,
};
use super::kit::{state, store, write};
use super::{Check, Harness, Verdict};
use crate::remember::store::{
    ApplyError, BODY_MAX, Batch, Change, Error, Expect, KEY_MAX, LEASE_MAX, LeaseChange, Ns, Prune, Put,
    WRITES_MAX, Write, to_millis,
};

pub(super) const CHECKS: &[Check] = &[
    Check { name: "absent writes once, and the loser is given the winner", run: absent },
    Check { name: "a version holds until the next write", run: version },
    Check { name: "a fence holds for its holder alone, and fence 0 for nobody", run: fence },
    Check { name: "a live lease is not over, at its end it is", run: lease_over },
    Check { name: "a batch is applied as a whole or not at all", run: all_or_nothing },
    Check { name: "a batch writes several namespaces, and its versions follow each other", run: whole_batch },
    Check {
        name: "versions ascend over the whole store and do not restart after a prune",
        run: versions_ascend,
    },
    Check { name: "a fence holds past its lease until a takeover, and the zombie is refused", run: zombie },
    Check { name: "a fence number never comes again, also after a prune", run: fences_never_repeat },
    Check { name: "a field that is kept stays, a field that is set changes", run: keep_and_set },
    Check { name: "what nobody set is empty on a new record", run: blank },
    Check { name: "text and numbers come back exactly", run: exact },
    Check { name: "the owner is the handle's own unless one is named, and a renewal keeps it", run: owners },
    Check { name: "a renewal moves the lease's end and tells what an operator asked for", run: renewal },
    Check { name: "an ended lease is gone and the record can be taken", run: ended_lease },
    Check { name: "created_at stays and updated_at follows the store's wall clock", run: stamps },
    Check { name: "what is outside the bounds is refused by name, what is at them is not", run: bounds },
];

fn absent(h: &dyn Harness) -> Verdict {
    let written = write(h, insert("a", state("queued")).event(event("first")), "Absent on a new key")?;
    ensure!(written.version > 0, "the first version is 0");
    same!(written.fence, 0, "the fence of a record that was never granted");
    let record = get(h, "a")?;
    same!(
        (record.version, record.state.as_str()),
        (written.version, "queued"),
        "the record that was written"
    );
    refused(h, insert("a", state("stolen")).event(event("second")), "Absent on a key that is there")?;
    same!(codes(h, "a")?, ["first"], "the events after a refused write");
    same!(get_in(h, Ns::LEDGER, "a")?, None, "the same key in another namespace");
    Ok(())
}

fn version(h: &dyn Harness) -> Verdict {
    let one = write(h, insert("a", state("one")), "insert")?;
    let two = write(h, Write::new(NS, "a", Expect::Version(one.version), state("two")), "at its version")?;
    ensure!(two.version > one.version, "version {} after version {}", two.version, one.version);
    refused(h, Write::new(NS, "a", Expect::Version(one.version), state("old")), "at an old version")?;
    refused(h, Write::new(NS, "a", Expect::Version(two.version + 1), state("x")), "at a version to come")?;
    refused(h, Write::new(NS, "b", Expect::Version(one.version), state("x")), "a version of a missing record")
}

fn fence(h: &dyn Harness) -> Verdict {
    let never = write(h, insert("never", state("queued")), "insert")?;
    refused(h, Write::new(NS, "never", Expect::Fence(0), state("x")), "fence 0 on a record never granted")?;
    refused(
        h,
        Write::new(NS, "never", Expect::Fence(never.version), state("x")),
        "a version taken for a fence",
    )?;
    let held = write(h, insert("a", Put::claim("processing", LEASE)), "claim")?;
    same!(held.fence, held.version, "the fence of a grant is its version");
    let kept = write(h, Write::new(NS, "a", Expect::Fence(held.fence), state("busy")), "under the fence")?;
    same!(kept.fence, held.fence, "the fence after a write that keeps it");
    let again =
        write(h, Write::new(NS, "a", Expect::Fence(held.fence), state("busy2")), "under the fence again")?;
    ensure!(again.version > kept.version, "a write under the fence did not raise the version");
    refused(h, Write::new(NS, "a", Expect::Fence(held.fence + 1), state("x")), "another fence")?;
    refused(h, Write::new(NS, "b", Expect::Fence(held.fence), state("x")), "a fence of a missing record")
}

fn lease_over(h: &dyn Harness) -> Verdict {
    let free = write(h, insert("free", state("queued")), "insert")?;
    let over = |version| Expect::LeaseOver { version };
    write(h, Write::new(NS, "free", over(free.version), state("taken")), "no lease counts as over")?;
    let held = write(h, insert("a", Put::claim("processing", LEASE)), "claim")?;
    ensure!(get(h, "a")?.leased(), "a record just claimed reads as not leased");
    let take = |version| Write::new(NS, "a", over(version), Put::claim("processing", LEASE));
    refused(h, take(held.version), "a live lease")?;
    h.advance(LEASE - SEC);
    refused(h, take(held.version), "a lease with a second to go")?;
    h.advance(SEC);
    ensure!(!get(h, "a")?.leased(), "a lease at its end reads as live");
    refused(h, take(held.version + 1), "a lease that is over, at another version")?;
    let taken = write(h, take(held.version), "a lease that is over")?;
    ensure!(taken.fence > held.fence, "the takeover's fence {} after {}", taken.fence, held.fence);
    refused(h, take(held.version), "a second takeover of the same lease")?;
    refused(h, Write::new(NS, "b", over(1), state("x")), "the lease of a missing record")
}

fn all_or_nothing(h: &dyn Harness) -> Verdict {
    write(h, insert("b", state("there")), "insert")?;
    write(h, insert("d", state("there")), "insert")?;
    let before = (get(h, "b")?, get(h, "d")?);
    let writes = ["a", "b", "c", "d"].map(|key| insert(key, state("new")).event(event("new")));
    let found =
        conflicts(store(h).apply(Batch::new(writes.to_vec())), "a batch with two writes in conflict")?;
    let indexes: Vec<usize> = found.iter().map(|conflict| conflict.index).collect();
    same!(indexes, [1, 3], "the indexes of all writes in conflict");
    let winners: Vec<_> = found.into_iter().filter_map(|conflict| conflict.winner).collect();
    same!(winners, [before.0.clone(), before.1.clone()], "the winners");
    same!((get(h, "b")?, get(h, "d")?), before, "the records that stood in the way");
    for key in ["a", "c"] {
        same!(get_in(h, NS, key)?, None, format!("{key:?} of a batch that was refused"));
        same!(codes(h, key)?.len(), 0, format!("events of {key:?} of a batch that was refused"));
    }
    same!(codes(h, "b")?.len(), 0, "events of a record whose write was refused");
    Ok(())
}

fn whole_batch(h: &dyn Harness) -> Verdict {
    let old = write(h, insert("old", state("queued")), "insert")?;
    let batch = Batch::new(vec![
        Write::new(NS, "new", Expect::Absent, state("one")).event(event("one")),
        Write::new(Ns::LEDGER, "new", Expect::Absent, state("two")),
        Write::new(NS, "old", Expect::Version(old.version), state("three")),
    ]);
    let id = batch.id();
    let done = applied(store(h).apply(batch), "a batch of three")?;
    let versions: Vec<u64> = done.writes.iter().map(|written| written.version).collect();
    same!(versions.len(), 3, "answers for three writes");
    ensure!(
        versions.iter().all(|version| *version > old.version),
        "versions {versions:?} after {}",
        old.version
    );
    ensure!(
        versions.is_sorted() && versions[0] < versions[2],
        "versions in the order of the batch: {versions:?}"
    );
    for (record, version) in [get(h, "new")?, get(h, "old")?].iter().zip([versions[0], versions[2]]) {
        same!((record.version, record.batch), (version, id), "version and batch of the record");
        same!(record.updated_at, done.now, "updated_at against the answer's now");
    }
    let other = get_in(h, Ns::LEDGER, "new")?.ok_or("the write to another namespace is missing")?;
    same!(other.version, versions[1], "the version in another namespace");
    Ok(())
}

fn versions_ascend(h: &dyn Harness) -> Verdict {
    let mut last = 0;
    for round in 0..3_u32 {
        for ns in [NS, Ns::LEDGER] {
            let put = state("done");
            let one = write(h, Write::new(ns, "a", Expect::Absent, put), "insert")?;
            ensure!(one.version > last, "version {} after {last} in round {round}", one.version);
            last = one.version;
        }
        h.advance(SEC);
        for ns in [NS, Ns::LEDGER] {
            let prune = Prune {
                ns,
                states: vec![String::from("done")],
                updated_before: get_in(h, ns, "a")?.ok_or("the record is missing")?.updated_at + SEC,
                limit: 10,
            };
            let gone = store(h).prune(prune).map_err(|error| format!("prune: {error}"))?;
            same!(gone, 1, "records pruned");
        }
    }
    Ok(())
}

fn zombie(h: &dyn Harness) -> Verdict {
    let held = write(h, insert("a", Put::claim("processing", LEASE)).event(event("claimed")), "claim")?;
    h.advance(LEASE * 3);
    let late = Write::new(NS, "a", Expect::Fence(held.fence), state("late")).event(event("late"));
    let late = write(h, late, "under a fence whose lease has long ended and that nobody took over")?;
    let expect = Expect::LeaseOver { version: late.version };
    let taken = Write::new(NS, "a", expect, Put::claim("processing", LEASE)).event(event("taken"));
    let taken = write(h, taken, "takeover")?;
    for put in [state("succeeded"), Put::renew(LEASE), Put { lease: LeaseChange::End, ..Put::nothing() }] {
        let zombie = Write::new(NS, "a", Expect::Fence(held.fence), put).event(event("zombie"));
        refused(h, zombie, "the zombie's write after a takeover")?;
    }
    same!(codes(h, "a")?, ["claimed", "late", "taken"], "the events");
    same!(get(h, "a")?.fence, taken.fence, "the fence");
    write(h, Write::new(NS, "a", Expect::Fence(taken.fence), state("done")), "the new holder's write")?;
    Ok(())
}

fn fences_never_repeat(h: &dyn Harness) -> Verdict {
    let mut fences = Vec::new();
    for _ in 0..3 {
        let mut held = write(h, insert("a", Put::claim("processing", LEASE)), "claim")?;
        fences.push(held.fence);
        h.advance(LEASE);
        let expect = Expect::LeaseOver { version: held.version };
        held = write(h, Write::new(NS, "a", expect, Put::claim("processing", LEASE)), "takeover")?;
        fences.push(held.fence);
        let end = Put { lease: LeaseChange::End, ..state("done") };
        write(h, Write::new(NS, "a", Expect::Fence(held.fence), end), "completion")?;
        let prune = Prune {
            ns: NS,
            states: vec!["done".into()],
            updated_before: get(h, "a")?.updated_at + SEC,
            limit: 9,
        };
        store(h).prune(prune).map_err(|error| format!("prune: {error}"))?;
        same!(get_in(h, NS, "a")?, None, "a settled record after the prune");
    }
    ensure!(fences.windows(2).all(|pair| pair[0] < pair[1]), "the fences do not ascend: {fences:?}");
    write(h, insert("a", Put::claim("processing", LEASE)), "claim")?;
    for old in fences {
        refused(h, Write::new(NS, "a", Expect::Fence(old), state("zombie")), "a fence of a pruned record")?;
    }
    Ok(())
}

fn keep_and_set(h: &dyn Harness) -> Verdict {
    let base = get_after(h, "base", Put::nothing())?.updated_at;
    let full = Put {
        owner: Some("worker:7".into()),
        kind: Some("ingest".into()),
        rank: Some(-7),
        serial_key: Change::to("tenant-1".into()),
        due_at: Change::to(base + SEC),
        expires_at: Change::to(base + SEC * 2),
        paused: Some(true),
        cancelling: Some(true),
        reviewed_at: Change::to(base),
        fingerprint: Change::to("jcs1:sha256:00".into()),
        body: Some(r#"{"n":1}"#.into()),
        ..Put::claim("processing", LEASE)
    };
    let full = Put { due_at: Change::to(base + SEC), ..full };
    let first = get_after(h, "a", full)?;
    same!(first.owner.as_deref(), Some("worker:7"), "the named owner");
    let second =
        write(h, Write::new(NS, "a", Expect::Version(first.version), Put::nothing()), "a write of nothing")?;
    let mut expected = first.clone();
    let found = get(h, "a")?;
    (expected.version, expected.batch) = (second.version, found.batch);
    same!(found, expected, "a record after a write that keeps everything");
    ensure!(found.batch != first.batch, "the batch id did not change");
    let clear = Put {
        lease: LeaseChange::End,
        serial_key: Change::CLEAR,
        due_at: Change::CLEAR,
        expires_at: Change::CLEAR,
        reviewed_at: Change::CLEAR,
        fingerprint: Change::CLEAR,
        paused: Some(false),
        cancelling: Some(false),
        ..Put::nothing()
    };
    write(h, Write::new(NS, "a", Expect::Fence(first.fence), clear), "a write that clears")?;
    let cleared = get(h, "a")?;
    let flags = (cleared.paused, cleared.cancelling, cleared.lease);
    same!(flags, (false, false, None), "flags and lease after a write that clears");
    let instants = (cleared.due_at, cleared.expires_at, cleared.reviewed_at);
    same!(instants, (None, None, None), "instants after a write that clears");
    same!((&cleared.serial_key, &cleared.fingerprint), (&None, &None), "texts after a write that clears");
    let kept = (cleared.rank, cleared.kind, cleared.body, cleared.state, cleared.owner, cleared.fence);
    let before = (first.rank, first.kind, first.body, first.state, first.owner, first.fence);
    same!(kept, before, "what was kept while the rest was cleared");
    Ok(())
}

fn get_after(h: &dyn Harness, key: &str, put: Put) -> Result<crate::remember::store::Record, String> {
    write(h, insert(key, put), "insert")?;
    get(h, key)
}

fn blank(h: &dyn Harness) -> Verdict {
    let record = get_after(h, "a", Put::nothing())?;
    same!((record.state.as_str(), record.kind.as_str(), record.rank), ("", "", 0), "state, kind and rank");
    same!(record.body, "{}", "the body");
    same!((record.fence, record.lease, record.owner), (0, None, None), "fence, lease and owner");
    same!((record.due_at, record.expires_at, record.reviewed_at), (None, None, None), "the instants");
    same!((record.paused, record.cancelling), (false, false), "the flags");
    same!((record.serial_key, record.fingerprint), (None, None), "the texts");
    same!(record.created_at, record.updated_at, "created_at and updated_at of a new record");
    Ok(())
}

fn exact(h: &dyn Harness) -> Verdict {
    let keys = ["a'b\"c", "%_\\*?", "Ünïcødé/🦀", " spaced ", "A", "a", "NULL", "line\nbreak", "0"];
    for (index, key) in keys.into_iter().enumerate() {
        let rank = if index % 2 == 0 { i64::MAX } else { i64::MIN };
        let body = format!("{{\"text\":{key:?},\"big\":9007199254740993}}");
        let put = Put { rank: Some(rank), body: Some(body.clone()), kind: Some(key.into()), ..state(key) };
        let record = get_after(h, key, put)?;
        same!(record.key, key, "the key");
        same!((record.rank, record.body), (rank, body), format!("rank and body of {key:?}"));
        same!((record.kind.as_str(), record.state.as_str()), (key, key), "kind and state");
    }
    Ok(())
}

fn owners(h: &dyn Harness) -> Verdict {
    let own = h.store().owner().to_owned();
    ensure!(!own.is_empty(), "the handle has no owner");
    let held = write(h, insert("a", Put::claim("processing", LEASE)), "claim")?;
    same!(held.owner.as_deref(), Some(own.as_str()), "the owner of a claim that names none");
    let named = Put { owner: Some("worker:9".into()), ..Put::claim("processing", LEASE) };
    let named = write(h, insert("b", named), "claim with a name")?;
    same!(named.owner.as_deref(), Some("worker:9"), "the owner of a claim that names one");
    let renew = Write::new(NS, "b", Expect::Fence(named.fence), Put::renew(LEASE));
    same!(write(h, renew, "renewal")?.owner.as_deref(), Some("worker:9"), "the owner after a renewal");
    if let Some(second) = h.second() {
        ensure!(second.owner() != own, "two handles have the same owner {own:?}");
    }
    Ok(())
}

fn renewal(h: &dyn Harness) -> Verdict {
    let held = write(h, insert("a", Put::claim("processing", LEASE)), "claim")?;
    h.advance(LEASE - SEC);
    let ask = Put { paused: Some(true), cancelling: Some(true), ..Put::nothing() };
    write(h, Write::new(NS, "a", Expect::Version(held.version), ask), "an operator asks")?;
    let renewed = write(h, Write::new(NS, "a", Expect::Fence(held.fence), Put::renew(LEASE)), "renewal")?;
    same!((renewed.paused, renewed.cancelling), (true, true), "what the operator asked, told at the renewal");
    same!(renewed.fence, held.fence, "the fence after a renewal");
    let until = |written: &crate::remember::store::Written| written.lease.map(|lease| lease.until);
    ensure!(until(&renewed) > until(&held), "the lease's end did not move: {:?}", renewed.lease);
    h.advance(LEASE - SEC);
    ensure!(get(h, "a")?.leased(), "a renewed lease is over before its new end");
    h.advance(SEC);
    ensure!(!get(h, "a")?.leased(), "a renewed lease is live at its new end");
    Ok(())
}

fn ended_lease(h: &dyn Harness) -> Verdict {
    let held = write(h, insert("a", Put::claim("processing", LEASE)), "claim")?;
    let end = Put { lease: LeaseChange::End, ..state("queued") };
    let ended = write(h, Write::new(NS, "a", Expect::Fence(held.fence), end), "hand back")?;
    same!(ended.lease, None, "the lease after it was ended");
    let expect = Expect::LeaseOver { version: ended.version };
    write(h, Write::new(NS, "a", expect, Put::claim("processing", LEASE)), "taken after it was handed back")?;
    Ok(())
}

fn stamps(h: &dyn Harness) -> Verdict {
    let first = get_after(h, "a", Put::nothing())?;
    h.advance(Duration::from_millis(1500));
    write(h, Write::new(NS, "a", Expect::Version(first.version), state("x")), "a later write")?;
    let second = get(h, "a")?;
    same!(second.created_at, first.created_at, "created_at after a later write");
    let moved = second.updated_at - first.updated_at;
    ensure!(moved.num_milliseconds() >= 1500, "updated_at moved by {moved} while the clock moved by 1.5 s");
    let odd = first.created_at + Duration::from_nanos(1_234_567);
    write(h, insert("b", Put { due_at: Change::to(odd), ..Put::nothing() }), "an instant with nanoseconds")?;
    same!(get(h, "b")?.due_at, Some(to_millis(odd)), "an instant, stored to the millisecond");
    same!(second.updated_at, to_millis(second.updated_at), "updated_at, to the millisecond");
    Ok(())
}

fn bounds(h: &dyn Harness) -> Verdict {
    let body = |bytes: usize| Put { body: Some("x".repeat(bytes)), ..Put::nothing() };
    let lease = |lease| Put { lease: LeaseChange::For(lease), ..Put::nothing() };
    let data = |bytes: usize| {
        let mut event = event("big");
        event.data = Some("x".repeat(bytes));
        Write::new(NS, "data", Expect::Absent, Put::nothing()).event(event)
    };
    let wrong = [
        ("an empty key", Batch::of(insert("", Put::nothing()))),
        ("a key too long", Batch::of(insert(&"k".repeat(KEY_MAX + 1), Put::nothing()))),
        ("a key with a NUL", Batch::of(insert("a\0b", Put::nothing()))),
        ("a body too big", Batch::of(insert("a", body(BODY_MAX + 1)))),
        ("event data too big", Batch::of(data(BODY_MAX + 1))),
        ("a lease of nothing", Batch::of(insert("a", lease(Duration::ZERO)))),
        ("a lease too long", Batch::of(insert("a", lease(LEASE_MAX + SEC)))),
        ("no writes", Batch::new(Vec::new())),
        ("too many writes", many(WRITES_MAX + 1)),
        ("a key twice", Batch::new(vec![insert("a", Put::nothing()), insert("a", Put::nothing())])),
    ];
    for (what, batch) in wrong {
        match store(h).apply(batch) {
            Err(ApplyError::NotApplied(Error::Invalid { .. })) => {}
            other => return Err(format!("{what}: expected Error::Invalid, found {other:?}")),
        }
    }
    same!(get_in(h, NS, "a")?, None, "a record after batches outside the bounds");
    write(h, insert(&"k".repeat(KEY_MAX), body(BODY_MAX)), "the longest key and the biggest body")?;
    same!(get(h, &"k".repeat(KEY_MAX))?.body.len(), BODY_MAX, "the biggest body");
    write(h, data(BODY_MAX), "the biggest event data")?;
    write(h, insert("lease", lease(LEASE_MAX)), "the longest lease")?;
    let done = applied(store(h).apply(many(WRITES_MAX)), "the biggest batch")?;
    same!(done.writes.len(), WRITES_MAX, "answers for the biggest batch");
    Ok(())
}

fn many(writes: usize) -> Batch {
    Batch::new((0..writes).map(|index| insert(&format!("many-{index}"), Put::nothing())).collect())
}
