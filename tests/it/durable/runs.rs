//! Runs: submitted once, claimed by one, found and listed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use unattended::blocking::block_on;
use unattended::canonical::Key;
use unattended::effect::Effect;
use unattended::run::{self, State};
use unattended::runs::{Error, Filter, Move, NewRun, Reason, Run, Runs, Selector, StepRecord, Submitted};
use unattended::store::{Batch, Expect, LeaseChange, Ns, Put, Write};

use crate::world::{Faulty, Inject, LEASE, World};

fn new(job: &str, input: &str) -> NewRun {
    let input = serde_json::value::to_raw_value(input).unwrap();
    NewRun::new(job, input, vec![StepRecord::pending("work", Effect::Idempotent)])
}

fn keyed(job: &str, id: u32, input: &str) -> NewRun {
    let mut new = new(job, input);
    new.key = Some(Key::new("test", "thing", id).unwrap());
    new
}

fn submit(world: &World, new: NewRun) -> Run {
    match block_on(world.runs().submit(new, world.wall())).unwrap() {
        Submitted::Created(run) => *run,
        other => panic!("not created: {other:?}"),
    }
}

fn due(world: &World, limit: u32) -> Vec<String> {
    let taken = block_on(world.runs().claim_due("job", limit, LEASE, "worker:a")).unwrap();
    taken.into_iter().map(|taken| taken.run.id().to_owned()).collect()
}

/// A move by the run's holder.
fn move_on(world: &World, run: &Run, event: run::Event) -> Result<(), Error> {
    let mut body = run.body.clone();
    if run::transition(run.state(), event).is_ok_and(State::is_terminal) {
        body.finished_at = Some(world.wall());
        for step in &mut body.steps {
            step.state = unattended::runs::StepState::Skipped;
        }
    }
    let due_at = (event == run::Event::FailForNow).then(|| world.wall() + Duration::from_secs(60));
    let expect = Expect::Fence(run.record.fence);
    let reason = Reason::new("test.moved", "the test says so");
    let step = Move {
        body: Some(&body),
        due_at,
        actor: "worker:a",
        ..Move::new(run.id(), run.state(), event, expect, reason)
    };
    block_on(world.runs().apply(step)).map(drop)
}

#[test]
fn the_same_key_is_one_run_and_another_payload_a_conflict() {
    let world = World::new();
    let run = submit(&world, keyed("job", 1, "a"));
    match block_on(world.runs().submit(keyed("job", 1, "a"), world.wall())).unwrap() {
        Submitted::Existing(existing, _) => assert_eq!(existing.id(), run.id()),
        other => panic!("{other:?}"),
    }
    match block_on(world.runs().submit(keyed("job", 1, "b"), world.wall())).unwrap() {
        Submitted::Conflict { run: used, stored, given, .. } => {
            assert_eq!(used.as_deref(), Some(run.id()));
            assert_ne!(stored, given);
        }
        other => panic!("{other:?}"),
    }
    submit(&world, new("job", "a"));
    submit(&world, new("job", "a"));
    assert_eq!(world.all().len(), 3, "without a key nothing is held against a second delivery");
    world.check();
}

#[test]
fn of_many_producers_one_creates_the_run_of_a_key() {
    let world = World::new();
    let (created, existing) = (AtomicU32::new(0), AtomicU32::new(0));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let runs = Runs::new(world.other());
                for id in 0..40 {
                    match block_on(runs.submit(keyed("job", id, "a"), world.wall())).unwrap() {
                        Submitted::Created(_) => created.fetch_add(1, Ordering::SeqCst),
                        Submitted::Existing(..) => existing.fetch_add(1, Ordering::SeqCst),
                        other => panic!("{other:?}"),
                    };
                }
            });
        }
    });
    assert_eq!((created.into_inner(), existing.into_inner()), (40, 280));
    assert_eq!(world.all().len(), 40);
    world.check();
}

#[test]
fn due_runs_are_claimed_in_order_within_the_bound_and_never_when_paused() {
    let world = World::new();
    let mut later = new("job", "later");
    later.due_at = Some(world.wall() + Duration::from_secs(3600));
    let later = submit(&world, later);
    let first = submit(&world, new("job", "1"));
    world.secs(1);
    let second = submit(&world, new("job", "2"));
    world.secs(1);
    let mut urgent = new("job", "3");
    urgent.rank = 9;
    let urgent = submit(&world, urgent);
    let paused = submit(&world, new("job", "4"));
    submit(&world, new("other", "5"));
    world.put(Ns::RUN, paused.id(), Put { paused: Some(true), ..Put::nothing() });
    assert_eq!(due(&world, 0), [""; 0], "a bound of none is none");
    assert_eq!(due(&world, 2), [urgent.id(), first.id()]);
    assert_eq!(due(&world, 10), [second.id()]);
    assert_eq!(due(&world, 10), [""; 0], "all are held");
    let direct = block_on(world.runs().claim(&world.run(paused.id()), LEASE, "worker:a")).unwrap();
    assert!(direct.is_none());
    world.secs(7200);
    let again = due(&world, 10);
    assert_eq!(again.len(), 4, "three orphans and the one that is due now: {again:?}");
    assert!(again.contains(&later.id().to_owned()));
    world.check();
}

#[test]
fn a_bound_of_none_claims_no_orphan_either() {
    let world = World::new();
    submit(&world, new("job", "1"));
    assert_eq!(due(&world, 1).len(), 1);
    world.pass_a_lease();
    assert_eq!(due(&world, 0), [""; 0]);
}

#[test]
fn every_orphan_is_claimed_by_the_call_that_finds_it_behind_a_poisoned_one() {
    let world = World::new();
    let poison = submit(&world, new("job", "poison"));
    for _ in 0..3 {
        assert_eq!(due(&world, 1), [poison.id()]);
        world.pass_a_lease();
    }
    world.check();
    let neighbour = submit(&world, new("job", "neighbour"));
    let taken = block_on(world.runs().claim(&neighbour, LEASE, "worker:b")).unwrap();
    assert!(taken.is_some());
    world.pass_a_lease();
    assert_eq!(
        due(&world, 1),
        [neighbour.id()],
        "a death counts against the run, never against its neighbours"
    );
    assert_eq!(world.run(poison.id()).state(), State::NeedsReview);
    assert_eq!(world.run(neighbour.id()).body.crash_count, 1);
    world.check();
}

#[test]
fn a_run_that_this_release_cannot_read_does_not_stop_its_neighbours() {
    for orphan in [false, true] {
        let world = World::new();
        let newer = submit(&world, new("job", "newer"));
        if orphan {
            assert_eq!(due(&world, 1), [newer.id()]);
        }
        let body = newer.record.body.replacen("\"v\":1", "\"v\":99", 1);
        world.put(Ns::RUN, newer.id(), Put { body: Some(body), ..Put::nothing() });
        world.pass_a_lease();
        let neighbour = submit(&world, new("job", "neighbour"));
        let mut claimed = Vec::new();
        for _ in 0..3 {
            if let Ok(taken) = block_on(world.runs().claim_due("job", 1, LEASE, "worker:a")) {
                claimed.extend(taken.into_iter().map(|taken| taken.run.id().to_owned()));
            }
            world.secs(1);
        }
        assert_eq!(claimed, [neighbour.id()], "orphan: {orphan}");
    }
}

#[test]
fn whoever_is_slow_to_hear_of_its_claim_does_not_get_the_fence_of_the_next() {
    let world = World::new();
    let run = submit(&world, new("job", "a"));
    let rival = Arc::new(std::sync::Mutex::new(None));
    let (sim, other, id) = (world.sim.clone(), world.other(), run.id().to_owned());
    let theirs = Arc::clone(&rival);
    // The process is suspended between its claim and its next look at the run.
    let slow = Faulty::new(&world.store, |_, _| Inject::Pass).meanwhile(move |_| {
        sim.advance(LEASE * 2);
        let runs = Runs::new(Arc::clone(&other));
        let run = block_on(runs.must_get(&id)).unwrap();
        *theirs.lock().unwrap() = block_on(runs.claim(&run, LEASE, "worker:b")).unwrap();
    });
    let slow = Runs::new(Arc::new(slow));
    let mine = block_on(slow.claim(&run, LEASE, "worker:a")).unwrap();
    let theirs = rival.lock().unwrap().take().expect("the rival took it over");
    if let Some(mine) = mine {
        assert_ne!(mine.run.record.fence, theirs.run.record.fence, "two holders with one fence");
        assert!(move_on(&world, &mine.run, run::Event::Succeed).is_err(), "the zombie's write landed");
    }
    move_on(&world, &theirs.run, run::Event::Succeed).unwrap();
    world.check();
}

#[test]
fn a_submitter_that_is_slow_does_not_get_the_fence_of_the_next_either() {
    let world = World::new();
    let rival = Arc::new(std::sync::Mutex::new(Vec::new()));
    let (sim, other) = (world.sim.clone(), world.other());
    let theirs = Arc::clone(&rival);
    let slow = Faulty::new(&world.store, |_, _| Inject::Pass).meanwhile(move |_| {
        sim.advance(LEASE * 2);
        let runs = Runs::new(Arc::clone(&other));
        *theirs.lock().unwrap() = block_on(runs.claim_due("job", 1, LEASE, "worker:b")).unwrap();
    });
    let mut taken = new("job", "a");
    taken.take = Some(LEASE);
    let now = world.wall();
    let submitted = block_on(Runs::new(Arc::new(slow)).submit(taken, now)).unwrap();
    let Submitted::Created(mine) = submitted else { panic!("{submitted:?}") };
    let theirs = rival.lock().unwrap().remove(0);
    assert_ne!(mine.record.fence, theirs.run.record.fence, "two holders with one fence");
}

#[test]
fn no_move_outside_the_table_is_ever_written() {
    let world = World::new();
    for state in State::ALL {
        for event in run::Event::ALL {
            let reason = Reason::new("test.any", "any");
            let written = Move::new("id", state, event, Expect::Absent, reason).write();
            assert_eq!(written.is_ok(), run::transition(state, event).is_ok(), "{state} {event}");
        }
    }
    let run = submit(&world, new("job", "a"));
    let refused = move_on(&world, &run, run::Event::Succeed);
    assert!(matches!(refused, Err(Error::Illegal(_))), "{refused:?}");
    let taken = block_on(world.runs().claim(&run, LEASE, "worker:a")).unwrap().unwrap();
    move_on(&world, &taken.run, run::Event::Succeed).unwrap();
    for late in [run::Event::FailForGood, run::Event::Checkpoint, run::Event::HandBack] {
        let refused = move_on(&world, &taken.run, late);
        assert!(matches!(refused, Err(Error::Lost { .. })), "{late} of a run that has ended: {refused:?}");
    }
    world.check();
}

#[test]
fn a_holder_whose_run_has_ended_cannot_move_it_by_its_old_fence() {
    let world = World::new();
    let run = submit(&world, new("job", "a"));
    let taken = block_on(world.runs().claim(&run, LEASE, "worker:a")).unwrap().unwrap();
    let held = || world.run(run.id());
    move_on(&world, &taken.run, run::Event::FailForNow).unwrap();
    world.secs(61);
    let again = block_on(world.runs().claim(&held(), LEASE, "worker:b")).unwrap().unwrap();
    assert!(again.run.record.fence > taken.run.record.fence);
    let zombie = move_on(&world, &taken.run, run::Event::Succeed);
    assert!(matches!(zombie, Err(Error::Lost { .. })), "{zombie:?}");
    assert_eq!(held().state(), State::Processing);
    world.check();
}

#[test]
fn a_note_does_not_disturb_the_holder_and_a_run_in_work_is_not_requeued() {
    let world = World::new();
    let run = submit(&world, new("job", "a"));
    let taken = block_on(world.runs().claim(&run, LEASE, "worker:a")).unwrap().unwrap();
    let runs = world.runs();
    block_on(runs.note(run.id(), "operator:ada", "I am looking")).unwrap();
    let refused = block_on(runs.requeue(run.id(), "operator:ada", world.wall()));
    assert!(matches!(refused, Err(Error::Illegal(_))), "{refused:?}");
    assert!(world.run(run.id()).record.leased());
    move_on(&world, &taken.run, run::Event::Succeed).unwrap();
    let refused = block_on(runs.requeue(run.id(), "operator:ada", world.wall()));
    assert!(matches!(refused, Err(Error::Illegal(_))), "{refused:?}");
    block_on(runs.note(run.id(), "operator:ada", "done")).unwrap();
    assert!(matches!(block_on(runs.note("none", "x", "y")), Err(Error::NoSuchRun { .. })));
    world.check();
}

/// Puts runs straight into the store under ids of the test's own.
fn place(world: &World, id: &str, job: &str, state: State) {
    let body = unattended::runs::Body::new(
        serde_json::value::to_raw_value(id).unwrap(),
        vec![StepRecord::pending("work", Effect::Pure)],
    );
    let put = Put {
        state: Some(state.as_str().to_owned()),
        kind: Some(job.to_owned()),
        lease: LeaseChange::Keep,
        body: Some(serde_json::to_string(&body).unwrap()),
        ..Put::default()
    };
    block_on(world.store.apply(Batch::of(Write::new(Ns::RUN, id, Expect::Absent, put)))).unwrap();
}

#[test]
fn a_run_is_found_by_what_a_person_types() {
    let world = World::new();
    place(&world, "0000-aaaa-1111", "ingest", State::FailedPermanent);
    place(&world, "0000-bbbb-2222", "ingest", State::Succeeded);
    place(&world, "0000-cccc-2222", "report", State::NeedsReview);
    place(&world, "0000-dddd-3333", "ingest", State::Queued);
    let find = |text: &str| {
        let selector: Selector = text.parse().unwrap();
        block_on(world.runs().find(&selector)).map(|run| run.id().to_owned())
    };
    assert_eq!(find("0000-bbbb-2222").unwrap(), "0000-bbbb-2222");
    assert_eq!(find("1111").unwrap(), "0000-aaaa-1111");
    assert_eq!(find("b-2222").unwrap(), "0000-bbbb-2222");
    assert_eq!(find("ingest").unwrap(), "0000-dddd-3333");
    assert_eq!(find("ingest~0").unwrap(), "0000-dddd-3333");
    assert_eq!(find("ingest~2").unwrap(), "0000-aaaa-1111");
    assert_eq!(find("@failed").unwrap(), "0000-cccc-2222");
    block_on(world.runs().mark_reviewed("0000-cccc-2222", "operator:ada", world.wall(), "seen")).unwrap();
    assert_eq!(find("@failed").unwrap(), "0000-aaaa-1111");
    match find("2222") {
        Err(Error::Ambiguous { matches, .. }) => assert_eq!(matches.len(), 2, "{matches:?}"),
        other => panic!("{other:?}"),
    }
    for unknown in ["ingest~3", "ingest~4000000000", "9999", "22", "nothing", "~1", "report~1"] {
        assert!(matches!(find(unknown), Err(Error::NoSuchRun { .. })), "{unknown}");
    }
    assert!("".parse::<Selector>().is_err());
}

/// Reads a list page by page, and counts the pages.
fn paged(runs: &Runs, filter: &Filter, limit: u32) -> Vec<String> {
    let (mut ids, mut cursor) = (Vec::new(), None);
    for _ in 0..10_000 {
        let (page, next) = block_on(runs.list(filter, limit, cursor)).unwrap();
        assert!(page.len() <= limit as usize, "a page of {} with limit {limit}", page.len());
        ids.extend(page.iter().map(|run| run.id().to_owned()));
        match next {
            Some(next) => cursor = Some(next),
            None => return ids,
        }
    }
    panic!("the list never ends");
}

#[test]
fn pages_lose_no_run_and_show_none_twice() {
    let world = World::new();
    for at in 0..45_u32 {
        let state = [State::Queued, State::Succeeded, State::FailedPermanent][at as usize % 3];
        place(&world, &format!("id-{at:04}-{}", at % 5), if at % 2 == 0 { "even" } else { "odd" }, state);
    }
    let text = |text: &str| Filter { text: Some(text.to_owned()), ..Filter::default() };
    let odd = Filter { job: Some(String::from("odd")), ..Filter::default() };
    let failed = Filter { states: vec![State::FailedPermanent], ..odd.clone() };
    let both = Filter { text: Some(String::from("-3")), ..odd.clone() };
    let wanted: [(Filter, &dyn Fn(u32) -> bool); 6] = [
        (Filter::default(), &|_| true),
        (odd, &|at| at % 2 == 1),
        (failed, &|at| at % 2 == 1 && at % 3 == 2),
        (text("-3"), &|at| at % 5 == 3),
        (both, &|at| at % 5 == 3 && at % 2 == 1),
        (text("nowhere"), &|_| false),
    ];
    for (filter, wanted) in wanted {
        let expected: Vec<String> =
            (0..45).rev().filter(|at| wanted(*at)).map(|at| format!("id-{at:04}-{}", at % 5)).collect();
        for limit in [1, 2, 3, 4, 7, 44, 45, 46, 1000, 5000] {
            assert_eq!(paged(&world.runs(), &filter, limit), expected, "{filter:?} by {limit}");
        }
    }
}

#[test]
fn a_list_by_text_reads_few_pages() {
    let world = World::new();
    for at in 0..450_u32 {
        place(
            &world,
            &format!("id-{at:04}-{}", if at % 90 == 7 { "wanted" } else { "other" }),
            "job",
            State::Queued,
        );
    }
    let scans = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&scans);
    let counting = Faulty::new(&world.store, |_, _| Inject::Pass).after_scan(move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
    });
    let filter = Filter { text: Some(String::from("wanted")), ..Filter::default() };
    assert_eq!(paged(&Runs::new(Arc::new(counting)), &filter, 2).len(), 5);
    // Three pages of two, each with the large pages that it takes and one more up to where it ends.
    assert!(scans.load(Ordering::SeqCst) <= 8, "{} scans", scans.load(Ordering::SeqCst));
}

#[test]
fn runs_that_come_or_move_while_a_list_is_read_shift_no_page() {
    let world = Arc::new(World::new());
    for at in 0..30_u32 {
        place(&world, &format!("id-{at:04}"), "job", State::Queued);
    }
    let inside = Arc::clone(&world);
    let arriving = Faulty::new(&world.store, |_, _| Inject::Pass)
        .after_scan(move |n| place(&inside, &format!("new-{n:04}"), "job", State::Queued));
    let filter = Filter { text: Some(String::from("id-")), ..Filter::default() };
    let expected: Vec<String> = (0..30).rev().map(|at| format!("id-{at:04}")).collect();
    assert_eq!(paged(&Runs::new(Arc::new(arriving)), &filter, 4), expected);
    let inside = Arc::clone(&world);
    let moving = Faulty::new(&world.store, |_, _| Inject::Pass).after_scan(move |n| {
        if n < 3 {
            let put = Put { state: Some(String::from("cancelled")), ..Put::nothing() };
            inside.put(Ns::RUN, &format!("id-{:04}", 29 - n), put);
        }
    });
    let filter = Filter { states: vec![State::Queued], ..filter };
    let seen = paged(&Runs::new(Arc::new(moving)), &filter, 4);
    for at in 0..26 {
        assert_eq!(seen.iter().filter(|id| **id == format!("id-{at:04}")).count(), 1, "{at}: {seen:?}");
    }
}

#[test]
fn a_run_that_is_no_longer_worth_running_is_not_run() {
    let world = World::new();
    let mut late = new("job", "late");
    late.expires_at = Some(world.wall() + Duration::from_secs(60));
    let late = submit(&world, late);
    let fine = submit(&world, new("job", "fine"));
    world.secs(61);
    assert_eq!(due(&world, 10), [fine.id()]);
    assert_eq!(world.run(late.id()).state(), State::Expired);
    world.check();
}
