use proptest::prelude::{prop, prop_assert, prop_assert_eq, proptest};

use super::*;
use crate::base::fault::Class;
use crate::base::time::Moment;
use crate::base::zone::Zone;
use crate::decide::breaker::{Admit, Breaker, Policy};
#[cfg(feature = "store")]
use crate::decide::breaker::{Mode, Standing};
use crate::decide::quota::{Calendar, Quota};

const FAILURE: Outcome = Outcome::Failure(Class::Transient);

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn at(seconds: u64) -> Now {
    let start = Timestamp::from_timestamp(1_800_000_000, 0).unwrap();
    Now { moment: Moment::from_nanos(86_400_000_000_000), wall: start }.after(secs(seconds))
}

fn accounts(policy: Policy, limits: Vec<Limit>, keys_max: usize) -> Accounts {
    Accounts::new(policy, limits, keys_max, 7, at(0)).unwrap()
}

fn call(accounts: &Accounts, key: &str, outcome: Outcome, now: Now) -> &'static str {
    match accounts.admit(key, now) {
        Admit::Allow { permit, .. } => accounts.settle_hinted(key, permit, outcome, None, now).as_str(),
        Admit::Refuse { .. } => "refused",
    }
}

fn opens(accounts: &Accounts, key: &str, now: Now) {
    assert_eq!([(); 3].map(|()| call(accounts, key, FAILURE, now)), ["none", "none", "trip"]);
}

fn per_minute(limit: u32) -> Limit {
    Quota::per_minute(limit).unwrap().into()
}

#[test]
fn each_account_has_its_own_breaker_and_its_own_quotas() {
    let day = Calendar::new(3, chrono::NaiveTime::MIN, Zone::Utc).unwrap();
    let accounts = accounts(Policy::cron(), vec![per_minute(2), day.into()], 100);
    opens(&accounts, "a", at(0));
    assert_eq!(
        (call(&accounts, "a", FAILURE, at(0)), call(&accounts, "b", FAILURE, at(0))),
        ("refused", "none")
    );
    assert!(accounts.refusal("a", at(0)).is_some() && accounts.refusal("b", at(0)).is_none());
    #[cfg(feature = "store")]
    assert_eq!(accounts.snapshot("a", "youtube/a", at(0)).state(), Standing::Open);
    let takes = |key, limit, n| match accounts.reserve(key, limit, n, at(0), Duration::ZERO).unwrap() {
        Reserve::Ready(taken) => Some(taken),
        Reserve::Wait { .. } | Reserve::Refuse { .. } => None,
    };
    let taken = takes("a", 0, 2).unwrap();
    assert!(takes("a", 0, 1).is_none() && takes("b", 0, 2).is_some() && takes("a", 1, 3).is_some());
    assert!(takes("a", 1, 1).is_none());
    assert!(accounts.give_back("a", 0, taken, at(0)) && takes("a", 0, 2).is_some());
    let refused = accounts.reserve("a", 0, 1, at(0), Duration::ZERO);
    assert!(matches!(refused, Some(Reserve::Refuse { retry_at, .. }) if retry_at == at(30).wall));
    assert!(accounts.reserve("a", 2, 1, at(0), Duration::ZERO).is_none());
    // Names that are long, or nothing, are names.
    for key in [String::new(), "x".repeat(254), "x".repeat(255), "x".repeat(256), "x".repeat(70_000)] {
        opens(&accounts, &key, at(0));
        assert!(accounts.refusal(&key, at(0)).is_some());
    }
    assert_eq!((accounts.len(), accounts.dropped()), (7, Dropped::default()));
}

#[cfg(feature = "store")]
#[test]
fn what_is_saved_of_an_account_is_taken_over_by_another_process() {
    let first = accounts(Policy::cron().open_jitter(0), vec![per_minute(2)], 100);
    opens(&first, "a", at(0));
    let until = first.block("b", secs(60), at(0));
    let next = accounts(Policy::cron().open_jitter(0), vec![per_minute(2)], 100);
    for key in ["a", "b"] {
        next.adopt_and_credit(key, &first.snapshot(key, key, at(0)), 0, at(0)).unwrap();
    }
    assert_eq!(next.refusal("a", at(1)), first.refusal("a", at(1)));
    assert_eq!(next.refusal("b", at(1)).unwrap().1, until);
    assert_eq!(next.mark("a").2, Standing::Open);
}

#[test]
fn at_the_bound_a_healthy_and_refilled_account_goes_first() {
    let accounts = accounts(Policy::cron(), vec![per_minute(1)], 160);
    for n in 0..80 {
        opens(&accounts, &format!("open {n}"), at(0));
        assert!(accounts.reserve(&format!("full {n}"), 0, 1, at(0), Duration::ZERO).is_some());
    }
    let before = accounts.dropped();
    assert_eq!(before.refusing, 0, "{before:?}");
    // A minute later the quotas are full again, so nothing is lost with these.
    for n in 0..800 {
        assert_eq!(call(&accounts, &format!("new {n}"), Outcome::Success, at(60)), "none");
        assert!(accounts.len() <= 160);
    }
    let dropped = accounts.dropped();
    assert!(dropped.rested >= 700 && dropped.counting == before.counting, "{dropped:?}");
    let open = (0..80).filter(|n| accounts.refusal(&format!("open {n}"), at(60)).is_some()).count();
    assert_eq!((open, dropped.refusing), (80, 0));
}

#[test]
fn an_account_of_which_something_is_counted_goes_after_one_that_is_at_rest_and_the_first_to_be_full_first() {
    let accounts = accounts(Policy::cron(), vec![per_minute(60)], 16 * 8);
    let keys = (0..).map(|n| format!("key {n}")).filter(|key| accounts.index(key) == 3);
    let keys: Vec<_> = keys.take(20).collect();
    let used = |key: &str, n| {
        assert!(matches!(accounts.reserve(key, 0, n, at(0), Duration::ZERO), Some(Reserve::Ready(_))));
    };
    (1..8).for_each(|n| used(&keys[n], 10 + u32::try_from(n).unwrap()));
    assert_eq!(call(&accounts, &keys[0], Outcome::Success, at(0)), "none");
    for (n, key) in keys.iter().enumerate().skip(8).take(4) {
        used(key, 50);
        assert_eq!(accounts.dropped(), Dropped { rested: 1, counting: n as u64 - 8, refusing: 0 });
    }
    // The first to be full are gone.
    let left = |n: usize| accounts.part(&keys[n]).entries.contains(keys[n].as_bytes());
    assert_eq!([1, 2, 3, 4, 5, 6, 7].map(left), [false, false, false, true, true, true, true]);
}

#[test]
fn one_that_refuses_goes_only_when_all_do_and_then_the_one_that_ends_first() {
    let accounts = accounts(Policy::cron(), vec![], 16 * 4);
    let keys: Vec<_> = (0..200).map(|n| format!("key {n}")).collect();
    // The later one comes, the earlier its block ends.
    for (n, key) in keys.iter().enumerate() {
        accounts.block(key, secs(1000 - n as u64), at(0));
    }
    assert_eq!(accounts.dropped(), Dropped { rested: 0, counting: 0, refusing: 136 });
    for part in 0..PARTS {
        let here: Vec<_> = keys.iter().filter(|key| accounts.index(key) == part).collect();
        let left = |key: &str| accounts.refusal(key, at(0)).is_some();
        let [first @ .., last] = &here[..] else { panic!("an empty part") };
        assert!(left(last), "room is made for the new one");
        assert!(first[..3].iter().all(|key| left(key)) && !first[3..].iter().any(|key| left(key)));
    }
}

#[cfg(feature = "store")]
#[test]
fn what_a_person_has_set_is_dropped_last() {
    let forced = {
        let breaker = Breaker::seeded("x", Policy::cron(), 1, at(0)).unwrap();
        breaker.force(Some(Mode::ForcedOpen));
        breaker.snapshot(at(0))
    };
    let accounts = accounts(Policy::cron(), vec![], 32);
    accounts.adopt_and_credit("set", &forced, 0, at(0)).unwrap();
    for n in 0..500 {
        accounts.block(&format!("key {n}"), secs(1000 + n), at(0));
    }
    assert!(matches!(accounts.refusal("set", at(0)), Some((breaker::Refusing::ForcedOpen, _))));
}

proptest! {
    #[test]
    fn an_account_decides_as_a_breaker_and_a_meter_of_its_own(
        steps in prop::collection::vec((0usize..3, 0u64..200, 0u8..5, 0u32..3), 1..200), service in prop::bool::ANY,
    ) {
        let policy = (if service { Policy::service() } else { Policy::cron() }).open_jitter(0);
        let accounts = accounts(policy, vec![per_minute(3)], 1000);
        let alone: Vec<_> = (0..3).map(|_| (
            Breaker::seeded("x", policy, 0, at(0)).unwrap(), Meter::new(Quota::per_minute(3).unwrap(), at(0)),
        )).collect();
        let mut now = at(0);
        for (who, by, what, n) in steps {
            now = now.after(secs(by));
            let (key, (breaker, meter)) = (format!("account {who}"), &alone[who]);
            if what == 0 {
                let (a, b) = (accounts.reserve(&key, 0, n, now, secs(20)), meter.reserve(n, now, secs(20)));
                prop_assert_eq!(a, Some(b));
                continue;
            }
            let outcome = if what > 2 { Outcome::Success } else { FAILURE };
            let (a, b) = (accounts.admit(&key, now), breaker.admit(now));
            prop_assert_eq!(&a, &b);
            if let (Admit::Allow { permit: a, .. }, Admit::Allow { permit: b, .. }) = (a, b) {
                prop_assert_eq!(
                    accounts.settle_hinted(&key, a, outcome, None, now), breaker.settle(b, outcome, now)
                );
            }
            prop_assert!(accounts.refusal(&key, now) == breaker.refusal(now));
        }
    }
}

/// What the accounts take: each allocation as a common allocator rounds it (8 bytes for itself, multiples of 16, 32 at
/// least), and the table with a byte of its own for each place.
fn bytes(accounts: &Accounts) -> usize {
    let rounded = |size: usize| (size + 8).next_multiple_of(16).max(32);
    let part = |part: &Mutex<Part>| {
        let entries = &lock(part).entries;
        let places = (entries.capacity() * 8 / 7).next_power_of_two();
        entries.iter().map(|entry| rounded(entry.size())).sum::<usize>() + places * (size_of::<Entry>() + 1)
    };
    accounts.parts.iter().map(part).sum()
}

/// One account has had `traffic`, so many others have what came of it; gives the bytes for each, as they are counted and
/// as the kernel says (less where they lie in memory that was there before, so only the first number is a bound).
fn measured(
    keys: usize,
    policy: Policy,
    limits: &[Limit],
    traffic: impl Fn(&Accounts, &str),
) -> (usize, usize) {
    let accounts = Accounts::new(policy, limits, 2 * keys, 7, at(0)).unwrap();
    let name = |n: usize| format!("account-{n:08}");
    traffic(&accounts, &name(0));
    let model = accounts.entry(&name(0), at(0), |entry| {
        let words: Vec<_> = (0..limits.len()).map(|n| entry.word(n)).collect();
        (words, entry.packed(limits.len()).to_vec())
    });
    let before = resident();
    for n in 1..keys {
        accounts.entry(&name(n), at(0), |entry| {
            model.0.iter().enumerate().for_each(|(n, word)| entry.set_word(n, *word));
            entry.set_packed(limits.len(), &model.1);
        });
    }
    assert_eq!((accounts.len(), accounts.dropped()), (keys, Dropped::default()));
    (bytes(&accounts).div_ceil(keys), resident().saturating_sub(before) / keys)
}

/// Bytes of this process that are in memory.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<usize>().ok()).unwrap_or(0) * 1024
}

/// Every twentieth call fails, the others succeed; so many calls, so many milliseconds apart.
fn busy(accounts: &Accounts, key: &str, calls: u32, apart_ms: u64) {
    let mut now = at(0);
    for n in 0..calls {
        now = now.after(Duration::from_millis(apart_ms));
        let outcome = if n % 20 == 7 { FAILURE } else { Outcome::Success };
        assert_eq!(call(accounts, key, outcome, now), "none");
    }
}

fn reserves(accounts: &Accounts, key: &str) {
    assert!(matches!(accounts.reserve(key, 0, 1, at(0), Duration::ZERO), Some(Reserve::Ready(_))));
}

/// Measures the given number of accounts of each kind and prints what one takes.
fn table(keys: usize) -> Vec<(&'static str, (usize, usize))> {
    let (cron, service, limit) = (Policy::cron(), Policy::service(), [per_minute(60)]);
    let rows = vec![
        ("a quota", measured(keys, Policy::never(), &limit, reserves)),
        ("cron, one success", measured(keys, cron, &[], |a, key| busy(a, key, 1, 1))),
        ("cron, 20 results within 5 h", measured(keys, cron, &[], |a, key| busy(a, key, 20, 900_000))),
        ("service, one success", measured(keys, service, &[], |a, key| busy(a, key, 1, 1))),
        ("service, 60 results within 60 s", measured(keys, service, &[], |a, key| busy(a, key, 60, 1000))),
        ("service, 600 results within 60 s", measured(keys, service, &[], |a, key| busy(a, key, 600, 100))),
        ("service, open", measured(keys, service.consecutive(3), &[], |a, key| opens(a, key, at(0)))),
        (
            "cron, full window, and a quota",
            measured(keys, cron, &limit, |a, key| {
                busy(a, key, 20, 900_000);
                reserves(a, key);
            }),
        ),
    ];
    for (what, (counted, resident)) in &rows {
        println!("{counted:4} bytes counted, {resident:4} resident: {what}");
    }
    rows
}

#[test]
fn an_account_takes_at_most_200_bytes() {
    for (what, (counted, _)) in table(10_000) {
        assert!(counted <= 200, "{what}: {counted}");
    }
}

/// `cargo test --profile bench --all-features --lib a_million_accounts -- --ignored --nocapture`
/// What a call costs when the breaker is unpacked, asked and packed again, a million accounts in turn.
fn nanos_a_call(policy: Policy) -> u128 {
    use crate::base::time::{Clock, System};
    let (keys, clock) = (1_000_000, System);
    let accounts = Accounts::new(policy, [], 2 * keys, 7, at(0)).unwrap();
    let names: Vec<_> = (0..keys).map(|n| format!("account-{n:08}")).collect();
    let mut spent = Duration::ZERO;
    for round in 0..2 {
        let begun = clock.moment();
        for name in &names {
            assert_eq!(call(&accounts, name, Outcome::Success, at(round)), "none");
        }
        spent = clock.moment().since(begun);
    }
    spent.as_nanos() / 1_000_000
}

#[test]
#[ignore = "a million in each of eight kinds; the rule is held on fewer above"]
fn a_million_accounts_take_at_most_200_bytes_each() {
    for (what, (counted, resident)) in table(1_000_000) {
        assert!(counted <= 200 && resident <= 200, "{what}: {counted}, {resident}");
    }
    for (name, policy) in [("cron", Policy::cron()), ("service", Policy::service())] {
        println!("{} ns a call, {name}", nanos_a_call(policy));
    }
}
