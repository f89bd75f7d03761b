//! The real server, a real client, real time: five engines side by side, one of which meets silence.

use std::error::Error;
use std::fmt;
use std::io::Write;
use std::sync::Mutex;
use std::time::Duration;

use unattended::backoff::Jitter;
use unattended::call::{self, Call, Stopped};
use unattended::effect::Effect;
use unattended::retry::{self, Timeline};
use unattended::testing::faults::{Hostile, Reply};
use unattended::time::{Clock, System};

use crate::tasks::Dependency;

/// How long nothing comes on a connection: what a client without a time-out waits for.
const SILENCE: Duration = Duration::from_secs(30);
/// How long an attempt may take.
pub(crate) const ATTEMPT: Duration = Duration::from_millis(500);
/// How long a client waits that does not heed what it is told.
pub(crate) const OWN: Duration = Duration::from_millis(800);
/// How many calls an engine makes.
const CALLS: u32 = 4;
/// Who does not answer.
const SILENT: Dependency = Dependency::Transcoder;

/// What one engine met.
#[derive(Debug)]
pub(crate) struct Met {
    pub(crate) engine: Dependency,
    pub(crate) took: Duration,
    /// How its first call ended that did not succeed.
    pub(crate) stopped: Option<Box<Stopped<reqwest::Error>>>,
}

/// What was not as it should be.
#[derive(Debug)]
pub(crate) struct Violated(String);

impl fmt::Display for Violated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Violated {}

pub(crate) fn print(out: &mut dyn Write) -> Result<(), Box<dyn Error>> {
    writeln!(
        out,
        "\nNow, on a real server: five engines side by side, {} says nothing for {SILENCE:?}, an attempt may take {ATTEMPT:?}.",
        SILENT.name()
    )?;
    let faces: [(&str, Face); 3] = [
        ("Call::run, a future: cut", futures),
        ("Call::run_on_thread: left behind", threads),
        ("Call::run_blocking, with a client that waits 800 ms whatever it is told: overrun", blocking),
    ];
    for (name, face) in faces {
        let met = face()?;
        writeln!(out, "{name}")?;
        for Met { engine, took, stopped } in &met {
            let how = stopped.as_ref().map_or_else(|| format!("{CALLS} calls done"), ToString::to_string);
            writeln!(out, "  {:<12} {how}, after {:.1} s", engine.name(), took.as_secs_f64())?;
            if let Some(stopped) = stopped {
                timeline(out, stopped.attempts())?;
            }
        }
        not_delayed(&met)?;
    }
    Ok(())
}

/// Runs the five engines in one way.
type Face = fn() -> Result<Vec<Met>, Box<dyn Error>>;

fn timeline(out: &mut dyn Write, attempts: &Timeline) -> std::io::Result<()> {
    for tried in attempts.iter() {
        write!(out, "      attempt {}: {} ({})", tried.number, tried.code, tried.class)?;
        if let Some(took) = tried.duration {
            write!(out, ", took {:.1} s", took.as_secs_f64())?;
        }
        if let Some(overrun) = tried.overrun {
            write!(out, ", {:.1} s more than it was given", overrun.as_secs_f64())?;
        }
        if let Some(delay) = tried.delay {
            write!(out, ", then a wait of {delay:?}")?;
        }
        writeln!(out)?;
    }
    Ok(())
}

/// One engine was stopped, and every other one was done before it.
pub(crate) fn not_delayed(met: &[Met]) -> Result<(), Violated> {
    let (silent, others): (Vec<&Met>, Vec<&Met>) = met.iter().partition(|met| met.engine == SILENT);
    for silent in silent {
        if silent.stopped.is_none() || silent.took >= SILENCE {
            return Err(Violated(format!("{} was not cut: {silent:?}", SILENT.name())));
        }
        for other in &others {
            if other.stopped.is_some() || other.took >= silent.took {
                return Err(Violated(format!("{} was delayed: {other:?}", other.engine.name())));
            }
        }
    }
    Ok(())
}

fn server() -> std::io::Result<Hostile> {
    let silent = format!("/{}", SILENT.name());
    Hostile::answering(move |request| {
        if request.path == silent { Reply::silence(SILENCE) } else { Reply::ok(r#"{"ok": true}"#) }
    })
}

fn call_to(engine: Dependency) -> Result<Call, call::Error> {
    let twice = |strategy: retry::Strategy| {
        strategy
            .attempts_max(2)
            .delay_base(Duration::from_millis(50))
            .delay_min(Duration::ZERO)
            .jitter(Jitter::None)
    };
    Call::to(engine.name())
        .cron()
        .retry(retry::Policy::cron().transient(twice))
        .attempt_timeout(ATTEMPT)
        .effect(Effect::Pure)
        .build()
}

/// Each engine is a future on one thread.
pub(crate) fn futures() -> Result<Vec<Met>, Box<dyn Error>> {
    let server = server()?;
    let client = reqwest::Client::builder().no_proxy().build()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let engine = async |engine: Dependency| {
        let (call, began) = (call_to(engine)?, System.moment());
        let url = server.url(&format!("/{}", engine.name()));
        let mut stopped = None;
        for _ in 0..CALLS {
            let called = call.run(async |_attempt| client.get(&url).send().await?.bytes().await).await;
            stopped = called.err().map(Box::new);
            if stopped.is_some() {
                break;
            }
        }
        Ok::<_, call::Error>(Met { engine, took: System.moment().since(began), stopped })
    };
    let [feed, media, transcoder, upload, notifier] = Dependency::ALL.map(engine);
    let met = runtime.block_on(async { tokio::join!(feed, media, transcoder, upload, notifier) });
    Ok(vec![met.0?, met.1?, met.2?, met.3?, met.4?])
}

/// Each attempt is on a thread of its own, with a client that has no time-out at all.
pub(crate) fn threads() -> Result<Vec<Met>, Box<dyn Error>> {
    let server = server()?;
    let client = reqwest::blocking::Client::builder().no_proxy().timeout(None).build()?;
    side_by_side(|engine, call| {
        let (client, url) = (client.clone(), server.url(&format!("/{}", engine.name())));
        call.run_on_thread(move |_attempt| client.get(&url).send()?.bytes()).map(drop)
    })
}

/// The attempt is told what it has, and its client does not heed it.
pub(crate) fn blocking() -> Result<Vec<Met>, Box<dyn Error>> {
    let server = server()?;
    let client = reqwest::blocking::Client::builder().no_proxy().timeout(OWN).build()?;
    let told = Mutex::new(Vec::new());
    let met = side_by_side(|engine, call| {
        let url = server.url(&format!("/{}", engine.name()));
        let ask = |attempt: retry::Attempt| {
            if let Ok(mut told) = told.lock() {
                told.push(attempt.remaining());
            }
            client.get(&url).send()?.bytes()
        };
        call.run_blocking(ask).map(drop)
    })?;
    let told = told.into_inner()?;
    if told.iter().any(|remaining| *remaining != ATTEMPT) {
        return Err(Violated(format!("the remaining time was not handed over: {told:?}")).into());
    }
    Ok(met)
}

/// Each engine is a thread, which makes its calls by `ask`.
fn side_by_side(
    ask: impl Fn(Dependency, &Call) -> Result<(), Stopped<reqwest::Error>> + Sync,
) -> Result<Vec<Met>, Box<dyn Error>> {
    let engine = |engine: Dependency| {
        let (call, began) = (call_to(engine)?, System.moment());
        let stopped = (0..CALLS).find_map(|_| ask(engine, &call).err()).map(Box::new);
        Ok::<_, call::Error>(Met { engine, took: System.moment().since(began), stopped })
    };
    std::thread::scope(|scope| {
        let threads = Dependency::ALL.map(|dependency| scope.spawn(move || engine(dependency)));
        let met = threads.map(|thread| thread.join().map_err(|_| Violated("an engine panicked".into())));
        met.into_iter().map(|met| Ok(met??)).collect()
    })
}
