//! One adapter for a dependency. Its breaker is kept in a store: each pass of the loop is a process of its own.

use std::sync::Arc;

use unattended::{breaker, call::Call, effect::Effect, fault::Fault, memory::Memory, retry, store::Store};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let store: Arc<dyn Store> = Arc::new(Memory::new());
    for process in 1..=4 {
        let api = Call::to("billing-api")
            .retry(retry::Policy::once())
            .breaker(breaker::Policy::cron())
            .effect(Effect::Idempotent)
            .persist(&store)
            .build()?;
        let answer = api.run_blocking(|_attempt| Err::<(), _>(Fault::transient("http.503")));
        if let Err(stopped) = answer {
            let text = stopped.to_string();
            println!(
                "process {process}: {} (exit code {})",
                text.split(" until").next().unwrap_or(&text),
                stopped.exit_code()
            );
        }
        api.flush_blocking()?;
    }
    Ok(())
}
