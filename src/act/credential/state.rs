//! What one process knows of a credential, and the two questions that are asked of it: what does this caller get now,
//! and what does the end of a flight change.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use crate::act::credential::expiry::{Standing, Terms};
use crate::act::credential::log;
use crate::act::credential::wait::Face;
use crate::act::credential::work::{Crew, Failed, Landing, Order, Plan, Unsaved};
use crate::act::credential::{Due, Given, Refusing, Serving, Token};
use crate::base::fault::{Class, Fault};
use crate::base::rng::Rng;
use crate::base::time::{BoxFuture, Moment, Now, Timestamp, later};
use crate::decide::breaker::{Admit, Breaker, Permit};

/// How often a token that needs a person is looked for in the store, and one that another process may have saved.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(10);
/// The same while there is no valid token.
const LOOK_SOON: Duration = Duration::from_secs(1);
/// How long nobody tries again after another process was found at it, or the store could not be used.
const HOLD: Duration = Duration::from_secs(1);
/// How often saving is tried again.
const SAVE_EVERY: Duration = Duration::from_secs(5);

mod landing;

pub(super) use landing::Landed;

/// What is known, and what is under way.
pub(super) struct State<T> {
    held: Option<Held<T>>,
    generation: u64,
    /// The token that the other side has refused.
    rejected: Option<u64>,
    unsaved: Option<Pending<T>>,
    human: Option<Class>,
    hold: Option<Hold>,
    /// The last failure, if refreshes have failed since one succeeded.
    failed: Option<Failed>,
    /// Whether the store was read.
    loaded: bool,
    looked: Moment,
    flight: Option<Flight<T>>,
    flights: u64,
    rng: Rng,
}

/// The token in use.
struct Held<T> {
    token: Token<T>,
    terms: Terms,
    /// Its number in the store.
    serial: Option<u64>,
    /// The flight that brought it, and whether from another process.
    from: Option<(u64, bool)>,
}

/// A new token that is not saved.
struct Pending<T> {
    unsaved: Unsaved<T>,
    since: Moment,
    retry: Moment,
    /// Whether it is in use already, because the one before is gone.
    used: bool,
}

/// Why no refresh is tried before `until`.
#[derive(Clone, Copy)]
struct Hold {
    why: Holding,
    until: Moment,
}

#[derive(Clone, Copy)]
enum Holding {
    Failed(Failed),
    Elsewhere { hard: bool },
    StoreDown,
}

/// One look, refresh or save that is under way.
struct Flight<T> {
    id: u64,
    because: Due,
    /// Taken out while it is polled.
    work: Option<BoxFuture<'static, Landing<T>>>,
    /// Whether a caller polls it. One whose caller went away is taken over by the next.
    led: bool,
    /// When it is taken for lost, should whoever leads it not come back.
    ends: Moment,
    permit: Option<Permit>,
    generation: u64,
    waiters: BTreeMap<u64, Waker>,
}

/// What a caller asks for.
#[derive(Clone, Copy)]
pub(super) struct Ask {
    pub(super) face: Face,
    /// How long it needs the token.
    pub(super) until: Option<Timestamp>,
    /// The flight that it has led or waited for.
    pub(super) with: Option<(u64, Due)>,
}

/// What a caller does.
pub(super) enum Look<T> {
    Give(Given<T>),
    Refuse(Refusing),
    /// Poll this flight to its end.
    Lead(u64, Due),
    /// Wait for its end, at most until then.
    Wait(u64, Due, Moment),
}

impl<T: Send + Sync + 'static> State<T> {
    pub(super) fn new(token: Option<Token<T>>, seed: u64, shared: bool, now: Now) -> Self {
        let mut rng = Rng::seeded(seed);
        let held = token.map(|token| {
            let terms = Terms::of(&token, now.moment, now, &mut rng);
            Held { token, terms, serial: None, from: None }
        });
        Self {
            generation: u64::from(held.is_some()),
            held,
            rejected: None,
            unsaved: None,
            human: None,
            hold: None,
            failed: None,
            loaded: !shared,
            looked: now.moment,
            flight: None,
            flights: 0,
            rng,
        }
    }

    pub(super) const fn generation(&self) -> u64 {
        self.generation
    }

    /// The other side has refused the token of generation `seen`; `false` if that is no longer the one.
    pub(super) fn reject(&mut self, seen: u64) -> bool {
        let current = self.generation == seen;
        if current {
            self.rejected = Some(seen);
        }
        current
    }

    /// Why no call should be made now, if only a person can change that.
    pub(super) fn refusal(&self, shared: bool, now: Now) -> Option<Refusing> {
        let class = self.human?;
        // Now and then somebody has to look whether a person has seen to it.
        let look = shared && now.moment.since(self.looked) >= LOOK_EVERY;
        (!look && self.valid(now, None).is_none()).then_some(Refusing::NeedsHuman { class })
    }

    /// A person has seen to it.
    pub(super) fn clear(&mut self) {
        self.human = None;
        self.hold = None;
        self.failed = None;
    }

    /// A token that was put there from outside.
    pub(super) fn put(&mut self, token: Token<T>, serial: Option<u64>, now: Now) {
        self.clear();
        self.unsaved = None;
        self.loaded = true;
        self.adopt(token, now.moment, serial, None, now);
    }

    /// What the caller gets at `now`, or what it has to do for it. Starts the flight if one is needed.
    pub(super) fn look(&mut self, ask: Ask, crew: &Arc<Crew<T>>, breaker: &Breaker, now: Now) -> Look<T> {
        if !self.loaded {
            return self.fly(Plan::Look, Due::Absent, None, crew, now);
        }
        match self.valid(now, ask.until) {
            Some((left, None)) => self.fresh(ask, left, crew, now),
            Some((left, Some(due))) => self.soft(ask, left, due, crew, breaker, now),
            None => self.hard(ask, crew, breaker, now),
        }
    }

    /// What is left of a token that may be used, and why it should be refreshed.
    fn valid(&self, now: Now, until: Option<Timestamp>) -> Option<(Duration, Option<Due>)> {
        if self.rejected == Some(self.generation) {
            return None;
        }
        match self.held.as_ref()?.terms.standing(now, until) {
            Standing::Valid { left, due } => Some((left, due)),
            Standing::Over { .. } => None,
        }
    }

    fn fresh(&mut self, ask: Ask, left: Duration, crew: &Arc<Crew<T>>, now: Now) -> Look<T> {
        match &self.unsaved {
            None => self.give(ask, Serving::Fresh { left }),
            Some(pending) if now.moment >= pending.retry && self.idle() => {
                let plan = Plan::Save(pending.unsaved.clone());
                self.fly(plan, Due::Absent, None, crew, now)
            }
            Some(Pending { used: true, .. }) => self.give(ask, Serving::Unsaved { left }),
            Some(_) => self.give(ask, Serving::Fresh { left }),
        }
    }

    /// Within the margin: one caller refreshes, everybody else gets the token that is still valid at once.
    fn soft(
        &mut self,
        ask: Ask,
        left: Duration,
        due: Due,
        crew: &Arc<Crew<T>>,
        breaker: &Breaker,
        now: Now,
    ) -> Look<T> {
        if let Some(pending) = self.unsaved.as_ref().filter(|pending| !pending.used) {
            if now.moment >= pending.retry && self.idle() {
                let plan = Plan::Save(pending.unsaved.clone());
                return self.fly(plan, due, None, crew, now);
            }
            return self.give(ask, Serving::StaleUnsaved { left });
        }
        if let Some(class) = self.human {
            if crew.is_shared() && self.idle() && now.moment.since(self.looked) >= LOOK_EVERY {
                return self.fly(Plan::Look, due, None, crew, now);
            }
            return self.give(ask, Serving::StaleNeedsHuman { class, left });
        }
        if !self.idle() {
            return self.give(ask, Serving::Refreshing { left });
        }
        if self.flight.is_some() {
            return self.join(due, now);
        }
        if let Some(Hold { why, .. }) = self.hold.filter(|hold| now.moment < hold.until) {
            let why = match why {
                Holding::Failed(failed) => stale(failed, left, failed.retry_at),
                Holding::Elsewhere { .. } => Serving::Refreshing { left },
                Holding::StoreDown => Serving::StaleStoreDown { left },
            };
            return self.give(ask, why);
        }
        match breaker.admit(now) {
            Admit::Allow { permit, .. } => {
                let plan = Plan::Refresh(self.order(ask.face, false));
                self.fly(plan, due, Some(permit), crew, now)
            }
            Admit::Refuse { retry_at, .. } => {
                // Open without a failure that is known here: by hand.
                let none = Failed { class: Class::Unknown, failures: 0, wait: Duration::ZERO, retry_at };
                self.give(ask, stale(self.failed.unwrap_or(none), left, retry_at))
            }
        }
    }

    /// No token that may be used: everybody waits for the one refresh.
    fn hard(&mut self, ask: Ask, crew: &Arc<Crew<T>>, breaker: &Breaker, now: Now) -> Look<T> {
        let due = self.why_none(now);
        if self.unsaved.as_ref().is_some_and(|pending| !pending.used) {
            self.use_unsaved(now);
            if let Some((left, _)) = self.valid(now, None) {
                return self.give(ask, Serving::Unsaved { left });
            }
        }
        if self.flight.is_some() {
            return self.join(due, now);
        }
        if let Some(class) = self.human {
            if crew.is_shared() && now.moment.since(self.looked) >= LOOK_EVERY {
                return self.fly(Plan::Look, due, None, crew, now);
            }
            return Look::Refuse(Refusing::NeedsHuman { class });
        }
        let hold = self.hold.filter(|hold| now.moment < hold.until);
        // That another process is at it is no reason not to wait for it, for whoever has nothing to go on with.
        if let Some(hold) = hold.filter(|hold| !matches!(hold.why, Holding::Elsewhere { hard: false })) {
            if crew.is_shared() && now.moment.since(self.looked) >= LOOK_SOON {
                return self.fly(Plan::Look, due, None, crew, now);
            }
            let retry_at = later(now.wall, hold.until.since(now.moment));
            return Look::Refuse(match hold.why {
                Holding::Failed(Failed { class, failures, .. }) => {
                    Refusing::RefreshFailed { class, failures, retry_at }
                }
                Holding::Elsewhere { .. } => Refusing::Elsewhere { retry_at },
                Holding::StoreDown => Refusing::StoreDown { retry_at },
            });
        }
        match breaker.admit(now) {
            Admit::Allow { permit, .. } => {
                let plan = Plan::Refresh(self.order(ask.face, true));
                self.fly(plan, due, Some(permit), crew, now)
            }
            // Another process may have been luckier.
            Admit::Refuse { .. } if crew.is_shared() && now.moment.since(self.looked) >= LOOK_SOON => {
                self.fly(Plan::Look, due, None, crew, now)
            }
            Admit::Refuse { retry_at, .. } => Look::Refuse(Refusing::Open { retry_at }),
        }
    }

    fn why_none(&self, now: Now) -> Due {
        let Some(held) = &self.held else { return Due::Absent };
        match held.terms.standing(now, None) {
            Standing::Over { due } => due,
            Standing::Valid { .. } => Due::Rejected,
        }
    }

    fn order(&mut self, face: Face, hard: bool) -> Order<T> {
        let unsaved = self.unsaved.as_ref().map(|pending| pending.unsaved.clone());
        let held = unsaved.as_ref().map(|unsaved| unsaved.token.clone());
        Order {
            face,
            hard,
            old: held.or_else(|| self.held.as_ref().map(|held| held.token.clone())),
            serial: self.held.as_ref().and_then(|held| held.serial),
            unsaved,
            failures: self.failures(),
            failed: self.failed,
            seed: self.rng.next_u64(),
        }
    }

    /// Whether nobody is at anything.
    fn idle(&self) -> bool {
        self.flight.as_ref().is_none_or(|flight| !flight.led)
    }

    /// Starts a flight that the caller leads, or joins the one that is under way.
    fn fly(
        &mut self,
        plan: Plan<T>,
        because: Due,
        permit: Option<Permit>,
        crew: &Arc<Crew<T>>,
        now: Now,
    ) -> Look<T> {
        if self.flight.is_some() {
            return self.join(because, now);
        }
        self.flights = self.flights.saturating_add(1);
        let id = self.flights;
        self.flight = Some(Flight {
            id,
            because,
            work: Some(Arc::clone(crew).fly(plan)),
            led: true,
            ends: now.moment.after(crew.budget()),
            permit,
            generation: self.generation,
            waiters: BTreeMap::new(),
        });
        Look::Lead(id, because)
    }

    /// Goes on with a flight that nobody leads, or waits for it.
    fn join(&mut self, because: Due, now: Now) -> Look<T> {
        match &mut self.flight {
            Some(flight) if flight.led => Look::Wait(flight.id, flight.because, flight.ends),
            Some(flight) => {
                flight.led = true;
                Look::Lead(flight.id, flight.because)
            }
            // Only asked where there is one.
            None => Look::Wait(self.flights, because, now.moment),
        }
    }

    fn give(&self, ask: Ask, why: Serving) -> Look<T> {
        let Some(held) = &self.held else {
            // Only asked where there is one.
            return Look::Refuse(Refusing::Elsewhere { retry_at: Timestamp::UNIX_EPOCH });
        };
        let why = match (why, ask.with, held.from) {
            (Serving::Fresh { .. }, Some((flight, because)), Some((from, adopted))) if flight == from => {
                if adopted {
                    Serving::Adopted { because }
                } else {
                    Serving::Refreshed { because }
                }
            }
            (why, ..) => why,
        };
        Look::Give(Given { token: held.token.clone(), why, generation: self.generation })
    }

    fn adopt(
        &mut self,
        token: Token<T>,
        since: Moment,
        serial: Option<u64>,
        from: Option<(u64, bool)>,
        now: Now,
    ) {
        let terms = Terms::of(&token, since, now, &mut self.rng);
        self.held = Some(Held { token, terms, serial, from });
        self.generation = self.generation.saturating_add(1);
    }

    /// The one before is gone, so the new one is used although it is not saved.
    fn use_unsaved(&mut self, now: Now) {
        let Some(mut pending) = self.unsaved.take() else { return };
        let token = pending.unsaved.token.clone();
        self.adopt(token, pending.since, None, None, now);
        pending.used = true;
        self.unsaved = Some(pending);
    }

    /// A flight whose leader does not come back counts as failed; the permit is to be settled so.
    pub(super) fn lose_overdue(&mut self, now: Now, crew: &Crew<T>) -> (Option<Permit>, Vec<Waker>) {
        let overdue = self.flight.take_if(|flight| flight.led && now.moment >= flight.ends);
        let Some(flight) = overdue else { return (None, Vec::new()) };
        self.fail_by(&Fault::transient("credential.timed_out"), crew, now);
        // Where nothing could be read the next caller reads it again, not at once.
        (flight.permit, flight.waiters.into_values().collect())
    }

    fn fail_by(&mut self, fault: &Fault, crew: &Crew<T>, now: Now) {
        let failed = crew.back_off(fault, self.failures(), self.rng.next_u64());
        self.fail(failed, crew, now);
    }

    fn fail(&mut self, failed: Failed, crew: &Crew<T>, now: Now) {
        log::failed(&crew.name, failed);
        self.failed = Some(failed);
        self.hold = Some(Hold { why: Holding::Failed(failed), until: now.moment.after(failed.wait) });
    }

    /// How many refreshes in a row have failed.
    fn failures(&self) -> u32 {
        self.failed.map_or(0, |failed| failed.failures)
    }

    /// The flight's work, to be polled outside the lock; `None` if it is no longer this one.
    pub(super) fn take_work(&mut self, id: u64) -> Option<BoxFuture<'static, Landing<T>>> {
        self.flight.as_mut().filter(|flight| flight.id == id)?.work.take()
    }

    /// Gives it back; if the flight was taken for lost meanwhile it is dropped, and so cut.
    pub(super) fn give_back(
        &mut self,
        id: u64,
        work: BoxFuture<'static, Landing<T>>,
    ) -> Option<BoxFuture<'static, Landing<T>>> {
        match self.flight.as_mut().filter(|flight| flight.id == id) {
            Some(flight) => {
                flight.work = Some(work);
                None
            }
            None => Some(work),
        }
    }

    /// Its leader went away before its end.
    pub(super) fn leave(&mut self, id: u64) -> Vec<Waker> {
        match self.flight.as_mut().filter(|flight| flight.id == id) {
            Some(flight) => {
                flight.led = false;
                std::mem::take(&mut flight.waiters).into_values().collect()
            }
            None => Vec::new(),
        }
    }

    /// Whether the flight is still under way; then `waker` is woken at its end, or when it needs a leader.
    pub(super) fn wait(&mut self, id: u64, waiter: u64, waker: &Waker) -> bool {
        match self.flight.as_mut().filter(|flight| flight.id == id && flight.led) {
            Some(flight) => {
                flight.waiters.insert(waiter, waker.clone());
                true
            }
            None => false,
        }
    }

    /// Whether somebody polls the flight.
    pub(super) fn is_led(&self, id: u64) -> bool {
        self.flight.as_ref().is_some_and(|flight| flight.id == id && flight.led)
    }

    pub(super) fn forget(&mut self, id: u64, waiter: u64) {
        if let Some(flight) = self.flight.as_mut().filter(|flight| flight.id == id) {
            flight.waiters.remove(&waiter);
        }
    }

    /// A number for somebody who waits.
    pub(super) const fn waiter(&mut self) -> u64 {
        self.rng.next_u64()
    }
}

const fn stale(failed: Failed, left: Duration, retry_at: Timestamp) -> Serving {
    let Failed { class, failures, .. } = failed;
    Serving::StaleAfterFailure { class, failures, left, retry_at }
}
