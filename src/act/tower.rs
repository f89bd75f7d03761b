//! A [`Call`] as a tower layer: any service, with the same decisions.
//!
//! ```
//! use std::sync::Arc;
//! use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
//! use unattended::{breaker, call::Call, effect::Effect, retry, tower::CallLayer};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let call = Call::to("billing")
//!     .retry(retry::Policy::service())
//!     .breaker(breaker::Policy::service())
//!     .effect(Effect::Idempotent)
//!     .build()?;
//! let mut billing = ServiceBuilder::new()
//!     .layer(CallLayer::new(Arc::new(call)))
//!     .service(service_fn(|request: u32| async move { Ok::<_, std::io::Error>(request + 1) }));
//! assert_eq!(billing.ready().await?.call(41).await?, 42);
//! # Ok(()) }
//! ```

use std::fmt;
use std::mem;
use std::sync::Arc;
use std::task::{Context, Poll};

use tower_layer::Layer;
use tower_service::Service;

use crate::act::call::{Call, Classifier, Last, Stopped};
use crate::act::classifier::ByTrait;
use crate::base::time::{BoxFuture, Sleep, System};
use crate::decide::retry::{Disposition, Stopping, Timeline};

/// Puts a [`Call`] around a service. Clones share the call: its breaker, its budget and what else it keeps.
pub struct CallLayer<C = ByTrait, K = System> {
    call: Arc<Call<C, K>>,
}

impl<C, K> CallLayer<C, K> {
    /// The layer with the decisions of `call`.
    #[must_use]
    pub const fn new(call: Arc<Call<C, K>>) -> Self {
        Self { call }
    }
}

impl<S, C, K> Layer<S> for CallLayer<C, K> {
    type Service = CallService<S, C, K>;

    fn layer(&self, inner: S) -> Self::Service {
        CallService { inner, call: Arc::clone(&self.call) }
    }
}

/// A service with a [`Call`] around it: each request is one run of the call, each attempt one request of the inner
/// service.
///
/// It is ready when the inner service is, so back-pressure goes through. The first attempt uses the inner service that
/// was made ready; each further one a clone, which is made ready first, within the attempt's time-out. An error while it
/// becomes ready is such a service's last word, and is given as [`Stopped::Failed`] without an attempt.
pub struct CallService<S, C = ByTrait, K = System> {
    inner: S,
    call: Arc<Call<C, K>>,
}

impl<S, C, K, R> Service<R> for CallService<S, C, K>
where
    S: Service<R> + Clone + Send + 'static,
    S::Response: Send + 'static,
    S::Error: Send + 'static,
    S::Future: Send,
    R: Clone + Send + 'static,
    C: Classifier<S::Error> + Send + Sync + 'static,
    K: Sleep,
{
    type Response = S::Response;
    type Error = Stopped<S::Error>;
    type Future = BoxFuture<'static, Result<S::Response, Stopped<S::Error>>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context).map_err(broken)
    }

    fn call(&mut self, request: R) -> Self::Future {
        let spare = self.inner.clone();
        // The one that was made ready goes with the request; a clone of it is not ready, whatever it is a clone of.
        let mut ready = Some(mem::replace(&mut self.inner, spare.clone()));
        let call = Arc::clone(&self.call);
        Box::pin(async move {
            let attempt = move |_attempt| {
                let (ready, spare, request) = (ready.take(), spare.clone(), request.clone());
                async move {
                    let mut service = match ready {
                        Some(service) => service,
                        None => made_ready(spare).await?,
                    };
                    service.call(request).await
                }
            };
            call.run(attempt).await
        })
    }
}

async fn made_ready<S: Service<R>, R>(mut service: S) -> Result<S, S::Error> {
    std::future::poll_fn(|context| service.poll_ready(context)).await?;
    Ok(service)
}

/// What a service says that will never be ready: no request was made, and none can be.
fn broken<E>(error: E) -> Stopped<E> {
    Stopped::Failed {
        last: Last::Error(error),
        why: Stopping::Permanent,
        disposition: Disposition::GiveUp,
        attempts: Timeline::default(),
    }
}

impl<C, K> Clone for CallLayer<C, K> {
    fn clone(&self) -> Self {
        Self { call: Arc::clone(&self.call) }
    }
}

impl<S: Clone, C, K> Clone for CallService<S, C, K> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), call: Arc::clone(&self.call) }
    }
}

impl<C, K> fmt::Debug for CallLayer<C, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CallLayer(..)")
    }
}

impl<S, C, K> fmt::Debug for CallService<S, C, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CallService(..)")
    }
}

#[cfg(all(test, feature = "testing"))]
mod tests {
    use std::io;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    use tower::{ServiceBuilder, ServiceExt as _, service_fn};

    use super::*;
    use crate::base::effect::Effect;
    use crate::base::fault::Fault;
    use crate::base::time::Clock as _;
    use crate::decide::{breaker, retry};
    use crate::testing::sim::Sim;

    fn sim() -> Sim {
        Sim::new(chrono::DateTime::UNIX_EPOCH, 1)
    }

    fn layer(sim: &Sim) -> CallLayer<ByTrait, Sim> {
        let call = Call::to("billing")
            .retry(retry::Policy::cron())
            .breaker(breaker::Policy::cron())
            .attempt_timeout(Duration::from_secs(30))
            .effect(Effect::Idempotent)
            .on(sim.clone());
        CallLayer::new(Arc::new(call.build().unwrap()))
    }

    fn down() -> io::Error {
        io::ErrorKind::TimedOut.into()
    }

    #[test]
    fn a_request_is_retried_with_the_decisions_of_the_call() {
        let (sim, calls) = (sim(), AtomicU32::new(0));
        let calls = Arc::new(calls);
        let counted = Arc::clone(&calls);
        let service =
            ServiceBuilder::new().layer(layer(&sim)).service(service_fn(move |request: &'static str| {
                let call = counted.fetch_add(1, Ordering::SeqCst);
                async move { if call < 2 { Err(down()) } else { Ok(request) } }
            }));
        assert_eq!(sim.block_on(service.oneshot("page")).unwrap().unwrap(), "page");
        assert_eq!(calls.load(Ordering::SeqCst), 3);
        assert!(sim.elapsed() >= Duration::from_secs(1), "it waited: {:?}", sim.elapsed());
    }

    #[test]
    fn an_open_breaker_refuses_without_calling_the_inner_service() {
        let (sim, calls) = (sim(), Arc::new(AtomicU32::new(0)));
        let counted = Arc::clone(&calls);
        let service = ServiceBuilder::new().layer(layer(&sim)).service(service_fn(move |(): ()| {
            counted.fetch_add(1, Ordering::SeqCst);
            async { Err::<(), _>(down()) }
        }));
        // Clones share the breaker.
        let stopped = sim.block_on(service.clone().oneshot(())).unwrap().unwrap_err();
        assert_eq!((stopped.code(), calls.load(Ordering::SeqCst)), ("breaker.open", 3));
        let refused = sim.block_on(service.oneshot(())).unwrap().unwrap_err();
        assert!(matches!(refused, Stopped::Refused { .. }), "{refused}");
        assert_eq!(calls.load(Ordering::SeqCst), 3);
    }

    #[test]
    fn a_hung_inner_call_is_cut_at_the_attempt_time_out() {
        let (sim, calls) = (sim(), Arc::new(AtomicU32::new(0)));
        let counted = Arc::clone(&calls);
        let began = sim.now().moment;
        let service = ServiceBuilder::new().layer(layer(&sim)).service(service_fn(move |(): ()| {
            let call = counted.fetch_add(1, Ordering::SeqCst);
            async move {
                if call == 0 {
                    std::future::pending::<()>().await;
                }
                Ok::<_, io::Error>(())
            }
        }));
        sim.block_on(service.oneshot(())).unwrap().unwrap();
        assert_eq!(calls.load(Ordering::SeqCst), 2);
        let took = sim.now().moment.since(began);
        assert!(took >= Duration::from_secs(30) && took <= Duration::from_secs(32), "{took:?}");
    }

    /// A service that insists on the rule: no call without having been made ready, clones are not ready.
    struct Strict {
        ready: bool,
        fails: Arc<AtomicU32>,
        made_ready: Arc<AtomicU32>,
    }

    impl Strict {
        fn new(fails: u32) -> Self {
            Self { ready: false, fails: Arc::new(AtomicU32::new(fails)), made_ready: Arc::default() }
        }
    }

    impl Clone for Strict {
        fn clone(&self) -> Self {
            Self { ready: false, fails: Arc::clone(&self.fails), made_ready: Arc::clone(&self.made_ready) }
        }
    }

    impl Service<()> for Strict {
        type Response = ();
        type Error = Fault;
        type Future = std::future::Ready<Result<(), Fault>>;

        fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Fault>> {
            if self.fails.load(Ordering::SeqCst) == 99 {
                return Poll::Ready(Err(Fault::permanent("service.closed")));
            }
            // It takes two looks.
            if !self.ready {
                self.ready = true;
                self.made_ready.fetch_add(1, Ordering::SeqCst);
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, (): ()) -> Self::Future {
            assert!(mem::take(&mut self.ready), "called without having been made ready");
            let left = self.fails.load(Ordering::SeqCst);
            self.fails.store(left.saturating_sub(1), Ordering::SeqCst);
            std::future::ready(if left > 0 { Err(Fault::transient("http.503")) } else { Ok(()) })
        }
    }

    #[test]
    fn the_service_that_was_made_ready_is_called_and_a_fresh_clone_is_made_ready_first() {
        let sim = sim();
        let strict = Strict::new(2);
        let made_ready = Arc::clone(&strict.made_ready);
        let mut service = layer(&sim).layer(strict);
        sim.block_on(async {
            service.ready().await.unwrap().call(()).await.unwrap();
            assert_eq!(made_ready.load(Ordering::SeqCst), 3, "once for each attempt, and not once more");
            service.ready().await.unwrap().call(()).await.unwrap();
        })
        .unwrap();
        assert_eq!(made_ready.load(Ordering::SeqCst), 4);
    }

    #[test]
    fn a_service_that_will_never_be_ready_says_so_without_an_attempt() {
        let sim = sim();
        let stopped = sim.block_on(layer(&sim).layer(Strict::new(99)).oneshot(())).unwrap().unwrap_err();
        assert_eq!((stopped.attempts().count(), stopped.code()), (0, "retry.permanent"));
        let last = stopped.last().and_then(Last::error);
        assert_eq!(last, Some(&Fault::permanent("service.closed")));
    }
}
