//! The state of one identity.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::base::time::{Timestamp, between, forward, later};
use crate::decide::alert::policy::Policy;
use crate::decide::alert::reason::{Decision, Paging, Recording, Resolving, Suppressing};

/// What has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Kind {
    /// A run has failed for good.
    DeadLetter,
    /// A run asks a person.
    NeedsReview,
    /// A job is silent, or a monitor found something else that is not as it should be.
    Overdue,
    /// What is supervised is given up.
    Escalated,
    /// A run failed in a way that endangers more than itself.
    Fatal,
    /// More fails than usual, or is slower.
    Trend,
    /// What is logged is other than it was.
    RegimeChange,
    /// A credential is refused.
    CredentialRefused,
    /// Something that the application itself found.
    Reported,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::DeadLetter,
        Self::NeedsReview,
        Self::Overdue,
        Self::Escalated,
        Self::Fatal,
        Self::Trend,
        Self::RegimeChange,
        Self::CredentialRefused,
        Self::Reported,
    ];

    /// As a word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DeadLetter => "dead_letter",
            Self::NeedsReview => "needs_review",
            Self::Overdue => "overdue",
            Self::Escalated => "escalated",
            Self::Fatal => "fatal",
            Self::Trend => "trend",
            Self::RegimeChange => "regime_change",
            Self::CredentialRefused => "credential_refused",
            Self::Reported => "reported",
        }
    }

    /// Whether something says so when it is well again; if not it is over by time alone.
    #[must_use]
    pub const fn expects_sign(self) -> bool {
        match self {
            Self::DeadLetter
            | Self::NeedsReview
            | Self::Overdue
            | Self::Fatal
            | Self::Trend
            | Self::CredentialRefused => true,
            Self::Escalated | Self::RegimeChange | Self::Reported => false,
        }
    }

    /// Whether a success of the job is such a sign. A run that asks a person still asks after it, and a trend or a monitor says
    /// itself when it has recovered.
    #[must_use]
    pub const fn heals_by_success(self) -> bool {
        matches!(self, Self::DeadLetter | Self::Fatal)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// When the dead letters of a job are paged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// The first one is.
    First,
    /// A dead letter alone is recorded and listed; that there are more than usual is paged.
    #[default]
    Trend,
    /// Nothing of the job is paged, whatever it is.
    Never,
}

impl Rule {
    /// As a word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Trend => "trend",
            Self::Never => "never",
        }
    }

    /// Whether something of this kind is paged.
    #[must_use]
    pub const fn pages(self, kind: Kind) -> bool {
        match self {
            Self::First => true,
            Self::Trend => !matches!(kind, Kind::DeadLetter),
            Self::Never => false,
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Rule {
    type Err = crate::decide::alert::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::First, Self::Trend, Self::Never].into_iter().find(|rule| rule.as_str() == text).ok_or_else(
            || crate::decide::alert::Error::Field {
                field: "rule",
                given: text.chars().take(100).collect(),
                allowed: String::from("first, trend or never"),
            },
        )
    }
}

/// How an alert stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It goes wrong.
    Open,
    /// Somebody sees to it.
    Acknowledged,
    /// It is over.
    Resolved,
}

impl State {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Open, Self::Acknowledged, Self::Resolved];

    /// As a word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Acknowledged => "acknowledged",
            Self::Resolved => "resolved",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// That somebody sees to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acked {
    /// When that was said.
    pub at: Timestamp,
    /// Until when it holds; without an end, until it is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// The state of one identity; see the [module](crate::decide::alert).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    pub(super) kind: Kind,
    pub(super) state: State,
    /// When it was opened, and when it last happened; none until it did.
    pub(super) seen: Option<(Timestamp, Timestamp)>,
    pub(super) count: u64,
    /// What has happened since the last page, or was not paged at all.
    pub(super) untold: u64,
    /// How often it was paged since it was opened, and when last.
    pub(super) paged: u32,
    pub(super) paged_at: Option<Timestamp>,
    pub(super) healthy_at: Option<Timestamp>,
    pub(super) acked: Option<Acked>,
}

impl Alert {
    /// Of an identity of which nothing has happened.
    #[must_use]
    pub const fn new(kind: Kind) -> Self {
        Self {
            kind,
            state: State::Resolved,
            seen: None,
            count: 0,
            untold: 0,
            paged: 0,
            paged_at: None,
            healthy_at: None,
            acked: None,
        }
    }

    /// It happened at `at`, which is heard of at `wall`.
    pub fn occurred(&mut self, policy: &Policy, rule: Rule, at: Timestamp, wall: Timestamp) -> Decision {
        let now = self.clamped(wall);
        let at = at.min(now);
        if self.state == State::Resolved {
            *self = Self { state: State::Open, ..Self::new(self.kind) };
        }
        self.seen = Some(self.seen.map_or((at, at), |(since, last)| (since, last.max(at))));
        self.count = self.count.saturating_add(1);
        self.untold = self.untold.saturating_add(1);
        self.end_ack(now);
        if !rule.pages(self.kind) {
            return Decision::Recorded(Recording { rule, count: self.count });
        }
        self.page_if_due(policy, now)
    }

    /// Something says that it was well at that instant. One from before it last happened says nothing of that.
    pub fn healthy(&mut self, at: Timestamp) {
        self.healthy_at = self.healthy_at.max(Some(at));
    }

    /// Whether a sign of health from `at` says something new: that it was well after it last happened.
    #[must_use]
    pub fn is_healed_by(&self, at: Timestamp) -> bool {
        let happened = self.last();
        happened.is_some_and(|last| at >= last && self.healthy_at.is_none_or(|healthy| healthy < last))
    }

    /// Somebody sees to it, until `until`, or until it is over. False if it is over already.
    pub fn ack(&mut self, until: Option<Timestamp>, wall: Timestamp) -> bool {
        if self.state == State::Resolved {
            return false;
        }
        self.state = State::Acknowledged;
        self.acked = Some(Acked { at: self.clamped(wall), until });
        true
    }

    /// Time has passed.
    pub fn pass(&mut self, policy: &Policy, rule: Rule, wall: Timestamp) -> Decision {
        if self.state == State::Resolved {
            return Decision::Nothing;
        }
        let now = self.clamped(wall);
        if let Some(resolving) = self.resolving(policy, now) {
            self.state = State::Resolved;
            self.acked = None;
            return Decision::Resolved(resolving);
        }
        self.end_ack(now);
        if self.untold == 0 || !rule.pages(self.kind) {
            return Decision::Nothing;
        }
        match self.page_if_due(policy, now) {
            Decision::Suppressed(_) => Decision::Nothing,
            decision => decision,
        }
    }

    /// What it is.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// How it stands.
    #[must_use]
    pub const fn state(&self) -> State {
        self.state
    }

    /// Since when it goes on; none if it never happened.
    #[must_use]
    pub fn since(&self) -> Option<Timestamp> {
        self.seen.map(|(since, _)| since)
    }

    /// When it last happened.
    #[must_use]
    pub fn last(&self) -> Option<Timestamp> {
        self.seen.map(|(_, last)| last)
    }

    /// How often it has happened since.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// How often it was paged since.
    #[must_use]
    pub const fn paged(&self) -> u32 {
        self.paged
    }

    /// That somebody sees to it, while that holds.
    #[must_use]
    pub const fn acked(&self) -> Option<Acked> {
        self.acked
    }

    fn page_if_due(&mut self, policy: &Policy, now: Timestamp) -> Decision {
        if self.state == State::Acknowledged {
            let until = self.acked.and_then(|acked| acked.until);
            return Decision::Suppressed(Suppressing::Acknowledged { until, count: self.untold });
        }
        if let Some(at) = self.paged_at {
            let until = later(at, policy.again(self.paged));
            if now < until {
                return Decision::Suppressed(Suppressing::Paged { until, count: self.untold });
            }
        }
        let (count, since) = (self.count, self.since().unwrap_or(now));
        let paging = match self.paged {
            0 => Paging::First,
            paged => Paging::Again { paged, since, count, untold: self.untold },
        };
        self.paged = self.paged.saturating_add(1);
        self.paged_at = Some(now);
        self.untold = 0;
        Decision::Page(paging)
    }

    fn resolving(&self, policy: &Policy, now: Timestamp) -> Option<Resolving> {
        let (since, last) = self.seen?;
        let quiet = between(last, now);
        let well = !self.kind.expects_sign() || self.healthy_at.is_some_and(|healthy| healthy >= last);
        (well && quiet >= policy.healthy_for).then_some(Resolving {
            since,
            last,
            quiet,
            count: self.count,
            paged: self.paged,
        })
    }

    fn end_ack(&mut self, now: Timestamp) {
        let over = self.acked.is_some_and(|acked| acked.until.is_some_and(|until| until <= now));
        if over {
            self.acked = None;
            self.state = State::Open;
        }
    }

    /// The wall clock, which does not go back behind what was seen.
    fn clamped(&mut self, wall: Timestamp) -> Timestamp {
        let now = forward(self.last().max(self.paged_at).max(self.acked.map(|acked| acked.at)), wall);
        // What a clock said that was far ahead would hold everything up until then.
        if let Some((since, last)) = &mut self.seen {
            *last = (*last).min(now);
            *since = (*since).min(now);
        }
        for at in [&mut self.paged_at, &mut self.healthy_at].into_iter().flatten() {
            *at = (*at).min(now);
        }
        now
    }
}
