//! The job as it is written first: a loop over the engines and their tasks, three tries with a fixed sleep, and an end
//! with a trace at the first error that remains. Cron starts it again, from the first task that is not marked as done.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use unattended::time::{Sleep, Timestamp, between};

use crate::tasks::{Dependency, ENGINES, Op, Task};
use crate::week::{How, Script, within};
use crate::world::{Token, Trouble, World};

const TRIES: u32 = 3;
const SLEEP: Duration = Duration::from_secs(5);
/// A token lasts an hour; by then there is a new one.
const TOKEN_OLD: Duration = Duration::from_secs(55 * 60);
/// A person who sees it crash so often at the same task takes the task out.
const SAME_MAX: u32 = 4;

/// What is on its disk between two starts.
#[derive(Default)]
pub(crate) struct Naive {
    token: Option<Token>,
    /// At which task it ended last, and how often in a row.
    stuck: Option<(Task, u32)>,
    /// What a person took out.
    removed: BTreeSet<Task>,
}

/// Where it ended, and why.
struct Crash {
    task: Task,
    op: &'static Op,
    trouble: Trouble,
}

impl Naive {
    async fn main(world: &World, token: Token, at: &mut Option<Task>) -> Result<(), Crash> {
        for engine in 0..ENGINES.len() {
            for task in world.inbox(engine) {
                *at = Some(task);
                for op in task.engine().ops {
                    let done = tried(world, op, task, token).await;
                    done.map_err(|trouble| Crash { task, op, trouble })?;
                }
                world.take(task);
            }
        }
        *at = None;
        Ok(())
    }

    fn ended_at(&mut self, task: Option<Task>) {
        self.stuck = match (task, self.stuck) {
            (Some(task), Some((before, times))) if task == before => Some((task, times + 1)),
            (task, _) => task.map(|task| (task, 1)),
        };
    }
}

async fn tried(world: &World, op: &'static Op, task: Task, token: Token) -> Result<(), Trouble> {
    let token = (op.on == Dependency::Upload).then_some(token);
    for _ in 1..TRIES {
        if world.call(op, task, None, token).await.is_ok() {
            return Ok(());
        }
        world.sim.sleep(SLEEP).await;
    }
    world.call(op, task, None, token).await
}

impl Script for Naive {
    fn run(&mut self, world: &Arc<World>, kill_after: Duration, _next: Timestamp) -> How {
        let (old, mut at) = (self.token, None);
        let ran = world.sim.block_on(within(&world.sim, kill_after, async {
            let token = match old.filter(|issued| between(*issued, world.now()) < TOKEN_OLD) {
                Some(token) => token,
                None => world.login().await,
            };
            (token, Self::main(world, token, &mut at).await)
        }));
        let how = match ran {
            Err(stuck) => How::Crashed(stuck.to_string()),
            Ok(None) => How::Killed,
            Ok(Some((token, done))) => {
                self.token = Some(token);
                match done {
                    Ok(()) => How::Normally,
                    Err(Crash { task, op, trouble }) => {
                        How::Crashed(format!("{task}: {}: {trouble}", op.name))
                    }
                }
            }
        };
        self.ended_at(at);
        how
    }

    /// A person looks in the morning.
    fn morning(&mut self, world: &Arc<World>) -> bool {
        let Some((task, _)) = self.stuck.take_if(|(_, times)| *times >= SAME_MAX) else { return false };
        world.take(task);
        self.removed.insert(task)
    }

    fn given_up(&self) -> BTreeSet<Task> {
        self.removed.clone()
    }
}
