use std::time::Duration;

use chrono::{NaiveTime, Weekday};

use super::*;
use crate::base::explain::Explain;
use crate::base::zone::Zone;
use crate::decide::schedule::{CatchUp, Overlap, Policy, Schedule};

const MINUTE: Duration = Duration::from_secs(60);

fn service() -> Service {
    Service::new("mailer", ["/usr/bin/mailer", "--all"])
}

/// The field that is refused.
fn refused(service: &Service) -> (&'static str, String) {
    match service.build() {
        Err(Error::Field { field, given, allowed }) => {
            assert!(!allowed.is_empty());
            (field, given)
        }
        other => panic!("{other:?}"),
    }
}

fn field(service: &Service) -> &'static str {
    refused(service).0
}

fn calendar(schedule: &Schedule) -> Vec<String> {
    lines(&Timer::of(schedule, &Policy::new()).unwrap())
}

fn lines(timer: &Timer) -> Vec<String> {
    let lines = timer.lines().unwrap();
    lines
        .into_iter()
        .filter(|(key, _)| key.starts_with("On"))
        .map(|(key, value)| format!("{key}={value}"))
        .collect()
}

fn at(hour: u32, minute: u32) -> NaiveTime {
    NaiveTime::from_hms_opt(hour, minute, 0).unwrap()
}

#[test]
fn what_breaks_a_line_is_refused_everywhere() {
    for odd in ["a\nb", "a\0b", "a\rb", "a\x1b[2J"] {
        let path = format!("/{odd}");
        assert_eq!(field(&Service::new(odd, ["/bin/true"])), "name");
        assert_eq!(field(&Service::new("x", [path.as_str()])), "exec");
        assert_eq!(field(&Service::new("x", ["/bin/true", odd])), "exec");
        assert_eq!(field(&service().description(odd)), "description");
        assert_eq!(field(&service().documentation(format!("https://{odd}"))), "documentation");
        assert_eq!(field(&service().user(odd)), "user");
        assert_eq!(field(&service().environment(odd, "x")), "environment");
        assert_eq!(field(&service().environment("X", odd)), "environment");
        assert_eq!(field(&service().environment_file(&path)), "environment_file");
        assert_eq!(field(&service().working_directory(&path)), "working_directory");
        assert_eq!(field(&service().credential(odd, "/x")), "credential");
        assert_eq!(field(&service().credential("x", &path)), "credential");
        assert_eq!(field(&service().state(odd)), "state");
        assert_eq!(field(&service().logs(odd)), "logs");
        assert_eq!(field(&service().configuration(odd)), "configuration");
        assert_eq!(field(&service().runtime(odd)), "runtime");
        assert_eq!(field(&service().writes(&path)), "writes");
        assert_eq!(field(&service().after(format!("{odd}.service"))), "after");
        assert_eq!(field(&service().wants(format!("{odd}.service"))), "wants");
        assert_eq!(field(&service().on_failure(format!("{odd}.service"))), "on_failure");
        assert_eq!(field(&service().timer(Timer::on_calendar(odd))), "on_calendar");
    }
}

#[test]
fn a_name_is_one_of_a_unit() {
    for odd in ["", "a/b", ".", "..", "-x", "a b", "x@y", "ä", &"x".repeat(248)] {
        assert_eq!(field(&Service::new(odd, ["/bin/true"])), "name", "{odd}");
    }
    assert_eq!(
        Service::new("a-b_c.d:e", ["/bin/true"]).build().unwrap().service.file_name,
        "a-b_c.d:e.service"
    );
    for odd in ["", "x", "x.y", "a b.service", ".service", "%h.service"] {
        assert_eq!(field(&service().on_failure(odd)), "on_failure", "{odd}");
    }
}

#[test]
fn the_program_is_an_absolute_path() {
    for odd in
        ["", "mailer", "./mailer", "~/mailer", "/usr/bin/", "/usr/../bin/true", "-/bin/true", "/opt/$HOME/x"]
    {
        assert_eq!(field(&Service::new("x", [odd])), "exec", "{odd}");
    }
    assert_eq!(refused(&Service::new("x", [""; 0])), ("exec", String::from("nothing")));
    assert_eq!(field(&Service::new("x", vec!["/bin/true"; 257])), "exec");
}

#[test]
fn no_time_at_all_is_refused() {
    let zero = Duration::ZERO;
    let notify = || service().kind(Kind::Notify);
    assert_eq!(field(&notify().watchdog(zero)), "watchdog");
    assert_eq!(field(&service().timeout_start(zero)), "timeout_start");
    assert_eq!(field(&service().timeout_stop(zero)), "timeout_stop");
    assert_eq!(field(&service().timer(Timer::every(zero))), "every");
    assert_eq!(field(&service().timer(Timer::every(MINUTE).jitter(zero))), "jitter");
    assert_eq!(field(&service().timer(Timer::every(MINUTE).accuracy(zero))), "accuracy");
    assert_eq!(field(&service().restart(&Restarts::new(5, zero, MINUTE))), "restart.within");
    assert_eq!(field(&service().restart(&Restarts::new(5, MINUTE, zero))), "restart.delay");
    assert_eq!(field(&service().timeout_stop(Duration::MAX)), "timeout_stop");
}

#[test]
fn limits_have_bounds() {
    assert_eq!(field(&service().memory_max(0)), "memory_max");
    assert_eq!(field(&service().memory_high(0)), "memory_high");
    assert_eq!(field(&service().memory_max(5).memory_high(5)), "memory_high");
    assert_eq!(field(&service().cpu_quota(0)), "cpu_quota");
    assert_eq!(field(&service().cpu_quota(100_001)), "cpu_quota");
    assert_eq!(field(&service().tasks_max(0)), "tasks_max");
    assert_eq!(field(&service().io_weight(0)), "io_weight");
    assert_eq!(field(&service().io_weight(10_001)), "io_weight");
    assert_eq!(field(&service().nice(20)), "nice");
    assert_eq!(field(&service().nice(-21)), "nice");
    assert_eq!(field(&service().not_now(Some(0))), "not_now");
    assert_eq!(field(&service().target_version(251)), "target_version");
    assert_eq!(field(&service().user("mail").dynamic_user()), "user");
}

#[test]
fn what_cannot_work_together_is_refused() {
    for kind in [Kind::Oneshot, Kind::Exec] {
        assert_eq!(field(&service().kind(kind).watchdog(MINUTE)), "watchdog");
    }
    assert_eq!(field(&service().kind(Kind::Notify).timer(Timer::every(MINUTE))), "timer");
    assert_eq!(field(&service().timer(Timer::every(MINUTE).persistent(true))), "persistent");
}

#[test]
fn a_limit_of_restarts_that_the_delay_makes_unreachable_is_refused() {
    let seconds = Duration::from_secs;
    // As systemd counts by itself: 5 starts within 10 s.
    assert_eq!(field(&service().restart(&Restarts::new(5, seconds(10), seconds(2)))), "restart.within");
    assert!(service().restart(&Restarts::new(5, seconds(11), seconds(2))).build().is_ok());
    // 1 + 2 + 4 + 8 + 8 seconds where the delay grows, and 5 where it cannot.
    let grows = Restarts::new(5, seconds(23), seconds(1)).delay_max(seconds(8));
    assert_eq!(field(&service().target_version(254).restart(&grows)), "restart.within");
    assert!(service().restart(&grows).build().is_ok());
    let enough = Restarts { within: seconds(24), ..grows };
    let text = service().target_version(254).restart(&enough).build().unwrap().service.text;
    assert!(text.contains("RestartSec=1s\nRestartSteps=3\nRestartMaxDelaySec=8s\n"), "{text}");
    for odd in [0, 10_001] {
        assert_eq!(
            field(&service().restart(&Restarts::new(odd, MINUTE, seconds(1)))),
            "restart.failures_max"
        );
    }
    for odd in [0, -1, 256] {
        let restarts = Restarts::new(5, MINUTE, seconds(1)).permanent([odd]);
        assert_eq!(field(&service().restart(&restarts)), "restart.permanent");
    }
    let shrinks = Restarts::new(5, MINUTE, seconds(2)).delay_max(seconds(1));
    assert_eq!(field(&service().restart(&shrinks)), "restart.delay_max");
}

#[test]
fn the_starts_of_the_timer_do_not_reach_the_limit_of_restarts() {
    let restarts = Restarts::new(3, Duration::from_secs(900), MINUTE);
    let each = |minutes: u32| service().restart(&restarts).timer(Timer::every(MINUTE * minutes));
    assert_eq!(field(&each(5)), "restart.within", "four starts in 15 minutes, and three are allowed");
    assert!(each(8).build().is_ok());
    let often = service().timer(Timer::every(Duration::from_secs(1))).build().unwrap();
    assert!(often.service.text.contains("StartLimitIntervalSec=0\n"), "systemd's own limit is 5 in 10 s");
    let seldom = service().timer(Timer::every(Duration::from_secs(3))).build().unwrap();
    assert!(!seldom.service.text.contains("StartLimit"));
}

#[test]
fn words_are_quoted_where_they_have_to_be() {
    let exec = [
        "/opt/my app/run%1",
        "plain-1_2=3:4,5/6.7@8",
        "",
        "a b",
        "q\"q'q",
        "b\\n",
        "${X}",
        "100%",
        ";",
        "t\tt",
        "ä",
    ];
    let text = Service::new("x", exec).environment("K", "a $b \"c\" 5%").build().unwrap().service.text;
    let expected = concat!(
        "ExecStart=\"/opt/my app/run%%1\" plain-1_2=3:4,5/6.7@8 \"\" \"a b\" \"q\\\"q'q\" \"b\\\\n\" \"$${X}\" \"100%%\" ",
        "\";\" \"t\\tt\" \"ä\"\n"
    );
    assert!(text.contains(expected), "{text}");
    assert!(text.contains("Environment=\"K=a $b \\\"c\\\" 5%%\"\n"), "{text}");
    assert_eq!(field(&service().description("ends with \\")), "description");
    assert_eq!(field(&service().description("  ")), "description");
    assert!(
        service().description("50% off").build().unwrap().service.text.contains("Description=50%% off\n")
    );
}

#[test]
fn intervals_that_are_the_same_each_day_are_calendar_events() {
    let every = |seconds: u64| calendar(&Schedule::every(Duration::from_secs(seconds)).unwrap());
    assert_eq!(every(1), ["OnCalendar=*-*-* *:*:* UTC"]);
    assert_eq!(every(10), ["OnCalendar=*-*-* *:*:00/10 UTC"]);
    assert_eq!(every(900), ["OnCalendar=*-*-* *:00/15:00 UTC"]);
    assert_eq!(every(90), ["OnCalendar=*-*-* *:00/3:00 UTC", "OnCalendar=*-*-* *:01/3:30 UTC"]);
    assert_eq!(every(5400), ["OnCalendar=*-*-* 00/3:00:00 UTC", "OnCalendar=*-*-* 01/3:30:00 UTC"]);
    assert_eq!(every(21_600), ["OnCalendar=*-*-* 00/6:00:00 UTC"]);
    assert_eq!(every(43_200), ["OnCalendar=*-*-* 00,12:00:00 UTC"]);
    assert_eq!(every(86_400), ["OnCalendar=*-*-* 00:00:00 UTC"]);
    assert_eq!(every(604_800), ["OnCalendar=Thu *-*-* 00:00:00 UTC"], "the epoch was a Thursday");
    let anchored =
        Schedule::every(Duration::from_secs(3600)).unwrap().anchored("2027-01-01T00:20:05Z".parse().unwrap());
    assert_eq!(calendar(&anchored.unwrap()), ["OnCalendar=*-*-* *:20:05 UTC"]);
    assert_eq!(every(420), ["OnBootSec=1min", "OnUnitActiveSec=7min"], "seven minutes are no part of a day");
    let skip =
        Timer::of(&Schedule::every(MINUTE * 7).unwrap(), &Policy::new().catch_up(CatchUp::Skip)).unwrap();
    assert_eq!(lines(&skip), ["OnBootSec=7min", "OnUnitActiveSec=7min"]);
}

#[test]
fn days_and_times_are_calendar_events() {
    assert_eq!(calendar(&Schedule::daily(at(6, 30), Zone::Utc)), ["OnCalendar=*-*-* 06:30:00 UTC"]);
    let days = [Weekday::Sun, Weekday::Mon, Weekday::Tue, Weekday::Wed, Weekday::Fri];
    let weekly = Schedule::weekly(&days, at(9, 0), "+02:00".parse().unwrap()).unwrap();
    assert_eq!(calendar(&weekly), ["OnCalendar=Mon..Wed,Fri,Sun *-*-* 09:00:00 Etc/GMT-2"]);
    let west = Schedule::daily(at(9, 0), "-03:00".parse().unwrap());
    assert_eq!(calendar(&west), ["OnCalendar=*-*-* 09:00:00 Etc/GMT+3"]);
    let once = Schedule::once("2027-03-04T05:06:07Z".parse().unwrap());
    assert_eq!(calendar(&once), ["OnCalendar=2027-03-04 05:06:07 UTC"]);
}

#[cfg(feature = "cron")]
#[test]
fn cron_fields_are_calendar_events() {
    let cron = |expression: &str| calendar(&Schedule::cron(expression, Zone::Utc).unwrap());
    assert_eq!(cron("*/15 9-17 * * 1-5"), ["OnCalendar=Mon..Fri *-*-* 09..17:00/15:00 UTC"]);
    assert_eq!(
        cron("0 0 1,15 * 5"),
        ["OnCalendar=*-*-01,15 00:00:00 UTC", "OnCalendar=Fri *-*-* 00:00:00 UTC"],
        "either of the fields for days is enough"
    );
    assert_eq!(cron("0 0 1-7 * +1"), ["OnCalendar=Mon *-*-01..07 00:00:00 UTC"], "both have to name the day");
    assert_eq!(cron("0 4 L * *"), ["OnCalendar=*-*~01 04:00:00 UTC"]);
    assert_eq!(cron("0 4 * * 5#2"), ["OnCalendar=Fri *-*-08..14 04:00:00 UTC"]);
    assert_eq!(cron("0 4 * * 5L"), ["OnCalendar=Fri *-*~07/1 04:00:00 UTC"]);
    assert_eq!(cron("30 0 0 1 1,7 * 2028-2030"), ["OnCalendar=2028..2030-01,07-01 00:00:30 UTC"]);
}

#[cfg(all(feature = "cron", feature = "tz"))]
#[test]
fn each_hour_of_a_zone_is_said_in_utc_since_systemd_passes_a_repeated_one_once() {
    let paris: Zone = "Europe/Paris".parse().unwrap();
    let in_paris =
        |expression: &str| Timer::of(&Schedule::cron(expression, paris).unwrap(), &Policy::new()).unwrap();
    assert_eq!(lines(&in_paris("*/30 * * * *")), ["OnCalendar=*-*-* *:00,30:00 UTC"]);
    assert_eq!(lines(&in_paris("30 2 * * *")), ["OnCalendar=*-*-* 02:30:00 Europe/Paris"]);
    let found = |expression: &str| service().timer(in_paris(expression)).lint().unwrap();
    let codes = |expression: &str| found(expression).iter().map(Finding::code).collect::<Vec<_>>();
    assert_eq!(codes("30 2 * * *"), ["systemd.clocks_skip"]);
    assert_eq!(codes("30 3 * * *"), [""; 0]);
    assert_eq!(codes("0 * 1 * *"), ["systemd.clocks_repeat"]);
    assert_eq!(codes("0 * * * *"), [""; 0]);
}

#[test]
fn what_systemd_has_no_words_for_is_an_error() {
    let days = |days: u64| Schedule::every(Duration::from_secs(86_400 * days)).unwrap();
    let refused = |schedule: &Schedule, policy: Policy| match Timer::of(schedule, &policy) {
        Err(Error::CannotSay { what, .. }) => what,
        other => panic!("{other:?}"),
    };
    let plain = Policy::new();
    assert_eq!(refused(&days(2), plain), "the interval");
    let anchored =
        Schedule::every(MINUTE * 7).unwrap().anchored("2027-01-01T00:00:00Z".parse().unwrap()).unwrap();
    assert_eq!(refused(&anchored, plain), "the interval");
    let half = Schedule::daily(at(9, 0), "+05:30".parse().unwrap());
    assert_eq!(refused(&half, plain), "the zone");
    assert_eq!(refused(&Schedule::once("2027-01-01T00:00:00.5Z".parse().unwrap()), plain), "the instant");
    assert_eq!(refused(&Schedule::once("2300-01-01T00:00:00Z".parse().unwrap()), plain), "the instant");
    assert_eq!(refused(&days(1), plain.catch_up(CatchUp::All { at_most: 3 })), "the catch-up");
    for overlap in [Overlap::QueueOne, Overlap::Replace, Overlap::Allow] {
        assert_eq!(refused(&days(1), plain.overlap(overlap)), "the overlap");
    }
    let wrong = Timer::of(&days(1), &plain.catch_up(CatchUp::All { at_most: 0 }));
    assert!(matches!(wrong, Err(Error::Field { field: "policy", .. })), "{wrong:?}");
    #[cfg(feature = "cron")]
    for (expression, what) in [
        ("0 0 15W * *", "the day"),
        ("0 0 LW * *", "the day"),
        ("0 0 0 1 1 * 2300", "the year"),
        ("0 0 L * +5#5", "the day"),
    ] {
        assert_eq!(refused(&Schedule::cron(expression, Zone::Utc).unwrap(), plain), what, "{expression}");
    }
}

#[test]
fn the_policy_and_the_jitter_of_a_schedule_are_said() {
    let schedule = Schedule::daily(at(6, 0), Zone::Utc).jitter(MINUTE * 10, "host/mailer").unwrap();
    let text = |policy: Policy| {
        let units = service().timer(Timer::of(&schedule, &policy).unwrap()).build().unwrap();
        assert!(units.lint().is_empty(), "{:?}", units.lint());
        assert!(!units.service.text.contains("[Install]"), "the timer starts it");
        units.timer.unwrap().text
    };
    let jitter = "RandomizedDelaySec=10min\nFixedRandomDelay=true\nAccuracySec=1s\n";
    assert!(text(Policy::new()).contains(&format!("Persistent=true\n{jitter}")));
    assert!(text(Policy::new().catch_up(CatchUp::Skip)).contains(&format!("Persistent=false\n{jitter}")));
}

#[test]
fn what_a_policy_says_otherwise_than_its_timer_is_found() {
    let codes =
        |timer: Timer| service().timer(timer).lint().unwrap().iter().map(Finding::code).collect::<Vec<_>>();
    let daily = Schedule::daily(at(6, 0), Zone::Utc);
    let timer = |policy: Policy| Timer::of(&daily, &policy).unwrap();
    assert_eq!(codes(timer(Policy::new()).persistent(false)), ["systemd.not_persistent"]);
    assert_eq!(codes(timer(Policy::new().late_max(MINUTE * 60))), ["systemd.late_without_end"]);
    let weekly = Schedule::weekly(&[Weekday::Mon], at(6, 0), Zone::Utc).unwrap();
    assert_eq!(
        codes(Timer::of(&weekly, &Policy::new()).unwrap()),
        ["systemd.late_without_end"],
        "a day, and not a week"
    );
    let found = service().drain(MINUTE).timeout_stop(MINUTE).lint().unwrap();
    assert_eq!(found.iter().map(Finding::code).collect::<Vec<_>>(), ["systemd.stop_too_soon"]);
    assert_eq!(service().drain(MINUTE).lint().unwrap(), []);
}

#[test]
fn each_flaw_of_a_text_is_found_on_its_line() {
    let text = "\
[Unit]
StartLimitIntervalSec=10
[Service]
Type=oneshot
ExecStart=mailer --all
Restart=always
RestartSec=2
RestartMaxDelaySec=1min
RestartSteps=
StartLimitBurst=5
WatchdogSec=30
Frobnicate=yes
X-Own=1
rubbish
[Nonsense]
[Timer]
OnCalendar=02:30
OnCalendar=Mon 03:30 UTC
";
    let found: Vec<_> = lint(text).iter().map(|finding| (finding.line, finding.code())).collect();
    let expected = [
        (2, "systemd.limit_unreachable"),
        (4, "systemd.oneshot_without_end"),
        (5, "systemd.exec_not_absolute"),
        (6, "systemd.restart_refused"),
        (8, "systemd.too_new"),
        (9, "systemd.too_new"),
        (10, "systemd.limit_misplaced"),
        (11, "systemd.watchdog_unheard"),
        (12, "systemd.unknown_directive"),
        (14, "systemd.unreadable_line"),
        (15, "systemd.unknown_section"),
        (17, "systemd.clocks_skip"),
    ];
    assert_eq!(found, expected);
    let newer = lint::lint_for("[Service]\nExecStart=/bin/a\nRestartMaxDelaySec=1min\n", 254);
    assert_eq!(newer.iter().map(Finding::code).collect::<Vec<_>>(), ["systemd.delay_max_ignored"]);
    for finding in lint(text) {
        let sentence = finding.to_string();
        assert!(sentence.starts_with("line ") && !sentence.ends_with('.'), "{sentence}");
    }
}

#[test]
fn no_text_panics_and_findings_are_bounded() {
    let mut rng = crate::base::rng::Rng::seeded(crate::base::rng::entropy());
    let parts = [
        "[Timer]\n",
        "[Service]\n",
        "OnCalendar=",
        "Restart=always",
        "=",
        "\\\n",
        "99..1/0:",
        "*:",
        ",",
        "\n",
        "RestartSec=",
        "9999999999999999999",
        "Europe/Paris",
        " ",
        "~",
        "StartLimitBurst=-1",
        "é",
        "#",
    ];
    for _ in 0..2000 {
        let text: String =
            (0..rng.up_to(30)).map(|_| parts[usize::try_from(rng.up_to(17)).unwrap()]).collect();
        assert!(lint(&text).len() <= 100);
    }
    assert_eq!(lint(&"x\n".repeat(100_000)).len(), 100);
}

#[test]
fn documentation_that_systemd_would_pass_over_is_refused() {
    for odd in ["https://a/it's", "https://a/\"b", "https://a/\\x", "https://a/\u{e9}"] {
        assert_eq!(field(&service().documentation(odd)), "documentation");
    }
    assert!(service().documentation("man:mailer(1)").build().is_ok());
}
