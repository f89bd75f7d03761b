//! Jobs on a store that fails: at each write, in each way, and for as long as it likes.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use unattended::canonical::Key;
use unattended::effect::Effect;
use unattended::job::{Job, Verdict};
use unattended::pipeline::{Step, StepError};
use unattended::run::State;
use unattended::store::{Ns, Put, Store};
use unattended::time::{BoxFuture, Clock, Sleep};

use crate::durable::site::{Site, deliver, process};
use crate::world::{Dropped, Faulty, Inject, LEASE, World, cut, is_renewal};

const STEPS: [(&str, Effect); 4] = [
    ("prepare", Effect::Pure),
    ("pay", Effect::Unsafe),
    ("publish", Effect::Verifiable),
    ("notify", Effect::Idempotent),
];

/// Delivers until the input has come to rest, at most so often; a lease passes between two deliveries.
fn until_settled(world: &World, job: &Job) -> State {
    for _ in 0..6 {
        world.pass_a_lease();
        deliver(world, job, "a");
        let run = world.all().remove(0);
        if run.state().is_terminal() || run.state() == State::NeedsReview {
            return run.state();
        }
        world.secs(3700);
    }
    panic!("it never comes to rest: {:?}", world.all());
}

fn holds(world: &World, site: &Site, state: State, what: &str) {
    world.check();
    assert_eq!(world.all().len(), 1, "{what}");
    for step in ["pay", "publish", "notify"] {
        assert!(site.effects(step, "a") <= 1, "{what}: {step} took place twice");
    }
    assert!(site.calls("pay", "a") <= 1, "{what}: pay ran {} times", site.calls("pay", "a"));
    match state {
        State::Succeeded => {
            for step in ["pay", "publish", "notify"] {
                assert_eq!(site.effects(step, "a"), 1, "{what}: {step} never took place");
            }
        }
        State::NeedsReview => {
            let run = world.all().remove(0);
            assert_eq!(run.body.question.unwrap().step.as_deref(), Some("pay"), "{what}");
        }
        other => panic!("{what}: {other}"),
    }
}

#[test]
fn a_write_that_fails_is_made_good_wherever_and_however_it_fails() {
    for injected in [Inject::NotApplied, Inject::CutBefore, Inject::CutAfter] {
        // Once, for as long as a batch is sent again, and for good.
        for length in [1, 4, u64::MAX] {
            for at in 0.. {
                let (world, site) = (World::new(), Site::default());
                let job = site.job("faulty", &STEPS);
                let reached = Arc::new(AtomicBool::new(false));
                let seen = Arc::clone(&reached);
                let faulty: Arc<dyn Store> = Arc::new(Faulty::new(&world.store, move |n, _| {
                    if n < at || n - at >= length {
                        return Inject::Pass;
                    }
                    seen.store(true, Ordering::SeqCst);
                    injected
                }));
                let what = format!("{injected:?} from write {at} for {length}");
                let outcome = process(&world, &faulty, &job, "a").unwrap();
                world.check();
                if let Ok(report) = &outcome
                    && report.run.as_ref().is_some_and(|run| run.state() == State::Succeeded)
                {
                    holds(&world, &site, State::Succeeded, &what);
                }
                let state = until_settled(&world, &job);
                holds(&world, &site, state, &what);
                if !reached.load(Ordering::SeqCst) {
                    assert!(at > 4, "the faults were never reached");
                    break;
                }
            }
        }
    }
}

/// A job whose step waits for an hour, and says when it was dropped.
fn hour(world: &World, dropped: &Arc<Mutex<Option<unattended::time::Moment>>>) -> Job {
    let (sim, at) = (world.sim.clone(), Arc::clone(dropped));
    let step = Step::new("hour", Effect::Idempotent, move |_| {
        let (sim, at) = (sim.clone(), Arc::clone(&at));
        async move {
            let _dropped = Dropped { sim: sim.clone(), at };
            sim.sleep(Duration::from_secs(3600)).await;
            Ok::<_, StepError>(())
        }
    });
    Job::new("hour")
        .lease(LEASE)
        .key(|input: &String| Key::new("site", "thing", input))
        .step(step)
        .build()
        .unwrap()
}

#[test]
fn work_whose_renewals_fail_stops_before_its_lease_ends() {
    for injected in [Inject::NotApplied, Inject::CutBefore, Inject::Hang] {
        for good in [0, 1, 5] {
            let world = World::new();
            let dropped = Arc::default();
            let job = hour(&world, &dropped);
            let (renewals, last) = (AtomicU64::new(0), Arc::new(Mutex::new(world.sim.moment())));
            let (clock, renewed) = (world.sim.clone(), Arc::clone(&last));
            let faulty: Arc<dyn Store> = Arc::new(Faulty::new(&world.store, move |_, batch| {
                if is_renewal(batch) && renewals.fetch_add(1, Ordering::SeqCst) >= good {
                    return injected;
                }
                *renewed.lock().unwrap() = clock.moment();
                Inject::Pass
            }));
            let what = format!("{injected:?} after {good} renewals");
            let work = job.run_once_on(world.sim.clone(), &faulty, "a");
            let ended = cut(&world.sim, Duration::from_secs(1800), work);
            assert!(ended.is_some(), "{what}: it hangs");
            let dropped = dropped.lock().unwrap().expect("it was stopped");
            let ran = dropped.since(*last.lock().unwrap());
            assert!(ran < LEASE, "{what}: it ran for {ran:?} on a lease of {LEASE:?}");
            assert!(
                ran > LEASE / 2,
                "{what}: one failed renewal is not the end, but it stopped after {ran:?}"
            );
            world.check();
        }
    }
}

#[test]
fn a_renewal_that_fails_now_and_then_does_not_stop_the_work() {
    let world = World::new();
    let dropped = Arc::default();
    let job = hour(&world, &dropped);
    let renewals = AtomicU64::new(0);
    let faulty: Arc<dyn Store> = Arc::new(Faulty::new(&world.store, move |_, batch| {
        let fails = is_renewal(batch) && renewals.fetch_add(1, Ordering::SeqCst) % 3 != 2;
        if fails { Inject::NotApplied } else { Inject::Pass }
    }));
    let report = world.sim.block_on(job.run_once_on(world.sim.clone(), &faulty, "a")).unwrap().unwrap();
    assert_eq!(report.run.unwrap().state(), State::Succeeded);
    world.check();
}

#[test]
fn the_lease_counts_from_before_the_claim_was_asked_for() {
    let world = World::new();
    let dropped = Arc::default();
    let job = hour(&world, &dropped);
    let sim = world.sim.clone();
    // The store writes the claim, and its answer takes 20 s of the lease's 30.
    let slow: Arc<dyn Store> = Arc::new(
        Faulty::new(
            &world.store,
            |_, batch| if is_renewal(batch) { Inject::NotApplied } else { Inject::Pass },
        )
        .meanwhile(move |n| {
            if n == 0 {
                sim.advance(Duration::from_secs(20));
            }
        }),
    );
    let start = world.sim.moment();
    let work = job.run_once_on(world.sim.clone(), &slow, "a");
    assert!(cut(&world.sim, Duration::from_secs(1800), work).is_some());
    // The step's own mark renews the lease: 20 s late, by its own clock.
    let ran = dropped.lock().unwrap().expect("it was stopped").since(start);
    assert!(ran < LEASE + Duration::from_secs(20), "it ran for {ran:?}");
    world.check();
}

#[test]
fn a_pure_step_has_no_more_lease_than_its_claim() {
    let world = World::new();
    let at = Arc::new(Mutex::new(None));
    let (sim, dropped) = (world.sim.clone(), Arc::clone(&at));
    let step = Step::new("hour", Effect::Pure, move |_| {
        let (sim, at) = (sim.clone(), Arc::clone(&dropped));
        async move {
            let _dropped = Dropped { sim: sim.clone(), at };
            sim.sleep(Duration::from_secs(3600)).await;
            Ok::<_, StepError>(())
        }
    });
    let job = Job::new("pure").lease(LEASE).step(step).build().unwrap();
    let sim = world.sim.clone();
    let slow: Arc<dyn Store> = Arc::new(
        Faulty::new(
            &world.store,
            |_, batch| if is_renewal(batch) { Inject::NotApplied } else { Inject::Pass },
        )
        .meanwhile(move |n| {
            if n == 0 {
                sim.advance(Duration::from_secs(20));
            }
        }),
    );
    let start = world.sim.moment();
    let work = job.run_once_on(world.sim.clone(), &slow, "a");
    assert!(cut(&world.sim, Duration::from_secs(1800), work).is_some());
    let ran = at.lock().unwrap().expect("it was stopped").since(start);
    assert!(ran < LEASE, "it ran for {ran:?} on a lease of {LEASE:?}");
    world.check();
}

#[test]
fn two_workers_that_race_for_one_input_do_it_once() {
    for seed in 0..20 {
        let (world, site) = (World::seeded(seed), Site::default());
        let job = site.job("race", &STEPS);
        let stores: Vec<Arc<dyn Store>> = (0..4).map(|_| world.other()).collect();
        let work = stores.iter().map(|store| job.run_once_on(world.sim.clone(), store, "a"));
        let reports = world.sim.join(work).unwrap();
        let mut ran = 0;
        for report in reports {
            match report.unwrap().verdict {
                Verdict::Ran => ran += 1,
                Verdict::Busy { .. } | Verdict::Duplicate(_) => {}
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(ran, 1);
        holds(&world, &site, State::Succeeded, "a race");
    }
}

#[test]
fn a_rival_finds_a_long_step_busy_from_its_beginning_to_its_end() {
    let world = World::new();
    let dropped = Arc::default();
    let job = hour(&world, &dropped);
    let other = world.other();
    let rival = async {
        for _ in 0..350 {
            world.sim.sleep(Duration::from_secs(10)).await;
            let report = job.run_once_on(world.sim.clone(), &other, "a").await.unwrap();
            assert!(matches!(report.verdict, Verdict::Busy { .. }), "{:?}", report.verdict);
        }
    };
    let work: BoxFuture<'_, ()> = Box::pin(async {
        let run = job.run_once_on(world.sim.clone(), &world.store, "a").await.unwrap().run.unwrap();
        assert_eq!(run.state(), State::Succeeded);
    });
    world.sim.join([work, Box::pin(rival)]).unwrap();
    world.check();
}

#[test]
fn a_zombie_that_wakes_after_a_takeover_changes_nothing() {
    let (world, site) = (World::new(), Site::default());
    let (sim, first) = (world.sim.clone(), AtomicBool::new(true));
    let (other, inner) = (world.other(), site.clone());
    // The first worker is suspended inside its step: monotonic time passes and it does not run.
    let step = Step::blocking("act", Effect::Idempotent, move |cx| {
        *inner.get().calls.entry((String::from("act"), cx.fence().to_string())).or_default() += 1;
        if first.swap(false, Ordering::SeqCst) {
            sim.advance(LEASE * 3);
            let taken = unattended::runs::Runs::new(Arc::clone(&other));
            let taken =
                unattended::blocking::block_on(taken.claim_due("zombie", 1, LEASE, "worker:b")).unwrap();
            assert_eq!(taken.len(), 1, "the lease is over");
            assert!(cx.should_stop(), "it is told");
            assert!(cx.save_cursor_blocking(&7).is_err(), "its write is refused");
        }
        Ok(1)
    });
    let job = Job::new("zombie").lease(LEASE).key(|input: &String| Key::new("site", "thing", input));
    let job = job.step(step).step(site.step("after", Effect::Unsafe)).build().unwrap();
    let run = deliver(&world, &job, "a").unwrap().run.unwrap();
    assert_eq!(run.state(), State::Processing, "it is the other worker's");
    assert_eq!(site.calls("after", "a"), 0, "the zombie stops at its first refused write");
    assert!(run.body.steps.iter().all(|step| step.cursor.is_none() && step.output.is_none()));
    world.check();
    world.pass_a_lease();
    let run = deliver(&world, &job, "a").unwrap().worked_off.remove(0);
    assert_eq!(run.state(), State::Succeeded);
    assert!(site.get().calls.values().all(|calls| *calls == 1), "each fence acts once at most");
    world.check();
}

#[test]
fn a_pause_during_the_work_outlives_the_checkpoints() {
    let (world, site) = (World::new(), Site::default());
    let (memory, sim) = (Arc::clone(&world.memory), world.sim.clone());
    let step = Step::blocking("pauses", Effect::Idempotent, move |cx| {
        let record = unattended::blocking::block_on(memory.get(Ns::RUN, cx.run_id())).unwrap().unwrap();
        let expect = unattended::store::Expect::Version(record.version);
        let put = Put { paused: Some(true), ..Put::nothing() };
        let write = unattended::store::Write::new(Ns::RUN, cx.run_id(), expect, put);
        unattended::blocking::block_on(memory.apply(unattended::store::Batch::of(write))).unwrap();
        sim.advance(Duration::from_secs(1));
        Ok(())
    });
    let job = Job::new("pauses").lease(LEASE).key(|input: &String| Key::new("site", "thing", input));
    let job = job.step(step).step(site.step("after", Effect::Idempotent)).build().unwrap();
    let run = deliver(&world, &job, "a").unwrap().run.unwrap();
    assert!(run.record.paused);
    world.check();
}

#[test]
fn an_output_that_is_too_big_fails_its_run_and_nothing_else() {
    for effect in [Effect::Pure, Effect::Idempotent, Effect::Unsafe] {
        let (world, site) = (World::new(), Site::default());
        let big = Step::blocking("big", effect, |cx| {
            let size = if cx.input::<String>()? == "big" { unattended::store::BODY_MAX } else { 1 };
            Ok("x".repeat(size))
        });
        let job = Job::new("big").lease(LEASE).key(|input: &String| Key::new("site", "thing", input));
        let job = job.step(big).step(site.step("after", Effect::Idempotent)).build().unwrap();
        let report = process(&world, &world.store, &job, "big").unwrap();
        let run = report.unwrap_or_else(|error| panic!("{effect}: {error}")).run.unwrap();
        assert_eq!(run.state(), State::FailedPermanent, "{effect}: {}", run.body.why);
        assert!(run.body.why.contains("big") && run.body.why.contains("65536"), "{effect}: {}", run.body.why);
        assert_eq!(
            deliver(&world, &job, "small").unwrap().run.unwrap().state(),
            State::Succeeded,
            "{effect}"
        );
        world.check();
    }
}

#[test]
fn long_error_texts_do_not_stop_a_run_from_being_saved() {
    let world = World::new();
    let step = Step::blocking("talks", Effect::Idempotent, |_| -> Result<(), StepError> {
        Err(StepError::transient("http.503", "e".repeat(100_000)))
    });
    let job = Job::new("talks")
        .lease(LEASE)
        .attempts_max(30)
        .key(|input: &String| Key::new("site", "thing", input.len()));
    let job = job.step(step).build().unwrap();
    let input = "i".repeat(40_000);
    for _ in 0..12 {
        let report = process(&world, &world.store, &job, &input).unwrap();
        report.unwrap_or_else(|error| panic!("{error}"));
        world.secs(4000);
    }
    let run = world.all().remove(0);
    assert_eq!(run.state(), State::FailedTransient, "{}", run.body.why);
    assert!(!run.body.faults.is_empty());
    world.check();
}
