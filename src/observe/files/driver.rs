//! What both ways to look at a tree have in common: a judge, and the state that was judged last.

use crate::base::time::Now;
use crate::decide::intent::{Due, Hint, Intent, Judge, Policy, Root, State};
use crate::observe::files::scan::Walked;
use crate::observe::files::{Error, Scan};

#[derive(Debug)]
pub(super) struct Driver {
    pub(super) scan: Scan,
    pub(super) judge: Judge,
    /// What was judged last.
    base: State,
    /// What was seen last, if it is something else.
    seen: Option<State>,
}

impl Driver {
    /// Begins with what is there now.
    pub(super) fn start(scan: Scan, policy: Policy, walked: Walked) -> Result<Self, Error> {
        let (judge, state, path) = (Judge::new(policy)?, walked.state, scan.root().to_owned());
        if !matches!(state.root(), Root::Folder(_)) {
            return Err(Error::NoFolder { path });
        }
        if let Some(allowed) = state.cut_at() {
            return Err(Error::TooMany { path, allowed });
        }
        Ok(Self { scan, judge, base: state, seen: None })
    }

    /// Begins with what was there some time ago.
    pub(super) fn start_from(scan: Scan, policy: Policy, base: State) -> Result<Self, Error> {
        Ok(Self { scan, judge: Judge::new(policy)?, base, seen: None })
    }

    /// Takes in what was found by looking, without having been told that anything happened.
    pub(super) fn compare(&mut self, state: &State, now: Now) {
        if !self.seen.as_ref().unwrap_or(&self.base).is_like(state) {
            self.judge.observe(Hint::Changed, now);
        }
    }

    /// Keeps what was found for the next comparison, where it is not judged yet.
    pub(super) fn keep(&mut self, state: State) {
        self.seen = Some(state).filter(|state| !self.base.is_like(state));
    }

    pub(super) fn is_due(&self, now: Now) -> bool {
        matches!(self.judge.due(now), Due::Now { .. })
    }

    /// Says what has happened until `state`.
    pub(super) fn settle(&mut self, state: State, now: Now) -> Intent {
        let intent = self.judge.judge(&self.base, &state, now);
        self.base = std::mem::take(&mut self.base).followed_by(state);
        self.seen = None;
        intent
    }

    pub(super) const fn base(&self) -> &State {
        &self.base
    }
}
