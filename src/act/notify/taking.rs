//! Runs that ended with a person and were not told, and alerts that are over since their runs are well.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::act::notify::kept::Known;
use crate::act::notify::{Alerts, Error, Signal};
use crate::base::fault::Severity;
use crate::base::time::{Now, Timestamp};
use crate::decide::alert::{Decision, Kind, Subject};
use crate::decide::run::State;
use crate::remember::runs::{Filter, OUTPUT, Run, Runs};
use crate::remember::snapshots::{Saved, Snapshots};
use crate::remember::store::{Cursor, PAGE_MAX};

/// Where it is kept how far the runs that did not fit in the first page were looked through.
const CURSOR: &str = "alert-runs";
/// So many pages are looked through after the first.
const PAGES_MAX: u32 = 4;
/// So many events are read for an output: each stream may have its own, and others may stand between them.
const OUTPUTS_READ: u32 = 8;
/// Of so many of the last runs of a job that succeeded is looked when they did.
const SUCCEEDED: u32 = 5;

/// What taking in the runs has found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TakenIn {
    /// So many runs were raised.
    pub raised: u32,
    /// So many of them are to be paged at once.
    pub paged: u32,
    /// So many alerts are well again.
    pub healthy: u32,
}

/// What a program wrote, as an event beside its run has it.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Output {
    stdout: Option<String>,
    stderr: Option<String>,
}

impl Output {
    /// Its last lines; those of both streams where both were written to.
    fn tail(&self) -> String {
        let of = |stream: &Option<String>| {
            stream.as_deref().map(str::trim_end).filter(|text| !text.is_empty()).map(str::to_owned)
        };
        match (of(&self.stdout), of(&self.stderr)) {
            (None, None) => String::new(),
            (Some(one), None) | (None, Some(one)) => last_lines(&one, Signal::TAIL_MAX).to_owned(),
            (Some(out), Some(err)) => {
                let max = Signal::TAIL_MAX / 2 - 16;
                format!("stdout:\n{}\nstderr:\n{}", last_lines(&out, max), last_lines(&err, max))
            }
        }
    }
}

/// At most the last `max` bytes: whole lines, unless the last one alone is longer.
fn last_lines(text: &str, max: usize) -> &str {
    let mut from = text.len().saturating_sub(max);
    while !text.is_char_boundary(from) {
        from = from.saturating_add(1);
    }
    let end = text.get(from..).unwrap_or_default();
    if from == 0 || text.get(..from).is_some_and(|before| before.ends_with('\n')) {
        return end;
    }
    end.split_once('\n').map_or(end, |(_, lines)| lines)
}

#[derive(Serialize, Deserialize)]
struct SavedCursor {
    v: u32,
    next: Option<String>,
}

impl Alerts {
    pub(super) async fn look_through_runs(&self, now: Now) -> Result<TakenIn, Error> {
        let mut taken = TakenIn::default();
        let next = self.raise_page(None, now, &mut taken).await?;
        if let Some(second) = next {
            self.raise_deeper(second, now, &mut taken).await?;
        }
        for known in self.open_alerts().await? {
            if let Some(at) = self.well_since(&known, now.wall).await?
                && self.heal(&known.id, at).await?
            {
                taken.healthy = taken.healthy.saturating_add(1);
            }
        }
        Ok(taken)
    }

    /// Where there are more than a page of them, each call goes on where the last one was.
    async fn raise_deeper(&self, second: Cursor, now: Now, taken: &mut TakenIn) -> Result<(), Error> {
        let snapshots = Snapshots::new(Arc::clone(&self.inner.store));
        let found = snapshots.load::<SavedCursor>(CURSOR).await?;
        let saved = found.as_ref().and_then(|found| found.value.next.clone());
        let mut at = Some(saved.map_or(second, Cursor));
        for _ in 0..PAGES_MAX {
            let Some(cursor) = at.take() else { break };
            at = self.raise_page(Some(cursor), now, taken).await?;
        }
        let next = SavedCursor { v: 1, next: at.map(|Cursor(at)| at) };
        let version = found.map(|found| found.version);
        // Who was faster has looked through the same.
        let (Saved::Done(_) | Saved::Raced) = snapshots.save(CURSOR, "alert.cursor", &next, version).await?;
        Ok(())
    }

    async fn raise_page(
        &self,
        cursor: Option<Cursor>,
        now: Now,
        taken: &mut TakenIn,
    ) -> Result<Option<Cursor>, Error> {
        let filter = Filter {
            states: vec![State::FailedPermanent, State::NeedsReview],
            reviewed: Some(false),
            ..Filter::default()
        };
        let (runs, next) = self.runs().list(&filter, PAGE_MAX, cursor).await?;
        for run in &runs {
            match self.raise_run(run, now).await? {
                None | Some(Decision::Nothing) => {}
                Some(decision) => {
                    taken.raised = taken.raised.saturating_add(1);
                    let paged = matches!(decision, Decision::Page(_));
                    taken.paged = taken.paged.saturating_add(u32::from(paged));
                }
            }
        }
        Ok(next)
    }

    /// Raises a run, if it ended with a person, and marks it in the same commit.
    pub(super) async fn raise_run(&self, run: &Run, now: Now) -> Result<Option<Decision>, Error> {
        if !run.is_dead_letter() || run.is_told() {
            return Ok(None);
        }
        let told = run.told("a person is told of it, or it is listed, as the rule of its alert says");
        let tail = self.output_of(run).await;
        self.raise_with(&signal_of(run, &tail), Some(&told), now).await.map(Some)
    }

    /// The end of what the run's program wrote, where that is kept. An alert without it is better than none.
    async fn output_of(&self, run: &Run) -> String {
        let Some(at) = run.body.output_at else { return String::new() };
        let events = self.runs().history(run.id(), at.saturating_sub(1), OUTPUTS_READ).await;
        let mut all = Output::default();
        for event in events.unwrap_or_default() {
            let data = event.event.data.as_deref().filter(|_| event.event.code == OUTPUT);
            let one = data.and_then(|data| serde_json::from_str::<Output>(data).ok()).unwrap_or_default();
            all.stdout = one.stdout.or(all.stdout);
            all.stderr = one.stderr.or(all.stderr);
        }
        all.tail()
    }

    /// Since when what an alert tells is well, as far as its runs say so.
    async fn well_since(&self, known: &Known, now: Timestamp) -> Result<Option<Timestamp>, Error> {
        let kind = known.alert.kind();
        let (Subject::Job(job), Some(last)) = (&known.kept.subject, known.alert.last()) else {
            return Ok(None);
        };
        if !known.alert.is_healed_by(now.max(last)) || !(kind.heals_by_success() || kind == Kind::NeedsReview)
        {
            return Ok(None);
        }
        let of = |states: &[State]| Filter {
            states: states.to_vec(),
            job: Some(job.clone()),
            ..Filter::default()
        };
        if kind.heals_by_success() {
            let (runs, _) = self.runs().list(&of(&[State::Succeeded]), SUCCEEDED, None).await?;
            let at = runs.iter().filter_map(|run| run.body.finished_at).max();
            if at.is_some_and(|at| at >= last) {
                return Ok(at);
            }
        }
        let waiting = Filter {
            code: Some(known.kept.code.clone()),
            reviewed: Some(false),
            ..of(&[State::FailedPermanent, State::NeedsReview])
        };
        let (left, _) = self.runs().list(&waiting, 1, None).await?;
        // What was raised by hand has no run that could say that it is well.
        Ok((left.is_empty() && known.kept.run.is_some()).then(|| now.max(last)))
    }

    fn runs(&self) -> Runs {
        Runs::new(Arc::clone(&self.inner.store))
    }
}

/// What is to be said of a run that ended with a person.
fn signal_of(run: &Run, tail: &str) -> Signal {
    let fault = run.body.faults.last();
    let kind = match run.state() {
        State::NeedsReview => Kind::NeedsReview,
        _ if fault.is_some_and(|fault| fault.severity == Severity::Fatal) => Kind::Fatal,
        _ => Kind::DeadLetter,
    };
    let at = run.body.finished_at.unwrap_or(run.record.updated_at);
    let (subject, body) = (Subject::job(run.job()), &run.body);
    let (why, tail) = (body.safe(&body.why).into_owned(), body.safe(tail));
    Signal::new(subject, kind, body.code.clone(), why, at).run(run.id()).tail(&tail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tail_has_whole_lines_and_says_of_which_stream_it_is_where_there_are_two() {
        let of = |stdout: Option<&str>, stderr: Option<&str>| {
            Output { stdout: stdout.map(str::to_owned), stderr: stderr.map(str::to_owned) }.tail()
        };
        assert_eq!(of(None, None), "");
        assert_eq!(of(Some("a\nb\n"), None), "a\nb");
        assert_eq!(of(Some(" \n"), Some("e1\ne2\n")), "e1\ne2");
        assert_eq!(of(Some("a\n"), Some("e1\ne2\n")), "stdout:\na\nstderr:\ne1\ne2");
        let long = "0123456789\n".repeat(1000);
        let tail = of(Some(&long), Some(&long));
        assert!(
            tail.len() <= Signal::TAIL_MAX && tail.lines().all(|line| [7, 10].contains(&line.len())),
            "{tail}"
        );
        assert_eq!(of(None, Some(&"é".repeat(5000))).len(), Signal::TAIL_MAX);
    }
}
