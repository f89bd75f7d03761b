//! Six jobs of a small business. One dies silently: its line in the crontab was lost when the machine was set up anew. Who notices, when,
//! and what it says. Four days of simulated time; the monitor is a cron process, started anew every five minutes.
//!
//! ```sh
//! cargo run --all-features --example heartbeats
//! ```

use std::sync::Arc;
use std::time::Duration;

use chrono::NaiveTime;
use unattended::heartbeat::{Beat, Policy};
use unattended::memory::Memory;
use unattended::monitor::{Answer, Monitor, NoTimers, Raised};
use unattended::schedule::Schedule;
use unattended::store::Store;
use unattended::testing::sim::Sim;
use unattended::time::Clock;
use unattended::zone::Zone;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

fn main() -> Outcome<()> {
    // From a Saturday on.
    let sim = Sim::new("2026-11-21T00:00:00Z".parse()?, 7);
    let store: Arc<dyn Store> = Arc::new(Memory::on(Arc::new(sim.clone())));
    for step in 0..4 * DAY / (5 * MINUTE) {
        let second = step * 5 * MINUTE;
        // The machine of the monitor is updated on Sunday night.
        let away = (DAY + 22 * HOUR..2 * DAY + HOUR).contains(&second);
        if !away {
            check(&store, &sim, second)?;
        }
        work(&store, &sim, second)?;
        sim.advance(Duration::from_secs(5 * MINUTE));
    }
    work(&store, &sim, 4 * DAY)?;
    println!("\nwhat it says now:\n{}", monitor(&store, &sim, 4 * DAY)?.check_blocking(sim.now())?);
    Ok(())
}

/// What the monitor is told to expect: the same in each of its processes.
fn monitor(store: &Arc<dyn Store>, sim: &Sim, second: u64) -> Outcome<Monitor> {
    let span = Duration::from_secs;
    let at = |hour| NaiveTime::from_hms_opt(hour, 0, 0).ok_or("no such hour");
    let nightly = Schedule::daily(at(2)?, Zone::Utc);
    let mondays = Schedule::weekly(&[chrono::Weekday::Mon], at(9)?, Zone::Utc)?;
    let shop_is_down = (3 * DAY + 14 * HOUR..3 * DAY + 15 * HOUR).contains(&second);
    let clock = sim.clone();
    let monitor = Monitor::new(Arc::clone(store), "office")
        .tick(span(5 * MINUTE))
        .expect("orders", Policy::every(span(15 * MINUTE)).failures(3))
        .expect("stock", Policy::every(span(HOUR)).run_max(span(20 * MINUTE)))
        .expect("prices", Policy::every(span(2 * HOUR)))
        .expect("mailbox", Policy::every(span(30 * MINUTE)).unsteady(4, span(6 * HOUR)))
        .expect_schedule("backup", nightly, Policy::scheduled().run_min(span(10 * MINUTE)))
        .expect_schedule("invoices", mondays, Policy::scheduled().start_max(span(30 * MINUTE)))
        .probe("shop", span(10), move || match shop_is_down {
            true => Answer::Down("HTTP 503".into()),
            false => Answer::Ok,
        })
        .memory_below(90.0, || Ok(61.5))
        .timers(|| Err(NoTimers::NoSystemd("this is a story".into())))
        .on_timer("backup", "backup.timer")
        .on_event(move |raised| say(&clock, raised))
        .build()?;
    Ok(monitor)
}

/// One process of the monitor.
fn check(store: &Arc<dyn Store>, sim: &Sim, second: u64) -> Outcome<()> {
    let _report = monitor(store, sim, second)?.check_blocking(sim.now())?;
    Ok(())
}

/// Called by whoever has written it: the monitor for what is silent, the job's own process for what it says.
fn say(clock: &Sim, raised: &Raised) {
    println!("{}  {raised}", clock.now().wall.format("%a %H:%M"));
}

/// What the six jobs do at this second, each in a process of its own that knows the monitor's name and nothing else: the policy stands beside the heartbeat.
fn work(store: &Arc<dyn Store>, sim: &Sim, second: u64) -> Outcome<()> {
    let (now, clock) = (sim.now(), sim.clone());
    let jobs =
        Monitor::new(Arc::clone(store), "office").on_event(move |raised| say(&clock, raised)).build()?;
    let beat = |job: &str, beat: Beat| jobs.beat_blocking(job, now, beat);
    let each = |span: u64| second.is_multiple_of(span);
    if each(15 * MINUTE) {
        // The importer fails three times in a row on Monday morning.
        let fails = (2 * DAY + 8 * HOUR..2 * DAY + 8 * HOUR + 45 * MINUTE).contains(&second);
        beat("orders", if fails { Beat::failed("the feed has no end") } else { Beat::succeeded() })?;
    }
    if each(HOUR) {
        beat("stock", Beat::started())?;
    }
    // One run hangs on Monday at noon; the next one is well.
    if second % HOUR == 5 * MINUTE && second != 2 * DAY + 12 * HOUR + 5 * MINUTE {
        beat("stock", Beat::succeeded())?;
    }
    // The last time that anybody hears of the prices is Sunday at noon.
    if each(2 * HOUR) && second <= DAY + 12 * HOUR {
        beat("prices", Beat::succeeded())?;
    }
    // On Tuesday the provider of the mailbox is there and gone again.
    if each(30 * MINUTE) {
        let gone =
            (3 * DAY..3 * DAY + 5 * HOUR).contains(&second) && (second / (30 * MINUTE)).is_multiple_of(2);
        beat("mailbox", if gone { Beat::failed("no route to host") } else { Beat::succeeded() })?;
    }
    // On Tuesday the disk of the backup is not mounted, and copying nothing takes no time.
    match second % DAY {
        7200 => beat("backup", Beat::started())?,
        7500 if second > 3 * DAY => beat("backup", Beat::succeeded())?,
        9000 if second < 3 * DAY => beat("backup", Beat::succeeded())?,
        _ => {}
    }
    if second == 2 * DAY + 9 * HOUR + 40 * MINUTE {
        beat("invoices", Beat::started())?;
        beat("invoices", Beat::succeeded())?;
    }
    Ok(())
}
