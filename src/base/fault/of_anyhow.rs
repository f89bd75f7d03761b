//! What is known in the chain of an `anyhow::Error`.

use std::backtrace::BacktraceStatus;

use super::{Classify, Fault, Panicked, chain, of_chain};

/// How many characters of a backtrace [`report`] keeps.
const BACKTRACE_MAX: usize = 16_000;

impl Classify for anyhow::Error {
    /// A [`Fault`] that was added as context, else what [`of_chain`] finds.
    fn fault(&self) -> Fault {
        if let Some(fault) = self.downcast_ref::<Fault>() {
            return fault.clone();
        }
        // Values that were added as context can be asked for by their types, and are no links of the chain.
        match self.downcast_ref::<Panicked>() {
            Some(panicked) => panicked.fault(),
            None => of_chain(self.as_ref()),
        }
    }
}

/// What a dead letter keeps of an error without a class: its whole chain in one line, as [`chain`] writes it, and below
/// it the backtrace, at most 16,000 characters of it.
///
/// There is a backtrace only where `RUST_BACKTRACE` or `RUST_LIB_BACKTRACE` asked for one when the error was made.
///
/// ```
/// use anyhow::Context as _;
/// use unattended::fault;
///
/// let page = "seven".parse::<u32>().context("reading the page's number");
/// let report = fault::report(&page.unwrap_err());
/// assert!(report.starts_with("reading the page's number: invalid digit found in string"));
/// ```
#[must_use]
pub fn report(error: &anyhow::Error) -> String {
    let mut text = chain(error.as_ref());
    let backtrace = error.backtrace();
    if backtrace.status() == BacktraceStatus::Captured {
        let lines = backtrace.to_string();
        text.push('\n');
        text.extend(lines.chars().take(BACKTRACE_MAX));
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io;

    use anyhow::Context as _;

    use super::*;
    use crate::base::fault::Class;

    #[test]
    fn what_is_known_in_the_chain_of_an_anyhow_error_decides() {
        let refused: Result<(), _> = Err(io::Error::from(io::ErrorKind::ConnectionRefused));
        let error = refused.context("asking for the page").context("the nightly copy").unwrap_err();
        assert_eq!(error.fault().code, "io.connection_refused");
        assert_eq!(anyhow::anyhow!("odd").fault(), Fault::unknown());
    }

    #[test]
    fn a_fault_that_was_added_as_context_decides() {
        let parsed: Result<u32, _> = "seven".parse();
        let error = parsed.context(Fault::permanent("page.number")).context("the nightly copy").unwrap_err();
        assert_eq!((error.fault().class, &*error.fault().code), (Class::Permanent, "page.number"));
    }

    #[test]
    fn the_report_has_the_whole_chain() {
        let error = anyhow::Error::new(io::Error::other("no route")).context("asking").context("the copy");
        assert!(report(&error).starts_with("the copy: asking: no route"));
    }

    #[test]
    fn the_report_has_the_backtrace_where_there_is_one() {
        const ASKED: &str = "RUST_LIB_BACKTRACE";
        let error = anyhow::anyhow!("odd");
        if std::env::var(ASKED).is_ok_and(|asked| asked == "1") {
            assert!(report(&error).contains("the_report_has_the_backtrace"), "{}", report(&error));
            return;
        }
        // Whether there are backtraces is read once in a process, so this is asked of another one.
        let test = "base::fault::of_anyhow::tests::the_report_has_the_backtrace_where_there_is_one";
        let child = std::process::Command::new(std::env::current_exe().unwrap())
            .args([test, "--exact"])
            .env(ASKED, "1")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&child.stdout);
        assert!(child.status.success() && said.contains("1 passed"), "{said}");
    }
}
