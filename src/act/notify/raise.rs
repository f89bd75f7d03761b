//! What happens to one alert: it is raised, well again, acknowledged. Each by compare-and-set, with its event.

use std::collections::HashSet;
use std::sync::PoisonError;
use std::time::Duration;

use crate::act::notify::kept::{HELD_BACK, Known, QUIET, TRIES_MAX, UNSENT, id_of};
use crate::act::notify::outbox::{Outbox, Says};
use crate::act::notify::{Alerts, Entry, Error, Sign, Signal};
use crate::act::runlog;
use crate::base::explain::Explain;
use crate::base::redact::{Names, Redact};
use crate::base::text::second;
use crate::base::time::{Now, Timestamp};
use crate::decide::alert::{Decision, State, Subject};
use crate::remember::store::{self, Event, Pages, Write};

/// Who writes what nobody in particular does.
pub(super) const ACTOR: &str = "alerts";
/// How old it may be what is known of open alerts, where a success asks.
const OPEN_FRESH: Duration = Duration::from_secs(5);

impl Alerts {
    /// Raises a signal, in one commit with another write.
    pub(super) async fn raise_with(
        &self,
        signal: &Signal,
        with: Option<&Write>,
        now: Now,
    ) -> Result<Decision, Error> {
        let signal = redacted(signal);
        let id = id_of(&signal.subject, &signal.code);
        for _ in 0..TRIES_MAX {
            let known = self.load(&id).await?.unwrap_or_else(|| Known::new(&signal));
            let (decision, write) = self.raising(known, &signal, now.wall)?;
            let writes = std::iter::once(write).chain(with.cloned()).collect();
            if self.apply(writes).await? {
                self.raised(&signal, &decision);
                return Ok(decision);
            }
            if let Some(with) = with
                && self.has_moved(with).await?
            {
                // Whoever has written what goes with it has raised it too, or it is no longer so.
                return Ok(Decision::Nothing);
            }
        }
        Err(Error::Raced { id })
    }

    /// Raises what stands, unless it does already.
    pub(super) async fn raise_standing(&self, signal: &Signal, now: Now) -> Result<Decision, Error> {
        let id = id_of(&signal.subject, &signal.code);
        for _ in 0..TRIES_MAX {
            let known = self.load(&id).await?;
            if known.as_ref().is_some_and(|known| known.alert.state() != State::Resolved) {
                return Ok(Decision::Nothing);
            }
            let signal = redacted(signal);
            let (decision, write) =
                self.raising(known.unwrap_or_else(|| Known::new(&signal)), &signal, now.wall)?;
            if self.apply(vec![write]).await? {
                self.raised(&signal, &decision);
                return Ok(decision);
            }
        }
        Err(Error::Raced { id })
    }

    fn raising(
        &self,
        mut known: Known,
        signal: &Signal,
        now: Timestamp,
    ) -> Result<(Decision, Write), store::Error> {
        let before = known.version.is_some().then(|| known.alert.state());
        let about = self.about(&signal.subject);
        known.learn(about);
        known.heard(signal);
        let rule = known.rule(about);
        let decision = known.alert.occurred(&self.inner.policy, rule, signal.at, now);
        if known.alert.state() != State::Acknowledged {
            known.kept.acked_by = None;
        }
        if matches!(decision, Decision::Page(_)) {
            known.kept.page = Some(Outbox::new(Says::Wrong, now));
        }
        // What is only counted has no event, or ten thousand of them would stand there.
        let opened = before != Some(known.alert.state()) || matches!(decision, Decision::Page(_));
        let event = opened.then(|| {
            let why = format!("{}: {}; {decision}", signal.code, signal.why);
            let to = known.alert.state().as_str();
            Event::new(before.map(State::as_str), to, ACTOR, decision.code(), why)
        });
        let write = known.write(event)?;
        Ok((decision, write))
    }

    fn raised(&self, signal: &Signal, decision: &Decision) {
        *self.inner.open.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let subject = signal.subject.to_string();
        runlog::alert(&subject, signal.kind.as_str(), decision.code(), &signal.code, &signal.why);
    }

    async fn has_moved(&self, write: &Write) -> Result<bool, store::Error> {
        let found = self.inner.store.get(write.ns, &write.key).await?;
        Ok(!write.expect.holds(found.as_ref()))
    }

    /// Something is well.
    pub(super) async fn well(&self, subject: &Subject, sign: Sign<'_>, now: Now) -> Result<usize, Error> {
        let ids = match sign {
            Sign::Code(code) => vec![id_of(subject, code)],
            Sign::Success | Sign::Kind(_) => {
                if sign == Sign::Success && !self.may_heal(subject, now).await? {
                    return Ok(0);
                }
                let open = self.open_alerts().await?;
                let heals = |known: &Known| match sign {
                    Sign::Success => known.alert.kind().heals_by_success(),
                    Sign::Kind(kind) => known.alert.kind() == kind,
                    Sign::Code(_) => false,
                };
                let mine = open.into_iter().filter(|known| known.kept.subject == *subject && heals(known));
                mine.map(|known| known.id).collect()
            }
        };
        let mut healed = 0;
        for id in ids {
            healed += usize::from(self.heal(&id, now.wall).await?);
        }
        Ok(healed)
    }

    /// Notes that the alert was well at `at`; false if there is none that is open, or that is known.
    pub(super) async fn heal(&self, id: &str, at: Timestamp) -> Result<bool, Error> {
        for _ in 0..TRIES_MAX {
            let Some(mut known) = self.load(id).await? else { return Ok(false) };
            if known.alert.state() == State::Resolved || !known.alert.is_healed_by(at) {
                return Ok(false);
            }
            known.alert.healthy(at);
            let state = known.alert.state().as_str();
            let why = format!("it was well at {}", second(at));
            let event = Event::new(Some(state), state, ACTOR, "alert.healthy", why);
            if self.apply(vec![known.write(Some(event))?]).await? {
                return Ok(true);
            }
        }
        Err(Error::Raced { id: id.to_owned() })
    }

    /// Whether a success of this one may heal something: what is known of that is some seconds old, so that a worker does not ask at
    /// each run.
    async fn may_heal(&self, subject: &Subject, now: Now) -> Result<bool, Error> {
        let known = {
            let open = self.inner.open.lock().unwrap_or_else(PoisonError::into_inner);
            let fresh = open.as_ref().filter(|(at, _)| now.moment.since(*at) < OPEN_FRESH);
            fresh.map(|(_, subjects)| subjects.contains(subject))
        };
        if let Some(known) = known {
            return Ok(known);
        }
        let open = self.open_alerts().await?.into_iter();
        let healing = open.filter(|known| known.alert.kind().heals_by_success());
        let subjects: HashSet<Subject> = healing.map(|known| known.kept.subject).collect();
        let may = subjects.contains(subject);
        *self.inner.open.lock().unwrap_or_else(PoisonError::into_inner) = Some((now.moment, subjects));
        Ok(may)
    }

    /// The alerts that are not over; of some ten thousand the last ones.
    pub(super) async fn open_alerts(&self) -> Result<Vec<Known>, Error> {
        const PAGES_MAX: u32 = 10;
        let query = Self::query(&[QUIET, UNSENT, HELD_BACK], &[State::Open, State::Acknowledged]);
        let mut open = Vec::new();
        let mut pages = Pages::of(&*self.inner.store, query).most(PAGES_MAX);
        while let Some(records) = pages.next().await? {
            for record in &records {
                open.push(Known::read(record)?);
            }
        }
        Ok(open)
    }

    pub(super) async fn acknowledge(
        &self,
        given: &str,
        until: Option<Timestamp>,
        by: &str,
        now: Now,
    ) -> Result<Entry, Error> {
        for _ in 0..TRIES_MAX {
            let mut known = self.find_known(given).await?;
            let before = known.alert.state();
            if !known.alert.ack(until, now.wall) {
                return Err(Error::Over { id: known.id });
            }
            known.kept.acked_by = Some(by.chars().take(200).collect());
            let why = match until {
                Some(until) => format!("{by} sees to it, until {}", second(until)),
                None => format!("{by} sees to it, until it is over"),
            };
            let to = known.alert.state().as_str();
            let event = Event::new(Some(before.as_str()), to, by, "alert.acknowledged", why);
            if self.apply(vec![known.write(Some(event))?]).await? {
                known.version = None;
                return Ok(self.entry(&known));
            }
        }
        Err(Error::Raced { id: given.to_owned() })
    }
}

/// Without what must not be written down.
fn redacted(signal: &Signal) -> Signal {
    let names = Names::new();
    let clean = |text: &str| names.body(text.as_bytes()).into_owned();
    Signal { why: clean(&signal.why), tail: clean(&signal.tail), ..signal.clone() }
}
