//! Runs are taken by what they are worth, as in a queue in memory: the store's order is held against a look at all of them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use unattended::blocking::block_on;
use unattended::effect::Effect;
use unattended::fault::{Class, Severity};
use unattended::job::{Builder, Job, Terms};
use unattended::pipeline::Step;
use unattended::queue::Value;
use unattended::run::State;
use unattended::runs::{FaultRecord, Word, Worth};
use unattended::store::{BODY_MAX, Change, LeaseChange, Ns, Put, Store, Write};
use unattended::testing::sim::Sim;
use unattended::time::{Clock, Timestamp, later};

use super::{Counted, Log, queue, queue_on, run_for, secs, worker};
use crate::world::{Faulty, Inject, World, cut};

/// A step that takes as many seconds as its input begins with.
fn taking(log: &Log, sim: &Sim) -> Step {
    let (log, sim) = (log.clone(), sim.clone());
    Step::new("work", Effect::Pure, move |cx| {
        let (log, sim) = (log.clone(), sim.clone());
        async move {
            let input: String = cx.input()?;
            let takes = input.split('-').next().and_then(|secs| secs.parse().ok()).unwrap_or(1);
            log.begin(input, &sim);
            unattended::time::Sleep::sleep(&sim, secs(takes)).await;
            Ok(())
        }
    })
}

fn of(log: &Log, world: &World) -> Builder {
    Job::new("worth").step(taking(log, &world.sim)).lease(crate::world::LEASE)
}

struct Given {
    id: String,
    worth: Worth,
    expires_at: Option<Timestamp>,
}

/// A value of one kind in four, by the number of the task.
fn value(rng: &mut unattended::rng::Rng, kind: usize) -> Value {
    let v = 1.0 + rng.up_to(99) as f64;
    let span = secs(10 + rng.up_to(190));
    match kind % 4 {
        0 => Value::step(v),
        1 => Value::linear(v, span / 4, span),
        2 => Value::half_life(v, span / 3),
        _ => Value::steps([(Duration::ZERO, v), (span / 2, v / 3.0)]),
    }
    .unwrap()
}

#[test]
fn at_each_claim_the_run_that_is_worth_most_a_second_is_taken_and_the_sixteenth_is_the_oldest() {
    for seed in 1..=6 {
        let (world, log) = (World::seeded(seed), Log::default());
        let job = of(&log, &world).build().unwrap();
        let mut rng = world.sim.rng();
        let start = world.wall();
        let mut given: HashMap<String, Given> = HashMap::new();
        for task in 0..60 {
            let takes = 1 + rng.up_to(8);
            let value = value(&mut rng, task);
            let expires_at = (task % 3 != 0).then(|| later(start, secs(20 + rng.up_to(280))));
            let terms = Terms {
                value: Some(value.clone()),
                estimate: Some(secs(takes)),
                expires_at,
                ..Terms::default()
            };
            let input = format!("{takes}-{task}");
            let id = queue_on(&world, &job, &input, &terms);
            let worth = Worth::new(value, Some(secs(takes)), start);
            given.insert(input, Given { id, worth, expires_at });
        }
        let worker = worker(&world.store, job).concurrency(1).build().unwrap();
        run_for(&world, secs(1000), &[&worker]);
        let begun = log.spans();
        let mut oldest = 0;
        for (turn, span) in begun.iter().enumerate() {
            let now = later(start, Duration::from_millis(u64::try_from(span.begun).unwrap()));
            let chosen = &given[&span.input];
            let fits = |one: &Given| {
                let ends = later(now, one.worth.estimate().unwrap());
                one.expires_at.is_none_or(|until| ends <= until && until > now)
            };
            assert!(fits(chosen), "{} is begun although it cannot be done in time", span.input);
            let waiting = given
                .iter()
                .filter(|(input, one)| fits(one) && !begun[..=turn].iter().any(|span| span.input == **input));
            let best = waiting.map(|(_, one)| one.worth.rank(now)).max().unwrap_or(i64::MIN);
            // A rank that is too high by less than ten thousandths of a doubling is left as it is.
            if chosen.worth.rank(now) + 10 < best {
                oldest += 1;
            }
        }
        assert!(oldest <= begun.len() / 16 + 1, "{oldest} of {} were not the best", begun.len());
        for (input, one) in &given {
            let run = world.run(&one.id);
            let ran = begun.iter().any(|span| span.input == *input);
            let expected = if ran { State::Succeeded } else { State::Expired };
            assert_eq!(run.state(), expected, "{input}: {}", run.body.why);
            assert!(ran || ["run.expired", "run.cannot_finish"].contains(&&*run.body.code), "{input}");
        }
        assert!(begun.len() > 20 && begun.len() < 60, "{}", begun.len());
        world.check();
    }
}

#[test]
fn a_run_whose_value_fell_is_passed_by_one_that_was_worth_less_when_it_came() {
    let (world, log) = (World::new(), Log::default());
    let job = of(&log, &world).build().unwrap();
    let terms = |value| Terms { value: Some(value), estimate: Some(secs(1)), ..Terms::default() };
    let fades = Value::half_life(100.0, secs(10)).unwrap();
    queue_on(&world, &job, "1-fades", &terms(fades));
    queue_on(&world, &job, "1-stays", &terms(Value::step(50.0).unwrap()));
    world.secs(60);
    let runs = world.sim.block_on(job.work_off_on(world.sim.clone(), &world.store)).unwrap().unwrap();
    let order: Vec<String> = runs.iter().map(|run| run.body.input.get().to_owned()).collect();
    assert_eq!(order, ["\"1-stays\"", "\"1-fades\""]);
    world.check();
}

#[test]
fn what_the_job_says_of_value_estimate_and_time_holds_unless_the_terms_say_otherwise() {
    let (world, log) = (World::new(), Log::default());
    let job = of(&log, &world)
        .value(|input: &String| Value::step(input.len() as f64).unwrap())
        .estimate(secs(2))
        .within(secs(60))
        .build()
        .unwrap();
    let run = |terms: &Terms| world.run(&queue_on(&world, &job, "1-abcdef", terms));
    let plain = run(&Terms::default());
    assert_eq!(plain.record.rank, unattended::queue::rank(8.0 / 2.0));
    assert_eq!(plain.record.expires_at, Some(later(world.wall(), secs(60))));
    let due_at = Some(later(world.wall(), secs(600)));
    let said = run(&Terms {
        value: Some(Value::step(1.0).unwrap()),
        estimate: Some(secs(1)),
        due_at,
        ..Terms::default()
    });
    assert_eq!((said.record.rank, said.record.expires_at), (0, Some(later(world.wall(), secs(660)))));
}

#[test]
fn terms_and_policies_that_cannot_be_are_refused_with_their_field() {
    let (world, log) = (World::new(), Log::default());
    let job = of(&log, &world).build().unwrap();
    let refused = |terms: Terms| {
        let input = String::from("1-a");
        block_on(job.submit_on(&world.sim, &world.store, &input, &terms)).unwrap_err().to_string()
    };
    let value = Some(Value::ONE);
    assert!(refused(Terms { rank: 5, value: value.clone(), ..Terms::default() }).contains("rank is 5"));
    for estimate in [Duration::ZERO, Duration::MAX] {
        assert!(refused(Terms { estimate: Some(estimate), ..Terms::default() }).contains("its estimate is"));
    }
    let (due_at, expires_at) = (Some(later(world.wall(), secs(60))), Some(later(world.wall(), secs(59))));
    assert!(refused(Terms { due_at, expires_at, ..Terms::default() }).contains("before it is due"));
    let built = |job: Builder| job.build().unwrap_err().to_string();
    assert!(built(of(&log, &world).estimate(Duration::ZERO)).starts_with("estimate is 0ns;"));
    assert!(built(of(&log, &world).within(Duration::ZERO)).starts_with("within is 0ns;"));
    assert!(built(of(&log, &world).within(secs(1)).estimate(secs(2))).starts_with("within is 1s;"));
}

#[test]
fn what_was_claimed_ahead_and_is_too_late_when_its_slot_comes_is_not_begun() {
    let (world, log) = (World::new(), Log::default());
    let job = of(&log, &world).build().unwrap();
    // Many short ones make the worker claim ahead; those that end their time meanwhile are not begun.
    let until = later(world.wall(), Duration::from_millis(2500));
    for task in 0..40 {
        let terms = Terms { expires_at: Some(until), ..Terms::default() };
        queue_on(&world, &job, &format!("1-{task}"), &terms);
    }
    let worker = worker(&world.store, job).concurrency(4).build().unwrap();
    run_for(&world, secs(60), &[&worker]);
    let late = log.spans().iter().filter(|span| span.begun > 2500).count();
    assert_eq!(late, 0, "{:?}", log.spans());
    assert!(world.sim.now().wall > until);
    world.check();
}

#[test]
fn a_run_in_doubt_is_asked_about_when_its_time_is_over_and_not_put_away() {
    for swept in [false, true] {
        let (world, log) = (World::new(), Log::default());
        let unsafe_step = || log.step(&world.sim, Effect::Unsafe, secs(3600));
        let job = || Job::new("worth").step(unsafe_step()).lease(crate::world::LEASE).build().unwrap();
        let terms = Terms { expires_at: Some(later(world.wall(), secs(120))), ..Terms::default() };
        let id = queue_on(&world, &job(), "1-a", &terms);
        let dies = worker(&world.store, job()).build().unwrap();
        let never = unattended::shutdown::Shutdown::new();
        assert!(cut(&world.sim, secs(5), dies.run_on(world.sim.clone(), &never)).is_none());
        assert_eq!(log.spans().len(), 1);
        // Taken over, and handed back before it was begun there.
        let back = Put { state: Some("queued".into()), lease: LeaseChange::End, ..Put::nothing() };
        world.put(Ns::RUN, &id, Put { due_at: Change::to(world.wall()), ..back });
        world.secs(200);
        if swept {
            block_on(world.runs().sweep(&[], "operator")).unwrap();
            assert_eq!(world.run(&id).state(), State::Queued);
        }
        let next = worker(&world.store, job()).build().unwrap();
        run_for(&world, secs(5), &[&next]);
        assert_eq!(world.run(&id).state(), State::NeedsReview, "{}", world.run(&id).body.why);
        assert_eq!(log.spans().len(), 1);
    }
}

#[test]
fn a_run_whose_end_cannot_be_written_keeps_no_other_from_being_done() {
    let (world, log) = (World::new(), Log::default());
    let job = of(&log, &world).build().unwrap();
    let value = Some(Value::half_life(9.0, secs(60)).unwrap());
    let expires_at = Some(later(world.wall(), secs(10)));
    queue_on(&world, &job, "1-bad", &Terms { value, expires_at, ..Terms::default() });
    let good: Vec<String> = (0..3).map(|task| queue(&world, &job, &format!("1-{task}"))).collect();
    let store: Arc<dyn Store> = Arc::new(Faulty::new(&world.store, |_, batch| {
        let expires = |write: &Write| write.put.state.as_deref() == Some("expired");
        if batch.writes().iter().any(expires) { Inject::NotApplied } else { Inject::Pass }
    }));
    world.secs(20);
    let worker = worker(&store, job).concurrency(4).build().unwrap();
    run_for(&world, secs(5), &[&worker]);
    let done = good.iter().filter(|id| world.run(id).state() == State::Succeeded).count();
    assert_eq!(done, 3);
}

#[test]
fn a_run_whose_body_is_full_expires_all_the_same() {
    let (world, log) = (World::new(), Log::default());
    let job = of(&log, &world).build().unwrap();
    let expires_at = Some(later(world.wall(), secs(10)));
    let id = queue_on(&world, &job, "1-full", &Terms { expires_at, ..Terms::default() });
    let mut body = world.run(&id).body;
    body.keep_fault(FaultRecord {
        attempt: 1,
        step_attempt: 1,
        step: String::from("work"),
        class: Class::Transient,
        severity: Severity::Recoverable,
        code: String::from("net.refused"),
        chain: "no answer ".repeat(50),
        at: world.wall(),
    });
    let left = BODY_MAX - serde_json::to_string(&body).unwrap().len() - 10;
    body.input = serde_json::value::to_raw_value(&"x".repeat(left)).unwrap();
    let body = Some(serde_json::to_string(&body).unwrap());
    world.put(Ns::RUN, &id, Put { body, ..Put::nothing() });
    world.secs(20);
    run_for(&world, secs(5), &[&worker(&world.store, job).build().unwrap()]);
    assert_eq!(world.run(&id).state(), State::Expired);
}

#[test]
fn where_nothing_ages_the_queue_is_ranked_once_a_second_at_most() {
    let (world, log) = (World::new(), Log::default());
    let counted = Counted::new(&world.store);
    let store: Arc<dyn Store> = Arc::<Counted>::clone(&counted);
    let worker = worker(&store, of(&log, &world).build().unwrap()).poll(secs(1)).build().unwrap();
    run_for(&world, secs(600), &[&worker]);
    // A look and a claim each second, and orphans and waits each ten.
    let calls = counted.calls();
    assert!(calls < 600 * 2 * 5 / 4 + 200, "{calls} calls in ten idle minutes");
}

#[test]
fn more_runs_that_age_than_one_claim_looks_at_are_all_done_at_a_bounded_cost() {
    let (world, log) = (World::new(), Log::default());
    let counted = Counted::new(&world.store);
    let store: Arc<dyn Store> = Arc::<Counted>::clone(&counted);
    let job = || of(&log, &world).build().unwrap();
    let fades = || Terms { value: Some(Value::half_life(100.0, secs(60)).unwrap()), ..Terms::default() };
    for task in 0..400 {
        queue_on(&world, &job(), &format!("1-{task}"), &fades());
    }
    queue_on(
        &world,
        &job(),
        "1-stays",
        &Terms { value: Some(Value::step(20.0).unwrap()), ..Terms::default() },
    );
    world.secs(600);
    let worker = || worker(&store, job()).concurrency(1).build().unwrap();
    run_for(&world, secs(20), &[&worker()]);
    let (calls, claims) = (counted.calls(), log.spans().len());
    assert!(calls < 60 * u64::try_from(claims).unwrap(), "{calls} calls for {claims} claims");
    let inputs = log.inputs();
    assert!(inputs[..4].contains(&String::from("1-stays")), "{inputs:?}");
    let (one, other) = (worker(), worker());
    run_for(&world, secs(400), &[&one, &other]);
    let mut inputs = log.inputs();
    inputs.sort();
    inputs.dedup();
    assert_eq!((inputs.len(), log.spans().len()), (401, 401));
    assert!(world.all().iter().all(|run| run.state() == State::Succeeded));
    world.check();
}

#[test]
fn a_run_that_is_paused_or_waits_for_its_serial_key_hides_nothing_behind_it() {
    let (world, log) = (World::new(), Log::default());
    let serial = |input: &String| if input.ends_with("serial") { String::from("s") } else { input.clone() };
    let job = of(&log, &world).serial_by(serial).build().unwrap();
    let terms = |value| Terms { value: Some(value), ..Terms::default() };
    queue_on(&world, &job, "60-serial", &terms(Value::step(1000.0).unwrap()));
    for task in 0..40 {
        queue_on(&world, &job, &format!("{task:02}-serial"), &terms(Value::step(900.0).unwrap()));
    }
    for task in 0..40 {
        let id = queue_on(&world, &job, &format!("1-paused-{task}"), &terms(Value::step(900.0).unwrap()));
        let word = Word { by: "me", why: "again", at: world.wall() };
        block_on(world.runs().pause(&id, word)).unwrap();
    }
    queue_on(&world, &job, "1-fades", &terms(Value::half_life(500.0, secs(10)).unwrap()));
    queue_on(&world, &job, "1-stays", &terms(Value::step(100.0).unwrap()));
    world.secs(60);
    let worker = worker(&world.store, job).concurrency(2).build().unwrap();
    run_for(&world, secs(50), &[&worker]);
    let mut inputs = log.inputs();
    inputs.sort();
    assert_eq!(inputs, ["1-fades", "1-stays", "60-serial"]);
}

#[test]
fn a_run_that_does_the_work_again_is_worth_what_it_was_on_its_first_day() {
    let (world, log) = (World::new(), Log::default());
    let job = of(&log, &world).build().unwrap();
    let value = Value::half_life(100.0, secs(60)).unwrap();
    let expires_at = Some(later(world.wall(), secs(600)));
    let id = queue_on(&world, &job, "1-a", &Terms { value: Some(value), expires_at, ..Terms::default() });
    let first = world.run(&id).record.rank;
    world.secs(700);
    run_for(&world, secs(5), &[&worker(&world.store, job).build().unwrap()]);
    assert_eq!(world.run(&id).state(), State::Expired);
    let word = Word { by: "me", why: "again", at: world.wall() };
    let _created = block_on(world.runs().rerun(&world.run(&id), word)).unwrap();
    let again = world.all().into_iter().find(|run| run.id() != id).unwrap();
    assert_eq!((again.record.rank, again.record.expires_at), (first, None));
}
