//! The loop of a call, once for both faces: enter, try, settle, wait.

use std::future::Future;

use crate::act::call::face::{Face, cut};
use crate::act::call::judge::Judge;
use crate::act::call::ongoing::{Failed, Ongoing};
use crate::act::call::{Last, Stopped};
use crate::act::classifier::Classifier;
use crate::base::time::Clock;
use crate::decide::retry::Attempt;

/// Goes on from `failed`, an attempt that was made already, or from the beginning; and notes how it ends.
pub(super) async fn drive<'a, T, E, F, Fut, C, K, R, W>(
    mut ongoing: Ongoing<'a, E, C, K, R>,
    face: &W,
    op: &mut F,
    failed: Option<Failed<'a, K, E>>,
) -> Result<T, Stopped<E>>
where
    F: FnMut(Attempt) -> Fut,
    Fut: Future<Output = Result<T, Last<E>>>,
    C: Classifier<E>,
    K: Clock,
    R: Judge<T, E>,
    W: Face,
{
    let ended = attempts(&mut ongoing, face, op, failed).await;
    #[cfg(feature = "store")]
    if let Some(watched) = &ongoing.call.statistics {
        let ended_by = ended.as_ref().map(|(_, attempt)| *attempt);
        let ended_by = ended_by.map_err(|stopped| (stopped.attempts().count(), stopped.code()));
        watched.note(face, ended_by, ongoing.started(), ongoing.call.clock.now()).await;
    }
    ended.map(|(value, _)| value)
}

async fn attempts<'a, T, E, F, Fut, C, K, R, W>(
    ongoing: &mut Ongoing<'a, E, C, K, R>,
    face: &W,
    op: &mut F,
    mut failed: Option<Failed<'a, K, E>>,
) -> Result<(T, u32), Stopped<E>>
where
    F: FnMut(Attempt) -> Fut,
    Fut: Future<Output = Result<T, Last<E>>>,
    C: Classifier<E>,
    K: Clock,
    R: Judge<T, E>,
    W: Face,
{
    loop {
        if let Some(failed) = failed.take() {
            let delay = ongoing.failed(face, failed).await?;
            face.sleep(delay).await;
        }
        let (passage, attempt) = ongoing.enter(face).await?;
        let given = cut(face, op(attempt), attempt.remaining()).await;
        match judged(&ongoing.call.accept, given, attempt) {
            Ok(value) => {
                ongoing.succeeded(face, passage, attempt).await;
                return Ok((value, attempt.number()));
            }
            Err(last) => failed = Some((passage, attempt, last)),
        }
    }
}

/// What an attempt gave, after the contract had its word; `None` means that it was cut.
#[inline]
pub(super) fn judged<T, E>(
    accept: &impl Judge<T, E>,
    given: Option<Result<T, Last<E>>>,
    attempt: Attempt,
) -> Result<T, Last<E>> {
    match given {
        Some(Ok(value)) => match accept.judge(&value) {
            None => Ok(value),
            Some(last) => Err(last),
        },
        Some(Err(last)) => Err(last),
        None => Err(Last::TimedOut { after: attempt.remaining() }),
    }
}
