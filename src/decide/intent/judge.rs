//! When it is time to compare two states, and what the difference is called.

use crate::base::text;
use crate::base::time::{Moment, Now};
use crate::decide::intent::policy::{Error, Policy};
use crate::decide::intent::reason::{Calm, Ended, Intent, Lost, Mass};
use crate::decide::intent::state::State;

/// How many tools may have announced themselves at the same time.
const TOOLS_MAX: usize = 64;
/// How often the wait for an overflow that tells nothing is doubled.
const DOUBLED_MAX: u32 = 6;

/// Something happened in the tree, or to whoever watches it. What and where does not matter: the states tell that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hint {
    /// Something was written, created, renamed or removed somewhere.
    Changed,
    /// Events were lost: the kernel's queue was full.
    Overflow,
    /// The source of events fails, and may not tell of further changes.
    Trouble(Trouble),
}

/// How a source of events fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Trouble {
    /// The system allows no more watches.
    WatchLimit,
    /// Something else.
    Broken,
}

/// Whether two states are to be compared.
#[must_use]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Due {
    /// Nothing has happened.
    Idle,
    /// Not yet.
    Later {
        /// When, if nothing more happens.
        at: Moment,
    },
    /// Now: take a state and give it to [`Judge::judge`].
    Now {
        /// Why.
        why: Ended,
    },
}

/// A tool that has announced itself; given back to [`Judge::end_bulk`].
#[must_use = "a tool that does not say that it has ended is waited for until `announced_max`"]
#[derive(Debug, PartialEq, Eq)]
pub struct Token(u64);

/// What became of an announcement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closing {
    /// It was the last one: what has changed is judged after the quiet.
    Last,
    /// Other tools are still at work.
    Others {
        /// How many.
        left: usize,
    },
    /// It was waited for no longer: the tool took longer than [`Policy::announced_max`], and what had changed by then may have been
    /// judged.
    Late,
}

/// Decides when two states of a tree are to be compared, and what their difference is called.
#[derive(Debug)]
pub struct Judge {
    policy: Policy,
    window: Option<Window>,
    hold: Option<Hold>,
    /// How many judgements in a row were asked for by overflows alone and have found nothing.
    empty_overflows: u32,
    tokens: u64,
}

/// What was hinted since the last judgement.
#[derive(Clone, Copy, Debug)]
struct Window {
    first: Moment,
    last: Moment,
    changed: bool,
    overflows: u64,
    trouble: Option<Trouble>,
}

/// Tools that have announced themselves.
#[derive(Debug)]
struct Hold {
    since: Moment,
    /// The first of them.
    name: String,
    open: Vec<u64>,
}

impl Judge {
    /// A judge by `policy`, to which nothing has happened yet.
    ///
    /// # Errors
    ///
    /// [`Error::Field`] for a policy that makes no sense.
    pub fn new(policy: Policy) -> Result<Self, Error> {
        policy.check()?;
        Ok(Self { policy, window: None, hold: None, empty_overflows: 0, tokens: 0 })
    }

    /// The policy.
    #[must_use]
    pub const fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Takes in that something happened.
    pub fn observe(&mut self, hint: Hint, now: Now) {
        let now = now.moment;
        let fresh = Window { first: now, last: now, changed: false, overflows: 0, trouble: None };
        let window = self.window.get_or_insert(fresh);
        window.last = window.last.max(now);
        match hint {
            Hint::Changed => window.changed = true,
            Hint::Overflow => window.overflows = window.overflows.saturating_add(1),
            Hint::Trouble(trouble) => window.trouble = Some(trouble),
        }
    }

    /// Whether two states are to be compared now.
    pub fn due(&self, now: Now) -> Due {
        match self.planned() {
            None => Due::Idle,
            Some((at, _)) if now.moment < at => Due::Later { at },
            Some((_, why)) => Due::Now { why },
        }
    }

    /// When [`due`](Self::due) is to be asked again, if nothing more happens before.
    #[must_use]
    pub fn next_wake(&self) -> Option<Moment> {
        self.planned().map(|(at, _)| at)
    }

    /// Names the difference between the state that was judged last and the one that is, and begins anew.
    ///
    /// The next one is compared with `before.followed_by(after)`: see [`State::followed_by`]. It may be called at any time; what was
    /// hinted before is settled by it.
    pub fn judge(&mut self, before: &State, after: &State, now: Now) -> Intent {
        let announced = self.settle_hold(now.moment);
        let window = self.window.take();
        let lost = window.and_then(|window| window.lost());
        let overflow_alone = window.is_some_and(|window| window.is_overflow_alone());
        let intent = self.policy.judge_as(before, after, lost, announced);
        let found_nothing = matches!(
            &intent,
            Intent::Resync { why: Lost::Overflow { .. }, found } if matches!(**found, Intent::Nothing(_))
        );
        if !(overflow_alone && found_nothing) {
            self.empty_overflows = 0;
            return intent;
        }
        self.empty_overflows = self.empty_overflows.saturating_add(1);
        if self.empty_overflows == 1 {
            return intent;
        }
        // Whoever reads a tree of more folders than the kernel's queue has room for, such as who takes these very states,
        // floods it each time: that is no reason to do everything anew each time.
        Intent::Nothing(Calm::OverflowAgain { times: self.empty_overflows })
    }

    /// A tool says that it is about to change much: nothing is judged until it [has ended](Self::end_bulk), and whatever has changed
    /// then is one bulk change. Several may overlap; they are waited for together, by the time of the first.
    ///
    /// # Errors
    ///
    /// [`Error::TooManyAnnounced`] for more than 64 at the same time.
    pub fn begin_bulk(&mut self, name: &str, now: Now) -> Result<Token, Error> {
        let (now, announced_max) = (now.moment, self.policy.announced_max);
        let overdue = self.hold.as_ref().is_some_and(|hold| now.since(hold.since) >= announced_max);
        if overdue {
            // Judged with what this tool does: nobody has asked in between.
            self.hold = None;
        }
        let first = || Hold { since: now, name: text::shortened(name, 100), open: Vec::new() };
        let hold = self.hold.get_or_insert_with(first);
        if hold.open.len() >= TOOLS_MAX {
            return Err(Error::TooManyAnnounced { given: hold.open.len() + 1, allowed: TOOLS_MAX });
        }
        self.tokens = self.tokens.wrapping_add(1);
        hold.open.push(self.tokens);
        Ok(Token(self.tokens))
    }

    /// The tool has ended. What it did last may still be on its way, so it is judged after the quiet.
    #[allow(clippy::needless_pass_by_value, reason = "a tool ends once")]
    pub fn end_bulk(&mut self, token: Token, now: Now) -> Closing {
        let announced_max = self.policy.announced_max;
        let Some(hold) = self.hold.as_mut() else { return Closing::Late };
        let Some(at) = hold.open.iter().position(|open| *open == token.0) else { return Closing::Late };
        hold.open.swap_remove(at);
        let late = now.moment.since(hold.since) >= announced_max;
        if !hold.open.is_empty() {
            return if late { Closing::Late } else { Closing::Others { left: hold.open.len() } };
        }
        // The longest wait counts from here.
        if let Some(window) = &mut self.window {
            window.first = now.moment;
        }
        self.observe(Hint::Changed, now);
        if late {
            return Closing::Late;
        }
        Closing::Last
    }

    /// When the next judgement is due if nothing more happens, and why then.
    fn planned(&self) -> Option<(Moment, Ended)> {
        let Policy { quiet, longest_wait, announced_max, .. } = self.policy;
        if let Some(hold) = self.hold.as_ref().filter(|hold| !hold.open.is_empty()) {
            return Some((hold.since.after(announced_max), Ended::Overdue { announced_max }));
        }
        let window = self.window?;
        if window.is_overflow_alone() && self.empty_overflows > 0 {
            let doubled = 1_u32 << (self.empty_overflows - 1).min(DOUBLED_MAX);
            let wait = longest_wait.saturating_mul(doubled);
            return Some((window.first.after(wait), Ended::LongestWait { longest_wait: wait }));
        }
        let (quiet_at, last_at) = (window.last.after(quiet), window.first.after(longest_wait));
        Some(if quiet_at <= last_at {
            (quiet_at, Ended::Quiet { quiet })
        } else {
            (last_at, Ended::LongestWait { longest_wait })
        })
    }

    /// Ends the announcement if it has come to its end, and says what the change is by it.
    fn settle_hold(&mut self, now: Moment) -> Option<Mass> {
        let announced_max = self.policy.announced_max;
        let hold = self.hold.take()?;
        let name = hold.name.clone();
        if hold.open.is_empty() {
            return Some(Mass::Announced { name });
        }
        if now.since(hold.since) >= announced_max {
            return Some(Mass::Overdue { name, announced_max });
        }
        self.hold = Some(hold);
        Some(Mass::Announced { name })
    }
}

impl Window {
    fn lost(&self) -> Option<Lost> {
        match self.trouble {
            Some(Trouble::WatchLimit) => Some(Lost::WatchLimit),
            Some(Trouble::Broken) => Some(Lost::SourceBroken),
            None => (self.overflows > 0).then_some(Lost::Overflow { times: self.overflows }),
        }
    }

    const fn is_overflow_alone(&self) -> bool {
        self.overflows > 0 && !self.changed && self.trouble.is_none()
    }
}
