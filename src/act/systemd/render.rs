//! A service as the text of its units.

use crate::act::systemd::check;
use crate::act::systemd::error::Error;
use crate::act::systemd::escape::{self, Dollar};
use crate::act::systemd::service::Service;
use crate::act::systemd::settings::Kind;
use crate::act::systemd::span;
use crate::act::systemd::timer::{Facts, Timer};
use crate::act::systemd::unit::{Meant, Unit, Units};

pub(super) fn units(service: &Service) -> Result<Units, Error> {
    check::check(service)?;
    let timer = match &service.timer {
        Some(timer) => {
            Some(Unit { file_name: format!("{}.timer", service.name), text: timer_text(service, timer)? })
        }
        None => None,
    };
    let meant = Meant {
        drain: service.drain,
        stop: service.stop_limit(),
        version: service.target_version,
        facts: service.timer.as_ref().map_or_else(Facts::default, |timer| timer.facts),
    };
    let file_name = format!("{}.service", service.name);
    Ok(Units { service: Unit { file_name, text: service_text(service)? }, timer, meant })
}

/// Sections, and lines in them.
#[derive(Default)]
struct Page(String);

impl Page {
    fn section(&mut self, name: &str) {
        if !self.0.is_empty() {
            self.0.push('\n');
        }
        self.0.push_str(&format!("[{name}]\n"));
    }

    fn say(&mut self, key: &str, value: impl std::fmt::Display) {
        self.0.push_str(&format!("{key}={value}\n"));
    }

    /// One line with all of them; none for none.
    fn list(&mut self, key: &str, values: &[String]) {
        if !values.is_empty() {
            self.say(key, values.join(" "));
        }
    }
}

fn service_text(service: &Service) -> Result<String, Error> {
    let mut page = Page::default();
    page.section("Unit");
    about(&mut page, service)?;
    page.section("Service");
    program(&mut page, service)?;
    start_and_end(&mut page, service)?;
    limits(&mut page, service);
    folders(&mut page, service)?;
    for (key, value) in service.hardening.directives() {
        page.say(key, value);
    }
    if service.timer.is_none() {
        page.section("Install");
        page.say("WantedBy", "multi-user.target");
    }
    Ok(page.0)
}

fn about(page: &mut Page, service: &Service) -> Result<(), Error> {
    page.say(
        "Description",
        escape::prose("description", service.description.as_ref().unwrap_or(&service.name))?,
    );
    for uri in &service.documentation {
        page.say("Documentation", uri_of(uri)?);
    }
    let named = |field, units: &[String]| -> Result<Vec<String>, Error> {
        units.iter().map(|unit| escape::unit_name(field, unit)).collect()
    };
    page.list("After", &named("after", &service.after)?);
    page.list("Wants", &named("wants", &service.wants)?);
    page.list("OnFailure", &named("on_failure", &service.on_failure)?);
    if let Some(restarts) = &service.restart {
        page.say("StartLimitIntervalSec", span::checked("restart.within", restarts.within)?);
        page.say("StartLimitBurst", restarts.failures_max);
    } else if check::starts_too_often_for_the_default(service) {
        // The timer's own starts count.
        page.say("StartLimitIntervalSec", 0);
    }
    Ok(())
}

fn uri_of(given: &str) -> Result<String, Error> {
    let known =
        ["https://", "http://", "file:/", "info:", "man:"].iter().any(|begin| given.starts_with(begin));
    // It stands in a list of words, and systemd passes over what is not ASCII.
    let odd = |c: char| !c.is_ascii_graphic() || matches!(c, '"' | '\'' | '\\');
    if !known || given.contains(odd) {
        return Err(Error::field(
            "documentation",
            given,
            "one https:, http:, file:, info: or man:, of ASCII without spaces, quotes and backslashes",
        ));
    }
    escape::prose("documentation", given)
}

fn program(page: &mut Page, service: &Service) -> Result<(), Error> {
    page.say("Type", service.kind.word());
    let mut words = Vec::new();
    for (place, word) in service.exec.iter().enumerate() {
        words.push(match place {
            0 => escape::program(word)?,
            _ => escape::word("exec", word, Dollar::Variable)?,
        });
    }
    page.list("ExecStart", &words);
    if service.kind == Kind::Notify {
        page.say("NotifyAccess", "main");
    }
    if let Some(user) = &service.user {
        page.say("User", escape::user(user)?);
    }
    if service.dynamic_user {
        page.say("DynamicUser", "yes");
    }
    if let Some(folder) = &service.working_directory {
        page.say("WorkingDirectory", escape::path("working_directory", folder)?);
    }
    for (key, value) in &service.environment {
        escape::variable(key)?;
        page.say("Environment", escape::word("environment", &format!("{key}={value}"), Dollar::Plain)?);
    }
    for file in &service.environment_files {
        page.say("EnvironmentFile", escape::path("environment_file", file)?);
    }
    for (id, path) in &service.credentials {
        page.say("LoadCredential", format!("{}:{}", credential_id(id)?, escape::path("credential", path)?));
    }
    Ok(())
}

fn credential_id(id: &str) -> Result<&str, Error> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    if id.is_empty() || id.len() > 255 || matches!(id, "." | "..") || !id.chars().all(plain) {
        return Err(Error::field("credential", id, "letters, digits, _, - and ."));
    }
    Ok(id)
}

fn start_and_end(page: &mut Page, service: &Service) -> Result<(), Error> {
    if let Some(restarts) = &service.restart {
        page.say("Restart", "on-failure");
        page.say("RestartSec", span::checked("restart.delay", restarts.delay)?);
        if let Some(most) = restarts.delay_max
            && check::grows(service)
        {
            page.say("RestartSteps", restarts.steps());
            page.say("RestartMaxDelaySec", span::checked("restart.delay_max", most)?);
        }
        let exits: Vec<String> = restarts.permanent.iter().map(ToString::to_string).collect();
        page.list("RestartPreventExitStatus", &exits);
    }
    if let Some(exit) = service.not_now
        && service.kind == Kind::Oneshot
    {
        page.say("SuccessExitStatus", exit);
    }
    page.say("TimeoutStartSec", span::checked("timeout_start", service.start_limit())?);
    page.say("TimeoutStopSec", span::checked("timeout_stop", service.stop_limit())?);
    if let Some(interval) = service.watchdog {
        page.say("WatchdogSec", span::checked("watchdog", interval)?);
    }
    page.say("KillMode", service.kill_mode.word());
    Ok(())
}

fn limits(page: &mut Page, service: &Service) {
    let limits = &service.limits;
    let mut say = |key: &str, value: Option<String>| {
        if let Some(value) = value {
            page.say(key, value);
        }
    };
    say("MemoryHigh", limits.memory_high.map(|bytes| bytes.to_string()));
    say("MemoryMax", limits.memory_max.map(|bytes| bytes.to_string()));
    say("CPUQuota", limits.cpu_quota.map(|percent| format!("{percent}%")));
    say("TasksMax", limits.tasks_max.map(|tasks| tasks.to_string()));
    say("IOWeight", limits.io_weight.map(|weight| weight.to_string()));
    say("Nice", limits.nice.map(|nice| nice.to_string()));
    say("OOMPolicy", limits.out_of_memory.map(|policy| policy.word().to_owned()));
}

fn folders(page: &mut Page, service: &Service) -> Result<(), Error> {
    let folders = &service.folders;
    for (field, key, names) in [
        ("state", "StateDirectory", &folders.state),
        ("logs", "LogsDirectory", &folders.logs),
        ("configuration", "ConfigurationDirectory", &folders.configuration),
        ("runtime", "RuntimeDirectory", &folders.runtime),
    ] {
        let names: Vec<String> =
            names.iter().map(|name| escape::folder(field, name)).collect::<Result<_, _>>()?;
        if !names.is_empty() {
            page.list(key, &names);
            page.say(&format!("{key}Mode"), "0750");
        }
    }
    let paths: Vec<String> =
        service.writes.iter().map(|path| escape::path("writes", path)).collect::<Result<_, _>>()?;
    page.list("ReadWritePaths", &paths);
    page.say("UMask", "0027");
    Ok(())
}

fn timer_text(service: &Service, timer: &Timer) -> Result<String, Error> {
    let mut page = Page::default();
    page.section("Unit");
    let said = timer
        .said
        .as_ref()
        .map_or_else(|| format!("Starts {}", service.name), |said| format!("{}: {said}", service.name));
    page.say("Description", escape::prose("timer", &said)?);
    page.section("Timer");
    for (key, value) in timer.lines()? {
        page.say(key, value);
    }
    page.section("Install");
    page.say("WantedBy", "timers.target");
    Ok(page.0)
}
