//! The switches of a store as whoever begins work sees them: read about once a second.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::base::subject::Subject;
use crate::base::time::{Moment, Now, Timestamp};
use crate::remember::holds::{Forced, Holds, Standing, Switch};
use crate::remember::store::Error;

/// How old what was read may be.
const FRESH: Duration = Duration::from_secs(1);

/// The switches that were set when they were read.
#[derive(Debug, Default)]
pub struct InForce {
    set: HashMap<(Subject, bool), Standing>,
}

impl InForce {
    /// What forbids at `now` that something of this job or dependency is begun: its hold, or its breaker that is forced open.
    #[must_use]
    pub fn forbids(&self, subject: &Subject, now: Timestamp) -> Option<&Standing> {
        if self.set.is_empty() {
            return None;
        }
        let of = |breaker: bool| self.set.get(&(subject.clone(), breaker));
        let closed = |standing: &&Standing| standing.switch != Switch::Breaker(Forced::Closed);
        of(false).into_iter().chain(of(true)).filter(closed).find(|standing| !standing.held.is_over(now))
    }

    fn of(standing: Vec<Standing>) -> Self {
        let keyed = standing
            .into_iter()
            .map(|standing| ((standing.subject.clone(), standing.switch != Switch::Hold), standing));
        Self { set: keyed.collect() }
    }
}

/// What was read, and when.
type Read = (Moment, Arc<InForce>);

/// The switches of one store, kept for about a second. All clones see the same.
#[derive(Clone, Debug)]
pub(crate) struct Watched {
    holds: Holds,
    read: Arc<Mutex<Option<Read>>>,
}

impl Watched {
    pub(crate) fn new(holds: Holds) -> Self {
        Self { holds, read: Arc::default() }
    }

    /// What is in force, as of at most a second ago.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(crate) async fn in_force(&self, now: Now) -> Result<Arc<InForce>, Error> {
        if let Some(known) = self.known(now) {
            return Ok(known);
        }
        let found = Arc::new(InForce::of(self.holds.scan().await?));
        *self.read.lock().unwrap_or_else(PoisonError::into_inner) = Some((now.moment, Arc::clone(&found)));
        Ok(found)
    }

    fn known(&self, now: Now) -> Option<Arc<InForce>> {
        let read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, known) = read.as_ref()?;
        (now.moment.since(*at) < FRESH).then(|| Arc::clone(known))
    }
}
