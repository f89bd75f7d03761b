//! Units, as systemd itself reads them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use chrono::{NaiveDateTime, NaiveTime, Weekday};
use tempfile::TempDir;
use unattended::schedule::{CatchUp, Policy, Schedule};
use unattended::systemd::{Hardening, KillMode, Kind, OutOfMemory, Restarts, Service, Timer, Units};
use unattended::time::Timestamp;
use unattended::zone::Zone;

use super::systemd;

const MINUTE: Duration = Duration::from_secs(60);

fn time(hour: u32, minute: u32) -> NaiveTime {
    NaiveTime::from_hms_opt(hour, minute, 0).unwrap()
}

/// Every setting that there is, but for those that exclude others.
fn everything(name: &str, kind: Kind) -> Service {
    let restarts =
        Restarts::new(3, MINUTE * 5, Duration::from_secs(10)).delay_max(MINUTE).permanent([64, 78]);
    Service::new(name, ["/bin/true", "--percent=100%", "a b", "$HOME", "\"quoted\"", "back\\slash", ";", ""])
        .description("Does 100% of it")
        .documentation("https://example.com/mailer")
        .documentation("man:true(1)")
        .kind(kind)
        .user("mailer")
        .environment("GREETING", "good \"day\" 5% of $X")
        .environment_file("/etc/default/mailer")
        .working_directory("/tmp")
        .restart(&restarts)
        .timeout_start(MINUTE * 2)
        .drain(Duration::from_secs(20))
        .kill_mode(KillMode::ControlGroup)
        .memory_high(384 << 20)
        .memory_max(512 << 20)
        .cpu_quota(150)
        .tasks_max(64)
        .io_weight(50)
        .nice(5)
        .out_of_memory(OutOfMemory::Kill)
        .directories("mailer")
        .runtime("mailer/sockets")
        .writes("/srv/inbox")
        .after("network-online.target")
        .wants("network-online.target")
        .on_failure("alert@%n.service")
        .credential("token", "/etc/mailer.token")
}

fn schedules() -> Vec<(&'static str, Schedule)> {
    let zone = |name: &str| name.parse::<Zone>().unwrap();
    let every = |seconds: u64| Schedule::every(Duration::from_secs(seconds)).unwrap();
    let cron = |expression: &str, name: &str| Schedule::cron(expression, zone(name)).unwrap();
    vec![
        ("second", every(1)),
        ("quarter", every(900)),
        ("ninety-seconds", every(90)),
        ("ninety-minutes", every(5400)),
        ("week", every(604_800)),
        ("anchored", every(21_600).anchored("2026-05-04T03:02:01Z".parse().unwrap()).unwrap()),
        ("daily", Schedule::daily(time(6, 30), Zone::Utc)),
        ("berlin", Schedule::daily(time(6, 30), zone("Europe/Berlin"))),
        ("offset", Schedule::daily(time(23, 5), zone("+09:00"))),
        (
            "weekly",
            Schedule::weekly(&[Weekday::Sat, Weekday::Sun], time(9, 15), zone("America/New_York")).unwrap(),
        ),
        ("once", Schedule::once("2027-08-09T10:11:12Z".parse().unwrap())),
        ("workdays", cron("*/20 9-17 * * 1-5", "Europe/Paris")),
        ("half-hours", cron("*/30 * * * *", "Europe/Paris")),
        ("either-day", cron("0 0 1,15 * 5", "utc")),
        ("both-days", cron("0 0 1-7 * +1", "utc")),
        ("last-day", cron("0 4 L * *", "Asia/Tokyo")),
        ("second-friday", cron("0 4 * * 5#2", "utc")),
        ("fifth-sunday", cron("0 4 * * 0#5", "utc")),
        ("last-friday", cron("15 4 * * 5L", "utc")),
        ("years", cron("30 0 0 29 2 * 2028-2040", "utc")),
        ("odd-days", cron("7 3 1-31/2 1,6-8 *", "utc")),
        ("jitter", every(3600).jitter(MINUTE, "here").unwrap()),
    ]
}

fn all() -> Vec<Units> {
    let mut units = vec![
        everything("everything-oneshot", Kind::Oneshot).build().unwrap(),
        everything("everything-exec", Kind::Exec).hardening(Hardening::Off).build().unwrap(),
        everything("everything-notify", Kind::Notify).watchdog(MINUTE).build().unwrap(),
        Service::new("small", ["/bin/true"]).build().unwrap(),
        Service::new("dynamic", ["/bin/true"]).dynamic_user().hardening(Hardening::Strict).build().unwrap(),
    ];
    for (name, schedule) in schedules() {
        let timer = Timer::of(&schedule, &Policy::new()).unwrap();
        units.push(Service::new(format!("of-{name}"), ["/bin/true"]).timer(timer).build().unwrap());
    }
    let skip = Timer::of(&schedules()[1].1, &Policy::new().catch_up(CatchUp::Skip)).unwrap();
    let seven = Timer::of(&Schedule::every(MINUTE * 7).unwrap(), &Policy::new()).unwrap();
    for (name, timer) in [
        ("skip", skip),
        ("seven", seven),
        ("interval", Timer::every(Duration::from_millis(90_500))),
        ("by-hand", Timer::on_calendar("Mon..Fri 06:30 Europe/Berlin").jitter(MINUTE).accuracy(MINUTE)),
    ] {
        units.push(Service::new(name, ["/bin/true"]).timer(timer).build().unwrap());
    }
    units
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn generated_units_pass_the_verification_of_systemd() {
    let Some(mut verify) = systemd("systemd-analyze") else { return };
    let folder = tempfile::tempdir().unwrap();
    // Who is told of failures.
    fs::write(folder.path().join("alert@.service"), "[Service]\nType=oneshot\nExecStart=/bin/true\n")
        .unwrap();
    let mut paths = Vec::new();
    for units in all() {
        paths.extend(units.write_to(folder.path()).unwrap());
        for finding in units.lint() {
            let told = finding.to_string();
            // systemd makes up for a week, or a year, however late, and the policy for a day.
            assert!(told.contains("however late it is"), "{}: {told}", units.service.file_name);
        }
    }
    assert!(paths.len() > 50, "{}", paths.len());
    assert!(paths.iter().all(|path| fs::metadata(path).unwrap().permissions().mode() & 0o777 == 0o644));
    let output = verify.args(["verify", "--man=no"]).args(&paths).output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    assert_eq!(text(&output), "", "not even a warning");
}

#[test]
fn what_is_wrong_does_not_pass_the_verification() {
    let Some(mut verify) = systemd("systemd-analyze") else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("wrong.service");
    let units = Service::new("wrong", ["/bin/true"]).build().unwrap();
    fs::write(&path, units.service.text.replace("Type=oneshot", "Type=oneshot\nRestart=always")).unwrap();
    let output = verify.args(["verify", "--man=no"]).arg(&path).output().unwrap();
    assert!(!output.status.success() && text(&output).contains("wrong.service"), "{}", text(&output));
}

#[test]
fn systemd_elapses_when_the_schedule_is_due() {
    let mut told = 0;
    for (name, schedule) in schedules() {
        let timer = Timer::of(&schedule, &Policy::new()).unwrap();
        let units = Service::new("x", ["/bin/true"]).timer(timer).build().unwrap();
        let text = units.timer.unwrap().text;
        let events: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("OnCalendar=")).collect();
        assert!(!events.is_empty(), "{name}");
        // None of them near a change of the clocks.
        for base in ["2026-11-22 20:14:07", "2027-01-31 23:59:59", "2027-07-02 12:30:00"] {
            let after = NaiveDateTime::parse_from_str(base, "%Y-%m-%d %H:%M:%S").unwrap().and_utc();
            let Some(mut analyze) = systemd("systemd-analyze") else { return };
            let output = analyze
                .arg("calendar")
                .arg(format!("--base-time={base} UTC"))
                .args(&events)
                .output()
                .unwrap();
            assert!(output.status.success(), "{name}: {}", self::text(&output));
            let next = elapses(&self::text(&output));
            assert_eq!(
                next,
                schedule.next_after(after).map(|next| next.nominal),
                "{name} after {base}: {events:?}"
            );
            told += 1;
        }
    }
    assert!(told >= 60);
}

/// The earliest instant that `systemd-analyze calendar` names.
fn elapses(told: &str) -> Option<Timestamp> {
    let lines = told.lines().filter_map(|line| line.trim().strip_prefix("Next elapse: "));
    let instants = lines.filter(|at| *at != "never").map(|at| {
        let at = at.split_once(' ').unwrap().1.strip_suffix(" UTC").expect(told);
        NaiveDateTime::parse_from_str(at, "%Y-%m-%d %H:%M:%S").expect(told).and_utc()
    });
    instants.min()
}

/// What systemd would run is what was given: a manager that only tests shows how it has read the unit.
#[test]
fn arguments_and_variables_arrive_as_they_were_given() {
    let Some(mut manager) = systemd("/lib/systemd/systemd") else { return };
    let given = [
        "/bin/echo",
        "",
        "a b",
        "it's",
        "\"q\"",
        "b\\n\\\\",
        "100%",
        "%n",
        ";",
        "# no",
        "ä €",
        "-x=1,2:3",
        "\\",
    ];
    let service =
        Service::new("read", given).environment("ONE", "a \"b\" \\ 5% $C 'd'").description("100% of it");
    let units = service.hardening(Hardening::Off).build().unwrap();
    let folder = Folder::new();
    units.write_to(folder.path()).unwrap();
    for target in ["basic.target", "sysinit.target", "shutdown.target"] {
        fs::write(folder.path().join(target), "[Unit]\nDefaultDependencies=no\n").unwrap();
    }
    let home = folder.path().join("home");
    manager.args(["--test", "--user", "--unit=read.service"]).env("SYSTEMD_UNIT_PATH", folder.path());
    manager.env("HOME", &home).env("XDG_CONFIG_HOME", &home).env("XDG_RUNTIME_DIR", &home).current_dir("/");
    if folder.as_root {
        // It does not test as root.
        manager.uid(NOBODY).gid(NOBODY);
    }
    let told = text(&manager.output().unwrap());
    let told = told.split_once("-> Unit read.service:").unwrap_or_else(|| panic!("{told}")).1;
    let line = |begin: &str| {
        told.lines()
            .find_map(|line| line.trim().strip_prefix(begin))
            .unwrap_or_else(|| panic!("{begin}: {told}"))
    };
    assert_eq!(line("Description: "), "100% of it");
    assert_eq!(line("Environment: "), "ONE=a \"b\" \\ 5% $C 'd'");
    // It is shown as a shell would be told.
    let script = format!("for word in {}; do printf '%s\\n' \"$word\"; done", line("Command Line: "));
    let output = Command::new("/bin/sh").args(["-c", &script]).output().unwrap();
    let words: Vec<String> = text(&output).lines().map(str::to_owned).collect();
    assert_eq!(words, given);
}

const NOBODY: u32 = 65_534;

/// A folder that an unprivileged manager can read.
struct Folder {
    folder: TempDir,
    as_root: bool,
}

impl Folder {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let home = folder.path().join("home");
        fs::create_dir(&home).unwrap();
        let as_root = std::os::unix::fs::chown(&home, Some(NOBODY), Some(NOBODY)).is_ok();
        Self { folder, as_root }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }
}

#[test]
fn hardening_lowers_what_systemd_calls_exposure() {
    let exposure = |hardening: Hardening| {
        let mut security = systemd("systemd-analyze")?;
        let folder = tempfile::tempdir().unwrap();
        let service =
            Service::new("exposed", ["/bin/true"]).user("nobody").state("exposed").hardening(hardening);
        let path = service.build().unwrap().write_to(folder.path()).unwrap().remove(0);
        let output = security.args(["security", "--offline=true", "--no-pager"]).arg(path).output().unwrap();
        let told = text(&output);
        let (_, rest) = told
            .split_once("Overall exposure level for exposed.service: ")
            .unwrap_or_else(|| panic!("{told}"));
        rest.split_whitespace().next()?.parse::<f64>().ok()
    };
    let Some(off) = exposure(Hardening::Off) else { return };
    let (standard, strict) = (exposure(Hardening::Standard).unwrap(), exposure(Hardening::Strict).unwrap());
    eprintln!("exposure: off {off}, standard {standard}, strict {strict}");
    assert!(off > 9.0 && standard < 6.5 && strict < 2.5, "{off} {standard} {strict}");
}

/// Every directive, as it is written.
#[test]
fn every_directive_is_written_as_it_was() {
    let units = [
        everything("everything-oneshot", Kind::Oneshot)
            .kill_mode(KillMode::Mixed)
            .timer(
                Timer::of(
                    &Schedule::every(MINUTE * 15).unwrap().jitter(MINUTE, "x").unwrap(),
                    &Policy::new(),
                )
                .unwrap(),
            )
            .restart(&Restarts::new(9, MINUTE * 10, Duration::from_secs(10)))
            .hardening(Hardening::Strict),
        everything("everything-notify", Kind::Notify).watchdog(MINUTE).target_version(254),
        Service::new("small", ["/bin/true"]).hardening(Hardening::Off),
        Service::new("dynamic", ["/bin/true"]).kind(Kind::Exec).dynamic_user(),
    ];
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/systemd");
    for units in units {
        for unit in units.build().unwrap().all() {
            let path = golden.join(&unit.file_name);
            if std::env::var("UNATTENDED_BLESS").is_ok_and(|what| what == "systemd") {
                fs::write(&path, &unit.text).unwrap();
            }
            assert_eq!(unit.text, fs::read_to_string(&path).unwrap_or_default(), "{}", unit.file_name);
        }
    }
}

#[test]
fn a_folder_that_is_not_there_is_an_error_that_names_the_unit() {
    let error =
        Service::new("small", ["/bin/true"]).build().unwrap().write_to("/nowhere/at/all").unwrap_err();
    assert!(error.to_string().contains("small.service"), "{error}");
    assert!(std::error::Error::source(&error).is_some());
}
