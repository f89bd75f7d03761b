//! What an error's sources know, and how the whole of it is told.

use std::any::Any;
use std::error::Error;
use std::io;
use std::iter::successors;

use super::{Class, Classify, Fault};

/// How many sources are looked at; an error that is its own source would go on for ever.
const LINKS_MAX: usize = 64;

impl Classify for Box<dyn Error> {
    fn fault(&self) -> Fault {
        of_chain(&**self)
    }
}

impl Classify for Box<dyn Error + Send + Sync> {
    fn fault(&self) -> Fault {
        of_chain(&**self)
    }
}

/// What the chain of sources says: the first error in it that has a classifier decides, else [`Fault::unknown`].
///
/// Found are a [`Fault`] itself, [`Panicked`], `std::io::Error`, and, with the feature of that name, `reqwest::Error` and
/// tokio's `Elapsed` (which is `tokio.timed_out`). At most 64 links are looked at.
///
/// ```
/// use unattended::fault::{self, Fault};
///
/// #[derive(Debug, thiserror::Error)]
/// #[error("loading page {page}")]
/// struct Loading { page: u32, source: Fault }
///
/// let error = Loading { page: 7, source: Fault::transient("pages.busy") };
/// assert_eq!(fault::of_chain(&error).code, "pages.busy");
/// assert_eq!(fault::chain(&error), "loading page 7: pages.busy (transient)");
/// ```
#[must_use]
pub fn of_chain(error: &(dyn Error + 'static)) -> Fault {
    links(error).find_map(known).unwrap_or_else(Fault::unknown)
}

/// The whole chain of an error as one line, outermost first, without saying anything twice; at most 64 links of it.
#[must_use]
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut line = error.to_string();
    for source in links(error).skip(1) {
        let text = source.to_string();
        if !line.ends_with(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
    }
    line
}

/// A panic that was caught: a fault of the class [`Unknown`](Class::Unknown), `fault.panicked`, with what it said.
///
/// ```
/// use unattended::fault::{Class, Classify, Panicked};
///
/// let caught = std::panic::catch_unwind(|| -> u32 { panic!("no page {}", 7) });
/// let panicked = Panicked::of(&*caught.unwrap_err());
/// assert_eq!(panicked.to_string(), "panicked: no page 7");
/// assert_eq!(panicked.fault().class, Class::Unknown);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("panicked: {message}")]
#[non_exhaustive]
pub struct Panicked {
    /// What it said; `no message` when its payload is no text.
    pub message: String,
}

impl Panicked {
    /// What a payload from `catch_unwind` or from a thread's `join` says.
    #[must_use]
    pub fn of(payload: &(dyn Any + Send)) -> Self {
        let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
        Self { message: text.unwrap_or_else(|| String::from("no message")) }
    }
}

impl Classify for Panicked {
    fn fault(&self) -> Fault {
        Fault::new(Class::Unknown, "fault.panicked")
    }
}

/// An error and its sources, outermost first, through `io::Error`s that were made from another error.
pub(super) fn links<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    successors(Some(error), |&error: &&'a (dyn Error + 'static)| {
        // The source of such an io::Error is that of the error within, which itself would be left out.
        let within = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        within.map(|inner| inner as &(dyn Error + 'static)).or_else(|| error.source())
    })
    .take(LINKS_MAX)
}

/// What one link says by itself, if it is of a type that is known here.
fn known(error: &(dyn Error + 'static)) -> Option<Fault> {
    if let Some(fault) = error.downcast_ref::<Fault>() {
        return Some(fault.clone());
    }
    if let Some(panicked) = error.downcast_ref::<Panicked>() {
        return Some(panicked.fault());
    }
    #[cfg(feature = "reqwest")]
    if let Some(error) = error.downcast_ref::<reqwest::Error>() {
        return Some(error.fault());
    }
    #[cfg(feature = "tokio")]
    if error.is::<tokio::time::error::Elapsed>() {
        return Some(Fault::transient("tokio.timed_out"));
    }
    let io = error.downcast_ref::<io::Error>()?;
    // One that was made from another error, without a kind, says less than what it wraps.
    let wraps = io.kind() == io::ErrorKind::Other && io.get_ref().is_some();
    (!wraps).then(|| io.fault())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("loading the page: {0}")]
    struct Wrapped<E: Error + 'static>(#[source] E);

    #[test]
    fn the_chain_is_searched_for_what_has_a_class() {
        let error = Wrapped(io::Error::other(Wrapped(io::Error::from(io::ErrorKind::TimedOut))));
        assert_eq!(of_chain(&error).code, "io.timed_out");
        assert_eq!(of_chain(&std::fmt::Error), Fault::unknown());
        assert_eq!(of_chain(&io::Error::other("odd")), Fault::unknown());
    }

    #[test]
    fn a_fault_in_the_chain_speaks_for_itself() {
        let fault = Fault::rate_limited(Some(std::time::Duration::from_secs(3)));
        assert_eq!(of_chain(&Wrapped(io::Error::other(fault.clone()))), fault);
    }

    #[test]
    fn a_caught_panic_is_of_no_class_and_says_what_it_said() {
        let panicked = Panicked::of(&String::from("no such page"));
        let fault = of_chain(&Wrapped(panicked));
        assert_eq!((fault.class, &*fault.code), (Class::Unknown, "fault.panicked"));
        assert_eq!(Panicked::of(&7_u32).to_string(), "panicked: no message");
    }

    #[test]
    fn the_chain_in_one_line_says_nothing_twice() {
        let error = Wrapped(io::Error::other("no route"));
        assert_eq!(chain(&error), "loading the page: no route");
    }

    #[derive(Debug)]
    struct Endless;

    impl std::fmt::Display for Endless {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("again")
        }
    }

    impl Error for Endless {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&Self)
        }
    }

    #[test]
    fn a_chain_without_an_end_is_looked_at_so_far() {
        assert_eq!(of_chain(&Endless), Fault::unknown());
        assert_eq!(chain(&Endless), "again");
    }

    #[cfg(feature = "tokio")]
    #[tokio::test(start_paused = true)]
    async fn a_time_out_of_tokio_is_one() {
        let elapsed = tokio::time::timeout(std::time::Duration::from_secs(1), std::future::pending::<()>());
        assert_eq!(of_chain(&elapsed.await.unwrap_err()), Fault::transient("tokio.timed_out"));
    }
}
