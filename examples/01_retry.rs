//! A flaky call, tried again with backoff; what was decided, and why. Simulated time: nothing really waits.

use unattended::fault::Fault;
use unattended::retry::{Policy, Stopped};
use unattended::testing::sim::Sim;
use unattended::time::Timestamp;

fn main() {
    let sim = Sim::new(Timestamp::UNIX_EPOCH, 1);
    let retry = Policy::service();
    let flaky = |answers: &'static [&'static str]| {
        move |attempt: unattended::retry::Attempt| match answers[attempt.number() as usize - 1] {
            "200" => Ok("the page"),
            "429" => Err(Fault::rate_limited(Some(std::time::Duration::from_secs(3)))),
            _ => Err(Fault::transient("http.503")),
        }
    };
    let page = retry.on(&sim).seed(7).run_blocking(flaky(&["503", "429", "200"]));
    println!("{page:?} after {:.1?}", sim.elapsed());

    match retry.on(&sim).seed(7).run_blocking(flaky(&["503", "503", "503", "503"])) {
        Err(Stopped::Failed { why, attempts, .. }) => {
            println!("gave up: {why}");
            attempts.iter().for_each(|tried| println!("  attempt {}: {}", tried.number, tried.code));
        }
        other => println!("{other:?}"),
    }
}
