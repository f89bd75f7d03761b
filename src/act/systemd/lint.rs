//! What systemd accepts and does not do.

use std::time::Duration;

use crate::act::systemd::finding::{Finding, Flaw};
use crate::act::systemd::known;
use crate::act::systemd::parse::{Entry, Said, entries};
use crate::act::systemd::span;
use crate::act::systemd::zones::Changes;
use crate::base::text::{head, shortened};
use crate::base::zone::Zone;

/// The most findings.
const FOUND_MAX: usize = 100;
/// What systemd goes by where the unit says nothing.
const BURST: u64 = 5;
const WITHIN: Duration = Duration::from_secs(10);
const DELAY: Duration = Duration::from_millis(100);

/// Reads a unit, a service or a timer, for systemd 252, and finds what systemd accepts and does not do. The first 100 findings of the
/// first megabyte.
///
/// ```
/// use unattended::explain::Explain;
/// use unattended::systemd;
///
/// // systemd's own limit is 5 starts within 10 s.
/// let found = systemd::lint("[Service]\nExecStart=/usr/bin/mailer\nRestart=on-failure\nRestartSec=5\n");
/// assert_eq!(found[0].code(), "systemd.limit_unreachable");
/// ```
#[must_use]
pub fn lint(text: &str) -> Vec<Finding> {
    lint_for(text, 252)
}

/// The same for another version of systemd.
pub(super) fn lint_for(text: &str, version: u32) -> Vec<Finding> {
    let page = Page { entries: entries(text) };
    let mut found = Vec::new();
    for entry in &page.entries {
        line(entry, version, &mut found);
    }
    page.restarts(&mut found);
    page.kind(&mut found);
    page.calendars(&mut found);
    found.sort_by_key(|finding| finding.line);
    found.truncate(FOUND_MAX);
    found
}

/// What one line says by itself.
fn line(entry: &Entry, version: u32, found: &mut Vec<Finding>) {
    let mut add = |flaw| found.push(Finding::at(entry.line, flaw));
    match &entry.said {
        Said::Nothing => add(Flaw::UnreadableLine),
        Said::Section(name) => {
            let known = known::is_known(name, "").is_some() || known::OTHERS.contains(&&**name);
            if !known && !name.starts_with("X-") {
                add(Flaw::UnknownSection { section: shortened(name, 60) });
            }
        }
        Said::Assignment { section, key, value } => {
            if section == "Service" && key.starts_with("StartLimit") {
                return add(Flaw::LimitMisplaced { key: shortened(key, 60) });
            }
            if let Some(since) = known::since(section, key).filter(|since| *since > version) {
                return add(Flaw::TooNew { key: key.clone(), since, target: version });
            }
            if known::is_known(section, key) == Some(false)
                && known::since(section, key).is_none()
                && !key.starts_with("X-")
            {
                let section = section.clone();
                return add(Flaw::UnknownDirective { section, key: shortened(key, 60) });
            }
            if section == "Service" && key.starts_with("Exec") && !value.is_empty() {
                let program =
                    value.trim_start_matches(['@', '-', ':', '+', '!']).trim_start_matches(['"', '\'']);
                if !program.starts_with('/') {
                    let program = program.split_whitespace().next().unwrap_or_default();
                    add(Flaw::ExecNotAbsolute { program: shortened(program, 60) });
                }
            }
        }
    }
}

struct Page {
    entries: Vec<Entry>,
}

impl Page {
    /// What is said last of a directive that can be said once, and where.
    fn last(&self, section: &str, key: &str) -> Option<(usize, &str)> {
        self.entries.iter().rev().find_map(|entry| match &entry.said {
            Said::Assignment { section: of, key: named, value } if of == section && named == key => {
                Some((entry.line, &**value))
            }
            _ => None,
        })
    }

    fn restarts(&self, found: &mut Vec<Finding>) {
        if let Some((line, _)) = self.last("Service", "RestartMaxDelaySec")
            && self.last("Service", "RestartSteps").is_none_or(|(_, steps)| steps == "0")
        {
            found.push(Finding::at(line, Flaw::DelayMaxIgnored));
        }
        let Some((line, restart)) = self.last("Service", "Restart") else { return };
        if restart == "no" || restart.is_empty() {
            return;
        }
        let spans = |section, key, default| match self.last(section, key) {
            Some((_, value)) => span::read(value),
            None => Some(default),
        };
        let within =
            self.last("Unit", "StartLimitIntervalSec").or_else(|| self.last("Unit", "StartLimitInterval"));
        let within_at = within.map_or(line, |(line, _)| line);
        let within = within.map_or(Some(WITHIN), |(_, value)| span::read(value));
        let burst = self.last("Unit", "StartLimitBurst").map_or(Some(BURST), |(_, value)| value.parse().ok());
        let (Some(delay), Some(within), Some(burst)) = (spans("Service", "RestartSec", DELAY), within, burst)
        else {
            return;
        };
        // Nought switches the limit off, which is a decision.
        let least = delay.saturating_mul(u32::try_from(burst).unwrap_or(u32::MAX));
        if !within.is_zero() && burst > 0 && least >= within {
            found.push(Finding::at(within_at, Flaw::LimitUnreachable { burst, delay, within }));
        }
    }

    fn kind(&self, found: &mut Vec<Finding>) {
        let kind = match self.last("Service", "Type") {
            Some((_, kind)) => kind,
            // Without a name on the bus, and with a program, that is what it is.
            None => "simple",
        };
        if kind == "oneshot" {
            if let Some((line, given @ ("always" | "on-success"))) = self.last("Service", "Restart") {
                found.push(Finding::at(line, Flaw::RestartRefused { given: given.to_owned() }));
            }
            let limit =
                self.last("Service", "TimeoutStartSec").or_else(|| self.last("Service", "TimeoutSec"));
            if limit.is_none_or(|(_, value)| matches!(value, "infinity" | "0" | "")) {
                let line = limit.or_else(|| self.last("Service", "Type")).map_or(1, |(line, _)| line);
                found.push(Finding::at(line, Flaw::OneshotWithoutEnd));
            }
        }
        if let Some((line, value)) = self.last("Service", "WatchdogSec")
            && !matches!(value, "" | "0" | "infinity")
            && !matches!(kind, "notify" | "notify-reload")
        {
            found.push(Finding::at(line, Flaw::WatchdogUnheard { kind: shortened(kind, 60) }));
        }
    }

    fn calendars(&self, found: &mut Vec<Finding>) {
        for entry in &self.entries {
            let Said::Assignment { section, key, value } = &entry.said else { continue };
            if section == "Timer"
                && key == "OnCalendar"
                && found.len() < FOUND_MAX
                && let Some(flaw) = clocks(value)
            {
                found.push(Finding::at(entry.line, flaw));
            }
        }
    }
}

/// What changes of the clocks do to a calendar event.
fn clocks(event: &str) -> Option<Flaw> {
    let words: Vec<&str> = head(event, 1000).split_whitespace().collect();
    let time = words.iter().find(|word| word.contains(':'))?;
    let mut parts = time.split(':');
    let (hours, minutes) = (parts.next()?, parts.next()?);
    let calendar = || shortened(event, 120);
    let zone =
        words.last().filter(|word| word.starts_with(|c: char| c.is_ascii_alphabetic()) && words.len() > 1);
    let known = zone.and_then(|zone| zone.parse::<Zone>().ok());
    let each_hour = hours.starts_with('*');
    match (zone, known) {
        (Some(_), Some(Zone::Utc)) => None,
        (Some(_), Some(zone)) if each_hour => {
            Changes::of(zone).repeats.then(|| Flaw::ClocksRepeat { calendar: calendar() })
        }
        (Some(_), Some(zone)) => Changes::of(zone)
            .skips(values(hours, 23)?, values(minutes, 59)?)
            .then(|| Flaw::ClocksSkip { calendar: calendar(), machine: false }),
        // A zone without changes, named for its distance.
        (Some(zone), None) if zone.starts_with("Etc/") => None,
        // Nobody knows it here; most that change their clocks skip the third hour of the day.
        _ if each_hour => None,
        (zone, _) => (values(hours, 23)? >> 2 & 1 == 1)
            .then(|| Flaw::ClocksSkip { calendar: calendar(), machine: zone.is_none() }),
    }
}

/// A bit for each value of a part of a calendar event. `None` for what is not one.
fn values(part: &str, most: u32) -> Option<u64> {
    let mut mask = 0;
    for item in part.split(',') {
        let (range, step) = match item.split_once('/') {
            Some((range, step)) => (range, Some(step.parse::<u32>().ok().filter(|step| *step > 0)?)),
            None => (item, None),
        };
        let (first, last) = match range.split_once("..") {
            _ if range == "*" => (0, most),
            Some((first, last)) => (first.parse().ok()?, last.parse().ok()?),
            None if step.is_some() => (range.parse().ok()?, most),
            None => {
                let one = range.parse().ok()?;
                (one, one)
            }
        };
        let last: u32 = last;
        for value in (first..=last.min(most)).step_by(step.unwrap_or(1) as usize) {
            mask |= 1_u64 << value;
        }
    }
    Some(mask)
}
