//! What survives a restart.

use super::*;

const GOLDEN: &str = include_str!("../../../../tests/golden/heartbeat_v1.json");

fn busy() -> Heart {
    let mut heart = heart(hourly().run_max(secs(900)).failures(3).unsteady(5, secs(7200)));
    heart.observe(at(10), Beat::succeeded());
    heart.observe(at(20), Beat::started().of("nightly-1"));
    heart.observe(at(30), Beat::progress().of("nightly-1"));
    for n in 40..43 {
        heart.observe(at(n), Beat::failed("exit 3"));
    }
    heart
}

#[test]
fn a_heart_saved_by_the_first_version_still_opens() {
    let saved: Saved = serde_json::from_str(GOLDEN).unwrap();
    let policy = *busy().policy();
    assert_eq!(Heart::restored(policy, saved).unwrap(), busy());
    assert_eq!(serde_json::to_string(&busy().saved()).unwrap(), GOLDEN.trim_end());
}

#[test]
fn what_no_heart_can_have_is_a_typed_error_and_never_a_default() {
    let policy = *busy().policy();
    let with = |from: &str, to: &str| {
        let changed = GOLDEN.replacen(from, to, 1);
        assert_ne!(changed, GOLDEN);
        serde_json::from_str::<Saved>(&changed)
            .map_err(|error| error.to_string())
            .and_then(|saved| Heart::restored(policy, saved).map_err(|error| error.to_string()))
    };
    assert_eq!(with("\"v\":1", "\"v\":2").unwrap_err(), "the saved heartbeat has version 2, known is 1");
    assert!(with("\"failing\"", "\"dreaming\"").unwrap_err().contains("dreaming"));
    let running = "{\"run\":\"a\",\"began\":\"2026-11-22T00:00:20Z\",\"last\":\"2026-11-22T00:00:30Z\"},";
    let many = with("\"runs\":[", &format!("\"runs\":[{}", running.repeat(16))).unwrap_err();
    assert_eq!(many, "heartbeat: runs is 17, allowed is at most 16");
    let turns = with("\"turns\":[", &format!("\"turns\":[{}", "\"2026-11-22T00:00:20Z\",".repeat(40)));
    assert!(turns.unwrap_err().starts_with("heartbeat: turns is 42"));
}

#[test]
fn a_sight_of_a_later_version_is_not_guessed_at() {
    let saved: SavedSight = serde_json::from_str(r#"{"v":2,"last":"2026-11-22T00:00:20Z"}"#).unwrap();
    assert_eq!(Sight::restored(secs(60), &saved), Err(Error::Version { found: 2, known: 1 }));
}

#[test]
fn a_policy_is_written_with_the_names_of_its_builder_and_checked_when_it_is_read() {
    let policy = hourly().run_max(secs(900)).failures(3).build().unwrap();
    let json = serde_json::to_string(&policy).unwrap();
    assert_eq!(json, r#"{"every":3600000,"run_max":900000,"failures":3}"#);
    assert_eq!(serde_json::from_str::<Policy>(&json).unwrap(), policy);
    let all = hourly().tell_all().build().unwrap();
    let json = serde_json::to_string(&all).unwrap();
    assert_eq!(serde_json::from_str::<Policy>(&json).unwrap(), all, "{json}");
    assert_eq!(serde_json::from_str::<Policy>("{}").unwrap(), Policy::scheduled().build().unwrap());
    let wrong = serde_json::from_str::<Policy>(r#"{"every":1000}"#).unwrap_err();
    assert!(wrong.to_string().contains("every is 1s"), "{wrong}");
}
