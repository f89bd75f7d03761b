//! What is there already of a command that has no key: an earlier call of it that did not end.

use std::sync::Arc;

use crate::act::job;
use crate::decide::run::State;
use crate::operate::cli::exec::form::{Class, Form};
use crate::remember::blocking::block_on;
use crate::remember::runs::{Run, StepState};
use crate::remember::store::{Ns, Order, Query, Store};

/// How many are looked at.
const LOOKED_AT: u32 = 32;

#[derive(Default)]
pub(super) struct Outstanding {
    /// Unsafe ones that were in the middle when their process died: a person has to say what became of each.
    pub(super) cut: Vec<Run>,
    /// The same command, put off or given up by a process that died: this call goes on with it.
    pub(super) same: Option<Run>,
}

/// The oldest of what lies there and belongs to nobody.
pub(super) fn of(store: &Arc<dyn Store>, job: &str, form: &Form) -> Result<Outstanding, job::Error> {
    let states = [State::Queued, State::FailedTransient, State::Processing];
    let query = Query {
        states: states.map(|state| state.as_str().to_owned()).to_vec(),
        kinds: vec![job.to_owned()],
        order: Order::Oldest,
        limit: LOOKED_AT,
        ..Query::all(Ns::RUN)
    };
    let page = block_on(store.scan(query)).map_err(|error| job::Error::Runs(error.into()))?;
    let mut found = Outstanding::default();
    for record in page.records {
        if record.leased() || record.paused {
            continue;
        }
        // What cannot be read here may be a newer release's.
        let Ok(run) = Run::from_record(record) else { continue };
        let Some(theirs) = Form::of(&run).filter(|_| run.body.key.is_none()) else { continue };
        let begun = run.body.steps.iter().any(|step| step.state == StepState::Started);
        if run.state() == State::Processing && theirs.effect == Class::Unsafe && begun {
            found.cut.push(run);
        } else if found.same.is_none() && theirs.digest == form.digest && theirs.effect == form.effect {
            found.same = Some(run);
        }
    }
    Ok(found)
}
