//! What is begun when, and what never happens at the same time.

use std::sync::Arc;
use std::time::Duration;

use unattended::blocking::block_on;
use unattended::effect::Effect;
use unattended::job::Terms;
use unattended::pipeline::{Flow, Step, Wait};
use unattended::run::State;
use unattended::runs::{NewRun, StepRecord};
use unattended::shutdown::Shutdown;
use unattended::store::Store;
use unattended::text;
use unattended::time::later;
use unattended::worker::Limits;

use super::{Counted, Log, job, of, queue, queue_on, run_for, secs, states, worker};
use crate::world::World;

#[test]
fn the_highest_in_rank_come_first_and_each_sixteenth_claim_takes_the_oldest() {
    let (world, log) = (World::new(), Log::default());
    let job = job("rank", log.step(&world.sim, Effect::Pure, secs(1)));
    for rank in 0..30 {
        queue_on(&world, &job, &format!("{rank}"), &Terms { rank, ..Terms::default() });
    }
    run_for(&world, secs(100), &[&worker(&world.store, job).concurrency(1).build().unwrap()]);
    let mut expected: Vec<String> = (0..30).rev().map(|rank| rank.to_string()).collect();
    // The sixteenth claim does not take 14, which is its rank's turn, but the first that was queued.
    expected.pop();
    expected.insert(15, String::from("0"));
    assert_eq!(log.inputs(), expected);
    world.check();
}

#[test]
fn what_is_not_yet_due_is_begun_within_a_poll_after_it_is() {
    let (world, log) = (World::new(), Log::default());
    let job = job("due", log.step(&world.sim, Effect::Pure, secs(1)));
    let due_at = Some(later(world.wall(), secs(600)));
    queue_on(&world, &job, "later", &Terms { due_at, ..Terms::default() });
    run_for(&world, secs(700), &[&worker(&world.store, job).poll(secs(4)).build().unwrap()]);
    let begun = log.spans()[0].begun;
    assert!((600_000..=605_000).contains(&begun), "{begun}");
}

#[test]
fn neither_the_workers_concurrency_nor_a_jobs_bound_is_ever_exceeded() {
    let (world, log) = (World::new(), Log::default());
    let bounded = job("bounded", log.step(&world.sim, Effect::Pure, secs(3)));
    let free = job("free", log.step(&world.sim, Effect::Pure, secs(5)));
    for run in 0..20 {
        queue_on(&world, &bounded, &format!("bounded-{run}"), &Terms { rank: 9, ..Terms::default() });
        queue(&world, &free, &format!("free-{run}"));
    }
    let limits = Limits { concurrency: Some(2), ..Limits::default() };
    let worker = worker(&world.store, free).job_with(bounded, limits).concurrency(6).build().unwrap();
    let summary = run_for(&world, secs(600), &[&worker]).remove(0);
    assert_eq!(summary.ended_in(State::Succeeded), 40, "{summary}");
    assert_eq!((log.at_once("bounded"), log.at_once("")), (2, 6), "as many as may, and no more");
    let last = log.spans().iter().filter_map(|span| span.ended).max().unwrap();
    assert!(last <= 34_000, "a bound of one job does not keep slots empty: {last}");
    world.check();
}

#[test]
fn runs_with_one_serial_key_are_never_worked_on_at_the_same_time() {
    let (world, log) = (World::new(), Log::default());
    let job = of("serial", log.step(&world.sim, Effect::Pure, secs(2)))
        .serial_by(|input: &String| input[..5].to_owned())
        .build()
        .unwrap();
    for run in 0..30 {
        queue(&world, &job, &format!("key-{}/{run}", run % 3));
    }
    let one = worker(&world.store, job.clone()).build().unwrap();
    let other = worker(&world.other(), job).seed(8).build().unwrap();
    let summaries = run_for(&world, secs(300), &[&one, &other]);
    let done: u64 = summaries.iter().map(|summary| summary.ended_in(State::Succeeded)).sum();
    assert_eq!(done, 30, "{summaries:?}");
    for key in ["key-0", "key-1", "key-2"] {
        assert_eq!(log.at_once(key), 1, "{key}: {:?}", log.spans());
    }
    let last = log.spans().iter().filter_map(|span| span.ended).max().unwrap();
    assert!(last <= 40_000, "the next of a key is begun when the one before it ends: {last}");
    world.check();
}

#[test]
fn no_more_are_begun_than_the_rates_allow() {
    let (world, log) = (World::new(), Log::default());
    let slow = job("slow", log.step(&world.sim, Effect::Pure, secs(1)));
    let quick = job("quick", log.step(&world.sim, Effect::Pure, secs(1)));
    for run in 0..40 {
        queue(&world, &slow, &format!("slow-{run}"));
        queue(&world, &quick, &format!("quick-{run}"));
    }
    let limits = Limits { rate: Some(text::rate("2/s").unwrap()), ..Limits::default() };
    let worker = worker(&world.store, quick)
        .job(slow)
        .job_limits("slow", limits)
        .rate(text::rate("10/s").unwrap())
        .concurrency(64)
        .build()
        .unwrap();
    let summary = run_for(&world, secs(60), &[&worker]).remove(0);
    assert_eq!(summary.ended_in(State::Succeeded), 80, "{summary}");
    let begun = |prefix: &str| -> Vec<u128> {
        let spans = log.spans().into_iter().filter(|span| span.input.starts_with(prefix));
        spans.map(|span| span.begun).collect()
    };
    for (prefix, apart) in [("slow", 500), ("", 100)] {
        let begun = begun(prefix);
        assert!(begun.windows(2).all(|pair| pair[1] - pair[0] >= apart), "{prefix}: {begun:?}");
    }
    // The quick ones have what the slow ones leave of ten a second.
    for (prefix, apart) in [("slow", 500), ("quick", 125)] {
        let begun = begun(prefix);
        let (took, least) = (begun[39] - begun[0], apart * 39);
        assert!(took <= least * 5 / 4, "the rate is used: {prefix}: {begun:?}");
    }
}

#[test]
fn a_job_of_one_step_costs_its_share_of_a_claim_and_one_write() {
    let (world, log) = (World::new(), Log::default());
    let job = job("cheap", log.step(&world.sim, Effect::Pure, secs(1)));
    for run in 0..640 {
        queue(&world, &job, &run.to_string());
    }
    let counted = Counted::new(&world.store);
    let store: Arc<dyn Store> = Arc::<Counted>::clone(&counted);
    let worker = worker(&store, job).concurrency(64).build().unwrap();
    let summary = run_for(&world, secs(15), &[&worker]).remove(0);
    assert_eq!(summary.ended_in(State::Succeeded), 640, "{summary}");
    // 640 completions, 10 claims, and a look now and then: once a second whether something ages, and what is held.
    assert!(counted.calls() <= 640 + 10 + 20 + 15 + 15, "{} calls for 640 jobs", counted.calls());
}

#[test]
fn a_kind_that_the_worker_does_not_know_stays_queued() {
    let (world, log) = (World::new(), Log::default());
    let known = job("known", log.step(&world.sim, Effect::Pure, secs(1)));
    let other = job("other", log.step(&world.sim, Effect::Pure, secs(1)));
    queue(&world, &other, "other");
    let input = serde_json::value::to_raw_value("newer").unwrap();
    let mut newer = NewRun::new("known", input, vec![StepRecord::pending("work", Effect::Pure)]);
    newer.body.schema = 2;
    drop(block_on(world.runs().submit(newer, world.wall())).unwrap());
    queue(&world, &known, "known");
    run_for(&world, secs(30), &[&worker(&world.store, known).build().unwrap()]);
    assert_eq!(log.inputs(), ["known"]);
    assert_eq!(states(&world), [State::Queued, State::Queued, State::Succeeded]);
}

#[test]
fn a_wait_whose_time_has_come_is_ended_by_the_sweep() {
    let world = World::new();
    let until = later(world.wall(), secs(100));
    let step = Step::waiting("ask", Effect::Pure, move |_| async move {
        Ok(Flow::<()>::Wait(Wait::on("approval").until(until)))
    });
    let job = of("waits", step).build().unwrap();
    let id = queue(&world, &job, "a");
    let worker = worker(&world.store, job).sweep_every(secs(4)).build().unwrap();
    let summary = run_for(&world, secs(50), &[&worker]).remove(0);
    assert_eq!((summary.ended_in(State::WaitingExternal), summary.swept), (1, 0), "{summary}");
    let summary = run_for(&world, secs(70), &[&worker]).remove(0);
    assert_eq!((summary.swept, summary.claimed), (1, 1), "{summary}");
    assert_eq!(world.run(&id).state(), State::FailedPermanent, "nobody answered in time");
    world.check();
}

#[test]
fn the_same_seed_gives_the_same_story() {
    let story = || {
        let (world, log) = (World::new(), Log::default());
        let job = job("story", log.step(&world.sim, Effect::Pure, Duration::from_millis(700)));
        for run in 0..40 {
            let due_at = Some(later(world.wall(), Duration::from_millis(run * 350)));
            let rank = i64::try_from(run % 7).unwrap();
            queue_on(&world, &job, &run.to_string(), &Terms { rank, due_at, ..Terms::default() });
        }
        let worker = worker(&world.store, job).concurrency(3).build().unwrap();
        run_for(&world, secs(60), &[&worker]);
        log.spans()
    };
    let first = story();
    assert_eq!(first.len(), 40);
    assert_eq!(first, story());
}

#[test]
fn a_worker_that_is_asked_to_end_before_it_begins_claims_nothing() {
    let (world, log) = (World::new(), Log::default());
    let job = job("none", log.step(&world.sim, Effect::Pure, secs(1)));
    queue(&world, &job, "a");
    let worker = worker(&world.store, job).build().unwrap();
    let shutdown = Shutdown::new();
    shutdown.trigger();
    let summary = world.sim.block_on(worker.run_on(world.sim.clone(), &shutdown)).unwrap();
    assert_eq!((summary.claimed, states(&world)), (0, vec![State::Queued]));
}
