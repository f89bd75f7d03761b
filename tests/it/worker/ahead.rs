//! Runs that are claimed before there is room for them: how many, and what becomes of them where none comes.

use std::sync::Arc;
use std::time::Duration;

use unattended::blocking::block_on;
use unattended::effect::Effect;
use unattended::job::{Job, Terms};
use unattended::pipeline::Step;
use unattended::run::State;
use unattended::store::{ClaimDue, Claimed, Error, Store};
use unattended::testing::sim::Sim;
use unattended::time::{BoxFuture, Sleep};

use super::{Log, of, queue, queue_on, run_for, secs, worker};
use crate::world::World;

/// A store that is so far away that a claim takes 20 ms.
struct Far(Sim, Arc<dyn Store>);

impl Store for Far {
    crate::forward::forward!(caps owner apply get scan events prune => (1));

    fn claim_due(&self, claim: ClaimDue) -> BoxFuture<'_, Result<Vec<Claimed>, Error>> {
        Box::pin(async move {
            self.0.sleep(Duration::from_millis(10)).await;
            let claimed = self.1.claim_due(claim).await;
            self.0.sleep(Duration::from_millis(10)).await;
            claimed
        })
    }
}

fn far(world: &World) -> Arc<dyn Store> {
    Arc::new(Far(world.sim.clone(), Arc::clone(&world.store)))
}

/// A job that takes 2 ms, or a minute where its input says that it is slow.
fn mixed(world: &World, log: &Log) -> Job {
    let (sim, quick) = (world.sim.clone(), log.step(&world.sim, Effect::Pure, Duration::from_millis(2)));
    let slow = Step::new("wait", Effect::Pure, move |cx| {
        let sim = sim.clone();
        async move {
            if cx.input::<String>()?.starts_with("slow") {
                sim.sleep(secs(60)).await;
            }
            Ok(())
        }
    });
    of("mixed", quick).step(slow).build().unwrap()
}

/// The longest time between a claim and its being given back because no slot became free, and how many there were.
fn given_back(world: &World) -> (usize, Duration) {
    let (mut count, mut longest) = (0, Duration::ZERO);
    for run in world.all() {
        let history = block_on(world.runs().history(run.id(), 0, 100)).unwrap();
        for pair in history.windows(2).filter(|pair| pair[1].event.code == "worker.not_begun") {
            assert_eq!(pair[0].event.code, "run.claimed");
            count += 1;
            longest = longest.max((pair[1].at - pair[0].at).to_std().unwrap());
        }
    }
    (count, longest)
}

#[test]
fn where_runs_end_faster_than_claims_come_back_no_slot_waits_for_a_claim() {
    let (world, log) = (World::new(), Log::default());
    let job = mixed(&world, &log);
    for run in 0..400 {
        queue(&world, &job, &format!("quick-{run}"));
    }
    let worker = worker(&far(&world), job).concurrency(8).build().unwrap();
    let summary = run_for(&world, secs(5), &[&worker]).remove(0);
    assert_eq!((summary.ended_in(State::Succeeded), summary.handed_back), (400, 0), "{summary}");
    assert!(log.at_once("quick") <= 8);
    // One claim after the other for eight slots, 22 ms each, would take 1.1 s; how many end during a claim is learnt first.
    let last = log.spans().iter().filter_map(|span| span.ended).max().unwrap();
    assert!(last < 850, "{last} ms");
    world.check();
}

#[test]
fn what_was_claimed_ahead_and_finds_no_slot_is_given_back_after_a_second_and_at_the_end() {
    for span in [Duration::from_millis(700), secs(5)] {
        let (world, log) = (World::new(), Log::default());
        let job = mixed(&world, &log);
        for run in 0..200 {
            queue_on(&world, &job, &format!("quick-{run}"), &Terms { rank: 1, ..Terms::default() });
        }
        for run in 0..40 {
            queue(&world, &job, &format!("slow-{run}"));
        }
        let worker = worker(&far(&world), job).concurrency(8).grace(secs(1)).build().unwrap();
        let summary = run_for(&world, span, &[&worker]).remove(0);
        assert_eq!(summary.ended_in(State::Succeeded), 200, "{summary}");
        assert_eq!(log.inputs().iter().filter(|input| input.starts_with("slow")).count(), 8);
        let (count, longest) = given_back(&world);
        assert!(count > 0 && count <= 16, "{count}");
        let last = world.all().iter().rev().find_map(|run| {
            let history = block_on(world.runs().history(run.id(), 0, 100)).unwrap();
            history.into_iter().find(|told| told.event.code == "worker.not_begun")
        });
        let ended = span < secs(1);
        assert_eq!(last.unwrap().event.why.contains("ends"), ended, "why it was given back is told");
        assert!(longest <= Duration::from_millis(1100), "{longest:?}");
        let queued = world.all().iter().filter(|run| run.state() == State::Queued).count();
        assert_eq!(queued, 40, "those that ran were put down, the others never begun");
        world.check();
    }
}
