//! Where pages go.

#[cfg(all(feature = "process", unix))]
mod command;
mod file;
#[cfg(feature = "webhook")]
mod webhook;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use futures_channel::oneshot;

#[cfg(all(feature = "process", unix))]
pub use command::Command;
pub use file::File;
#[cfg(feature = "webhook")]
pub use webhook::Webhook;

use crate::act::isolate::{Group, Outcome};
use crate::act::notify::Page;
use crate::base::fault::Fault;
use crate::base::text::{about, head};

/// So many bytes of why a sink failed are kept.
const WHY_MAX: usize = 500;

/// Where pages go. It may block: it has a thread of its own, and so long as its [time-out](crate::act::notify::Builder::timeout).
///
/// A page may come twice, where a process was killed after the first; its `id` is the same then, and so are `count` and `last`.
pub trait Sink: Send + Sync + 'static {
    /// Sends a page; when it returns well, the page is taken to have arrived.
    ///
    /// # Errors
    /// When it did not; it is tried again later.
    fn send(&self, page: &Page) -> Result<(), SinkError>;

    /// How long it may take at most, where that is less than the time-out of all sinks.
    fn timeout(&self) -> Option<Duration> {
        None
    }
}

impl<F> Sink for F
where
    F: Fn(&Page) -> Result<(), SinkError> + Send + Sync + 'static,
{
    fn send(&self, page: &Page) -> Result<(), SinkError> {
        self(page)
    }
}

/// Why a page could not be sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SinkError {
    /// The sink says no, or cannot be reached.
    #[error("{0}")]
    Failed(String),
    /// It took too long.
    #[error("it did not answer within {}", about(*.after))]
    TimedOut {
        /// How long it was waited for.
        after: Duration,
    },
    /// It still hangs since it was asked before.
    #[error("it still hangs since it was asked before")]
    Hangs,
    /// It panicked.
    #[error("it panicked: {0}")]
    Panicked(String),
}

impl SinkError {
    /// The sink says no, or cannot be reached; of a long sentence 500 bytes are kept.
    #[must_use]
    pub fn failed(why: impl ToString) -> Self {
        Self::Failed(head(&why.to_string(), WHY_MAX).to_owned())
    }
}

/// A sink, and whether it hangs.
#[derive(Clone)]
pub(super) struct Outlet {
    pub(super) name: String,
    pub(super) timeout: Duration,
    sink: Arc<dyn Sink>,
    /// Whether it has not come back yet: a thread that hangs is one, not one more for each page.
    busy: Arc<AtomicBool>,
}

impl Outlet {
    pub(super) fn new(name: String, sink: Arc<dyn Sink>, timeout: Duration) -> Self {
        let timeout = sink.timeout().map_or(timeout, |own| own.min(timeout));
        Self { name, timeout, sink, busy: Arc::default() }
    }
}

/// Says that it has come back; also where no thread could be had for it.
struct Back(Arc<AtomicBool>);

impl Drop for Back {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

type Answer = (String, Result<(), SinkError>);

/// Sends a page by all that have not taken it, side by side; what each said. Of those that are `silent` already none is waited for
/// again, and each that does not answer becomes one.
pub(super) async fn deliver(
    outlets: &[Outlet],
    done: &[String],
    silent: &mut Vec<String>,
    page: &Arc<Page>,
) -> Vec<Answer> {
    let mut answers = Vec::new();
    let mut group = Group::threads("alerts").at_once(outlets.len().max(1));
    let mut asked = Vec::new();
    for outlet in outlets.iter().filter(|outlet| !done.contains(&outlet.name)) {
        if silent.contains(&outlet.name) || outlet.busy.swap(true, Ordering::AcqRel) {
            answers.push((outlet.name.clone(), Err(SinkError::Hangs)));
            continue;
        }
        let (sink, page, back) = (Arc::clone(&outlet.sink), Arc::clone(page), Back(Arc::clone(&outlet.busy)));
        let run = move |_: &_| {
            let _back = back;
            Ok::<_, Fault>(sink.send(&page))
        };
        group = group.engine(outlet.name.as_str(), run).timeout(outlet.timeout);
        asked.push(outlet.name.clone());
    }
    if asked.is_empty() {
        return answers;
    }
    let (send, receive) = oneshot::channel();
    let spawned =
        thread::Builder::new().name(String::from("alerts")).spawn(move || drop(send.send(group.run())));
    let report = match spawned {
        Ok(_) => receive.await.ok(),
        Err(_) => None,
    };
    let mut entries = report.into_iter().flat_map(crate::act::isolate::Report::into_entries);
    for name in asked {
        let answer = match entries.next().map(|entry| entry.outcome) {
            Some(Outcome::Done { value }) => value,
            Some(Outcome::TimedOut { after }) => Err(SinkError::TimedOut { after }),
            Some(Outcome::Panicked { message }) => Err(SinkError::Panicked(message)),
            _ => Err(SinkError::failed("there is no thread to send it on")),
        };
        if matches!(answer, Err(SinkError::TimedOut { .. })) {
            silent.push(name.clone());
        }
        answers.push((name, answer));
    }
    answers
}
