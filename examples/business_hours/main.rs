//! Prepared at any time, published in business hours: in Paris from nine to ten at night, in New York the same from
//! Monday to Friday. Five simulated days around 29 March 2026, when the clocks of Paris go forward.
//!
//! ```sh
//! cargo run --all-features --example business_hours
//! ```

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use unattended::blocking::block_on;
use unattended::effect::Effect;
use unattended::job::{Job, Terms};
use unattended::memory::Memory;
use unattended::pipeline::Step;
use unattended::runs::{Runs, Submitted};
use unattended::shutdown::Shutdown;
use unattended::store::Store;
use unattended::testing::sim::Sim;
use unattended::time::{BoxFuture, Clock, Sleep, Timestamp, between};
use unattended::window::Window;
use unattended::worker::Worker;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// What is submitted, and when.
const ISSUES: [(&str, &str, &str); 7] = [
    ("paris", "2026-03-27T22:30:00Z", "Friday's late edition"),
    ("new_york", "2026-03-27T22:30:00Z", "Friday's late edition"),
    ("new_york", "2026-03-28T03:00:00Z", "the weekend"),
    ("paris", "2026-03-28T23:30:00Z", "the short night"),
    ("paris", "2026-03-29T19:00:00Z", "Sunday evening"),
    ("paris", "2026-03-29T20:30:00Z", "half past ten, by summer time"),
    ("new_york", "2026-03-31T01:30:00Z", "Monday evening"),
];

#[derive(Debug, Serialize, Deserialize)]
struct Issue {
    title: String,
}

fn main() -> Outcome<()> {
    let sim = Sim::new("2026-03-27T22:00:00Z".parse()?, 7);
    let store: Arc<dyn Store> = Arc::new(Memory::on(Arc::new(sim.clone())));
    let paris = job("paris", "09:00-22:00 Europe/Paris".parse()?, &sim)?;
    let new_york = job("new_york", "09:00-22:00 Mon-Fri America/New_York".parse()?, &sim)?;
    let worker = Worker::new(Arc::clone(&store)).job(paris.clone()).job(new_york.clone()).build()?;
    let shutdown = Shutdown::new();
    let editor: BoxFuture<'_, Outcome<Vec<String>>> = Box::pin(async {
        let mut ids = Vec::new();
        for (place, at, title) in ISSUES {
            sim.sleep(between(sim.now().wall, at.parse()?)).await;
            let job = if place == "paris" { &paris } else { &new_york };
            let issue = Issue { title: title.to_owned() };
            if let Submitted::Created(run) = job.submit_on(&sim, &store, &issue, &Terms::default()).await? {
                ids.push(run.id().to_owned());
            }
        }
        sim.sleep(Duration::from_secs(24 * 3600)).await;
        shutdown.trigger();
        Ok(ids)
    });
    let works: BoxFuture<'_, Outcome<Vec<String>>> = Box::pin(async {
        worker.run_on(sim.clone(), &shutdown).await;
        Ok(Vec::new())
    });
    let ids: Vec<String> = sim.join([editor, works])?.into_iter().collect::<Outcome<Vec<_>>>()?.concat();

    println!("\nwhy each waited:");
    let runs = Runs::new(store);
    for ((place, _, title), id) in ISSUES.iter().zip(ids) {
        let run = block_on(runs.must_get(&id))?;
        println!("  {place}, {title}: {}, attempt {}", run.state(), run.body.attempt);
        for stored in block_on(runs.history(&id, 0, 100))? {
            if stored.event.code == "window.closed" {
                println!("    {}", stored.event.why);
            }
        }
    }
    Ok(())
}

/// Prepares at once, whatever the hour, and publishes while `window` is open.
fn job(name: &'static str, window: Window, sim: &Sim) -> Outcome<Job> {
    let zone = window.zone();
    let say = move |at: Timestamp, what: &str, title: &str| {
        println!("{}  {name:<8}  {what} {title}", zone.at(at).format("%a %d %b %H:%M %:z"));
    };
    let (early, late) = (sim.clone(), sim.clone());
    let prepare = Step::blocking("prepare", Effect::Pure, move |cx| {
        let issue: Issue = cx.input()?;
        say(early.now().wall, "prepared ", &issue.title);
        Ok(format!("<h1>{}</h1>", issue.title))
    });
    let publish = Step::blocking("publish", Effect::Unsafe, move |cx| {
        say(late.now().wall, "published", &cx.output::<String>("prepare")?);
        Ok(())
    });
    Ok(Job::new(name).step(prepare).step(publish.during(window)).build()?)
}
