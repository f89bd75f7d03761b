//! Each rule, and each step alone: a wrong step cannot hide behind an earlier one.

use rapidfuzz::distance::lcs_seq;

use super::meter::Meter;
use super::steps::{Known, May, Plan, compare};
use super::verdict::Step;
use super::{Cut, Error, Policy, Unit, Verdict};
use crate::base::explain::Explain;

#[allow(dead_code, reason = "shared with the integration tests, which use all of it")]
#[allow(unreachable_pub, reason = "shared with the integration tests")]
#[path = "../../../tests/support/pairs.rs"]
mod pairs;

use pairs::{Pairs, crlf};

fn truth(a: &[u8], b: &[u8]) -> u64 {
    (a.len() + b.len() - 2 * lcs_seq::similarity(a.iter().copied(), b.iter().copied())) as u64
}

fn alone(may: May, k: u64, a: &[u8], b: &[u8]) -> Known {
    let plan = Plan { k, work_max: u64::MAX, memory_max: 1 << 24, may };
    compare(a, b, &plan, &mut Meter::new(&mut || false))
}

/// What a step may say by the table.
#[derive(Clone, Copy, PartialEq, Eq)]
enum May1 {
    Large,
    Small,
    Either,
}

/// Runs one step alone over random pairs: it is never wrong, says only what it may, and says it often enough to be tested.
fn is_right_alone(step: Step, says: May1, sizes: &[usize], count: usize, often: usize) {
    let mut pairs = Pairs(u64::from(step as u8) + 100);
    let may = match step {
        Step::Hunks | Step::Words => May::only(Step::Lines).and(Step::Hunks).and(step),
        _ => May::only(step),
    };
    let (mut small, mut large) = (0, 0);
    for turn in 0..count {
        let (a, b) = pairs.pair(sizes[turn % sizes.len()]);
        let distance = truth(&a, &b);
        // Thresholds of all kinds, and such that the distance is at the edge.
        let total = (a.len() + b.len()) as u64;
        let k = [total / 50, total / 10, distance, distance.saturating_sub(1), distance + 1, distance / 2]
            [turn % 6];
        let known = alone(may, k, &a, &b);
        let told = || format!("{step:?} with k = {k} says {known:?} of {distance}: {a:?} {b:?}");
        assert!(known.at_least <= distance && distance <= known.at_most, "{}", told());
        let by_length = a.len().abs_diff(b.len()) as u64 > k || total <= k;
        if known.at_most <= k && !by_length {
            assert!(says != May1::Large, "{}", told());
            small += 1;
        } else if known.at_least > k && !by_length {
            assert!(says != May1::Small, "{}", told());
            large += 1;
        } else if says == May1::Either && (step == Step::Band || step == Step::Diagonals) && !by_length {
            panic!("not decided: {}", told());
        }
    }
    assert!(says == May1::Large || small >= often, "{step:?} said small only {small} times");
    assert!(says == May1::Small || large >= often, "{step:?} said large only {large} times");
}

const SMALL: &[usize] = &[8, 30, 120];
const LONG: &[usize] = &[120, 400, 900];

#[test]
fn the_histogram_alone_is_never_wrong() {
    is_right_alone(Step::Histogram, May1::Large, SMALL, 10_000, 500);
}

#[test]
fn sequences_of_five_alone_are_never_wrong() {
    is_right_alone(Step::Grams, May1::Large, SMALL, 3_000, 50);
}

#[test]
fn pieces_alone_are_never_wrong() {
    is_right_alone(Step::Pieces, May1::Large, LONG, 6_000, 50);
}

#[test]
fn the_walk_alone_is_never_wrong() {
    is_right_alone(Step::Walk, May1::Small, LONG, 4_000, 500);
}

#[test]
fn common_lines_alone_are_never_wrong() {
    is_right_alone(Step::Lines, May1::Small, LONG, 4_000, 100);
}

#[test]
fn common_chunks_alone_are_never_wrong() {
    let mut pairs = Pairs(9);
    let mut said = 0;
    for _ in 0..60 {
        let old: Vec<u8> = (0..6_000).map(|_| b'a' + u8::try_from(pairs.below(20)).unwrap()).collect();
        let new = pairs.edited(&old, 6);
        let distance = truth(&old, &new);
        let known = alone(May::only(Step::Chunks), 2_000, &old, &new);
        assert!(known.at_most >= distance, "{known:?} of {distance}");
        said += usize::from(known.at_most <= 2_000);
    }
    assert!(said > 30, "{said}");
}

#[test]
fn hunks_between_common_lines_are_never_wrong() {
    is_right_alone(Step::Hunks, May1::Small, LONG, 3_000, 500);
}

#[test]
fn common_words_are_never_wrong() {
    is_right_alone(Step::Words, May1::Small, LONG, 3_000, 500);
}

#[test]
fn the_search_along_diagonals_alone_decides_everything() {
    is_right_alone(Step::Diagonals, May1::Either, SMALL, 10_000, 1_000);
    is_right_alone(Step::Diagonals, May1::Either, LONG, 300, 50);
}

#[test]
fn the_search_in_a_band_alone_decides_everything() {
    is_right_alone(Step::Band, May1::Either, SMALL, 10_000, 1_000);
    is_right_alone(Step::Band, May1::Either, LONG, 2_000, 200);
}

fn text(words: usize) -> Vec<u8> {
    Pairs(5).prose(words)
}

#[test]
fn equal_texts_are_not_meaningful_and_so_are_two_empty_ones() {
    let old = text(5_000);
    for (a, b) in [(&old[..], &old.clone()[..]), (&[], &[])] {
        let verdict = Policy::default().compare(a, b);
        assert_eq!((verdict.is_meaningful(), verdict.code()), (false, "similarity.equal"));
        assert_eq!(verdict.why().ratio_ppm_least(), 1_000_000);
    }
}

#[test]
fn a_ratio_equal_to_the_threshold_is_not_meaningful_and_one_byte_less_is() {
    // 4,900 bytes and 200 inserted: 2 * 4,900 / 10,000 = 0.98.
    let old = vec![b'a'; 4_900];
    let mut new = old.clone();
    new.splice(1_000..1_000, [b'b'; 200]);
    let policy = Policy::default();
    assert_eq!(policy.allowed(4_900, 5_100), 200);
    assert!(!policy.compare(&old, &new).is_meaningful());
    new.insert(3_000, b'c');
    assert!(policy.compare(&old, &new).is_meaningful());
}

#[test]
fn lengths_alone_decide_where_they_differ_by_more_than_is_allowed() {
    let verdict = Policy::default().compare(&text(1_000), &text(1_100));
    assert_eq!((verdict.is_meaningful(), verdict.code()), (true, "similarity.length"));
    assert_eq!(verdict.why().at_least, 100);
}

#[test]
fn small_files_are_exact_to_the_byte() {
    assert!(Policy::default().compare(b"0123456789012345678901", b"0123456789x12345678901").is_meaningful());
    assert!(Policy::default().compare(b"", b"a").is_meaningful());
}

#[test]
fn more_bytes_than_the_absolute_limit_are_meaningful_whatever_the_ratio() {
    let old = text(100_000);
    let mut new = old.clone();
    new.splice(50_000..50_000, *b"twelve bytes");
    let policy = |max| Policy::builder().changed_bytes_max(Some(max)).build().unwrap();
    assert!(!policy(12).compare(&old, &new).is_meaningful());
    assert!(policy(11).compare(&old, &new).is_meaningful());
}

#[test]
fn lf_to_crlf_is_not_meaningful_and_is_said() {
    let old =
        "a line of some seventy characters, as one would find it in a document\n".repeat(200).into_bytes();
    let verdict = Policy::default().compare(&old, &crlf(&old));
    assert!(!verdict.is_meaningful() && verdict.why().eol_changed, "{verdict}");
    assert!(verdict.to_string().ends_with("the ends of the lines have changed"), "{verdict}");
}

/// A pair that only the exact search decides: a little more than allowed, spread evenly.
fn hard() -> (Vec<u8>, Vec<u8>) {
    let mut pairs = Pairs(1);
    let old: Vec<u8> = (0..20_000).map(|_| b"ab"[pairs.below(2)]).collect();
    let new = pairs.moved(&old);
    (old, new)
}

#[test]
fn up_to_a_megabyte_the_exact_search_never_needs_more_than_it_may_take() {
    let policy = Policy::default();
    let lengths: Vec<usize> = (1..=64).map(|part| part << 14).collect();
    for (a, b) in lengths.iter().flat_map(|a| lengths.iter().map(move |b| (*a, *b))) {
        let plan = policy.plan(policy.allowed(a as u64, b as u64));
        // What would need more is decided by the lengths alone.
        if (a as u64).abs_diff(b as u64) <= plan.k {
            assert!(super::band::steps(a, b, plan.k) <= plan.work_max, "{a} {b}");
            assert!(super::band::memory(a, plan.k) <= plan.memory_max, "{a} {b}");
        }
    }
}

#[test]
fn a_budget_that_ends_is_named_and_assumes_that_it_is_meaningful() {
    let (old, new) = hard();
    let exact = Policy::default().compare(&old, &new);
    assert!(matches!(exact.code(), "similarity.diagonals" | "similarity.band"), "{exact}");
    let poor = Policy::builder().work_max(0).build().unwrap().compare(&old, &new);
    let Verdict::AssumedMeaningful(limit) = poor else { panic!("{poor}") };
    assert!(matches!(limit.cut, Cut::Work { max: 0, .. }), "{limit}");
    assert!(limit.why.at_least <= limit.why.allowed && limit.why.at_most > limit.why.allowed);
    let late = Policy::default().compare_until(&old, &new, &mut || true);
    assert_eq!((late.is_meaningful(), late.code()), (true, "similarity.time_over"));
    let mut asked = 0;
    let later = Policy::default().compare_until(&old, &new, &mut || {
        asked += 1;
        false
    });
    assert_eq!(later, exact);
    assert!(asked > 3, "{asked}");
}

#[test]
fn memory_is_bounded_and_named() {
    let (old, new) = hard();
    let old = old.repeat(5);
    let new = new.repeat(5);
    let policy = Policy::builder().memory_max(1 << 16).threshold_ppm(700_000).build().unwrap();
    let verdict = policy.compare(&old, &new);
    assert!(!matches!(verdict, Verdict::Meaningful(_)), "{verdict}");
}

#[test]
fn a_policy_out_of_bounds_is_refused_with_what_is_allowed() {
    let error = Policy::builder().threshold_ppm(1_000_001).build().unwrap_err();
    assert_eq!(error.to_string(), "threshold_ppm is 1000001, allowed are 1 to 1000000");
    assert!(Policy::builder().threshold_ppm(0).build().is_err());
    let short = Policy::builder().memory_max(1).build().unwrap_err();
    assert!(matches!(short, Error::Field { field: "memory_max", given: 1, .. }));
}

#[test]
fn lines_and_words_are_counted_instead_of_bytes() {
    let old: String = (0..100).map(|n| format!("line {n} is here\n")).collect();
    let new = old.replacen("line 5 ", "LINE 5 ", 1);
    let by = |unit, ppm| {
        Policy::builder()
            .unit(unit)
            .threshold_ppm(ppm)
            .build()
            .unwrap()
            .compare(old.as_bytes(), new.as_bytes())
    };
    // One line of a hundred: 198 of 200 are common.
    let lines = by(Unit::Lines, 990_000);
    assert_eq!((lines.is_meaningful(), lines.why().old, lines.why().allowed), (false, 100, 2));
    assert!(by(Unit::Lines, 990_001).is_meaningful());
    assert_eq!(by(Unit::Words, 980_000).why().old, 800);
    assert!(!by(Unit::Words, 999_000 - 250).is_meaningful());
    assert!(by(Unit::Words, 999_000 - 249).is_meaningful() || by(Unit::Words, 998_751).is_meaningful());
}

#[test]
fn units_agree_with_the_whole_distance() {
    let mut pairs = Pairs(21);
    for turn in 0..2_000 {
        let (a, b) = pairs.pair(200);
        let unit = [Unit::Lines, Unit::Words][turn % 2];
        let split = |text: &[u8]| -> Vec<Vec<u8>> {
            let cuts =
                if unit == Unit::Lines { super::tokens::Cuts::Lines } else { super::tokens::Cuts::Words };
            let mut start = 0;
            super::tokens::ends(text, cuts, usize::MAX - 1)
                .unwrap()
                .into_iter()
                .map(|end| {
                    let token = text[start..end as usize].to_vec();
                    start = end as usize;
                    token
                })
                .collect()
        };
        let (x, y) = (split(&a), split(&b));
        assert_eq!(x.concat(), a);
        let mut row = vec![0_usize; y.len() + 1];
        for p in &x {
            let mut corner = 0;
            for (at, q) in y.iter().enumerate() {
                let here = row[at + 1];
                row[at + 1] = if p == q { corner + 1 } else { here.max(row[at]) };
                corner = here;
            }
        }
        let distance = (x.len() + y.len() - 2 * row[y.len()]) as u64;
        let verdict = Policy::builder().unit(unit).threshold_ppm(900_000).build().unwrap().compare(&a, &b);
        let why = verdict.why();
        assert!(why.at_least <= distance && distance <= why.at_most, "{verdict} of {distance}");
        assert_eq!(verdict.is_meaningful(), distance > why.allowed, "{verdict} of {distance}");
    }
}

#[cfg(feature = "diff")]
#[test]
fn hunks_put_back_together_are_the_new_text() {
    let mut pairs = Pairs(2);
    for _ in 0..500 {
        let (a, b) = pairs.pair(400);
        let found = super::hunks(&a, &b, usize::MAX);
        let (mut made, mut at) = (Vec::new(), 0);
        for hunk in &found.hunks {
            made.extend_from_slice(&a[at..hunk.old.start]);
            made.extend_from_slice(&b[hunk.new.clone()]);
            at = hunk.old.end;
        }
        made.extend_from_slice(&a[at..]);
        assert_eq!(made, b);
        assert_eq!((found.more, found.coarse), (0, false));
    }
    let few = super::hunks(b"a\nb\nc\n", b"x\nb\ny\n", 1);
    assert_eq!((few.hunks.len(), few.more), (1, 1));
    assert_eq!(few.hunks[0].text(b"a\nb\nc\n", b"x\nb\ny\n", 19), "@@ -1,1 +1,1 @@\n-a\n…\n");
}

#[cfg(feature = "store")]
mod profiles {
    use super::super::Profile;
    use super::*;

    fn profile(text: &[u8], parts: &mut Pairs) -> Profile {
        let mut builder = Profile::builder();
        let mut rest = text;
        while !rest.is_empty() {
            let (part, more) = rest.split_at((1 + parts.below(9_000)).min(rest.len()));
            builder.update(part);
            rest = more;
        }
        builder.finish()
    }

    #[test]
    fn profiles_are_the_same_however_the_text_is_parted_and_come_back_as_they_were() {
        let mut pairs = Pairs(8);
        for size in [0, 3, 4, 5, 6, 100, 20_000] {
            let old = pairs.text(size);
            let one = profile(&old, &mut pairs);
            let mut whole = Profile::builder();
            whole.update(&old);
            assert_eq!(one, whole.finish());
            let mut bytewise = Profile::builder();
            old.chunks(1).for_each(|byte| bytewise.update(byte));
            assert_eq!(one, bytewise.finish());
            let stored = serde_json::to_string(&one).unwrap();
            assert_eq!(serde_json::from_str::<Profile>(&stored).unwrap(), one);
            assert_eq!(one.len(), size as u64);
        }
    }

    #[test]
    fn what_profiles_say_is_what_the_bytes_say() {
        let mut pairs = Pairs(4);
        let (mut same, mut other, mut open) = (0, 0, 0);
        let policy = Policy::builder().threshold_ppm(700_000).build().unwrap();
        for turn in 0..8 {
            let old = pairs.prose(40_000);
            let new = match turn % 4 {
                0 => pairs.prose(40_000),
                1 => old.clone(),
                2 => [&old[..], b"and more"].concat(),
                _ => vec![b'z'; 40_000],
            };
            let verdict = policy.compare_profiles(&profile(&old, &mut pairs), &profile(&new, &mut pairs));
            match verdict {
                Verdict::NotMeaningful(_) => same += 1,
                Verdict::Meaningful(_) => other += 1,
                Verdict::AssumedMeaningful(limit) => {
                    assert_eq!(limit.cut, Cut::Profiles);
                    open += 1;
                }
            }
            let (why, distance) = (verdict.why(), truth(&old, &new));
            assert!(why.at_least <= distance && distance <= why.at_most, "{verdict} of {distance}");
        }
        assert!(same > 2 && other > 1, "{same} {other} {open}");
    }

    #[test]
    fn a_stored_profile_that_contradicts_itself_is_refused() {
        let one = profile(b"some text that is kept", &mut Pairs(1));
        let stored = serde_json::to_string(&one).unwrap();
        for (from, to) in
            [("\"version\":1", "\"version\":2"), ("\"len\":22", "\"len\":23"), ("[[22,", "[[21,")]
        {
            assert!(stored.contains(from), "{stored}");
            assert!(serde_json::from_str::<Profile>(&stored.replacen(from, to, 1)).is_err());
        }
    }
}
