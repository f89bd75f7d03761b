//! What the bounds cost: `cargo test --profile bench --test process speed -- --ignored --nocapture`.

use std::process::Stdio;
use std::time::{Duration, Instant};

use unattended::command::{Command, Waited};

/// The middle of 300, in turn, so that whatever else the machine does falls on both.
#[test]
#[ignore = "a figure: it wants a machine that does nothing else"]
fn a_start_costs_at_most_one_and_a_half_of_the_standard_librarys() {
    const RUNS: usize = 300;
    let (mut ours, mut std, mut group) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..RUNS {
        ours.push(timed(|| drop(Command::new("/bin/true").run_blocking().unwrap())));
        std.push(timed(|| drop(std::process::Command::new("/bin/true").output().unwrap())));
        group.push(timed(|| {
            let mut bare = std::process::Command::new("/bin/true");
            bare.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            assert!(bare.status().unwrap().success());
        }));
    }
    let middle = |mut all: Vec<Duration>| {
        all.sort_unstable();
        all[RUNS / 2]
    };
    let (ours, std, bare) = (middle(ours), middle(std), middle(group));
    eprintln!("start + wait of /bin/true: ours {ours:?}, std output() {std:?}, std status() {bare:?}");
    assert!(ours.as_secs_f64() <= 1.5 * std.as_secs_f64(), "{ours:?} against {std:?}");
}

#[test]
fn waiting_costs_no_processor_time_while_nothing_happens() {
    let mut child = Command::new("sleep").arg("60").start().unwrap();
    let before = own_ticks();
    assert!(matches!(child.wait(Some(Duration::from_secs(2)), None).unwrap(), Waited::TimedOut));
    let used = own_ticks() - before;
    drop(child);
    assert!(used <= 1, "{used} ticks of this thread");
}

fn timed(work: impl FnOnce()) -> Duration {
    let begun = Instant::now();
    work();
    begun.elapsed()
}

/// Of this thread, in ticks of 10 ms.
fn own_ticks() -> u64 {
    let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
    let fields: Vec<_> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}
