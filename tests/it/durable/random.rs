//! Random days: deliveries, deaths at any point, clock jumps and operators, in any order.

use proptest::prelude::*;
use unattended::blocking::block_on;
use unattended::effect::Effect;
use unattended::fault::{Fault, Reached};
use unattended::job::Job;
use unattended::run::State;
use unattended::runs::{Error, Run};
use unattended::store::{Ns, Put, Store};

use crate::durable::site::{Act, Site, process};
use crate::world::{Faulty, Inject, World};

const INPUTS: [&str; 3] = ["a", "b", "c"];
const STEPS: [(&str, Effect); 4] = [
    ("prepare", Effect::Pure),
    ("pay", Effect::Unsafe),
    ("publish", Effect::Verifiable),
    ("notify", Effect::Idempotent),
];

#[derive(Clone, Debug)]
enum Op {
    Deliver { input: usize, dies_at: Option<usize>, own_handle: bool },
    DeliverOnBrokenStore { input: usize, from: u64, length: u64, how: usize },
    Trouble { step: usize, act: usize },
    Advance { secs: u64 },
    StepWall { secs: i64 },
    Note { run: usize },
    Requeue { run: usize },
    Review { run: usize },
    Cancel { run: usize },
    Pause { run: usize, on: bool },
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (0..3_usize, prop::option::of(0..20_usize), any::<bool>())
            .prop_map(|(input, dies_at, own_handle)| Op::Deliver { input, dies_at, own_handle }),
        2 => (0..3_usize, 0..10_u64, 1..6_u64, 0..3_usize)
            .prop_map(|(input, from, length, how)| Op::DeliverOnBrokenStore { input, from, length, how }),
        2 => (0..4_usize, 0..5_usize).prop_map(|(step, act)| Op::Trouble { step, act }),
        4 => (0..5000_u64).prop_map(|secs| Op::Advance { secs }),
        1 => (-100_000..100_000_i64).prop_map(|secs| Op::StepWall { secs }),
        1 => (0..4_usize).prop_map(|run| Op::Note { run }),
        2 => (0..4_usize).prop_map(|run| Op::Requeue { run }),
        1 => (0..4_usize).prop_map(|run| Op::Review { run }),
        1 => (0..4_usize).prop_map(|run| Op::Cancel { run }),
        1 => (0..4_usize, any::<bool>()).prop_map(|(run, on)| Op::Pause { run, on }),
    ]
}

fn act(number: usize) -> Act {
    match number {
        0 => Act::Refuse(Fault::transient("io.connection_refused").reached(Reached::No)),
        1 => Act::CutOff(Fault::transient("io.timed_out")),
        2 => Act::Refuse(Fault::permanent("http.422")),
        3 => Act::DieAfter,
        _ => Act::Refuse(Fault::transient("io.timed_out")),
    }
}

fn picked(world: &World, run: usize) -> Option<Run> {
    world.all().into_iter().nth(run)
}

fn perform(world: &World, site: &Site, job: &Job, op: &Op) {
    match *op {
        Op::Deliver { input, dies_at, own_handle } => {
            let edges = job.edge_names();
            site.get().die_at = dies_at.and_then(|at| edges.get(at).cloned());
            let store = if own_handle { world.other() } else { world.store.clone() };
            if let Some(report) = process(world, &store, job, INPUTS[input]) {
                report.unwrap();
            }
            site.get().die_at = None;
        }
        Op::DeliverOnBrokenStore { input, from, length, how } => {
            let injected = [Inject::NotApplied, Inject::CutBefore, Inject::CutAfter][how];
            let broken: std::sync::Arc<dyn Store> =
                std::sync::Arc::new(Faulty::new(&world.store, move |n, _| {
                    if n >= from && n - from < length { injected } else { Inject::Pass }
                }));
            // That it fails is right; what it leaves behind is checked.
            drop(process(world, &broken, job, INPUTS[input]));
        }
        Op::Trouble { step, act: number } => site.next(STEPS[step].0, [act(number)]),
        Op::Advance { secs } => world.secs(secs),
        Op::StepWall { secs } => world.sim.step_wall(chrono::TimeDelta::seconds(secs)),
        Op::Note { run } => {
            if let Some(run) = picked(world, run) {
                let noted = block_on(world.runs().note(run.id(), "operator:ada", "hm")).unwrap();
                assert_eq!(noted.state(), run.state());
            }
        }
        Op::Requeue { run } => {
            if let Some(run) = picked(world, run) {
                match block_on(world.runs().requeue(run.id(), "operator:ada", world.wall())) {
                    Ok(queued) => assert_eq!(queued.state(), State::Queued),
                    Err(Error::Illegal(_)) => assert_eq!(world.run(run.id()).state(), run.state()),
                    Err(error) => panic!("{error}"),
                }
            }
        }
        Op::Review { run } => {
            if let Some(run) = picked(world, run) {
                let at = world.wall();
                block_on(world.runs().mark_reviewed(run.id(), "operator:ada", at, "seen")).unwrap();
            }
        }
        Op::Cancel { run } => {
            if let Some(run) = picked(world, run).filter(|run| run.state() == State::Processing) {
                world.put(Ns::RUN, run.id(), Put { cancelling: Some(true), ..Put::nothing() });
            }
        }
        Op::Pause { run, on } => {
            if let Some(run) = picked(world, run) {
                world.put(Ns::RUN, run.id(), Put { paused: Some(on), ..Put::nothing() });
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, max_shrink_iters: 400, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_each_unsafe_effect_takes_place_once_at_most(
        ops in prop::collection::vec(op(), 1..40),
        seed in any::<u64>(),
    ) {
        let (world, site) = (World::seeded(seed), Site::default());
        let job = site.job("random", &STEPS);
        for op in &ops {
            perform(&world, &site, &job, op);
            world.check();
            for input in INPUTS {
                let (calls, effects) = (site.calls("pay", input), site.effects("pay", input));
                prop_assert!(effects <= 1, "pay {} took place {} times in {} calls", input, effects, calls);
                prop_assert!(site.effects("publish", input) <= 1, "publish {}", input);
                prop_assert!(site.effects("notify", input) <= 1, "notify {}", input);
            }
        }
        // Nothing that was accepted is lost: once people and clocks are quiet, every run comes to rest.
        site.get().script.clear();
        for run in world.all() {
            world.put(Ns::RUN, run.id(), Put { paused: Some(false), ..Put::nothing() });
        }
        for _ in 0..6 {
            world.secs(200_000);
            for input in INPUTS {
                process(&world, &world.store, &job, input).unwrap().unwrap();
            }
        }
        world.check();
        for run in world.all() {
            let rests = run.state().is_terminal() || run.state() == State::NeedsReview;
            prop_assert!(rests, "run {} is {} for ever: {}", run.id(), run.state(), run.body.why);
        }
        for input in INPUTS {
            prop_assert!(site.effects("pay", input) <= 1, "pay {}", input);
        }
    }
}
