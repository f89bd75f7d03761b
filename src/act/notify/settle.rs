//! What time makes of alerts: what is over, and what is told again.

use crate::act::notify::kept::{Known, TRIES_MAX};
use crate::act::notify::outbox::{Outbox, Says};
use crate::act::notify::raise::ACTOR;
use crate::act::notify::{Alerts, Error};
use crate::base::explain::Explain;
use crate::base::time::Now;
use crate::decide::alert::{Decision, State};
use crate::remember::store::Event;

impl Alerts {
    /// Goes through what is not over.
    pub(super) async fn settle(&self, now: Now) -> Result<(), Error> {
        for known in self.open_alerts().await? {
            self.settle_one(known, now).await?;
        }
        Ok(())
    }

    async fn settle_one(&self, mut known: Known, now: Now) -> Result<(), Error> {
        for _ in 0..TRIES_MAX {
            let before = known.alert.clone();
            let about = self.about(&known.kept.subject);
            let rule = known.rule(about);
            let decision = known.alert.pass(&self.inner.policy, rule, now.wall);
            if known.alert.state() == before.state() && decision == Decision::Nothing {
                return Ok(());
            }
            known.learn(about);
            if known.alert.state() != State::Acknowledged {
                known.kept.acked_by = None;
            }
            match decision {
                Decision::Page(_) => known.kept.page = Some(Outbox::new(Says::Wrong, now.wall)),
                // Where it was told, its end is; what still waits for the digest need not be told any more.
                Decision::Resolved(_) => {
                    let held = known.kept.page.as_ref().is_some_and(|page| page.held);
                    let told = before.paged() > 0 && !held;
                    known.kept.page = told.then(|| Outbox::new(Says::Over, now.wall));
                }
                _ => {}
            }
            let (from, to) = (before.state().as_str(), known.alert.state().as_str());
            let (code, why) = match decision {
                Decision::Nothing => {
                    ("alert.reopened", String::from("the time for which somebody saw to it is over"))
                }
                decision => (decision.code(), decision.to_string()),
            };
            let event = Event::new(Some(from), to, ACTOR, code, why);
            if self.apply(vec![known.write(Some(event))?]).await? {
                return Ok(());
            }
            let Some(again) = self.load(&known.id).await? else { return Ok(()) };
            known = again;
        }
        Err(Error::Raced { id: known.id })
    }
}
