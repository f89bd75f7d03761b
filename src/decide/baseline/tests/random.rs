//! Properties that hold whatever comes.

use std::collections::BTreeMap;

use proptest::prelude::{any, prop, prop_assert, prop_assert_eq, proptest};

use super::*;
use crate::base::rng::Rng;

proptest! {
    #[test]
    fn no_kind_is_told_more_often_than_its_back_off_allows_and_all_no_more_than_the_limit(
        seed in any::<u64>(), hour_parts in 1_u64..30, kinds in 1_u64..12,
        burst in 1_u32..5, each in 60_u64..4000, below in 1_u32..4,
    ) {
        let policy = small()
            .hold(Duration::ZERO).realert(HOUR, 6 * HOUR).alerts_max(burst, Duration::from_secs(each))
            .healthy(below, 2 * HOUR).storm(1000, 1000).epoch(None).stale_after(3650 * 24 * HOUR);
        let mut world = World::active(policy);
        let mut rng = Rng::seeded(seed);
        let mut told: Vec<(u64, String)> = Vec::new();
        let mut open: BTreeMap<String, (u64, u32)> = BTreeMap::new();
        for _ in 0..300 {
            let _any = world.see(&format!("odd {}", rng.up_to(kinds)));
            let at = world.now.moment.as_nanos();
            for finding in world.told() {
                let name = finding.kind().unwrap().name.clone();
                if let Finding::Closed(closed) = &finding {
                    prop_assert!(closed.healthy >= 2 * HOUR);
                    prop_assert!(open.remove(&name).is_some());
                    continue;
                }
                told.push((at, name.clone()));
                // At least the gap since it was last told: 1, 2, 4, 6, 6 hours.
                let number = match open.get(&name) {
                    Some((last, number)) => {
                        let hours = (1_u64 << (number - 1).min(5)).min(6);
                        prop_assert!(at - last >= hours * 3_600_000_000_000, "{name} {number}");
                        prop_assert!(matches!(finding, Finding::Again(_)));
                        number + 1
                    }
                    None => 1,
                };
                open.insert(name, (at, number));
            }
            world.wait(Duration::from_secs(rng.up_to(3600 / hour_parts)));
        }
        for (first, (from, _)) in told.iter().enumerate() {
            for (count, (to, _)) in told[first..].iter().enumerate() {
                let most = u64::from(burst) + (to - from) / (each * 1_000_000_000);
                prop_assert!((count as u64) < most, "{count} within {}", to - from);
            }
        }
    }

    #[test]
    fn counts_decay_by_halves_and_what_was_seen_is_never_new(
        counts in prop::collection::vec(1_u32..40, 1..30), epochs in 1_u32..8,
    ) {
        let policy = small().epoch(Some(HOUR)).stale_after(3650 * 24 * HOUR).storm(1000, 1000).hold(Duration::ZERO);
        let mut world = World::new(policy);
        for (kind, count) in counts.iter().enumerate() {
            for _ in 0..*count {
                let _learning = world.see(&format!("kind {kind}"));
            }
        }
        world.wait(HOUR * epochs);
        drop(world.told());
        let events = u64::from(counts.iter().sum::<u32>());
        prop_assert_eq!(world.baseline.evidence().events, events >> epochs);
        for (kind, count) in counts.iter().enumerate() {
            let hash = world.baseline.hash(format!("kind {kind}"));
            let slot = *world.baseline.table.get_mut(hash).unwrap();
            prop_assert_eq!(slot.count, count >> epochs);
        }
        // Evidence anew, within the epoch.
        for n in 0..700 {
            world.known(n);
        }
        prop_assert_eq!(world.baseline.state(), State::Active);
        for (kind, count) in counts.iter().enumerate() {
            let outcome = world.see(&format!("kind {kind}"));
            let told = world.told();
            if count >> epochs >= 3 {
                prop_assert!(matches!(outcome, Outcome::Quiet(Quiet::Known { .. })), "{outcome:?}");
                prop_assert!(told.is_empty());
            }
            for finding in told {
                prop_assert!(matches!(&finding, Finding::Rare(rare)
                    if matches!(rare.sighting, crate::decide::baseline::Sighting::Returned { .. })), "{finding:?}");
            }
        }
    }

    #[test]
    fn no_input_panics_and_nothing_grows_beyond_its_bound(
        seed in any::<u64>(), kinds_max in 16_u32..80, events in prop::option::of(100_u64..400),
        steps in prop::collection::vec((0_u8..8, any::<u32>()), 1..300),
    ) {
        let policy = Policy::new().rare_rate(0.3).kinds_max(kinds_max).distinct_max(1024).epoch_events(events).open_max(5);
        let mut now = start();
        let mut baseline = Baseline::new(policy, seed, now).unwrap();
        for (what, number) in steps {
            let severity = [Severity::Debug, Severity::Error, Severity::Unknown][number as usize % 3];
            let by = Duration::from_millis(u64::from(number));
            match what {
                0 => now = now.after(by),
                1 => now = Now { moment: Moment::from_nanos(u64::from(number)), wall: now.wall - by },
                2 => baseline.flush(now),
                3 => drop(baseline.exclude(now.wall, now.wall + by, now)),
                4 => {
                    let saved = baseline.save(now);
                    baseline = Baseline::restore(policy, saved, now).unwrap().0;
                }
                5 => (0..number % 64).for_each(|n| {
                    let _any = baseline.observe(format!("flood {number} {n}"), severity, now);
                }),
                6 => (0..number % 512).for_each(|n| {
                    let _any = baseline.observe([(n % 7) as u8], severity, now);
                }),
                _ => while let Some(finding) = baseline.take(now) {
                    prop_assert!(!finding.to_string().is_empty());
                },
            }
            let _any = baseline.observe(number.to_le_bytes(), severity, now);
            prop_assert!(baseline.bytes() <= policy.bytes_max());
            prop_assert!(baseline.evidence().kinds <= u64::from(kinds_max));
        }
    }
}
