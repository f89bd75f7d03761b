//! The order of the layers, contracts, overrides, credentials.

use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::*;
use crate::act::credential::{self, Renew};
use crate::base::fault::{Class, Severity};
use crate::base::time::BoxFuture;
use crate::decide::budget;
use crate::decide::contract::{self, Violations};
use crate::decide::quota::Quota;

/// Everything at once, so that the first layer that refuses shows which is the outer one.
#[test]
fn the_layers_refuse_from_the_outside_in() {
    let clock = SimClock::default();
    let call = Call::to("api")
        .budget(budget::Policy::cron().tokens_max(2))
        .breaker(breaker::Policy::never().consecutive(2))
        .quota(Quota::per_day(2).unwrap())
        .concurrency(1)
        .concurrency_wait(Duration::ZERO)
        .effect(Effect::Idempotent)
        .on(clock.clone())
        .build()
        .unwrap();
    let fault = Fault::transient("http.503");
    let mut inner = String::new();
    let stopped = call
        .run_blocking(|attempt| {
            if attempt.number() == 1 {
                // The slot is taken, and there is one left of the quota: the bulkhead is what refuses.
                inner = call.run_blocking(|_| Ok::<_, io::Error>(())).unwrap_err().code().to_owned();
            }
            Err::<(), _>(fault.clone())
        })
        .unwrap_err();
    assert_eq!(inner, "call.full");
    // The second failure opens the breaker: it is asked before the budget is, which would have had nothing left.
    assert_eq!((stopped.code(), stopped.attempts().count()), ("breaker.open", 2));
    // Breaker, quota and budget would all refuse now; the breaker is the outermost of them that is asked before a call.
    assert_eq!(call.run_blocking(|_| Ok::<_, io::Error>(())).unwrap_err().code(), "breaker.open");
    clock.advance(secs(3600));
    assert_eq!(call.run_blocking(|_| Ok::<_, io::Error>(())).unwrap_err().code(), "quota.spent");
}

#[test]
fn an_answer_that_breaks_the_contract_is_permanent_and_proves_the_service_alive() {
    let clock = SimClock::default();
    let positive = contract::of("answer/1", |value: &i64| {
        let mut found = Violations::default();
        found.unless(*value > 0, "value", "above zero", value);
        found
    });
    let call = youtube(&clock).contract(&positive).build().unwrap();
    assert_eq!(call.run_blocking(|_| Ok::<_, io::Error>(7)).unwrap(), 7);
    for _ in 0..5 {
        let stopped = call.run_blocking(|_| Ok::<_, io::Error>(-7)).unwrap_err();
        assert_eq!(stopped.attempts().count(), 1);
        assert_eq!(&*stopped.attempts().last().unwrap().code, "contract.response");
        assert_eq!(
            stopped.last().unwrap().to_string(),
            "the answer is not as the contract says: value is -7, allowed is above zero"
        );
    }
    assert_eq!(call.breaker().standing(), Standing::Closed);
}

#[test]
fn an_ok_that_stands_for_a_failure_is_one() {
    let clock = SimClock::default();
    let empty = |page: &String| page.is_empty().then(|| io::Error::from(io::ErrorKind::TimedOut));
    let call = youtube(&clock).reject(empty).build().unwrap();
    let answered = call.run_blocking(|attempt| {
        Ok::<_, io::Error>(if attempt.number() < 3 { String::new() } else { "page".into() })
    });
    assert_eq!(answered.unwrap(), "page");
}

#[test]
fn the_class_table_of_a_dependency_overrides_the_classifier() {
    let clock = SimClock::default();
    let call = youtube(&clock).class_of("http.403", Class::Transient).build().unwrap();
    let stopped = call.run_blocking(|_| Err::<(), _>(Fault::permanent("http.403"))).unwrap_err();
    assert_eq!(stopped.attempts().count(), 3, "retried until the breaker opened");
    let fatal = youtube(&clock).severity_of("http.402", Severity::Fatal).build().unwrap();
    let stopped = fatal.run_blocking(|_| Err::<(), _>(Fault::permanent("http.402"))).unwrap_err();
    assert_eq!(stopped.code(), "retry.fatal");
    let wrong = youtube(&clock).class_of("", Class::Transient).build().unwrap_err();
    assert!(crate::base::fault::chain(&wrong).contains("override of code"), "{wrong}");
}

#[test]
fn absurd_policies_are_errors_that_name_the_field() {
    let build = |builder: Builder<ByTrait, SimClock>| {
        crate::base::fault::chain(&builder.build().map(drop).unwrap_err())
    };
    let clock = SimClock::default();
    clock.advance(secs(3600));
    let call = || youtube(&clock);
    let retry = retry::Policy::cron();
    let past = crate::base::time::Timestamp::UNIX_EPOCH;
    for (builder, named) in [
        (call().retry(retry.transient(|s| s.attempts_max(0))), "transient.attempts_max is 0"),
        (call().retry(retry.transient(|s| s.delay_base(secs(999)))), "transient.delay_base is 999s"),
        (call().retry(retry.deadline(past)), "deadline is 3600s in the past"),
        (call().deadline_total(Duration::ZERO), "deadline_total is zero"),
        (call().concurrency(0), "concurrency is zero"),
        (call().accounts_max(0), "accounts_max is zero"),
        (call().breaker(breaker::Policy::cron().open_jitter(101)), "open_jitter is 101"),
        (
            call().breaker(breaker::Policy::cron().rate(breaker::Rate {
                percent: 50,
                calls: 5,
                min: 6,
                within: None,
            })),
            "rate.min is 6",
        ),
        (call().budget(budget::Policy::cron().tokens_max(0)), "tokens_max is 0"),
    ] {
        let said = build(builder);
        assert!(said.contains(named), "{said:?} does not say {named:?}");
    }
    let quota = Quota::per_day(1).unwrap();
    assert!(build((0..5).fold(call(), |call, _| call.quota(quota))).contains("5 quotas"));
}

#[test]
fn a_call_that_panics_gives_back_its_slot() {
    let clock = SimClock::default();
    let call = youtube(&clock).concurrency(1).concurrency_wait(Duration::ZERO).build().unwrap();
    for _ in 0..3 {
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _never = call.run_blocking(|_| -> Result<(), io::Error> { panic!("in the call") });
        }));
        assert!(panicked.is_err());
    }
    assert!(call.run_blocking(|_| Ok::<_, io::Error>(())).is_ok());
    assert_eq!(call.breaker().standing(), Standing::Closed, "a panic scores nothing");
}

/// A credential whose token is a number.
#[derive(Default)]
struct Numbered {
    generation: AtomicU64,
    renewed: AtomicU32,
    refusal: Mutex<Option<credential::Refusing>>,
}

impl Renew for Numbered {
    fn name(&self) -> &str {
        "numbered"
    }

    fn generation(&self) -> u64 {
        self.generation.load(Ordering::SeqCst)
    }

    fn refusal(&self) -> Option<credential::Refusing> {
        *self.refusal.lock().unwrap()
    }

    fn renew(&self, seen: u64) -> BoxFuture<'_, Result<(), credential::Refusing>> {
        Box::pin(async move {
            if self.generation() == seen {
                self.renewed.fetch_add(1, Ordering::SeqCst);
                self.generation.fetch_add(1, Ordering::SeqCst);
            }
            self.refusal().map_or(Ok(()), Err)
        })
    }
}

fn unauthorized() -> Fault {
    Fault::new(Class::Unauthorized, "http.401")
}

#[test]
fn a_401_forces_one_refresh_and_one_attempt_at_once() {
    let (clock, token) = (SimClock::default(), Arc::new(Numbered::default()));
    let call = youtube(&clock).credential(Arc::clone(&token) as Arc<dyn Renew>).build().unwrap();
    let answered = call.run_blocking(|_| match token.generation() {
        0 => Err(unauthorized()),
        generation => Ok(generation),
    });
    assert_eq!((answered.unwrap(), token.renewed.load(Ordering::SeqCst)), (1, 1));
    assert_eq!(clock.elapsed(), Duration::ZERO, "at once");
    let stopped = call.run_blocking(|_| Err::<(), _>(unauthorized())).unwrap_err();
    assert_eq!((stopped.code(), stopped.attempts().count()), ("retry.unauthorized_again", 2));
    assert_eq!(token.renewed.load(Ordering::SeqCst), 2, "the second 401 refreshes nothing");
}

#[test]
fn a_token_that_somebody_else_has_refreshed_meanwhile_is_not_refreshed_again() {
    let (clock, token) = (SimClock::default(), Arc::new(Numbered::default()));
    let call = youtube(&clock).credential(Arc::clone(&token) as Arc<dyn Renew>).build().unwrap();
    let answered = call.run_blocking(|attempt| {
        if attempt.number() == 1 {
            token.generation.store(7, Ordering::SeqCst);
            return Err(unauthorized());
        }
        Ok(())
    });
    assert!(answered.is_ok());
    assert_eq!(token.renewed.load(Ordering::SeqCst), 0);
}

#[test]
fn nothing_is_called_while_a_credential_needs_a_person() {
    let (clock, token) = (SimClock::default(), Arc::new(Numbered::default()));
    let of = Arc::clone(&token);
    let call = youtube(&clock)
        .credential_of(move |account| (account == "alice").then(|| Arc::clone(&of) as Arc<dyn Renew>))
        .build()
        .unwrap();
    *token.refusal.lock().unwrap() = Some(credential::Refusing::NeedsHuman { class: Class::Permanent });
    let mut called = 0;
    let refused = call
        .key("alice")
        .run_blocking(|_| {
            called += 1;
            Ok::<_, io::Error>(())
        })
        .unwrap_err();
    assert_eq!((called, refused.exit_code(), refused.attempts().count()), (0, 75, 0));
    assert!(matches!(refused, Stopped::Refused { why: Refusing::Credential(_), .. }));
    assert!(call.key("bob").run_blocking(|_| Ok::<_, io::Error>(())).is_ok());
}

#[test]
fn no_first_attempt_begins_past_the_deadline() {
    let clock = SimClock::default();
    let at = crate::base::time::later(clock.now().wall, secs(100));
    let call = youtube(&clock).retry(retry::Policy::cron().deadline(at)).build().unwrap();
    let mut called = 0;
    let mut run = || {
        call.run_blocking(|_| {
            called += 1;
            Ok::<_, io::Error>(())
        })
    };
    assert!(run().is_ok());
    clock.advance(secs(100));
    let refused = run().unwrap_err();
    assert_eq!((refused.code(), refused.exit_code(), called), ("call.out_of_time", 75, 1));
}
