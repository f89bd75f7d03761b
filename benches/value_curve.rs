//! How much of the value that could be had each order gets, by load. `cargo bench --bench value_curve` prints the table; with
//! `-- --write` it writes `docs/value_curve.md` and `docs/value_curve.svg`; with `-- --test` it looks at a small part.
//!
//! It fails if the queue's own order has less of the value than is promised.

#[path = "../tests/support/value.rs"]
#[allow(
    dead_code,
    unreachable_pub,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "small numbers; the tests share it, and use the rest"
)]
mod value;

use std::path::Path;
use std::process::ExitCode;

use value::{LOADS, NOISES, SEEDS, TASKS};

/// Of the value that could be had, at three times the load that fits, in percent: with exact estimates, and with noise.
const PROMISED: [f64; 2] = [80.0, 75.0];

fn main() -> ExitCode {
    let given = |what: &str| std::env::args().any(|arg| arg == what);
    let (seeds, tasks) = if given("--test") { (&SEEDS[..1], 3000) } else { (&SEEDS[..], TASKS) };
    let table = |noise: f64| LOADS.map(|load| value::shares(load, noise, seeds, tasks)).to_vec();
    let page = value::page(&NOISES.map(table));
    println!("{page}");
    let tables = value::tables(&page);
    if given("--write") {
        let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
        let written = std::fs::write(docs.join("value_curve.md"), &page)
            .and_then(|()| std::fs::write(docs.join("value_curve.svg"), value::picture(&tables)));
        if let Err(error) = written {
            println!("{}: {error}", docs.display());
            return ExitCode::FAILURE;
        }
    }
    for (rows, promised) in tables.iter().zip(PROMISED) {
        let had = rows.last().and_then(|shares| shares.last()).copied().unwrap_or(0.0);
        if had < promised {
            println!(
                "at a load of 3 the value is {had} percent of the bound; at least {promised} is promised"
            );
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
