//! `supervise`: a command kept alive, or a person told.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread;
use std::time::Duration;

use serde::Serialize;

use crate::act::command::{Command, Contain, Stream};
use crate::act::notify::{Alerts, Sign, Signal};
use crate::act::shutdown::Shutdown;
use crate::act::supervise::{Ended, Event, Supervisor};
use crate::base::backoff::Backoff;
use crate::base::explain::Explain;
use crate::base::text::{self, about, rfc3339, second, shown};
use crate::base::time::{Timestamp, millis};
use crate::decide::alert::{Kind, Subject};
use crate::decide::restart::{Class, Evidence, Past, Policy};
use crate::operate::cli::failure::{Exit, Failure, Stop, chain};
use crate::operate::cli::print::{Table, plain};
use crate::operate::cli::session::{Need, Session};
use crate::operate::cli::shared;
use crate::remember::store::Store;

/// What was written and decided, and is not handed on yet.
const WAITING_MAX: usize = 64;
/// Failures within the window, unless it is said.
const FAILURES: u32 = 5;

/// What `supervise` takes.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = ABOUT)]
pub(super) struct Supervise {
    /// Under this name its failures are kept in the store, over restarts of the supervisor
    #[arg(long, value_name = "N")]
    name: Option<String>,

    /// A person is told at so many failures within the window, 1 to 1000 [default: 5, or 3 that are the same and quick]
    #[arg(long, value_name = "N")]
    max_failures: Option<u32>,

    /// How long the window is, such as 10m
    #[arg(long, value_name = "D", default_value = "10m", value_parser = text::duration)]
    window: Duration,

    /// The most that is waited before the first restart; it doubles each time
    #[arg(long, value_name = "D", default_value = "1s", value_parser = text::duration)]
    backoff: Duration,

    /// The most that is ever waited
    #[arg(long, value_name = "D", default_value = "60s", value_parser = text::duration)]
    backoff_max: Duration,

    /// How long it has to end when it is asked to, before it is killed
    #[arg(long, value_name = "D", default_value = "10s", value_parser = text::duration)]
    grace: Duration,

    /// With --name: its failures were seen to, and are forgotten; an escalation does not stand any longer
    #[arg(long, requires = "name")]
    clear: bool,

    /// What is kept alive
    #[arg(last = true, required = true, value_name = "CMD")]
    command: Vec<OsString>,
}

const ABOUT: &str = "\
It is begun again when it fails, each time later, until it ends well (exit code 0), fails with a code that says that trying
again cannot help (64, 65, 77, 78), or has failed too often; without --max-failures also until it has failed the same way
three times in a row, each within two seconds of its start. Exit code 0 if it ended well or was asked to end, 1 if a person is needed, with the evidence. With --name that
stands for as long as the window is: then it is not begun again before, unless --clear is given.

SIGTERM and SIGINT end it and all that it has started; the second one kills. Its output is handed through, to stderr with
--json, where stdout has an object for each decision: decision(restart|wait|escalate|stop) code why at; and last
state(well|stopped|escalated|shut_down) code why starts failures, each with at how uptime_ms tail.";

/// From the supervisor's thread.
enum Message {
    Written(Stream, Vec<u8>),
    Seen(Event),
}

pub(super) fn supervise(session: &mut Session<'_, '_>, asked: Supervise) -> Result<Exit, Stop> {
    let shutdown = Shutdown::on_signals()
        .map_err(|error| Failure::new(Exit::Failed, "supervise.no_signals", chain(&error)))?;
    let (sender, receiver) = mpsc::sync_channel(WAITING_MAX);
    let kept = match &asked.name {
        Some(name) => Some(Kept::open(session, name)?),
        None => None,
    };
    let mut supervisor = build(&asked, kept.as_ref(), sender)?;
    if asked.clear {
        supervisor.clear();
        tell_alerts(session, kept.as_ref(), &News::Well);
    }
    let stopped = shutdown.clone();
    // It holds the only senders: when it has ended, and is dropped, nothing more comes.
    let thread = thread::Builder::new().name(String::from("unattended-supervise"));
    let work = thread.spawn(move || supervisor.run_blocking(&stopped));
    let work = work.map_err(|error| Failure::new(Exit::Failed, "supervise.failed", error.to_string()))?;
    let mut heard = Heard::default();
    for message in &receiver {
        if let Err(stop) = heard.take(session, message) {
            // Whoever read has gone away: nobody is left to keep it alive for.
            shutdown.trigger();
            drain(&receiver);
            drop(work.join());
            return Err(stop);
        }
    }
    let ended =
        work.join().map_err(|_| Failure::new(Exit::Failed, "supervise.failed", "the supervisor panicked"))?;
    tell_alerts(session, kept.as_ref(), &news(&ended, &heard));
    last(session, &ended, heard)
}

fn drain(receiver: &Receiver<Message>) {
    receiver.iter().for_each(drop);
}

/// Where something with a name is kept.
struct Kept {
    name: String,
    store: Arc<dyn Store>,
    /// What runs, so that whoever comes after a supervisor that was killed does not run it twice.
    record: PathBuf,
}

impl Kept {
    fn open(session: &Session<'_, '_>, name: &str) -> Result<Self, Stop> {
        let store = session.store(Need::Create)?;
        let folder = session.shared_folder()?;
        shared::make(&folder).map_err(|error| {
            Failure::new(Exit::Failed, "supervise.failed", format!("{}: {error}", folder.display()))
        })?;
        Ok(Self { name: name.to_owned(), store, record: shared::file_for(&folder, "supervise", name) })
    }
}

fn build(asked: &Supervise, kept: Option<&Kept>, sender: SyncSender<Message>) -> Result<Supervisor, Stop> {
    let (Some(program), args) = (asked.command.first(), asked.command.iter().skip(1)) else {
        return Err(Failure::usage("there is no command after --").into());
    };
    let policy = match asked.max_failures {
        // Who says how often wants it so often, also where it is the same each time.
        Some(failures) => Policy::new().failures_max(failures, asked.window).same_unlimited(),
        None => Policy::new().failures_max(FAILURES, asked.window),
    };
    let policy = policy.backoff(Backoff::new(asked.backoff, asked.backoff_max)).build().map_err(|error| {
        Failure::usage(error.to_string())
            .hint("a longer --window, fewer --max-failures, or a shorter --backoff-max")
    })?;
    if asked.backoff > asked.backoff_max {
        let (given, most) = (text::exact(asked.backoff), text::exact(asked.backoff_max));
        return Err(Failure::usage(format!("--backoff is {given}, more than --backoff-max, {most}")).into());
    }
    let output = sender.clone();
    let command = Command::new(program.clone())
        .args(args.cloned())
        .contain(Contain::Subreaper)
        .escape_allowed()
        .on_output(move |stream, bytes| drop(output.send(Message::Written(stream, bytes.to_vec()))));
    let name = asked.name.clone().unwrap_or_else(|| program.to_string_lossy().into_owned());
    let command = match kept {
        Some(kept) if cfg!(target_os = "linux") => command.recorded(&kept.record),
        _ => command,
    };
    // The name of a program may be longer than what is kept under a name.
    let name = if asked.name.is_some() { name } else { text::head(&name, 100).to_owned() };
    let mut builder = Supervisor::new(name)
        .process(command)
        .policy(policy)
        .grace(asked.grace)
        .on_event(move |event| drop(sender.send(Message::Seen(event.clone()))));
    if let Some(kept) = kept {
        builder = builder.persist_in(&kept.store);
    }
    Ok(builder.build().map_err(|error| {
        use crate::act::supervise::Error;
        let message = chain(&error);
        match error {
            Error::Field { .. } | Error::Restart { .. } => Failure::usage(message),
            Error::Kept { .. } => Failure::new(Exit::Failed, "supervise.not_read", message),
            _ => Failure::new(Exit::Failed, "supervise.failed", message),
        }
    })?)
}

/// What was heard of it.
#[derive(Default)]
struct Heard {
    evidence: Option<Box<Evidence>>,
    /// The end that was seen last, of which some decisions say no instant.
    exits: Vec<Past>,
}

impl Heard {
    fn take(&mut self, session: &mut Session<'_, '_>, message: Message) -> Result<(), Stop> {
        match message {
            Message::Written(stream, bytes) => Ok(hand_on(session, stream, &bytes)?),
            Message::Seen(event) => {
                self.note(&event);
                tell(session, &event, self.exits.last().map(|past| past.at))
            }
        }
    }

    fn note(&mut self, event: &Event) {
        const KEPT: usize = crate::decide::restart::EXITS_MAX;
        match event {
            Event::Exited { past } => {
                if self.exits.len() >= KEPT {
                    self.exits.remove(0);
                }
                self.exits.push(past.clone());
            }
            Event::Escalated { evidence, .. } | Event::Stopped { evidence, .. } => {
                self.evidence = Some(evidence.clone());
            }
            _ => {}
        }
    }

    /// The failures: those of earlier supervisors too, where they are known.
    fn failures(&self) -> Vec<&Past> {
        let exits = self.evidence.as_ref().map_or(&self.exits, |evidence| &evidence.exits);
        exits.iter().filter(|past| matches!(past.class, Class::Failure | Class::Permanent)).collect()
    }
}

/// What it writes goes where it would have gone, and on at once; its standard output not where the answers go.
fn hand_on(session: &mut Session<'_, '_>, stream: Stream, bytes: &[u8]) -> io::Result<()> {
    let out = match stream {
        Stream::Stdout if !session.json() => &mut *session.io.out,
        _ => &mut *session.io.err,
    };
    out.write_all(bytes)?;
    out.flush()
}

fn tell(session: &mut Session<'_, '_>, event: &Event, exited: Option<Timestamp>) -> Result<(), Stop> {
    #[derive(Serialize)]
    struct Answer<'a> {
        decision: &'static str,
        code: &'static str,
        why: &'a str,
        at: String,
    }
    let decision = match event {
        Event::Restarting { .. } => Some("restart"),
        Event::Waiting { .. } | Event::Busy { .. } => Some("wait"),
        Event::Escalated { .. } => Some("escalate"),
        Event::Stopped { .. } | Event::ShutDown => Some("stop"),
        _ => None,
    };
    let why = event.to_string();
    if let (true, Some(decision)) = (session.json(), decision) {
        let at = match event {
            Event::Restarting { at, .. } | Event::Waiting { at, .. } => *at,
            Event::ShutDown => session.host.clock.now().wall,
            _ => exited.unwrap_or_else(|| session.host.clock.now().wall),
        };
        session.object(&Answer { decision, code: event.code(), why: &why, at: rfc3339(at) })?;
        return Ok(session.io.out.flush()?);
    }
    let is_trouble = decision.is_some() || matches!(event, Event::NotKept { .. } | Event::Hung { .. });
    if !session.json() && (is_trouble || session.global.verbose) || matches!(event, Event::NotKept { .. }) {
        let program = &session.host.program;
        writeln!(session.io.err, "{program}: {}", plain(&why).0)?;
    }
    Ok(())
}

/// What those who are paged have to know.
enum News {
    /// It was given up.
    GivenUp {
        code: &'static str,
        why: String,
        tail: String,
        again: bool,
    },
    /// It is well, or somebody has seen to it.
    Well,
    Nothing,
}

fn news(ended: &Ended, heard: &Heard) -> News {
    let (code, why) = match ended {
        Ended::Escalated { why, .. } => (why.code(), why.to_string()),
        Ended::Stopped { why, .. } => (why.code(), why.to_string()),
        Ended::Well { .. } => return News::Well,
        Ended::Shutdown => return News::Nothing,
    };
    let tail = heard.failures().last().map_or_else(String::new, |past| past.tail.clone());
    // An escalation of an earlier supervisor that still stands is no other one.
    News::GivenUp { code, why, tail, again: !heard.exits.is_empty() }
}

/// Writes into the store what `tick` sends. That it cannot be written is said, and changes nothing else.
fn tell_alerts(session: &mut Session<'_, '_>, kept: Option<&Kept>, news: &News) {
    let Some(Kept { name, store, .. }) = kept else { return };
    let (subject, now) = (Subject::job(name), session.host.clock.now());
    let told =
        Alerts::new(Arc::clone(store)).program(&session.host.program).build().and_then(|alerts| match news {
            News::GivenUp { code, why, tail, again } => {
                let signal = Signal::new(subject, Kind::Escalated, *code, why, now.wall).tail(tail);
                let raised = if *again {
                    alerts.raise_blocking(&signal, now)
                } else {
                    alerts.stands_blocking(&signal, now)
                };
                raised.map(drop)
            }
            News::Well => alerts.healthy_blocking(&subject, Sign::Kind(Kind::Escalated), now).map(drop),
            News::Nothing => Ok(()),
        });
    if let Err(error) = told {
        let said = plain(&chain(&error)).0;
        drop(writeln!(session.io.err, "{}: the alert cannot be written: {said}", session.host.program));
    }
}

fn last(session: &mut Session<'_, '_>, ended: &Ended, heard: Heard) -> Result<Exit, Stop> {
    #[derive(Serialize)]
    struct Answer<'a> {
        state: &'static str,
        code: &'static str,
        why: String,
        failures: Vec<Failed<'a>>,
    }
    #[derive(Serialize)]
    struct Failed<'a> {
        at: String,
        how: String,
        uptime_ms: u64,
        tail: &'a str,
    }
    let (state, code, why, exit) = match ended {
        Ended::Well { why } => ("well", why.code(), why.to_string(), Exit::Done),
        Ended::Stopped { why, .. } => ("stopped", why.code(), why.to_string(), Exit::Failed),
        Ended::Escalated { why, .. } => ("escalated", why.code(), why.to_string(), Exit::Failed),
        Ended::Shutdown => ("shut_down", Event::ShutDown.code(), Event::ShutDown.to_string(), Exit::Done),
    };
    let failures = heard.failures();
    if session.json() {
        let failures = failures.iter().map(|past| Failed {
            at: rfc3339(past.at),
            how: past.how.to_string(),
            uptime_ms: millis(past.uptime),
            tail: &past.tail,
        });
        session.object(&Answer { state, code, why, failures: failures.collect() })?;
        return Ok(exit);
    }
    if exit != Exit::Done {
        evidence(session, &failures)?;
    }
    Ok(exit)
}

/// What a person needs to see of what went wrong.
fn evidence(session: &mut Session<'_, '_>, failures: &[&Past]) -> Result<(), Stop> {
    let mut table = Table::default();
    for past in failures {
        let line = past.tail.lines().last().unwrap_or_default();
        let (how, up) = (past.how.to_string(), format!("after {}", about(past.uptime)));
        table.row([plain(&second(past.at).to_string()), plain(&how), plain(&up), plain(&shown(line))]);
    }
    table.write(session.io.err)?;
    Ok(())
}
