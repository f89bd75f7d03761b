//! What is refused before anything is written.

use std::time::Duration;

use crate::act::systemd::error::Error;
use crate::act::systemd::escape;
use crate::act::systemd::service::Service;
use crate::act::systemd::settings::{Kind, Restarts};
use crate::base::text;

/// The most entries of a list: arguments, variables, folders.
const LIST_MAX: usize = 256;
const VERSIONS: std::ops::RangeInclusive<u32> = 252..=9999;
/// systemd refuses more starts in 10 s than these, unless told otherwise.
const DEFAULT_LIMIT: (u32, Duration) = (5, Duration::from_secs(10));

pub(super) fn check(service: &Service) -> Result<(), Error> {
    escape::service_name(&service.name)?;
    if service.exec.is_empty() {
        return Err(Error::field("exec", "nothing", "a program and its arguments"));
    }
    if !VERSIONS.contains(&service.target_version) {
        return Err(Error::field("target_version", service.target_version, "252 or newer"));
    }
    if service.dynamic_user && service.user.is_some() {
        return Err(Error::field(
            "user",
            service.user.as_deref().unwrap_or_default(),
            "none beside dynamic_user",
        ));
    }
    if service.not_now == Some(0) {
        return Err(Error::field("not_now", 0, "1 to 255; 0 is a success"));
    }
    lengths(service)?;
    limits(service)?;
    if service.watchdog.is_some() && service.kind != Kind::Notify {
        let given = format!("for a service of Type={}", service.kind.word());
        return Err(Error::field(
            "watchdog",
            given,
            "only for Kind::Notify, which tells systemd how it gets on",
        ));
    }
    if service.timer.is_some() && service.kind == Kind::Notify {
        return Err(Error::field(
            "timer",
            "for a service of Type=notify",
            "only for one that comes to an end",
        ));
    }
    match &service.restart {
        Some(restarts) => restarts_of(service, restarts),
        None => Ok(()),
    }
}

/// Whether the timer alone starts it more often than systemd lets a service start that says nothing about it.
pub(super) fn starts_too_often_for_the_default(service: &Service) -> bool {
    let period = service.timer.as_ref().and_then(|timer| timer.facts.period_min);
    let (burst, within) = DEFAULT_LIMIT;
    service.restart.is_none() && period.is_some_and(|period| starts(within, period) > u64::from(burst))
}

/// The most starts of a timer in a time, both ends included.
pub(super) fn starts(within: Duration, period: Duration) -> u64 {
    let number = within.as_nanos() / period.as_nanos().max(1);
    u64::try_from(number).unwrap_or(u64::MAX).saturating_add(1)
}

fn restarts_of(service: &Service, restarts: &Restarts) -> Result<(), Error> {
    let Restarts { failures_max, within, delay, delay_max, permanent } = restarts;
    if !(1..=10_000).contains(failures_max) {
        return Err(Error::field("restart.failures_max", failures_max, "1 to 10000"));
    }
    for (field, span) in [("restart.within", within), ("restart.delay", delay)] {
        if span.is_zero() {
            return Err(Error::field(field, "0s", "1 µs to 3660 days"));
        }
    }
    if let Some(most) = delay_max
        && most < delay
    {
        let allowed = format!("{} or more, the delay", text::exact(*delay));
        return Err(Error::field("restart.delay_max", text::exact(*most), allowed));
    }
    if let Some(exit) = permanent.iter().find(|exit| !(1..=255).contains(*exit)) {
        return Err(Error::field("restart.permanent", exit, "1 to 255"));
    }
    let least = restarts.least(grows(service));
    if *within <= least {
        let allowed = format!(
            "more than {}: {failures_max} delays last as long, so the limit is never reached",
            text::exact(least)
        );
        return Err(Error::field("restart.within", text::exact(*within), allowed));
    }
    if let Some(period) = service.timer.as_ref().and_then(|timer| timer.facts.period_min)
        && starts(*within, period) > u64::from(*failures_max)
    {
        let allowed = format!(
            "less than {}: the timer's own starts count, and would reach the limit without any failure",
            text::exact(period.saturating_mul(*failures_max))
        );
        return Err(Error::field("restart.within", text::exact(*within), allowed));
    }
    Ok(())
}

/// Whether the delay grows, which systemd can from 254 on.
pub(super) fn grows(service: &Service) -> bool {
    let steps = service.restart.as_ref().is_some_and(|restarts| restarts.steps() > 0);
    service.target_version >= 254 && steps
}

fn lengths(service: &Service) -> Result<(), Error> {
    let lists = [
        ("exec", service.exec.len()),
        ("documentation", service.documentation.len()),
        ("environment", service.environment.len()),
        ("environment_file", service.environment_files.len()),
        ("state", service.folders.state.len()),
        ("logs", service.folders.logs.len()),
        ("configuration", service.folders.configuration.len()),
        ("runtime", service.folders.runtime.len()),
        ("writes", service.writes.len()),
        ("after", service.after.len()),
        ("wants", service.wants.len()),
        ("on_failure", service.on_failure.len()),
        ("credential", service.credentials.len()),
    ];
    match lists.into_iter().find(|(_, length)| *length > LIST_MAX) {
        Some((field, length)) => {
            Err(Error::field(field, format!("{length} of them"), format!("at most {LIST_MAX}")))
        }
        None => Ok(()),
    }
}

fn limits(service: &Service) -> Result<(), Error> {
    let limits = &service.limits;
    for (field, given) in [
        ("memory_max", limits.memory_max),
        ("memory_high", limits.memory_high),
        ("tasks_max", limits.tasks_max),
    ] {
        if given == Some(0) {
            return Err(Error::field(field, 0, "1 or more"));
        }
    }
    if let (Some(high), Some(most)) = (limits.memory_high, limits.memory_max)
        && high >= most
    {
        return Err(Error::field("memory_high", high, format!("less than {most}, memory_max")));
    }
    let cpu = limits.cpu_quota.filter(|percent| !(1..=100_000).contains(percent));
    if let Some(percent) = cpu {
        return Err(Error::field("cpu_quota", percent, "1 to 100000"));
    }
    let io = limits.io_weight.filter(|weight| !(1..=10_000).contains(weight));
    if let Some(weight) = io {
        return Err(Error::field("io_weight", weight, "1 to 10000"));
    }
    match limits.nice.filter(|nice| !(-20..=19).contains(nice)) {
        Some(nice) => Err(Error::field("nice", nice, "-20 to 19")),
        None => Ok(()),
    }
}
