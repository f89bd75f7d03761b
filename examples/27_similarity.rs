//! Whether a change means something, and which bound said so.

use unattended::explain::Explain;
use unattended::similarity::{Policy, Unit, Verdict};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let page: String = (1..=400).map(|n| format!("{n}. What is said in this line stays.\n")).collect();
    let typo = page.replacen("said", "siad", 1);
    let crlf = page.replace('\n', "\r\n");
    let backwards: String = page.lines().rev().map(|line| format!("{line}\n")).collect();
    let policy = Policy::default();
    for (what, new) in [("as it was", &page), ("a typo", &typo), ("CRLF", &crlf), ("backwards", &backwards)] {
        let verdict = policy.compare(page.as_bytes(), new.as_bytes());
        println!("{what}: {verdict} ({})", verdict.code());
    }
    // A ratio hides what is small beside much; an absolute limit does not.
    let strict = Policy::builder().changed_bytes_max(Some(1)).build()?;
    println!("strictly: {}", strict.compare(page.as_bytes(), typo.as_bytes()));
    let lines = Policy::builder().unit(Unit::Lines).build()?;
    println!("by lines: {}", lines.compare(page.as_bytes(), typo.as_bytes()));
    // Where the time is over before a step was sure it is assumed: the safe side.
    let late = policy.compare_until(page.as_bytes(), backwards.as_bytes(), &mut || true);
    println!("late: {late}");
    assert!(matches!(late, Verdict::AssumedMeaningful(_)));
    Ok(())
}
