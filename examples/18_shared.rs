//! Two workers share one breaker and one quota through a store. Here they are two adapters; on a file, two processes.

use std::sync::Arc;
use std::time::Duration;

use unattended::call::{Call, StoreDown};
use unattended::{breaker, effect::Effect, fault::Fault, memory::Memory, quota::Quota, retry, store::Store};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let store: Arc<dyn Store> = Arc::new(Memory::new());
    let worker = || -> Result<Call, Box<dyn std::error::Error>> {
        Ok(Call::to("billing-api")
            .retry(retry::Policy::once().inline_wait_max(Duration::ZERO))
            .breaker(breaker::Policy::cron())
            .quota(Quota::per_day(4)?)
            .effect(Effect::Idempotent)
            .share(&store, StoreDown::Local)
            .build()?)
    };
    let (one, two) = (worker()?, worker()?);
    for (name, call) in [("one", &one), ("two", &two), ("one", &one), ("two", &two)] {
        let answer = call.run_blocking(|_attempt| Err::<(), _>(Fault::transient("http.503")));
        println!("{name}: {}", answer.map_or_else(|stopped| stopped.code(), |()| "ok"));
    }
    one.breaker().close(unattended::time::Clock::now(&unattended::time::System));
    one.flush_blocking()?;
    for (name, call) in [("two", &two), ("one", &one)] {
        let answer = call.run_blocking(|_attempt| Ok::<_, Fault>(()));
        println!("{name}: {}", answer.map_or_else(|stopped| stopped.code(), |()| "ok"));
    }
    Ok(())
}
