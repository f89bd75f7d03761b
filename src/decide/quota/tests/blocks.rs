//! One quota, several processes.

use proptest::prelude::{prop, prop_assert, prop_assert_eq, proptest};

use super::*;

fn granted(taken: TakeBlock) -> (Snapshot, Block) {
    match taken {
        TakeBlock::Granted { snapshot, block, .. } => (snapshot, block),
        TakeBlock::Refused { why, .. } => panic!("refused: {why}"),
    }
}

#[test]
fn a_block_decays_as_the_shared_count_recovers() {
    let limit = Limit::from(plain());
    let shared = Snapshot::fresh("x", &limit, at(0));
    let (shared, block) = granted(shared.take_block(&limit, 9, at(0)).unwrap());
    assert_eq!((block.left(at(0).moment), block.left(at(1).moment), block.left(at(3).moment)), (3, 2, 0));
    match shared.take_block(&limit, 1, at(0)).unwrap() {
        TakeBlock::Refused { why: Refusing::Spent { left: 0, .. }, wait, retry_at } => {
            assert_eq!((wait, retry_at), (secs(1), at(1).wall));
        }
        other => panic!("{other:?}"),
    }
    assert!(block.use_one(at(1).moment) && !block.use_n(2, at(1).moment) && block.use_one(at(1).moment));
    assert!(!block.use_one(at(1).moment));
    let (_, other) = granted(shared.take_block(&limit, 1, at(1)).unwrap());
    assert!(other.use_one(at(1).moment) && !other.use_one(at(1).moment));
}

#[test]
fn a_block_of_a_calendar_ends_with_the_period() {
    let limit = Limit::from(midnight(10));
    let shared = Snapshot::fresh("x", &limit, at(0));
    let (shared, block) = granted(shared.take_block(&limit, 4, at(0)).unwrap());
    assert_eq!((shared.used(), block.left(at(0).moment)), (Some(4), 4));
    assert!(block.use_n(3, at(3600).moment) && !block.use_n(2, at(3600).moment));
    assert_eq!((block.left(at(86_400).moment), block.use_one(at(86_400).moment)), (0, false));
    let (shared, _) = granted(shared.take_block(&limit, 9, at(1)).unwrap());
    assert_eq!(shared.used(), Some(10));
    assert!(matches!(shared.take_block(&limit, 1, at(1)).unwrap(), TakeBlock::Refused { .. }));
    let shared = shared.give_block_back(&limit, block, at(2)).unwrap().unwrap();
    assert_eq!(shared.used(), Some(9));
}

#[test]
fn what_is_left_of_a_block_can_be_given_back() {
    let limit = Limit::from(plain());
    let (shared, block) = granted(Snapshot::fresh("x", &limit, at(0)).take_block(&limit, 3, at(0)).unwrap());
    assert!(block.use_one(at(0).moment));
    let shared = shared.give_block_back(&limit, block, at(0)).unwrap().unwrap();
    assert_eq!(shared.full_at(), Some(at(1).wall));
    let (_, spent) = granted(shared.take_block(&limit, 3, at(0)).unwrap());
    assert_eq!(spent.left(at(0).moment), 2);
    assert!(shared.give_block_back(&limit, spent, at(9)).unwrap().is_none());
}

/// A process: how far its monotonic clock is from the others', and the block it holds.
struct Process {
    origin: u64,
    block: Option<Block>,
}

proptest! {
    #[test]
    fn however_long_processes_hold_their_blocks_and_however_they_die_no_span_sees_an_excess(
        limit in 1u32..30, burst in 1u32..20, strict in prop::bool::ANY,
        steps in prop::collection::vec((0usize..4, 0u64..3_000, 0u8..12, 1u32..9), 1..250),
    ) {
        let quota = Quota::per_second(limit).unwrap();
        let quota = if strict { quota.strict().unwrap() } else { quota.burst(burst).unwrap() };
        let (limit, mut shared) = (Limit::from(quota), Snapshot::fresh("x", &quota.into(), at(0)));
        let mut processes: Vec<_> =
            (0..4).map(|n| Process { origin: n * 1_000_000_007, block: None }).collect();
        let (mut now, mut story) = (at(0), Vec::new());
        for (who, by, what, n) in steps {
            now = now.after(Duration::from_micros(by * 100));
            let process = &mut processes[who];
            let own = Now { moment: Moment::from_nanos(process.origin).after(now.moment.since(Moment::ZERO)), ..now };
            match what {
                0 => process.block = None,
                1 => if let Some(block) = process.block.take()
                    && let Some(less) = shared.give_block_back(&limit, block, own).unwrap() {
                    shared = less;
                },
                2..=4 => if let TakeBlock::Granted { snapshot, block, .. } =
                    shared.take_block(&limit, n, own).unwrap() {
                    prop_assert!((1..=n).contains(&block.left(own.moment)));
                    // One in three writes comes too late: somebody else has written, so the block is dropped.
                    if what != 4 {
                        shared = snapshot;
                        process.block = Some(block);
                    }
                },
                _ => if let Some(block) = &process.block {
                    let left = block.left(own.moment);
                    prop_assert_eq!(block.use_n(n, own.moment), n <= left);
                    if n <= left {
                        prop_assert_eq!(block.left(own.moment), left - n);
                        story.push((now.moment, u64::from(n)));
                    }
                },
            }
        }
        for (first, (from, _)) in story.iter().enumerate() {
            let mut sum = 0;
            for (to, n) in &story[first..] {
                sum += n;
                prop_assert!(sum <= quota.most_within(to.since(*from)));
            }
        }
    }
}
