//! Several writers on one file: no lock errors, and nobody waits long.

use std::time::Duration;

use unattended::blocking::Blocking;
use unattended::sqlite::Sqlite;
use unattended::store::{Batch, Expect, Ns, Put, Write};

use crate::kit::{Player, alone};

/// The longest wait of a writer among four that never pause, on a machine that makes nobody wait.
const WAIT_MAX: Duration = Duration::from_millis(100);
/// The commits that one wait may span: three others' and one's own. Each may meet the machine's own longest wait.
const COMMITS: u32 = 4;

#[test]
fn two_processes_add_up_without_a_lock_error() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let store = Sqlite::open(&path).unwrap();
    let zero = Put { rank: Some(0), ..Put::nothing() };
    Blocking(&store).apply(Batch::of(Write::new(Ns::RUN, "sum", Expect::Absent, zero))).unwrap();
    let adders: Vec<_> =
        (0..2).map(|_| Player::start("add", &path, &[("UNATTENDED_COUNT", "400".into())])).collect();
    for adder in adders {
        adder.finish();
    }
    assert_eq!(Blocking(&store).get(Ns::RUN, "sum").unwrap().unwrap().rank, 800);
}

#[test]
fn many_concurrent_openings_meet_no_error() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    // The file is not there yet: the first of them make it.
    let path = folder.path().join("store.db");
    let openers: Vec<_> =
        (0..8).map(|_| Player::start("open", &path, &[("UNATTENDED_COUNT", "300".into())])).collect();
    for opener in openers {
        opener.finish();
    }
    assert_eq!(Sqlite::open(&path).unwrap().check().unwrap(), Vec::<String>::new());
}

#[test]
fn four_steady_writers_are_served_alike_also_while_a_fifth_is_stopped_in_its_turn() {
    let _alone = alone();
    let seconds: f64 = std::env::var("UNATTENDED_TEST_SECONDS")
        .map_or(20.0, |text| text.parse().expect("a number of seconds"));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    drop(Sqlite::open(&path).unwrap());
    let start = |path: &std::path::Path, name: String, pause_ms: u32| {
        let args = [
            ("UNATTENDED_NAME", name),
            ("UNATTENDED_SECONDS", seconds.to_string()),
            ("UNATTENDED_PAUSE_MS", pause_ms.to_string()),
        ];
        Player::start("write", path, &args)
    };
    let mut writers: Vec<_> = (0..4).map(|index| start(&path, format!("writer{index}"), 0)).collect();
    // One that has a file to itself tells what the machine alone makes a writer wait.
    let mut control = start(&folder.path().join("control.db"), String::from("control"), 3);
    for player in writers.iter_mut().chain([&mut control]) {
        assert_eq!(player.hear().as_deref(), Some("ready"));
    }
    std::thread::sleep(Duration::from_secs_f64(seconds * 0.3));
    let mut stopped = Player::start("stop in turn", &path, &[]);
    assert_eq!(stopped.hear().as_deref(), Some("stopping in the turn"));
    stopped.until_stopped();
    std::thread::sleep(Duration::from_secs_f64((seconds * 0.3).min(3.0)));
    stopped.signal("-CONT");
    assert_eq!(stopped.finish(), ["going on"]);

    let report = |player: Player| -> (u64, Duration, u64, u64) {
        let said = player.finish();
        let numbers: Vec<u64> = said[0].split(' ').map(|number| number.parse().unwrap()).collect();
        (numbers[0], Duration::from_micros(numbers[1]), numbers[2], numbers[3])
    };
    let served: Vec<_> = writers.into_iter().map(report).collect();
    let (_, machine, ..) = report(control);
    let counts = || served.iter().map(|one| one.0);
    let worst = served.iter().map(|one| one.1).max().unwrap();
    let wal = served.iter().map(|one| one.3).max().unwrap();
    let (least, most) = (counts().min().unwrap(), counts().max().unwrap());
    eprintln!(
        "4 writers, {seconds} s: served {:?}, worst wait {worst:?} (alone {machine:?}), over 50 ms {:?}, log {} KiB",
        counts().collect::<Vec<_>>(),
        served.iter().map(|one| one.2).collect::<Vec<_>>(),
        wal / 1024,
    );
    assert!(least * 2 >= most, "the least served got {least}, the most served {most}");
    assert!(
        worst < WAIT_MAX + machine * COMMITS,
        "the worst wait was {worst:?}; alone on the machine it was {machine:?}"
    );
    assert!(wal <= 64 * 1024 * 1024, "the write-ahead log grew to {wal} bytes");
    assert_eq!(Sqlite::open(&path).unwrap().check().unwrap(), Vec::<String>::new());
}
