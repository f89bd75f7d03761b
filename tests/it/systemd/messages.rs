//! Messages to a socket that somebody reads.

use std::collections::BTreeMap;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;
use unattended::systemd::{Error, Notifier, Told, Watchdog};
use unattended::time::{Clock, Moment, SleepBlocking, System};

/// As the service manager reads.
struct Manager {
    socket: UnixDatagram,
    path: PathBuf,
    _folder: TempDir,
}

impl Manager {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        Self { socket, path, _folder: folder }
    }

    /// The next message, as lines; none if nothing comes for so long.
    fn next(&self, patience: Duration) -> Option<Vec<String>> {
        self.socket.set_read_timeout(Some(patience)).unwrap();
        let mut buffer = [0; 8192];
        let length = self.socket.recv(&mut buffer).ok()?;
        let text = std::str::from_utf8(&buffer[..length]).unwrap();
        assert!(text.ends_with('\n'), "{text:?}");
        Some(text.lines().map(str::to_owned).collect())
    }

    fn hears(&self, expected: &[&str]) {
        assert_eq!(self.next(Duration::from_secs(10)).expect("a message"), expected);
    }

    fn hears_nothing_for(&self, silence: Duration) {
        assert_eq!(self.next(silence), None);
    }
}

fn since(began: Moment) -> Duration {
    System.moment().since(began)
}

#[test]
fn each_message_arrives_as_it_is_documented() {
    let manager = Manager::new();
    let notifier = Notifier::to(&manager.path).unwrap();
    assert!(notifier.is_connected());
    assert_eq!(notifier.ready().unwrap(), Told::Sent);
    manager.hears(&["READY=1"]);
    notifier.status("  3 of 5\nfiles\tare\0done \x1b[2J ").unwrap();
    manager.hears(&["STATUS=3 of 5 files are done  [2J"]);
    notifier.stopping().unwrap();
    manager.hears(&["STOPPING=1"]);
    notifier.extend(Duration::from_millis(90_500)).unwrap();
    manager.hears(&["EXTEND_TIMEOUT_USEC=90500000"]);
    notifier.watchdog_usec(Duration::from_secs(20)).unwrap();
    manager.hears(&["WATCHDOG_USEC=20000000"]);
    notifier.main_pid(4711).unwrap();
    manager.hears(&["MAINPID=4711"]);
    notifier.errno(2).unwrap();
    manager.hears(&["ERRNO=2"]);
    notifier.send(&[("READY", "1"), ("X_OWN", "a=b")]).unwrap();
    manager.hears(&["READY=1", "X_OWN=a=b"]);
    notifier.extend(Duration::MAX).unwrap();
    manager.hears(&["EXTEND_TIMEOUT_USEC=31622400000000"]);
    assert_eq!(notifier.lost(), 0);
}

#[test]
fn a_reload_tells_the_monotonic_clock() {
    let manager = Manager::new();
    let notifier = Notifier::to(&manager.path).unwrap();
    let mut before = 0;
    for _ in 0..2 {
        notifier.reloading().unwrap();
        let heard = manager.next(Duration::from_secs(10)).unwrap();
        assert_eq!(heard[0], "RELOADING=1");
        if cfg!(target_os = "linux") {
            let micros: u64 = heard[1].strip_prefix("MONOTONIC_USEC=").unwrap().parse().unwrap();
            assert!(micros > before);
            before = micros;
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn an_abstract_socket_is_reached() {
    use std::os::linux::net::SocketAddrExt;
    let name = format!("unattended-{}", std::process::id());
    let address = std::os::unix::net::SocketAddr::from_abstract_name(&name).unwrap();
    let socket = UnixDatagram::bind_addr(&address).unwrap();
    Notifier::to(format!("@{name}")).unwrap().ready().unwrap();
    let mut buffer = [0; 64];
    let length = socket.recv(&mut buffer).unwrap();
    assert_eq!(&buffer[..length], b"READY=1\n");
}

#[test]
fn what_is_no_message_is_refused_also_where_nobody_listens() {
    let nobody = Notifier::nobody();
    assert_eq!(nobody.ready().unwrap(), Told::Nobody);
    assert!(!nobody.is_connected() && nobody.lost() == 0);
    let refused = |assignments: &[(&str, &str)]| {
        matches!(nobody.send(assignments), Err(Error::Field { field: "name" | "value" | "assignments", .. }))
    };
    assert!(refused(&[]));
    assert!(refused(&[("", "1")]) && refused(&[("ready", "1")]) && refused(&[("READY=1\nX", "1")]));
    assert!(refused(&[("STATUS", "a\nREADY=1")]) && refused(&[("STATUS", "a\0b")]));
    assert!(refused(&[("STATUS", &"x".repeat(4096))]));
    assert!(matches!(nobody.extend(Duration::ZERO), Err(Error::Field { field: "extend", .. })));
    assert!(matches!(nobody.watchdog_usec(Duration::ZERO), Err(Error::Field { field: "watchdog_usec", .. })));
    assert!(matches!(nobody.main_pid(0), Err(Error::Field { field: "main_pid", .. })));
    for path in ["", "relative/socket", "@", "/", "vsock:2:1234", &format!("/{}", "x".repeat(200))] {
        assert!(matches!(Notifier::to(path), Err(Error::Field { field: "NOTIFY_SOCKET", .. })), "{path}");
    }
}

#[test]
fn a_long_status_is_cut_between_characters() {
    let manager = Manager::new();
    Notifier::to(&manager.path).unwrap().status(&"ä".repeat(5000)).unwrap();
    let heard = manager.next(Duration::from_secs(10)).unwrap();
    assert_eq!(heard, [format!("STATUS={}", "ä".repeat(256))]);
}

#[test]
fn a_full_socket_never_blocks_the_work_and_is_counted() {
    let manager = Manager::new();
    let notifier = Notifier::to(&manager.path).unwrap();
    let other = notifier.clone();
    let began = System.moment();
    let full = (0..1_000_000).find_map(|_| notifier.ready().err());
    assert!(matches!(full, Some(Error::Full)), "{full:?}");
    assert!(matches!(notifier.status("still"), Err(Error::Full)));
    assert_eq!(other.lost(), 2, "clones are one");
    assert!(since(began) < Duration::from_secs(20), "{:?}", since(began));
    manager.hears(&["READY=1"]);
    assert_eq!(notifier.ready().unwrap(), Told::Sent, "there is room again");
}

#[test]
fn a_manager_that_is_gone_is_an_error_and_one_that_is_back_is_reached() {
    let Manager { socket, path, _folder } = Manager::new();
    let notifier = Notifier::to(&path).unwrap();
    drop(socket);
    std::fs::remove_file(&path).unwrap();
    assert!(matches!(notifier.ready(), Err(Error::Send { .. })));
    let socket = UnixDatagram::bind(&path).unwrap();
    assert_eq!(notifier.ready().unwrap(), Told::Sent);
    Manager { socket, path, _folder }.hears(&["READY=1"]);
    assert_eq!(notifier.lost(), 1);
}

#[test]
fn pings_stop_when_work_stops_making_progress() {
    let manager = Manager::new();
    let notifier = Notifier::to(&manager.path).unwrap();
    let interval = Duration::from_millis(200);
    let watchdog = Watchdog::new(&notifier, interval).unwrap();
    manager.hears_nothing_for(Duration::from_millis(300));
    let worker = watchdog.clone();
    let began = System.moment();
    let work = std::thread::spawn(move || {
        while since(began) < Duration::from_secs(1) {
            worker.progressed();
            System.sleep_blocking(Duration::from_millis(5));
        }
    });
    let mut pings = 0;
    while let Some(heard) = manager.next(Duration::from_millis(900)) {
        assert_eq!(heard, ["WATCHDOG=1"]);
        pings += 1;
        assert!(since(began) < Duration::from_secs(60), "it never stops");
    }
    work.join().unwrap();
    // One at once, then each half of the interval, and what was left when the work ended.
    let most = since(began).as_millis() / 100 + 2;
    assert!(pings >= 3 && pings <= most, "{pings} pings, at most {most}");
    // Still alive, and hung: nothing.
    manager.hears_nothing_for(interval * 3);
    watchdog.progressed();
    manager.hears(&["WATCHDOG=1"]);
}

#[test]
fn one_step_of_work_is_told_by_the_ticker_when_half_of_the_interval_is_over() {
    let manager = Manager::new();
    let notifier = Notifier::to(&manager.path).unwrap();
    let watchdog = Watchdog::new(&notifier, Duration::from_millis(600)).unwrap();
    watchdog.progressed();
    manager.hears(&["WATCHDOG=1"]);
    let told = System.moment();
    watchdog.progressed();
    watchdog.progressed();
    manager.hears(&["WATCHDOG=1"]);
    assert!(since(told) >= Duration::from_millis(250), "{:?}", since(told));
    manager.hears_nothing_for(Duration::from_millis(900));
}

#[test]
fn long_work_is_announced_and_its_end_goes_back() {
    let manager = Manager::new();
    let notifier = Notifier::to(&manager.path).unwrap();
    let watchdog = Watchdog::new(&notifier, Duration::from_secs(30)).unwrap();
    let outer = watchdog.expects(Duration::from_secs(600));
    manager.hears(&["WATCHDOG_USEC=630000000", "WATCHDOG=1"]);
    let inner = watchdog.expects(Duration::from_secs(60));
    manager.hears(&["WATCHDOG=1"]);
    // Other work need not be told before five minutes are over.
    watchdog.progressed();
    manager.hears_nothing_for(Duration::from_millis(200));
    drop(inner);
    manager.hears(&["WATCHDOG=1"]);
    drop(outer);
    manager.hears(&["WATCHDOG_USEC=30000000", "WATCHDOG=1"]);
    drop(watchdog);
    manager.hears_nothing_for(Duration::from_millis(200));
}

#[test]
fn a_ping_that_finds_the_socket_full_is_sent_when_there_is_room() {
    let manager = Manager::new();
    let notifier = Notifier::to(&manager.path).unwrap();
    let watchdog = Watchdog::new(&notifier, Duration::from_millis(400)).unwrap();
    assert!((0..1_000_000).any(|_| notifier.ready().is_err()));
    watchdog.progressed();
    while let Some(heard) = manager.next(Duration::from_secs(5)) {
        if heard == ["WATCHDOG=1"] {
            return;
        }
        assert_eq!(heard, ["READY=1"]);
    }
    panic!("the ping is lost");
}

/// A program with the variables that systemd sets, and without.
#[test]
fn a_service_finds_its_manager_in_the_environment() {
    let manager = Manager::new();
    let example = crate::examples::built().join("36_systemd");
    let run = |variables: &[(&str, &str)]| {
        let mut command = Command::new(&example);
        command.env_remove("NOTIFY_SOCKET").env_remove("WATCHDOG_USEC").env_remove("WATCHDOG_PID");
        let output = command.envs(variables.iter().copied()).output().unwrap();
        let told = String::from_utf8(output.stdout).unwrap().lines().next().unwrap_or_default().to_owned();
        (output.status.success(), told)
    };
    let socket = manager.path.to_str().unwrap();
    let heard = || {
        let mut heard = BTreeMap::new();
        while let Some(message) = manager.next(Duration::from_millis(50)) {
            *heard.entry(message.join(";")).or_insert(0) += 1;
        }
        heard
    };
    assert_eq!(
        run(&[("NOTIFY_SOCKET", socket), ("WATCHDOG_USEC", "30000000")]),
        (true, String::from("told: true"))
    );
    let first = heard();
    for message in ["READY=1", "STATUS=1 of 3 reports", "STATUS=3 of 3 reports", "WATCHDOG=1", "STOPPING=1"] {
        assert_eq!(first.get(message), Some(&1), "{message}: {first:?}");
    }
    assert_eq!(
        run(&[("NOTIFY_SOCKET", socket), ("WATCHDOG_USEC", "30000000"), ("WATCHDOG_PID", "1")]).1,
        "told: true"
    );
    assert_eq!(heard().get("WATCHDOG=1"), None, "another process is meant");
    assert!(!run(&[("NOTIFY_SOCKET", socket), ("WATCHDOG_USEC", "soon")]).0, "that is said, not guessed");
    assert_eq!(run(&[]), (true, String::from("told: false")));
    assert_eq!(run(&[("NOTIFY_SOCKET", "nowhere")]), (true, String::from("told: false")));
    assert!(heard().is_empty(), "nobody was told");
}
