//! What a run that failed for good has done is undone in reverse, each step at most once, whatever dies in between.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use unattended::canonical::Key;
use unattended::effect::Effect;
use unattended::fault::{Fault, Reached};
use unattended::job::{BuildError, Job};
use unattended::pipeline::{Step, StepError};
use unattended::run::State;
use unattended::runs::UndoState;

use crate::durable::site::{Death, deliver};
use crate::world::{LEASE, World};

/// What was done and undone, in order.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    lines: Vec<String>,
    die_at: Option<String>,
    undo_fails: Vec<Fault>,
}

impl Log {
    fn get(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, line: &str) -> usize {
        self.get().lines.iter().filter(|one| *one == line).count()
    }

    fn step(&self, name: &'static str, undo: Effect) -> Step {
        let (doing, undoing) = (self.clone(), self.clone());
        Step::blocking(name, Effect::Idempotent, move |_| {
            doing.get().lines.push(format!("do {name}"));
            Ok(format!("{name} stands"))
        })
        .undo_blocking(undo, move |cx| {
            assert_eq!(cx.output::<String>(name).unwrap(), format!("{name} stands"));
            let fails = {
                let mut inner = undoing.get();
                if inner.undo_fails.is_empty() { None } else { Some(inner.undo_fails.remove(0)) }
            };
            match fails {
                Some(fault) => Err(StepError::new(fault, "as the script says")),
                None => {
                    undoing.get().lines.push(format!("undo {name}"));
                    Ok(())
                }
            }
        })
    }

    /// Two steps that can be undone, one that cannot, and one that fails for good.
    fn job(&self, undo: Effect) -> Job {
        let edges = self.clone();
        Job::new("saga")
            .lease(LEASE)
            .key(|input: &String| Key::new("site", "saga", input))
            .step(self.step("reserve", undo))
            .step(Step::blocking("look", Effect::Pure, |_| Ok(1)))
            .step(self.step("charge", undo))
            .step(Step::blocking("ship", Effect::Pure, |_| {
                Err::<u8, _>(StepError::permanent("ship.no_address", "there is no such place"))
            }))
            .edges(move |edge| {
                if edges.get().die_at.take_if(|at| at == edge).is_some() {
                    std::panic::resume_unwind(Box::new(Death));
                }
            })
            .build()
            .unwrap()
    }
}

const ALL: [&str; 4] = ["do reserve", "do charge", "undo charge", "undo reserve"];

#[test]
fn a_failure_for_good_undoes_what_was_done_in_reverse() {
    let (world, log) = (World::new(), Log::default());
    let job = log.job(Effect::Idempotent);
    let run = deliver(&world, &job, "a").unwrap().run.unwrap();
    assert_eq!(run.state(), State::Compensated, "{}", run.body.why);
    assert_eq!(log.get().lines, ALL);
    assert_eq!(run.body.failure.as_ref().unwrap().code, "ship.no_address");
    let second = deliver(&world, &job, "a").unwrap();
    assert!(second.verdict.is_duplicate(), "{:?}", second.verdict);
    let entry = world.entry(run.body.key.as_deref().unwrap()).unwrap();
    assert!(entry.body.contains("ship.no_address"), "{}", entry.body);
    world.check();
}

#[test]
fn a_death_at_any_point_of_the_undoing_is_made_good_as_its_effect_class_says() {
    let edges = [
        "compensate:before",
        "compensate:after",
        "charge:undo",
        "charge:undone",
        "reserve:undo",
        "reserve:undone",
        "undone:before",
        "undone:after",
    ];
    for effect in [Effect::Pure, Effect::Idempotent, Effect::Unsafe] {
        for edge in edges {
            let (world, log) = (World::new(), Log::default());
            let job = log.job(effect);
            log.get().die_at = Some(edge.to_owned());
            let what = format!("{effect} at {edge}");
            assert!(deliver(&world, &job, "a").is_none(), "{what}: it did not die");
            world.check();
            world.pass_a_lease();
            deliver(&world, &job, "a").unwrap();
            world.check();
            let run = world.all().remove(0);
            let begun = edge.ends_with(":undo") || (edge.ends_with(":undone") && !edge.starts_with("undone"));
            if effect == Effect::Unsafe && begun {
                assert_eq!(run.state(), State::NeedsReview, "{what}: {}", run.body.why);
                let question = run.body.question.as_ref().unwrap();
                assert!(question.undo && question.text.contains("undoing"), "{what}: {question:?}");
                for line in ["undo charge", "undo reserve"] {
                    assert!(log.count(line) <= 1, "{what}: {line}");
                }
                continue;
            }
            assert_eq!(run.state(), State::Compensated, "{what}: {}", run.body.why);
            for line in ["undo charge", "undo reserve"] {
                let most = if edge.ends_with("undone") { 2 } else { 1 };
                assert!((1..=most).contains(&log.count(line)), "{what}: {line} {}", log.count(line));
            }
            assert_eq!(log.count("do reserve"), 1, "{what}");
        }
    }
}

#[test]
fn an_undo_that_fails_for_now_goes_on_later_and_one_that_fails_for_good_is_asked_about() {
    let (world, log) = (World::new(), Log::default());
    let job = log.job(Effect::Idempotent);
    log.get().undo_fails = vec![Fault::transient("http.503"); 60];
    let run = deliver(&world, &job, "a").unwrap().run.unwrap();
    assert_eq!(run.state(), State::Compensating, "{}", run.body.why);
    assert!(run.record.lease.is_none() && run.record.due_at.is_some());
    world.check();
    log.get().undo_fails.clear();
    world.secs(7200);
    deliver(&world, &job, "a").unwrap();
    let run = world.run(run.id());
    assert_eq!(run.state(), State::Compensated, "{}", run.body.why);
    assert_eq!(log.get().lines, ALL);

    let (world, log) = (World::new(), Log::default());
    let job = log.job(Effect::Idempotent);
    log.get().undo_fails = vec![Fault::permanent("http.410").reached(Reached::No)];
    let run = deliver(&world, &job, "a").unwrap().run.unwrap();
    assert_eq!((run.state(), run.body.code.as_str()), (State::NeedsReview, "undo.failed"));
    let question = run.body.question.as_ref().unwrap();
    assert_eq!((question.step.as_deref(), question.undo), (Some("charge"), true));
    assert!(!question.options.iter().any(|option| option == "requeue"), "{question:?}");
    world.check();
}

#[test]
fn a_run_without_anything_to_undo_fails_as_before() {
    let world = World::new();
    let step = |name: &str| Step::blocking(name, Effect::Pure, |_| Ok(1));
    let fails =
        Step::blocking("fails", Effect::Pure, |_| Err::<u8, _>(StepError::permanent("test.no", "no")))
            .undo_blocking(Effect::Pure, |_| panic!("it was never done"));
    let job = Job::new("job").lease(LEASE).step(step("first")).step(fails).build().unwrap();
    let run = deliver(&world, &job, "a").unwrap().run.unwrap();
    assert_eq!(run.state(), State::FailedPermanent);
    assert!(run.body.steps.iter().all(|step| step.undo == UndoState::None));
    world.check();
}

#[test]
fn an_undo_cannot_be_verifiable_and_the_past_stands_in_for_pure_steps_alone() {
    let build = |step: Step| Job::new("job").step(step).build().unwrap_err();
    let step = || Step::blocking("a", Effect::Idempotent, |_| Ok(1));
    let undo = build(step().undo_blocking(Effect::Verifiable, |_| Ok(())));
    assert!(matches!(&undo, BuildError::Invalid { field: "step.undo", .. }), "{undo}");
    let known = build(step().or_last_known_good());
    assert!(matches!(&known, BuildError::Invalid { field: "step.or_last_known_good", .. }), "{known}");
}

#[test]
fn the_last_known_good_stands_in_for_what_cannot_be_had_now() {
    let (world, down) = (World::new(), Arc::new(std::sync::atomic::AtomicBool::new(false)));
    let job = {
        let down = Arc::clone(&down);
        Job::new("rates")
            .lease(LEASE)
            .step(
                Step::blocking("fetch", Effect::Pure, move |cx| {
                    if down.load(std::sync::atomic::Ordering::SeqCst) {
                        return Err(StepError::permanent("http.410", "gone"));
                    }
                    cx.input::<String>()
                })
                .or_last_known_good(),
            )
            .step(Step::blocking("use", Effect::Pure, |cx| {
                let known = cx.last_known_good_blocking::<String>("fetch")?;
                Ok((cx.output::<String>("fetch")?, known.map(|known| known.value)))
            }))
            .build()
            .unwrap()
    };
    down.store(true, std::sync::atomic::Ordering::SeqCst);
    let first = deliver(&world, &job, "0").unwrap().run.unwrap();
    assert_eq!(first.state(), State::FailedPermanent, "there is no past to take");
    down.store(false, std::sync::atomic::Ordering::SeqCst);
    deliver(&world, &job, "1").unwrap();
    let second = deliver(&world, &job, "2").unwrap().run.unwrap();
    assert_eq!(second.body.output.as_ref().unwrap().get(), r#"["2","1"]"#);
    down.store(true, std::sync::atomic::Ordering::SeqCst);
    let third = deliver(&world, &job, "3").unwrap().run.unwrap();
    assert_eq!(third.state(), State::Succeeded);
    assert_eq!(third.body.output.as_ref().unwrap().get(), r#"["2","2"]"#);
    let events = unattended::blocking::block_on(world.runs().history(third.id(), 0, 50)).unwrap();
    let taken = events.iter().find(|event| event.event.code == "step.last_known_good").unwrap();
    assert!(taken.event.why.contains(second.id()), "{}", taken.event.why);
    world.check();
}
