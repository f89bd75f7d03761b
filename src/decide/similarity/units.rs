//! Lines and words as the unit of the decision: the same rule over sequences of numbers.

use super::front::{self, Searched};
use super::meter::Meter;
use super::policy::Policy;
use super::steps::{Known, Plan, trim};
use super::tokens::{Cuts, TOKEN_BYTES, ends, intern_exact};
use super::verdict::{Cut, Step, Unit};

/// The lengths in units with what is allowed, and what is known of the distance.
pub(super) type Compared = ((u64, u64, u64), Known);

/// Compares two texts by their lines or words.
pub(super) fn compare(a: &[u8], b: &[u8], unit: Unit, policy: &Policy, meter: &mut Meter<'_>) -> Compared {
    let cuts = if unit == Unit::Lines { Cuts::Lines } else { Cuts::Words };
    if a == b {
        let count = ends(a, cuts, usize::MAX).map_or(a.len(), |ends| ends.len()) as u64;
        let k = policy.allowed(count, count);
        return ((count, count, k), Known { step: Step::Equal, at_least: 0, at_most: 0, cut: None });
    }
    let memory = policy.plan(0).memory_max;
    let most = usize::try_from(memory / TOKEN_BYTES).unwrap_or(usize::MAX);
    let numbered = ends(a, cuts, most).and_then(|old| Some((ends(b, cuts, most - old.len())?, old)));
    let Some((new, old)) = numbered else {
        // How many units there are is not known: each byte may be one.
        let (n, m) = (a.len() as u64, b.len() as u64);
        let needed = (n + m).saturating_mul(TOKEN_BYTES);
        let known = Known {
            step: Step::Length,
            at_least: 0,
            at_most: n + m,
            cut: Some(Cut::Memory { needed, max: memory }),
        };
        return ((n, m, policy.allowed(n, m).min(n + m - 1)), known);
    };
    let (ids, exact) = intern_exact(&[(a, &old), (b, &new)]);
    let (x, y) = ids.split_at(old.len());
    let k = policy.allowed(x.len() as u64, y.len() as u64);
    let mut known = sequences(x, y, &policy.plan(k), meter);
    if !exact && known.at_most > k {
        // Equal units may have been taken for different ones.
        known.at_least = 0;
        known.cut = Some(Cut::Work { needed: u64::MAX, max: policy.plan(k).work_max });
    }
    ((x.len() as u64, y.len() as u64, k), known)
}

fn sequences(a: &[u32], b: &[u32], plan: &Plan, meter: &mut Meter<'_>) -> Known {
    let k = plan.k;
    let mut known = Known::between(a.len(), b.len());
    if known.at_least > k {
        return known;
    }
    let (a, b) = trim(a, b);
    let rest = (a.len() + b.len()) as u64;
    let least = if a.is_empty() || b.is_empty() { rest } else { 1 };
    if known.learn(Step::Trim, least, rest, k) {
        return known;
    }
    let walked = front::walk((a, b), k, k, rest.saturating_mul(4), meter);
    if known.learn(Step::Walk, 0, walked.at_most, k)
        || known.learn(Step::Histogram, counts(a, b), u64::MAX, k)
    {
        return known;
    }
    let steps = (plan.work_max / 3).min(front::search_steps(k));
    match front::search(a, b, k, steps, meter) {
        Searched::Found(distance) => known.learn(Step::Diagonals, distance, distance, k),
        Searched::Beyond => known.learn(Step::Diagonals, k.saturating_add(1), u64::MAX, k),
        Searched::Spent(edits) => {
            let needed = front::search_steps(k).saturating_mul(3);
            known.cut =
                Some(if meter.is_late() { Cut::Time } else { Cut::Work { needed, max: plan.work_max } });
            known.learn(Step::Diagonals, edits, u64::MAX, k)
        }
    };
    known
}

/// By how much the numbers of each unit differ, in all.
fn counts(a: &[u32], b: &[u32]) -> u64 {
    let most = a.iter().chain(b).max().map_or(0, |id| *id as usize + 1);
    let mut counts = vec![0_i32; most];
    a.iter().for_each(|id| counts[*id as usize] += 1);
    b.iter().for_each(|id| counts[*id as usize] -= 1);
    counts.iter().map(|count| u64::from(count.unsigned_abs())).sum()
}
