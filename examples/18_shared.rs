//! Two workers share one breaker and one quota through a store. Here they are two adapters; on a file, two processes.

use std::sync::Arc;
use unattended::call::{Call, Stopped, StoreDown};
use unattended::time::{Clock, System};
use unattended::{breaker, effect::Effect, fault::Fault, memory::Memory, quota::Quota, retry, store::Store};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let store: Arc<dyn Store> = Arc::new(Memory::new());
    let worker = || -> Result<Call, Box<dyn std::error::Error>> {
        Ok(Call::to("billing-api")
            .retry(retry::Policy::once())
            .breaker(breaker::Policy::cron())
            .quota(Quota::per_day(4)?)
            .effect(Effect::Pure)
            .share(&store, StoreDown::Local)
            .build()?)
    };
    let (one, two) = (worker()?, worker()?);
    let say = |name, answer: Result<(), Stopped<Fault>>| {
        println!("{name}: {}", answer.map_or_else(|stopped| stopped.code(), |()| "ok"))
    };
    for (name, call) in [("one", &one), ("two", &two), ("one", &one), ("two", &two)] {
        say(name, call.run_blocking(|_| Err(Fault::transient("http.503"))));
    }
    one.breaker().close(System.now());
    one.flush_blocking()?;
    let _said = [("two", &two), ("one", &one)].map(|(name, call)| say(name, call.run_blocking(|_| Ok(()))));
    Ok(())
}
