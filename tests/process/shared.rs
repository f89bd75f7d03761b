//! Two processes share the breaker, the quota and the budget of one dependency through SQLite.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use unattended::call::{Builder, Call, StoreDown};
use unattended::effect::Effect;
use unattended::fault::Fault;
use unattended::quota::Quota;
use unattended::sqlite::Sqlite;
use unattended::store::Store;
use unattended::{breaker, budget, retry};

use crate::kit::{Player, alone, say, var};

/// The attempt time-out, twice of which is the lease of a probe.
const ATTEMPT: Duration = Duration::from_millis(300);
const OPEN: Duration = Duration::from_millis(200);
const INTERVAL: Duration = Duration::from_millis(50);
const BURST: u32 = 10;

fn api(path: &Path) -> Builder {
    let store: Arc<dyn Store> = Arc::new(Sqlite::open(path).unwrap());
    Call::to("api")
        .retry(retry::Policy::once())
        .attempt_timeout(ATTEMPT)
        .effect(Effect::Idempotent)
        .share(&store, StoreDown::FailClosed)
}

fn guarded(path: &Path) -> Call {
    api(path).breaker(breaker::Policy::never().consecutive(3).open(OPEN).lease(ATTEMPT * 2)).build().unwrap()
}

fn metered(path: &Path) -> Call {
    let quota = Quota::new(20, INTERVAL * 20).unwrap().burst(BURST).unwrap();
    api(path).retry(retry::Policy::once().inline_wait_max(Duration::ZERO)).quota(quota).build().unwrap()
}

fn down() -> Fault {
    Fault::transient("http.503")
}

fn code(result: &Result<(), unattended::call::Stopped<Fault>>) -> &'static str {
    result.as_ref().map_or_else(|stopped| stopped.code(), |()| "ok")
}

/// What the children of these tests do.
pub fn child(role: &str, path: &Path) -> bool {
    match role {
        "shared: fail" => say(code(&guarded(path).run_blocking(|_| Err::<(), _>(down())))),
        "shared: probe" => {
            let _never = guarded(path).run_blocking(|_| -> Result<(), Fault> {
                say("probing");
                loop {
                    std::thread::sleep(Duration::from_secs(600));
                }
            });
        }
        "shared: use" => {
            let (call, until) = (metered(path), Instant::now() + Duration::from_millis(var("UNATTENDED_MS")));
            while Instant::now() < until {
                match code(&call.run_blocking(|_| Ok::<_, Fault>(()))) {
                    "ok" => say(wall_nanos()),
                    "quota.spent" => {}
                    other => panic!("{other}"),
                }
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        "shared: retry" => {
            let quickly = retry::Policy::cron().transient(|strategy| {
                strategy
                    .delay_base(Duration::from_millis(1))
                    .delay_min(Duration::ZERO)
                    .delay_max(Duration::from_millis(1))
            });
            let call = api(path).retry(quickly).budget(budget::Policy::cron().tokens_max(6)).build().unwrap();
            for _ in 0..4 {
                let stopped = call.run_blocking(|_| Err::<(), _>(down())).unwrap_err();
                say(stopped.attempts().count().saturating_sub(1));
            }
        }
        _ => return false,
    }
    true
}

#[test]
fn failures_are_counted_over_both_and_a_prober_that_is_killed_is_succeeded_after_its_lease() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let here = guarded(&path);
    for _ in 0..2 {
        assert_eq!(Player::start("shared: fail", &path, &[]).finish(), ["retry.attempts_spent"]);
    }
    assert_eq!(code(&here.run_blocking(|_| Ok::<_, Fault>(()))), "ok", "two failures do not trip it");
    for _ in 0..3 {
        assert_eq!(Player::start("shared: fail", &path, &[]).finish(), ["retry.attempts_spent"]);
    }
    assert_eq!(code(&here.run_blocking(|_| Ok::<_, Fault>(()))), "breaker.open");
    std::thread::sleep(OPEN);
    let mut prober = Player::start("shared: probe", &path, &[]);
    assert_eq!(prober.hear().as_deref(), Some("probing"));
    let begun = Instant::now();
    assert_eq!(code(&here.run_blocking(|_| Ok::<_, Fault>(()))), "breaker.probing");
    prober.kill();
    // Nobody can know that it died: its lease has to end, which is a failure, then the breaker is open once more.
    assert_eq!(code(&here.run_blocking(|_| Ok::<_, Fault>(()))), "breaker.probing");
    let mut seen = Vec::new();
    loop {
        let answer = code(&here.run_blocking(|_| Ok::<_, Fault>(())));
        if seen.last() != Some(&answer) {
            seen.push(answer);
        }
        if answer == "ok" {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "the breaker is wedged: {seen:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(seen, ["breaker.probing", "breaker.open", "ok"]);
    assert!(begun.elapsed() >= ATTEMPT * 2, "the lease was not waited for: {:?}", begun.elapsed());
    assert_eq!(Player::start("shared: fail", &path, &[]).finish(), ["retry.attempts_spent"]);
}

#[test]
fn the_quota_is_never_exceeded_over_both_though_one_is_killed_with_what_it_reserved() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let run = |ms: u64| Player::start("shared: use", &path, &[("UNATTENDED_MS", ms.to_string())]);
    let (steady, killed) = (run(2500), run(60_000));
    std::thread::sleep(Duration::from_millis(900));
    let mut said = killed.kill();
    said.extend(run(1000).finish());
    said.extend(steady.finish());
    let mut at: Vec<u64> = said.iter().filter_map(|line| line.parse().ok()).collect();
    at.sort_unstable();
    let (first, last) = (at[0], at[at.len() - 1]);
    for (from, begin) in at.iter().enumerate() {
        for (to, end) in at.iter().enumerate().skip(from) {
            let back = (end - begin) / u64::try_from(INTERVAL.as_nanos()).unwrap();
            let count = u64::try_from(to - from).unwrap() + 1;
            // An instant is told a little after the admission; on a busy machine that may be a few intervals.
            assert!(count <= u64::from(BURST) + back + 3, "{count} within {} ns", end - begin);
        }
    }
    let could = u64::from(BURST) + (last - first) / u64::try_from(INTERVAL.as_nanos()).unwrap();
    assert!(at.len() as u64 * 2 > could, "{} of {could}: the quota can be used", at.len());
}

#[test]
fn the_budget_is_spent_by_both() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let pair = [(); 2].map(|()| Player::start("shared: retry", &path, &[]));
    let retries: u32 =
        pair.into_iter().flat_map(Player::finish).map(|line| line.parse::<u32>().unwrap()).sum();
    assert_eq!(retries, 6, "eight calls that could be retried four times each");
}

fn wall_nanos() -> i64 {
    chrono::Utc::now().timestamp_nanos_opt().unwrap()
}
