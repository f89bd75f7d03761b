//! Pay an invoice once, however often the request is delivered.

use std::sync::Arc;

use unattended::{canonical::Key, ledger::StoreLedger, memory::Memory, once::Once};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let ledger = StoreLedger::new(Arc::new(Memory::new()));
    let pay = |invoice: u32, cents: u32| -> Result<(), Box<dyn std::error::Error>> {
        let key = Key::new("billing", "invoice", invoice)?;
        let work = |_key: &Key| Ok::<_, std::io::Error>(format!("receipt for {cents} cents"));
        match ledger.once_blocking(&key, &cents, work)? {
            Once::Did(receipt) => println!("{key}: paid now: {receipt}"),
            Once::Already(receipt) => println!("{key}: paid before: {receipt}"),
            Once::Conflict { .. } => println!("{key}: the same invoice with another amount: refused"),
            Once::Busy { owner, .. } => println!("{key}: {owner} is at it"),
            Once::NeedsReview { why } => println!("{key}: a person is asked: {why}"),
        }
        Ok(())
    };
    pay(42, 1000)?;
    pay(42, 1000)?;
    pay(42, 9999)
}
