//! What the machine itself says.

use std::time::Duration;

use super::{Root, exists, millis, psi, read};
use crate::decide::gate::{Reading, Resource, Signal, Span, Stall};
use crate::observe::host::{Error, Sampler, files};

#[test]
fn the_first_reading_of_the_processors_is_not_given_out() {
    let root = Root::new(&[(
        "proc/stat",
        "cpu  8081351 97176 836692 4883785 123613 0 30064 195268 0 0\ncpu0 1 1 1 1\n",
    )]);
    let mut sampler = root.sampler();
    let mut at = |now| read(&mut sampler, Signal::Cpu, millis(now));
    assert_eq!(at(1000), Reading::Measuring(Duration::from_millis(200)));
    assert_eq!(at(1150), Reading::Measuring(Duration::from_millis(50)), "and says when the second is due");
    // 100 ticks later: 30 of them idle, 10 waited for disks.
    root.put("proc/stat", "cpu  8081401 97176 836702 4883815 123623 0 30064 195268 0 0\n");
    assert_eq!(at(1200), Reading::Number(60.0));
    root.put("proc/stat", "cpu  9081401 97176 836702 4883815 123623 0 30064 195268 0 0\n");
    assert_eq!(at(1399), Reading::Number(60.0), "too soon for another");
    assert_eq!(at(1400), Reading::Number(100.0));
    root.put("proc/stat", "cpu  9081401 97176 836702 4883915 123623 0 30064 195268 0 0\n");
    assert_eq!(at(91_400), Reading::Number(0.0));
    // What was counted over more than 90 s says nothing of now.
    assert_eq!(at(181_401), Reading::Measuring(Duration::from_millis(200)));
    assert_eq!(at(181_000), Reading::Measuring(Duration::from_millis(200)), "another clock");
}

#[test]
fn counters_that_go_back_stand_still_or_are_none_are_no_use_of_processors() {
    let root = Root::new(&[("proc/stat", "cpu  100 0 0 100 0 0 0 0 0 0\n")]);
    let mut sampler = root.sampler();
    let mut at = |now| read(&mut sampler, Signal::Cpu, millis(now));
    assert!(matches!(at(0), Reading::Measuring(_)));
    assert_eq!(at(300), Reading::missing("/proc/stat: its counters stand still"));
    root.put("proc/stat", "cpu  50 0 0 50 0 0 0 0 0 0\n");
    assert!(matches!(at(600), Reading::Measuring(_)));
    root.put("proc/stat", "cpu  100 0 0 50\n");
    assert_eq!(at(900), Reading::Number(100.0), "a kernel that counts less");
    // Idle time may go back, and that is no use below zero or above all.
    root.put("proc/stat", "cpu  200 0 0 40 0 0 0 0 0 0\n");
    assert_eq!(at(1200), Reading::Number(100.0));
    for garbage in ["", "cpu", "cpu  1 2 3", "cpu  1 2 x 4", "cpu  1 2 3 -4", "cpu0 1 2 3 4\n"] {
        root.put("proc/stat", garbage);
        let why = "/proc/stat: it does not begin with the counters of all processors";
        assert_eq!(at(1500), Reading::missing(why), "{garbage:?}");
    }
    root.put("proc/stat", &format!("cpu  {0} {0} {0} {0}\n", u64::MAX));
    assert!(matches!(at(1800), Reading::Number(_)), "counters at their end");
    assert!(Root::new(&[]).missing(Signal::Cpu).starts_with("/proc/stat: No such file"));
}

#[test]
fn memory_and_swap_of_old_and_odd_kernels() {
    assert_eq!(Root::new(&[]).number(Signal::Swap), 25.0);
    let meminfo = |text: &str| Root::new(&[("proc/meminfo", text)]);
    let old = "MemTotal: 1000 kB\nMemFree: 100 kB\nBuffers: 50 kB\nCached: 300 kB\nShmem: 100 kB\nSReclaimable: 50 kB\n";
    assert_eq!(meminfo(old).number(Signal::Memory), 60.0, "before MemAvailable");
    assert_eq!(
        meminfo("SwapTotal: 0 kB\nSwapFree: 0 kB\nMemTotal: 1 kB\nMemFree: 1 kB").number(Signal::Swap),
        0.0
    );
    assert_eq!(meminfo("MemTotal: 1000 kB\nMemAvailable: 5000 kB\n").number(Signal::Memory), 0.0);
    for (text, why) in [
        ("", "it has no MemTotal"),
        ("MemTotal: 0 kB\nMemFree: 0 kB\n", "it has no MemTotal"),
        ("MemTotal: -5 kB\nMemFree: 0 kB\n", "it has no MemTotal"),
        ("MemTotal:\nMemFree: 5\n", "it has no MemTotal"),
        ("MemTotal: 99999999999999999999999 kB\n", "it has no MemTotal"),
        ("MemTotal: 1000 kB\n", "it has neither MemAvailable nor MemFree"),
    ] {
        assert_eq!(meminfo(text).missing(Signal::Memory), format!("/proc/meminfo: {why}"), "{text:?}");
    }
    assert_eq!(meminfo(old).missing(Signal::Swap), "/proc/meminfo: it has no SwapTotal or no SwapFree");
    let huge = format!("MemTotal: {0} kB\nMemFree: {0} kB\nBuffers: {0} kB\nCached: {0} kB\n", u64::MAX);
    assert_eq!(meminfo(&huge).number(Signal::Memory), 0.0);
}

#[test]
fn load_that_is_no_number_cannot_be_read() {
    let root = Root::new(&[("proc/stat", "cpu  1 1 1 1\ncpu0 1 1 1 1\ncpu1 1 1 1 1\n")]);
    assert!(root.missing(Signal::LoadPerCore).starts_with("/proc/loadavg: No such file"));
    for garbage in ["", "high", "-1 0 0", "NaN 0 0", "inf"] {
        root.put("proc/loadavg", garbage);
        let why = root.missing(Signal::LoadPerCore);
        assert_eq!(why, "/proc/loadavg: it does not begin with a number", "{garbage:?}");
    }
    root.put("proc/stat", "cpu  1 1 1 1\n");
    root.put("proc/loadavg", "1.00 0 0");
    assert_eq!(root.missing(Signal::LoadPerCore), "/proc/stat: it names no processor");
}

#[test]
fn each_line_and_each_average_of_a_pressure_is_read() {
    let text =
        "some avg10=1.50 avg60=2.25 avg300=5.59 total=12\nfull avg10=0.75 avg60=0.31 avg300=4.26 total=6\n";
    let root = Root::new(&[("proc/pressure/io", text)]);
    for (kind, span, percent) in [
        (Stall::Some, Span::Avg10, 1.5),
        (Stall::Some, Span::Avg60, 2.25),
        (Stall::Full, Span::Avg10, 0.75),
        (Stall::Full, Span::Avg60, 0.31),
    ] {
        assert_eq!(root.number(psi(Resource::Io, kind, span)), percent);
    }
}

#[test]
fn a_pressure_that_is_not_there_is_missing_and_never_zero() {
    let memory = || psi(Resource::Memory, Stall::Some, Span::Avg10);
    let root = Root::new(&[]);
    assert!(root.missing(memory()).starts_with("/proc/pressure/memory: No such file"));
    // Before 5.13 processors have no line `full`.
    root.put("proc/pressure/cpu", "some avg10=0.00 avg60=0.21 avg300=2.46 total=21773051929\n");
    let full = psi(Resource::Cpu, Stall::Full, Span::Avg10);
    assert_eq!(root.missing(full), "/proc/pressure/cpu: it has no line `full`");
    for garbage in [
        "",
        "avg10=5",
        "some",
        "some avg60=1.00",
        "some avg10=",
        "some avg10=x",
        "some avg10=-1",
        "some avg10=NaN",
        "some avg10=101.00",
        "some avg10=1e400",
        "something avg10=5",
    ] {
        root.put("proc/pressure/memory", garbage);
        let why = root.missing(memory());
        assert!(why.starts_with("/proc/pressure/memory: "), "{garbage:?}: {why}");
    }
    // A kernel that has it switched off lets the file be opened and refuses the reading, as a folder does.
    std::fs::create_dir(root.folder.path().join("proc/pressure/io")).unwrap();
    assert!(root.missing(psi(Resource::Io, Stall::Some, Span::Avg10)).starts_with("/proc/pressure/io: "));
    let refused = std::io::Error::from_raw_os_error(95);
    let why = files::why(std::path::Path::new("/proc/pressure/io"), &refused);
    assert!(why.starts_with("/proc/pressure/io: the kernel has it switched off ("), "{why}");
}

#[test]
fn a_mount_is_found_by_its_path() {
    let mountinfo = "27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n\
                     36 27 98:0 / /mnt/with\\040space\\134and rw - ext4 /dev/root rw\n\
                     37 27 0:40 /sub /data rw master:1 propagate_from:2 - nfs4 server:/export rw,addr=::1\n\
                     garbage\n38 27 0:41 / /bad\\99z rw - tmpfs tmpfs rw\n";
    let root = Root::new(&[("proc/self/mountinfo", mountinfo)]);
    for (path, is) in [
        ("/", true),
        ("/data", true),
        ("/data/", true),
        ("/mnt/with space\\and", true),
        ("/data/below", false),
        ("/nowhere", false),
        ("/etc/passwd/x", false),
        ("/usr", false),
    ] {
        assert_eq!(root.read(Signal::Mounted(path.into())), Reading::Is(is), "{path}");
    }
    let none = Root::new(&[]);
    assert!(none.missing(Signal::Mounted("/data".into())).starts_with("/proc/self/mountinfo: No such file"));
    // Another name for the same place.
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(folder.path(), &link).unwrap();
    assert_eq!(root.read(Signal::Mounted(link.clone())), Reading::Is(false));
    let place = folder.path().canonicalize().unwrap();
    root.put("proc/self/mountinfo", &format!("27 1 254:0 / {} rw - ext4 /dev/vda rw\n", place.display()));
    assert_eq!(root.read(Signal::Mounted(link)), Reading::Is(true));
}

#[test]
fn a_file_without_end_is_not_read_to_its_end() {
    let root = Root::new(&[("proc/meminfo", &"x".repeat((4 << 20) + 1))]);
    assert_eq!(root.missing(Signal::Memory), "/proc/meminfo: it is larger than 4194304 bytes");
}

#[test]
fn only_what_is_asked_for_is_read_and_that_once() {
    let root = Root::new(&[]);
    let mut sampler = root.sampler();
    let sample = sampler.sample([&Signal::Memory, &Signal::Memory, &exists(root.folder.path())], millis(0));
    assert_eq!(sample.iter().count(), 2);
    assert_eq!(sample.get(&exists(root.folder.path())), Some(&Reading::Is(true)));
    assert_eq!(sample.get(&Signal::Cpu), None);
    assert_eq!(sampler.sample([], millis(0)).iter().count(), 0);
}

#[test]
fn a_check_that_fails_or_panics_cannot_be_read() {
    let custom = |name: &str| Signal::Custom(name.into());
    let mut sampler = Sampler::new()
        .check("ready", || true)
        .check("count", || 7.0)
        .check("count", || 8.0)
        .check("fails", || Err::<f64, _>("no route"))
        .check("silent", || None::<bool>)
        .check("panics", || -> f64 { panic!("at the {}", "disco") });
    let mut said = |name: &str| read(&mut sampler, custom(name), millis(0));
    assert_eq!(said("ready"), Reading::Is(true));
    assert_eq!(said("count"), Reading::Number(8.0), "the last one of a name");
    assert_eq!(said("fails"), Reading::missing("no route"));
    assert_eq!(said("silent"), Reading::missing("nothing was said"));
    for _ in 0..2 {
        assert_eq!(said("panics"), Reading::missing("its check panicked: at the disco"));
    }
    assert_eq!(said("nobody"), Reading::missing("there is no check of this name"));
}

#[test]
fn a_time_out_of_zero_is_refused() {
    for limit in [Duration::ZERO, Duration::from_nanos(1), Duration::from_secs(61), Duration::MAX] {
        let Err(Error::Field { field, .. }) = Sampler::new().probe_timeout(limit) else {
            panic!("{limit:?}")
        };
        assert_eq!(field, "probe_timeout");
        let error = Sampler::new().bound(limit).unwrap_err().to_string();
        assert!(error.starts_with("host: bound is ") && error.ends_with("allowed is 1ms to 1m"), "{error}");
    }
}
