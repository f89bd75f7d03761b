//! A seeded simulation: how many false alerts there are, and how many runs it takes until a share is found. Its table stands in
//! `docs/trends.md`; `cargo test --all-features --test it trend::simulation -- --nocapture` prints it again.

use std::fmt::Write as _;

use unattended::rng::Rng;
use unattended::time::{Clock, Now, System};
use unattended::trend::{Measure, Observed, Policy, Trend};

const SEEDS: u64 = 300;
const HEALTHY: u32 = 10_000;
/// Nothing is looked for longer than this.
const HORIZON: u32 = 3000;

/// Between 0 and 1.
fn unit(rng: &mut Rng) -> f64 {
    rng.up_to(1 << 40) as f64 / (1u64 << 40) as f64
}

fn policy(learn_max: u32) -> Policy {
    Policy::builder().learn_max(learn_max).build().unwrap()
}

/// One that has learned from `n` runs of which a share of `usual` was bad.
fn learned(n: u32, usual: f64, rng: &mut Rng, now: Now) -> Trend {
    let mut trend = Trend::new(policy(n));
    while trend.learned().0 < u64::from(n) {
        if let Observed::Alert(_) = trend.observe(unit(rng) < usual, now) {
            trend.relearn();
        }
    }
    trend
}

fn alerts(mut trend: Trend, share: f64, rng: &mut Rng, now: Now) -> u32 {
    let mut alerts = 0;
    for _ in 0..HEALTHY {
        if let Observed::Alert(_) = trend.observe(unit(rng) < share, now) {
            alerts += 1;
        }
    }
    alerts
}

fn until_found(mut trend: Trend, share: f64, rng: &mut Rng, now: Now) -> u32 {
    (1..HORIZON)
        .find(|_| matches!(trend.observe(unit(rng) < share, now), Observed::Alert(_)))
        .unwrap_or(HORIZON)
}

/// The rule that people write by hand.
fn three_in_a_row(share: f64, rng: &mut Rng) -> u32 {
    let mut row = 0;
    (1..HORIZON)
        .find(|_| {
            row = if unit(rng) < share { row + 1 } else { 0 };
            row == 3
        })
        .unwrap_or(HORIZON)
}

fn median(mut of: Vec<u32>) -> u32 {
    of.sort_unstable();
    of[of.len() / 2]
}

fn share(of: u32) -> String {
    if of == HORIZON { String::from("not found") } else { of.to_string() }
}

#[test]
fn few_alerts_are_false_and_what_is_worse_is_found() {
    let now = System.now();
    let mut table = String::from(
        "| usual | learned from | false alerts in 10,000 | until 10 % is found | until 30 % | until all |\n|---|---|---|---|---|---|\n",
    );
    for (usual, n, false_max, ten_max, thirty_max) in [
        (0.005, 1000, 1.0, 110, 20),
        (0.01, 1000, 1.0, 110, 20),
        (0.02, 1000, 1.0, 110, 20),
        (0.02, 200, 1.0, HORIZON, 30),
        (0.02, 50, 1.0, HORIZON, 45),
        (0.05, 1000, 1.0, HORIZON, 45),
    ] {
        let mut found = [vec![], vec![], vec![]];
        let mut false_alerts = 0;
        for seed in 0..SEEDS {
            let mut rng = Rng::seeded(seed);
            let trend = learned(n, usual, &mut rng, now);
            false_alerts += alerts(trend.clone(), usual, &mut rng, now);
            for (times, share) in found.iter_mut().zip([0.1, 0.3, 1.0]) {
                times.push(until_found(trend.clone(), share, &mut rng, now));
            }
        }
        let rate = f64::from(false_alerts) / SEEDS as f64;
        let [ten, thirty, all] = found.map(median);
        writeln!(table, "| {} % | {n} | {rate:.2} | {} | {thirty} | {all} |", 100.0 * usual, share(ten),)
            .unwrap();
        assert!(rate <= false_max, "{usual} {n}: {rate} false alerts");
        assert!(ten <= ten_max && thirty <= thirty_max && all <= 8, "{usual} {n}: {ten} {thirty} {all}");
    }
    for (usual, share_of) in [(0.02, 0.1), (0.02, 0.3)] {
        let times = (0..SEEDS).map(|seed| three_in_a_row(share_of, &mut Rng::seeded(seed))).collect();
        writeln!(table, "| {} % | three in a row | | {share_of}: {} | | 3 |", 100.0 * usual, median(times))
            .unwrap();
    }
    println!("{table}");
}

/// A normal variable, by the sum of twelve.
fn normal(rng: &mut Rng) -> f64 {
    (0..12).map(|_| unit(rng)).sum::<f64>() - 6.0
}

#[test]
fn durations_that_have_grown_are_found() {
    const SIGMA: f64 = 0.6;
    let now = System.now();
    let mut times = [vec![], vec![]];
    let mut false_alerts = 0;
    for seed in 0..60 {
        let mut rng = Rng::seeded(seed);
        let mut measure = Measure::new(policy(500));
        while measure.learned() < 500 {
            if measure.observe((SIGMA * normal(&mut rng)).exp(), now).alert().is_some() {
                measure.relearn();
            }
        }
        let mut healthy = measure.clone();
        for _ in 0..HEALTHY {
            let alert = healthy.observe((SIGMA * normal(&mut rng)).exp(), now);
            false_alerts += u32::from(alert.alert().is_some());
        }
        for (times, slower) in times.iter_mut().zip([1.5, 2.0]) {
            let mut measure = measure.clone();
            let found = (1..HORIZON).find(|_| {
                let value = slower * (SIGMA * normal(&mut rng)).exp();
                measure.observe(value, now).alert().is_some()
            });
            times.push(found.unwrap_or(HORIZON));
        }
    }
    let [half, twice] = times.map(median);
    let rate = f64::from(false_alerts) / 60.0;
    println!(
        "| durations (lognormal, sigma 0.6) | learned from | false alerts in 10,000 | until x1.5 is found | until x2 |\n|---|---|---|---|---|\n| | 500 | {rate:.2} | {half} | {twice} |"
    );
    assert!(rate <= 1.0 && half <= 70 && twice <= 30, "{rate} {half} {twice}");
}
