//! Fan-out inside a step, and its progress.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use unattended::canonical::Key;
use unattended::effect::Effect;
use unattended::job::Job;
use unattended::pipeline::{Step, StepError};
use unattended::run::State;
use unattended::time::Sleep;

use crate::durable::site::deliver;
use crate::world::{LEASE, World, cut};

#[derive(Default)]
struct Seen {
    now: AtomicUsize,
    most: AtomicUsize,
    calls: Mutex<BTreeMap<usize, u32>>,
    fail_once: Mutex<Option<usize>>,
}

impl Seen {
    fn enter(&self, index: usize) {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        *self.calls.lock().unwrap().entry(index).or_default() += 1;
    }

    fn leave(&self, index: usize) -> Result<usize, StepError> {
        self.now.fetch_sub(1, Ordering::SeqCst);
        if self.fail_once.lock().unwrap().take_if(|at| *at == index).is_some() {
            return Err(StepError::permanent("item.broken", format!("item {index}")));
        }
        Ok(index * 10)
    }
}

/// Fans out over 20 items, each of which takes a second more than the one before, modulo 5.
fn fanning(world: &World, seen: &Arc<Seen>, at_once: usize) -> Job {
    let (sim, seen) = (world.sim.clone(), Arc::clone(seen));
    let step = Step::new("fan", Effect::Idempotent, move |cx| {
        let (sim, seen) = (sim.clone(), Arc::clone(&seen));
        async move {
            let items: Vec<u64> = (0..20).collect();
            let all = cx.for_each(&items, at_once, |index, item| {
                let (sim, seen, key) = (sim.clone(), Arc::clone(&seen), cx.key_of(index));
                async move {
                    assert_eq!(key.unwrap(), format!("site/fan/a/fan/{index}"));
                    seen.enter(index);
                    sim.sleep(Duration::from_secs(1 + item % 5)).await;
                    seen.leave(index)
                }
            });
            all.await
        }
    });
    Job::new("fan")
        .lease(LEASE)
        .key(|input: &String| Key::new("site", "fan", input))
        .step(step)
        .build()
        .unwrap()
}

#[test]
fn no_more_items_than_allowed_are_at_work_at_once_and_all_are_given_in_order() {
    for at_once in [1, 3, 20, 64] {
        let (world, seen) = (World::new(), Arc::new(Seen::default()));
        let run = deliver(&world, &fanning(&world, &seen, at_once), "a").unwrap().run.unwrap();
        assert_eq!(run.state(), State::Succeeded, "{}", run.body.why);
        let expected: Vec<usize> = (0..20).map(|index| index * 10).collect();
        assert_eq!(
            serde_json::from_str::<Vec<usize>>(run.body.output.as_ref().unwrap().get()).unwrap(),
            expected
        );
        assert_eq!(seen.most.load(Ordering::SeqCst), at_once.min(20));
        assert!(seen.calls.lock().unwrap().values().all(|calls| *calls == 1));
        world.check();
    }
}

#[test]
fn a_death_in_the_middle_costs_the_items_that_were_not_saved_and_no_other() {
    for secs in 1..=14 {
        let (world, seen) = (World::new(), Arc::new(Seen::default()));
        let job = fanning(&world, &seen, 4);
        let died = cut(
            &world.sim,
            Duration::from_millis(secs * 1000 + 500),
            job.run_once_on(world.sim.clone(), &world.store, "a"),
        );
        assert!(died.is_none(), "{secs}");
        let begun: u32 = seen.calls.lock().unwrap().values().sum();
        let done = begun as usize - seen.now.swap(0, Ordering::SeqCst);
        world.pass_a_lease();
        let run = deliver(&world, &job, "a").unwrap().run.unwrap();
        assert_eq!(run.state(), State::Succeeded);
        let calls: u32 = seen.calls.lock().unwrap().values().sum();
        assert_eq!(calls as usize, 20 + begun as usize - done, "{secs}: finished items ran again");
        world.check();
    }
}

#[test]
fn a_failed_item_stops_the_rest_and_what_was_in_the_middle_is_kept() {
    let (world, seen) = (World::new(), Arc::new(Seen::default()));
    *seen.fail_once.lock().unwrap() = Some(5);
    let job = fanning(&world, &seen, 4);
    let run = deliver(&world, &job, "a").unwrap().run.unwrap();
    assert_eq!(run.state(), State::FailedPermanent);
    assert_eq!(run.body.faults.last().unwrap().code, "item.broken");
    let cursor = run.body.steps[0].cursor.as_ref().unwrap().get().to_owned();
    let saved: serde_json::Value = serde_json::from_str(&cursor).unwrap();
    let begun = seen.calls.lock().unwrap().len();
    assert_eq!(saved["done"].as_object().unwrap().len(), begun - 1, "{cursor}");
    assert_eq!(run.body.steps[0].progress.as_ref().unwrap().total, Some(20));
    world.check();
}

#[test]
fn another_list_is_not_taken_for_the_one_that_was_begun() {
    let world = World::new();
    let lists = Arc::new(Mutex::new(vec![vec![1, 2, 3], vec![1, 2]]));
    let step = Step::blocking("fan", Effect::Pure, move |cx| {
        let list = lists.lock().unwrap().remove(0);
        cx.for_each_blocking(&list, 2, |index, item| {
            if index == 2 && *item == 3 {
                return Err(StepError::transient("item.later", "later"));
            }
            Ok(*item)
        })
    });
    let job = Job::new("fan").lease(LEASE).step(step).build().unwrap();
    let run = deliver(&world, &job, "a").unwrap().run.unwrap();
    assert_eq!(run.state(), State::FailedPermanent, "{}", run.body.why);
    assert_eq!(run.body.faults.last().unwrap().code, "step.items_changed");
    assert!(run.body.why.contains("2 were finished"), "{}", run.body.why);
}

#[test]
fn on_threads_the_same_holds() {
    let (world, seen) = (World::new(), Arc::new(Seen::default()));
    let step = {
        let seen = Arc::clone(&seen);
        Step::blocking("fan", Effect::Idempotent, move |cx| {
            let items: Vec<u64> = (0..50).collect();
            cx.for_each_blocking(&items, 4, |index, _| {
                seen.enter(index);
                std::thread::yield_now();
                seen.leave(index)
            })
        })
    };
    let job = Job::new("fan").lease(LEASE).step(step).build().unwrap();
    let run = deliver(&world, &job, "a").unwrap().run.unwrap();
    assert_eq!(run.state(), State::Succeeded, "{}", run.body.why);
    assert!(seen.most.load(Ordering::SeqCst) <= 4);
    assert_eq!(seen.calls.lock().unwrap().len(), 50);
    for at_once in [0, 257] {
        let step = Step::blocking("fan", Effect::Pure, move |cx| {
            cx.for_each_blocking(&[1], at_once, |_, item: &i32| Ok(*item))
        });
        let run = deliver(&world, &Job::new("bad").step(step).build().unwrap(), "a").unwrap().run.unwrap();
        assert!(run.body.why.contains("allowed is 1 to 256"), "{}", run.body.why);
    }
}

#[test]
fn progress_is_written_at_most_once_a_second_and_with_every_checkpoint() {
    let world = World::new();
    let (sim, store) = (world.sim.clone(), Arc::clone(&world.store));
    let step = Step::new("long", Effect::Pure, move |cx| {
        let (sim, store) = (sim.clone(), Arc::clone(&store));
        async move {
            let mut versions = std::collections::BTreeSet::new();
            for done in 0..100 {
                cx.report(done, Some(100)).await?;
                let record = store.get(unattended::store::Ns::RUN, cx.run_id()).await?.unwrap();
                versions.insert(record.version);
                sim.sleep(Duration::from_millis(100)).await;
            }
            Ok(versions.len())
        }
    });
    let job = Job::new("long").lease(Duration::from_secs(3600)).step(step).build().unwrap();
    let run = deliver(&world, &job, "a").unwrap().run.unwrap();
    let writes: usize = serde_json::from_str(run.body.output.as_ref().unwrap().get()).unwrap();
    assert_eq!(writes, 10, "one write a second for 10 s");
    assert!(run.body.steps[0].progress.is_none(), "what is done has no progress any more");
}
