//! The queue, from outside.

use std::fs;

use crate::source::root;
use value::{LOADS, NOISES, POLICIES, SEEDS, TASKS};

#[path = "../support/value.rs"]
#[allow(
    unreachable_pub,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "small numbers; a benchmark shares it"
)]
mod value;

/// What is promised of the default order, on a small part of what the page says.
#[test]
fn under_three_times_the_load_the_queue_has_most_of_the_value_that_could_be_had() {
    for (noise, promised) in NOISES.iter().zip([80.0, 75.0]) {
        let shares = value::shares(3.0, *noise, &SEEDS[..1], 3000);
        let density = shares[POLICIES.len() - 1];
        assert!(density >= promised, "{shares:?}");
        assert!(density < 100.0, "a bound that is passed is none: {shares:?}");
        assert!(shares[..POLICIES.len() - 1].iter().all(|other| *other < density - 20.0), "{shares:?}");
    }
}

/// `cargo bench --bench value_curve -- --write` writes them.
#[test]
fn the_page_and_the_picture_of_the_value_curve_are_what_the_code_draws() {
    let docs = root().join("docs");
    let page = fs::read_to_string(docs.join("value_curve.md")).unwrap();
    let tables = value::tables(&page);
    assert_eq!(value::page(&tables), page);
    assert_eq!(value::picture(&tables), fs::read_to_string(docs.join("value_curve.svg")).unwrap());
    // A row of it, drawn anew.
    let load = LOADS[LOADS.len() - 1];
    let row = value::row(load, &value::shares(load, NOISES[0], &SEEDS, TASKS));
    assert!(page.contains(&row), "{row}");
}
