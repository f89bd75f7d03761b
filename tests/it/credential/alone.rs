//! In one process, without a store.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::task::{Context, Waker};
use std::time::Duration;

use chrono::TimeDelta;
use unattended::breaker;
use unattended::credential::{Credential, Due, Refusing, Renew, Serving, Token};
use unattended::explain::Explain;
use unattended::fault::{Class, Classify, Fault};
use unattended::testing::sim::Sim;
use unattended::time::{BoxFuture, Clock, Sleep};

use super::{HOUR, MINUTE, Provider, alone, builder, get, name, refusal, sim};

/// Tokens that last an hour, and a credential that has none yet.
fn hourly() -> (Sim, Arc<Provider>, Credential<String>) {
    let sim = sim();
    let provider = Provider::new(&sim, HOUR);
    let credential = alone(&provider);
    (sim, provider, credential)
}

#[test]
fn the_first_caller_gets_a_token_and_the_next_ones_the_same() {
    let (sim, provider, credential) = hourly();
    let first = get(&sim, &credential).unwrap();
    assert!(matches!(first.why, Serving::Refreshed { because: Due::Absent }), "{first:?}");
    let second = get(&sim, &credential).unwrap();
    assert!(matches!(second.why, Serving::Fresh { .. }), "{second:?}");
    assert_eq!((first.expose(), second.expose()), (&name(1), &name(1)));
    assert_eq!((provider.calls(), first.generation), (1, second.generation));
}

#[test]
fn one_refresh_is_under_way_under_a_hundred_callers_who_have_nothing_else() {
    let (sim, provider, credential) = hourly();
    for round in 1..=3 {
        let all = sim.join((0..100).map(|_| credential.get())).unwrap();
        assert!(all.iter().all(|given| *given.as_ref().unwrap().expose() == name(round)));
        assert_eq!(provider.calls(), round);
        sim.advance(2 * HOUR);
    }
    assert_eq!((provider.most_at_once.load(SeqCst), provider.out_of_turn.load(SeqCst)), (1, 0));
}

#[test]
fn before_its_end_one_caller_refreshes_and_the_others_get_the_valid_token_at_once() {
    let (sim, provider, credential) = hourly();
    get(&sim, &credential).unwrap();
    sim.advance(55 * MINUTE);
    *provider.takes.lock().unwrap() = Duration::from_secs(20);
    let before = sim.elapsed();
    let timed = || async {
        let given = credential.get().await.unwrap();
        (given.why, given.expose().clone(), sim.elapsed())
    };
    let all = sim.join((0..50).map(|_| timed())).unwrap();
    assert!(matches!(all[0].0, Serving::Refreshed { because: Due::Soft { .. } }), "{:?}", all[0]);
    assert_eq!((all[0].1.as_str(), all[0].2), ("token-2", before + Duration::from_secs(20)));
    for (why, token, at) in &all[1..] {
        assert!(matches!(why, Serving::Refreshing { .. }), "{why}");
        assert_eq!((token.as_str(), *at), ("token-1", before));
    }
    assert_eq!(provider.calls(), 2);
}

#[test]
fn a_leader_that_goes_away_leaves_the_refresh_to_another_and_it_is_not_sent_twice() {
    let (sim, provider, credential) = hourly();
    let mut leader = Box::pin(credential.get());
    assert!(leader.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    assert_eq!(provider.calls(), 1);
    // One waits already, another comes after the leader is gone.
    let (one, mut leader) = (credential.get(), Some(leader));
    let go = async {
        sim.sleep(Duration::from_millis(100)).await;
        drop(leader.take());
        credential.get().await
    };
    let waits: BoxFuture<'_, _> = Box::pin(one);
    let all = sim.join([waits, Box::pin(go)]).unwrap();
    assert!(all.iter().all(|given| given.as_ref().unwrap().expose() == "token-1"), "{all:?}");
    assert_eq!((provider.calls(), provider.most_at_once.load(SeqCst)), (1, 1));
}

#[test]
fn a_refresh_that_nobody_waits_for_any_more_is_taken_up_by_the_next_caller() {
    let (sim, provider, credential) = hourly();
    let mut leader = Box::pin(credential.get());
    assert!(leader.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    drop(leader);
    sim.advance(MINUTE);
    // Its answer is there, and is not thrown away although its time is over too.
    assert_eq!(get(&sim, &credential).unwrap().expose(), "token-1");
    assert_eq!(provider.calls(), 1);
}

#[test]
fn a_panic_in_the_refresh_does_not_wedge_it() {
    let sim = sim();
    let provider = Provider::new(&sim, HOUR);
    let again = Arc::clone(&provider);
    let first = std::sync::atomic::AtomicBool::new(true);
    let credential = Credential::named("youtube")
        .refresh(move |old| {
            assert!(!first.swap(false, SeqCst), "the secret is token-0");
            Arc::clone(&again).refresh(old)
        })
        .on(sim.clone())
        .build()
        .unwrap();
    let why = refusal(get(&sim, &credential));
    let Refusing::RefreshFailed { class: Class::Unknown, failures: 1, retry_at } = why else {
        panic!("{why}")
    };
    assert!(!why.to_string().contains("token-0"));
    sim.advance(retry_at.signed_duration_since(sim.now().wall).to_std().unwrap());
    assert_eq!(get(&sim, &credential).unwrap().expose(), "token-1");
}

#[test]
fn a_failed_refresh_serves_the_old_token_until_its_hard_expiry() {
    let (sim, provider, credential) = hourly();
    let first = get(&sim, &credential).unwrap();
    provider.then(&[Some(Class::Transient); 1000]);
    let ends = first.token.expires_at() - Duration::from_secs(10);
    let (mut stale, mut refused) = (0, 0);
    for _ in 0..1400 {
        sim.advance(Duration::from_secs(3));
        let given = get(&sim, &credential);
        match given {
            Ok(given) => {
                assert!(sim.now().wall < ends, "given after its end: {given:?}");
                stale += u32::from(matches!(
                    given.why,
                    Serving::StaleAfterFailure { class: Class::Transient, .. }
                ));
            }
            Err(error) => {
                assert!(sim.now().wall >= ends, "refused although it is valid: {error}");
                assert_eq!(error.fault().class, Class::Transient);
                refused += 1;
            }
        }
    }
    assert!(stale > 100 && refused > 100, "{stale} {refused}");
    let calls = provider.calls();
    assert!((5..100).contains(&calls), "{calls} refreshes: neither one for each call nor none at all");
    provider.answers.lock().unwrap().clear();
    sim.advance(10 * MINUTE);
    assert_eq!(get(&sim, &credential).unwrap().expose(), "token-2");
}

#[test]
fn the_refresh_has_a_breaker_of_its_own() {
    let sim = sim();
    let provider = Provider::new(&sim, HOUR);
    let policy = breaker::Policy::never().consecutive(2).open(HOUR);
    let credential = builder(&provider).breaker(policy).build().unwrap();
    provider.then(&[Some(Class::Transient); 2]);
    for _ in 0..100 {
        sim.advance(Duration::from_secs(10));
        assert!(get(&sim, &credential).is_err());
    }
    assert_eq!(provider.calls(), 2);
    assert!(matches!(refusal(get(&sim, &credential)), Refusing::Open { .. }));
    sim.advance(HOUR);
    assert!(get(&sim, &credential).is_ok());
}

#[test]
fn a_refresh_that_answers_nothing_is_cut_and_holds_nobody_who_has_a_valid_token() {
    let (sim, provider, credential) = hourly();
    get(&sim, &credential).unwrap();
    sim.advance(55 * MINUTE);
    *provider.takes.lock().unwrap() = 1000 * HOUR;
    let before = sim.elapsed();
    let others = async {
        for _ in 0..29 {
            sim.sleep(Duration::from_secs(1)).await;
            let asked = sim.elapsed();
            let given = credential.get().await.unwrap();
            assert!(matches!(given.why, Serving::Refreshing { .. }), "{given:?}");
            assert_eq!(sim.elapsed(), asked, "held");
        }
    };
    let leader = async {
        let given = credential.get().await.unwrap();
        assert!(matches!(given.why, Serving::StaleAfterFailure { class: Class::Transient, .. }), "{given:?}");
        assert_eq!(sim.elapsed(), before + Duration::from_secs(30));
    };
    let (leader, others): (BoxFuture<'_, ()>, BoxFuture<'_, ()>) = (Box::pin(leader), Box::pin(others));
    sim.join([leader, others]).unwrap();
}

#[test]
fn a_hundred_refusals_of_one_token_make_one_refresh() {
    let (sim, provider, credential) = hourly();
    let seen = get(&sim, &credential).unwrap().generation;
    let all = sim.join((0..100).map(|_| credential.renew(seen))).unwrap();
    assert!(all.iter().all(Result::is_ok));
    assert_eq!(provider.calls(), 2);
    // One that comes late, still with the old token.
    assert_eq!(sim.block_on(credential.renew(seen)).unwrap(), Ok(()));
    assert_eq!((provider.calls(), credential.generation()), (2, seen + 1));
    assert_eq!(get(&sim, &credential).unwrap().expose(), "token-2");
}

#[test]
fn a_token_that_the_other_side_has_refused_is_not_given_again() {
    let (sim, provider, credential) = hourly();
    let seen = get(&sim, &credential).unwrap().generation;
    provider.then(&[Some(Class::Transient)]);
    let why = sim.block_on(credential.renew(seen)).unwrap().unwrap_err();
    assert!(matches!(why, Refusing::RefreshFailed { .. }), "{why}");
    assert!(matches!(refusal(get(&sim, &credential)), Refusing::RefreshFailed { .. }));
    assert_eq!((provider.calls(), credential.refusal()), (2, None));
    sim.advance(Duration::from_secs(5));
    assert_eq!(get(&sim, &credential).unwrap().expose(), "token-2");
}

#[test]
fn refused_for_good_it_needs_a_person_and_is_refreshed_no_more() {
    for class in [Class::Permanent, Class::Unauthorized] {
        let sim = sim();
        let provider = Provider::new(&sim, HOUR);
        let credential = alone(&provider);
        get(&sim, &credential).unwrap();
        provider.then(&[Some(class)]);
        sim.advance(55 * MINUTE);
        for _ in 0..50 {
            let given = get(&sim, &credential).unwrap();
            assert!(matches!(given.why, Serving::StaleNeedsHuman { .. }), "{given:?}");
        }
        assert_eq!(credential.refusal(), None, "the old one is still valid");
        sim.advance(10 * MINUTE);
        for _ in 0..50 {
            sim.advance(HOUR);
            assert_eq!(refusal(get(&sim, &credential)), Refusing::NeedsHuman { class });
        }
        assert_eq!(credential.refusal(), Some(Refusing::NeedsHuman { class }));
        assert_eq!(provider.calls(), 2);
        credential.ok_blocking("operator:ada").unwrap();
        assert_eq!(get(&sim, &credential).unwrap().expose(), "token-2");
    }
}

#[test]
fn a_new_token_ends_the_need_for_a_person() {
    let (sim, provider, credential) = hourly();
    provider.then(&[Some(Class::Permanent)]);
    assert!(refusal(get(&sim, &credential)).needs_human());
    credential.put_blocking(Token::lasting(String::from("by hand"), sim.now().wall, HOUR)).unwrap();
    assert_eq!(get(&sim, &credential).unwrap().expose(), "by hand");
    assert_eq!((provider.calls(), credential.refusal()), (1, None));
}

#[test]
fn it_is_refreshed_first_for_a_run_that_would_outlast_it() {
    let (sim, provider, credential) = hourly();
    get(&sim, &credential).unwrap();
    sim.advance(20 * MINUTE);
    let until = |minutes: u32| sim.block_on(credential.get_until(sim.now().wall + minutes * MINUTE)).unwrap();
    assert!(matches!(until(30).unwrap().why, Serving::Fresh { .. }));
    assert!(matches!(until(90).unwrap().why, Serving::Fresh { .. }), "no token lasts as long");
    let given = until(50).unwrap();
    assert!(matches!(given.why, Serving::Refreshed { because: Due::TooShort { .. } }), "{given:?}");
    provider.then(&[Some(Class::Transient)]);
    sim.advance(20 * MINUTE);
    assert!(matches!(until(50).unwrap().why, Serving::StaleAfterFailure { .. }), "better than none");
}

#[test]
fn a_step_of_the_wall_clock_neither_lengthens_it_nor_wedges_it() {
    let (sim, _, credential) = hourly();
    get(&sim, &credential).unwrap();
    sim.step_wall(TimeDelta::hours(-5));
    sim.advance(HOUR);
    let given = get(&sim, &credential).unwrap();
    assert!(matches!(given.why, Serving::Refreshed { because: Due::ClockWentBack { .. } }), "{given:?}");
    sim.step_wall(TimeDelta::hours(5));
    assert_eq!(get(&sim, &credential).unwrap().expose(), "token-3");
    sim.suspend(2 * HOUR);
    assert_eq!(get(&sim, &credential).unwrap().expose(), "token-4");
}

#[test]
fn a_token_that_is_over_when_it_arrives_is_not_asked_for_at_every_call() {
    let sim = sim();
    let provider = Provider::new(&sim, Duration::ZERO);
    let credential = alone(&provider);
    for _ in 0..100 {
        assert!(matches!(refusal(get(&sim, &credential)), Refusing::RefreshFailed { .. }));
    }
    assert_eq!(provider.calls(), 1);
}

#[test]
fn what_the_server_asks_to_wait_is_waited() {
    let sim = sim();
    let asked = Arc::new(std::sync::atomic::AtomicU32::new(0));
    let count = Arc::clone(&asked);
    let credential = Credential::<String>::named("youtube")
        .refresh_blocking(move |_| {
            count.fetch_add(1, SeqCst);
            Err(Fault::rate_limited(Some(5 * MINUTE)))
        })
        .on(sim.clone())
        .build()
        .unwrap();
    for _ in 0..29 {
        assert!(credential.get_blocking().is_err());
        sim.advance(Duration::from_secs(10));
    }
    assert_eq!(asked.load(SeqCst), 1);
    sim.advance(Duration::from_secs(11));
    assert!(credential.get_blocking().is_err());
    assert_eq!(asked.load(SeqCst), 2);
}

#[test]
fn no_debug_reason_or_error_shows_a_secret() {
    const SECRET: &str = "s3cr3t";
    let sim = sim();
    let now = sim.now().wall;
    let token = move || Token::lasting(String::from(SECRET), now, HOUR);
    let refused = |error: &std::io::Error| {
        assert!(error.to_string().contains(SECRET));
        Fault::permanent("oauth.invalid_grant")
    };
    let named = Credential::<String>::named("youtube");
    let mut shown = format!("{named:?}");
    let refresh = move |_: Option<Token<String>>| -> Result<Token<String>, _> {
        Err(std::io::Error::other(format!("invalid grant for {SECRET}")))
    };
    let builder = named.refresh_blocking(refresh).classify(refused).token(token()).on(sim.clone());
    shown += &format!("{builder:?}");
    let credential = builder.build().unwrap();
    let given = credential.get_blocking().unwrap();
    shown += &format!("{credential:?} {given:?} {:#?} {}", given, given.why);
    sim.advance(55 * MINUTE);
    let stale = credential.get_blocking().unwrap();
    shown += &format!("{stale:?} {} {}", stale.why, stale.why.code());
    sim.advance(HOUR);
    let error = credential.get_blocking().unwrap_err();
    shown += &format!("{error:?} {error} {} {:?}", unattended::fault::chain(&error), error.fault());
    shown += &format!("{:?} {:?}", credential.breaker(), credential.refusal());
    assert!(!shown.contains(SECRET), "{shown}");
    assert!(given.expose() == SECRET);
}

#[test]
fn a_credential_that_could_not_work_is_refused_with_the_field() {
    let named =
        |name: &str| Credential::named(name).refresh_blocking(|_| Err::<Token<()>, _>(Fault::unknown()));
    let field =
        |error: unattended::credential::Error| error.to_string().split(' ').next().unwrap().to_owned();
    assert_eq!(field(named("").build().unwrap_err()), "name");
    assert_eq!(field(named("a\nb").build().unwrap_err()), "name");
    assert_eq!(field(named("a").attempt_timeout(Duration::ZERO).build().unwrap_err()), "attempt_timeout");
    let never = breaker::Policy::never().probes(0);
    assert_eq!(field(named("a").breaker(never).build().unwrap_err()), "breaker");
}

#[test]
fn callers_that_go_away_harm_nobody() {
    // A caller that is dropped before its first poll has begun nothing.
    let (sim, provider, credential) = hourly();
    drop(credential.get());
    assert_eq!(provider.calls(), 0);
    let mut two = [Box::pin(credential.get()), Box::pin(credential.get())];
    let mut context = Context::from_waker(Waker::noop());
    assert!(two.iter_mut().all(|one| one.as_mut().poll(&mut context).is_pending()));
    let [leader, waiter] = two;
    drop(waiter);
    assert!(sim.block_on(leader).unwrap().is_ok());
}
