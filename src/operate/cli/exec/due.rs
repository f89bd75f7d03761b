//! The part of a `tick` that runs commands: what is due, put off, or left behind by a process that died.

use std::sync::Arc;

use crate::act::pipeline::Interrupt;
use crate::base::time::Moment;
use crate::decide::run::State;
use crate::operate::cli::exec::form::Form;
use crate::operate::cli::exec::{lock, replay};
use crate::operate::cli::failure::{Failure, Stop};
use crate::operate::cli::session::{Need, Session};
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
    /// So many commands were run.
    pub(in crate::operate::cli) ran: u64,
    /// So many were not worth running any more.
    pub(in crate::operate::cli) expired: u64,
    /// Runs that were left alone, and why.
    pub(in crate::operate::cli) left: Vec<(String, String)>,
}

/// Runs what is due of all jobs that are commands, oldest first, each of them once; begins none after `deadline`. Safe twice at once:
/// who claims a run has it. What they write is kept with the runs, and shown nowhere.
///
/// # Errors
/// When the store cannot be opened or read. One run that fails is no error.
pub(in crate::operate::cli) fn work_off(
    session: &mut Session<'_, '_>,
    deadline: Moment,
) -> Result<Worked, Stop> {
    let store = session.store(Need::Write)?;
    work_off_on(session, &store, deadline, &Interrupt::on(Arc::clone(&session.host.clock)))
}

/// The same on a store that is open already; `interrupt` ends it.
///
/// # Errors
/// As there.
pub(in crate::operate::cli) fn work_off_on(
    session: &Session<'_, '_>,
    store: &Arc<dyn Store>,
    deadline: Moment,
    interrupt: &Interrupt,
) -> Result<Worked, Stop> {
    let monitor = session.config_or_none()?.monitor(Arc::clone(store))?;
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
            if interrupt.clock().moment() >= deadline || interrupt.signal().is_some() {
                return Ok(worked);
            }
            // What cannot be read here may be a newer release's.
            let Ok(run) = Run::from_record(record) else { continue };
            let Some(form) = Form::of(&run) else { continue };
            let pulse = monitor.pulse(run.job()).ok();
            one(store, &run, &form, pulse, interrupt, &mut worked);
        }
    }
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
    let mut leave = |why: String| {
        if worked.left.len() < LEFT_MAX {
            worked.left.push((run.id().to_owned(), why));
        }
    };
    let _only = match lock::ask(run.job(), form, store) {
        Ok(lock::Asked::Mine(only)) => only,
        Ok(lock::Asked::Busy(who)) => return leave(format!("one of its runs is being worked on, by {who}")),
        Err(failure) => return leave(failure.message),
    };
    let over = run.record.expires_at.is_some_and(|at| at <= interrupt.clock().now().wall);
    // One that is over is only ended, and one that was cut in the middle and is unsafe only asked about.
    let asks = run.state() == State::Processing && form.effect == super::form::Class::Unsafe;
    if !over
        && !asks
        && let Err(why) = replay::replayable(form)
    {
        return leave(why);
    }
    match replay::again(store, run, form, pulse, None, interrupt) {
        Ok(Some(after)) if after.state() == State::Expired => worked.expired += 1,
        Ok(Some(_)) => worked.ran += 1,
        Ok(None) => {
            let after = block_on(Runs::new(Arc::clone(store)).get(run.id()));
            if after.is_ok_and(|after| after.is_some_and(|after| after.state() == State::Expired)) {
                worked.expired += 1;
            }
        }
        Err(error) => leave(error.to_string()),
    }
}
