//! `exec`: a command run as a recorded run.
//!
//! `plan.rs` checks what was typed and makes the form that is stored (`form.rs`); `job.rs` makes a job of one step of it, and `stage.rs`
//! stands around the command while that runs. `replay.rs` and `due.rs` make the same job from the form that a run has.

mod answer;
mod asked;
mod codes;
pub(super) mod due;
mod form;
mod front;
mod job;
mod lock;
mod outstanding;
mod plan;
mod replay;
mod secrets;
mod stage;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub(super) use asked::Exec;
pub(super) use front::Listening;
pub(super) use replay::{Replayer, is_command, not_stored, typed};

use crate::act::job::{self as jobs, Job, Verdict};
use crate::act::monitor::Pulse;
use crate::act::pipeline::{self, Interrupt, Wakeful};
use crate::base::explain::Explain;
use crate::base::subject::Subject;
use crate::base::time::{Clock, Moment, SleepBlocking, System, later};
use crate::operate::cli::Home;
use crate::operate::cli::config::Expected;
use crate::operate::cli::exec::answer::Ended;
use crate::operate::cli::exec::asked::{OnBusy, StoreDown};
use crate::operate::cli::exec::form::{Stored, Word};
use crate::operate::cli::exec::front::Through;
use crate::operate::cli::exec::plan::Plan;
use crate::operate::cli::exec::stage::{Hear, Own, Stage};
use crate::operate::cli::failure::{Exit, Failure, Stop};
use crate::operate::cli::session::{Need, Opened, Session};
use crate::operate::cli::shared;
use crate::remember::blocking::block_on;
use crate::remember::holds::{Holds, Standing, Switch};
use crate::remember::memory::Memory;
use crate::remember::runs::Run;
use crate::remember::store::Store;

/// A run that waits, and that nothing but a person can go on with.
pub(super) const NOT_RUNNABLE: &str = "exec.not_runnable";
/// What is kept of each stream of the command while it runs, in bytes.
const OUTPUT_MAX: usize = 64 * 1024;
/// The same where it is shown only when the command fails.
const HELD_BACK_MAX: usize = 1024 * 1024;
/// What a store says that is open and takes nothing new.
const STORE_FULL: &str = "store.full";
/// How soon somebody who waits looks again.
const LOOK: Duration = Duration::from_millis(200);

pub(super) fn exec(session: &mut Session<'_, '_>, asked: Exec) -> Result<Exit, Stop> {
    let config = session.config_or_none()?;
    let expected = asked.expected()?;
    let mut plan = Plan::of(session, &asked, &config)?;
    let place = open(session, &asked)?;
    match at(session, &asked, &mut plan, &place, expected.clone()) {
        // It could be opened and takes nothing new, and so nothing was begun.
        Err(Stop::Failed(failure)) if place.kept && failure.code == STORE_FULL => {
            if let Some(hold) = held(session, &place, &plan.job) {
                let why = hold.to_string();
                return answer::busy(session, &plan.job, Exit::NotNow, hold.code(), &why);
            }
            let place = without_record(session, &asked, *failure)?;
            at(session, &asked, &mut plan, &place, expected)
        }
        done => done,
    }
}

/// Runs it with its record in one place.
fn at(
    session: &mut Session<'_, '_>,
    asked: &Exec,
    plan: &mut Plan,
    place: &Place,
    expected: Option<Expected>,
) -> Result<Exit, Stop> {
    plan.form.locks = place.locks.as_deref().map(|folder| Word::of_os(folder.as_os_str()));
    if place.kept {
        plan.keep_stdin(&place.inputs())?;
    }
    let plan = &*plan;
    let pulse = pulse(session, &plan.job, place, expected)?;
    let front = Front::new(plan, place, pulse, Arc::clone(&session.host.clock));
    // Refused before anything is begun.
    front.job(None, OUTPUT_MAX)?;
    let until = plan.deadline().map(|limit| session.host.clock.moment().after(limit));
    let listening = Listening::begin(Arc::clone(&session.host.clock))?;
    loop {
        let ended = match lock::ask(&plan.job, &plan.form, &place.store)? {
            lock::Asked::Mine(only) => {
                let ended = front.run(session, asked, &listening)?;
                drop(only);
                ended
            }
            lock::Asked::Busy(who) => {
                let exit = if asked.on_busy == OnBusy::Fail { Exit::Failed } else { Exit::NotNow };
                if asked.on_busy == OnBusy::Wait && wait(&listening, until) {
                    continue;
                }
                let why = format!("one of its runs is being worked on, by {who}");
                return answer::busy(session, &plan.job, exit, "job.locked", &why);
            }
        };
        if is_busy(&ended) {
            match asked.on_busy {
                OnBusy::Wait if wait(&listening, until) => continue,
                OnBusy::Skip | OnBusy::Wait => {}
                OnBusy::Fail => {
                    let (code, why) = busy_reason(&ended);
                    return answer::busy(session, &plan.job, Exit::Failed, &code, &why);
                }
            }
        }
        return answer::tell(session, &plan.job, &ended);
    }
}

/// Waits a little for somebody else; false if that is over.
fn wait(listening: &Listening, until: Option<Moment>) -> bool {
    if listening.interrupt.signal().is_some()
        || until.is_some_and(|until| listening.interrupt.clock().moment() >= until)
    {
        return false;
    }
    System.sleep_blocking(LOOK);
    true
}

/// Whether somebody else is at the very work.
fn is_busy(ended: &Ended) -> bool {
    let alive = || ended.run.as_ref().is_some_and(|run| run.body.code == stage::CHILD_ALIVE);
    match &ended.verdict {
        Verdict::Busy { .. } => true,
        Verdict::Ran | Verdict::Deferred { .. } => ended.starts == 0 && alive(),
        _ => false,
    }
}

fn busy_reason(ended: &Ended) -> (String, String) {
    match (&ended.verdict, &ended.run) {
        (Verdict::Ran | Verdict::Deferred { .. }, Some(run)) => (run.body.code.clone(), run.body.why.clone()),
        (verdict, _) => (verdict.code().to_owned(), verdict.to_string()),
    }
}

/// Where runs are kept.
struct Place {
    store: Arc<dyn Store>,
    /// Whether others will see them.
    kept: bool,
    /// Where processes of this machine have their locks, where the store is a file.
    locks: Option<PathBuf>,
}

impl Place {
    fn of(store: Arc<dyn Store>) -> Self {
        Self { store, kept: true, locks: None }
    }

    /// Where what a command reads lies, if it is too large for its run.
    fn inputs(&self) -> PathBuf {
        self.locks.clone().unwrap_or_else(shared::of_user).join("input")
    }
}

/// The store; where there is none and the command is to run all the same, one that nobody else will see.
fn open(session: &mut Session<'_, '_>, asked: &Exec) -> Result<Place, Stop> {
    if let (Home::Open(store), None) = (&session.host.home, &session.global.store) {
        return Ok(Place::of(Arc::clone(store)));
    }
    let failure = match session.opened(Need::Create) {
        Ok(Opened::Sqlite(store)) => {
            let locks = Some(shared::beside(store.path()));
            return Ok(Place { locks, ..Place::of(Arc::new(store)) });
        }
        Ok(Opened::Postgres(store, _)) => return Ok(Place::of(Arc::new(store))),
        Err(Stop::Failed(failure)) => *failure,
        Err(stop) => return Err(stop),
    };
    without_record(session, asked, failure)
}

/// A place that nobody else will see, for a store that failed so; or the failure, for a command that must not run then.
fn without_record(session: &mut Session<'_, '_>, asked: &Exec, failure: Failure) -> Result<Place, Stop> {
    if asked.when_down() == StoreDown::Refuse {
        let mut failure = failure;
        let also = "--store-down run would run the command without a record";
        failure.hint = Some(failure.hint.map_or_else(|| also.to_owned(), |hint| format!("{hint}; {also}")));
        return Err(failure.into());
    }
    note(session, format!("{}; the command runs without a record", failure.message), failure.hint);
    Ok(Place { kept: false, ..Place::of(Arc::new(Memory::new())) })
}

/// The hold of the job, in a store that takes nothing new and can still be read.
fn held(session: &Session<'_, '_>, place: &Place, job: &str) -> Option<Standing> {
    let (holds, subject) = (Holds::new(Arc::clone(&place.store)), Subject::job(job));
    let held = block_on(holds.check(&subject, session.now)).ok().flatten()?;
    Some(Standing { subject, switch: Switch::Hold, held })
}

/// What the job beats with, so that one that nobody declared is seen too.
fn pulse(
    session: &Session<'_, '_>,
    job: &str,
    place: &Place,
    expected: Option<Expected>,
) -> Result<Option<Pulse>, Stop> {
    if !place.kept {
        return Ok(None);
    }
    let config = session.config_or_none()?;
    let monitor = config.monitor_of(Arc::clone(&place.store), expected.map(|expected| (job, expected)))?;
    let pulse = monitor.pulse(job).map_err(|error| Failure::usage(error.to_string()))?;
    Ok(Some(pulse))
}

/// All that one call needs.
struct Front<'a> {
    plan: &'a Plan,
    place: &'a Place,
    pulse: Option<Pulse>,
    clock: Arc<dyn Clock>,
}

impl<'a> Front<'a> {
    const fn new(plan: &'a Plan, place: &'a Place, pulse: Option<Pulse>, clock: Arc<dyn Clock>) -> Self {
        Self { plan, place, pulse, clock }
    }

    /// The job, and what stands around its command.
    fn job(&self, hear: Option<Arc<Hear>>, output_max: usize) -> Result<(Job, Arc<Stage>), Failure> {
        let plan = self.plan;
        let own = Own {
            words: plan.words.clone(),
            verify: plan.verify.clone(),
            stdin: plan.stdin.clone(),
            secrets: plan.secrets.clone(),
            here: true,
            hear,
            output_max,
            pulse: self.pulse.clone(),
            clock: Wakeful(Interrupt::on(Arc::clone(&self.clock))),
        };
        let stage = Stage::new(&plan.job, &plan.form, own, &self.place.store).map_err(Failure::usage)?;
        let stage = Arc::new(stage);
        let deadline = plan.deadline().map(|limit| later(self.clock.now().wall, limit));
        let job = job::of(&plan.job, &plan.form, &stage, self.pulse.clone(), deadline);
        Ok((job.map_err(Failure::usage)?, stage))
    }

    /// Runs it, in front.
    fn run(&self, session: &mut Session<'_, '_>, asked: &Exec, listening: &Listening) -> Result<Ended, Stop> {
        let json = session.json();
        let through = match (asked.quiet_ok, json) {
            (true, _) => Through::Nowhere,
            (false, true) => Through::Stderr,
            (false, false) => Through::Both,
        };
        let output_max = if asked.quiet_ok { HELD_BACK_MAX } else { OUTPUT_MAX };
        let done = front::with_output(session.io, through, |hear| -> Result<_, Failure> {
            let (job, stage) = self.job(hear, output_max)?;
            let mut doubtful = Vec::new();
            let result = self.work(&job, &mut doubtful, listening);
            Ok(Done { result, doubtful, stage })
        })??;
        for run in &done.doubtful {
            let what = format!("run {} of {} was cut in the middle, and needs a person", run.id(), run.job());
            note(session, what, Some(format!("`{} explain {}` says more", session.program(), run.id())));
        }
        let (starts, last) = (done.stage.starts(), done.stage.last());
        let (run, verdict) = match done.result {
            Ok(done) => done,
            // The command ran: its exit code is the answer all the same.
            Err(error) if starts > 0 => {
                let what = format!("the command ran, and how it ended could not be recorded: {error}");
                note(session, what, None);
                (None, Verdict::Ran)
            }
            Err(jobs::Error::Runs(error)) => return Err(session.failed(&error.into()).into()),
            Err(error) => return Err(Failure::usage(error.to_string()).into()),
        };
        if asked.quiet_ok && starts > 0 && last.code != Some(0) {
            front::show(session.io, &last, json);
        }
        let signal = listening.interrupt.signal();
        Ok(Ended { run, kept: self.place.kept, verdict, starts, last, signal })
    }

    /// On the thread that waits for the command.
    fn work(
        &self,
        job: &Job,
        doubtful: &mut Vec<Run>,
        listening: &Listening,
    ) -> Result<(Option<Run>, Verdict), jobs::Error> {
        let (store, form, sent) = (&self.place.store, &self.plan.form, &listening.interrupt);
        if form.key.is_none() && self.place.kept {
            let found = outstanding::of(store, &self.plan.job, form)?;
            for cut in found.cut {
                // Taken over, an effect that must not be repeated is a question for a person.
                doubtful.extend(job.resume_in_front(store, &cut, sent)?);
            }
            if let Some(run) = found.same
                && let Some(run) = job.resume_in_front(store, &run, sent)?
            {
                return Ok((Some(run), Verdict::Ran));
            }
        }
        let report = job.run_in_front(store, &Stored { exec: form.clone() }, sent)?;
        Ok((report.run, report.verdict))
    }
}

/// What the thread that waited for the command has seen.
struct Done {
    result: Result<(Option<Run>, Verdict), jobs::Error>,
    /// Earlier runs that were found to have been cut in the middle.
    doubtful: Vec<Run>,
    stage: Arc<Stage>,
}

/// Removes what commands were to report in whose supervisors were killed.
pub(super) fn clear_reports(session: &Session<'_, '_>) {
    let now = session.host.clock.now().wall;
    // A command that ran without a record has it in the user's own folder.
    for folder in [session.shared_folder().ok(), Some(shared::of_user())].into_iter().flatten() {
        pipeline::command::clear_reports(&folder, now);
    }
}

/// Says something to whoever reads stderr; where nobody does, nothing is lost.
fn note(session: &mut Session<'_, '_>, message: String, hint: Option<String>) {
    let said = Failure { hint, ..Failure::new(Exit::Failed, "", message) };
    drop(session.io.err.write_all(said.human(&session.host.program).as_bytes()));
}
