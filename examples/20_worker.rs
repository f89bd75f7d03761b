//! A worker takes runs from a queue by their rank, one at a time, and ends when it is asked to.

use std::sync::Arc;
use unattended::effect::Effect;
use unattended::job::{Job, Terms};
use unattended::{blocking::block_on, memory::Memory, pipeline::Step, runs::Runs, store::Store};
use unattended::{shutdown::Shutdown, worker::Worker};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (store, shutdown): (Arc<dyn Store>, _) = (Arc::new(Memory::new()), Shutdown::new());
    let last = shutdown.clone();
    let step = Step::blocking("resize", Effect::Idempotent, move |cx| {
        match cx.input::<String>()?.as_str() {
            "end" => println!("asked to end: {:?}", last.trigger()),
            photo => println!("resized {photo}"),
        }
        Ok(())
    });
    let job = Job::new("photos").step(step).build()?;
    for (rank, photo) in [(1, "holiday.jpg"), (9, "passport.jpg"), (5, "wedding.jpg"), (0, "end")] {
        drop(job.submit_blocking(&store, photo, &Terms { rank, ..Terms::default() })?);
    }
    let worker = Worker::new(Arc::clone(&store)).job(job).concurrency(1).build()?;
    println!("{}", worker.run_blocking(&shutdown));
    for run in block_on(Runs::new(store).list(&Default::default(), 9, None))?.0 {
        println!("  {} {}", run.state(), run.body.input);
    }
    Ok(())
}
