//! `unit`: a service and a timer of systemd from the library's own policies.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use crate::act::systemd::{Error, Kind, Restarts, Service, Timer, Units};
use crate::base::text;
use crate::decide::{restart, schedule};
use crate::operate::cli::failure::{Exit, Failure, Stop, chain};
use crate::operate::cli::print::plain;
use crate::operate::cli::schedule::{times_of, zone_of};
use crate::operate::cli::session::{Session, quoted};

/// What the tool's own verbs mean by 1: it was given up, and a person is needed. Then what cannot be mended by trying again.
const NOT_AGAIN: [i32; 5] = [1, 64, 65, 77, 78];
/// The fewest words of a cron expression; a calendar event of systemd has fewer.
const CRON_WORDS: usize = 5;

/// What `unit` takes.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = ABOUT)]
pub(super) struct Unit {
    /// Its name, without an ending
    #[arg(long, value_name = "N")]
    name: String,

    /// What it runs, as one text: a program and its arguments, quoted where there are spaces in them; no shell
    #[arg(long, value_name = "CMD")]
    exec: String,

    /// When: a calendar event of systemd.time(7) such as 'Mon..Fri 06:30 Europe/Paris', or a cron expression
    #[arg(long, value_name = "C", conflicts_with = "every")]
    on_calendar: Option<String>,

    /// How often, such as 15m
    #[arg(long, value_name = "D", value_parser = text::duration)]
    every: Option<Duration>,

    /// Whose clocks a cron expression is read on
    #[arg(long, value_name = "ZONE", default_value = "utc", requires = "on_calendar")]
    tz: String,

    /// Run it by `exec` under this name: unsafe, pure, idempotent or verify:CMD
    #[arg(long, value_name = "EFFECT", value_parser = effect)]
    effect: Option<String>,

    /// The user that it runs as [default: root]
    #[arg(long, value_name = "U")]
    user: Option<String>,

    /// What it is, for people
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,

    /// Write the units into this folder
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,

    /// With --dir: also in the place of units that say something else
    #[arg(long, requires = "dir")]
    force: bool,
}

const ABOUT: &str = "\
With a time it is a job (Type=oneshot) that its timer starts, without one a service that goes on (Type=exec) and is begun
again when it fails. In both 75 (not now) is a success, and 1, 64, 65, 77 and 78 (given up, or not to be mended by trying
again) are never begun again. With --json: service and timer as text, timer null where there is none, and files, what was
written.";

fn effect(given: &str) -> Result<String, String> {
    let known = matches!(given, "unsafe" | "pure" | "idempotent")
        || given.strip_prefix("verify:").is_some_and(|command| !command.is_empty());
    if known {
        Ok(given.to_owned())
    } else {
        Err(String::from("allowed is unsafe, pure, idempotent or verify:CMD"))
    }
}

pub(super) fn unit(session: &mut Session<'_, '_>, asked: Unit) -> Result<Exit, Stop> {
    #[derive(Serialize)]
    struct Answer<'a> {
        service: &'a str,
        timer: Option<&'a str>,
        files: Vec<String>,
    }
    let mut units = units_of(session, &asked)?;
    for key in [("SuccessExitStatus", "75"), ("RestartPreventExitStatus", "1 64 65 77 78")] {
        say(&mut units.service.text, key);
    }
    let written = match &asked.dir {
        Some(folder) => write(&units, folder, asked.force)?,
        None => Vec::new(),
    };
    let findings: Vec<String> = units.lint().iter().map(ToString::to_string).collect();
    if session.json() {
        let timer = units.timer.as_ref().map(|timer| timer.text.as_str());
        let files = written.iter().map(|path| path.display().to_string()).collect();
        session.object(&Answer { service: &units.service.text, timer, files })?;
    } else {
        show(session, &units, &written)?;
    }
    for finding in findings {
        writeln!(session.io.err, "note: {}", plain(&finding).0)?;
    }
    Ok(Exit::Done)
}

fn units_of(session: &Session<'_, '_>, asked: &Unit) -> Result<Units, Stop> {
    let mut words = words_of(&asked.exec)?;
    absolute(&mut words)?;
    if let Some(effect) = &asked.effect {
        let program = std::env::current_exe().map_err(|error| {
            Failure::new(Exit::Failed, "unit.program", format!("where is this program? {error}"))
        })?;
        let mut wrapped = vec![program.display().to_string(), String::from("exec")];
        if let Some(store) = &session.global.store {
            // What is no store is none in the unit either.
            session.place()?;
            let text = store.to_str().ok_or_else(|| {
                Failure::usage("--store is not UTF-8, which a unit cannot say")
                    .hint("give the store by UNATTENDED_STORE")
            })?;
            wrapped.extend([String::from("--store"), text.to_owned()]);
        }
        wrapped.extend(["--name", &asked.name, "--effect", effect, "--"].map(str::to_owned));
        wrapped.append(&mut words);
        words = wrapped;
    }
    let timer = match (&asked.on_calendar, asked.every) {
        (Some(event), _) => Some(calendar(event, &asked.tz)?),
        (None, Some(period)) => Some(every(period)?),
        (None, None) => None,
    };
    let mut service = Service::new(&asked.name, words).kind(match &timer {
        Some(_) => Kind::Oneshot,
        None => Kind::Exec,
    });
    if let Some(user) = &asked.user {
        service = service.user(user);
    }
    if asked.effect.is_some() && session.global.store.is_none() {
        // Where the tool looks for its store. The machine's own belongs to root, and stays so.
        service = service.state(if asked.user.is_some() { &*asked.name } else { "unattended" });
    }
    if let Some(description) = &asked.description {
        service = service.description(description);
    }
    service = match timer {
        // The next time is the next try, and `exec` tries again by itself.
        Some(timer) => service.timer(timer),
        // What is not to be run twice is not, whoever would.
        None if asked.effect.as_deref() == Some("unsafe") => service,
        None => service.restart(&Restarts::of(&restart::Policy::new()).permanent(NOT_AGAIN)),
    };
    Ok(service.build().map_err(|error| wrong(&error))?)
}

fn wrong(error: &Error) -> Failure {
    match error {
        Error::Write { .. } => Failure::new(Exit::Failed, "unit.not_written", chain(error)),
        _ => Failure::usage(chain(error)),
    }
}

fn calendar(event: &str, tz: &str) -> Result<Timer, Failure> {
    if event.split_whitespace().count() < CRON_WORDS {
        return Ok(Timer::on_calendar(event));
    }
    let times = times_of(event, zone_of(tz)?)?;
    Timer::of(&times, &schedule::Policy::new()).map_err(|error| wrong(&error))
}

fn every(period: Duration) -> Result<Timer, Failure> {
    let times =
        schedule::Schedule::every(period).map_err(|error| Failure::usage(format!("--every: {error}")))?;
    Timer::of(&times, &schedule::Policy::new()).map_err(|error| wrong(&error))
}

/// Adds a line to the section of the service, unless it says that already.
fn say(unit: &mut String, (key, value): (&str, &str)) {
    if unit.contains(&format!("\n{key}=")) {
        return;
    }
    let after = "\nTimeoutStartSec=";
    match unit.find(after) {
        Some(at) => unit.insert_str(at, &format!("\n{key}={value}")),
        None => unit.push_str(&format!("{key}={value}\n")),
    }
}

/// Writes them, each whole or not at all; what says something else stands.
fn write(units: &Units, folder: &Path, force: bool) -> Result<Vec<PathBuf>, Failure> {
    for unit in units.all() {
        let path = folder.join(&unit.file_name);
        match fs::read(&path) {
            Ok(there) if there == unit.text.as_bytes() || force => {}
            Ok(_) => {
                let message = format!("{} is there and says something else", path.display());
                return Err(Failure::new(Exit::Failed, "unit.exists", message)
                    .hint("look at the difference; --force writes in its place"));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                let message = format!("{} cannot be read: {error}", path.display());
                return Err(Failure::new(Exit::Failed, "unit.not_written", message));
            }
        }
    }
    units.write_to(folder).map_err(|error| wrong(&error))
}

fn show(session: &mut Session<'_, '_>, units: &Units, written: &[PathBuf]) -> Result<(), Stop> {
    let paint = session.paint();
    let started = units.timer.as_ref().map_or(&units.service.file_name, |timer| &timer.file_name).clone();
    let out = session.out();
    if written.is_empty() {
        for unit in units.all() {
            writeln!(out, "{}", paint.bold(format!("# /etc/systemd/system/{}", unit.file_name)))?;
            writeln!(out, "{}", unit.text)?;
        }
        writeln!(
            out,
            "{}",
            paint.dim("# to install it: write them there (--dir /etc/systemd/system), then")
        )?;
    } else {
        for path in written {
            writeln!(out, "written: {}", plain(&path.display().to_string()).0)?;
        }
    }
    writeln!(out, "systemctl daemon-reload")?;
    writeln!(out, "systemctl enable --now {}", quoted(&started))?;
    Ok(())
}

/// The words of a command: apart by spaces, but for what is quoted. There is no shell, so what only one would understand is
/// refused.
fn words_of(command: &str) -> Result<Vec<String>, Failure> {
    let wrong = |what: &str| {
        Failure::usage(format!("--exec: {what}"))
            .hint("there is no shell in between; give one where it is needed: --exec \"sh -c 'a | b'\"")
    };
    let (mut words, mut word) = (Vec::new(), None::<String>);
    let mut chars = command.chars();
    while let Some(c) = chars.next() {
        match c {
            ' ' | '\t' | '\n' => words.extend(word.take()),
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next().ok_or_else(|| wrong("a single quote is not closed"))? {
                        '\'' => break,
                        c => word.push(c),
                    }
                }
            }
            '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next().ok_or_else(|| wrong("a double quote is not closed"))? {
                        '"' => break,
                        '\\' => word.push(chars.next().ok_or_else(|| wrong("a double quote is not closed"))?),
                        c => word.push(c),
                    }
                }
            }
            '\\' => {
                let next = chars.next().ok_or_else(|| wrong("it ends with a backslash"))?;
                word.get_or_insert_default().push(next);
            }
            '|' | '&' | ';' | '<' | '>' | '`' | '$' | '(' | ')' => {
                return Err(wrong(&format!("{c} means something to a shell only")));
            }
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    if words.is_empty() { Err(wrong("there is no program")) } else { Ok(words) }
}

/// systemd wants the whole path of a program; one without a folder is looked for where a shell would.
fn absolute(words: &mut [String]) -> Result<(), Failure> {
    let Some(program) = words.first_mut().filter(|program| !program.starts_with('/')) else { return Ok(()) };
    if !program.contains('/') {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let there = std::env::split_paths(&path).map(|folder| folder.join(&*program));
        if let Some(found) = there.filter(|found| found.is_absolute()).find(|found| found.is_file()) {
            *program = found.display().to_string();
            return Ok(());
        }
    }
    Err(Failure::usage(format!("--exec: {program:?} is no absolute path, and no program in $PATH"))
        .hint("systemd starts programs by their whole path"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_read_as_a_shell_reads_words() {
        let words = |text: &str| words_of(text).map_err(|failure| failure.message);
        assert_eq!(words("/bin/a b  c").unwrap(), ["/bin/a", "b", "c"]);
        assert_eq!(words(r#"a 'b c' "d \" e" f\ g '' "#).unwrap(), ["a", "b c", "d \" e", "f g", ""]);
        assert_eq!(words("sh -c 'a | b > c'").unwrap(), ["sh", "-c", "a | b > c"]);
        for wrong in ["", "  ", "a 'b", "a \"b", "a\\", "a | b", "a > b", "a && b", "a $B", "a; b"] {
            assert!(words(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn what_is_said_already_is_not_said_twice() {
        let mut unit = String::from("[Service]\nType=exec\nTimeoutStartSec=90s\nUMask=0027\n");
        say(&mut unit, ("SuccessExitStatus", "75"));
        say(&mut unit, ("SuccessExitStatus", "75"));
        assert_eq!(unit, "[Service]\nType=exec\nSuccessExitStatus=75\nTimeoutStartSec=90s\nUMask=0027\n");
    }
}
