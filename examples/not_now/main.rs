//! The nightly import needs memory and a calm machine. It waits for both, begins when they are there, and gives up in time when they
//! never are, saying why.
//!
//! Time is simulated and what the machine does is a script, so the same is told each time; at the end this machine itself is asked.

use std::error::Error;
use std::time::Duration;

use unattended::explain::Explain;
use unattended::gate::{Decision, Policy, Reading, Sample, Signal};
use unattended::readiness::{Gate, Shared};
use unattended::testing::sim::Sim;
use unattended::text;
use unattended::time::{Clock, Now, Timestamp};

/// From which minute after two o'clock on the machine does what: processors, memory and memory pressure in percent.
const NIGHT: [(i64, &str, [f64; 3]); 6] = [
    (0, "the backup compresses", [96.0, 71.0, 3.0]),
    (9, "the backup is done", [31.0, 58.0, 0.0]),
    (10, "a report sorts in memory", [22.0, 93.4, 41.0]),
    (22, "the report is done", [12.0, 82.0, 1.5]),
    (24, "its cache is freed", [4.0, 41.0, 0.0]),
    (60, "somebody trains a model", [99.0, 88.0, 12.0]),
];

fn main() -> Result<(), Box<dyn Error>> {
    let sim = Sim::new("2026-11-22T02:00:00Z".parse()?, 7);
    // Gates that share a sampler look at the machine once for all of them.
    let machine = Shared::new(script(sim.now().wall));
    let policy: Policy = "cpu:50/40, mem:90/80, psi:20/10, custom:upstream, dwell:2m".parse()?;
    println!("the import begins only if: {policy}\n");
    let import = Gate::new(policy).sampler(&machine).check("upstream", || true);

    tell_what_it_sees(&import, &sim);
    println!();
    let early = wait(&import, &sim, "the import", Duration::from_secs(15 * 60));
    // Another gate over the same readings; here the policy itself says when it is no use any more.
    let heavier: Policy = "cpu:30, mem:60, give_up:90m".parse()?;
    let reindex = Gate::new(heavier).sampler(&machine);
    if !early {
        wait(&import, &sim, "the import, once more", Duration::from_secs(3600));
    }
    sim.advance(Duration::from_secs(40 * 60));
    wait(&reindex, &sim, "the reindexing", Duration::from_secs(86_400));

    // What a job does with it: `?` hands it on, and the run is put down until then, with its attempt given back.
    if let Err(later) = reindex.ready(sim.now()) {
        println!("{} a job is put off with {}", at(&sim), later.code);
    }
    this_machine()
}

/// Waits, and tells how that ended.
fn wait(gate: &Gate, sim: &Sim, what: &str, limit: Duration) -> bool {
    println!("{} {what} waits for at most {}", at(sim), text::about(limit));
    let decision = gate.wait_blocking_on(sim, limit);
    match &decision {
        Decision::Open { why } => println!("{} {what} begins: {why}\n", at(sim)),
        Decision::Closed(closed) => println!("{} {what}: not now: {closed}\n", at(sim)),
        Decision::GivenUp(given_up) => println!("{} {what} does not begin: {given_up}\n", at(sim)),
    }
    decision.is_open()
}

/// What the gate answers in the first minutes to somebody who only asks.
fn tell_what_it_sees(gate: &Gate, sim: &Sim) {
    for _ in 0..3 {
        let decision = gate.ask(sim.now());
        println!("{} {:<15} {decision}", at(sim), decision.code());
        if let Some(closed) = decision.closed() {
            println!(
                "         closed since {}, worth asking again at {}",
                closed.since.time(),
                closed.retry_at.time()
            );
        }
        sim.advance(Duration::from_secs(60));
    }
}

/// The machine of the story.
fn script(start: Timestamp) -> impl FnMut(&[&Signal], Now) -> Sample + Send + 'static {
    move |signals, now| {
        let minute = now.wall.signed_duration_since(start).num_minutes();
        let [cpu, memory, pressure] =
            NIGHT.iter().rev().find(|(from, ..)| *from <= minute).map_or([0.0; 3], |(_, _, does)| *does);
        let mut sample = Sample::new();
        for signal in signals {
            let reading = match signal {
                Signal::Cpu => cpu.into(),
                Signal::Memory => memory.into(),
                Signal::Pressure { .. } => pressure.into(),
                _ => Reading::missing("the script does not say"),
            };
            sample.set((*signal).clone(), reading);
        }
        sample
    }
}

fn at(sim: &Sim) -> String {
    sim.now().wall.format("%H:%M:%S").to_string()
}

/// Whatever this machine does, it says so, and nothing that it cannot read is zero.
fn this_machine() -> Result<(), Box<dyn Error>> {
    use unattended::host::Sampler;
    use unattended::time::System;

    let signals = [Signal::Memory, Signal::DiskFreePercent(".".into()), Signal::Exists(".".into())];
    let sample = Sampler::new().sample(&signals, System.moment());
    let known =
        sample.iter().filter(|(_, reading)| matches!(reading, Reading::Number(_) | Reading::Is(_))).count();
    println!("this machine says {known} of {} signals", signals.len());
    Ok(())
}
