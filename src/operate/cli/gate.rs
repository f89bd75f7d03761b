//! `gate`: whether the machine is ready.

use std::ffi::{OsStr, OsString};
use std::time::Duration;

use serde::Serialize;

use crate::act::readiness;
use crate::base::explain::Explain;
use crate::base::text;
use crate::base::time::{Clock, SleepBlocking, System};
use crate::decide::gate::{Bound, Closed, Decision, Policy, Reading, Signal, Why};
use crate::operate::cli::failure::{Exit, Failure, Stop};
use crate::operate::cli::print::{Facts, plain};
use crate::operate::cli::session::Session;

/// How long it is looked without a wait, for what takes two looks.
const LOOKS: Duration = Duration::from_secs(2);
/// For how long all has to be good after a wait, unless it is said.
const DWELL: Duration = Duration::from_secs(30);

/// What `gate` takes.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = ABOUT)]
pub(super) struct Gate {
    /// All of it as one text, such as cpu:50,mem:75,disk:/var:10GiB,mounted:/data
    spec: Option<String>,

    /// Closed when the processors are busier than this, in percent
    #[arg(long, value_name = "P")]
    cpu_max: Option<String>,

    /// Closed when more of the memory is used, in percent
    #[arg(long, value_name = "P")]
    mem_max: Option<String>,

    /// Closed when work stands still for want of memory for more of the time, in percent
    #[arg(long, value_name = "P")]
    psi_max: Option<String>,

    /// Closed when less is free there: /var:10GiB or /var:10%
    #[arg(long, value_name = "PATH:SIZE")]
    disk_free: Vec<OsString>,

    /// Closed unless something is mounted there
    #[arg(long, value_name = "PATH")]
    mounted: Vec<OsString>,

    /// Closed unless there is something at this path
    #[arg(long, value_name = "PATH")]
    exists: Vec<OsString>,

    /// Closed unless this port answers: localhost:5432
    #[arg(long, value_name = "HOST:PORT")]
    port: Vec<String>,

    /// Wait for it to open, for at most so long, such as 90s or 2h
    #[arg(long, value_name = "D", value_parser = text::duration)]
    wait: Option<Duration>,
}

const ABOUT: &str = "\
Exit code 0 if it is open, 75 if it is closed, also after a wait. With --json: state(open|closed) signal value limit why code,
where signal, value and limit are those of what is in the way, null while it is open.
Without any limit it is closed when memory is about to run out (mem:90/80,psi:20/10). A limit may have two numbers, one to
close at and one to open at: 90/80. After a wait all must have been good for 30s, or a quarter of --wait if that is less;
dwell:10s in the text says otherwise. What cannot be read keeps it closed, but for psi.";

pub(super) fn gate(session: &mut Session<'_, '_>, asked: Gate) -> Result<Exit, Stop> {
    let wait = asked.wait;
    let policy = policy_of(asked)?;
    let gate = readiness::Gate::new(policy);
    let mut decision = look(&gate);
    if let (Some(limit), Decision::Closed(closed)) = (wait, &decision) {
        let said = plain(&closed.to_string()).0;
        writeln!(session.io.err, "not now: {said}; waiting for at most {}", text::exact(limit))?;
        session.io.err.flush()?;
        decision = gate.wait_blocking(limit);
    }
    tell(session, &decision)
}

/// Looks until all is measured: how busy the processors are takes two looks.
fn look(gate: &readiness::Gate) -> Decision {
    let begun = System.moment();
    loop {
        let now = System.now();
        let decision = gate.ask(now);
        match &decision {
            Decision::Closed(Closed { why: Why::Measuring { due }, .. })
                if now.moment.since(begun) < LOOKS =>
            {
                System.sleep_blocking(*due);
            }
            _ => return decision,
        }
    }
}

fn tell(session: &mut Session<'_, '_>, decision: &Decision) -> Result<Exit, Stop> {
    #[derive(Serialize)]
    struct Answer {
        state: &'static str,
        signal: Option<String>,
        value: serde_json::Value,
        limit: serde_json::Value,
        why: String,
        code: &'static str,
    }
    let (state, exit) = match decision {
        Decision::Open { .. } => ("open", Exit::Done),
        Decision::Closed(_) | Decision::GivenUp(_) => ("closed", Exit::NotNow),
    };
    let closed = decision.closed();
    let (why, code) = (decision.to_string(), decision.code());
    if session.json() {
        let answer = Answer {
            state,
            signal: closed.map(|closed| name(&closed.signal)),
            value: closed.map_or(serde_json::Value::Null, |closed| value(&closed.value)),
            limit: closed.map_or(serde_json::Value::Null, limit),
            why,
            code,
        };
        return session.object(&answer).map(|()| exit);
    }
    let paint = session.paint();
    let mut facts = Facts::default();
    facts.painted("state", if closed.is_none() { paint.good(state) } else { paint.bad(state) });
    facts.text("why", &why);
    facts.write(session.out(), paint)?;
    Ok(exit)
}

/// All that was said, as the text of one policy.
fn policy_of(asked: Gate) -> Result<Policy, Failure> {
    let mut items = Vec::new();
    for (name, given) in [("cpu", asked.cpu_max), ("mem", asked.mem_max), ("psi", asked.psi_max)] {
        items.extend(given.map(|given| match given.trim().trim_end_matches('%') {
            // Nothing is above all of it, and what is at it is not.
            "100" => format!("{name}:100/99.9"),
            _ => format!("{name}:{given}"),
        }));
    }
    for disk in &asked.disk_free {
        let disk = said("--disk-free", disk)?;
        let Some((path, size)) = disk.rsplit_once(':') else {
            let message = format!("--disk-free: {disk:?} is no path, colon and size");
            return Err(Failure::usage(message).hint("such as /var:10GiB or /var:10%"));
        };
        items.push(format!("disk:{}:{size}", escaped(path)));
    }
    for path in &asked.mounted {
        items.push(format!("mounted:{}", escaped(said("--mounted", path)?)));
    }
    for path in &asked.exists {
        items.push(format!("exists:{}", escaped(said("--exists", path)?)));
    }
    items.extend(asked.port.iter().map(|port| format!("answers:{}", escaped(port))));
    let dwells =
        asked.spec.as_ref().is_some_and(|spec| spec.split(',').any(|item| item.trim().starts_with("dwell:")));
    items.extend(asked.spec);
    if items.is_empty() {
        items.push(String::from("mem:90/80,psi:20/10"));
    }
    if !dwells {
        let dwell = asked.wait.map_or(DWELL, |wait| DWELL.min(wait / 4)).max(Duration::from_millis(1));
        items.push(format!("dwell:{}", text::exact(dwell)));
    }
    let policy: Policy = items.join(",").parse().map_err(|error: crate::decide::gate::ParseError| {
        Failure::usage(error.to_string()).hint("such as cpu:50,mem:75,disk:/var:10GiB,mounted:/data")
    })?;
    if let Some(custom) = policy.limits().iter().find(|limit| matches!(limit.signal(), Signal::Custom(_))) {
        let message = format!("{}: only the application itself can say that", name(custom.signal()));
        return Err(Failure::usage(message).hint("ask with --exists, --port or --mounted instead"));
    }
    Ok(policy)
}

/// A path as the text of a policy can say it.
fn said<'a>(option: &str, path: &'a OsStr) -> Result<&'a str, Failure> {
    path.to_str().ok_or_else(|| {
        Failure::usage(format!("{option} is {path:?}, allowed is a path in UTF-8"))
            .hint("a link to it that has another name can be asked about")
    })
}

/// A path or an address as it stands in the text of a policy.
fn escaped(text: &str) -> String {
    let mut escaped = text.replace('%', "%25").replace(',', "%2C");
    for (mark, code) in [('?', "%3F"), ('!', "%21")] {
        if escaped.ends_with(mark) {
            escaped.pop();
            escaped.push_str(code);
        }
    }
    escaped
}

/// A signal as it is written in the text of a policy, without its limit.
fn name(signal: &Signal) -> String {
    match signal {
        Signal::Cpu => String::from("cpu"),
        Signal::Memory => String::from("mem"),
        Signal::Swap => String::from("swap"),
        Signal::LoadPerCore => String::from("load"),
        signal if *signal == Signal::memory_pressure() => String::from("psi"),
        Signal::Pressure { resource, kind, span } => {
            format!("psi:{resource:?}:{kind:?}:{span:?}").to_lowercase()
        }
        Signal::DiskFreeBytes(path) | Signal::DiskFreePercent(path) => format!("disk:{}", path.display()),
        Signal::Mounted(path) => format!("mounted:{}", path.display()),
        Signal::Exists(path) => format!("exists:{}", path.display()),
        Signal::Answers(address) => format!("answers:{address}"),
        Signal::Custom(name) => format!("custom:{name}"),
    }
}

fn value(reading: &Reading) -> serde_json::Value {
    match reading {
        Reading::Number(number) => (*number).into(),
        Reading::Is(is) => (*is).into(),
        Reading::Measuring(_) | Reading::Missing(_) => serde_json::Value::Null,
    }
}

/// The number that it is compared with: where it is only waited until it opens, the one at which it does.
fn limit(closed: &Closed) -> serde_json::Value {
    match closed.limit {
        Bound::Above { close, open } | Bound::Below { close, open } => match closed.why {
            Why::NotYetGood => open.into(),
            _ => close.into(),
        },
        Bound::Yes => true.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_arrive_as_they_are() {
        for path in ["/data", "/a,b", "/50%", "/really?", "/now!", "/a:b"] {
            let policy: Policy = format!("mounted:{}", escaped(path)).parse().unwrap();
            assert_eq!(policy.limits().first().unwrap().signal(), &Signal::Mounted(path.into()));
        }
    }

    #[test]
    fn signals_are_named_as_they_are_written() {
        let policy: Policy =
            "cpu:50,mem:75,disk:/var:10GiB,mounted:/data,psi:20,psi:io:full:avg60:10".parse().unwrap();
        let names: Vec<String> = policy.limits().iter().map(|limit| name(limit.signal())).collect();
        assert_eq!(names, ["cpu", "mem", "disk:/var", "mounted:/data", "psi", "psi:io:full:avg60"]);
    }
}
