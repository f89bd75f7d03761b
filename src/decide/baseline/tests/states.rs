//! Learning, active, stale, storm.

use super::*;
use crate::base::explain::Explain;
use crate::decide::baseline::{Error, Noticed, Sighting};

#[test]
fn nothing_is_called_rare_before_there_is_evidence() {
    for (rate, below, needed) in [(0.01, 3, 630), (0.001, 3, 6296), (0.01, 1, 300), (0.05, 10, 315)] {
        let policy = Policy::new().rare_rate(rate).rare_below(below).hold(Duration::ZERO);
        assert_eq!(policy.evidence(), needed);
        let mut world = World::new(policy);
        for n in 0..needed {
            if world.baseline.evidence().events + 2 >= needed {
                break;
            }
            world.known(n);
            if n % 97 == 96 {
                // Rare as it is, nothing is told of it.
                let outcome = world.see(&format!("rare {n}"));
                let Outcome::Quiet(Quiet::Learning { seen: 0, needed: said, .. }) = outcome else {
                    panic!("{outcome:?}")
                };
                assert_eq!(said, needed);
            }
            assert_eq!(world.baseline.state(), State::Learning, "{n}");
            assert!(world.told().is_empty());
        }
        while world.baseline.evidence().events < needed {
            world.known(1);
        }
        assert_eq!(world.baseline.state(), State::Active, "{}", world.baseline.evidence());
        assert_eq!(world.see("never"), Outcome::Tell);
    }
}

#[test]
fn news_is_no_news_where_much_is_new() {
    let mut world = World::new(small().missing_mass_max(0.05));
    for n in 0..2000_u64 {
        // One in ten is new.
        let outcome = if n % 10 == 0 { world.see(&format!("new {n}")) } else { world.see("usual") };
        assert!(
            matches!(outcome, Outcome::Quiet(Quiet::Known { .. } | Quiet::Learning { .. })),
            "{outcome:?}"
        );
    }
    assert_eq!(world.baseline.state(), State::Learning);
    let evidence = world.baseline.evidence();
    assert!((evidence.missing_mass - 0.1).abs() < 0.01 && evidence.events >= evidence.needed, "{evidence}");
}

#[test]
fn an_alert_shows_on_what_it_stands() {
    let mut world = World::active(small());
    assert!(matches!(world.see("disk full"), Outcome::Quiet(Quiet::Held { seen: 0, events: 831 })));
    assert!(matches!(world.see("disk full"), Outcome::Quiet(Quiet::Held { seen: 1, .. })));
    assert!(world.told().is_empty());
    assert_eq!(world.baseline.next_wake(), Some(world.now.moment.after(Duration::from_secs(10))));
    let told = world.told_after_hold();
    let [Finding::Rare(rare)] = &told[..] else { panic!("{told:?}") };
    assert_eq!((rare.kind.name.as_str(), rare.sighting, rare.times), ("disk full", Sighting::New, 2));
    let footing = rare.footing;
    assert_eq!((footing.seen, footing.events), (0, 831));
    assert!((footing.rate_upper - 2.9957 / 831.0).abs() < 1e-6, "{footing:?}");
    // One kind of 831 events was seen once: this one.
    assert!((footing.missing_mass - 1.0 / 831.0).abs() < 1e-9, "{footing:?}");
    assert_eq!(told[0].code(), "baseline.new");
    assert_eq!(
        told[0].to_string(),
        "`disk full`: never seen in 831 events, so at most 0.360 % of them are of this kind, where 0.120 % are expected \
         to be new"
    );
    // When it may be over.
    assert_eq!(world.baseline.next_wake(), Some(world.now.moment.after(Duration::from_secs(3600))));
}

#[test]
fn rare_means_seen_fewer_than_three_times() {
    let mut world = World::new(small());
    for _ in 0..2 {
        let _learning = world.see("twice");
    }
    for _ in 0..3 {
        let _learning = world.see("thrice");
    }
    for n in 0..1000 {
        world.known(n);
    }
    assert!(matches!(world.see("thrice"), Outcome::Quiet(Quiet::Known { seen: 3 })));
    assert!(matches!(world.see("twice"), Outcome::Quiet(Quiet::Held { seen: 2, .. })));
    let told = world.told_after_hold();
    assert_eq!(told[0].code(), "baseline.rare");
    assert!(told[0].to_string().starts_with("`twice`: seen twice in 1007 events"), "{}", told[0]);
}

#[test]
fn what_is_not_severe_goes_to_the_digest() {
    let mut world = World::active(small());
    let outcome = world.baseline.observe("new but harmless", Severity::Info, world.now);
    assert!(matches!(outcome, Outcome::Quiet(Quiet::Digested { seen: 0, .. })), "{outcome:?}");
    assert!(matches!(
        world.baseline.observe("says nothing", Severity::Unknown, world.now),
        Outcome::Quiet(Quiet::Held { .. })
    ));
    assert_eq!(world.told_after_hold().len(), 1);
    let digest = world.baseline.take_digest();
    assert_eq!((digest.minor, digest.overflow, digest.examples[0].name.as_str()), (1, 0, "new but harmless"));
    assert!(world.baseline.take_digest().is_empty());
}

#[test]
fn a_storm_is_one_alert_and_is_learned() {
    let mut world = World::active(small());
    let mut alerts = Vec::new();
    for n in 0..3000 {
        let outcome = world.see(&format!("another program, line {}", n % 40));
        if outcome == Outcome::Tell {
            alerts.extend(world.told());
        }
        world.wait(Duration::from_millis(20));
    }
    alerts.extend(world.told_after_hold());
    let [Finding::RegimeChange(change)] = &alerts[..] else { panic!("{alerts:?}") };
    assert!(change.probability < 1e-6 && change.new_kinds >= 5 && change.examples.len() >= 5, "{change:?}");
    assert!(
        alerts[0].is_alert() && alerts[0].to_string().contains("kinds are new in 100 events"),
        "{}",
        alerts[0]
    );
    // It has learned the other program, and is of use again.
    assert_eq!(world.baseline.state(), State::Active);
    assert!(matches!(world.see("unheard of"), Outcome::Quiet(Quiet::Held { .. })));
}

#[test]
fn in_a_storm_nothing_is_called_rare_until_there_is_evidence_anew() {
    let mut world = World::active(small());
    for n in 0..40 {
        let _storm = world.see(&format!("another {n}"));
    }
    assert_eq!(world.baseline.state(), State::Storm);
    assert_eq!(world.told().len(), 1);
    for n in 0..(630 - 36) {
        if world.baseline.state() == State::Active {
            break;
        }
        world.known(n);
        assert!(matches!(world.see("another 3"), Outcome::Quiet(_)));
    }
    assert!(world.told_after_hold().is_empty());
}

#[test]
fn a_few_new_kinds_are_no_storm() {
    let mut world = World::active(small());
    for n in 0..4 {
        let _held = world.see(&format!("bad {n}"));
        world.known(n);
    }
    assert_eq!(world.told_after_hold().len(), 4);
    assert_eq!(world.baseline.state(), State::Active);
}

#[test]
fn a_baseline_that_heard_nothing_says_so_and_learns_anew() {
    let mut world = World::active(small());
    world.wait(8 * 24 * HOUR);
    let told = world.told();
    assert!(matches!(&told[..], [Finding::Stale(stale)] if stale.idle == 8 * 24 * HOUR), "{told:?}");
    assert_eq!(world.baseline.state(), State::Stale);
    assert!(world.told().is_empty(), "once");
    // What was known is known, what is new is not called rare.
    assert!(matches!(world.see("step 3"), Outcome::Quiet(Quiet::Known { .. })));
    assert!(matches!(world.see("new"), Outcome::Quiet(Quiet::Learning { events: 2, .. })));
    for n in 0..700 {
        world.known(n);
    }
    assert_eq!(world.baseline.state(), State::Active);
}

#[test]
fn an_event_after_a_long_silence_finds_it_stale_too() {
    let mut world = World::active(small().epoch(None));
    world.wait(8 * 24 * HOUR);
    assert_eq!(world.see("step 1"), Outcome::Tell);
    assert_eq!(world.baseline.state(), State::Stale);
    assert_eq!(world.told()[0].code(), "baseline.stale");
}

#[test]
fn what_has_decayed_is_returned_and_not_new() {
    let mut world = World::new(small().epoch(Some(24 * HOUR)).stale_after(3650 * 24 * HOUR));
    for _ in 0..10 {
        let _learning = world.see("old friend");
    }
    for day in 0..5 {
        for n in 0..2000 {
            world.known(n + day);
        }
        world.wait(24 * HOUR);
    }
    assert!(world.told().is_empty());
    assert!(matches!(world.see("old friend"), Outcome::Quiet(Quiet::Held { seen: 0, .. })));
    let told = world.told_after_hold();
    let [Finding::Rare(rare)] = &told[..] else { panic!("{told:?}") };
    assert_eq!(rare.sighting, Sighting::Returned { epochs: Some(5) });
    assert_eq!(told[0].code(), "baseline.returned");
}

#[test]
fn epochs_are_counted_by_events_too() {
    let mut world = World::active(small().epoch(None).epoch_events(Some(1000)));
    let before = world.baseline.evidence().events;
    for n in 0..(1000 - before) {
        world.known(n);
    }
    assert_eq!(world.baseline.evidence().events, 500);
    assert_eq!(world.baseline.state(), State::Learning, "half of it is no evidence any more");
}

#[test]
fn excluded_intervals_are_not_counted() {
    let mut world = World::active(small());
    let (from, to) = (world.now.wall, world.now.wall + HOUR);
    world.baseline.exclude(from, to, world.now).unwrap();
    let before = world.baseline.evidence();
    for n in 0..50 {
        let outcome = world.see(&format!("a test of the alarm {n}"));
        assert_eq!(outcome, Outcome::Quiet(Quiet::Excluded { until: to }));
    }
    assert_eq!(world.baseline.evidence(), before);
    world.wait(HOUR);
    assert!(matches!(world.see("real"), Outcome::Quiet(Quiet::Held { .. })));
    let error = world.baseline.exclude(to, to, world.now).unwrap_err();
    assert!(matches!(error, Error::Field { field: "exclude.to", .. }), "{error}");
    for n in 1..=64 {
        world.baseline.exclude(to, wall(1_000_000 + n), world.now).unwrap();
    }
    assert!(world.baseline.exclude(to, wall(2_000_000), world.now).is_err());
}

#[test]
fn a_clock_that_goes_back_is_no_negative_age() {
    let mut world = World::active(small());
    let before = world.now;
    let _held = world.see("odd");
    world.now = Now { moment: Moment::ZERO, wall: wall(-86_400) };
    for n in 0..50 {
        world.known(n);
    }
    assert!(world.told().is_empty(), "no time has passed");
    world.now = before;
    assert_eq!(world.told_after_hold().len(), 1);
    let saved = world.baseline.save(world.now);
    let earlier = Now { moment: Moment::ZERO, wall: world.now.wall - HOUR };
    let (_, noticed) = Baseline::restore(small(), saved, earlier).unwrap();
    assert_eq!(noticed, [Noticed::ClockSteppedBack { by: HOUR }]);
    assert_eq!(noticed[0].code(), "baseline.clock_stepped_back");
}

#[test]
fn a_counter_at_its_maximum_stays_there() {
    let mut world = World::active(small());
    let hash = world.baseline.hash("step 1");
    world.baseline.table.get_mut(hash).unwrap().count = u32::MAX;
    assert!(matches!(world.see("step 1"), Outcome::Quiet(Quiet::Known { seen: u32::MAX })));
    assert!(matches!(world.see("step 1"), Outcome::Quiet(Quiet::Known { seen: u32::MAX })));
    world.baseline.events = u64::MAX;
    world.baseline.total = u64::MAX;
    world.baseline.singles = u64::MAX;
    world.baseline.epoch_count = u64::MAX;
    for n in 0..300 {
        let _any = world.see(&format!("step {}", n % 11));
    }
    assert_eq!(world.baseline.evidence().total, u64::MAX);
    assert!(world.baseline.evidence().missing_mass <= 1.0);
}

#[test]
fn a_policy_out_of_range_is_named() {
    let bad = [
        (Policy::new().rare_below(0), "rare_below"),
        (Policy::new().rare_rate(0.0), "rare_rate"),
        (Policy::new().rare_rate(f64::NAN), "rare_rate"),
        (Policy::new().missing_mass_max(0.0), "missing_mass_max"),
        (Policy::new().missing_mass_max(f64::INFINITY), "missing_mass_max"),
        (Policy::new().storm(1, 100), "storm.kinds"),
        (Policy::new().storm(5, 5), "storm.events"),
        (Policy::new().hold(2 * HOUR), "hold"),
        (Policy::new().realert(Duration::ZERO, HOUR), "realert.after"),
        (Policy::new().realert(HOUR, HOUR / 2), "realert.most"),
        (Policy::new().healthy(0, HOUR), "healthy.below"),
        (Policy::new().healthy(1, Duration::ZERO), "healthy.after"),
        (Policy::new().alerts_max(0, HOUR), "alerts_max.burst"),
        (Policy::new().alerts_max(1, Duration::ZERO), "alerts_max.each"),
        (Policy::new().alerts_max(1000, 3650 * 24 * HOUR), "alerts_max.each"),
        (Policy::new().open_max(0), "open_max"),
        (Policy::new().epoch(Some(Duration::ZERO)), "epoch"),
        (Policy::new().epoch_events(Some(7)), "epoch_events"),
        (Policy::new().stale_after(Duration::MAX), "stale_after"),
        (Policy::new().kinds_max(3), "kinds_max"),
        (Policy::new().distinct_max(3), "distinct_max"),
    ];
    for (policy, name) in bad {
        let Err(Error::Field { field, .. }) = policy.check() else { panic!("{name} passes") };
        assert_eq!(field, name);
        assert!(Baseline::new(policy, 1, start()).is_err());
    }
    Policy::new().check().unwrap();
    let text = serde_json::to_string(&small()).unwrap();
    assert_eq!(serde_json::from_str::<Policy>(&text).unwrap(), small());
    assert_eq!(serde_json::from_str::<Policy>("{}").unwrap(), Policy::new());
    let error = serde_json::from_str::<Policy>(r#"{"kinds_max":1}"#).unwrap_err().to_string();
    assert!(error.contains("baseline: kinds_max is 1, allowed is 16 to 4194304"), "{error}");
}

#[test]
fn keys_are_bytes_and_are_shown_safely() {
    let mut world = World::active(small());
    let _held = world.baseline.observe([0xff, b'\n', 0x1b, b'x'], Severity::Error, world.now);
    let _held = world.baseline.observe(vec![b'y'; 100_000], Severity::Error, world.now);
    let hash = world.baseline.hash("by hash");
    let _held = world.baseline.observe_hash(hash, Severity::Error, world.now);
    let _held = world.baseline.observe("", Severity::Error, world.now);
    let told = world.told_after_hold();
    let names: Vec<_> = told.iter().filter_map(|finding| Some(finding.kind()?.name.clone())).collect();
    assert_eq!(names[0], "\u{fffd}\\n\\u{1b}x");
    assert_eq!(names[1].len(), 160);
    assert_eq!(names[2], format!("{hash:016x}"));
    assert_eq!(names[3], "");
    let _counted = world.see("by hash");
    assert!(matches!(world.see("by hash"), Outcome::Quiet(Quiet::Counted { times: 2 })), "one kind");
}
