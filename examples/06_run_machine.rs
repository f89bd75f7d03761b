//! A run's states as plain enums: drive your own runs by the same table.

use unattended::run::{Event, Machine};

fn main() {
    let mut run = Machine::new();
    for event in [Event::Claim, Event::Succeed, Event::Claim] {
        match run.apply(event) {
            Ok(state) => println!("{event}: {state}"),
            Err(illegal) => println!("{illegal}; it stays {}", run.state()),
        }
    }
}
