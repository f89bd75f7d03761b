//! The part of a `tick` that runs commands: what is due, put off, or left behind by a process that died.

use std::sync::Arc;

use crate::act::monitor::Monitor;
use crate::act::pipeline::Interrupt;
use crate::base::time::Timestamp;
use crate::decide::run::State;
use crate::operate::cli::exec::form::Form;
use crate::operate::cli::exec::lock;
use crate::operate::cli::exec::replay::{self, Again};
use crate::operate::cli::failure::Failure;
use crate::remember::blocking::block_on;
use crate::remember::runs::{Run, Runs};
use crate::remember::store::{Ns, Order, Pages, Query, Store};

/// How many records are read at a time, and how often.
const PAGE: u32 = 200;
const PAGES_MAX: u32 = 50;
/// How many of what was left alone are told.
const LEFT_MAX: usize = 100;

/// What one pass did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::operate::cli) struct Worked {
    /// So many runs were worked on: their commands were run, or what was to be said of them was said.
    pub(in crate::operate::cli) ran: u64,
    /// So many were not worth running any more.
    pub(in crate::operate::cli) expired: u64,
    /// Runs that were left alone.
    pub(in crate::operate::cli) left: Vec<Left>,
    /// Whether all that was due was looked at.
    pub(in crate::operate::cli) whole: bool,
}

/// A run that was left alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::operate::cli) struct Left {
    pub(in crate::operate::cli) run: String,
    pub(in crate::operate::cli) job: String,
    /// Since when it is due.
    pub(in crate::operate::cli) due: Timestamp,
    pub(in crate::operate::cli) why: String,
    /// Whether nothing but a person changes that: it is not just that somebody else is at it.
    pub(in crate::operate::cli) stuck: bool,
}

/// Runs what is due of all jobs that are commands, oldest first, each of them once; begins none once `over` says so. Safe twice at
/// once: who claims a run has it. What they write is kept with the runs, and shown nowhere. `interrupt` reaches the command that runs.
///
/// # Errors
/// When the store cannot be read. One run that fails is no error.
pub(in crate::operate::cli) fn work_off(
    store: &Arc<dyn Store>,
    monitor: &Monitor,
    over: &dyn Fn() -> bool,
    interrupt: &Interrupt,
) -> Result<Worked, Failure> {
    let mut worked = Worked::default();
    let states = [State::Queued, State::FailedTransient, State::Processing];
    let query = Query {
        states: states.map(|state| state.as_str().to_owned()).to_vec(),
        attention: true,
        order: Order::Oldest,
        limit: PAGE,
        ..Query::all(Ns::RUN)
    };
    let mut pages = Pages::of(&**store, query).most(PAGES_MAX);
    while let Some(records) = block_on(pages.next()).map_err(|error| Failure::of_store(&error))? {
        for record in records {
            if over() {
                return Ok(worked);
            }
            // What cannot be read here may be a newer release's.
            let Ok(run) = Run::from_record(record) else { continue };
            let Some(form) = Form::of(&run) else { continue };
            let pulse = monitor.pulse(run.job()).ok();
            one(store, &run, &form, pulse, interrupt, &mut worked);
        }
    }
    worked.whole = !pages.cut();
    Ok(worked)
}

fn one(
    store: &Arc<dyn Store>,
    run: &Run,
    form: &Form,
    pulse: Option<crate::act::monitor::Pulse>,
    interrupt: &Interrupt,
    worked: &mut Worked,
) {
    let mut leave = |why: String, stuck: bool| {
        if worked.left.len() < LEFT_MAX {
            let due = run.record.due_at.unwrap_or(run.record.updated_at);
            worked.left.push(Left { run: run.id().to_owned(), job: run.job().to_owned(), due, why, stuck });
        }
    };
    let _only = match lock::ask(run.job(), form, store) {
        Ok(lock::Asked::Mine(only)) => only,
        Ok(lock::Asked::Busy(who)) => {
            return leave(format!("one of its runs is being worked on, by {who}"), false);
        }
        Err(failure) => return leave(failure.message, true),
    };
    let over = run.record.expires_at.is_some_and(|at| at <= interrupt.clock().now().wall);
    // One that is over is only ended, and one that was cut in the middle and is unsafe only asked about.
    let asks = run.state() == State::Processing && form.effect == super::form::Class::Unsafe;
    if !over
        && !asks
        && let Err(why) = replay::replayable(form)
    {
        return leave(why, true);
    }
    match replay::again(store, run, form, pulse, None, interrupt) {
        Ok(Again { run: Some(after), .. }) if after.state() == State::Expired => worked.expired += 1,
        Ok(Again { run: Some(after), starts: 0 })
            if matches!(after.state(), State::Queued | State::FailedTransient) =>
        {
            // Put off again.
            leave(after.body.why, false);
        }
        Ok(Again { run: Some(_), .. }) => worked.ran += 1,
        Ok(Again { run: None, .. }) => {
            let after = block_on(Runs::new(Arc::clone(store)).get(run.id()));
            if after.is_ok_and(|after| after.is_some_and(|after| after.state() == State::Expired)) {
                worked.expired += 1;
            }
        }
        Err(error) => leave(error.to_string(), true),
    }
}
