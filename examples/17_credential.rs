//! A token is refreshed before it ends, once, whoever asks. A refresh that fails leaves the old one in use.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use unattended::credential::{Credential, Token};
use unattended::testing::sim::Sim;
use unattended::{explain::Explain, fault::Fault, time, time::Clock};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (sim, asked) = (Sim::new(time::Timestamp::UNIX_EPOCH, 1), AtomicU32::new(0));
    let clock = sim.clone();
    let youtube = Credential::named("youtube")
        .refresh_blocking(move |_old: Option<Token<String>>| match asked.fetch_add(1, Ordering::Relaxed) {
            1 => Err(Fault::transient("http.503")),
            n => Ok(Token::lasting(format!("secret-{n}"), clock.now().wall, Duration::from_secs(3600))),
        })
        .seed(7)
        .on(sim.clone())
        .build()?;
    for minutes in [0, 20, 30, 5, 10] {
        sim.advance(Duration::from_secs(60 * minutes));
        let given = youtube.get_blocking()?;
        println!("{} {}: {}", given.expose(), given.why.code(), given.why);
    }
    println!("{youtube:?}");
    Ok(())
}
