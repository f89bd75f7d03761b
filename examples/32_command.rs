//! Another program, with a time-out that holds: what it wrote is kept, and what it left behind is ended.

use std::time::Duration;
use unattended::command::{Codes, Command, Error, Stdin};
use unattended::fault::Classify;

fn main() -> Result<(), Error> {
    let sorted = Command::new("sort").stdin(Stdin::Bytes(b"pear\napple\n".to_vec())).run_blocking()?;
    println!("{:?}, {} bytes", sorted.stdout.text(), sorted.stdout.bytes);

    let sh = |script: &str| Command::new("sh").args(["-c", script]).grace(Duration::from_millis(200));
    let hangs = sh("echo begun; trap '' TERM; sleep 600 & sleep 600").timeout(Duration::from_millis(300));
    let chatty = sh("seq 1 1000000").output_max(24);
    let busy = sh("echo try later >&2; exit 75");
    let runs =
        [hangs, chatty, busy, sh("exit 3").codes(Codes::none().success(3)), Command::new("no-such-tool")];
    for command in runs {
        match command.run_blocking() {
            Ok(outcome) => println!("{}: {:?}", outcome.status, outcome.stdout.text()),
            Err(error) => {
                let wrote = error.outcome().map_or_else(String::new, |outcome| outcome.stdout.text());
                println!("{error} [{}] after {wrote:?}", error.fault());
            }
        }
    }
    Ok(())
}
