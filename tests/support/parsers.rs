//! Whatever reads bytes that others wrote. None of them may panic, whatever it is given: `tests/it/parsers.rs` feeds them
//! a while in each test run, `fuzz/` for as long as one likes.

use unattended::canonical::{self, Fingerprint, Key};
use unattended::redact::{Names, Redact as _};
use unattended::runs::Selector;
use unattended::time::{Moment, Now, Timestamp};
use unattended::zone::Zone;
use unattended::{gate, text, window};

/// Durations, sizes, instants, rates, and what names a run.
pub(crate) fn texts(given: &str) {
    let now = Timestamp::UNIX_EPOCH;
    if let Ok(duration) = text::duration(given) {
        assert_eq!(text::duration(&text::exact(duration)), Ok(duration), "{given:?}");
    }
    drop((text::size(given), text::instant(given, now), text::rate(given), given.parse::<Selector>()));
    drop((text::shown(given), text::shortened(given, 3)));
    if let Ok(key) = given.parse::<Key>() {
        assert_eq!(key.as_str().parse::<Key>().ok(), Some(key), "{given:?}");
    }
    drop(given.parse::<Fingerprint>());
}

/// Windows, gates, schedules and zones.
pub(crate) fn policies(given: &str) {
    if let Ok(policy) = given.parse::<gate::Policy>() {
        assert_eq!(policy.to_string().parse::<gate::Policy>().ok(), Some(policy), "{given:?}");
    }
    drop((given.parse::<window::Window>(), given.parse::<Zone>()));
    #[cfg(feature = "cron")]
    drop(unattended::schedule::Schedule::cron(given, Zone::Utc));
    let _wait = unattended::retry::retry_after(given, None, Timestamp::UNIX_EPOCH);
    let _wait =
        unattended::retry::retry_after("Fri, 31 Dec 1999 23:59:59 GMT", Some(given), Timestamp::UNIX_EPOCH);
}

/// Canonical JSON, and what takes secrets out of anything.
pub(crate) fn json(given: &[u8]) {
    if let Ok(once) = canonical::from_text(given) {
        let twice = canonical::from_text(&once).expect("what is canonical is JSON");
        assert_eq!(once, twice, "a form of the form");
    }
    let names = Names::new();
    drop(names.body(given));
    if let Ok(text) = std::str::from_utf8(given) {
        drop((names.url(text), names.header("X-Any", text)));
    }
}

/// What deciders have saved: read, and taken up again where the policy is the default one.
pub(crate) fn saved(given: &str) {
    let now = Now { moment: Moment::from_nanos(0), wall: Timestamp::UNIX_EPOCH };
    drop(serde_json::from_str::<gate::Saved>(given));
    drop(serde_json::from_str::<unattended::baseline::Saved>(given));
    drop(serde_json::from_str::<unattended::restart::Saved>(given));
    drop(serde_json::from_str::<unattended::heartbeat::Saved>(given));
    drop(serde_json::from_str::<unattended::retry::Saved>(given));
    drop(serde_json::from_str::<unattended::quota::Snapshot>(given));
    drop(serde_json::from_str::<unattended::budget::Snapshot>(given));
    if let Ok(saved) = serde_json::from_str::<unattended::breaker::Snapshot>(given) {
        let policy = unattended::breaker::Policy::default();
        drop(unattended::breaker::Breaker::restore(policy, &saved, 7, now));
    }
    drop(serde_json::from_str::<unattended::schedule::Snapshot>(given));
    if let Ok(saved) = serde_json::from_str::<unattended::trend::Saved>(given) {
        drop(unattended::trend::Trend::restore(unattended::trend::Policy::default(), &saved));
    }
}

/// A state in a file: read, refused or told as damaged, and never overwritten by that.
pub(crate) fn snapshot(folder: &std::path::Path, given: &[u8]) {
    let path = folder.join("state.json");
    std::fs::write(&path, given).expect("a temporary folder can be written");
    if let Ok(file) = unattended::snapshots::File::<serde_json::Value>::open(&path) {
        drop(file.load());
    }
    assert_eq!(std::fs::read(&path).ok().as_deref(), Some(given), "what is not understood stays");
}
