//! A job of three steps whose middle fails once: it resumes there, and never repeats what is done.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use unattended::{blocking::block_on, effect::Effect, job::Job, memory::Memory, pipeline::Step};
use unattended::{fault::Fault, pipeline::StepError, runs::Runs, store::Store};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let tries = AtomicU32::new(0);
    let job = Job::new("report")
        .step(Step::blocking("fetch", Effect::Pure, |_| Ok(vec![3, 1, 2])))
        .step(Step::blocking("send", Effect::Idempotent, move |cx| {
            match tries.fetch_add(1, Ordering::Relaxed) {
                0 => Err(StepError::new(Fault::permanent("smtp.no_such_user"), "550 no such user")),
                _ => Ok(cx.output::<Vec<u32>>("fetch")?.len()),
            }
        }))
        .step(Step::blocking("archive", Effect::Idempotent, |_| Ok(())))
        .build()?;
    let store: Arc<dyn Store> = Arc::new(Memory::new());
    let first = job.run_once_blocking(&store, "monday")?.run.ok_or("no run")?;
    block_on(Runs::new(Arc::clone(&store)).requeue(first.id(), "operator:ada", first.record.updated_at))?;
    job.work_off_blocking(&store)?;
    for event in block_on(Runs::new(store).history(first.id(), 0, 100))? {
        println!("  {:<18} {} {}", event.event.code, event.event.step.unwrap_or_default(), event.event.to);
    }
    Ok(())
}
