//! The numbers of a week, from the world's own log.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::io::{self, Write};
use std::time::Duration;

use crate::naive::Naive;
use crate::ours::{Decision, Ours};
use crate::tasks::{ENGINES, Task};
use crate::weather::Weather;
use crate::week::{self, Seen, clock};
use crate::world::{Entry, World};

/// How many lines the story of a task has at most.
const STORY_MAX: usize = 16;

/// What became of one way to write the job.
#[derive(Debug)]
pub(crate) struct Week {
    pub(crate) seen: Seen,
    pub(crate) tasks: usize,
    pub(crate) done: usize,
    /// Not done, and where a person finds them.
    pub(crate) dead: usize,
    /// Neither done nor there.
    pub(crate) lost: usize,
    /// Effects that took place once more than they should have, each time counted.
    pub(crate) duplicates: u32,
    pub(crate) calls: usize,
    /// Calls that the dependency's last hint, or a breaker that sees its answers, forbade.
    pub(crate) forbidden: usize,
    /// Those of them that were made while the dependency was in fact down.
    pub(crate) wasted: usize,
    pub(crate) longest: Duration,
    pub(crate) log: Vec<Entry>,
}

impl Week {
    pub(crate) fn of(world: &World, seen: Seen, dead_letters: &BTreeSet<Task>) -> Self {
        let log = world.log();
        let tasks = || world.weather.arrivals.keys().copied();
        let left: Vec<Task> = tasks().filter(|task| !world.done(*task)).collect();
        let dead = left.iter().filter(|task| dead_letters.contains(task)).count();
        let forbidden = || log.iter().filter(|entry| entry.forbidden);
        Self {
            seen,
            tasks: tasks().count(),
            done: tasks().count() - left.len(),
            dead,
            lost: left.len() - dead,
            duplicates: world.effects().values().map(|times| times - 1).sum(),
            calls: log.len(),
            forbidden: forbidden().count(),
            wasted: forbidden().filter(|entry| entry.down).count(),
            longest: log.iter().map(Entry::took).max().unwrap_or_default(),
            log,
        }
    }
}

/// Both weeks of one seed.
pub(crate) struct Both {
    pub(crate) weather: Weather,
    pub(crate) naive: Week,
    pub(crate) ours: Week,
    pub(crate) decisions: Vec<Decision>,
}

/// Lives the week of a seed twice.
pub(crate) fn both(seed: u64) -> Result<Both, Box<dyn Error>> {
    let world = World::new(seed, crate::ours::breaker())?;
    let seen = week::live(&world, &mut Naive::default());
    let naive = Week::of(&world, seen, &BTreeSet::new());
    let world = World::new(seed, crate::ours::breaker())?;
    let mut job = Ours::new(&world);
    let seen = week::live(&world, &mut job);
    let ours = Week::of(&world, seen, &job.found_dead()?);
    Ok(Both { weather: Weather::seeded(seed), naive, ours, decisions: job.decisions() })
}

impl Both {
    pub(crate) fn print(&self, out: &mut dyn Write, seed: u64) -> io::Result<()> {
        self.print_weather(out, seed)?;
        self.print_table(out)?;
        self.print_decisions(out)?;
        self.print_story(out)
    }

    fn print_weather(&self, out: &mut dyn Write, seed: u64) -> io::Result<()> {
        let week = &self.weather;
        writeln!(
            out,
            "A week of hostile days, seed {seed}: five engines, five dependencies, cron every 15 minutes."
        )?;
        for (kind, (count, lasted)) in week.summary() {
            writeln!(out, "  {count:>3} x {:<44} {:>5.1} h", kind.words(), lasted.as_secs_f64() / 3600.0)?;
        }
        writeln!(out, "  {:>3} x all tokens revoked", week.revocations())?;
        writeln!(out, "  {:>3} x a task that some call will never take", week.poisoned())
    }

    fn print_table(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "\n{:<44} {:>10} {:>12}", "", "naive", "our policies")?;
        for (what, naive, ours) in self.rows() {
            writeln!(out, "{what:<44} {naive:>10} {ours:>12}")?;
        }
        Ok(())
    }

    /// What the table says: a name, and both numbers.
    fn rows(&self) -> Vec<(String, String, String)> {
        let both =
            |what: &str, of: &dyn Fn(&Week) -> String| (what.to_owned(), of(&self.naive), of(&self.ours));
        let mut rows = vec![
            both("processes started by cron", &|week| week.seen.runs.to_string()),
            both("  ended normally (uptime)", &|week| percent(week.seen.normal, week.seen.runs)),
            both("  crashed", &|week| week.seen.crashed.to_string()),
            both("  hung until they were killed", &|week| week.seen.killed.to_string()),
        ];
        for (engine, worked) in ENGINES.iter().zip(0..) {
            let what = format!("  left nothing open: {}", engine.name);
            rows.push(both(&what, &|week| percent(week.seen.worked[worked], week.seen.runs)));
        }
        rows.extend([
            both("tasks", &|week| week.tasks.to_string()),
            both("  done", &|week| week.done.to_string()),
            both("  in the dead letters, with the reason", &|week| week.dead.to_string()),
            both("  lost", &|week| week.lost.to_string()),
            both("effects that took place once too often", &|week| week.duplicates.to_string()),
            both("calls", &|week| week.calls.to_string()),
            both("  made against a hint or an open breaker", &|week| week.forbidden.to_string()),
            both("  of them wasted on what was in fact dead", &|week| week.wasted.to_string()),
            both("longest call", &|week| format!("{:?}", Duration::from_secs(week.longest.as_secs()))),
            both("times that a person had to mend it", &|week| week.seen.by_hand.to_string()),
        ]);
        rows
    }

    /// How often which reason was given, and what it said last.
    fn print_decisions(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut reasons: BTreeMap<&str, (u32, &Decision)> = BTreeMap::new();
        for decision in &self.decisions {
            reasons.entry(decision.code).and_modify(|(times, _)| *times += 1).or_insert((1, decision));
        }
        writeln!(out, "\nWhat calls that did not succeed ended with, and the first of each:")?;
        for (code, (times, Decision { at, task, op, why, .. })) in reasons {
            writeln!(out, "{times:>5} x {code}\n        {} {task}, {op}: {why}", clock(*at))?;
        }
        Ok(())
    }

    /// The task about which most was decided, and which was done in the end.
    fn print_story(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut decided: BTreeMap<Task, usize> = BTreeMap::new();
        for decision in &self.decisions {
            *decided.entry(decision.task).or_default() += 1;
        }
        let told = |(task, count): (Task, usize)| (count <= STORY_MAX / 2).then_some((count, task));
        let Some((_, task)) = decided.into_iter().filter_map(told).max() else { return Ok(()) };
        let calls = self.ours.log.iter().filter(|entry| entry.task == task);
        let calls = calls.map(|entry| (entry.at, format!("{:<18} {}", entry.op.name, outcome(entry))));
        let decisions = self.decisions.iter().filter(|decision| decision.task == task);
        let decisions = decisions.map(|one| (one.at, format!("{:<18}   [{}] {}", one.op, one.code, one.why)));
        let mut lines: Vec<_> = calls.chain(decisions).collect();
        lines.sort_by_key(|(at, _)| *at);
        writeln!(out, "\nThe story of {task}, as the other side saw it and as it was decided:")?;
        let arrived = self.weather.arrivals.get(&task).map_or_else(String::new, |at| clock(*at));
        writeln!(out, "  {arrived} it arrives")?;
        let left = lines.len().saturating_sub(2 * STORY_MAX);
        for (at, line) in lines.into_iter().take(2 * STORY_MAX) {
            writeln!(out, "  {} {line}", clock(at))?;
        }
        if left > 0 {
            writeln!(out, "  and {left} more")?;
        }
        Ok(())
    }
}

fn outcome(entry: &Entry) -> String {
    let took = Duration::from_millis(u64::try_from(entry.took().as_millis()).unwrap_or(u64::MAX));
    match &entry.trouble {
        Some(trouble) => format!("-> {trouble} after {took:?}"),
        None if entry.given_up => format!("-> silence, cut after {took:?}"),
        None => format!("-> done in {took:?}"),
    }
}

fn percent(part: u32, whole: u32) -> String {
    format!("{:.1} %", 100.0 * f64::from(part) / f64::from(whole.max(1)))
}
