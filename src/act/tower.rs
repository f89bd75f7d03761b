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
