//! Steps that wait for something outside, and jobs that wait for other jobs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use unattended::blocking::block_on;
use unattended::canonical::Key;
use unattended::effect::Effect;
use unattended::job::{Job, Verdict};
use unattended::pipeline::{Flow, Otherwise, Step, Wait};
use unattended::run::State;
use unattended::runs::{Json, Resolved, Run, StepState};
use unattended::time::later;

use crate::durable::site::deliver;
use crate::world::{LEASE, World};

const TOKEN: &str = "approval:a";

fn json(text: &str) -> Json {
    serde_json::value::RawValue::from_string(text.to_owned()).unwrap()
}

/// Asks for an approval with a token made from the input, waits an hour at most, and then says what was answered.
fn asking(asked: &Arc<AtomicU32>, otherwise: Otherwise) -> Job {
    let asked = Arc::clone(asked);
    Job::new("publish")
        .lease(LEASE)
        .key(|input: &String| Key::new("docs", "page", input))
        .step(Step::blocking("write", Effect::Pure, |_| Ok("written")))
        .step(Step::waiting("approve", Effect::Idempotent, move |cx| {
            asked.fetch_add(1, Ordering::SeqCst);
            let otherwise = otherwise.clone();
            async move {
                let wait = Wait::on(format!("approval:{}", cx.input::<String>()?)).otherwise(otherwise);
                Ok::<Flow<String>, _>(Flow::Wait(wait.until(later(cx.now().wall, Duration::from_secs(3600)))))
            }
        }))
        .step(Step::blocking("publish", Effect::Idempotent, |cx| cx.output::<String>("approve")))
        .build()
        .unwrap()
}

fn publish() -> (Job, Arc<AtomicU32>) {
    let asked = Arc::new(AtomicU32::new(0));
    (asking(&asked, Otherwise::Fail), asked)
}

fn resolve(world: &World, token: &str, answer: &str) -> Resolved {
    block_on(world.runs().resolve(token, json(answer), "web:hook", world.wall())).unwrap()
}

fn history(world: &World, run: &Run) -> Vec<String> {
    let events = block_on(world.runs().history(run.id(), 0, 100)).unwrap();
    events.into_iter().map(|event| event.event.code.into_owned()).collect()
}

#[test]
fn a_step_that_waits_puts_the_run_down_and_its_answer_is_its_output() {
    let world = World::new();
    let (job, asked) = publish();
    let run = deliver(&world, &job, "a").unwrap().run.unwrap();
    assert_eq!(run.state(), State::WaitingExternal);
    assert_eq!(run.body.wait.as_ref().unwrap().token, TOKEN);
    world.check();
    let again = deliver(&world, &job, "a").unwrap();
    assert!(
        matches!(&again.verdict, Verdict::Waiting { on, until: Some(_) } if on == TOKEN),
        "{:?}",
        again.verdict
    );
    let Resolved::Resumed(resumed) = resolve(&world, TOKEN, "\"yes\"") else { panic!("nobody waited") };
    assert_eq!(resumed.state(), State::Queued);
    world.check();
    let done = deliver(&world, &job, "a").unwrap();
    let run = world.run(run.id());
    assert_eq!(run.state(), State::Succeeded, "{}", run.body.why);
    assert_eq!(run.body.output.as_ref().unwrap().get(), "\"yes\"");
    assert_eq!(done.worked_off.len() + usize::from(matches!(done.verdict, Verdict::Ran)), 1);
    assert_eq!(asked.load(Ordering::SeqCst), 1, "the answer is the output: nothing is asked again");
    let codes = history(&world, &run);
    assert!(codes.contains(&"run.waiting".into()) && codes.contains(&"run.resolved".into()), "{codes:?}");
    world.check();
}

#[test]
fn the_first_answer_counts_and_a_later_one_is_kept_in_the_history() {
    let world = World::new();
    let (job, _) = publish();
    let run = deliver(&world, &job, "a").unwrap().run.unwrap();
    assert!(matches!(resolve(&world, TOKEN, "\"yes\""), Resolved::Resumed(_)));
    assert!(matches!(resolve(&world, TOKEN, "\"yes\""), Resolved::Late { same: true, .. }));
    let Resolved::Late { run: Some(of), same: false } = resolve(&world, TOKEN, "\"no\"") else { panic!() };
    assert_eq!(of, run.id());
    let events = block_on(world.runs().history(run.id(), 0, 100)).unwrap();
    let late = events.iter().find(|event| event.event.code == "run.late_answer").unwrap();
    assert_eq!(late.event.data.as_deref(), Some("{\"answer\":\"no\"}"));
    deliver(&world, &job, "a").unwrap();
    assert_eq!(world.run(run.id()).body.output.as_ref().unwrap().get(), "\"yes\"");
    world.check();
}

#[test]
fn an_answer_that_comes_before_the_question_is_not_lost() {
    let world = World::new();
    let (job, asked) = publish();
    assert!(matches!(resolve(&world, TOKEN, "\"early\""), Resolved::Early));
    assert!(matches!(resolve(&world, TOKEN, "\"other\""), Resolved::Late { run: None, same: false }));
    let run = deliver(&world, &job, "a").unwrap().run.unwrap();
    assert_eq!(run.state(), State::Succeeded, "{}", run.body.why);
    assert_eq!(run.body.output.as_ref().unwrap().get(), "\"early\"");
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    world.check();
}

#[test]
fn a_token_belongs_to_one_run() {
    let world = World::new();
    let step = || {
        Step::waiting_blocking("ask", Effect::Idempotent, |_| Ok::<Flow<u8>, _>(Flow::Wait(Wait::on("one"))))
    };
    let job = |name| Job::new(name).lease(LEASE).step(step()).build().unwrap();
    let first = deliver(&world, &job("first"), "a").unwrap().run.unwrap();
    let second = deliver(&world, &job("second"), "a").unwrap().run.unwrap();
    assert_eq!(first.state(), State::WaitingExternal);
    assert_eq!(second.state(), State::FailedPermanent);
    assert_eq!(second.body.faults.last().unwrap().code, "wait.token");
    assert!(second.body.why.contains(first.id()), "{}", second.body.why);
    world.check();
}

#[test]
fn a_token_outside_its_bounds_is_the_steps_failure() {
    let world = World::new();
    for token in [String::new(), "x".repeat(300), "a\nb".to_owned()] {
        let step = Step::waiting_blocking("ask", Effect::Pure, move |_| {
            Ok::<Flow<u8>, _>(Flow::Wait(Wait::on(token.clone())))
        });
        let job = Job::new("job").lease(LEASE).step(step).build().unwrap();
        let run = deliver(&world, &job, "a").unwrap().run.unwrap();
        assert_eq!(run.state(), State::FailedPermanent);
        assert!(run.body.why.contains("token is"), "{}", run.body.why);
    }
    assert!(block_on(world.runs().resolve("", json("1"), "x", world.wall())).is_err());
    world.check();
}

#[test]
fn a_deadline_that_passes_ends_the_wait_as_the_step_says() {
    let ends = [
        (Otherwise::Fail, State::FailedPermanent, 1),
        (Otherwise::Review, State::NeedsReview, 1),
        (Otherwise::Again, State::WaitingExternal, 2),
        (Otherwise::Take(json("\"default\"")), State::Succeeded, 1),
    ];
    for (otherwise, state, times) in ends {
        let (world, asked) = (World::new(), Arc::new(AtomicU32::new(0)));
        let what = format!("{otherwise:?}");
        let job = asking(&asked, otherwise);
        let run = deliver(&world, &job, "a").unwrap().run.unwrap();
        world.secs(3599);
        assert_eq!(block_on(world.runs().sweep(&[], "sweeper")).unwrap(), 0, "{what}");
        world.secs(1);
        assert_eq!(block_on(world.runs().sweep(&["publish".into()], "sweeper")).unwrap(), 1, "{what}");
        assert_eq!(block_on(world.runs().sweep(&[], "sweeper")).unwrap(), 0, "{what}: once");
        world.check();
        deliver(&world, &job, "a").unwrap();
        let run = world.run(run.id());
        assert_eq!(run.state(), state, "{what}: {}", run.body.why);
        assert_eq!(asked.load(Ordering::SeqCst), times, "{what}");
        assert!(history(&world, &run).contains(&"wait.timed_out".into()), "{what}");
        world.check();
        // Nobody waits any more, or the second wait is answered by it.
        match (state, resolve(&world, TOKEN, "\"late\"")) {
            (State::WaitingExternal, Resolved::Resumed(_)) => {}
            (_, Resolved::Late { .. }) => {
                assert!(history(&world, &run).contains(&"run.late_answer".into()), "{what}");
            }
            (_, other) => panic!("{what}: {other:?}"),
        }
        world.check();
    }
}

#[test]
fn a_run_whose_time_is_over_expires_while_it_waits() {
    let world = World::new();
    let (job, _) = publish();
    let run = deliver(&world, &job, "a").unwrap().run.unwrap();
    let put = unattended::store::Put {
        expires_at: unattended::store::Change::to(later(world.wall(), Duration::from_secs(60))),
        ..Default::default()
    };
    world.put(unattended::store::Ns::RUN, run.id(), put);
    world.secs(3600);
    assert_eq!(block_on(world.runs().sweep(&[], "sweeper")).unwrap(), 1);
    assert_eq!(world.run(run.id()).state(), State::Expired);
    world.check();
}

#[test]
fn a_run_waits_for_another_jobs_work_of_the_same_occasion() {
    let world = World::new();
    let import = Job::new("import")
        .lease(LEASE)
        .key(|day: &String| Key::new("books", "import", day))
        .step(Step::blocking("load", Effect::Idempotent, |_| Ok(1)))
        .build()
        .unwrap();
    let report = Job::new("report")
        .lease(LEASE)
        .key(|day: &String| Key::new("books", "report", day))
        .after("import", |day: &String| Key::new("books", "import", day))
        .step(Step::blocking("write", Effect::Idempotent, |_| Ok(2)))
        .build()
        .unwrap();
    let first = deliver(&world, &report, "monday").unwrap().run.unwrap();
    assert_eq!(first.state(), State::Queued);
    assert_eq!((first.body.attempt, first.body.code.as_str()), (0, "job.after"));
    assert!(first.body.why.contains("import") && first.body.why.contains("not begun"), "{}", first.body.why);
    deliver(&world, &import, "monday").unwrap();
    world.secs(61);
    deliver(&world, &report, "tuesday").unwrap();
    assert_eq!(world.run(first.id()).state(), State::Succeeded);
    world.check();
    let waiting = world.all().into_iter().filter(|run| run.state() == State::Queued).count();
    assert_eq!(waiting, 1, "tuesday's still waits");
}

#[test]
fn what_comes_after_work_that_failed_for_good_fails_too() {
    let world = World::new();
    let fails = Job::new("import")
        .lease(LEASE)
        .key(|day: &String| Key::new("books", "import", day))
        .step(Step::blocking("load", Effect::Pure, |_| {
            Err::<u8, _>(unattended::pipeline::StepError::permanent("books.broken", "no such day"))
        }))
        .build()
        .unwrap();
    deliver(&world, &fails, "monday").unwrap();
    let report = Job::new("report")
        .lease(LEASE)
        .after("import", |day: &String| Key::new("books", "import", day))
        .step(Step::blocking("write", Effect::Pure, |_| Ok(2)))
        .build()
        .unwrap();
    let run = deliver(&world, &report, "monday").unwrap().run.unwrap();
    assert_eq!((run.state(), run.body.code.as_str()), (State::FailedPermanent, "job.after_failed"));
    assert!(run.body.steps.iter().all(|step| step.state == StepState::Pending));
    world.check();
}

#[test]
fn a_paused_run_is_put_down_at_its_next_step_and_goes_on_when_it_is_resumed() {
    let world = Arc::new(World::new());
    let within = Arc::clone(&world);
    let job = Job::new("job")
        .lease(LEASE)
        .step(Step::blocking("first", Effect::Pure, move |cx| {
            let put = unattended::store::Put { paused: Some(true), ..Default::default() };
            within.put(unattended::store::Ns::RUN, cx.run_id(), put);
            Ok(1)
        }))
        .step(Step::blocking("second", Effect::Pure, |_| Ok(2)))
        .build()
        .unwrap();
    let run = deliver(&world, &job, "a").unwrap().run.unwrap();
    assert_eq!((run.state(), run.body.code.as_str()), (State::Queued, "run.paused"));
    assert_eq!(run.body.steps[0].state, StepState::Done);
    world.secs(60);
    let other = Job::new("job")
        .lease(LEASE)
        .step(Step::blocking("first", Effect::Pure, |_| Ok(1)))
        .step(Step::blocking("second", Effect::Pure, |_| Ok(2)))
        .build()
        .unwrap();
    deliver(&world, &other, "b").unwrap();
    assert_eq!(world.run(run.id()).state(), State::Queued);
    let put = unattended::store::Put { paused: Some(false), ..Default::default() };
    world.put(unattended::store::Ns::RUN, run.id(), put);
    deliver(&world, &other, "c").unwrap();
    assert_eq!(world.run(run.id()).state(), State::Succeeded);
    world.check();
}

#[test]
fn a_wish_to_cancel_that_comes_as_a_run_is_put_down_is_not_lost() {
    for waits in [false, true] {
        let world = Arc::new(World::new());
        let within = Arc::clone(&world);
        let job = Job::new("job")
            .lease(LEASE)
            .key(|input: &String| Key::new("docs", "page", input))
            .step(Step::waiting_blocking("first", Effect::Idempotent, move |cx| {
                let put = unattended::store::Put { cancelling: Some(true), ..Default::default() };
                within.put(unattended::store::Ns::RUN, cx.run_id(), put);
                if waits {
                    return Ok::<Flow<u8>, _>(Flow::Wait(Wait::on("never")));
                }
                Err(unattended::pipeline::StepError::transient("test.later", "later"))
            }))
            .build()
            .unwrap();
        let run = deliver(&world, &job, "a").unwrap().run.unwrap();
        assert_eq!(run.state(), State::Cancelled, "waits {waits}: {}", run.body.why);
        world.check();
    }
}
