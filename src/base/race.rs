//! Work that has an end.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

/// What `work` gives, if it gives it before `end`. The work is asked first: an answer that is there is not thrown away
/// because its time is over too. `end` is not polled, so an `async` block makes no timer, unless the work has to wait.
#[inline]
pub(crate) async fn before<T>(end: impl Future<Output = ()>, work: impl Future<Output = T>) -> Option<T> {
    let (mut work, mut end) = (pin!(work), pin!(end));
    poll_fn(move |context| {
        if let Poll::Ready(done) = work.as_mut().poll(context) {
            return Poll::Ready(Some(done));
        }
        end.as_mut().poll(context).map(|()| None)
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;
    use crate::base::park::block_on;

    #[test]
    fn an_answer_that_is_there_counts_though_its_time_is_over() {
        assert_eq!(block_on(before(ready(()), ready(7))), Some(7));
        assert_eq!(block_on(before(ready(()), pending::<u32>())), None);
        let never = async { unreachable!("a timer was made for what was there at once") };
        assert_eq!(block_on(before(never, ready(7))), Some(7));
    }
}
