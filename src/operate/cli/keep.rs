//! Verbs about the store itself: info, check, migrate, prune.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use crate::base::text::{self, about, about_size};
use crate::base::time::{Timestamp, earlier, millis};
use crate::decide::run::State;
use crate::operate::cli::check;
use crate::operate::cli::failure::{Exit, Failure, Stop};
use crate::operate::cli::print::{Facts, Table, plain};
use crate::operate::cli::session::{Need, Opened, Session};
use crate::remember::blocking::block_on;
use crate::remember::runs::{Pruned, Retention};
use crate::remember::store::{self, Ns, Order, PAGE_MAX, Pages, Query, Store};

/// How often a prune that met its bound goes on; each deletes up to 100,000 runs of a kind.
const ROUNDS_MAX: u32 = 1000;

/// What `info` answers, of either kind of store.
#[derive(Serialize)]
struct Info {
    version: u32,
    size: u64,
    runs: u64,
    runs_by_state: BTreeMap<String, u64>,
    records: Vec<Records>,
    events: u64,
    revision: u64,
    version_supported: u32,
    store: String,
    backend: &'static str,
    backend_version: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    wal_size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    journal_mode: Option<String>,
    synchronous: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    reserve: Option<bool>,
}

#[derive(Serialize)]
struct Records {
    kind: String,
    state: String,
    count: u64,
}

pub(super) fn info(session: &mut Session<'_, '_>) -> Result<Exit, Stop> {
    let info = read(&session.opened(Need::Read)?).map_err(|error| Failure::of_store(&error))?;
    if session.json() {
        return session.object(&info).map(|()| Exit::Done);
    }
    let mut facts = Facts::default();
    facts.text("store", &info.store);
    facts.text("backend", &format!("{} {}", info.backend, info.backend_version));
    facts
        .painted("format", format!("{} (this release reads up to {})", info.version, info.version_supported));
    let log = info.wal_size.map(|size| format!(", log {}", about_size(size))).unwrap_or_default();
    facts.painted("size", format!("{}{log}", about_size(info.size)));
    facts.painted("revision", info.revision.to_string());
    facts.painted("events", info.events.to_string());
    facts.painted("runs", info.runs.to_string());
    let paint = session.paint();
    facts.write(session.out(), paint)?;
    let mut table = Table::default();
    for (state, count) in &info.runs_by_state {
        let shown = plain(state).0;
        let painted = paint.state(state, &shown);
        table.row([(String::new(), String::new()), (shown, painted), plain(&count.to_string())]);
    }
    table.write(session.out())?;
    Ok(Exit::Done)
}

fn read(opened: &Opened) -> Result<Info, store::Error> {
    let counted = |states: &[(Ns, String, u64)]| -> BTreeMap<String, u64> {
        let runs = states.iter().filter(|(ns, _, _)| *ns == Ns::RUN);
        runs.map(|(_, state, count)| (state.clone(), *count)).collect()
    };
    let records = |states: Vec<(Ns, String, u64)>| -> Vec<Records> {
        let all = states.into_iter();
        all.map(|(ns, state, count)| Records { kind: ns.to_string(), state, count }).collect()
    };
    Ok(match opened {
        Opened::Sqlite(store) => {
            let info = store.info()?;
            let runs_by_state = counted(&info.states);
            Info {
                version: info.format,
                size: info.bytes,
                runs: runs_by_state.values().sum(),
                runs_by_state,
                records: records(info.states),
                events: info.events,
                revision: info.revision,
                version_supported: info.format_supported,
                store: info.path.display().to_string(),
                backend: store.caps().name,
                backend_version: info.sqlite_version,
                path: Some(info.path.display().to_string()),
                wal_size: Some(info.wal_bytes),
                journal_mode: Some(info.settings.journal_mode),
                synchronous: info.settings.synchronous.to_string(),
                reserve: Some(info.reserve_stands),
            }
        }
        Opened::Postgres(store, shown) => {
            let info = block_on(store.info())?;
            let runs_by_state = counted(&info.states);
            Info {
                version: info.format,
                size: info.bytes,
                runs: runs_by_state.values().sum(),
                runs_by_state,
                records: records(info.states),
                events: info.events,
                revision: info.revision,
                version_supported: info.format_supported,
                store: shown.clone(),
                backend: store.caps().name,
                backend_version: info.server_version,
                path: None,
                wal_size: None,
                journal_mode: None,
                synchronous: info.settings.synchronous_commit,
                reserve: None,
            }
        }
    })
}

pub(super) fn check(session: &mut Session<'_, '_>) -> Result<Exit, Stop> {
    #[derive(Serialize)]
    struct Answer {
        checks: Vec<check::Check>,
    }
    let opened = session.opened(Need::Read)?;
    let checks = check::checks(&opened).map_err(|error| Failure::of_store(&error))?;
    let failed = checks.iter().filter(|check| !check.passes()).count();
    let exit = if failed == 0 { Exit::Done } else { Exit::Failed };
    if session.json() {
        return session.object(&Answer { checks }).map(|()| exit);
    }
    let paint = session.paint();
    let mut table = Table::default();
    for check in &checks {
        let result = if check.passes() { paint.good("pass") } else { paint.bad("FAIL") };
        table.row([(String::from("pass"), result), plain(check.name), plain(&check.why)]);
    }
    table.write(session.out())?;
    if failed > 0 {
        let what = match &opened {
            Opened::Sqlite(store) => {
                format!("keep a copy of {} and of the files beside it", store.path().display())
            }
            Opened::Postgres(_, shown) => format!("keep a dump of {shown}"),
        };
        writeln!(session.out(), "\n{} before anything else", plain(&what).0)?;
    }
    Ok(exit)
}

pub(super) fn migrate(session: &mut Session<'_, '_>) -> Result<Exit, Stop> {
    #[derive(Serialize)]
    struct Answer {
        from: Option<u32>,
        to: u32,
        changed: bool,
    }
    let (from, to) = session.migrate()?;
    let changed = from != Some(to);
    if session.json() {
        return session.object(&Answer { from, to, changed }).map(|()| Exit::Done);
    }
    let line = match from {
        None => format!("a store of format {to} was made"),
        Some(from) if changed => {
            format!(
                "the store was brought from format {from} to {to}; releases of the format before go on working"
            )
        }
        Some(_) => format!("the store has format {to}, which is this release's, with all its indexes"),
    };
    writeln!(session.out(), "{line}")?;
    Ok(Exit::Done)
}

/// What `store prune` takes.
#[derive(Clone, Debug, clap::Args)]
pub(in crate::operate::cli) struct Prune {
    /// Runs that ended, and tokens that were answered, longer ago than this
    #[arg(long, value_name = "D", value_parser = text::duration, default_value = "90d")]
    older_than: Duration,

    /// Keys that were settled longer ago than this; a key that comes again after that is new work [default: none]
    #[arg(long, value_name = "D", value_parser = text::duration)]
    keys_older_than: Option<Duration>,

    /// Only count them
    #[arg(long)]
    dry_run: bool,
}

/// What a prune has deleted, or would.
#[derive(Serialize)]
struct Deleted {
    runs: u64,
    keys: u64,
    tokens: u64,
    older_than_ms: u64,
    dry_run: bool,
}

pub(super) fn prune(session: &mut Session<'_, '_>, asked: Prune) -> Result<Exit, Stop> {
    let need = if asked.dry_run { Need::Read } else { Need::Write };
    let operator = session.operator(need)?;
    let now = session.host.clock.now().wall;
    let keep = Some(asked.older_than);
    let ledger = asked.keys_older_than;
    let retention = Retention { succeeded: keep, failed: keep, cancelled: keep, ledger, waits: keep };
    let pruned = if asked.dry_run {
        let before = earlier(now, asked.older_than);
        let runs = count(&**operator.runs().store(), before).map_err(|error| Failure::of_store(&error))?;
        Pruned { runs, ..Pruned::default() }
    } else {
        let mut all = Pruned::default();
        for _ in 0..ROUNDS_MAX {
            let more = block_on(operator.prune(&retention, now)).map_err(|error| session.failed(&error))?;
            all.runs += more.runs;
            all.entries += more.entries;
            all.tokens += more.tokens;
            if !more.more {
                break;
            }
        }
        all
    };
    let Pruned { runs, entries: keys, tokens, .. } = pruned;
    if session.json() {
        let (older_than_ms, dry_run) = (millis(asked.older_than), asked.dry_run);
        session.object(&Deleted { runs, keys, tokens, older_than_ms, dry_run })?;
        return Ok(Exit::Done);
    }
    let age = about(asked.older_than);
    if asked.dry_run {
        writeln!(
            session.out(),
            "{runs} runs ended more than {age} ago and would be deleted; nothing was changed"
        )?;
    } else {
        writeln!(
            session.out(),
            "{runs} runs, {keys} keys and {tokens} tokens deleted, of more than {age} ago"
        )?;
    }
    Ok(Exit::Done)
}

/// How many runs have ended and were last written before `until`, read page by page.
fn count(store: &dyn Store, until: Timestamp) -> Result<u64, store::Error> {
    let ended = State::ALL.into_iter().filter(|state| state.is_terminal());
    let states = ended.map(|state| state.as_str().to_owned()).collect();
    let query = Query { states, limit: PAGE_MAX, order: Order::Oldest, ..Query::all(Ns::RUN) };
    let mut count = 0_u64;
    let mut pages = Pages::of(store, query);
    while let Some(records) = block_on(pages.next())? {
        let old = records.iter().filter(|record| record.updated_at < until).count();
        count = count.saturating_add(old as u64);
        // In the order in which they were made: none that comes after is older than its making.
        if records.last().is_some_and(|record| record.created_at >= until) {
            break;
        }
    }
    Ok(count)
}
