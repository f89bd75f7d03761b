//! What comes in between: a word of a person's while a run is undone or about to begin an unsafe step, a run that dies
//! while it is undone, a second run that asks under the token of the first, a record without room, two writes at once.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use unattended::blocking::block_on;
use unattended::canonical::Key;
use unattended::effect::Effect;
use unattended::fault::{Fault, Reached};
use unattended::job::{Job, Terms};
use unattended::pipeline::{Cx, Flow, Step, StepError, Wait};
use unattended::retry;
use unattended::run::State;
use unattended::runs::{Json, Resolved, Runs, Word};
use unattended::store::{Applied, ApplyError, Batch, Store};
use unattended::time::{BoxFuture, later};

use crate::durable::site::{Death, Site, deliver, process};
use crate::forward::forward;
use crate::world::{LEASE, World};

fn json(text: &str) -> Json {
    serde_json::value::RawValue::from_string(text.to_owned()).unwrap()
}

fn key(input: &String) -> Result<Key, unattended::canonical::InvalidKey> {
    Key::new("site", "thing", input)
}

fn word(world: &World) -> Word<'static> {
    Word { by: "operator:ada", why: "", at: world.wall() }
}

/// A step that is done at once, and undone by `undo`.
fn undone(name: &'static str, undo: impl Fn(&Cx) + Send + Sync + 'static) -> Step {
    Step::blocking(name, Effect::Idempotent, |_| Ok(1)).undo_blocking(Effect::Idempotent, move |cx| {
        undo(cx);
        Ok(())
    })
}

#[test]
fn a_run_that_is_cancelled_while_it_is_undone_does_not_give_back_the_key_of_an_unsafe_step() {
    let world = World::new();
    let (runs, at) = (world.runs(), world.wall());
    let paid = Arc::new(AtomicU32::new(0));
    let pays = Arc::clone(&paid);
    let job = Job::new("saga")
        .lease(LEASE)
        .key(key)
        .step(undone("reserve", |_| ()))
        .step(undone("charge", move |cx| {
            let word = Word { by: "operator:ada", why: "", at };
            block_on(runs.cancel(cx.run_id(), word)).unwrap();
        }))
        .step(Step::blocking("pay", Effect::Unsafe, move |_| {
            pays.fetch_add(1, Ordering::SeqCst);
            // It was done, and what it gave has no room.
            Ok("x".repeat(70_000))
        }))
        .build()
        .unwrap();
    let run = deliver(&world, &job, "a").unwrap().run.unwrap();
    assert_eq!(run.state(), State::Cancelled, "{}", run.body.why);
    world.check();
    let second = deliver(&world, &job, "a").unwrap();
    assert_eq!(paid.load(Ordering::SeqCst), 1, "paid twice: {:?}", second.verdict);
}

#[test]
fn a_run_that_is_paused_before_an_unsafe_step_asks_nobody_whether_that_was_done() {
    let (world, site) = (World::new(), Site::default());
    let (runs, at) = (world.runs(), world.wall());
    let job = Job::new("pay")
        .lease(LEASE)
        .key(key)
        .step(Step::blocking("look", Effect::Pure, move |cx| {
            let word = Word { by: "operator:ada", why: "", at };
            block_on(runs.pause(cx.run_id(), word)).unwrap();
            Ok(1)
        }))
        .step(site.step("pay", Effect::Unsafe))
        .build()
        .unwrap();
    let run = deliver(&world, &job, "a").unwrap().run.unwrap();
    assert!(run.state() == State::Queued && run.record.paused, "{}", run.body.why);
    block_on(world.runs().resume(run.id(), word(&world))).unwrap();
    deliver(&world, &job, "a").unwrap();
    let run = world.run(run.id());
    assert_eq!(run.state(), State::Succeeded, "{}", run.body.why);
    assert_eq!(site.calls("pay", "a"), 1);
    world.check();
}

#[test]
fn a_run_that_kills_its_workers_while_it_is_undone_goes_on_with_that_and_not_with_the_work() {
    let world = World::new();
    let dies = Arc::new(AtomicU32::new(3));
    let shipped = Arc::new(AtomicU32::new(0));
    let ships = Arc::clone(&shipped);
    let job = Job::new("saga")
        .lease(LEASE)
        .key(key)
        .step(undone("reserve", |_| ()))
        .step(undone("charge", |_| ()))
        .step(Step::blocking("ship", Effect::Pure, move |_| {
            ships.fetch_add(1, Ordering::SeqCst);
            Err::<u8, _>(StepError::permanent("ship.no_address", "there is no such place"))
        }))
        .edges(move |edge| {
            if edge == "reserve:undo" && dies.load(Ordering::SeqCst) > 0 {
                dies.fetch_sub(1, Ordering::SeqCst);
                std::panic::resume_unwind(Box::new(Death));
            }
        })
        .build()
        .unwrap();
    for death in 0..3 {
        assert!(deliver(&world, &job, "a").is_none(), "death {death}");
        world.pass_a_lease();
    }
    deliver(&world, &job, "a").unwrap();
    let run = world.all().remove(0);
    assert_eq!((run.state(), run.body.code.as_str()), (State::NeedsReview, "run.poison"));
    world.check();
    let run = block_on(world.runs().requeue(run.id(), "operator:ada", world.wall())).unwrap();
    assert_eq!(run.state(), State::Compensating, "what was undone by half would be gone on with");
    deliver(&world, &job, "a").unwrap();
    assert_eq!(world.run(run.id()).state(), State::Compensated);
    assert_eq!(shipped.load(Ordering::SeqCst), 1);
    world.check();
}

#[test]
fn waiting_uses_up_no_attempt() {
    let world = World::new();
    let ask = |name: &'static str| {
        Step::waiting_blocking(name, Effect::Idempotent, move |_| {
            Ok::<Flow<u8>, _>(Flow::Wait(Wait::on(name)))
        })
    };
    let job = Job::new("form")
        .lease(LEASE)
        .key(key)
        .attempts_max(2)
        .retry(retry::Policy::once())
        .step(ask("one"))
        .step(ask("two"))
        .step(Step::blocking("send", Effect::Idempotent, |_| {
            Err::<u8, _>(StepError::transient("http.503", "not now"))
        }))
        .build()
        .unwrap();
    let run = deliver(&world, &job, "a").unwrap().run.unwrap();
    for token in ["one", "two"] {
        assert_eq!(world.run(run.id()).body.wait.as_ref().unwrap().token, token);
        let answered = block_on(world.runs().resolve(token, json("1"), "web:hook", world.wall())).unwrap();
        assert!(matches!(answered, Resolved::Resumed(_)));
        deliver(&world, &job, "a").unwrap();
    }
    let run = world.run(run.id());
    assert_eq!(run.state(), State::FailedTransient, "{}", run.body.why);
    assert_eq!(run.body.attempt, 1);
}

#[test]
fn a_token_of_a_run_that_has_ended_is_free_for_the_next() {
    let world = World::new();
    let job = Job::new("publish")
        .lease(LEASE)
        .key(key)
        .step(Step::waiting_blocking("ask", Effect::Idempotent, |cx| {
            let token = format!("approval:{}", cx.input::<String>()?);
            Ok::<Flow<String>, _>(Flow::Wait(Wait::on(token)))
        }))
        .build()
        .unwrap();
    let first = deliver(&world, &job, "a").unwrap().run.unwrap();
    block_on(world.runs().cancel(first.id(), word(&world))).unwrap();
    // What comes when the run has ended is no answer to a question that another run has not asked yet.
    let late = block_on(world.runs().resolve("approval:a", json("\"yes\""), "web:hook", world.wall()));
    assert!(matches!(late.unwrap(), Resolved::Late { .. }));
    let second = deliver(&world, &job, "a").unwrap().run.unwrap();
    assert_ne!(second.id(), first.id());
    assert_eq!(second.state(), State::WaitingExternal, "{}", second.body.why);
    let answered = block_on(world.runs().resolve("approval:a", json("\"no\""), "web:hook", world.wall()));
    assert!(matches!(answered.unwrap(), Resolved::Resumed(run) if run.id() == second.id()));
    deliver(&world, &job, "a").unwrap();
    assert_eq!(world.run(second.id()).body.output.as_ref().unwrap().get(), "\"no\"");
    world.check();
}

#[test]
fn a_run_whose_time_is_over_is_asked_about_where_an_unsafe_step_was_begun() {
    let (world, site) = (World::new(), Site::default());
    let job = site.job("pay", &[("pay", Effect::Unsafe)]);
    let terms = Terms { expires_at: Some(later(world.wall(), Duration::from_secs(60))), ..Terms::default() };
    let input = String::from("a");
    let queued = job.submit_on(&world.sim, &world.store, &input, &terms);
    let _ = world.sim.block_on(queued).unwrap().unwrap();
    site.die_at("pay:begun");
    let died = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        drop(world.sim.block_on(job.work_off_on(world.sim.clone(), &world.store)));
    }));
    assert!(died.is_err());
    world.secs(3600);
    world.sim.block_on(job.work_off_on(world.sim.clone(), &world.store)).unwrap().unwrap();
    let run = world.all().remove(0);
    assert_eq!(run.state(), State::NeedsReview, "{}", run.body.why);
    assert_eq!(run.body.question.as_ref().unwrap().code, "takeover.outcome_unknown");
    world.check();
}

/// A job whose input takes most of the record, and whose last step fails often with much to say before `end`.
fn wordy(end: impl Fn(&Cx) -> Result<u8, StepError> + Send + Sync + 'static) -> Job {
    Job::new("wordy")
        .lease(LEASE)
        .key(|_: &String| Key::new("site", "thing", "wordy"))
        .step(undone("reserve", |_| ()))
        .step(
            Step::blocking("ship", Effect::Idempotent, move |cx| {
                if cx.attempt() < 20 {
                    return Err(StepError::new(Fault::transient("http.503"), "no ".repeat(700)));
                }
                end(cx)
            })
            .retry(retry::Policy::cron().elapsed_max(None).transient(|strategy| {
                let second = Duration::from_secs(1);
                strategy.attempts_max(30).delay_base(second).delay_max(second)
            })),
        )
        .build()
        .unwrap()
}

#[test]
fn a_run_whose_record_is_full_of_faults_can_still_fail_for_good_and_be_undone() {
    let world = World::new();
    let job = wordy(|_| Err(StepError::permanent("ship.no_address", "no ".repeat(700))));
    let run = deliver(&world, &job, &"x".repeat(46 * 1024)).unwrap().run.unwrap();
    assert_eq!(run.state(), State::Compensated, "{}", run.body.why);
    world.check();
}

#[test]
fn a_run_whose_record_is_full_of_faults_has_room_for_its_cursor() {
    let world = World::new();
    let job = wordy(|cx| {
        cx.save_cursor_blocking(&"y".repeat(4000))?;
        Ok(1)
    });
    let run = deliver(&world, &job, &"x".repeat(46 * 1024)).unwrap().run.unwrap();
    assert_eq!(run.state(), State::Succeeded, "{}", run.body.why);
    world.check();
}

/// A store at which a write without a cursor in it is on its way for long, once.
struct Slow {
    inner: Arc<dyn Store>,
    slow: AtomicU32,
}

impl Store for Slow {
    fn apply(&self, batch: Batch) -> BoxFuture<'_, Result<Applied, ApplyError>> {
        let progress = batch.writes().iter().any(|write| {
            write.event.is_none() && write.put.body.as_ref().is_some_and(|body| !body.contains("cursor"))
        });
        let mut wait = if progress { self.slow.swap(0, Ordering::SeqCst) } else { 0 };
        Box::pin(async move {
            poll_fn(|context| {
                if wait == 0 {
                    return Poll::Ready(());
                }
                wait -= 1;
                context.waker().wake_by_ref();
                Poll::Pending
            })
            .await;
            self.inner.apply(batch).await
        })
    }

    forward!(caps owner get scan events prune => (inner));
}

/// Both at the same time.
async fn both<A, B>(one: impl Future<Output = A>, two: impl Future<Output = B>) -> (A, B) {
    let (mut one, mut two) = (pin!(one), pin!(two));
    let (mut first, mut second) = (None, None);
    poll_fn(|context| {
        if first.is_none()
            && let Poll::Ready(done) = one.as_mut().poll(context)
        {
            first = Some(done);
        }
        if second.is_none()
            && let Poll::Ready(done) = two.as_mut().poll(context)
        {
            second = Some(done);
        }
        if first.is_some() && second.is_some() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    (first.unwrap(), second.unwrap())
}

#[test]
fn a_report_that_is_on_its_way_takes_back_no_cursor() {
    let world = World::new();
    let store: Arc<dyn Store> = Arc::new(Slow { inner: Arc::clone(&world.store), slow: AtomicU32::new(5) });
    let (stored, seen) = (world.runs(), Arc::new(Mutex::new(Vec::new())));
    let see = Arc::clone(&seen);
    let job = Job::new("load")
        .lease(LEASE)
        .key(key)
        .step(Step::new("load", Effect::Idempotent, move |cx: Cx| {
            let (stored, see): (Runs, _) = (stored.clone(), Arc::clone(&see));
            async move {
                let (reported, saved) = both(cx.report(1, None), cx.save_cursor(&7)).await;
                reported?;
                saved?;
                let run = stored.must_get(cx.run_id()).await?;
                let cursor = run.body.steps.first().and_then(|step| step.cursor.as_ref());
                let cursor = cursor.map(|cursor| cursor.get().to_owned());
                see.lock().unwrap().push((cursor, cx.cursor::<u8>()?));
                Ok(1)
            }
        }))
        .build()
        .unwrap();
    let run = process(&world, &store, &job, "a").unwrap().unwrap().run.unwrap();
    assert_eq!(run.state(), State::Succeeded, "{}", run.body.why);
    assert_eq!(*seen.lock().unwrap(), [(Some(String::from("7")), Some(7))], "in the store, and here");
    world.check();
}

#[test]
fn an_unsafe_undo_that_was_seen_to_fail_goes_on_later_and_nobody_is_asked() {
    let world = World::new();
    let fails = Arc::new(AtomicU32::new(1));
    let undo = move |_: &Cx| {
        if fails.swap(0, Ordering::SeqCst) > 0 {
            let refused = Fault::transient("http.503").reached(Reached::No);
            return Err(StepError::new(refused, "it was not taken"));
        }
        Ok(())
    };
    let job = Job::new("saga")
        .lease(LEASE)
        .key(key)
        .retry(retry::Policy::once())
        .step(Step::blocking("reserve", Effect::Idempotent, |_| Ok(1)).undo_blocking(Effect::Unsafe, undo))
        .step(Step::blocking("ship", Effect::Pure, |_| {
            Err::<u8, _>(StepError::permanent("ship.no_address", "there is no such place"))
        }))
        .build()
        .unwrap();
    let run = deliver(&world, &job, "a").unwrap().run.unwrap();
    assert_eq!(run.state(), State::Compensating, "{}", run.body.why);
    world.check();
    world.secs(3600);
    deliver(&world, &job, "a").unwrap();
    let run = world.run(run.id());
    assert_eq!(run.state(), State::Compensated, "{}", run.body.why);
    world.check();
}

#[test]
fn a_fan_out_that_was_asked_to_stop_has_not_failed() {
    let world = World::new();
    let (runs, at) = (world.runs(), world.wall());
    let job = Job::new("fan")
        .lease(LEASE)
        .key(key)
        .retry(retry::Policy::once())
        .attempts_max(1)
        .step(Step::blocking("send", Effect::Idempotent, move |cx| {
            cx.for_each_blocking(&[1, 2, 3], 1, |_, item| {
                let word = Word { by: "operator:ada", why: "", at };
                block_on(runs.cancel(cx.run_id(), word)).unwrap();
                Ok(*item)
            })
        }))
        .build()
        .unwrap();
    let run = deliver(&world, &job, "a").unwrap().run.unwrap();
    assert_eq!(run.state(), State::Cancelled, "{}", run.body.why);
    world.check();
}
