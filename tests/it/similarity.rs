//! Verdicts against an oracle: the whole distance, by rapidfuzz.
//!
//! `UNATTENDED_PAIRS=2000000` compares so many small pairs instead of 200,000, and a five-hundredth of that larger ones.

use rapidfuzz::distance::lcs_seq;
use unattended::explain::Explain;
use unattended::similarity::{Policy, Verdict};

use crate::pairs::Pairs;

const THRESHOLDS: [u32; 9] = [980_000, 980_000, 980_000, 999_000, 1_000_000, 950_000, 900_000, 500_000, 1];

fn policy(ppm: u32) -> Policy {
    Policy::builder().threshold_ppm(ppm).build().unwrap()
}

fn distance(a: &[u8], b: &[u8]) -> u64 {
    let common = lcs_seq::similarity(a.iter().copied(), b.iter().copied());
    (a.len() + b.len() - 2 * common) as u64
}

/// Whether the verdict is what the whole distance says, and its numbers hold.
fn judge(verdict: &Verdict, a: &[u8], b: &[u8], truth: u64) {
    let why = verdict.why();
    let total = (a.len() + b.len()) as u128;
    let allowed = u64::try_from(u128::from(1_000_000 - ppm_of(verdict, total)) * total / 1_000_000).unwrap();
    let told = || format!("{verdict}: the distance is {truth}, of {a:?} and {b:?}");
    assert!(why.at_least <= truth && truth <= why.at_most, "{}", told());
    assert_eq!(verdict.is_meaningful(), truth > why.allowed, "{}", told());
    assert!(!matches!(verdict, Verdict::AssumedMeaningful(_)), "{}", told());
    assert!(allowed <= why.allowed, "{}", told());
}

/// The largest threshold that allows what the verdict says was allowed.
fn ppm_of(verdict: &Verdict, total: u128) -> u32 {
    let allowed = u128::from(verdict.why().allowed);
    let ppm = (allowed * 1_000_000).div_ceil(total.max(1)).min(1_000_000);
    1_000_000 - u32::try_from(ppm).unwrap().saturating_sub(1)
}

fn count() -> usize {
    std::env::var("UNATTENDED_PAIRS").ok().and_then(|n| n.parse().ok()).unwrap_or(200_000)
}

#[test]
fn every_verdict_is_what_the_whole_distance_says() {
    let count = count();
    let seed = if count == 200_000 { 7 } else { 11 };
    let mut pairs = Pairs(seed);
    let mut meaningful = 0_usize;
    for turn in 0..count {
        let (a, b) = pairs.pair([24, 60, 90, 160][turn % 4]);
        let verdict = policy(THRESHOLDS[turn % THRESHOLDS.len()]).compare(&a, &b);
        judge(&verdict, &a, &b, distance(&a, &b));
        meaningful += usize::from(verdict.is_meaningful());
    }
    assert!((count / 10..count * 9 / 10).contains(&meaningful), "{meaningful} of {count} are meaningful");
}

#[test]
fn larger_pairs_near_the_threshold_are_told_apart() {
    let mut pairs = Pairs(3);
    let mut codes = std::collections::BTreeMap::new();
    for turn in 0..count() / 500 {
        let size = if turn % 50 == 1 { 30_000 } else { 1_000 + pairs.below(2_000) };
        let old = pairs.text(size);
        let edits = size * (2 + pairs.below(5)) / 200;
        let new = match pairs.below(5) {
            0 => pairs.near(&old),
            1 => pairs.moved(&old),
            2 => pairs.shuffled(&old),
            _ => pairs.edited(&old, edits),
        };
        let verdict = policy([980_000, 980_000, 970_000, 990_000, 950_000][turn % 5]).compare(&old, &new);
        judge(&verdict, &old, &new, distance(&old, &new));
        *codes.entry(verdict.code()).or_insert(0) += 1;
    }
    assert!(codes.len() >= 6, "{codes:?}");
}
