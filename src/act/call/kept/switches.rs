//! What a person says of the dependency: that it is held, or how its breaker is forced. Read about once a second.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::act::call::Refusing;
use crate::act::call::face::Face;
use crate::act::call::gate::Gate;
use crate::act::call::kept::{Keeper, PersistError, Refused};
use crate::base::subject::Subject;
use crate::base::time::{Moment, Now};
use crate::decide::breaker::Permit;
use crate::remember::holds::{Forced, Kept, Standing, Switch, name_of_forced, name_of_hold};

/// How old what was read may be.
const FRESH: Duration = Duration::from_secs(1);

/// The switches as they were read last.
#[derive(Debug, Default)]
pub(super) struct Switches(Mutex<Option<(Moment, Vec<Standing>)>>);

impl Keeper {
    /// What the switches say: a permit where everything is let in, `None` where the breaker decides. They win over its state.
    pub(super) async fn switched<W: Face>(
        &self,
        face: &W,
        gate: Gate<'_>,
        now: Now,
    ) -> Result<Result<Option<Permit>, Refused>, PersistError> {
        let standing = self.switches(face, gate, now).await?;
        let in_force = || standing.iter().filter(|standing| !standing.held.is_over(now.wall));
        let closed = |standing: &&Standing| standing.switch == Switch::Breaker(Forced::Closed);
        if let Some(standing) = in_force().find(|standing| !closed(standing)) {
            let held = Refusing::Held { switch: standing.switch, until: standing.held.until };
            return Ok(Err((held, standing.held.retry_at(now.wall))));
        }
        Ok(Ok(in_force().any(|standing| closed(&standing)).then(Permit::unscored)))
    }

    async fn switches<W: Face>(
        &self,
        face: &W,
        gate: Gate<'_>,
        now: Now,
    ) -> Result<Vec<Standing>, PersistError> {
        if let Some((at, known)) = &*self.switches.0.lock().unwrap_or_else(PoisonError::into_inner)
            && now.moment.since(*at) < FRESH
        {
            return Ok(known.clone());
        }
        let subject = Subject::dependency(gate.name());
        let mut standing = Vec::new();
        for name in [name_of_hold(&subject), name_of_forced(gate.name())] {
            let Some((_, text)) = self.asked(face, self.store.load(&name)).await? else { continue };
            let kept: Kept = serde_json::from_str(&text).map_err(PersistError::unreadable)?;
            standing.extend(kept.standing().map_err(PersistError::unreadable)?);
        }
        *self.switches.0.lock().unwrap_or_else(PoisonError::into_inner) =
            Some((now.moment, standing.clone()));
        Ok(standing)
    }
}
