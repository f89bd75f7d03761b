//! A big input stays outside the store: the run has its path and its hash, and reads those bytes or none.

use std::sync::Arc;

use unattended::payload::{Error, PayloadRef};
use unattended::{effect::Effect, job::Job, memory::Memory, pipeline::Step, store::Store};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let base = folder.path().to_owned();
    let job = Job::new("count")
        .step(Step::blocking("lines", Effect::Pure, move |cx| {
            let text = cx.input::<PayloadRef>()?.read(&base, 16 << 20)?;
            Ok(text.split(|byte| *byte == b'\n').count() - 1)
        }))
        .build()?;
    let store: Arc<dyn Store> = Arc::new(Memory::new());

    let payload = PayloadRef::put(folder.path(), "a line\n".repeat(100_000))?;
    println!("the run's input: {}", serde_json::to_string(&payload)?);
    let run = job.run_once_blocking(&store, &payload)?.run.ok_or("no run")?;
    println!("{}: {} bytes were read", run.record.state, payload.bytes());

    std::fs::write(folder.path().join(payload.path()), "another line\n".repeat(100_000))?;
    if let Err(Error::Changed { bytes_expected, bytes_found, .. }) = payload.verify(folder.path()) {
        println!("changed: {bytes_found} bytes instead of {bytes_expected}");
    }
    Ok(())
}
