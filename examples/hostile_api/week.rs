//! Cron under virtual time: a process every 15 minutes, one at a time, for a week.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use unattended::testing::sim::Sim;
use unattended::time::{Sleep, Timestamp, later};

use crate::tasks::{ENGINES, Task};
use crate::weather::WEEK;
use crate::world::World;

/// How often cron starts it.
pub(crate) const EVERY: Duration = Duration::from_secs(15 * 60);
/// When cron ends what has not ended by itself.
const KILL_AFTER: Duration = Duration::from_secs(14 * 60);
/// When a person looks at it.
const MORNING: u64 = 9 * 3600;
const DAY: u64 = 86_400;

/// One way to write the job. A value of it is what is on disk: it is all that one process leaves to the next.
pub(crate) trait Script {
    /// One process, from its start to its end. `next` is when cron starts the one after it.
    fn run(&mut self, world: &Arc<World>, kill_after: Duration, next: Timestamp) -> How;

    /// A person looks at it; whether something had to be done by hand.
    fn morning(&mut self, world: &Arc<World>) -> bool;

    /// The tasks that it has given up, or that a person has thrown away.
    fn given_up(&self) -> BTreeSet<Task>;
}

/// How a process has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum How {
    Normally,
    Crashed(String),
    Killed,
}

/// What was seen of the processes of a week, from outside.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) runs: u32,
    pub(crate) normal: u32,
    pub(crate) crashed: u32,
    pub(crate) killed: u32,
    /// For each engine, in how many runs it left nothing open.
    pub(crate) worked: [u32; ENGINES.len()],
    /// How often a person had to do something by hand.
    pub(crate) by_hand: u32,
}

/// A whole week of it.
pub(crate) fn live(world: &Arc<World>, script: &mut dyn Script) -> Seen {
    let (start, sim) = (world.weather.start, &world.sim);
    let (mut seen, mut open) = (Seen::default(), BTreeSet::new());
    let mut coming: Vec<_> = world.weather.arrivals.iter().collect();
    let mut looked = 0;
    while sim.elapsed() < WEEK {
        let (now, since) = (world.now(), sim.elapsed().as_secs());
        if since % DAY >= MORNING && looked <= since / DAY {
            looked = since / DAY + 1;
            seen.by_hand += u32::from(script.morning(world));
        }
        let next = later(start, sim.elapsed() + until_cron(world));
        coming.retain(|(task, at)| {
            let arrived = **at <= now;
            arrived.then(|| open.insert(**task));
            !arrived
        });
        seen.count(&script.run(world, KILL_AFTER, next));
        let given_up = script.given_up();
        for engine in 0..ENGINES.len() {
            let left = |task: &Task| task.engine == engine && !given_up.contains(task) && !world.done(*task);
            seen.worked[engine] += u32::from(!open.iter().any(left));
        }
        open.retain(|task| !world.done(*task));
        sim.advance(until_cron(world));
    }
    seen
}

/// How long it is until the next full quarter of an hour.
fn until_cron(world: &World) -> Duration {
    let past = world.sim.elapsed().as_nanos() % EVERY.as_nanos();
    EVERY.saturating_sub(Duration::from_nanos(u64::try_from(past).unwrap_or_default()))
}

impl Seen {
    fn count(&mut self, ended: &How) {
        self.runs += 1;
        match ended {
            How::Normally => self.normal += 1,
            How::Crashed(_) => self.crashed += 1,
            How::Killed => self.killed += 1,
        }
    }
}

/// What `work` gives, if it gives it within `limit`; else it is dropped where it stands, as by a kill.
pub(crate) async fn within<T>(sim: &Sim, limit: Duration, work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        done = work => Some(done),
        () = sim.sleep(limit) => None,
    }
}

/// `Tue 03:12`, for people.
pub(crate) fn clock(at: Timestamp) -> String {
    at.format("%a %H:%M:%S").to_string()
}
