//! What an entry does when its time has come.

use std::error::Error as StdError;
use std::future::Future;
use std::sync::Arc;

use crate::act::env::Env;
use crate::act::job::Job;
use crate::act::shutdown::Shutdown;
use crate::base::canonical::{InvalidKey, Key};
use crate::base::fault::chain;
use crate::base::time::{BoxFuture, Timestamp};
use crate::decide::schedule::{Occurrence, Running};
use crate::remember::runs::Json;

/// An occurrence that is run: what the work is about, and whether it is asked to stop.
#[derive(Clone, Debug)]
pub struct Occasion {
    /// The entry's name.
    pub name: Arc<str>,
    /// Which occurrence.
    pub occurrence: Occurrence,
    /// Why it is run: it is its time, or it was missed.
    pub why: Running,
    /// Triggered when the work is to stop: its successor takes its place, or the timer ends.
    pub stop: Shutdown,
}

/// How the work of an occurrence ended; the error where it failed.
pub(super) struct Done(pub(super) Option<String>);

impl Done {
    pub(super) const fn panicked(said: String) -> Self {
        Self(Some(said))
    }

    fn of<E: Into<Box<dyn StdError + Send + Sync>>>(result: Result<(), E>) -> Self {
        Self(result.err().map(|error| chain(&*error.into())))
    }
}

#[derive(Clone)]
pub(super) enum Work {
    Future(Arc<dyn Fn(Occasion) -> BoxFuture<'static, Done> + Send + Sync>),
    Blocking(Arc<dyn Fn(Occasion) -> Done + Send + Sync>),
    Job(Arc<Submission>),
}

/// The key of an occurrence, for a job that has none of its own.
pub(super) fn occasion_key(entry: &str, nominal: Timestamp) -> Result<Key, InvalidKey> {
    Key::new("timer", entry, nominal.to_rfc3339())
}

/// How an occurrence becomes a run of a job.
pub(super) struct Submission {
    pub(super) job: Job,
    pub(super) input: Arc<InputOf>,
}

type InputOf = dyn Fn(&Occasion) -> Result<Json, String> + Send + Sync;

impl Work {
    pub(super) fn future<F, Fut, E>(work: F) -> Self
    where
        F: Fn(Occasion) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<Box<dyn StdError + Send + Sync>>,
    {
        Self::Future(Arc::new(move |occasion| {
            let work = work(occasion);
            Box::pin(async move { Done::of(work.await) })
        }))
    }

    pub(super) fn blocking<F, E>(work: F) -> Self
    where
        F: Fn(Occasion) -> Result<(), E> + Send + Sync + 'static,
        E: Into<Box<dyn StdError + Send + Sync>>,
    {
        Self::Blocking(Arc::new(move |occasion| Done::of(work(occasion))))
    }

    /// Does it; not for jobs, whose runs are submitted.
    pub(super) fn begin(&self, env: &Arc<dyn Env>, occasion: Occasion) -> BoxFuture<'static, Done> {
        let (work, env) = (self.clone(), Arc::clone(env));
        Box::pin(async move {
            match work {
                Self::Future(work) => match env.pool() {
                    Some(pool) => pool.run(work(occasion)).await.unwrap_or_else(no_thread),
                    None => work(occasion).await,
                },
                Self::Blocking(work) => {
                    env.block(move || work(occasion)).await.unwrap_or_else(Done::panicked)
                }
                Self::Job(_) => Done(None),
            }
        })
    }
}

fn no_thread() -> Done {
    Done(Some(String::from("it panicked, or there is no thread for it")))
}
