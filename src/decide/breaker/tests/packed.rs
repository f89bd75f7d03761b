//! A machine in a few bytes decides as the machine itself.

use proptest::prelude::{any, prop, prop_assert_eq, proptest};

use super::random::{Step, any_policy, any_step};
use super::*;

const SEED: u64 = 7;

/// Put down and picked up.
fn again(machine: &Machine, policy: Policy) -> Machine {
    let bytes = machine.pack(SEED, at(0));
    Machine::unpack(policy, &bytes, SEED, at(0)).unwrap()
}

fn same(a: &Machine, b: &Machine, now: Now) -> Result<(), proptest::test_runner::TestCaseError> {
    prop_assert_eq!(a.snapshot("x", now), b.snapshot("x", now));
    prop_assert_eq!(a.rng.state(), b.rng.state());
    prop_assert_eq!(a.refusal(now), b.refusal(now));
    Ok(())
}

#[test]
fn a_machine_to_which_nothing_has_happened_is_no_bytes() {
    for policy in [Policy::cron(), Policy::service(), Policy::never()] {
        let machine = Machine::new(policy, SEED, at(0)).unwrap();
        assert!(machine.pack(SEED, at(0)).is_empty());
        assert_eq!(again(&machine, policy).snapshot("x", at(9)), machine.snapshot("x", at(9)));
    }
}

#[test]
fn bytes_that_are_not_a_machine_are_none() {
    let bytes = tripped(plain()).pack(SEED, at(0));
    for cut in 1..bytes.len() {
        assert!(Machine::unpack(plain(), &bytes[..cut], SEED, at(0)).is_none(), "cut to {cut}");
    }
    for bytes in [&[3][..], &[STATE_AND_ALL], &[0x40; 40], &[0xff; 40]] {
        assert!(Machine::unpack(Policy::service(), bytes, SEED, at(0)).is_none());
    }
}

const STATE_AND_ALL: u8 = 0x7f;

#[test]
fn what_would_be_lost_with_a_machine() {
    let healthy = || machine(Policy::cron());
    assert_eq!(healthy().worth(at(0)), Worth::Nothing);
    let mut good = healthy();
    assert_eq!(story(&mut good, "....", at(0)), "none");
    assert_eq!(good.worth(at(0)), Worth::Nothing);
    assert_eq!(story(&mut good, "x", at(0)), "none");
    assert_eq!(good.worth(at(0)), Worth::Counts);
    let mut blocked = healthy();
    blocked.block(secs(60), at(0));
    assert_eq!(blocked.worth(at(0)), Worth::Refuses(at(60).moment));
    assert_eq!(blocked.worth(at(60)), Worth::Nothing);
    let mut open = tripped(plain());
    assert_eq!(open.worth(at(0)), Worth::Refuses(at(100).moment));
    assert_eq!(one(&mut open, Outcome::Success, at(100)).as_str(), "close");
    // It has learned to stay open longer, until it was healthy for long enough.
    assert_eq!((open.worth(at(100)), open.worth(at(900))), (Worth::Counts, Worth::Nothing));
    let mut forced = healthy();
    forced.force(Some(Mode::ForcedOpen));
    assert!(matches!(forced.worth(at(0)), Worth::Refuses(_)));
    assert!(Worth::Nothing < Worth::Counts && Worth::Counts < Worth::Refuses(at(0).moment));
}

proptest! {
    #[test]
    fn a_machine_that_is_packed_after_every_step_decides_as_one_that_is_not(
        policy in any_policy(), steps in prop::collection::vec(any_step(), 1..200),
        blocks in prop::collection::vec((0usize..200, 0u64..100), 0..3),
        hint in prop::option::of(0u64..1000), drift in -3_000_000i64..3_000_000,
    ) {
        let policy = policy.open_jitter(20);
        let mut plain = Machine::new(policy, SEED, at(0)).unwrap();
        let mut now = at(0);
        now.wall += chrono::TimeDelta::nanoseconds(drift);
        for (n, step) in steps.into_iter().enumerate() {
            for (_, wait) in blocks.iter().filter(|(at, _)| *at == n) {
                let mut other = again(&plain, policy);
                prop_assert_eq!(plain.block(secs(*wait), now), other.block(secs(*wait), now));
                same(&plain, &other, now)?;
            }
            let outcomes = match step {
                Step::Later(by) => { now = now.after(secs(by)); vec![] }
                Step::Restart => vec![],
                Step::Call(outcome) => vec![outcome],
                Step::Overlap(first, second) => vec![first, second],
            };
            let mut permits = Vec::new();
            for outcome in outcomes {
                let mut other = again(&plain, policy);
                let (a, b) = (plain.admit(now), other.admit(now));
                prop_assert_eq!(&a, &b);
                same(&plain, &other, now)?;
                if let (Admit::Allow { permit: a, .. }, Admit::Allow { permit: b, .. }) = (a, b) {
                    permits.push((a, b, outcome));
                }
            }
            for (a, b, outcome) in permits {
                let (mut other, hint) = (again(&plain, policy), hint.map(secs));
                prop_assert_eq!(
                    plain.settle_hinted(a, outcome, hint, now), other.settle_hinted(b, outcome, hint, now)
                );
                same(&plain, &other, now)?;
            }
            prop_assert_eq!(plain.worth(now), again(&plain, policy).worth(now));
        }
    }

    #[test]
    fn no_bytes_panic(policy in any_policy(), bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        let machine = Machine::unpack(policy, &bytes, SEED, at(0));
        if let Some(mut machine) = machine {
            let _worth = (machine.worth(at(5)), machine.admit(at(5)));
        }
    }
}
