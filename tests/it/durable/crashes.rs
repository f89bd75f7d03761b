//! A process that dies in the middle of a job, at every point and for every effect class.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use unattended::blocking::block_on;
use unattended::canonical::Key;
use unattended::claim::Settled;
use unattended::effect::Effect;
use unattended::fault::Fault;
use unattended::job::{Job, Verdict};
use unattended::pipeline::{Step, StepError};
use unattended::run::State;
use unattended::runs::{NewRun, StepRecord, StepState, Submitted};
use unattended::store::{Ns, Prune, Put};
use unattended::time::Sleep;

use crate::durable::site::{Act, Site, deliver, process};
use crate::world::{LEASE, World, cut};

const CLASSES: [Effect; 4] = [Effect::Pure, Effect::Idempotent, Effect::Verifiable, Effect::Unsafe];

fn around(site: &Site, effect: Effect) -> Job {
    let steps = [("prepare", Effect::Pure), ("act", effect), ("notify", Effect::Idempotent)];
    site.job("around", &steps)
}

#[test]
fn without_a_crash_every_step_runs_once_wherever_it_stands() {
    for effect in CLASSES {
        for steps in [
            vec![("act", effect)],
            vec![("act", effect), ("after", Effect::Idempotent)],
            vec![("before", Effect::Pure), ("act", effect)],
            vec![("before", Effect::Idempotent), ("act", effect), ("after", effect)],
        ] {
            let (world, site) = (World::new(), Site::default());
            let job = site.job("plain", &steps);
            let run = deliver(&world, &job, "a").unwrap().run.unwrap();
            assert_eq!(run.state(), State::Succeeded, "{steps:?}: {}", run.body.why);
            for (step, _) in &steps {
                assert_eq!(site.calls(step, "a"), 1, "{steps:?}: {step}");
            }
            world.check();
        }
    }
}

#[test]
fn a_crash_at_any_point_is_made_good_as_the_effect_class_says() {
    for effect in CLASSES {
        for edge in around(&Site::default(), effect).edge_names() {
            let (world, site) = (World::new(), Site::default());
            let job = around(&site, effect);
            let what = format!("{effect} at {edge}");
            site.die_at(&edge);
            assert!(deliver(&world, &job, "a").is_none(), "{what}: it did not die");
            world.check();
            world.pass_a_lease();
            let report = deliver(&world, &job, "a").unwrap();
            let run = report.run.unwrap();
            world.check();
            assert_eq!(world.all().len(), 1, "{what}");
            let (calls, effects) = (site.calls("act", "a"), site.effects("act", "a"));
            match run.state() {
                State::Succeeded => {
                    let most = if effect == Effect::Pure { 2 } else { 1 };
                    assert!((1..=most).contains(&effects), "{what}: {effects} effects");
                    assert!(calls <= 2 && (effect != Effect::Unsafe || calls == 1), "{what}: {calls} calls");
                    assert_eq!(site.effects("notify", "a"), 1, "{what}");
                }
                State::NeedsReview => {
                    assert_eq!(effect, Effect::Unsafe, "{what}");
                    assert!(effects <= 1 && calls <= 1, "{what}");
                    assert!(run.body.question.as_ref().unwrap().text.contains("was it done?"), "{what}");
                    assert_eq!(run.body.question.unwrap().step.as_deref(), Some("act"), "{what}");
                    assert_eq!(site.calls("notify", "a"), 0, "{what}");
                }
                other => panic!("{what}: {other}"),
            }
        }
    }
}

#[test]
fn a_panic_leaves_the_outcome_open_and_an_unsafe_step_is_asked_about() {
    for effect in CLASSES {
        for act in [Act::DieAfter, Act::DieBefore] {
            let (world, site) = (World::new(), Site::default());
            let job = around(&site, effect);
            site.next("act", [act.clone()]);
            let run = deliver(&world, &job, "a").unwrap().run.unwrap();
            let (state, calls) =
                if effect == Effect::Unsafe { (State::NeedsReview, 1) } else { (State::Succeeded, 2) };
            assert_eq!(run.state(), state, "{effect} {act:?}");
            let effects = site.effects("act", "a");
            assert!(effects <= if effect == Effect::Pure { 2 } else { 1 }, "{effect} {act:?}: {effects}");
            if effect != Effect::Verifiable {
                assert_eq!(site.calls("act", "a"), calls, "{effect} {act:?}");
            }
            world.check();
        }
    }
}

#[test]
fn what_is_left_of_a_step_after_its_run_has_ended_changes_nothing() {
    type End = fn() -> Result<u32, StepError>;
    let ends: [(&str, End); 3] = [
        ("succeeded", || Ok(1)),
        ("failed_transient", || Err(StepError::transient("http.503", "later"))),
        ("failed_permanent", || Err(StepError::permanent("http.422", "never"))),
    ];
    for (state, end) in ends {
        let world = World::new();
        let kept = Arc::new(Mutex::new(None));
        let leak = Arc::clone(&kept);
        let step = Step::blocking("leaks", Effect::Idempotent, move |cx| {
            *leak.lock().unwrap() = Some(cx.clone());
            end()
        });
        let run = deliver(&world, &Job::new("leaks").lease(LEASE).step(step).build().unwrap(), "a");
        let run = run.unwrap().run.unwrap();
        assert_eq!(run.state().as_str(), state);
        let cx = kept.lock().unwrap().take().unwrap();
        assert!(cx.should_stop(), "{state}");
        assert!(cx.save_cursor_blocking(&9).is_err(), "{state}");
        assert!(cx.decide_blocking("test.late", "too late", "stop", &()).is_err(), "{state}");
        assert_eq!(world.run(run.id()).record, run.record, "{state}");
        world.check();
    }
}

#[test]
fn a_crash_on_a_thread_is_made_good_as_on_a_future() {
    for edge in around(&Site::default(), Effect::Unsafe).edge_names() {
        let (world, site) = (World::new(), Site::default());
        let job = around(&site, Effect::Unsafe);
        let run = || job.run_once_blocking_on(world.sim.clone(), &world.store, "a");
        site.die_at(&edge);
        let died = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run));
        assert!(died.is_err(), "{edge}: it did not die");
        world.pass_a_lease();
        run().unwrap();
        let run = world.all().remove(0);
        let done = (site.calls("act", "a"), site.effects("notify", "a"));
        match run.state() {
            State::Succeeded => assert_eq!(done, (1, 1), "{edge}"),
            State::NeedsReview => assert!(done.0 <= 1 && done.1 == 0, "{edge}: {done:?}"),
            other => panic!("{edge}: {other}"),
        }
        world.check();
    }
}

#[test]
fn a_delivery_after_its_run_was_pruned_is_still_a_duplicate() {
    let (world, site) = (World::new(), Site::default());
    let job = around(&site, Effect::Unsafe);
    assert_eq!(deliver(&world, &job, "a").unwrap().exit_code(), 0);
    world.secs(86_400 * 90);
    let states = vec![State::Succeeded.as_str().to_owned()];
    let prune = Prune { ns: Ns::RUN, states, updated_before: world.wall(), limit: 10 };
    assert_eq!(block_on(world.store.prune(prune)).unwrap(), 1);
    let again = process(&world, &world.store, &job, "a").unwrap().unwrap();
    assert_eq!((&again.verdict, again.exit_code()), (&Verdict::Duplicate(Settled::Succeeded), 0));
    assert!(again.run.is_none());
    assert_eq!(site.calls("act", "a"), 1);
}

/// A job whose middle step never ends on its first call.
fn endless(site: &Site, world: &World, effect: Effect, hangs: &Arc<AtomicU32>) -> Job {
    let (inner, sim, hangs) = (site.clone(), world.sim.clone(), Arc::clone(hangs));
    let step = Step::new("act", effect, move |cx| {
        let (site, sim, hangs) = (inner.clone(), sim.clone(), Arc::clone(&hangs));
        async move {
            let input: String = cx.input()?;
            *site.get().effects.entry((String::from("act"), input)).or_default() += 1;
            if hangs.fetch_add(1, Ordering::SeqCst) == 0 {
                sim.sleep(Duration::from_secs(100_000)).await;
            }
            Ok::<_, StepError>(())
        }
    });
    let asked = site.clone();
    let step = step.guard(move |cx| {
        let site = asked.clone();
        async move {
            let at = (String::from("act"), cx.input::<String>()?);
            Ok(site.get().effects.contains_key(&at).then_some(()))
        }
    });
    Job::new("endless")
        .lease(LEASE)
        .key(|input: &String| Key::new("site", "thing", input))
        .step(site.step("prepare", Effect::Pure))
        .step(step)
        .build()
        .unwrap()
}

#[test]
fn a_step_that_is_cut_in_the_middle_is_taken_over_after_its_lease_and_not_before() {
    for effect in [Effect::Verifiable, Effect::Unsafe] {
        let (world, site, hangs) = (World::new(), Site::default(), Arc::new(AtomicU32::new(0)));
        let job = endless(&site, &world, effect, &hangs);
        let late = Duration::from_secs(1000);
        let died = cut(&world.sim, late, job.run_once_on(world.sim.clone(), &world.store, "a"));
        assert!(died.is_none());
        let other = world.other();
        let early = process(&world, &other, &job, "a").unwrap().unwrap();
        assert!(matches!(early.verdict, Verdict::Busy { .. }), "{effect}: {:?}", early.verdict);
        world.pass_a_lease();
        let run = process(&world, &other, &job, "a").unwrap().unwrap().run.unwrap();
        let expected = if effect == Effect::Unsafe { State::NeedsReview } else { State::Succeeded };
        assert_eq!(run.state(), expected, "{effect}: {}", run.body.why);
        assert_eq!(site.effects("act", "a"), 1, "{effect}");
        assert_eq!(site.calls("prepare", "a"), 1, "{effect}: a finished step never runs again");
        world.check();
    }
}

#[test]
fn an_unsafe_step_that_is_asked_about_is_asked_about_again_when_it_is_only_requeued() {
    let (world, site) = (World::new(), Site::default());
    let job = around(&site, Effect::Unsafe);
    site.die_at("act:worked");
    assert!(deliver(&world, &job, "a").is_none());
    for _ in 0..3 {
        world.pass_a_lease();
        let run = deliver(&world, &job, "a").unwrap();
        let run = run.worked_off.into_iter().next().or(run.run).unwrap();
        assert_eq!(run.state(), State::NeedsReview);
        block_on(world.runs().requeue(run.id(), "operator:ada", world.wall())).unwrap();
    }
    assert_eq!(site.calls("act", "a"), 1);
    world.check();
}

#[test]
fn outputs_and_cursors_survive_a_death() {
    let world = World::new();
    let read = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&read);
    let sim = world.sim.clone();
    let load = Step::new("load", Effect::Idempotent, move |cx| {
        let (seen, sim) = (Arc::clone(&seen), sim.clone());
        async move {
            let from = cx.cursor::<u64>()?.unwrap_or(0);
            let until: u64 = cx.output("count")?;
            seen.lock().unwrap().push(from);
            for at in from..until {
                sim.sleep(Duration::from_secs(10)).await;
                cx.save_cursor(&(at + 1)).await?;
            }
            Ok(until)
        }
    });
    let counted = Arc::new(AtomicU32::new(0));
    let counts = Arc::clone(&counted);
    let count = Step::blocking("count", Effect::Pure, move |_| {
        counts.fetch_add(1, Ordering::SeqCst);
        Ok(9_u64)
    });
    let job = Job::new("cursors")
        .lease(LEASE)
        .key(|input: &String| Key::new("site", "thing", input))
        .step(count)
        .step(load)
        .build()
        .unwrap();
    for _ in 0..2 {
        let died =
            cut(&world.sim, Duration::from_secs(45), job.run_once_on(world.sim.clone(), &world.store, "a"));
        assert!(died.is_none());
        world.pass_a_lease();
    }
    let run = deliver(&world, &job, "a").unwrap();
    let run = run.worked_off.into_iter().next().or(run.run).unwrap();
    assert_eq!(run.state(), State::Succeeded, "{}", run.body.why);
    assert_eq!(*read.lock().unwrap(), [0, 4, 8]);
    assert_eq!(counted.load(Ordering::SeqCst), 1);
    assert_eq!(run.body.crash_count, 0, "it got further each time: none of the deaths was its own doing");
    world.check();
}

#[test]
fn work_that_counts_as_done_stays_done_whatever_becomes_of_the_steps_after_it() {
    for dies in [None, Some("load:worked"), Some("load:saved")] {
        let (world, site) = (World::new(), Site::default());
        let store = Arc::clone(&world.store);
        let load = Step::blocking("load", Effect::Idempotent, move |cx| {
            if cx.cursor::<u32>()?.is_some() {
                return Ok(1);
            }
            let progress = cx.completion(&1, &"the rows")?;
            let applied = block_on(store.apply(progress.batch().again()))?;
            cx.committed(progress, &applied);
            Ok(1)
        });
        let hook = site.clone();
        let job = Job::new("done")
            .lease(LEASE)
            .key(|input: &String| Key::new("site", "thing", input))
            .step(load)
            .step(site.step("notify", Effect::Idempotent))
            .edges(move |edge| {
                if hook.get().die_at.take_if(|at| at == edge).is_some() {
                    std::panic::resume_unwind(Box::new(crate::durable::site::Death));
                }
            })
            .build()
            .unwrap();
        if let Some(edge) = dies {
            site.die_at(edge);
            assert!(deliver(&world, &job, "a").is_none());
            world.pass_a_lease();
        }
        site.next("notify", [Act::Refuse(Fault::permanent("smtp.550"))]);
        let report = deliver(&world, &job, "a").unwrap();
        let run = report.worked_off.into_iter().next().or(report.run).unwrap();
        assert_eq!(run.state(), State::FailedPermanent, "dies: {dies:?}");
        assert_eq!(
            world.entry(run.body.key.as_deref().unwrap()).unwrap().state,
            "succeeded",
            "dies: {dies:?}"
        );
        let again = deliver(&world, &job, "a").unwrap();
        assert_eq!(again.verdict, Verdict::Duplicate(Settled::Succeeded), "dies: {dies:?}");
        world.check();
    }
}

#[test]
fn a_run_that_is_cancelled_while_it_is_worked_on_stops_at_the_next_point() {
    let (world, site) = (World::new(), Site::default());
    let sim = world.sim.clone();
    let slow = Step::new("slow", Effect::Idempotent, move |_| {
        let sim = sim.clone();
        async move {
            sim.sleep(Duration::from_secs(120)).await;
            Ok(())
        }
    });
    let job = Job::new("cancelled").lease(LEASE).step(slow).step(site.step("after", Effect::Idempotent));
    let job = job.build().unwrap();
    let operator = async {
        world.sim.sleep(Duration::from_secs(50)).await;
        let run = world.all().remove(0);
        let note = world.runs().note(run.id(), "operator:ada", "please stop").await.unwrap();
        assert_eq!(note.state(), State::Processing);
        assert!(note.record.leased(), "a note does not disturb the holder");
        world.put(Ns::RUN, run.id(), Put { cancelling: Some(true), ..Put::nothing() });
    };
    let work = job.run_once_on(world.sim.clone(), &world.store, "a");
    let both: Vec<unattended::time::BoxFuture<'_, Option<State>>> = vec![
        Box::pin(async { Some(work.await.unwrap().run.unwrap().state()) }),
        Box::pin(async {
            operator.await;
            None
        }),
    ];
    assert_eq!(world.sim.join(both).unwrap(), [Some(State::Cancelled), None]);
    assert_eq!(site.calls("after", "a"), 0);
    world.check();
}

#[test]
fn an_unsafe_effect_is_not_repeated_because_its_run_was_cancelled() {
    for edge in ["act:begun", "act:worked", "act:saved"] {
        let (world, site) = (World::new(), Site::default());
        let job = around(&site, Effect::Unsafe);
        site.die_at(edge);
        assert!(deliver(&world, &job, "a").is_none());
        let run = world.all().remove(0);
        world.put(Ns::RUN, run.id(), Put { cancelling: Some(true), ..Put::nothing() });
        for _ in 0..3 {
            world.pass_a_lease();
            let report = deliver(&world, &job, "a").unwrap();
            assert!(report.exit_code() != 0, "{edge}: {:?}", report.verdict);
        }
        assert!(site.calls("act", "a") <= 1, "{edge}: it ran {} times", site.calls("act", "a"));
        world.check();
    }
}

#[test]
fn a_run_that_was_cancelled_before_anything_began_may_be_delivered_again() {
    let (world, site) = (World::new(), Site::default());
    let job = around(&site, Effect::Unsafe);
    site.die_at("submit:after");
    assert!(deliver(&world, &job, "a").is_none());
    let run = world.all().remove(0);
    world.put(Ns::RUN, run.id(), Put { cancelling: Some(true), ..Put::nothing() });
    world.pass_a_lease();
    deliver(&world, &job, "a");
    assert_eq!(world.run(run.id()).state(), State::Cancelled);
    deliver(&world, &job, "a");
    assert_eq!(site.calls("act", "a"), 1, "it was never begun, so it may be done now");
    world.check();
}

#[test]
fn a_run_that_kills_its_process_goes_to_review_and_its_neighbours_are_worked_off() {
    let (world, site) = (World::new(), Site::default());
    let job = site.job("poison", &[("parse", Effect::Pure), ("store", Effect::Idempotent)]);
    let deaths = site.clone();
    for death in 1..=3 {
        deaths.die_at("parse:begun");
        assert!(deliver(&world, &job, "poison").is_none(), "death {death}");
        world.pass_a_lease();
    }
    // A neighbour that was submitted later, and whose process died once, behind it in the queue.
    let run = world.all().remove(0);
    assert_eq!((run.state(), run.body.crash_count), (State::Processing, 2));
    let new = |input: &str| {
        let steps = run.body.steps.iter().map(|step| StepRecord::pending(step.name.as_str(), step.effect));
        let input = serde_json::value::to_raw_value(input).unwrap();
        let mut new = NewRun::new("poison", input, steps.collect());
        new.take = Some(LEASE);
        new
    };
    let runs = world.runs();
    let submitted = block_on(runs.submit(new("neighbour"), world.wall())).unwrap();
    let Submitted::Created(neighbour) = submitted else { panic!("{submitted:?}") };
    world.pass_a_lease();
    let report = deliver(&world, &job, "fresh").unwrap();
    assert_eq!(report.verdict, Verdict::Ran);
    assert_eq!(world.run(neighbour.id()).state(), State::Succeeded, "the same call works it off");
    let run = world.run(run.id());
    assert_eq!((run.state(), &*run.body.code), (State::NeedsReview, "run.poison"));
    assert_eq!(run.body.steps[0].state, StepState::Pending);
    let again = deliver(&world, &job, "poison").unwrap();
    assert_eq!(again.verdict, Verdict::WithAPerson);
    world.check();
}
