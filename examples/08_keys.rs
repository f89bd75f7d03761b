//! A key says what the work is about; a fingerprint says with what. Both are the same on every machine.

use serde::Serialize;
use unattended::canonical::{self, Fingerprint, Key};

#[derive(Serialize)]
struct Invoice {
    number: u64,
    cents: f64,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let invoice = Invoice { number: 9_007_199_254_740_993, cents: 1.0 };
    println!("{}", Key::new("billing", "invoice", invoice.number)?);
    println!("{}", canonical::to_string(&invoice)?);
    println!("{}", Fingerprint::of(&invoice)?);
    let text = r#"{ "cents": 1e0, "number": 9007199254740993 }"#;
    println!("the same as text: {}", Fingerprint::of_text(text)? == Fingerprint::of(&invoice)?);
    Ok(())
}
