//! Quantiles of numbers, to one part in a hundred, in bounded memory (DDSketch: Masson, Rim, Lee, "DDSketch: a fast and
//! fully-mergeable quantile sketch with relative-error guarantees", VLDB 2019).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The relative error of a quantile.
const ERROR: f64 = 0.01;
/// Bins beyond this many are taken together from below: four and a half decades keep the error that is promised.
const BINS_MAX: usize = 512;
/// Less than this is nothing.
const LEAST: f64 = 1e-9;

/// Numbers that are not negative, by their logarithm.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sketch {
    /// Those too small for a bin.
    #[serde(default)]
    zeros: u64,
    /// How many are in each bin, by its number.
    #[serde(default)]
    bins: BTreeMap<i32, u64>,
}

impl Sketch {
    /// Takes `value` in; false, and nothing is done, if it is negative or no number.
    pub(crate) fn add(&mut self, value: f64) -> bool {
        if !value.is_finite() || value < 0.0 {
            return false;
        }
        if value < LEAST {
            self.zeros = self.zeros.saturating_add(1);
            return true;
        }
        #[allow(
            clippy::cast_possible_truncation,
            reason = "the logarithm of a number is less than 36,000 widths"
        )]
        let bin = (value.ln() / width()).ceil() as i32;
        let count = self.bins.entry(bin).or_insert(0);
        *count = count.saturating_add(1);
        self.fold();
        true
    }

    /// How many were taken in.
    pub(crate) fn count(&self) -> u64 {
        self.bins.values().fold(self.zeros, |sum, count| sum.saturating_add(*count))
    }

    /// The number that a share of `q` of all is at most; `None` if there are none.
    pub(crate) fn quantile(&self, q: f64) -> Option<f64> {
        // The middle of the bin, in proportion: off by one part in a hundred to either side.
        Some(self.place(q)?.map_or(0.0, |bin| (f64::from(bin) * width()).exp() * (1.0 - ERROR)))
    }

    /// In which bin a quantile is; the inner one is `None` for those too small for one.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "a rank; beyond 2^53 it is off by less than the error"
    )]
    fn place(&self, q: f64) -> Option<Option<i32>> {
        let count = self.count();
        if count == 0 || q.is_nan() {
            return None;
        }
        let rank = ((q.clamp(0.0, 1.0) * count as f64).ceil() as u64).clamp(1, count);
        let mut below = self.zeros;
        if rank <= below {
            return Some(None);
        }
        let mut holds = |count: u64| {
            below = below.saturating_add(count);
            rank <= below
        };
        // Counters that stand at their maximum may not add up: then it is the last one.
        let found = self.bins.iter().find(|(_, count)| holds(**count)).or_else(|| self.bins.last_key_value());
        Some(found.map(|(bin, _)| *bin))
    }

    /// A number that a share of `q` is below, and at least `bins` widths above it, and how many of those taken in are above it.
    pub(crate) fn limit(&self, q: f64, bins: i32) -> Option<(f64, u64)> {
        let (bin, least) = match self.place(q)? {
            Some(bin) => (bin.saturating_add(bins), 0.0),
            // Half of them take no time at all.
            None => (i32::MIN, LEAST),
        };
        let above = self.bins.iter().filter(|(of, _)| **of > bin);
        let above = above.fold(0u64, |sum, (_, count)| sum.saturating_add(*count));
        // A hair beyond the edge, so that what is in the bin is never above it.
        Some((((f64::from(bin) * width()).exp() * (1.0 + 1e-9)).max(least), above))
    }

    /// Takes in all of another one.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.zeros = self.zeros.saturating_add(other.zeros);
        for (bin, more) in &other.bins {
            let count = self.bins.entry(*bin).or_insert(0);
            *count = count.saturating_add(*more);
        }
        self.fold();
    }

    fn fold(&mut self) {
        while self.bins.len() > BINS_MAX {
            let Some((_, lowest)) = self.bins.pop_first() else { return };
            if let Some(mut next) = self.bins.first_entry() {
                *next.get_mut() = next.get().saturating_add(lowest);
            }
        }
    }
}

/// Of a bin, on the scale of logarithms.
fn width() -> f64 {
    ((1.0 + ERROR) / (1.0 - ERROR)).ln()
}

#[cfg(test)]
mod tests {
    use super::{BINS_MAX, Sketch};

    #[test]
    fn quantiles_are_right_to_one_part_in_a_hundred() {
        let mut sketch = Sketch::default();
        for n in 1..=10_000u32 {
            assert!(sketch.add(f64::from(n) / 7.0));
        }
        for (q, exact) in [(0.0, 1.0 / 7.0), (0.5, 5000.0 / 7.0), (0.95, 9500.0 / 7.0), (1.0, 10_000.0 / 7.0)]
        {
            let found = sketch.quantile(q).unwrap();
            assert!((found / exact - 1.0).abs() < 0.0101, "{q}: {found} for {exact}");
        }
    }

    #[test]
    fn what_is_no_number_is_not_taken_in() {
        let mut sketch = Sketch::default();
        for bad in [f64::NAN, f64::INFINITY, -1.0, f64::NEG_INFINITY] {
            assert!(!sketch.add(bad));
        }
        assert_eq!((sketch.count(), sketch.quantile(0.5)), (0, None));
        assert!(sketch.add(0.0) && sketch.add(-0.0) && sketch.add(f64::MIN_POSITIVE) && sketch.add(f64::MAX));
        assert_eq!((sketch.count(), sketch.quantile(0.5)), (4, Some(0.0)));
        assert!(sketch.quantile(1.0).unwrap() > 1e300 && sketch.quantile(f64::NAN).is_none());
    }

    #[test]
    fn what_is_usual_is_not_above_its_limit() {
        let mut equal = Sketch::default();
        for _ in 0..100 {
            assert!(equal.add(1.0));
        }
        let (limit, above) = equal.limit(0.5, 0).unwrap();
        assert!((1.0..1.03).contains(&limit) && above == 0, "{limit} {above}");
        assert!(equal.add(1.2) && equal.limit(0.5, 0).unwrap().1 == 1);
        let (limit, above) = equal.limit(0.5, 5).unwrap();
        assert!((1.08..1.15).contains(&limit) && above == 1, "{limit} {above}");
        let mut nothing = Sketch::default();
        assert!(nothing.limit(0.5, 5).is_none() && nothing.add(0.0) && nothing.add(0.0) && nothing.add(2.0));
        assert_eq!(nothing.limit(0.5, 5), Some((1e-9, 1)));
    }

    #[test]
    fn its_size_is_bounded_and_the_upper_quantiles_stay_right() {
        let (mut wide, mut other) = (Sketch::default(), Sketch::default());
        for n in 0..4000u32 {
            let value = (f64::from(n) / 100.0 - 20.0).exp();
            assert!(if n % 2 == 0 { wide.add(value) } else { other.add(value) });
        }
        wide.merge(&other);
        assert!(wide.bins.len() <= BINS_MAX && wide.count() == 4000);
        let found = wide.quantile(0.95).unwrap();
        assert!((found / 18f64.exp() - 1.0).abs() < 0.03, "{found}");
        assert!(serde_json::to_string(&wide).unwrap().len() < 8 * 1024);
    }
}
