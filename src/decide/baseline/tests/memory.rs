//! Bounded memory, and what it costs in wrong answers.

use super::*;
use crate::base::rng::Rng;

#[test]
fn a_million_kinds_stay_within_the_memory_and_the_bound_on_wrong_answers() {
    let policy = Policy::new().hold(Duration::ZERO);
    let mut baseline = Baseline::new(policy, 9, start()).unwrap();
    let now = start();
    let frequent: Vec<u64> = (0..1000_u64).map(|n| baseline.hash(n.to_le_bytes())).collect();
    for _ in 0..4 {
        for hash in &frequent {
            let _learning = baseline.observe_hash(*hash, Severity::Error, now);
        }
    }
    let mut rng = Rng::seeded(1);
    let (mut told, mut most) = (0, 0);
    for n in 0..1_000_000 {
        let _any = baseline.observe_hash(rng.next_u64(), Severity::Error, now);
        if n % 1000 == 0 {
            most = most.max(baseline.bytes());
            told += usize::from(baseline.take(now).is_some());
        }
    }
    assert!(most <= policy.bytes_max() && policy.bytes_max() < 32_000_000, "{most} {}", policy.bytes_max());
    assert_eq!(told, 1, "one alert says that there is no bound on the kinds");
    let evidence = baseline.evidence();
    assert!(!baseline.is_crowded() && evidence.kinds == 65_536, "{evidence:?}");
    // What was frequent is not taken for rare, in the table or out of it.
    let filter = baseline.filter.as_ref().unwrap();
    for hash in &frequent {
        let known = baseline.table.iter().any(|slot| slot.hash == *hash && slot.count >= 3);
        assert!(known || filter.get(*hash) >= 3);
    }
    // Of what was never seen at most 1 % is taken for seen, and less for frequent.
    let probes: Vec<u32> = (0..100_000).map(|_| filter.get(rng.next_u64())).collect();
    let seen = probes.iter().filter(|count| **count > 0).count();
    assert!(seen <= 1000, "{seen} of 100,000");
    assert!(probes.iter().filter(|count| **count >= 3).count() <= 10);
}

#[test]
fn what_is_crowded_claims_nothing_and_says_so_once() {
    let policy = small().kinds_max(64).distinct_max(1024).storm(1000, 1000).hold(Duration::ZERO).epoch(None);
    let mut world = World::active(policy);
    let mut findings = Vec::new();
    for n in 0..140_000_u64 {
        let outcome = if n % 60 == 0 { world.see(&format!("unique {n}")) } else { world.see("step 1") };
        if outcome == Outcome::Tell {
            findings.extend(world.told());
        }
        world.wait(Duration::from_secs(1));
    }
    assert_eq!(world.baseline.state(), State::Active, "{}", world.baseline.evidence());
    let crowded = world.see("one more");
    let Outcome::Quiet(Quiet::Crowded { fill, fill_max }) = crowded else { panic!("{crowded:?}") };
    assert!(fill > fill_max, "{fill} {fill_max}");
    let cardinality: Vec<_> = findings.iter().filter(|f| matches!(f, Finding::Cardinality(_))).collect();
    assert_eq!(cardinality.len(), 1, "{cardinality:?}");
    assert!(cardinality[0].to_string().starts_with("there seems to be no bound on the kinds: "));
    assert!(world.baseline.bytes() <= policy.bytes_max());
    world.baseline.relearn();
    assert!(!world.baseline.is_crowded() && world.baseline.state() == State::Learning);
}

#[test]
fn a_key_with_a_number_in_it_is_one_alert_from_the_start() {
    let mut world = World::new(small());
    let mut findings = Vec::new();
    for n in 0..20_000_u64 {
        if world.see(&format!("request {n}")) == Outcome::Tell {
            findings.extend(world.told());
        }
    }
    let [Finding::Cardinality(found)] = &findings[..] else { panic!("{findings:?}") };
    assert!(found.missing_mass > 0.9 && found.examples[0].name.starts_with("request "), "{found:?}");
}

#[test]
fn a_kind_that_had_to_go_is_not_new_when_it_is_back() {
    let mut world = World::active(small().kinds_max(16).hold(Duration::ZERO).storm(1000, 1000));
    // Six of its own, so that some have to go, and come back.
    for round in 0..3 {
        for n in 0..20 {
            let _any = world.see(&format!("guest {n}"));
            world.wait(HOUR);
            for finding in world.told() {
                let is_new = finding.to_string().contains("never seen");
                assert!(!is_new || round == 0, "{finding}");
            }
        }
    }
    assert!(world.baseline.evidence().evicted > 20);
}
