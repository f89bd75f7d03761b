//! Each rule, once.

use super::*;

#[test]
fn a_silent_death_is_late_at_one_interval_and_overdue_at_two_and_each_is_told_once() {
    let mut heart = heart(hourly());
    assert_eq!(code(heart.observe(at(100), Beat::succeeded())), "heartbeat.first_success");
    assert_eq!(heart.next_wake(), Some(at(3700).wall));
    assert_eq!(watch(&mut heart, 100, 40_000, 1), [(3700, "heartbeat.late"), (7300, "heartbeat.overdue")]);
    let recovered = heart.observe(at(50_000), Beat::succeeded()).unwrap();
    assert_eq!((recovered.from, recovered.to), (State::Overdue, State::Up));
    assert_eq!(
        recovered.to_string(),
        "up: it succeeds again after it was overdue for 11 h 51 min, since 2026-11-22 02:01:40"
    );
    assert_eq!(heart.observe(at(50_001), Beat::succeeded()), None);
}

#[test]
fn between_late_and_overdue_lie_at_least_60_seconds() {
    let mut heart = heart(Policy::every(secs(10)).tick(secs(5)));
    assert_eq!(watch(&mut heart, 0, 1000, 1), [(10, "heartbeat.late"), (70, "heartbeat.overdue")]);
}

#[test]
fn what_was_never_seen_counts_from_when_it_was_declared() {
    let mut heart = heart(hourly());
    assert_eq!(watch(&mut heart, 0, 3600, 60), [(3600, "heartbeat.late")]);
    let event = heart.tick(at(7200).into(), |_| None).unwrap();
    assert_eq!(
        event.to_string(),
        "overdue: it is silent: late since 2026-11-22 01:00:00, given up at 2026-11-22 02:00:00, and was never seen to succeed"
    );
}

#[test]
fn a_start_and_progress_do_not_reset_it_and_neither_does_a_failure_make_it_well() {
    let mut heart = heart(hourly().failures(5));
    heart.observe(at(0), Beat::succeeded());
    for n in (600..3600).step_by(600) {
        assert_eq!(heart.observe(at(n), Beat::started()), None);
        assert_eq!(heart.observe(at(n + 1), Beat::progress()), None);
        assert_eq!(heart.observe(at(n + 2), Beat::failed("no")), None, "5 in a row are failing");
        heart.observe(at(n + 3), Beat::started());
        if n == 2400 {
            break;
        }
    }
    assert_eq!(heart.state(), State::Up);
    assert_eq!(watch(&mut heart, 2500, 7200, 1), [(3600, "heartbeat.late"), (7200, "heartbeat.overdue")]);
}

#[test]
fn one_failure_is_failing_by_default_and_one_success_is_recovery() {
    let mut heart = heart(hourly());
    heart.observe(at(0), Beat::succeeded());
    let event = heart.observe(at(60), Beat::failed("exit 3")).unwrap();
    assert_eq!((event.code(), event.to.is_down()), ("heartbeat.failed", true));
    assert_eq!(event.why.to_string(), "it has failed: exit 3");
    assert_eq!(heart.observe(at(70), Beat::failed("exit 3")), None, "it is told once");
    assert_eq!(watch(&mut heart, 70, 100_000, 100), [], "it stays failing");
    assert_eq!(code(heart.observe(at(100_001), Beat::succeeded())), "heartbeat.recovered");
}

#[test]
fn so_many_failures_in_a_row_and_so_many_successes_as_the_policy_says() {
    let mut heart = heart(hourly().failures(3).recovery(2));
    heart.observe(at(0), Beat::succeeded());
    for n in 1..3 {
        assert_eq!(heart.observe(at(n), Beat::failed("a")), None);
    }
    assert_eq!(heart.observe(at(3), Beat::succeeded()), None, "the row is broken");
    for n in 4..6 {
        assert_eq!(heart.observe(at(n), Beat::failed("a")), None);
    }
    let event = heart.observe(at(6), Beat::failed("b")).unwrap();
    assert_eq!(event.why, Why::Failed { in_a_row: 3, limit: 3, said: "b".into() });
    assert_eq!(heart.observe(at(7), Beat::succeeded()), None);
    assert_eq!(heart.observe(at(8), Beat::failed("c")), None);
    assert_eq!(heart.observe(at(9), Beat::succeeded()), None);
    assert_eq!(code(heart.observe(at(10), Beat::succeeded())), "heartbeat.recovered");
}

#[test]
fn a_run_that_was_not_begun_in_time_makes_it_late_before_its_interval_is_over() {
    let mut heart = heart(hourly().start_max(secs(600)));
    heart.observe(at(0), Beat::succeeded());
    assert_eq!(watch(&mut heart, 0, 1000, 1), [(600, "heartbeat.not_started")]);
    assert_eq!(heart.observe(at(1000), Beat::started()), None, "only a success makes it well");
    assert_eq!(watch(&mut heart, 1000, 7200, 1), [(7200, "heartbeat.overdue")]);
    heart.observe(at(7300), Beat::succeeded());
    heart.observe(at(7400), Beat::started());
    assert_eq!(watch(&mut heart, 7400, 10_899, 1), [], "it has begun");
}

#[test]
fn a_run_that_does_not_end_in_its_time_has_failed() {
    let mut heart = heart(hourly().run_max(secs(300)));
    heart.observe(at(0), Beat::succeeded());
    heart.observe(at(100), Beat::started().of("a"));
    heart.observe(at(200), Beat::started().of("b"));
    heart.observe(at(350), Beat::succeeded().of("b"));
    let told = watch(&mut heart, 350, 1000, 1);
    assert_eq!(told, [(400, "heartbeat.ran_too_long")]);
    assert_eq!(
        heart.status().why.unwrap().to_string(),
        "the run a that began at 2026-11-22 00:01:40 has not ended within 5 min"
    );
    // It ends after all.
    assert_eq!(code(heart.observe(at(1001), Beat::succeeded().of("a"))), "heartbeat.recovered");
}

#[test]
fn progress_extends_the_lease_and_no_progress_for_so_long_is_a_failure() {
    let mut heart = heart(hourly().progress_lease(secs(30)));
    heart.observe(at(0), Beat::started());
    for n in (0..2000).step_by(25) {
        heart.observe(at(n), Beat::progress());
        assert_eq!(heart.tick(at(n + 24).into(), |_| None), None);
    }
    assert_eq!(watch(&mut heart, 1975, 3000, 1), [(2005, "heartbeat.stalled")]);
    assert_eq!(heart.status().running, 0);
}

#[test]
fn a_success_that_came_too_fast_to_be_true_is_a_failure() {
    let mut heart = heart(hourly().run_min(secs(10)));
    heart.observe(at(0), Beat::started().of("1"));
    let event = heart.observe(at(3), Beat::succeeded().of("1")).unwrap();
    assert_eq!(event.code(), "heartbeat.too_fast");
    assert_eq!(
        event.why.to_string(),
        "the run 1 says it succeeded after 3.0 s, and no run takes less than 10.0 s"
    );
    assert_eq!(heart.last_success(), None);
    heart.observe(at(100), Beat::started());
    assert_eq!(code(heart.observe(at(110), Beat::succeeded())), "heartbeat.recovered");
    // Nobody saw it begin, or the clock went back: nothing is known of how long it took.
    assert_eq!(heart.observe(at(111), Beat::succeeded()), None);
    heart.observe(at(200), Beat::started());
    assert_eq!(heart.observe(at(150), Beat::succeeded()), None);
}

#[test]
fn runs_that_overlap_are_known_by_their_ids_and_only_so_many_are_remembered() {
    let mut heart = heart(hourly().run_max(secs(600)).tell_all());
    for n in 0..100 {
        heart.observe(at(n), Beat::started().of(format!("{n}{}", "x".repeat(1000))));
    }
    assert_eq!(heart.status().running, RUNS_MAX);
    let told = watch(&mut heart, 100, 1000, 1);
    assert_eq!(told, [(684, "heartbeat.ran_too_long")], "the oldest that is remembered");
    assert_eq!(heart.status().failures, 16);
}

#[test]
fn what_is_paused_is_silent_and_counts_anew_from_when_it_is_resumed() {
    let mut heart = heart(hourly());
    heart.observe(at(0), Beat::succeeded());
    assert_eq!(code(heart.observe(at(10), Beat::Paused)), "heartbeat.paused");
    assert_eq!(heart.observe(at(11), Beat::Paused), None);
    assert_eq!(heart.next_wake(), None);
    assert_eq!(watch(&mut heart, 11, 100_000, 100), []);
    assert_eq!(heart.observe(at(100_001), Beat::failed("while paused")), None);
    assert_eq!(code(heart.observe(at(100_002), Beat::Resumed)), "heartbeat.resumed");
    assert_eq!(heart.state(), State::Up);
    assert_eq!(watch(&mut heart, 100_002, 103_602, 1), [(103_602, "heartbeat.late")]);
}

#[test]
fn what_changes_too_often_is_told_once_and_then_when_it_is_quiet() {
    let mut heart = heart(hourly().unsteady(4, secs(600)));
    let mut told = Vec::new();
    for n in 0..20 {
        let beat = if n % 2 == 0 { Beat::succeeded() } else { Beat::failed("x") };
        told.extend(heart.observe(at(n * 10), beat).map(|event| (n * 10, event.code())));
    }
    told.extend(watch(&mut heart, 190, 2000, 1));
    assert_eq!(
        told,
        [
            (0, "heartbeat.first_success"),
            (10, "heartbeat.failed"),
            (20, "heartbeat.recovered"),
            (30, "heartbeat.unsteady"),
            (790, "heartbeat.steady"),
        ]
    );
    assert_eq!((heart.state(), heart.status().unsteady), (State::Failing, false));
    assert_eq!(code(heart.observe(at(2001), Beat::succeeded())), "heartbeat.recovered");
}

#[test]
fn that_a_success_is_a_little_late_is_a_hint_and_does_not_count_as_unsteady() {
    let mut heart = heart(hourly().unsteady(2, secs(86_400)));
    heart.observe(at(0), Beat::succeeded());
    for hour in 1..10 {
        let late = heart.tick(at(hour * 3610 - 5).into(), |_| None).unwrap();
        let came = heart.observe(at(hour * 3610), Beat::succeeded()).unwrap();
        assert_eq!((late.code(), came.code()), ("heartbeat.late", "heartbeat.came_late"));
        assert!(late.is_hint() && came.is_hint());
        assert_eq!(came.to_string(), "up: it has succeeded, 5.0 s after it was found to be late");
    }
    assert_eq!(code(heart.observe(at(36_101), Beat::failed("x"))), "heartbeat.unsteady");
}

#[test]
fn that_it_is_quiet_is_told_though_a_hint_comes_at_the_same_time() {
    let mut heart = heart(hourly().unsteady(2, secs(3600)));
    heart.observe(at(0), Beat::succeeded());
    assert_eq!(code(heart.observe(at(0), Beat::failed("x"))), "heartbeat.unsteady");
    heart.observe(at(0), Beat::succeeded());
    assert_eq!(watch(&mut heart, 0, 3660, 60), [(3660, "heartbeat.steady")]);
}

#[test]
fn a_schedule_is_late_a_grace_after_the_instant_and_overdue_at_the_following_one() {
    let day = 86_400;
    let mut heart = heart(Policy::scheduled().grace(secs(1800)));
    let three = |after: Timestamp| {
        let first = (second_of(after) + 1).saturating_sub(10_800).div_ceil(day) * day + 10_800;
        Some(Expected { first: at(first).wall, following: Some(at(first + day).wall) })
    };
    let mut told = Vec::new();
    for n in (0..4 * day).step_by(60) {
        if n == 11_100 {
            heart.observe(at(n), Beat::succeeded());
        }
        told.extend(heart.tick(at(n).into(), three).map(|event| (n, event.code())));
    }
    // It succeeded on the first day: the second is missed at 03:30, the third comes without it.
    assert_eq!(told, [(day + 10_800 + 1800, "heartbeat.late"), (2 * day + 10_800, "heartbeat.overdue")]);
}

#[test]
fn the_last_instant_of_a_schedule_has_two_graces_and_after_it_nothing_is_expected() {
    let once = Expected { first: at(1000).wall, following: None };
    let mut heart = heart(Policy::scheduled().grace(secs(100)));
    let asked =
        |heart: &mut Heart, n: u64| heart.tick(at(n).into(), |after| (after < once.first).then_some(once));
    assert_eq!(asked(&mut heart, 1099), None);
    assert_eq!(code(asked(&mut heart, 1100)), "heartbeat.late");
    assert_eq!(asked(&mut heart, 1199), None);
    assert_eq!(code(asked(&mut heart, 1200)), "heartbeat.overdue");
    heart.observe(at(1300), Beat::succeeded());
    assert_eq!(asked(&mut heart, 1_000_000), None);
    assert_eq!(heart.next_wake(), None);
}

#[test]
fn the_grace_of_a_schedule_is_at_most_half_of_what_lies_between_two_instants() {
    let mut heart = heart(Policy::scheduled());
    let quarter = |after: Timestamp| {
        let first = (second_of(after) + 1).div_ceil(900) * 900;
        Some(Expected { first: at(first).wall, following: Some(at(first + 900).wall) })
    };
    let looks = (0..4000).filter_map(|n| heart.tick(at(n).into(), quarter).map(|event| (n, event.code())));
    let told: Vec<_> = looks.collect();
    assert_eq!(told, [(1350, "heartbeat.late"), (1800, "heartbeat.overdue")]);
}

#[test]
fn what_fell_due_while_nobody_looked_is_judged_a_grace_after_somebody_does() {
    let mut sight = Sight::new(secs(60));
    let mut dead = heart(hourly());
    let mut alive = dead.clone();
    for n in (0..3000).step_by(60) {
        let (look, noticed) = sight.look(at(n));
        assert_eq!((dead.tick(look, |_| None), noticed), (None, None));
    }
    // The machine was down for the night.
    let (look, noticed) = sight.look(at(40_000));
    assert_eq!(
        noticed.map(|noticed| noticed.to_string()).unwrap(),
        "nobody looked for 10 h 17 min, from 2026-11-22 00:49:00 on, where it is done each 1 min: what fell due then is \
         judged a grace later"
    );
    assert_eq!((dead.tick(look, |_| None), alive.tick(look, |_| None)), (None, None));
    assert_eq!(dead.next_wake(), Some(at(43_600).wall));
    let mut told = Vec::new();
    for n in (40_060..44_000).step_by(60) {
        if n == 41_020 {
            alive.observe(at(n), Beat::succeeded());
        }
        let (look, noticed) = sight.look(at(n));
        assert_eq!((alive.tick(look, |_| None), noticed), (None, None));
        told.extend(dead.tick(look, |_| None).map(|event| (n, event.code())));
    }
    assert_eq!(told, [(43_600, "heartbeat.overdue")]);
}

#[test]
fn a_monitor_that_looks_more_seldom_than_it_says_is_one_look_behind_and_not_blind_for_ever() {
    let mut sight = Sight::new(secs(60));
    let mut heart = heart(hourly());
    let looks = (0..20_000).step_by(1000).filter_map(|n| {
        let (look, _) = sight.look(at(n));
        heart.tick(look, |_| None).map(|event| (n, event.code()))
    });
    assert_eq!(looks.collect::<Vec<_>>(), [(5000, "heartbeat.late"), (9000, "heartbeat.overdue")]);
}

#[test]
fn a_clock_that_was_ahead_delays_by_an_interval_at_most_and_repeats_nothing() {
    let mut heart = heart(hourly());
    // The clock was a week ahead for a while.
    heart.observe(at(604_800), Beat::succeeded());
    assert_eq!(heart.tick(at(100).into(), |_| None), None);
    assert_eq!(heart.last_success(), Some(at(100).wall));
    assert_eq!(watch(&mut heart, 100, 10_000, 1), [(3700, "heartbeat.late"), (7300, "heartbeat.overdue")]);
    assert_eq!(watch(&mut heart, 0, 10_000, 1), [], "the same hours again");
    assert_eq!(code(heart.observe(at(50), Beat::succeeded())), "heartbeat.recovered");

    let mut sight = Sight::new(secs(60));
    let _first = sight.look(at(10_000));
    let (_, noticed) = sight.look(at(5000));
    assert_eq!(noticed.unwrap().code(), "heartbeat.clock_went_back");
    assert_eq!(sight.look(at(5060)).1, None);
}

#[test]
fn what_comes_late_changes_no_state_and_what_a_wrong_clock_said_does_not_hold_for_ever() {
    let mut heart = heart(hourly());
    heart.observe(at(1000), Beat::succeeded());
    assert_eq!(heart.observe(at(900), Beat::failed("before it")), None);
    assert_eq!(code(heart.observe(at(1100), Beat::failed("after it"))), "heartbeat.failed");
    assert_eq!(heart.observe(at(1050), Beat::succeeded()), None, "before it failed");
    assert_eq!(heart.last_success(), Some(at(1050).wall));
    heart.observe(at(90_000), Beat::failed("the clock is ahead"));
    assert_eq!(code(heart.observe(at(2000), Beat::succeeded())), "heartbeat.recovered");
}

#[test]
fn a_policy_outside_its_bounds_names_field_given_and_allowed() {
    let every = Policy::every;
    let cases = [
        (every(secs(59)), "heartbeat: every is 59s, allowed is at least 1m, how often is looked"),
        (every(secs(0)), "heartbeat: every is 0s, allowed is 1s to 3660d"),
        (every(Duration::MAX), "heartbeat: every is"),
        (hourly().tick(secs(0)), "heartbeat: tick is 0s, allowed is 1s to 1d"),
        (hourly().grace(secs(0)), "heartbeat: grace is 0s, allowed is 1s to 3660d"),
        (hourly().run_max(secs(0)), "heartbeat: run_max is 0s, allowed is 1s to 3660d"),
        (hourly().run_min(secs(0)), "heartbeat: run_min is 0s, allowed is 1ms to 3660d"),
        (
            hourly().run_min(secs(9)).run_max(secs(9)),
            "heartbeat: run_min is 9s, allowed is less than 9s, run_max, or every run has failed",
        ),
        (
            hourly().progress_lease(secs(10)).run_max(secs(9)),
            "heartbeat: progress_lease is 10s, allowed is less than 9s, run_max, which is over before it",
        ),
        (
            hourly().start_max(secs(3600)),
            "heartbeat: start_max is 1h, allowed is less than 1h, the interval, after which it is late anyhow",
        ),
        (hourly().failures(0), "heartbeat: failures is 0, allowed is 1 to 1000"),
        (hourly().recovery(1001), "heartbeat: recovery is 1001, allowed is 1 to 1000"),
        (hourly().unsteady(1, secs(9)), "heartbeat: unsteady.changes is 1, allowed is 2 to 32"),
        (hourly().unsteady(3, secs(0)), "heartbeat: unsteady.span is 0s, allowed is 1s to 3660d"),
    ];
    for (builder, says) in cases {
        let error = builder.build().unwrap_err().to_string();
        assert!(error.starts_with(says), "{error}");
    }
}

#[test]
fn a_run_that_was_put_down_is_no_success_and_no_failure_and_its_time_does_not_run() {
    let mut heart = heart(hourly().run_max(secs(600)));
    heart.observe(at(0), Beat::succeeded());
    heart.observe(at(60), Beat::started().of("a"));
    assert_eq!(heart.observe(at(120), Beat::put_down().of("a")), None);
    assert_eq!(watch(&mut heart, 120, 7200, 1), [(3600, "heartbeat.late"), (7200, "heartbeat.overdue")]);
}

#[test]
fn what_was_late_while_nobody_looked_is_not_overdue_before_it_had_its_chance() {
    let mut heart = heart(hourly());
    heart.observe(at(0), Beat::succeeded());
    // Late at 3600, overdue at 7200; nobody looked from 1800 to 7100.
    let unseen = Some(Unseen { from: at(1800).wall, to: at(7100).wall });
    let mut looks = (7100..=20_000).step_by(60).filter_map(|second| {
        let look = Look { now: at(second), unseen };
        heart.tick(look, |_| None).map(|event| (second, event.code()))
    });
    assert_eq!(looks.next(), Some((10_700, "heartbeat.overdue")), "a grace after somebody looks again");
    assert_eq!(looks.next(), None);
}

#[test]
fn what_ran_when_a_job_was_paused_does_not_accuse_it_when_it_is_resumed() {
    let mut heart = heart(hourly().run_max(secs(600)).tick(secs(60)));
    heart.observe(at(0), Beat::succeeded());
    heart.observe(at(10), Beat::started().of("a"));
    heart.observe(at(20), Beat::Paused);
    heart.observe(at(90_000), Beat::Resumed);
    assert_eq!(heart.tick(at(90_060).into(), |_| None), None);
    assert_eq!(heart.state(), State::Up);
}

#[test]
fn a_run_that_was_lost_to_somebody_else_goes_on_there() {
    let mut heart = heart(hourly().run_max(secs(600)));
    heart.observe(at(0), Beat::started().of("a"));
    // Another worker has taken it over; then the first one learns that it has lost what it began at 0.
    heart.observe(at(100), Beat::started().of("a"));
    heart.observe(at(0), Beat::put_down().of("a"));
    assert_eq!(heart.status().running, 1);
    heart.observe(at(200), Beat::put_down().of("a"));
    assert_eq!(heart.status().running, 0);
}
