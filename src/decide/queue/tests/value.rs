use std::time::Duration;

use proptest::prelude::{prop, prop_assert, prop_assert_eq, proptest};
use proptest::strategy::{Just, Strategy};
use serde_json::json;

use crate::decide::queue::{Error, Value, density, rank};

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn field(result: Result<Value, Error>) -> &'static str {
    match result {
        Err(Error::Field { field, .. }) => field,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_worth_is_a_number_between_nothing_and_a_billion_thousands() {
    for bad in [f64::NAN, f64::INFINITY, -1.0, 1.1e12, f64::NEG_INFINITY] {
        assert_eq!(field(Value::step(bad)), "value");
        assert_eq!(field(Value::linear(bad, ms(0), ms(1))), "value");
        assert_eq!(field(Value::half_life(bad, ms(1))), "value");
        assert_eq!(field(Value::steps([(ms(0), bad)])), "steps");
        assert_eq!(field(Value::half_life(1.0, ms(1)).unwrap().floor(bad)), "floor");
    }
    assert!(Value::step(0.0).is_ok() && Value::step(1e12).is_ok());
    assert!(Value::step(-0.0).unwrap().after(ms(1)).is_sign_positive());
}

#[test]
fn a_value_that_would_rise_is_an_error() {
    assert_eq!(field(Value::steps([(ms(0), 1.0), (ms(5), 1.5)])), "steps");
    assert_eq!(field(Value::half_life(1.0, ms(1)).unwrap().floor(1.5)), "floor");
    assert_eq!(field(Value::linear(1.0, ms(5), ms(5))), "to");
    assert_eq!(field(Value::half_life(1.0, Duration::ZERO)), "half_life");
    assert_eq!(field(Value::ONE.floor(0.5)), "floor");
}

#[test]
fn steps_begin_at_nothing_rise_in_time_and_are_at_most_64() {
    assert_eq!(field(Value::steps([])), "steps");
    assert_eq!(field(Value::steps([(ms(1), 1.0)])), "steps");
    assert_eq!(field(Value::steps([(ms(0), 2.0), (ms(3), 1.0), (ms(3), 0.5)])), "steps");
    let many = |n: u64| Value::steps((0..n).map(|n| (ms(n), 1.0)));
    assert!(many(64).is_ok());
    assert_eq!(field(many(65)), "steps");
    assert_eq!(field(Value::steps([(ms(0), 2.0), (Duration::MAX, 1.0)])), "steps");
    let value = Value::steps([(ms(0), 5.0), (ms(100), 1.0)]).unwrap();
    assert_eq!((value.after(ms(99)), value.after(ms(100)), value.after(Duration::MAX)), (5.0, 1.0, 1.0));
}

#[test]
fn values_are_read_from_the_json_that_people_write() {
    for (text, value) in [
        (json!({"step": 5}), Value::step(5.0)),
        (json!({"linear": {"v": 5, "from": 0, "to": 500}}), Value::linear(5.0, ms(0), ms(500))),
        (json!({"half_life": {"v": 5, "h": 100}}), Value::half_life(5.0, ms(100))),
        (
            json!({"half_life": {"v": 5, "h": 100, "floor": 1}}),
            Value::half_life(5.0, ms(100)).unwrap().floor(1.0),
        ),
        (json!({"steps": [[0, 5], [100, 1]]}), Value::steps([(ms(0), 5.0), (ms(100), 1.0)])),
    ] {
        let value = value.unwrap();
        assert_eq!(serde_json::from_value::<Value>(text.clone()).unwrap(), value);
        // As values: whole numbers are written without a fraction.
        assert_eq!(serde_json::to_value(&value).unwrap(), text);
    }
}

#[test]
fn what_is_read_is_checked_by_the_same_bounds() {
    for bad in [
        json!({"step": -1}),
        json!({"step": 1e13}),
        json!({"linear": {"v": 5, "from": 9, "to": 5}}),
        json!({"linear": {"v": 5, "from": -9, "to": 5}}),
        json!({"linear": {"v": 5, "from": 0, "to": 1e300}}),
        json!({"half_life": {"v": 5, "h": 0}}),
        json!({"half_life": {"v": 5, "h": 1, "floor": 6}}),
        json!({"half_life": {"v": 5, "h": 1, "more": 6}}),
        json!({"steps": []}),
        json!({"steps": [[0, 1], [1, 2]]}),
        json!({"rising": 1}),
        json!(5),
    ] {
        assert!(serde_json::from_value::<Value>(bad.clone()).is_err(), "{bad}");
    }
}

#[test]
fn a_density_is_never_infinite() {
    assert_eq!(density(1e12, Duration::ZERO), 1e15);
    assert_eq!(density(6.0, ms(2000)), 3.0);
    assert_eq!(density(0.0, Duration::MAX), 0.0);
}

#[test]
fn a_rank_is_a_thousandth_of_a_doubling() {
    assert_eq!((rank(1.0), rank(2.0), rank(1024.0), rank(0.25)), (0, 1000, 10_000, -2000));
    let nothing = rank(0.0);
    assert_eq!((rank(f64::NAN), rank(-1.0), rank(f64::NEG_INFINITY)), (nothing, nothing, nothing));
    assert!(rank(f64::from_bits(1)) > nothing);
    assert!(rank(f64::INFINITY) > rank(1e15));
}

/// Values of each shape.
pub(super) fn values() -> impl Strategy<Value = Value> {
    let worth = (0u32..4000).prop_map(|v| f64::from(v) / 16.0);
    let time = 0u64..4_000_000;
    let us = Duration::from_micros;
    proptest::prop_oneof![
        4 => worth.clone().prop_map(|v| Value::step(v).unwrap()),
        2 => (worth.clone(), time.clone(), time.clone())
            .prop_map(move |(v, from, more)| Value::linear(v, us(from), us(from + more + 1)).unwrap()),
        2 => (worth.clone(), time.clone(), 0u32..=4).prop_map(move |(v, h, quarters)| {
            Value::half_life(v, us(h + 1)).unwrap().floor(v * f64::from(quarters) / 4.0).unwrap()
        }),
        1 => prop::collection::vec((1..time.end, worth), 1..6).prop_map(move |steps| {
            let mut at = 0;
            let mut values: Vec<f64> = steps.iter().map(|step| step.1).collect();
            values.sort_by(|a, b| b.total_cmp(a));
            let times = steps.iter().enumerate().map(|(n, step)| {
                at = if n == 0 { 0 } else { at + step.0 };
                us(at)
            });
            Value::steps(times.zip(values).collect::<Vec<_>>()).unwrap()
        }),
        1 => Just(Value::ONE),
    ]
}

proptest! {
    #[test]
    fn a_value_never_rises(value in values(), a in 0u64..30_000_000, more in 0u64..3_000_000) {
        let (a, b) = (Duration::from_micros(a), Duration::from_micros(a + more));
        prop_assert!(value.after(b) <= value.after(a));
        prop_assert!(value.after(b) >= 0.0);
        if value.is_constant() {
            prop_assert_eq!(value.after(b), value.after(a));
        }
    }

    #[test]
    fn a_value_is_read_as_it_was_written(value in values()) {
        let text = serde_json::to_string(&value).unwrap();
        prop_assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
    }

    #[test]
    fn a_rank_rises_with_the_density(a in 0.0f64..1e15, b in 0.0f64..1e15) {
        let (low, high) = (a.min(b), a.max(b));
        prop_assert!(rank(low) <= rank(high));
    }
}
