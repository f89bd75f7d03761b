//! Random lifetimes, failures and clock steps: no caller ever sees a token that is over, and none is refused one while a
//! refresh is possible.

use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use chrono::TimeDelta;
use proptest::prelude::*;
use unattended::credential::{Credential, Error, Refusing, Renew, Token};
use unattended::fault::{Class, Fault};
use unattended::memory::Memory;
use unattended::store::Store;
use unattended::time::{Clock, Sleep};

use super::sim;

/// Something that happens.
#[derive(Clone, Debug)]
enum Happens {
    Passes(u64),
    Steps(i64),
    Callers(usize),
    Until(u32),
    Refused,
    Fails(u32),
    Heals,
    Slow(u64),
}

fn happens() -> impl Strategy<Value = Happens> {
    prop_oneof![
        4 => (1u64..4000).prop_map(Happens::Passes),
        1 => (-40_000i64..40_000).prop_map(Happens::Steps),
        4 => (1usize..6).prop_map(Happens::Callers),
        1 => (1u32..8000).prop_map(Happens::Until),
        1 => Just(Happens::Refused),
        2 => (1u32..4).prop_map(Happens::Fails),
        2 => Just(Happens::Heals),
        1 => (0u64..60).prop_map(Happens::Slow),
    ]
}

/// What the other side knows of a token, on a clock that nobody steps.
#[derive(Clone, Copy)]
struct Issued {
    number: u32,
    ends: Duration,
}

#[derive(Default)]
struct Other {
    issued: u32,
    failing: u32,
    slow: Duration,
    last_failure: Option<Duration>,
}

fn story(lifetime: u64, shared: bool, steps: &[Happens]) {
    let sim = sim();
    let other = Arc::new(Mutex::new(Other::default()));
    let lifetime = Duration::from_secs(lifetime);
    let (side, clock) = (Arc::clone(&other), sim.clone());
    let refresh = move |_: Option<Token<(u32, u64)>>| {
        let (side, sim) = (Arc::clone(&side), clock.clone());
        async move {
            let (asked, began) = (sim.now().wall, sim.elapsed());
            let slow = side.lock().unwrap().slow;
            if slow >= Duration::from_secs(30) {
                side.lock().unwrap().last_failure = Some(sim.elapsed() + Duration::from_secs(30));
            }
            sim.sleep(slow).await;
            let mut side = side.lock().unwrap();
            if side.failing > 0 {
                side.failing -= 1;
                side.last_failure = Some(sim.elapsed());
                return Err(Fault::new(Class::Transient, "other.down"));
            }
            side.issued += 1;
            let ends = u64::try_from((began + lifetime).as_millis()).unwrap();
            Ok(Token::lasting((side.issued, ends), asked, lifetime))
        }
    };
    let store: Arc<dyn Store> = Arc::new(Memory::on(Arc::new(sim.clone())));
    let builder = Credential::named("any").refresh(refresh).on(sim.clone()).seed(3);
    let credential = if shared { builder.store(&store).build() } else { builder.build() }.unwrap();
    let check = |given: Result<unattended::credential::Given<(u32, u64)>, Error>| match given {
        Ok(given) => {
            let (number, ends) = *given.expose();
            let issued = Issued { number, ends: Duration::from_millis(ends) };
            let now = sim.elapsed();
            assert!(
                now < issued.ends,
                "token {} is over since {:?}: {given:?}",
                issued.number,
                now - issued.ends
            );
        }
        Err(Error::Refused { why, .. }) => {
            let last =
                other.lock().unwrap().last_failure.unwrap_or_else(|| panic!("refused for nothing: {why}"));
            let since = sim.elapsed().saturating_sub(last);
            assert!(since <= Duration::from_secs(300), "refused {since:?} after the last failure: {why}");
            assert!(matches!(why, Refusing::RefreshFailed { .. } | Refusing::Open { .. }), "{why}");
        }
        Err(error) => panic!("{error}"),
    };
    let all = |callers: usize| {
        sim.join((0..callers).map(|_| async { check(credential.get().await) })).unwrap();
    };
    for step in steps {
        match step {
            Happens::Passes(seconds) => sim.advance(Duration::from_secs(*seconds)),
            Happens::Steps(seconds) => sim.step_wall(TimeDelta::seconds(*seconds)),
            Happens::Callers(callers) => all(*callers),
            Happens::Until(seconds) => {
                let until = sim.now().wall + Duration::from_secs(u64::from(*seconds));
                check(sim.block_on(credential.get_until(until)).unwrap());
            }
            Happens::Refused => {
                let seen = credential.generation();
                let _renewed = sim.block_on(credential.renew(seen)).unwrap();
            }
            Happens::Fails(times) => other.lock().unwrap().failing += times,
            Happens::Heals => other.lock().unwrap().failing = 0,
            Happens::Slow(seconds) => other.lock().unwrap().slow = Duration::from_secs(*seconds),
        }
    }
    {
        let mut other = other.lock().unwrap();
        (other.failing, other.slow) = (0, Duration::ZERO);
    }
    // When the other side is well again, so is the credential, in bounded time.
    sim.advance(Duration::from_secs(900));
    let given = sim.block_on(credential.get()).unwrap();
    assert!(given.is_ok(), "{given:?}");
    check(given);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_caller_ever_saw_an_expired_token_while_a_refresh_was_possible(
        lifetime in prop_oneof![60u64..600, 600u64..7200, 7200u64..1_000_000],
        shared in any::<bool>(),
        steps in prop::collection::vec(happens(), 1..60),
    ) {
        story(lifetime, shared, &steps);
    }
}
