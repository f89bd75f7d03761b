//! What was forgotten exactly is remembered roughly: two bits for each of many cells.
//!
//! A Bloom filter whose cells count to three (after Fan, Cao, Almeida and Broder, "Summary cache", 2000), written by the largest
//! count instead of by addition (Estan and Varghese's conservative update, 2002). A kind has four cells, and its count is the least of
//! them. So no count is too small, until all are halved: a kind that was frequent is not taken for rare before it was not seen for an
//! epoch, and then as one that has returned. A kind that was never seen is taken for
//! a seen one only if all of its four cells are in use.

/// Cells of one kind.
const CELLS: u32 = 4;
/// Cells for each kind that is expected.
const CELLS_EACH: u64 = 12;
/// The share of cells in use up to which its word is taken: of the kinds never seen, at most its fourth power, 1 %, are taken for
/// seen.
pub(super) const FILL_MAX: f64 = 0.316;

#[derive(Debug)]
pub(super) struct Filter {
    /// Four cells a byte.
    cells: Vec<u8>,
    used: u64,
}

impl Filter {
    pub(super) fn new(bytes: usize) -> Self {
        Self { cells: vec![0; bytes.next_power_of_two().max(8)], used: 0 }
    }

    pub(super) fn of(cells: Vec<u8>) -> Option<Self> {
        if !cells.len().is_power_of_two() || cells.len() < 8 {
            return None;
        }
        let used = cells.iter().map(|byte| u64::from(((byte | byte >> 1) & 0x55).count_ones())).sum();
        Some(Self { cells, used })
    }

    pub(super) fn cells(&self) -> &[u8] {
        &self.cells
    }

    /// Remembers that it was seen so often; more than three is three.
    pub(super) fn put(&mut self, hash: u64, count: u32) {
        let count = u8::try_from(count.clamp(1, 3)).unwrap_or(3);
        for (byte, bits) in self.places(hash) {
            let cell = &mut self.cells[byte];
            let found = *cell >> bits & 3;
            if found < count {
                self.used += u64::from(found == 0);
                *cell = *cell & !(3 << bits) | count << bits;
            }
        }
    }

    /// How often it was seen, at least: never less than what was put, up to 3.
    pub(super) fn get(&self, hash: u64) -> u32 {
        let cells = self.places(hash).map(|(byte, bits)| self.cells[byte] >> bits & 3);
        u32::from(cells.into_iter().min().unwrap_or(0))
    }

    /// The share of cells in use.
    #[allow(clippy::cast_precision_loss, reason = "a share")]
    pub(super) fn fill(&self) -> f64 {
        self.used as f64 / (self.cells.len() as f64 * 4.0)
    }

    pub(super) fn is_crowded(&self) -> bool {
        self.fill() > FILL_MAX
    }

    /// Halves what is counted; that something was seen stays.
    pub(super) fn decay(&mut self) {
        for byte in &mut self.cells {
            // Two and three become one: the upper bit goes down, and it is set where either was.
            *byte = (*byte | *byte >> 1) & 0x55;
        }
    }

    fn places(&self, hash: u64) -> [(usize, u32); CELLS as usize] {
        // The table is entered by the upper bits of the hash; these are mixed anew.
        let mut mixed = (hash ^ hash >> 32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let step = (mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9) | 1;
        let last = self.cells.len() as u64 * 4 - 1;
        std::array::from_fn(|_| {
            mixed = mixed.wrapping_add(step);
            let cell = (mixed ^ mixed >> 31) & last;
            #[allow(clippy::cast_possible_truncation, reason = "a place within the cells")]
            let place = ((cell / 4) as usize, (cell % 4) as u32 * 2);
            place
        })
    }
}

/// The bytes of a filter for so many kinds.
pub(super) fn bytes_for(kinds: u64) -> usize {
    let bytes = kinds.saturating_mul(CELLS_EACH).div_ceil(4).next_power_of_two().max(8);
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;

    #[test]
    fn no_count_is_too_small_and_few_that_were_never_put_are_there() {
        let mut rng = Rng::seeded(11);
        let mut filter = Filter::new(bytes_for(20_000));
        let kinds: Vec<(u64, u32)> =
            (0..20_000).map(|_| (rng.next_u64(), u32::try_from(rng.up_to(5)).unwrap())).collect();
        for (hash, count) in &kinds {
            filter.put(*hash, *count);
        }
        assert!(!filter.is_crowded(), "{}", filter.fill());
        assert!(kinds.iter().all(|(hash, count)| filter.get(*hash) >= (*count).clamp(1, 3)));
        let wrong = (0..20_000).filter(|_| filter.get(rng.next_u64()) > 0).count();
        assert!(wrong <= 200, "{wrong} of 20,000");
        let again = Filter::of(filter.cells().to_vec()).unwrap();
        assert!((again.fill() - filter.fill()).abs() < f64::EPSILON);
    }

    #[test]
    fn decay_halves_and_does_not_forget() {
        let mut filter = Filter::new(64);
        for (hash, count) in [(1, 1), (1 << 40, 2), (u64::MAX, 9)] {
            filter.put(hash, count);
            assert_eq!(filter.get(hash), count.min(3));
        }
        let fill = filter.fill();
        filter.decay();
        assert!([1, 1 << 40, u64::MAX].into_iter().all(|hash| filter.get(hash) == 1));
        assert!((filter.fill() - fill).abs() < f64::EPSILON);
    }
}
