//! What the end of a flight changes.

use std::task::Waker;
use std::time::Duration;

use super::{HOLD, Hold, Holding, Pending, SAVE_EVERY, State};
use crate::act::credential::expiry::Standing;
use crate::act::credential::log;
use crate::act::credential::work::{Crew, Landing, Stored, Unsaved};
use crate::base::fault::{Class, Fault};
use crate::base::time::{Now, between};
use crate::decide::breaker::{Outcome, Permit};

/// What is left to do after a landing, outside the lock.
#[derive(Default)]
pub(in crate::act::credential) struct Landed {
    pub(in crate::act::credential) permit: Option<(Permit, Outcome, Option<Duration>)>,
    pub(in crate::act::credential) wake: Vec<Waker>,
}

impl<T: Send + Sync + 'static> State<T> {
    /// Takes in what the flight `id` found. Gives its permit with the outcome that it is to be settled with, and who is
    /// to be woken.
    pub(in crate::act::credential) fn land(
        &mut self,
        id: u64,
        landing: Landing<T>,
        crew: &Crew<T>,
        now: Now,
    ) -> Landed {
        let flight = self.flight.take_if(|flight| flight.id == id);
        let (outcome, hint) = match &landing {
            Landing::Refreshed { .. } => (Outcome::Success, None),
            Landing::Failed { failed, hint } => (Outcome::Failure(failed.class), *hint),
            Landing::Refused { class, .. } => (Outcome::Failure(*class), None),
            _ => (Outcome::Abandoned, None),
        };
        // Taken for lost, or overtaken by a token that was put there: what still counts is a token that lasts longer.
        let late = flight.as_ref().is_none_or(|flight| flight.generation != self.generation);
        let wanted = match &landing {
            Landing::Refreshed { token, .. } => {
                self.held.as_ref().is_none_or(|held| held.token.expires_at() < token.expires_at())
            }
            _ => false,
        };
        let before = self.generation;
        if !late || wanted {
            self.take_in(id, landing, crew, now);
        }
        if self.generation != before {
            self.stillborn(crew, now);
        }
        let Some(flight) = flight else { return Landed::default() };
        let permit = flight.permit.map(|permit| (permit, outcome, hint));
        Landed { permit, wake: flight.waiters.into_values().collect() }
    }

    fn take_in(&mut self, id: u64, landing: Landing<T>, crew: &Crew<T>, now: Now) {
        match landing {
            Landing::Looked(stored) => {
                self.loaded = true;
                self.looked = now.moment;
                if let Some(stored) = stored {
                    self.stored(id, stored, now);
                }
            }
            Landing::Refreshed { token, since, serial, unsaved } => {
                log::refreshed(&crew.name, unsaved.is_none());
                self.clear();
                match unsaved {
                    None => {
                        self.unsaved = None;
                        self.adopt(token, since, serial, Some((id, false)), now);
                    }
                    Some(base) => {
                        let retry = now.moment.after(SAVE_EVERY);
                        let unsaved = Unsaved { token, base };
                        self.unsaved = Some(Pending { unsaved, since, retry, used: false });
                    }
                }
            }
            Landing::Saved { serial } => {
                if let Some(pending) = self.unsaved.take() {
                    match &mut self.held {
                        Some(held) if pending.used => held.serial = Some(serial),
                        _ => self.adopt(
                            pending.unsaved.token,
                            pending.since,
                            Some(serial),
                            Some((id, false)),
                            now,
                        ),
                    }
                }
            }
            Landing::NotSaved => {
                if let Some(pending) = &mut self.unsaved {
                    pending.retry = now.moment.after(SAVE_EVERY);
                }
            }
            Landing::Failed { failed, .. } => self.fail(failed, crew, now),
            Landing::Refused { class, first } => {
                if first && self.human.is_none() {
                    log::needs_human(&crew.name, class);
                }
                self.human = Some(class);
                self.looked = now.moment;
            }
            Landing::Elsewhere { hard } => {
                self.hold = Some(Hold { why: Holding::Elsewhere { hard }, until: now.moment.after(HOLD) });
            }
            Landing::StoreDown => {
                // With nothing to go on with, the store is asked again at the next call after the hold.
                self.loaded = true;
                self.looked = now.moment;
                self.hold = Some(Hold { why: Holding::StoreDown, until: now.moment.after(HOLD) });
            }
        }
    }

    /// Takes in what another process, or this one in an earlier life, has saved.
    fn stored(&mut self, id: u64, stored: Stored<T>, now: Now) {
        self.human = stored.refused;
        let known = self.held.as_ref().is_some_and(|held| held.serial == Some(stored.serial));
        let older = self.unsaved.as_ref().is_some_and(|pending| pending.unsaved.base == stored.serial);
        match stored.token {
            Some(token) if !known && !older => {
                self.unsaved = None;
                self.hold = None;
                self.failed = None;
                self.adopt(token, now.moment, Some(stored.serial), Some((id, true)), now);
            }
            _ => {}
        }
        // What is known here has its wait by the monotonic clock already.
        let news = stored.failed.filter(|failed| failed.waits(now) && Some(*failed) != self.failed);
        if let Some(failed) = news {
            let left = between(now.wall, failed.retry_at);
            self.failed = Some(failed);
            self.hold = Some(Hold { why: Holding::Failed(failed), until: now.moment.after(left) });
        }
    }

    /// A new token that is over when it arrives would be refreshed at once, again and again: it backs off like a failure.
    fn stillborn(&mut self, crew: &Crew<T>, now: Now) {
        let over = self.held.as_ref().is_some_and(|held| {
            matches!(held.terms.standing(now, None), Standing::Over { .. })
                && held.from.is_some_and(|from| !from.1)
        });
        if over {
            self.fail_by(&Fault::new(Class::Unknown, "credential.stillborn"), crew, now);
        }
    }
}
