//! A call as a tower layer: the same decisions around any service, and tower's own rules kept.

use std::io;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tower::{Layer as _, Service, ServiceBuilder, ServiceExt as _, service_fn};
use unattended::call::{ByTrait, Call, Last, Stopped};
use unattended::effect::Effect;
use unattended::fault::Fault;
use unattended::testing::sim::Sim;
use unattended::time::Clock as _;
use unattended::tower::CallLayer;
use unattended::{breaker, retry};

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
