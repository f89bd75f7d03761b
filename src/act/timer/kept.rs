//! An entry's state, in this process and in the store.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::act::env::Env;
use crate::act::job;
use crate::act::panics::caught;
use crate::act::shutdown::Shutdown;
use crate::act::timer::work::{Submission, Work, occasion_key};
use crate::act::timer::{Entry, Event, Occasion};
use crate::base::explain::Explain;
use crate::base::fault::chain;
use crate::base::rng;
use crate::base::time::Timestamp;
use crate::decide::run::State;
use crate::decide::schedule::{Due, Missed, Noticed, Snapshot, Ticker, Turn};
use crate::decide::window;
use crate::remember::runs::{self, Runs, Submitted, Word};
use crate::remember::snapshots::{Saved, Snapshots};
use crate::remember::store::{self, Store};

/// What is to be done for an entry now.
pub(super) enum Look {
    Due(Due),
    /// Something is due, and the window is closed.
    Shut {
        opens: Option<Timestamp>,
        why: String,
    },
}

/// What became of a submission.
#[derive(Default)]
pub(super) struct Given {
    /// The run that it is, or was before.
    pub(super) run: Option<String>,
    /// Why the job does not take the input: nothing to be tried again.
    pub(super) refused: Option<String>,
}

impl Given {
    const fn not_taken(why: String) -> Self {
        Self { run: None, refused: Some(why) }
    }
}

/// One entry, and what was run last.
pub(super) struct Track {
    pub(super) entry: Arc<Entry>,
    ticker: Ticker,
    store: Option<Kept>,
    /// The run that was submitted last, where the entry is a job's.
    run: Option<String>,
    /// Tells what is written here from what others write.
    mark: u64,
}

struct Kept {
    store: Arc<dyn Store>,
    key: String,
    version: Option<u64>,
}

/// The state, as it is stored.
#[derive(Serialize, Deserialize)]
struct Form {
    #[serde(flatten)]
    ticker: Snapshot,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    run: Option<String>,
    /// Whose write it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    by: Option<u64>,
}

impl Track {
    /// The entry as nobody has seen it yet. What it has run is known after a [`refresh`](Self::refresh).
    pub(super) fn new(
        entry: Arc<Entry>,
        store: Option<&Arc<dyn Store>>,
        now: Timestamp,
    ) -> Result<Self, String> {
        let ticker = entry.ticker(now).map_err(|error| chain(&error))?;
        let store = store.map(|store| Kept {
            store: Arc::clone(store),
            key: format!("timer/{}", entry.name()),
            version: None,
        });
        Ok(Self { entry, ticker, store, run: None, mark: rng::entropy() })
    }

    /// Takes in what others have written; says what was noticed about it.
    pub(super) async fn refresh(&mut self, now: Timestamp) -> Result<Vec<Noticed>, String> {
        let Some(kept) = &mut self.store else { return Ok(self.ticker.heed(now).into_iter().collect()) };
        let snapshots = Snapshots::new(Arc::clone(&kept.store));
        match snapshots.load::<Form>(&kept.key).await.map_err(|error| chain(&error))? {
            Some(found) if kept.version == Some(found.version) => Ok(Vec::new()),
            Some(found) => {
                kept.version = Some(found.version);
                if found.value.by == Some(self.mark) {
                    // Written from here, and nobody heard of it: nothing was done about it, and it is settled again.
                    return Ok(Vec::new());
                }
                let (ticker, noticed) =
                    self.entry.restored(&found.value.ticker, now).map_err(|error| chain(&error))?;
                (self.ticker, self.run) = (ticker, found.value.run);
                Ok(noticed)
            }
            // Seen for the first time: from now on what is missed is known. Whoever else was first is read next time.
            None => {
                kept.version = None;
                self.save(now, None).await.map(|_| Vec::new())
            }
        }
    }

    /// What is due, by what is known here.
    pub(super) fn look(&mut self, now: Timestamp) -> Look {
        let due = self.ticker.due(now);
        match (self.entry.window().map(|window| window.state(now)), &due) {
            (Some(window::State::Closed { opens, why }), Due::Run { .. } | Due::Skip { .. }) => {
                Look::Shut { opens, why: why.to_string() }
            }
            _ => Look::Due(due),
        }
    }

    /// What was noticed where what was run last cannot be right at `now`.
    pub(super) fn heed(&mut self, now: Timestamp) -> Option<Noticed> {
        self.ticker.heed(now)
    }

    /// Whether the occurrence may still be begun: it is not settled by others, and the window is open.
    pub(super) fn may_begin(&self, turn: &Turn, now: Timestamp) -> bool {
        turn.occurrence.nominal > self.ticker.last()
            && !self
                .entry
                .window()
                .is_some_and(|window| matches!(window.state(now), window::State::Closed { .. }))
    }

    /// What comes next, by the schedule.
    pub(super) fn next(&self) -> Option<Timestamp> {
        self.ticker.next().map(|occurrence| occurrence.at)
    }

    /// Notes that everything up to `until` is settled, with what is told about it and about those `missed` before; `false` if
    /// somebody else was faster.
    pub(super) async fn settle(
        &mut self,
        until: Timestamp,
        event: &Event,
        missed: Option<&Missed>,
        now: Timestamp,
    ) -> Result<bool, String> {
        let before = (self.ticker.clone(), self.run.clone());
        self.ticker.settle(until);
        if let Event::Begun { run: Some(run), .. } = event {
            self.run = Some(run.clone());
        }
        let why = match missed {
            Some(missed) => format!("{event}; before it {} ({missed})", missed.code()),
            None => event.to_string(),
        };
        let saved = self.save(now, Some((event.code(), why))).await;
        if !matches!(saved, Ok(true)) {
            (self.ticker, self.run) = before;
        }
        saved
    }

    async fn save(&mut self, now: Timestamp, told: Option<(&'static str, String)>) -> Result<bool, String> {
        let Some(kept) = &mut self.store else { return Ok(true) };
        let form = Form { ticker: self.ticker.snapshot(now), run: self.run.clone(), by: Some(self.mark) };
        let actor = format!("timer:{}", kept.store.owner());
        let event = told.map(|(code, why)| store::Event::new(Some("saved"), "saved", &actor, code, why));
        let snapshots = Snapshots::new(Arc::clone(&kept.store));
        match snapshots.save_and_tell(&kept.key, "timer", &form, kept.version, event).await {
            Ok(Saved::Done(version)) => {
                kept.version = Some(version);
                Ok(true)
            }
            Ok(Saved::Raced) => {
                // Whatever stands there now is another version.
                kept.version = None;
                Ok(false)
            }
            Err(error) => Err(chain(&error)),
        }
    }

    pub(super) fn occasion(&self, turn: &Turn, stop: Shutdown) -> Occasion {
        Occasion { name: Arc::clone(self.entry.named()), occurrence: turn.occurrence, why: turn.why, stop }
    }

    pub(super) fn submission(&self) -> Option<Arc<Submission>> {
        match self.entry.work() {
            Some(Work::Job(submission)) => Some(Arc::clone(submission)),
            _ => None,
        }
    }

    fn runs(&self) -> Option<Runs> {
        self.store.as_ref().map(|kept| Runs::new(Arc::clone(&kept.store)))
    }

    /// Whether the run that was submitted last will go on by itself.
    pub(super) async fn still_runs(&self) -> Result<bool, String> {
        let (Some(runs), Some(id)) = (self.runs(), &self.run) else { return Ok(false) };
        let run = runs.get(id).await.map_err(|error| chain(&error))?;
        Ok(run.is_some_and(|run| !run.state().is_terminal() && run.state() != State::NeedsReview))
    }

    /// Stops the run that was submitted last.
    pub(super) async fn replace(&self, now: Timestamp) -> Result<(), String> {
        let (Some(runs), Some(id)) = (self.runs(), &self.run) else { return Ok(()) };
        let by = format!("timer:{}", self.entry.name());
        let word = Word { by: &by, why: "the next occurrence takes its place", at: now };
        match runs.cancel(id, word).await {
            // It has ended meanwhile.
            Ok(_) | Err(runs::Error::NotFor { .. } | runs::Error::NoSuchRun { .. }) => Ok(()),
            Err(error) => Err(chain(&error)),
        }
    }

    /// Makes the occasion a run, where the entry is a job's. Done twice, by whomever, it is one run.
    pub(super) async fn submit(&self, occasion: &Occasion, env: &dyn Env) -> Result<Given, String> {
        let Some(submission) = self.submission() else { return Ok(Given::default()) };
        let Some(kept) = &self.store else { return Ok(Given::not_taken(String::from("there is no store"))) };
        let given =
            caught(|| (submission.input)(occasion).map(|input| (input, self.entry.terms_of(occasion))));
        let (input, terms) = match given {
            Ok(Ok(given)) => given,
            Ok(Err(why)) | Err(why) => return Ok(Given::not_taken(why)),
        };
        let key = match occasion_key(self.entry.name(), occasion.occurrence.nominal) {
            Ok(key) => key,
            Err(error) => return Ok(Given::not_taken(chain(&error))),
        };
        let submitted =
            submission.job.submit_occasion(&kept.store, &input, &terms, key, env.now().wall).await;
        let run = match submitted {
            Ok(Submitted::Created(run) | Submitted::Existing(run, _)) => Some(run.id().to_owned()),
            Ok(Submitted::Settled { .. }) => None,
            Ok(Submitted::Conflict { key, .. }) => {
                return Ok(Given::not_taken(format!("{key} was used before with another payload")));
            }
            Err(error @ (job::Error::Input { .. } | job::Error::Refused { .. })) => {
                return Ok(Given::not_taken(chain(&error)));
            }
            Err(error) => return Err(chain(&error)),
        };
        Ok(Given { run, refused: None })
    }
}
