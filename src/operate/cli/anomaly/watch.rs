//! `anomaly watch`: which lines are rare, of files as they are or as they grow.

use std::path::Path;
use std::time::Duration;

use crate::act::shutdown::Shutdown;
use crate::base::time::Moment;
use crate::observe::lines::{Follow, FollowError};
use crate::operate::cli::anomaly::kept::{self, Kept, Use};
use crate::operate::cli::anomaly::learn::{self, Source};
use crate::operate::cli::anomaly::lines::Lines;
use crate::operate::cli::anomaly::watcher::Watcher;
use crate::operate::cli::anomaly::{Watch, print};
use crate::operate::cli::failure::{Exit, Failure, Stop, chain};
use crate::operate::cli::session::{Session, quoted};
use crate::remember::snapshots::File;

/// How long it is waited between two looks at the files.
const LOOK_EACH: Duration = Duration::from_millis(200);
/// How often the baseline is saved at least while it learns.
const SAVE_EACH: Duration = Duration::from_secs(60);
/// A unit of which nothing was seen for so long is over.
const UNIT_QUIET: Duration = Duration::from_secs(60);

pub(super) fn whole(session: &mut Session<'_, '_>, asked: &Watch) -> Result<Exit, Stop> {
    let (_, mut watcher) = ready(session, asked, Use::Whole(asked.alert_from))?;
    let (sources, _) = learn::open(&asked.files)?;
    let mut now = session.host.clock.now();
    let mut alerts = 0;
    for (index, mut source) in sources.into_iter().enumerate() {
        let live = matches!(source, Source::Stdin);
        let mut lines = Lines::new();
        while source.line(session, &mut lines, |number, line| watcher.line(index, number, line, now))? {
            if live {
                now = session.host.clock.now();
            }
            alerts += told(session, &mut watcher, live)?;
        }
    }
    watcher.end(now);
    alerts += told(session, &mut watcher, false)?;
    print::sum(session, &mut watcher, alerts)?;
    Ok(Exit::Done)
}

/// Tells what there is; says how many alerts.
fn told(session: &mut Session<'_, '_>, watcher: &mut Watcher, at_once: bool) -> Result<u64, Stop> {
    let (alerts, notes) = watcher.told();
    print::tell(session, &alerts, &notes)?;
    if at_once && !alerts.is_empty() {
        session.out().flush()?;
    }
    Ok(alerts.len() as u64)
}

/// The baseline, which has to be there.
fn ready(session: &Session<'_, '_>, asked: &Watch, use_: Use) -> Result<(File<Kept>, Watcher), Stop> {
    let missing = || {
        let (program, path) = (&session.host.program, asked.baseline.display());
        let baseline = quoted(&asked.baseline);
        Failure::new(Exit::Config, "baseline.missing", format!("there is no baseline at {path}"))
            .hint(format!("`{program} anomaly learn FILE --baseline {baseline}` makes it from usual lines"))
    };
    let folder = asked.baseline.parent().filter(|folder| *folder != Path::new(""));
    if folder.is_some_and(|folder| !folder.exists()) {
        return Err(missing().into());
    }
    let file = kept::file(&asked.baseline)?;
    let (kept, recovered) = kept::load(&file)?.ok_or_else(missing)?;
    let now = session.host.clock.now();
    let ready = kept::ready(&asked.baseline, Some(kept), &asked.how, asked.unit.as_ref(), use_, now)?;
    if let Some(recovered) = recovered {
        tracing::warn!(path = %asked.baseline.display(), why = ?recovered, "the baseline is the one before the last");
    }
    for noticed in &ready.noticed {
        tracing::warn!(why = %noticed, "noticed while the baseline was restored");
    }
    Ok((file, Watcher::new(ready, learn::names(&asked.files))))
}

/// A file that is followed.
struct Tail {
    follow: Follow,
    key: String,
    lines: u64,
}

pub(super) fn follow(session: &mut Session<'_, '_>, asked: &Watch) -> Result<Exit, Stop> {
    if asked.files.iter().any(|file| file.as_os_str() == "-") {
        let failure =
            Failure::usage("--follow reads files as they grow, and stdin is read to its end anyway");
        return Err(failure.hint("leave --follow away").into());
    }
    let (file, mut watcher) = ready(session, asked, Use::Follow(asked.alert_from))?;
    let mut tails = tails(asked, &watcher)?;
    // From here on the signals end the loop, not the process.
    let shutdown =
        Shutdown::on_signals().map_err(|error| Failure::new(Exit::Failed, "signals.none", chain(&error)))?;
    let (mut alerts, mut saved) = (0, session.host.clock.now().moment);
    loop {
        let more = look(session, &mut tails, &mut watcher)?;
        let now = session.host.clock.now();
        let before = now.moment.as_nanos().saturating_sub(nanos(UNIT_QUIET));
        watcher.end_units_before(Moment::from_nanos(before), now);
        watcher.take(now);
        let over = shutdown.is_triggered() && !more;
        if over {
            watcher.ready.baseline.flush(now);
            watcher.take(now);
        }
        let (told, notes) = watcher.told();
        let due = now.moment.as_nanos().saturating_sub(saved.as_nanos()) >= nanos(SAVE_EACH);
        if over || due || !told.is_empty() {
            // Before it is told: after a crash in between nothing is told twice.
            for tail in &tails {
                watcher.ready.positions.extend(tail.follow.position().map(|at| (tail.key.clone(), at)));
            }
            file.save(&watcher.ready.save(now)).map_err(|error| kept::unusable(&asked.baseline, &error))?;
            saved = now.moment;
        }
        alerts += told.len() as u64;
        print::tell(session, &told, &notes)?;
        session.out().flush()?;
        if over {
            print::sum(session, &mut watcher, alerts)?;
            return Ok(Exit::Done);
        }
        if !more {
            let _asked = shutdown.wait_blocking_for(LOOK_EACH);
        }
    }
}

fn nanos(of: Duration) -> u64 {
    crate::base::time::nanos(of)
}

fn tails(asked: &Watch, watcher: &Watcher) -> Result<Vec<Tail>, Failure> {
    let tail = |path: &std::path::PathBuf| {
        let whole = std::path::absolute(path).unwrap_or_else(|_| path.clone());
        let key = whole.to_string_lossy().into_owned();
        let follow = match watcher.ready.positions.get(&key) {
            Some(at) => Follow::resume(path, at.clone()).map_err(|error| unfollowed(&error))?,
            None => Follow::from_start(path),
        };
        Ok(Tail { follow, key, lines: 0 })
    };
    asked.files.iter().map(tail).collect()
}

fn unfollowed(error: &FollowError) -> Failure {
    Failure::new(Exit::Failed, "io.failed", chain(error)).hint("FILE is a log that is appended to")
}

/// Reads what was appended; whether there may be more at once.
fn look(session: &Session<'_, '_>, tails: &mut [Tail], watcher: &mut Watcher) -> Result<bool, Stop> {
    let mut more = false;
    for (index, tail) in tails.iter_mut().enumerate() {
        let now = session.host.clock.now();
        let Tail { follow, lines, .. } = tail;
        let polled = follow.poll(|line| {
            *lines += 1;
            watcher.line(index, *lines, line.text, now);
        });
        let polled = polled.map_err(|error| unfollowed(&error))?;
        for happened in &polled.happened {
            tracing::info!(file = %tail.key, why = %happened, "noticed of a file that is followed");
        }
        more |= polled.more;
    }
    Ok(more)
}
