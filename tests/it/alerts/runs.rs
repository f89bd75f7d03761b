//! Runs that end with a person: raised by their job, or by whoever looks after it was killed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use unattended::alert::{Kind, Rule};
use unattended::blocking::block_on;
use unattended::effect::Effect;
use unattended::job::{Builder, Job};
use unattended::notify::{About, Alerts, Filter};
use unattended::pipeline::{Step, StepError};
use unattended::runs::Runs;
use unattended::store::Store;
use unattended::time::{Clock, System};

use super::{HOUR, MINUTE, Pager, memory};

fn failing(name: &str, broken: &Arc<AtomicBool>) -> Builder {
    let broken = Arc::clone(broken);
    Job::new(name).step(Step::blocking("send", Effect::Pure, move |_| {
        if broken.load(Ordering::SeqCst) {
            Err(StepError::permanent("mail.gone", "no such box"))
        } else {
            Ok(())
        }
    }))
}

fn first() -> About {
    About { rule: Rule::First, ..About::default() }
}

#[test]
fn what_a_killed_process_did_not_raise_is_raised_once_by_whoever_looks() {
    let (store, pager, now) = (memory(), Pager::default(), System.now());
    let job = failing("mail", &Arc::new(AtomicBool::new(true))).build().unwrap();
    for id in 0..5u64 {
        job.run_once_blocking(&store, &id).unwrap();
    }
    let alerts = pager.on(Alerts::new(Arc::clone(&store))).job("mail", first()).build().unwrap();
    let lookers: Vec<_> = (0..4)
        .map(|_| {
            let alerts = alerts.clone();
            std::thread::spawn(move || alerts.take_in_runs_blocking(now).unwrap().raised)
        })
        .collect();
    let raised: u32 = lookers.into_iter().map(|looker| looker.join().unwrap()).sum();
    let left = alerts.take_in_runs_blocking(now).unwrap().raised;
    assert_eq!(raised + left, 5, "each once");
    assert_eq!(alerts.take_in_runs_blocking(now).unwrap().raised, 0);
    let entry = alerts.list_blocking(&Filter::open(), 10).unwrap().remove(0);
    assert_eq!((entry.count, entry.kind), (5, Kind::DeadLetter));
    alerts.send_blocking(now).unwrap();
    assert_eq!(pager.take().len(), 1);
    // The run's own history tells that somebody was told.
    let runs = Runs::new(Arc::clone(&store));
    let history = block_on(runs.history(&entry.run.unwrap(), 0, 100)).unwrap();
    assert_eq!(history.last().unwrap().event.code, "run.told");
}

#[test]
fn a_note_is_no_new_failure_and_a_replay_that_fails_again_is_one() {
    let (store, now) = (memory(), System.now());
    let job = failing("mail", &Arc::new(AtomicBool::new(true))).build().unwrap();
    let run = job.run_once_blocking(&store, &1u64).unwrap().run.unwrap();
    let alerts = Alerts::new(Arc::clone(&store)).build().unwrap();
    assert_eq!(alerts.take_in_runs_blocking(now).unwrap().raised, 1);
    let runs = Runs::new(Arc::clone(&store));
    block_on(runs.note(run.id(), "operator:ada", "looking into it")).unwrap();
    assert_eq!(alerts.take_in_runs_blocking(now).unwrap().raised, 0);
    let run = block_on(runs.requeue(run.id(), "operator:ada", now.wall)).unwrap();
    job.resume_blocking(&store, &run).unwrap();
    assert_eq!(alerts.take_in_runs_blocking(now).unwrap().raised, 1);
}

#[test]
fn a_job_tells_of_its_dead_letters_and_of_its_next_success() {
    let (store, pager, broken) = (memory(), Pager::default(), Arc::new(AtomicBool::new(true)));
    let alerts = pager.on(Alerts::new(Arc::clone(&store))).job("mail", first()).build().unwrap();
    let job = failing("mail", &broken).alerts(&alerts).build().unwrap();
    job.run_once_blocking(&store, &1u64).unwrap();
    let pages = pager.take();
    assert_eq!(pages.len(), 1, "sent by the process that failed");
    assert!(pages[0].next.starts_with("unattended explain "), "{pages:?}");
    assert!(pages[0].why.contains("no such box") && pages[0].tail.is_empty(), "it wrote nothing: {pages:?}");
    broken.store(false, Ordering::SeqCst);
    job.run_once_blocking(&store, &2u64).unwrap();
    let later = System.now().after(20 * MINUTE);
    alerts.send_blocking(later).unwrap();
    assert_eq!(pager.take().iter().map(|page| page.state.clone()).collect::<Vec<_>>(), ["resolved"]);
}

#[test]
fn a_success_that_nobody_told_of_is_seen_in_the_store() {
    let (store, pager, broken) = (memory(), Pager::default(), Arc::new(AtomicBool::new(true)));
    let alerts = pager.on(Alerts::new(Arc::clone(&store))).job("mail", first()).build().unwrap();
    let job = failing("mail", &broken).build().unwrap();
    job.run_once_blocking(&store, &1u64).unwrap();
    let now = System.now();
    alerts.take_in_runs_blocking(now).unwrap();
    alerts.send_blocking(now).unwrap();
    assert_eq!(
        alerts.take_in_runs_blocking(now.after(HOUR)).unwrap().healthy,
        0,
        "it has not succeeded since"
    );
    broken.store(false, Ordering::SeqCst);
    job.run_once_blocking(&store, &2u64).unwrap();
    assert_eq!(alerts.take_in_runs_blocking(now.after(HOUR)).unwrap().healthy, 1);
    alerts.send_blocking(now.after(HOUR)).unwrap();
    let states: Vec<_> = pager.take().into_iter().map(|page| page.state).collect();
    assert_eq!(states, ["open", "resolved"]);
}

#[test]
fn a_question_that_nobody_has_answered_is_not_healed_by_time() {
    let (store, now) = (memory(), System.now());
    let job = Job::new("pay")
        .step(Step::blocking("send", Effect::Unsafe, |_| {
            Err::<(), _>(StepError::new(
                unattended::fault::Fault::transient("bank.silent").reached(unattended::fault::Reached::Maybe),
                std::io::Error::other("no answer"),
            ))
        }))
        .build()
        .unwrap();
    let run = job.run_once_blocking(&store, &1u64).unwrap().run.unwrap();
    assert_eq!(run.state(), unattended::run::State::NeedsReview, "{:?}", run.body.why);
    let alerts = Alerts::new(Arc::clone(&store) as Arc<dyn Store>).build().unwrap();
    let taken = alerts.take_in_runs_blocking(now).unwrap();
    assert_eq!((taken.raised, taken.paged), (1, 1), "it pages whatever the rule, but for never");
    let much_later = now.after(Duration::from_secs(30 * 86_400));
    assert_eq!(alerts.take_in_runs_blocking(much_later).unwrap().healthy, 0);
    alerts.send_blocking(much_later).unwrap();
    assert_eq!(alerts.list_blocking(&Filter::open(), 1).unwrap()[0].kind, Kind::NeedsReview);
}
