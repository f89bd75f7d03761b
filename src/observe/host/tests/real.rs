//! This machine, as it is.

use std::net::TcpListener;
use std::time::Duration;

use super::{millis, psi, read};
use crate::base::time::{Clock, SleepBlocking, System};
use crate::decide::gate::{Reading, Resource, Signal, Span, Stall};
use crate::observe::host::Sampler;

fn all() -> Vec<Signal> {
    vec![
        Signal::Cpu,
        Signal::Memory,
        Signal::Swap,
        Signal::LoadPerCore,
        psi(Resource::Cpu, Stall::Some, Span::Avg10),
        psi(Resource::Memory, Stall::Full, Span::Avg60),
        psi(Resource::Io, Stall::Some, Span::Avg10),
        Signal::DiskFreeBytes("/".into()),
        Signal::DiskFreePercent("/".into()),
        Signal::Mounted("/".into()),
        Signal::Exists("/proc".into()),
    ]
}

#[test]
fn this_machine_says_what_it_should() {
    let signals = all();
    let mut sampler = Sampler::new();
    let first = sampler.sample(&signals, System.moment());
    assert!(matches!(first.get(&Signal::Cpu), Some(Reading::Measuring(_))));
    System.sleep_blocking(Duration::from_millis(250));
    let sample = sampler.sample(&signals, System.moment());
    for signal in [Signal::Cpu, Signal::Memory, Signal::Swap] {
        let percent = sample.get(&signal);
        assert!(
            matches!(percent, Some(Reading::Number(percent)) if (0.0..=100.0).contains(percent)),
            "{percent:?}"
        );
    }
    assert!(matches!(sample.get(&Signal::LoadPerCore), Some(Reading::Number(load)) if *load >= 0.0));
    assert_eq!(sample.get(&Signal::Mounted("/".into())), Some(&Reading::Is(true)));
    assert_eq!(sample.get(&Signal::Exists("/proc".into())), Some(&Reading::Is(true)));
    let pressure = sample.get(&psi(Resource::Memory, Stall::Full, Span::Avg60));
    let there = std::fs::read("/proc/pressure/memory").is_ok();
    assert_eq!(matches!(pressure, Some(Reading::Number(_))), there, "{pressure:?}");
    #[cfg(feature = "host")]
    {
        let free = sample.get(&Signal::DiskFreePercent("/".into()));
        assert!(matches!(free, Some(Reading::Number(free)) if (0.0..=100.0).contains(free)), "{free:?}");
        let nowhere = read(&mut sampler, Signal::DiskFreeBytes("/no/such/place".into()), millis(0));
        assert!(matches!(nowhere, Reading::Missing(why) if why.contains("No such file")));
    }
    #[cfg(not(feature = "host"))]
    {
        let free = sample.get(&Signal::DiskFreeBytes("/".into()));
        assert_eq!(free, Some(&Reading::missing("disks are read with the feature `host`")));
    }
}

/// Under a millisecond as it is released; here it is built for debugging, on a machine that does other things too. The best of
/// many counts: what it costs, not what else went on.
#[test]
fn a_sample_of_everything_is_quick() {
    let signals = all();
    let mut sampler = Sampler::new();
    let mut best = Duration::MAX;
    for _ in 0..50 {
        let begun = System.moment();
        let sample = sampler.sample(&signals, begun);
        best = best.min(System.moment().since(begun));
        assert_eq!(sample.iter().count(), signals.len());
    }
    println!("a sample of {} signals: {best:?}", signals.len());
    assert!(best < Duration::from_millis(10), "{best:?}");
}

#[test]
fn a_port_answers_or_does_not() {
    let open = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = open.local_addr().unwrap();
    let mut sampler = Sampler::new();
    let mut answers = |address: String| read(&mut sampler, Signal::Answers(address), millis(0));
    assert_eq!(answers(address.to_string()), Reading::Is(true));
    assert_eq!(answers(format!("localhost:{}", address.port())), Reading::Is(true), "by its name");
    drop(open);
    assert_eq!(answers(address.to_string()), Reading::Is(false));
    let unknown = answers(String::from("no-such-host.invalid:80"));
    assert!(matches!(unknown, Reading::Missing(_)), "{unknown:?}");
    assert!(matches!(answers(String::from("nonsense")), Reading::Missing(_)));
}

#[test]
fn ports_that_say_nothing_take_no_longer_than_all_of_them_may() {
    // Its queue is full, so that the kernel lets further connections wait.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    let mut held = Vec::new();
    while held.len() < 600 {
        match std::net::TcpStream::connect_timeout(&address, Duration::from_millis(100)) {
            Ok(stream) => held.push(stream),
            Err(_) => break,
        }
    }
    let limit = Duration::from_millis(100);
    let mut sampler = Sampler::new().probe_timeout(limit).unwrap().bound(3 * limit / 2).unwrap();
    // Four names of one port.
    let ports = ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "[0:0:0:0:0:ffff:7f00:1]"];
    let signals: Vec<Signal> =
        ports.iter().map(|host| Signal::Answers(format!("{host}:{}", address.port()))).collect();
    let begun = System.moment();
    let sample = sampler.sample(&signals, begun);
    assert!(System.moment().since(begun) < Duration::from_secs(5));
    assert_eq!(sample.get(&signals[0]), Some(&Reading::Is(false)), "{} held", held.len());
    let spent = sample.get(&signals[3]);
    assert_eq!(spent, Some(&Reading::missing("the ports before it took all the time of the sample")));
}

#[cfg(feature = "host")]
#[test]
fn sysinfo_says_the_same_of_this_machine() {
    let mut portable = Sampler::portable().root(std::path::Path::new("/nowhere"));
    let mut own = Sampler::new();
    assert!(matches!(read(&mut portable, Signal::Cpu, millis(0)), Reading::Measuring(_)));
    assert!(matches!(read(&mut portable, Signal::Cpu, millis(50)), Reading::Measuring(_)));
    System.sleep_blocking(Duration::from_millis(250));
    let used = read(&mut portable, Signal::Cpu, millis(250));
    assert!(matches!(used, Reading::Number(percent) if (0.0..=100.0).contains(&percent)), "{used:?}");
    assert_eq!(read(&mut portable, Signal::Cpu, millis(300)), used, "too soon for another");
    assert!(matches!(read(&mut portable, Signal::Cpu, millis(200_000)), Reading::Measuring(_)));
    let number = |reading| match reading {
        Reading::Number(number) => number,
        other => panic!("{other:?}"),
    };
    let swaps = [&mut portable, &mut own].map(|sampler| number(read(sampler, Signal::Swap, millis(0))));
    assert!((swaps[0] - swaps[1]).abs() < 20.0, "{swaps:?}");
    // A control group may be fuller than the machine, and then it counts.
    let memory = [&mut portable, &mut own].map(|sampler| number(read(sampler, Signal::Memory, millis(0))));
    assert!(memory[0] < memory[1] + 20.0, "{memory:?}");
    assert!(number(read(&mut portable, Signal::LoadPerCore, millis(0))) >= 0.0);
    let pressure = read(&mut portable, Signal::memory_pressure(), millis(0));
    assert_eq!(pressure, Reading::missing("sysinfo does not know it"));
    assert_eq!(read(&mut portable, Signal::Mounted("/proc".into()), millis(0)), Reading::Is(true));
    assert_eq!(read(&mut portable, Signal::Mounted("/proc/self/fd".into()), millis(0)), Reading::Is(false));
}
