//! Limits that say how much a count proves: of a share (Wilson) and of a rate (Poisson).

/// The share of `hits` in `of` trials is at most this, in the score interval of Wilson ("Probable inference, the law of succession, and
/// statistical inference", JASA 1927) with `z` standard deviations; 1 if there were none.
#[allow(clippy::cast_precision_loss, reason = "counts beyond 2^53 differ by less than what they prove")]
pub(crate) fn wilson_upper(hits: u64, of: u64, z: f64) -> f64 {
    if of == 0 {
        return 1.0;
    }
    let (n, share) = (of as f64, hits.min(of) as f64 / of as f64);
    let middle = share + z * z / (2.0 * n);
    let spread = z * (share * (1.0 - share) / n + z * z / (4.0 * n * n)).sqrt();
    ((middle + spread) / (1.0 + z * z / n)).clamp(0.0, 1.0)
}

/// The share of `hits` in `of` trials is at least this, in the same interval; 0 if there were none.
pub(crate) fn wilson_lower(hits: u64, of: u64, z: f64) -> f64 {
    1.0 - wilson_upper(of.saturating_sub(hits), of, z)
}

/// How likely it is that a Poisson variable with this `mean` is at least `count`.
#[allow(clippy::cast_precision_loss, reason = "counts beyond 2^53 differ by less than what they prove")]
pub(crate) fn poisson_at_least(count: u64, mean: f64) -> f64 {
    match count {
        0 => 1.0,
        _ if mean.is_nan() || mean <= 0.0 => 0.0,
        _ if mean.is_infinite() => 1.0,
        _ => gamma_lower(count as f64, mean),
    }
}

/// The upper limit of a rate of which `count` events were seen: were it greater, so few would have had a probability below `miss`.
/// For 0, 1 and 2 events at 0.05 it is 3.0, 4.74 and 6.30 (Garwood, "Fiducial limits for the Poisson distribution", 1936).
#[allow(clippy::cast_precision_loss, reason = "counts beyond 2^53 differ by less than what they prove")]
pub(crate) fn poisson_upper(count: u64, miss: f64) -> f64 {
    let miss = if miss.is_nan() { 0.05 } else { miss.clamp(1e-12, 1.0) };
    // P(X <= count) falls as the mean rises.
    let few = |mean: f64| 1.0 - poisson_at_least(count.saturating_add(1), mean);
    let (mut low, mut high) = (0.0, count as f64 + 10.0 * (count as f64 + 10.0).sqrt());
    for _ in 0..80 {
        let middle = f64::midpoint(low, high);
        if few(middle) > miss { low = middle } else { high = middle }
    }
    high
}

/// Beyond this shape the cube root of a gamma variable is normal as far as anybody can see (Wilson and Hilferty, 1931).
const SHAPE_MAX: f64 = 1e5;
const STEPS_MAX: u32 = 20_000;

/// The regularised lower incomplete gamma function, P(shape, x), for a shape of 1 or more.
fn gamma_lower(shape: f64, x: f64) -> f64 {
    if shape > SHAPE_MAX {
        let wide = 1.0 / (9.0 * shape);
        return normal(((x / shape).cbrt() - (1.0 - wide)) / wide.sqrt());
    }
    let scale = (shape * x.ln() - x - ln_gamma(shape)).exp();
    if x < shape + 1.0 {
        let (mut term, mut sum) = (1.0 / shape, 1.0 / shape);
        for n in 1..STEPS_MAX {
            term *= x / (shape + f64::from(n));
            sum += term;
            if term < sum * 1e-15 {
                break;
            }
        }
        return (sum * scale).clamp(0.0, 1.0);
    }
    // The continued fraction of the upper function, by Lentz's method.
    let mut b = x + 1.0 - shape;
    let (mut c, mut d) = (1e300, 1.0 / b);
    let mut fraction = d;
    for n in 1..STEPS_MAX {
        let a = -f64::from(n) * (f64::from(n) - shape);
        b += 2.0;
        d = 1.0 / away_from_zero(a * d + b);
        c = away_from_zero(b + a / c);
        fraction *= d * c;
        if (d * c - 1.0).abs() < 1e-15 {
            break;
        }
    }
    (1.0 - scale * fraction).clamp(0.0, 1.0)
}

fn away_from_zero(x: f64) -> f64 {
    if x.abs() < 1e-300 { 1e-300 } else { x }
}

/// Stirling's series, after a shift to where it is exact.
fn ln_gamma(x: f64) -> f64 {
    let (mut x, mut shift) = (x, 0.0);
    while x < 12.0 {
        shift -= x.ln();
        x += 1.0;
    }
    let inverse = 1.0 / (x * x);
    let series = (1.0 / 12.0 - inverse * (1.0 / 360.0 - inverse * (1.0 / 1260.0 - inverse / 1680.0))) / x;
    shift + (x - 0.5) * x.ln() - x + 0.5 * (2.0 * std::f64::consts::PI).ln() + series
}

/// The normal distribution function, to seven places (Abramowitz and Stegun, 26.2.17).
fn normal(z: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.231_641_9 * z.abs());
    let poly = t
        * (0.319_381_530
            + t * (-0.356_563_782 + t * (1.781_477_937 + t * (-1.821_255_978 + t * 1.330_274_429))));
    let tail = (-z * z / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt() * poly;
    if z > 0.0 { 1.0 - tail } else { tail }
}

#[cfg(test)]
mod tests {
    use super::{poisson_at_least, poisson_upper, wilson_lower, wilson_upper};

    fn near(found: f64, expected: f64) {
        assert!((found - expected).abs() <= 1e-4 * expected.abs().max(1e-3), "{found} instead of {expected}");
    }

    #[test]
    fn limits_are_those_of_the_tables() {
        // Garwood's table, 95 % one-sided.
        for (count, limit) in [(0, 2.9957), (1, 4.7439), (2, 6.2958), (3, 7.7537), (10, 16.962)] {
            near(poisson_upper(count, 0.05), limit);
        }
        near(poisson_upper(1000, 0.05), 1053.603);
        // Agresti and Coull: 0 of 10 and 5 of 20 at 95 % two-sided.
        near(wilson_upper(0, 10, 1.959_964), 0.27753);
        near(wilson_upper(5, 20, 1.959_964), 0.46869);
        near(wilson_lower(10, 10, 1.959_964), 0.72247);
        assert!((wilson_upper(0, 0, 2.0) - 1.0).abs() < f64::EPSILON && wilson_lower(0, 0, 2.0) < 1e-12);
        assert!((wilson_upper(9, 3, 2.0) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn a_tail_is_the_sum_of_its_terms() {
        for (count, mean) in [(1i32, 0.01f64), (3, 2.0), (12, 2.0), (40, 47.0), (300, 250.0), (1, 700.0)] {
            let (mut term, mut below) = ((-mean).exp(), 0.0);
            for n in 0..count {
                below += term;
                term *= mean / f64::from(n + 1);
            }
            let found = poisson_at_least(u64::from(count as u32), mean);
            assert!((found - (1.0 - below)).abs() < 1e-9, "{count} {mean}: {found}");
        }
        // Far in the tail, where one minus the rest would be nothing: e^-2 2^30/30! (1 + 2/31 + ...).
        near(poisson_at_least(30, 2.0) * 1e24, 0.585_53);
        near(poisson_at_least(200_000, 200_000.0), 0.500_3);
    }

    #[test]
    fn nothing_is_asked_of_the_input() {
        assert!(poisson_at_least(5, f64::NAN) < 1e-12 && poisson_at_least(5, -1.0) < 1e-12);
        assert!(poisson_at_least(u64::MAX, 1.0) < 1e-12 && poisson_at_least(0, 0.0) > 0.99);
        assert!(poisson_at_least(2, f64::INFINITY) > 0.99);
        assert!(poisson_upper(u64::MAX, 0.05).is_finite() && poisson_upper(3, f64::NAN).is_finite());
    }
}
