//! What survives a restart, and what is made of what was damaged.

use super::*;
use crate::base::rng::Rng;
use crate::decide::baseline::{Error, Noticed, Saved};

fn again(saved: &Saved, now: Now) -> Baseline {
    let text = serde_json::to_string(saved).unwrap();
    let (baseline, noticed) = Baseline::restore(small(), serde_json::from_str(&text).unwrap(), now).unwrap();
    assert!(noticed.is_empty(), "{noticed:?}");
    baseline
}

#[test]
fn a_restored_baseline_decides_as_the_one_that_was_saved() {
    let mut world = World::active(small());
    let mut rng = Rng::seeded(3);
    for n in 0..3000_u64 {
        let key =
            if rng.up_to(150) == 0 { format!("odd {}", rng.up_to(12)) } else { format!("step {}", n % 10) };
        if n % 217 == 0 {
            // Another process, whose clock begins elsewhere.
            let saved = world.baseline.save(world.now);
            let moment = Moment::from_nanos(rng.up_to(1 << 50));
            let now = Now { moment, wall: world.now.wall };
            let (baseline, noticed) = Baseline::restore(small(), saved.clone(), now).unwrap();
            assert!(noticed.is_empty(), "{noticed:?}");
            let mut other = World { now, baseline };
            assert_eq!(other.baseline.save(now), saved);
            for m in 0..50 {
                let key = format!("odd {}", m % 7);
                let same = world.see(&key);
                assert_eq!(same, other.see(&key), "{n} {m}");
                assert_eq!(world.told(), other.told());
                world.wait(Duration::from_secs(400));
                other.wait(Duration::from_secs(400));
            }
            assert_eq!(world.baseline.save(world.now), other.baseline.save(other.now));
            world = other;
        }
        let _any = world.see(&key);
        world.wait(Duration::from_millis(700));
        drop(world.told());
    }
}

#[test]
fn save_before_you_send_and_a_crash_between_does_not_tell_again() {
    let mut world = World::active(small().hold(Duration::ZERO));
    for n in 0..4 {
        assert_eq!(world.see(&format!("bad {n}")), Outcome::Tell);
    }
    let taken = world.told();
    assert_eq!(taken.len(), 4);
    let saved = world.baseline.save(world.now);
    // Killed before anything was sent; the next process reads the same lines again.
    let mut world = World { now: world.now, baseline: again(&saved, world.now) };
    for _ in 0..100 {
        (0..10).for_each(|n| world.known(n));
        for n in 0..4 {
            let outcome = world.see(&format!("bad {n}"));
            assert!(matches!(outcome, Outcome::Quiet(Quiet::Counted { .. })), "{outcome:?}");
        }
    }
    assert!(world.told().is_empty());
}

#[test]
fn what_was_saved_before_it_was_taken_is_told_by_the_next() {
    let mut world = World::active(small());
    let _held = world.see("held");
    let saved = world.baseline.save(world.now);
    let later = world.now.after(Duration::from_secs(30));
    let mut world = World { now: later, baseline: again(&saved, later) };
    let told = world.told();
    assert!(matches!(&told[..], [Finding::Rare(rare)] if rare.kind.name == "held"), "{told:?}");
}

#[test]
fn a_baseline_that_lay_for_long_is_stale() {
    let world = World::active(small());
    let saved = world.baseline.save(world.now);
    let later = world.now.after(30 * 24 * HOUR);
    let (baseline, noticed) = Baseline::restore(small(), saved, later).unwrap();
    assert_eq!(noticed, [Noticed::Stale { idle: 30 * 24 * HOUR }]);
    assert_eq!(baseline.state(), State::Stale);
}

#[test]
fn a_smaller_policy_keeps_the_most_frequent() {
    let mut world = World::active(small());
    for n in 0..100 {
        let _any = world.see(&format!("bad {n}"));
    }
    let saved = world.baseline.save(world.now);
    let (mut baseline, noticed) = Baseline::restore(small().kinds_max(16), saved.clone(), world.now).unwrap();
    assert!(matches!(noticed[..], [Noticed::Evicted { kinds: 94 }]), "{noticed:?}");
    let now = world.now;
    assert!((0..10).all(|n| matches!(
        baseline.observe(format!("step {n}"), Severity::Error, now),
        Outcome::Quiet(Quiet::Known { .. })
    )));
    let resaved = baseline.save(now);
    let (baseline, noticed) =
        Baseline::restore(small().kinds_max(16).distinct_max(5_000_000), resaved, now).unwrap();
    assert_eq!(noticed, [Noticed::FilterDropped]);
    assert_eq!(baseline.state(), State::Learning);
    // Stricter about evidence: what was enough is not any more.
    let (baseline, _) = Baseline::restore(Policy::new(), saved, now).unwrap();
    assert_ne!(baseline.state(), State::Active);
}

/// Something of everything in it.
fn full() -> (World, String) {
    let policy = small().kinds_max(64).distinct_max(1024);
    let mut world = World::new(policy);
    for n in 0..2000_u64 {
        if n % 20 == 0 {
            let _learning = world.see(&format!("kind {}", n / 20));
        }
        let _any = world.see(&format!("step {}", n % 10));
    }
    assert_eq!(world.baseline.state(), State::Active, "{}", world.baseline.evidence());
    for n in 0..3 {
        let _any = world.see(&format!("odd {n}"));
        for n in 0..60 {
            let _any = world.see(&format!("step {}", n % 10));
        }
    }
    let _minor = world.baseline.observe("minor", Severity::Info, world.now);
    let until = world.now.wall + HOUR;
    world.baseline.exclude(until, until + HOUR, world.now).unwrap();
    let text = serde_json::to_string(&world.baseline.save(world.now)).unwrap();
    (world, text)
}

#[test]
fn a_baseline_cut_at_any_byte_is_an_error() {
    let mut world = World::active(small());
    let _held = world.see("odd");
    let text = serde_json::to_string(&world.baseline.save(world.now)).unwrap();
    for at in 0..text.len() {
        assert!(serde_json::from_str::<Saved>(&text[..at]).is_err(), "{at}");
    }
    let (world, text) = full();
    assert!(text.contains("\"filter\"") && text.contains("\"held\""), "{text}");
    for at in (0..text.len()).step_by(41) {
        assert!(serde_json::from_str::<Saved>(&text[..at]).is_err(), "{at}");
    }
    let saved: Saved = serde_json::from_str(&text).unwrap();
    Baseline::restore(small().kinds_max(64).distinct_max(1024), saved, world.now).unwrap();
}

#[test]
fn a_damaged_baseline_is_an_error_that_names_the_field_and_never_a_panic() {
    let (world, text) = full();
    let policy = small().kinds_max(64).distinct_max(1024);
    let (mut rng, mut errors, mut restored) = (Rng::seeded(8), 0, 0);
    for _ in 0..1000 {
        let mut bytes = text.clone().into_bytes();
        for _ in 0..=rng.up_to(2) {
            let at = usize::try_from(rng.up_to(bytes.len() as u64 - 1)).unwrap();
            bytes[at] = b"0123456789abcXYZ-+/.\"{}[],e "[usize::try_from(rng.up_to(27)).unwrap()];
        }
        let Ok(saved) = serde_json::from_slice::<Saved>(&bytes) else { continue };
        match Baseline::restore(policy, saved, world.now) {
            Err(error) => {
                errors += 1;
                assert!(
                    matches!(error, Error::Damaged { .. } | Error::Field { .. } | Error::Version { .. }),
                    "{error}"
                );
            }
            Ok((baseline, _)) => {
                restored += 1;
                let mut world = World { now: world.now, baseline };
                for n in 0..30 {
                    let _any = world.see(&format!("odd {}", n % 6));
                    world.wait(HOUR);
                    drop(world.told());
                }
                assert!(world.baseline.bytes() <= policy.bytes_max());
            }
        }
    }
    assert!(errors > 50 && restored > 5, "{errors} {restored}");
}

#[test]
fn a_field_that_is_wrong_is_named() {
    let (world, text) = full();
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    let policy = small().kinds_max(64).distinct_max(1024);
    let restore = |field: &str, new: serde_json::Value| {
        let mut value = value.clone();
        value[field] = new;
        Baseline::restore(policy, serde_json::from_value(value).unwrap(), world.now).unwrap_err().to_string()
    };
    assert_eq!(restore("v", 7.into()), "saved baseline has version 7, this program knows 1");
    assert_eq!(restore("seed", "no".into()), "saved baseline: seed is damaged: it is no number");
    assert_eq!(
        restore("kinds", "AA A".into()),
        "saved baseline: kinds is damaged: a letter is not of base 64"
    );
    assert_eq!(
        restore("kinds", "AAAA".into()),
        "saved baseline: check is damaged: it does not fit the kinds and the filter"
    );
    assert_eq!(
        restore("check", "0".into()),
        "saved baseline: check is damaged: it does not fit the kinds and the filter"
    );
    let many: Vec<_> = (0..65).map(|_| value["excluded"][0].clone()).collect();
    assert_eq!(restore("excluded", many.into()), "baseline: excluded is 65, allowed is at most 64");
}
