//! Checks of the jobs, by what they are made of.

use std::time::Duration;

use crate::act::job::Outline;
use crate::base::effect::Effect;
use crate::base::text::{about, exact};
use crate::operate::doctor::tally::Tally;
use crate::operate::doctor::{Application, Check, Declared};

/// What is tried for longer is not bounded for whoever waits.
const RETRY_MAX: Duration = Duration::from_secs(24 * 3600);
/// How long a process may be stopped on one machine without being dead: a disk that is slow, a machine that is moved.
const PAUSE: Duration = Duration::from_secs(5);
const NO_CODE: &str = "its code is not known here";

pub(super) fn checks(app: &Application) -> Vec<Check> {
    vec![
        contract(app),
        idempotency_key(app),
        effect(app),
        idempotency_proof(app),
        retry(app),
        dead_letters(app),
        rollback(app),
        lease(app),
        heartbeat(app),
    ]
}

/// Looks at each job whose code is known; of the others nothing is provable.
fn of_code(app: &Application, mut look: impl FnMut(&Declared, &Outline, &mut Tally)) -> Tally {
    let mut tally = Tally::default();
    for job in &app.jobs {
        match &job.outline {
            Some(outline) => look(job, outline, &mut tally),
            None => tally.unknown(format!("{}: {NO_CODE}", job.name)),
        }
    }
    tally
}

fn contract(app: &Application) -> Check {
    let tally = of_code(app, |job, outline, tally| match &outline.contract {
        Some(contract) => tally.pass(format!("{}: contract {contract}", job.name)),
        None => tally.fail(format!("{}: any input is let in", job.name)),
    });
    tally.check("contract", "each job's input is held against a contract", "give the job a `contract`")
}

fn idempotency_key(app: &Application) -> Check {
    let tally = of_code(app, |job, outline, tally| match outline.keyed {
        true => tally.pass(format!("{}: a key is made from its input", job.name)),
        false => tally.fail(format!("{}: the same work delivered twice is done twice", job.name)),
    });
    tally.check("idempotency_key", "each job makes a key of what its work is about", "give the job a `key`")
}

fn effect(app: &Application) -> Check {
    let mut tally = Tally::default();
    for job in &app.jobs {
        let Some(outline) = &job.outline else {
            match job.effect {
                Some(Effect::Unsafe) => {
                    tally.fail(format!("{}: it is unsafe, and nothing says whether it was done", job.name));
                }
                Some(effect) => tally.pass(format!("{}: it is declared {effect}", job.name)),
                None => {
                    tally.fail(format!("{}: its effect is not declared, so it counts as unsafe", job.name))
                }
            }
            continue;
        };
        for step in &outline.steps {
            let (name, effect) = (&step.name, step.effect);
            match effect {
                Effect::Unsafe => {
                    let why = "is unsafe and nothing says whether it was done";
                    tally.fail(format!("{}: step {name} {why}", job.name));
                }
                _ => tally.pass(format!("{}: step {name} is {effect}", job.name)),
            }
        }
    }
    let todo = "a step that can ask whether it was done is `verifiable`, with a guard; one whose other side knows its key is \
                `idempotent`";
    tally.check("effect", "after a crash each step can go on by itself", todo)
}

fn idempotency_proof(app: &Application) -> Check {
    let tally = of_code(app, |job, outline, tally| match &job.proof {
        Some(proof) if proof.holds_for(outline) => {
            tally.pass(format!(
                "{}: killed at {} edges in a test, its effects happened once",
                job.name, proof.edges
            ));
        }
        Some(_) => tally.unknown(format!("{}: it has other steps than when it was proved", job.name)),
        None => tally.unknown(format!("{}: no test has proved it", job.name)),
    });
    let todo = "call `testing::assert_idempotent` in a test, and hand in the proof that it gives";
    tally.check("idempotency_proof", "each job was killed at each of its edges, and repeats nothing", todo)
}

fn retry(app: &Application) -> Check {
    let tally = of_code(app, |job, outline, tally| {
        let own = outline
            .steps
            .iter()
            .filter_map(|step| step.retry.as_ref().map(|policy| (step.name.as_str(), policy)));
        for (of, policy) in own.chain([("each step", &outline.retry)]) {
            let (attempts, longest) = (policy.attempts_most(), policy.elapsed_most());
            let (job, time) = (&job.name, about(longest));
            if longest > RETRY_MAX {
                tally.fail(format!("{job}: {of} is tried {attempts} times, for up to {time}"));
            } else {
                tally.pass(format!("{job}: {of} is tried at most {attempts} times, for up to {time}"));
            }
        }
    });
    tally.check(
        "retry",
        "every retry has an end within a day",
        "bound the policy with `elapsed_max` or fewer attempts",
    )
}

fn dead_letters(app: &Application) -> Check {
    let mut tally = Tally::default();
    for job in &app.jobs {
        match job.replayable {
            true => tally.pass(format!("{}: it can be replayed", job.name)),
            false => {
                tally.fail(format!("{}: nobody is known who could run a failed run of it again", job.name))
            }
        }
    }
    let todo = "let the application's replayer or a worker know the job, and declare it `replayable`";
    tally.check("dead_letters", "each failed run can be replayed", todo)
}

fn rollback(app: &Application) -> Check {
    let tally = of_code(app, |job, outline, tally| {
        let last = outline.steps.len().saturating_sub(1);
        for step in outline.steps.iter().take(last).filter(|step| step.effect != Effect::Pure) {
            match step.undo {
                true => tally.pass(format!("{}: step {} can be undone", job.name, step.name)),
                false => {
                    tally.fail(format!("{}: step {} stays done when a later one fails", job.name, step.name))
                }
            }
        }
        tally.pass(format!("{}: its steps are looked at", job.name));
    });
    tally.check(
        "rollback",
        "what is done before a step that may fail can be undone",
        "give the step an `undo`",
    )
}

fn lease(app: &Application) -> Check {
    let many_hosts = app.store.as_ref().is_some_and(|store| store.caps().multi_host);
    let tally = of_code(app, |job, outline, tally| {
        let (name, lease) = (&job.name, outline.lease);
        let shown = exact(lease);
        match app.failover {
            Some(failover) if lease <= failover => {
                let failover = exact(failover);
                tally.fail(format!("{name}: its lease of {shown} ends before a failover of {failover} does"));
            }
            Some(failover) => {
                tally
                    .pass(format!("{name}: its lease of {shown} outlasts a failover of {}", exact(failover)));
            }
            None if many_hosts => {
                tally.unknown(format!(
                    "{name}: its lease is {shown}, and how long a failover takes is not said"
                ));
            }
            None if lease < PAUSE => {
                tally.fail(format!(
                    "{name}: its lease of {shown} ends while a machine pauses for {}",
                    exact(PAUSE)
                ));
            }
            None => tally.pass(format!("{name}: its lease is {shown}, on one host")),
        }
    });
    let todo = "make the `lease` longer than a failover, and say with `failover` how long one takes";
    tally.check("lease", "nobody is taken for dead who only waits", todo)
}

fn heartbeat(app: &Application) -> Check {
    let mut tally = Tally::default();
    for job in &app.jobs {
        match job.heartbeat {
            true => tally.pass(format!("{}: it is missed", job.name)),
            false => tally.fail(format!("{}: nobody notices when it no longer runs", job.name)),
        }
    }
    let todo = "give the job a `pulse` of a monitor, or say `every` or `schedule` in the configuration";
    tally.check("heartbeat", "each job is missed when it does not run", todo)
}

pub(super) fn logs(app: &Application) -> Check {
    let mut tally = Tally::default();
    match app.logs.as_slice() {
        [] => tally.fail("nothing is said of a log, so no decision can be read afterwards"),
        logs => logs.iter().for_each(|log| tally.pass(log.as_str())),
    }
    tally.check(
        "logs",
        "decisions are logged",
        "set a subscriber up, such as with `log::init`, and say so with `logs`",
    )
}

pub(super) fn alerts(app: &Application) -> Check {
    let mut tally = Tally::default();
    match app.alerts.as_slice() {
        [] => tally.fail("no sink is declared, so nobody is told of anything"),
        sinks => sinks.iter().for_each(|sink| tally.pass(sink.as_str())),
    }
    tally.check("alerts", "somebody is told", "declare a command, a webhook or a file that takes alerts")
}

/// Whether one arrives is only known when one is sent.
pub(super) fn alerts_delivery(app: &Application) -> Check {
    let mut tally = Tally::default();
    match app.alerts.as_slice() {
        [] => tally.fail("there is no sink that could work"),
        sinks => {
            tally.unknown(format!("whether {} works is only known when it is used", sinks.join(" and ")))
        }
    }
    tally.check("alerts_delivery", "an alert arrives", "send one: `alerts test`")
}

pub(super) fn retention(app: &Application) -> Check {
    let mut tally = Tally::default();
    if let Some(retention) = app.retention {
        tally.pass(format!("runs are kept for {}", exact(retention)));
    }
    for job in &app.jobs {
        match job.retention {
            Some(retention) => tally.pass(format!("{}: runs are kept for {}", job.name, exact(retention))),
            None if app.retention.is_some() => {}
            None => tally.fail(format!("{}: its runs are kept for ever", job.name)),
        }
    }
    tally.check("retention", "runs go away some day", "say how long runs are kept")
}

pub(super) fn ownership(app: &Application) -> Check {
    let mut tally = Tally::default();
    for job in &app.jobs {
        match (&job.owner, &job.runbook) {
            (Some(owner), Some(runbook)) => tally.pass(format!("{}: {owner}, {runbook}", job.name)),
            (None, Some(_)) => tally.fail(format!("{}: it has no owner", job.name)),
            (Some(_), None) => tally.fail(format!("{}: it has no runbook", job.name)),
            (None, None) => tally.fail(format!("{}: it has no owner and no runbook", job.name)),
        }
    }
    let todo = "say who answers for the job, and where it stands what to do when it fails";
    tally.check("ownership", "each job has an owner and a runbook", todo)
}
