//! What is known is read together. Nothing is written.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::act::monitor::{self, Finding, Level};
use crate::act::notify;
use crate::base::explain::Explain as _;
use crate::base::time::{Timestamp, between, millis};
use crate::decide::run::State;
use crate::decide::{breaker, budget, quota};
use crate::operate::cli::config::{Config, Expected, MONITOR};
use crate::operate::cli::failure::{Exit, Failure, Stop, chain};
use crate::operate::cli::session::Session;
use crate::operate::cli::status::form::{
    Alert, Answer, At, Breaker, Heartbeat, Hold, Limit, Never, Next, Queue, Undeclared, Window,
};
use crate::operate::metrics;
use crate::remember::blocking::block_on;
use crate::remember::holds::{Forced, Holds, Switch};
use crate::remember::runs::{Run, kinds_of};
use crate::remember::store::{self, Ns, Order, PAGE_MAX, Query, Store};

/// So many runs are looked at for what ran undeclared, and for what waits for a window.
const RUNS: u32 = PAGE_MAX;
/// Of so many declared jobs that never beat it is looked whether they ran.
const NEVER_MAX: usize = 500;
/// So many alerts are told.
const ALERTS_MAX: u32 = 1000;
/// So many next occurrences are told.
const NEXT_MAX: usize = 1000;
/// How many quotas a dependency has.
const QUOTAS: u32 = 4;

pub(super) fn all(
    session: &Session<'_, '_>,
    store: &Arc<dyn Store>,
    config: &Config,
) -> Result<Answer, Stop> {
    let now = session.now;
    let mut heartbeats = heartbeats(session, store, config)?;
    let of_store = |error: store::Error| Failure::of_store(&error);
    let queue = block_on(metrics::queue(&**store, now)).map_err(of_store)?;
    let newest = Query { limit: RUNS, ..Query::all(Ns::RUN) };
    let newest = block_on(store.scan(newest)).map_err(of_store)?.records;
    let newest: Vec<Run> = newest.into_iter().filter_map(|record| Run::from_record(record).ok()).collect();
    let ran: BTreeSet<&str> = newest.iter().map(Run::job).collect();
    for beat in &mut heartbeats {
        beat.ran = ran.contains(beat.name.as_str());
    }
    let (breakers, holds) = block_on(switches(store, now)).map_err(of_store)?;
    let (budgets, quotas) = block_on(limits(&**store, now)).map_err(of_store)?;
    let mut answer = Answer {
        never: block_on(never(&**store, config, &heartbeats)).map_err(of_store)?,
        undeclared: undeclared(config, &heartbeats, &newest),
        windows: block_on(windows(&**store)).map_err(of_store)?,
        next: next(config, now),
        queue: Queue {
            states: queue.states,
            due: queue.due,
            oldest_ms: queue.due_since.map(|since| millis(between(since, now))),
            cut: queue.cut,
        },
        dead_letters: queue.dead_letters,
        heartbeats,
        breakers,
        holds,
        budgets,
        quotas,
        alerts: alerts(session, store, config)?,
        well: false,
    };
    answer.well = answer.is_well();
    Ok(answer)
}

fn alerts(session: &Session<'_, '_>, store: &Arc<dyn Store>, config: &Config) -> Result<Vec<Alert>, Stop> {
    let alerts = config.alerts(Arc::clone(store), session)?;
    let open = alerts.list_blocking(&notify::Filter::open(), ALERTS_MAX);
    let open = open.map_err(|error| match error {
        notify::Error::Store(error) => Failure::of_store(&error),
        error => Failure::new(Exit::Failed, "alert.not_read", chain(&error)),
    })?;
    let mut open: Vec<Alert> = open.into_iter().map(alert_of).collect();
    // Those that nobody sees to come first.
    open.sort_by(|one, other| other.state.cmp(one.state).then_with(|| one.since.cmp(&other.since)));
    Ok(open)
}

fn alert_of(entry: notify::Entry) -> Alert {
    Alert {
        id: entry.id,
        subject: entry.subject.typed(),
        state: entry.state.as_str(),
        kind: entry.kind.as_str(),
        code: entry.code,
        why: entry.why,
        count: entry.count,
        since: entry.since.map(At),
        last: entry.last.map(At),
        owner: entry.owner,
        runbook: entry.runbook,
        unsent: entry.unsent,
        next: entry.next,
    }
}

fn heartbeats(
    session: &Session<'_, '_>,
    store: &Arc<dyn Store>,
    config: &Config,
) -> Result<Vec<Heartbeat>, Stop> {
    let monitor = config.monitor(Arc::clone(store))?;
    let reports = block_on(metrics::heartbeats(store, session.host.clock.now(), Some(&monitor)));
    let reports = reports.map_err(|error| match error {
        monitor::Error::Store(error) => Failure::of_store(&error),
        error => Failure::new(Exit::Failed, "monitor.not_read", chain(&error)),
    })?;
    let mut beats = Vec::new();
    for report in reports {
        for entry in &report.entries {
            beats.push(heartbeat(&report.monitor, entry));
        }
    }
    // The worst first.
    beats.sort_by(|one, other| other.level.cmp(&one.level).then_with(|| one.name.cmp(&other.name)));
    Ok(beats)
}

fn heartbeat(monitor: &str, entry: &monitor::Entry) -> Heartbeat {
    let level = match entry.level() {
        Level::Well => 0,
        Level::Warning => 1,
        Level::Trouble => 2,
    };
    let status = match &entry.finding {
        Finding::Job(status) | Finding::Undeclared(status) => Some(status),
        _ => None,
    };
    let declared = !matches!(entry.finding, Finding::Undeclared(_));
    Heartbeat {
        name: entry.name.clone(),
        // Of one that nobody declared it is said apart how it is.
        state: status.map_or_else(|| entry.state(), |status| status.state.as_str()),
        since: entry.since().map(At),
        last_success: entry.last_success().map(At),
        every_ms: entry.every.map(millis),
        schedule: entry.schedule.clone(),
        code: entry.code(),
        why: entry.why(),
        declared,
        monitor: monitor.to_owned(),
        level,
        heard: status.is_some_and(|status| status.last_beat.is_some()),
        ran: false,
    }
}

/// Declared jobs of which nothing was ever heard or done.
async fn never(
    store: &dyn Store,
    config: &Config,
    heartbeats: &[Heartbeat],
) -> Result<Vec<Never>, store::Error> {
    let mut silent: BTreeMap<&str, Option<At>> =
        config.jobs.keys().map(|name| (name.as_str(), None)).collect();
    for beat in heartbeats.iter().filter(|beat| beat.declared && beat.monitor == MONITOR) {
        if beat.heard || beat.last_success.is_some() {
            silent.remove(beat.name.as_str());
        } else {
            silent.insert(&beat.name, beat.since);
        }
    }
    let mut never = Vec::new();
    for (name, since) in silent.into_iter().take(NEVER_MAX) {
        let query = Query { kinds: kinds_of(name), limit: 1, ..Query::all(Ns::RUN) };
        if store.scan(query).await?.records.is_empty() {
            never.push(Never { name: name.to_owned(), since });
        }
    }
    Ok(never)
}

/// Jobs that beat or ran, and that nobody declared. Where nothing is written down, only those that beat.
fn undeclared(config: &Config, heartbeats: &[Heartbeat], newest: &[Run]) -> Vec<Undeclared> {
    let mut found: BTreeMap<&str, Option<At>> = BTreeMap::new();
    let mine = || heartbeats.iter().filter(|beat| beat.monitor == MONITOR);
    for beat in mine().filter(|beat| !beat.declared && !config.jobs.contains_key(&beat.name)) {
        found.insert(&beat.name, beat.last_success.or(beat.since));
    }
    let declared: BTreeSet<&str> =
        mine().filter(|beat| beat.declared).map(|beat| beat.name.as_str()).collect();
    for run in newest.iter().filter(|_| config.path.is_some()) {
        if !config.jobs.contains_key(run.job()) && !declared.contains(run.job()) {
            let at = At(run.record.created_at);
            let last = found.entry(run.job()).or_default();
            *last = (*last).max(Some(at));
        }
    }
    found.into_iter().map(|(name, last)| Undeclared { name: name.to_owned(), last }).collect()
}

/// What waits for its window, by job and reason.
async fn windows(store: &dyn Store) -> Result<Vec<Window>, store::Error> {
    let states = [State::Queued, State::FailedTransient].map(|state| state.as_str().to_owned()).to_vec();
    let query = Query { states, order: Order::Oldest, limit: RUNS, ..Query::all(Ns::RUN) };
    let mut windows: BTreeMap<(String, String), Window> = BTreeMap::new();
    for record in store.scan(query).await?.records {
        let Ok(run) = Run::from_record(record) else { continue };
        if !run.body.code.starts_with("window.") {
            continue;
        }
        let (job, code, opens) = (run.job().to_owned(), run.body.code.clone(), run.record.due_at.map(At));
        let window = windows.entry((job.clone(), code.clone())).or_insert_with(|| {
            let why = run.body.why.clone();
            Window { job, state: "closed", opens, runs: 0, code, why }
        });
        window.runs += 1;
        window.opens = window.opens.min(opens);
    }
    Ok(windows.into_values().collect())
}

fn next(config: &Config, now: Timestamp) -> Vec<Next> {
    let scheduled = config.jobs.iter().filter_map(|(name, job)| match &job.expected {
        Some(Expected::Cron { schedule, .. }) => Some((name, schedule.next_after(now)?)),
        _ => None,
    });
    let mut next: Vec<Next> = scheduled
        .map(|(job, next)| Next {
            job: job.clone(),
            at: At(next.at),
            local: next.local.to_string(),
            note: next.note.code().to_owned(),
        })
        .collect();
    next.sort_by(|one, other| one.at.cmp(&other.at).then_with(|| one.job.cmp(&other.job)));
    next.truncate(NEXT_MAX);
    next
}

async fn switches(store: &Arc<dyn Store>, now: Timestamp) -> Result<(Vec<Breaker>, Vec<Hold>), store::Error> {
    let mut breakers: BTreeMap<String, Breaker> = BTreeMap::new();
    for (name, snapshot) in metrics::breakers(&**store).await? {
        breakers.insert(name.clone(), breaker_of(name, &snapshot, now));
    }
    let mut holds = Vec::new();
    for standing in Holds::new(Arc::clone(store)).list(now).await? {
        let (code, why) = (standing.code(), standing.to_string());
        let held = standing.held;
        if let Switch::Breaker(forced) = standing.switch {
            let name = standing.subject.name().to_owned();
            let breaker = breakers.entry(name.clone()).or_insert_with(|| Breaker {
                dependency: name,
                state: "closed",
                since: None,
                until: None,
                code: String::new(),
                why: String::new(),
                forced: None,
            });
            breaker.state = match forced {
                Forced::Open => "open",
                Forced::Closed => "closed",
            };
            (breaker.since, breaker.until) = (Some(At(held.at)), held.until.map(At));
            (breaker.code, breaker.why) = (code.to_owned(), why);
            breaker.forced = Some(forced.as_str());
            continue;
        }
        let (subject, until) = (standing.subject.typed(), held.until.map(At));
        holds.push(Hold { subject, until, reason: held.reason, by: held.by, at: At(held.at), code, why });
    }
    Ok((breakers.into_values().collect(), holds))
}

fn breaker_of(dependency: String, snapshot: &breaker::Snapshot, now: Timestamp) -> Breaker {
    let opened = snapshot.open_until();
    let blocked = snapshot.blocked_until().filter(|until| *until > now);
    let cause = snapshot.cause();
    let (mut code, mut why) =
        cause.as_ref().map_or_else(Default::default, |cause| (cause.code().to_owned(), cause.to_string()));
    if let Some(until) = blocked.filter(|_| cause.is_none()) {
        code = String::from("breaker.blocked");
        why = format!("it asked to be left alone until {}", crate::base::text::second(until));
    }
    Breaker {
        dependency,
        state: snapshot.state().as_str(),
        since: opened.map(|(at, _)| At(at)),
        until: opened.map(|(_, until)| until).max(blocked).map(At),
        code,
        why,
        forced: None,
    }
}

/// Budgets and quotas of which something is used.
async fn limits(store: &dyn Store, now: Timestamp) -> Result<(Vec<Limit>, Vec<Limit>), store::Error> {
    let of = |kinds: Vec<String>| Query { kinds, limit: PAGE_MAX, ..Query::all(Ns::SNAPSHOT) };
    let (mut budgets, mut quotas) = (Vec::new(), Vec::new());
    for record in store.scan(of(vec![String::from("budget")])).await?.records {
        let Ok(budget) = serde_json::from_str::<budget::Snapshot>(&record.body) else { continue };
        if budget.full_at() > now {
            let full_at = Some(At(budget.full_at()));
            budgets.push(Limit { dependency: budget.key().to_owned(), used: None, full_at });
        }
    }
    let kinds = (0..QUOTAS).map(|index| format!("quota-{index}")).collect();
    for record in store.scan(of(kinds)).await?.records {
        let Ok(quota) = serde_json::from_str::<quota::Snapshot>(&record.body) else { continue };
        if quota.full_at().is_some_and(|at| at > now) {
            let (used, full_at) = (quota.used(), quota.full_at().map(At));
            quotas.push(Limit { dependency: quota.key().to_owned(), used, full_at });
        }
    }
    budgets.sort_by(|one: &Limit, other| one.dependency.cmp(&other.dependency));
    quotas.sort_by(|one: &Limit, other| one.dependency.cmp(&other.dependency));
    Ok((budgets, quotas))
}
