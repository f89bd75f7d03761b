//! What systemd has scheduled.

use std::time::Duration;

use serde::Deserialize;

use crate::base::text;
use crate::base::time::Timestamp;

pub(super) const TIMERS_TIMEOUT: Duration = Duration::from_secs(10);
/// More of the list is not read.
const JSON_MAX: usize = 4 << 20;

/// Where systemd's list of timers comes from: the output of `systemctl list-timers --all --output=json` (since systemd 246). A closure
/// is one.
pub trait Timers: Send + Sync + 'static {
    /// The output.
    ///
    /// # Errors
    /// Why there is none: no systemd here, no permission, no answer. The report says so, and nobody is accused.
    fn list(&self) -> Result<String, NoTimers>;
}

impl<F: Fn() -> Result<String, NoTimers> + Send + Sync + 'static> Timers for F {
    fn list(&self) -> Result<String, NoTimers> {
        self()
    }
}

/// Why there is no list of timers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoTimers {
    /// There is no systemd.
    #[error("there is no systemd here: {0}")]
    NoSystemd(String),
    /// It could not be asked.
    #[error("systemctl failed: {0}")]
    Failed(String),
    /// What it answered is no list of timers.
    #[error("systemctl answered {given:?}, which is no list of timers: {why}")]
    Unreadable {
        /// The beginning of the answer.
        given: String,
        /// What is wrong with it.
        why: String,
    },
}

/// A timer of systemd.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TimerUnit {
    /// Its unit, such as `backup.timer`.
    pub unit: String,
    /// What it starts, such as `backup.service`.
    pub activates: Option<String>,
    /// When it is due next; `None` if it is not scheduled: inactive, or over.
    pub next: Option<Timestamp>,
    /// When it last was.
    pub last: Option<Timestamp>,
}

#[derive(Deserialize)]
struct Row {
    unit: String,
    #[serde(default)]
    activates: Option<String>,
    #[serde(default)]
    next: Option<u64>,
    #[serde(default)]
    last: Option<u64>,
}

/// Reads what `systemctl list-timers --all --output=json` prints: instants are microseconds since 1970; none is null, 0, or the greatest
/// number there is, depending on the release.
///
/// # Errors
/// [`NoTimers::Unreadable`] for anything else, and for more than 4 MiB.
pub fn parse_timers(json: &str) -> Result<Vec<TimerUnit>, NoTimers> {
    let unreadable = |why: String| NoTimers::Unreadable { given: text::shortened(json, 60), why };
    if json.len() > JSON_MAX {
        return Err(unreadable(format!("it is longer than {JSON_MAX} bytes")));
    }
    let rows: Vec<Row> = serde_json::from_str(json).map_err(|error| unreadable(error.to_string()))?;
    let instant = |micros: Option<u64>| {
        let micros = micros.filter(|micros| *micros != 0)?;
        Timestamp::from_timestamp_micros(i64::try_from(micros).ok()?)
    };
    let units = rows.into_iter().map(|row| TimerUnit {
        next: instant(row.next),
        last: instant(row.last),
        unit: row.unit,
        activates: row.activates.filter(|unit| !unit.is_empty()),
    });
    Ok(units.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_timers_is_read_as_releases_of_systemd_print_it() {
        let json = r#"[{"next":1589485390891904,"left":1589485390891904,"last":1589481783203015,"passed":1,"unit":"dnf-makecache.timer","activates":"dnf-makecache.service"},
            {"next":0,"left":0,"last":0,"passed":0,"unit":"off.timer","activates":"off.service"},
            {"next":null,"left":null,"last":null,"passed":null,"unit":"newer.timer","activates":null},
            {"next":18446744073709551615,"unit":"never.timer"}]"#;
        let timers = parse_timers(json).unwrap();
        assert_eq!(timers.len(), 4);
        assert_eq!(timers[0].next.unwrap().to_string(), "2020-05-14 19:43:10.891904 UTC");
        assert_eq!(timers[0].activates.as_deref(), Some("dnf-makecache.service"));
        assert!(timers[1..].iter().all(|timer| timer.next.is_none() && timer.last.is_none()));
        assert_eq!(parse_timers("[]"), Ok(Vec::new()));
    }

    #[test]
    fn what_is_no_list_of_timers_is_told_with_its_beginning() {
        for json in ["", "Failed to connect to bus", "{}", "[{\"next\":1}]", "[{\"unit\":7}]"] {
            let error = parse_timers(json).unwrap_err();
            assert!(matches!(&error, NoTimers::Unreadable { given, .. } if given == json), "{error}");
        }
        assert!(parse_timers(&" ".repeat(JSON_MAX + 1)).is_err());
    }
}
