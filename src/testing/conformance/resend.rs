//! The same batch sent twice is applied once.

use super::kit::{
    LEASE, NS, applied, codes, conflicts, ensure, event, get, get_in, insert, same, state, store, write,
};
use super::{Check, Harness, Verdict};
use crate::remember::store::{Batch, Expect, Put, Write};

pub(super) const CHECKS: &[Check] = &[
    Check { name: "a batch sent again is answered as then and applied once", run: sent_again },
    Check { name: "a batch that never arrived is applied by its second sending", run: never_arrived },
    Check {
        name: "a batch sent again after somebody else's later write changes nothing",
        run: after_a_later_write,
    },
    Check {
        name: "a claim sent again after a takeover does not give the new fence away",
        run: after_a_takeover,
    },
    Check { name: "a batch without events sent again at once is applied once", run: without_events },
    Check { name: "a batch of several is known by any one of its writes", run: several },
    Check { name: "a batch that met a conflict meets it again", run: conflict_again },
    Check {
        name: "under a fence that still holds, a second sending does not write twice",
        run: under_a_fence,
    },
];

fn sent_again(h: &dyn Harness) -> Verdict {
    let batch = Batch::of(insert("a", Put::claim("processing", LEASE)).event(event("claimed")));
    let (again, third) = (batch.again(), batch.again());
    let first = applied(store(h).apply(batch), "first sending")?;
    let record = get(h, "a")?;
    for batch in [again, third] {
        let second = applied(store(h).apply(batch), "second sending")?;
        ensure!(second.replayed, "a second sending was not answered as replayed");
        same!((&second.writes, second.now), (&first.writes, first.now), "the answer to a second sending");
    }
    same!(get(h, "a")?, record, "the record after a second sending");
    same!(codes(h, "a")?, ["claimed"], "the events after a second sending");
    Ok(())
}

fn never_arrived(h: &dyn Harness) -> Verdict {
    let lost = Batch::of(insert("a", state("queued")).event(event("made")));
    let done = applied(store(h).apply(lost.again()), "a second sending of what never arrived")?;
    ensure!(!done.replayed, "what never arrived was answered as replayed");
    same!(get(h, "a")?.state, "queued", "the state");
    let late = applied(store(h).apply(lost), "the first sending, arriving late")?;
    ensure!(late.replayed, "the first sending that arrives late was applied again");
    same!(codes(h, "a")?, ["made"], "the events");
    Ok(())
}

fn after_a_later_write(h: &dyn Harness) -> Verdict {
    let batch = Batch::of(insert("a", state("queued")).event(event("made")));
    let again = batch.again();
    let first = applied(store(h).apply(batch), "first sending")?;
    let version = first.writes[0].version;
    write(
        h,
        Write::new(NS, "a", Expect::Version(version), state("moved")).event(event("moved")),
        "a later write",
    )?;
    let record = get(h, "a")?;
    let second = applied(store(h).apply(again), "second sending after a later write")?;
    ensure!(second.replayed, "a second sending after a later write was not answered as replayed");
    same!(second.writes[0].version, version, "the version, as it was then");
    same!(get(h, "a")?, record, "the record after the second sending");
    same!(codes(h, "a")?, ["made", "moved"], "the events");
    Ok(())
}

fn after_a_takeover(h: &dyn Harness) -> Verdict {
    let batch = Batch::of(insert("a", Put::claim("processing", LEASE)).event(event("claimed")));
    let again = batch.again();
    let first = applied(store(h).apply(batch), "claim")?.writes[0].clone();
    h.advance(LEASE);
    let expect = Expect::LeaseOver { version: first.version };
    let takeover = Write::new(NS, "a", expect, Put::claim("processing", LEASE)).event(event("taken"));
    let taken = write(h, takeover, "takeover")?;
    let second = applied(store(h).apply(again), "the first claim, sent again")?;
    same!(second.writes[0].fence, first.fence, "the fence, as it was then");
    same!(second.writes[0].lease, None, "the lease of a claim that was taken over");
    same!(get(h, "a")?.fence, taken.fence, "the fence of the record");
    Ok(())
}

fn without_events(h: &dyn Harness) -> Verdict {
    let batch = Batch::of(insert("a", state("queued")));
    let again = batch.again();
    let first = applied(store(h).apply(batch), "first sending")?;
    let second = applied(store(h).apply(again), "second sending")?;
    same!((second.replayed, &second.writes), (true, &first.writes), "the answer to the second sending");
    let touch = Batch::of(Write::new(NS, "a", Expect::Version(first.writes[0].version), state("b")));
    let again = touch.again();
    let first = applied(store(h).apply(touch), "an update")?;
    let second = applied(store(h).apply(again), "the update again")?;
    same!((second.replayed, &second.writes), (true, &first.writes), "the answer to the update sent again");
    Ok(())
}

fn several(h: &dyn Harness) -> Verdict {
    let writes =
        vec![insert("a", Put::claim("one", LEASE)), insert("b", state("two")), insert("c", state("three"))];
    let batch = Batch::new(writes);
    let (again, third) = (batch.again(), batch.again());
    let first = applied(store(h).apply(batch), "first sending")?;
    write(h, Write::new(NS, "b", Expect::Version(first.writes[1].version), state("moved")), "a later write")?;
    let second = applied(store(h).apply(again), "second sending")?;
    ensure!(second.replayed, "a batch of three, one of them written since, was not answered as replayed");
    let versions = |done: &crate::remember::store::Applied| -> Vec<(u64, u64)> {
        done.writes.iter().map(|written| (written.version, written.fence)).collect()
    };
    same!(versions(&second), versions(&first), "versions and fences, as they were then");
    write(h, Write::new(NS, "a", Expect::Fence(first.writes[0].fence), state("moved")), "a later write")?;
    same!(
        versions(&applied(store(h).apply(third), "third sending")?),
        versions(&first),
        "versions and fences"
    );
    same!(get(h, "b")?.state, "moved", "the later write");
    Ok(())
}

fn conflict_again(h: &dyn Harness) -> Verdict {
    write(h, insert("b", state("there")), "insert")?;
    let batch = Batch::new(vec![insert("a", state("x")).event(event("x")), insert("b", state("x"))]);
    let again = batch.again();
    let first = conflicts(store(h).apply(batch), "first sending")?;
    let second = conflicts(store(h).apply(again), "second sending")?;
    same!(second, first, "the conflicts of the second sending");
    same!(get_in(h, NS, "a")?, None, "a record of the batch");
    Ok(())
}

fn under_a_fence(h: &dyn Harness) -> Verdict {
    let held = write(h, insert("a", Put::claim("processing", LEASE)), "claim")?;
    let batch =
        Batch::of(Write::new(NS, "a", Expect::Fence(held.fence), state("step1")).event(event("step1")));
    let again = batch.again();
    applied(store(h).apply(batch), "first sending")?;
    let next = Write::new(NS, "a", Expect::Fence(held.fence), state("step2")).event(event("step2"));
    write(h, next, "the next step")?;
    let second = applied(store(h).apply(again), "the first step, sent again")?;
    ensure!(second.replayed, "a write under a fence that still holds was applied twice");
    same!(get(h, "a")?.state, "step2", "the state: the second sending must not undo the next step");
    same!(codes(h, "a")?, ["step1", "step2"], "the events");
    Ok(())
}
