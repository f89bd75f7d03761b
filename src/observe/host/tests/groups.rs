//! Control groups: whose limit it is that counts.

use super::Root;
use crate::decide::gate::{Reading, Resource, Signal, Span, Stall};

/// As systemd mounts version 2, and nothing else.
const UNIFIED: &str = "22 28 0:21 / /proc rw,nosuid,nodev,noexec,relatime shared:13 - proc proc rw\n\
                       28 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n\
                       30 23 0:26 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot\n";
const OWN: &str = "sys/fs/cgroup/system.slice/ingest.service";
const GIB: u64 = 1 << 30;

fn service(files: &[(&str, &str)]) -> Root {
    let root = Root::new(&[
        ("proc/self/mountinfo", UNIFIED),
        ("proc/self/cgroup", "0::/system.slice/ingest.service\n"),
        // The kernel's own root has neither.
        ("sys/fs/cgroup/memory.stat", "anon 5\n"),
        ("sys/fs/cgroup/system.slice/memory.max", "max\n"),
        ("sys/fs/cgroup/system.slice/memory.high", "max\n"),
        ("sys/fs/cgroup/system.slice/memory.current", "9000000000\n"),
    ]);
    for (path, text) in files {
        root.put(&format!("{OWN}/{path}"), text);
    }
    root
}

#[test]
fn the_limit_of_the_units_own_group_counts_not_only_that_of_the_mount_root() {
    let root = service(&[
        ("memory.max", "1073741824\n"),
        ("memory.high", "max\n"),
        ("memory.current", "1020054732\n"),
        ("memory.stat", "anon 966367641\nfile 53687091\ninactive_anon 7\ninactive_file 53687091\n"),
    ]);
    // 973 MiB charged less 51 MiB that can be dropped, of 1 GiB.
    assert_eq!(root.number(Signal::Memory), 90.0);
}

#[test]
fn max_is_no_limit() {
    let root =
        service(&[("memory.max", "max\n"), ("memory.high", "max\n"), ("memory.current", "9000000000\n")]);
    assert_eq!(root.number(Signal::Memory), 1.92, "only the machine's");
}

#[test]
fn the_fullest_of_the_groups_above_counts() {
    let root = service(&[
        ("memory.max", &format!("{}\n", 4 * GIB)),
        ("memory.current", &format!("{GIB}\n")),
        ("memory.stat", "inactive_file 0\n"),
    ]);
    assert_eq!(root.number(Signal::Memory), 25.0);
    // The slice around it has less left, though its limit is higher.
    root.put("sys/fs/cgroup/system.slice/memory.max", &format!("{}\n", 10 * GIB));
    assert_eq!(root.number(Signal::Memory), 83.82);
    root.put("sys/fs/cgroup/system.slice/memory.stat", "inactive_file 9000000000\n");
    assert_eq!(root.number(Signal::Memory), 25.0);
}

#[test]
fn what_the_kernel_slows_down_at_is_a_limit_too() {
    let root = service(&[
        ("memory.max", &format!("{}\n", 4 * GIB)),
        ("memory.high", &format!("{}\n", 2 * GIB)),
        ("memory.current", &format!("{GIB}\n")),
    ]);
    assert_eq!(root.number(Signal::Memory), 50.0, "and without memory.stat all of it counts");
}

#[test]
fn huge_and_tiny_limits_are_taken_for_what_they_are() {
    let current = ("memory.current", "1073741824\n");
    for huge in ["18446744073709551615", "99999999999999999999999999", "9223372036854771712"] {
        assert_eq!(service(&[("memory.max", huge), current]).number(Signal::Memory), 1.92, "{huge}");
    }
    assert_eq!(service(&[("memory.max", "0\n"), current]).number(Signal::Memory), 100.0);
    assert_eq!(service(&[("memory.max", "4096\n"), current]).number(Signal::Memory), 100.0);
}

#[test]
fn a_limit_that_is_garbage_is_a_missing_signal_with_its_reason() {
    let current = ("memory.current", "1073741824\n");
    for garbage in ["", "lots", "-5", "1.5G", "0x10", "1 2", "\u{fffd}"] {
        let why = service(&[("memory.max", garbage), current]).missing(Signal::Memory);
        assert_eq!(why, format!("/{OWN}/memory.max: it says neither a number nor max"), "{garbage}");
    }
    let why = service(&[("memory.max", "1000"), ("memory.current", "many")]).missing(Signal::Memory);
    assert_eq!(why, format!("/{OWN}/memory.current: it says no number"));
    let why = service(&[("memory.max", "1000")]).missing(Signal::Memory);
    assert!(why.starts_with(&format!("/{OWN}/memory.current: No such file")), "{why}");
}

/// What a host says that has the controllers in version 1 and an empty version 2 beside them.
const HYBRID: &str = "27 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n\
                      31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n\
                      32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu\n\
                      35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n\
                      40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd\n\
                      41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n";
const HYBRID_OWN: &str = "9:name=systemd:/\n8:pids:/\n4:memory:/process_api/f9fe7c07\n1:cpu:/batch\n0::/\n";
const UNLIMITED: &str = "9223372036854771712\n";

#[test]
fn a_hybrid_host_is_read_by_its_memory_controller_of_version_1() {
    let own = "sys/fs/cgroup/memory/process_api/f9fe7c07";
    let root = Root::new(&[
        ("proc/self/mountinfo", HYBRID),
        ("proc/self/cgroup", HYBRID_OWN),
        ("sys/fs/cgroup/memory/memory.limit_in_bytes", UNLIMITED),
        ("sys/fs/cgroup/memory/memory.usage_in_bytes", "52957184\n"),
        ("sys/fs/cgroup/memory/process_api/memory.limit_in_bytes", UNLIMITED),
    ]);
    root.put(&format!("{own}/memory.limit_in_bytes"), UNLIMITED);
    root.put(&format!("{own}/memory.usage_in_bytes"), "536870912\n");
    assert_eq!(root.number(Signal::Memory), 1.92);
    root.put(&format!("{own}/memory.limit_in_bytes"), "1073741824\n");
    let stat = "cache 9228288\ninactive_file 135168\nhierarchical_memory_limit 1073741824\ntotal_inactive_file 107374182\n";
    root.put(&format!("{own}/memory.stat"), stat);
    assert_eq!(root.number(Signal::Memory), 40.0, "what groups below it can drop counts too");
    root.put("sys/fs/cgroup/memory/process_api/memory.limit_in_bytes", "1073741824\n");
    root.put("sys/fs/cgroup/memory/process_api/memory.usage_in_bytes", "1063004405\n");
    assert_eq!(root.number(Signal::Memory), 99.0);
}

#[test]
fn a_container_sees_its_group_where_it_is_mounted() {
    let mounted =
        "1200 1100 0:26 /system.slice/docker-abc.scope /sys/fs/cgroup ro,nosuid - cgroup2 cgroup rw\n";
    let limit = [("sys/fs/cgroup/memory.max", "1073741824"), ("sys/fs/cgroup/memory.current", "536870912")];
    // In a namespace of its own, outside of one, and in the group of somebody else.
    for (mount, own) in [
        (&*mounted.replace("/system.slice/docker-abc.scope", "/"), "0::/\n"),
        (mounted, "0::/system.slice/docker-abc.scope\n"),
        (&*mounted.replace("/system.slice/docker-abc.scope", "/"), "0::/../../other\n"),
        (mounted, "0::/user.slice\n"),
    ] {
        let root =
            Root::new(&[("proc/self/mountinfo", mount), ("proc/self/cgroup", own), limit[0], limit[1]]);
        assert_eq!(root.number(Signal::Memory), 50.0, "{own}");
    }
    // A group below the one that is mounted.
    let root = Root::new(&[
        ("proc/self/mountinfo", mounted),
        ("proc/self/cgroup", "0::/system.slice/docker-abc.scope/job\n"),
        ("sys/fs/cgroup/job/memory.max", "1073741824"),
        ("sys/fs/cgroup/job/memory.current", "1073741824"),
        limit[0],
        limit[1],
    ]);
    assert_eq!(root.number(Signal::Memory), 100.0);
}

#[test]
fn a_kernel_without_groups_has_the_machines_memory_and_one_whose_mounts_are_not_readable_has_none() {
    assert_eq!(Root::new(&[]).number(Signal::Memory), 1.92);
    let hidden = Root::new(&[("proc/self/cgroup", "0::/a\n")]);
    assert!(hidden.missing(Signal::Memory).starts_with("/proc/self/mountinfo: No such file"));
    // Groups that are mounted nowhere have no limit that anybody could read.
    let nowhere =
        Root::new(&[("proc/self/cgroup", "0::/a\n:\n3\nx:y\n"), ("proc/self/mountinfo", "27 1\n - \n")]);
    assert_eq!(nowhere.number(Signal::Memory), 1.92);
    // The group was removed under the process.
    let gone = Root::new(&[("proc/self/cgroup", "0::/a (deleted)\n"), ("proc/self/mountinfo", UNIFIED)]);
    assert_eq!(gone.number(Signal::Memory), 1.92);
}

#[test]
fn a_group_that_may_use_fewer_processors_has_more_load_for_each() {
    let root = service(&[("cpu.max", "max 100000\n")]);
    root.put("proc/stat", "cpu  1 1 1 1\ncpu0 1 1 1 1\ncpu1 1 1 1 1\ncpufreq 1\nintr 5\n");
    root.put("proc/loadavg", "3.00 0.65 1.23 1/88 3447\n");
    assert_eq!(root.number(Signal::LoadPerCore), 1.5);
    root.put(&format!("{OWN}/cpu.max"), "50000 100000\n");
    assert_eq!(root.number(Signal::LoadPerCore), 6.0);
    root.put("sys/fs/cgroup/system.slice/cpu.max", "10000 100000\n");
    assert_eq!(root.number(Signal::LoadPerCore), 30.0, "the least of all levels");
    for garbage in ["", "0 100000", "-1 5", "a b", "5 0"] {
        root.put(&format!("{OWN}/cpu.max"), garbage);
        let why = root.missing(Signal::LoadPerCore);
        assert_eq!(why, format!("/{OWN}/cpu.max: it says no quota"), "{garbage}");
    }
    let older = Root::new(&[
        ("proc/self/mountinfo", HYBRID),
        ("proc/self/cgroup", HYBRID_OWN),
        ("proc/stat", "cpu  1 1 1 1\ncpu0 1 1 1 1\ncpu1 1 1 1 1\n"),
        ("proc/loadavg", "3.00 0.65 1.23 1/88 3447\n"),
        ("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n"),
        ("sys/fs/cgroup/cpu/batch/cpu.cfs_quota_us", "150000\n"),
        ("sys/fs/cgroup/cpu/batch/cpu.cfs_period_us", "100000\n"),
    ]);
    assert_eq!(older.number(Signal::LoadPerCore), 2.0);
}

#[test]
fn the_greater_pressure_of_machine_and_group_counts() {
    let signal = || Signal::Pressure { resource: Resource::Memory, kind: Stall::Some, span: Span::Avg10 };
    let line = |avg10: &str| format!("some avg10={avg10} avg60=0.36 avg300=5.59 total=1238797134\n");
    let root = service(&[("memory.pressure", &line("33.50"))]);
    assert_eq!(root.number(signal()), 33.5, "also where the machine says nothing");
    root.put("proc/pressure/memory", &line("2.00"));
    assert_eq!(root.number(signal()), 33.5);
    root.put("proc/pressure/memory", &line("77.00"));
    assert_eq!(root.number(signal()), 77.0);
    root.put(&format!("{OWN}/memory.pressure"), "nothing here");
    assert_eq!(root.missing(signal()), format!("/{OWN}/memory.pressure: it says no pressure"));
    assert!(matches!(
        Root::new(&[("proc/pressure/memory", &line("1.00"))]).read(signal()),
        Reading::Number(_)
    ));
}
