//! The part of a pass that runs commands. It is on a thread of its own: a command may take long, and whoever has to be told of something
//! else is told meanwhile.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use crate::act::notify::{self, Alerts, Sign, Signal};
use crate::act::pipeline::Interrupt;
use crate::base::time::{Clock, Moment, Now, System, between};
use crate::decide::alert::{Kind, Subject};
use crate::operate::cli::config::Config;
use crate::operate::cli::exec::due::{self, Left, Worked};
use crate::operate::cli::exec::{Listening, NOT_RUNNABLE};
use crate::operate::cli::failure::{Exit, Failure, Stop};
use crate::operate::cli::session::Session;
use crate::operate::cli::tick::watch;
use crate::remember::store::Store;

/// How soon a signal is seen.
const LOOK: Duration = Duration::from_millis(100);
/// How often it is looked who has to be told something while commands run.
const MEANWHILE: Duration = Duration::from_secs(30);
/// How long a run that cannot be run from its record may be due before somebody is told: whoever typed it may type it again.
const PATIENCE: Duration = Duration::from_secs(3600);

/// Runs what is due until `until`, and does `meanwhile` now and then where that takes long. Asked to end it begins nothing more, and
/// waits for the command that runs; asked a second time it passes the signal on to that.
pub(super) fn work(
    session: &mut Session<'_, '_>,
    store: &Arc<dyn Store>,
    config: &Config,
    until: Moment,
    mut meanwhile: impl FnMut(&mut Session<'_, '_>),
) -> Result<Worked, Stop> {
    let clock = Arc::clone(&session.host.clock);
    let monitor = config.monitor(Arc::clone(store))?;
    let listening = Listening::begin(Arc::clone(&clock))?;
    let command = Interrupt::on(Arc::clone(&clock));
    let asked = AtomicBool::new(false);
    let over = || asked.load(Ordering::SeqCst) || clock.moment() >= until;
    let (running, ended) = sync_channel::<()>(1);
    let worked = thread::scope(|scope| {
        let (over, command, monitor) = (&over, &command, &monitor);
        let work =
            thread::Builder::new().name(String::from("unattended-tick")).spawn_scoped(scope, move || {
                let _running = running;
                due::work_off(store, monitor, over, command)
            });
        let work = work.map_err(|error| {
            Failure::new(Exit::Failed, "tick.no_thread", format!("no thread can be had: {error}"))
        })?;
        let mut looked = System.moment();
        while ended.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
            if let Some(signal) = listening.interrupt.take()
                && asked.swap(true, Ordering::SeqCst)
            {
                for slot in command.slots() {
                    slot.store(usize::try_from(signal).unwrap_or_default(), Ordering::SeqCst);
                }
            }
            if System.moment().since(looked) >= MEANWHILE {
                meanwhile(session);
                looked = System.moment();
            }
        }
        work.join().map_err(|_| Failure::new(Exit::Failed, "tick.panicked", "the work panicked"))?
    });
    Ok(worked?)
}

/// Who has typed a command that nobody else can run is told that it waits, once it has waited long; and what is gone on with is over.
pub(super) fn tell_stuck(worked: &Worked, alerts: &Alerts, now: Now) -> Result<(), notify::Error> {
    let mut stuck: BTreeMap<&str, &Left> = BTreeMap::new();
    for left in worked.left.iter().filter(|left| left.stuck) {
        // Of each job the oldest.
        stuck.entry(&left.job).or_insert(left);
    }
    for (job, left) in &stuck {
        if between(left.due, now.wall) >= PATIENCE {
            let why = format!("run {} waits, and no tick can run it: {}", left.run, left.why);
            let signal = Signal::new(Subject::job(*job), Kind::NeedsReview, NOT_RUNNABLE, why, left.due);
            let _decided = alerts.stands_blocking(&signal, now)?;
        }
    }
    if !worked.whole {
        return Ok(());
    }
    for alert in alerts.list_blocking(&notify::Filter::open(), watch::ALERTS_MAX)? {
        let Subject::Job(job) = &alert.subject else { continue };
        if alert.code == NOT_RUNNABLE && !stuck.contains_key(job.as_str()) {
            let _healed = alerts.healthy_blocking(&alert.subject, Sign::Code(NOT_RUNNABLE), now)?;
        }
    }
    Ok(())
}
