//! Over processes: two handles of one store stand for two of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::task::{Context, Waker};
use std::time::Duration;

use unattended::blocking::block_on;
use unattended::credential::{self, Cleared, Credential, Due, Refusing, Renew, Serving, Token};
use unattended::fault::{Class, Fault};
use unattended::memory::Memory;
use unattended::store::{Applied, ApplyError, Batch, Error, Ns, Record, Store};
use unattended::testing::sim::Sim;
use unattended::time::{BoxFuture, Clock, Sleep, SleepBlocking};

use super::{HOUR, MINUTE, Provider, builder, get, name, refusal, sim};
use crate::forward::forward;

/// Two processes on one store: their stores and their credentials.
fn two(sim: &Sim, provider: &Arc<Provider>) -> [(Arc<dyn Store>, Credential<String>); 2] {
    let memory = Memory::on(Arc::new(sim.clone()));
    let second = memory.second();
    [Arc::new(memory) as Arc<dyn Store>, Arc::new(second)].map(|store| {
        let credential = builder(provider).store(&store).build().unwrap();
        (store, credential)
    })
}

fn record(store: &Arc<dyn Store>) -> Record {
    block_on(store.get(Ns::SNAPSHOT, "credential/youtube")).unwrap().unwrap()
}

fn events(store: &Arc<dyn Store>) -> Vec<String> {
    let events = block_on(store.events(Ns::SNAPSHOT, "credential/youtube", 0, 100)).unwrap();
    events.into_iter().map(|event| event.event.code.into_owned()).collect()
}

#[test]
fn the_token_is_saved_before_it_is_used_and_the_next_process_goes_on_with_it() {
    let sim = sim();
    let provider = Provider::new(&sim, HOUR);
    let [(store, first), (_, second)] = two(&sim, &provider);
    assert_eq!(get(&sim, &first).unwrap().expose(), "token-1");
    assert!(record(&store).body.contains("token-1"));
    let given = get(&sim, &second).unwrap();
    assert!(matches!(given.why, Serving::Adopted { because: Due::Absent }), "{given:?}");
    assert_eq!((given.expose().as_str(), provider.calls()), ("token-1", 1));
}

#[test]
fn two_processes_refresh_once_and_the_one_that_has_nothing_waits_and_adopts() {
    let sim = sim();
    let provider = Provider::new(&sim, HOUR);
    *provider.takes.lock().unwrap() = Duration::from_secs(5);
    let [(_, first), (_, second)] = two(&sim, &provider);
    for round in 1..=4 {
        let both = (0..50).flat_map(|_| [&first, &second]).map(|credential| credential.get());
        let all = sim.join(both).unwrap();
        assert!(all.iter().all(|given| *given.as_ref().unwrap().expose() == name(round)), "{all:?}");
        assert_eq!(provider.calls(), round);
        sim.advance(2 * HOUR);
    }
    assert_eq!((provider.most_at_once.load(SeqCst), provider.out_of_turn.load(SeqCst)), (1, 0));
}

#[test]
fn while_one_process_refreshes_the_other_serves_the_old_token_at_once() {
    let sim = sim();
    let provider = Provider::new(&sim, HOUR);
    let [(_, first), (_, second)] = two(&sim, &provider);
    get(&sim, &first).unwrap();
    get(&sim, &second).unwrap();
    sim.advance(55 * MINUTE);
    *provider.takes.lock().unwrap() = Duration::from_secs(20);
    let other = async {
        sim.sleep(Duration::from_secs(1)).await;
        let before = sim.elapsed();
        let given = second.get().await.unwrap();
        assert!(matches!(given.why, Serving::Refreshing { .. }), "{given:?}");
        assert_eq!(sim.elapsed(), before);
        sim.sleep(MINUTE).await;
        assert_eq!(second.get().await.unwrap().expose(), "token-2");
    };
    let one = async { assert_eq!(first.get().await.unwrap().expose(), "token-2") };
    let (one, other): (BoxFuture<'_, ()>, BoxFuture<'_, ()>) = (Box::pin(one), Box::pin(other));
    sim.join([one, other]).unwrap();
    assert_eq!(provider.calls(), 2);
}

#[test]
fn a_token_refused_in_both_processes_is_refreshed_once() {
    let sim = sim();
    let provider = Provider::new(&sim, HOUR);
    let [(_, first), (_, second)] = two(&sim, &provider);
    let seen = [&first, &second].map(|credential| get(&sim, credential).unwrap().generation);
    let both = (0..50).flat_map(|_| [(&first, seen[0]), (&second, seen[1])]);
    let all = sim.join(both.map(|(credential, seen)| credential.renew(seen))).unwrap();
    assert!(all.iter().all(Result::is_ok), "{all:?}");
    assert_eq!(provider.calls(), 2);
    assert_eq!(get(&sim, &second).unwrap().expose(), "token-2");
}

#[test]
fn a_process_that_dies_in_the_middle_of_a_refresh_is_succeeded() {
    let sim = sim();
    let provider = Provider::new(&sim, HOUR);
    let [(store, first), (_, second)] = two(&sim, &provider);
    *provider.takes.lock().unwrap() = Duration::from_secs(20);
    let mut leader = Box::pin(first.get());
    assert!(leader.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    drop(leader);
    // The whole process is gone, and its handle with it.
    drop((first, store));
    assert_eq!(get(&sim, &second).unwrap().expose(), "token-1");
    assert_eq!(provider.calls(), 2);
}

#[test]
fn refused_for_good_is_said_once_and_known_to_every_process() {
    let sim = sim();
    let provider = Provider::new(&sim, HOUR);
    let [(store, first), (_, second)] = two(&sim, &provider);
    provider.then(&[Some(Class::Unauthorized)]);
    let all = sim.join((0..20).flat_map(|_| [&first, &second]).map(|one| one.get())).unwrap();
    assert!(all.into_iter().all(|given| refusal(given).needs_human()));
    assert_eq!(provider.calls(), 1);
    assert_eq!(
        (record(&store).state.as_str(), events(&store)),
        ("needs_human", vec!["credential.needs_human".into()])
    );
    sim.advance(HOUR);
    assert!(refusal(get(&sim, &second)).needs_human());
    assert_eq!((provider.calls(), events(&store).len()), (1, 1));
}

#[test]
fn two_refusals_of_which_neither_knows_the_other_are_one_alert() {
    let sim = sim();
    let memory = Memory::on(Arc::new(sim.clone()));
    let second: Arc<dyn Store> = Arc::new(memory.second());
    let first: Arc<dyn Store> = Arc::new(memory);
    let refuses = |store: &Arc<dyn Store>, takes: Duration| {
        let clock = sim.clone();
        let credential = Credential::<String>::named("youtube").refresh_blocking(move |_| {
            clock.sleep_blocking(takes);
            Err(Fault::permanent("oauth.invalid_grant"))
        });
        credential.on(sim.clone()).store(store).build().unwrap()
    };
    // The first overruns its lease, so that the second, who waits for it, refreshes as well.
    let (slow, quick) = (refuses(&first, Duration::from_secs(300)), refuses(&second, Duration::ZERO));
    let slow = sim.thread(move || slow.get_blocking().is_err());
    let clock = sim.clone();
    let quick = sim.thread(move || {
        clock.sleep_blocking(Duration::from_secs(1));
        assert!(refusal(quick.get_blocking()).needs_human());
        clock.elapsed()
    });
    assert!(quick.join().unwrap() < Duration::from_secs(100));
    assert!(slow.join().unwrap());
    assert!(sim.elapsed() >= Duration::from_secs(300));
    assert_eq!(events(&first), ["credential.needs_human"]);
}

#[test]
fn a_persons_word_reaches_every_process_within_ten_seconds() {
    let sim = sim();
    let provider = Provider::new(&sim, HOUR);
    let [(store, first), (_, second)] = two(&sim, &provider);
    provider.then(&[Some(Class::Permanent)]);
    for credential in [&first, &second] {
        assert!(refusal(get(&sim, credential)).needs_human());
        assert!(credential.refusal().is_some());
    }
    assert_eq!(block_on(credential::ok(&store, "youtube", "operator:ada")).unwrap(), Cleared::Done);
    assert_eq!(block_on(credential::ok(&store, "youtube", "operator:ada")).unwrap(), Cleared::NotNeeded);
    assert_eq!(block_on(credential::ok(&store, "vimeo", "operator:ada")).unwrap(), Cleared::Unknown);
    assert_eq!(events(&store), ["credential.needs_human", "credential.ok"]);
    sim.advance(Duration::from_secs(10));
    for credential in [&first, &second] {
        assert_eq!(credential.refusal(), None, "somebody has to look");
        assert_eq!(get(&sim, credential).unwrap().expose(), "token-1");
    }
}

#[test]
fn a_failure_is_remembered_by_the_next_process() {
    let sim = sim();
    let provider = Provider::new(&sim, HOUR);
    provider.then(&[Some(Class::Transient); 3]);
    let store: Arc<dyn Store> = Arc::new(Memory::on(Arc::new(sim.clone())));
    let (mut calls, mut tried) = (0, Vec::new());
    for second in 0..60 {
        // A cron job: each process is a new one.
        let credential = builder(&provider).store(&store).build().unwrap();
        let _given = get(&sim, &credential);
        if provider.calls() > calls {
            calls = provider.calls();
            tried.push(second);
        }
        sim.advance(Duration::from_secs(1));
    }
    assert_eq!(calls, 4, "three failures and a success: {tried:?}");
    assert!(tried[3] - tried[2] > tried[1] - tried[0], "the wait grows: {tried:?}");
}

/// A store that can be cut off.
struct Cut(Memory, AtomicBool);

impl Cut {
    fn check(&self) -> Result<(), Error> {
        if self.1.load(SeqCst) { Err(Error::Busy { waited_ms: 1, allowed_ms: 1 }) } else { Ok(()) }
    }
}

impl Store for Cut {
    forward!(caps owner scan events prune => (0));

    fn apply(&self, batch: Batch) -> BoxFuture<'_, Result<Applied, ApplyError>> {
        match self.check() {
            Ok(()) => self.0.apply(batch),
            Err(error) => Box::pin(async { Err(ApplyError::NotApplied(error)) }),
        }
    }
    fn get<'a>(&'a self, ns: Ns, key: &'a str) -> BoxFuture<'a, Result<Option<Record>, Error>> {
        match self.check() {
            Ok(()) => self.0.get(ns, key),
            Err(error) => Box::pin(async { Err(error) }),
        }
    }
}

#[test]
fn what_cannot_be_saved_is_not_used_while_the_old_token_is_valid_and_is_saved_later() {
    let sim = sim();
    let provider = Provider::new(&sim, HOUR);
    let cut = Arc::new(Cut(Memory::on(Arc::new(sim.clone())), AtomicBool::new(false)));
    let store: Arc<dyn Store> = cut.clone();
    // The store goes away while the refresh is under way.
    let (side, gone) = (Arc::clone(&provider), Arc::clone(&cut));
    let breaks = Arc::new(AtomicBool::new(false));
    let when = Arc::clone(&breaks);
    let credential = Credential::named("youtube")
        .refresh(move |old| {
            gone.1.store(when.load(SeqCst), SeqCst);
            Arc::clone(&side).refresh(old)
        })
        .on(sim.clone())
        .store(&store)
        .build()
        .unwrap();
    get(&sim, &credential).unwrap();
    breaks.store(true, SeqCst);
    sim.advance(50 * MINUTE);
    for _ in 0..20 {
        let given = get(&sim, &credential).unwrap();
        assert!(matches!(given.why, Serving::StaleUnsaved { .. }), "{given:?}");
        assert_eq!(given.expose(), "token-1");
        sim.advance(Duration::from_secs(1));
    }
    assert_eq!(provider.calls(), 2, "it is not refreshed again");
    cut.1.store(false, SeqCst);
    sim.advance(Duration::from_secs(5));
    let given = get(&sim, &credential).unwrap();
    assert_eq!(given.expose(), "token-2");
    assert!(record(&store).body.contains("token-2"));
    // Now it stays away until the old one is over.
    sim.advance(50 * MINUTE);
    assert!(matches!(get(&sim, &credential).unwrap().why, Serving::StaleUnsaved { .. }));
    sim.advance(15 * MINUTE);
    let given = get(&sim, &credential).unwrap();
    assert!(matches!(given.why, Serving::Unsaved { .. }), "{given:?}");
    assert_eq!(given.expose(), "token-3");
    cut.1.store(false, SeqCst);
    sim.advance(Duration::from_secs(5));
    assert!(matches!(get(&sim, &credential).unwrap().why, Serving::Fresh { .. }));
    assert!(record(&store).body.contains("token-3"));
    assert_eq!((provider.calls(), provider.out_of_turn.load(SeqCst)), (3, 0));
}

#[test]
fn a_store_that_is_away_lets_nobody_refresh_and_takes_no_valid_token_away() {
    let sim = sim();
    let provider = Provider::new(&sim, HOUR);
    let cut = Arc::new(Cut(Memory::on(Arc::new(sim.clone())), AtomicBool::new(false)));
    let store: Arc<dyn Store> = cut.clone();
    let credential = builder(&provider).store(&store).build().unwrap();
    get(&sim, &credential).unwrap();
    cut.1.store(true, SeqCst);
    sim.advance(50 * MINUTE);
    for _ in 0..5 {
        assert!(matches!(get(&sim, &credential).unwrap().why, Serving::StaleStoreDown { .. }));
    }
    sim.advance(20 * MINUTE);
    assert!(matches!(refusal(get(&sim, &credential)), Refusing::StoreDown { .. }));
    assert_eq!(provider.calls(), 1);
    cut.1.store(false, SeqCst);
    sim.advance(Duration::from_secs(2));
    assert_eq!(get(&sim, &credential).unwrap().expose(), "token-2");
}

#[test]
fn what_is_saved_goes_before_what_the_program_was_given() {
    let sim = sim();
    let provider = Provider::new(&sim, HOUR);
    let [(store, first), _] = two(&sim, &provider);
    let given = || Token::lasting(String::from("configured"), sim.now().wall, HOUR);
    let credential = builder(&provider).token(given()).store(&store).build().unwrap();
    assert_eq!(get(&sim, &credential).unwrap().expose(), "configured");
    get(&sim, &first).unwrap();
    let later = builder(&provider).token(given()).store(&store).build().unwrap();
    assert_eq!(get(&sim, &later).unwrap().expose(), "token-1");
}

#[test]
fn a_saved_token_of_another_type_is_an_error_that_shows_nothing_of_it() {
    let sim = sim();
    let provider = Provider::new(&sim, HOUR);
    let [(store, first), _] = two(&sim, &provider);
    get(&sim, &first).unwrap();
    let other = Credential::<u32>::named("youtube")
        .refresh_blocking(|_| Err(Fault::unknown()))
        .on(sim.clone())
        .store(&store)
        .build()
        .unwrap();
    let error = other.get_blocking().unwrap_err();
    assert!(!format!("{error:?} {error}").contains("token-1"));
    assert!(matches!(error, credential::Error::Refused { why: Refusing::StoreDown { .. }, .. }));
    assert!(record(&store).body.contains("token-1"), "it was left as it is");
}

#[test]
fn the_saved_form_is_the_golden_one_and_an_old_one_still_opens() {
    let golden = include_str!("../../golden/credential_v1.json").trim_end();
    let sim = sim();
    let provider = Provider::new(&sim, HOUR);
    let [(store, first), (_, second)] = two(&sim, &provider);
    get(&sim, &first).unwrap();
    provider.then(&[Some(Class::Transient), Some(Class::Permanent)]);
    sim.advance(HOUR);
    let seen = sim.now().wall;
    assert!(get(&sim, &first).is_err());
    assert!(sim.now().wall > seen);
    sim.advance(MINUTE);
    assert!(refusal(get(&sim, &first)).needs_human());
    let body = record(&store).body;
    // The wait after a failure is drawn from the seed, and is the same in each build.
    assert_eq!(body, golden, "{body}");
    assert!(matches!(refusal(get(&sim, &second)), Refusing::NeedsHuman { class: Class::Permanent }));
}
