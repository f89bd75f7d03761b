//! The tool `unattended` itself: the same verbs as in an application.

use std::ffi::OsString;

use clap::{CommandFactory, FromArgMatches, Parser};

use crate::operate::cli::failure::{Exit, Failure, Stop};
use crate::operate::cli::{Command, Host, Io, with_process_streams};

/// The verbs in groups: what clap lists would be one long row. A test holds them against the verbs.
pub(super) const TEMPLATE: &str = concat!(
    "{about-with-newline}\n{usage-heading} {usage}\n",
    "\nIncident:\n",
    "  status       How everything stands; exit code 1 if anything is overdue or open\n",
    "  alerts       List alerts\n",
    "  ack          Acknowledge an alert: it is seen to\n",
    "  runs         List runs, newest first\n",
    "  show         All that is known of one run, and what to type next\n",
    "  explain      The story of one run: what was seen, decided and done, and why\n",
    "  dead-letters What has failed for good or asks a person\n",
    "  replay       Run a run again, here and now\n",
    "  requeue      Send failed runs round again, each from its last checkpoint\n",
    "  review       Answer what a run asks\n",
    "  cancel       End a run\n",
    "  pause        Keep a run from being gone on with\n",
    "  resume       Let a paused run go on\n",
    "  compensate   Undo the finished steps of a run\n",
    "  note         Write a note into a run's history\n",
    "  hold         Hold a job or a dependency until it is released\n",
    "  release      Release what is held\n",
    "  breaker      Open or close a breaker by hand, or let it decide again\n",
    "  credential   A person has seen to a credential: its runs go on\n",
    "\nWrap:\n",
    "  exec         Run a command as a recorded run: once for each key, retried, explained\n",
    "  supervise    Keep a command alive, and say when that is no use\n",
    "  beat         Say that a job is well, has begun or has failed\n",
    "  forget       Forget a heartbeat\n",
    "  gate         Whether the machine is ready: exit code 0 if it is, 75 if not\n",
    "  tick         One pass for cron or a timer: what is due, overdue or unsent\n",
    "  submit       Hand a job's input to its workers\n",
    "  resolve      Answer what a run waits for\n",
    "\nWatch:\n",
    "  backup       Versions of files that have changed meaningfully\n",
    "  anomaly      Rare kinds of log lines\n",
    "  metrics      Numbers for Prometheus\n",
    "\nSet up:\n",
    "  unit         A service and a timer of systemd from the same policies\n",
    "  doctor       The production-readiness checklist\n",
    "  store        The store itself: info, check, migrate, prune\n",
    "  config       What is written down about jobs\n",
    "  completions  Completions for a shell\n",
    "  man          The manual page, of all verbs or of one\n",
    "\nPlumbing:\n",
    "  similarity   Whether a change of a text means something\n",
    "  schedule     When something is next\n",
    "  window       Whether a window is open, and when it opens or closes\n",
    "  simulate     What would this policy have done? Decides about a trace\n",
    "  key          The idempotency key of a piece of work, and its payload's fingerprint\n",
    "  canonical    Canonical JSON: one form for every spelling\n",
    "\n`VERB --help` says more of each, with an example.\n",
    "\nOptions:\n{options}\n\n",
    "RUN is an id, a unique end of one (4 characters or more), a job's name (its last run),\n",
    "JOB~1 (the one before it), or @failed (the last dead letter).\n\n",
    "Durations are 90s, 5m, 12h, 7d; sizes 512MiB; instants 2026-11-22T02:10:00Z or a duration ago.\n\n",
    "Exit codes: 0 done; 1 failed, or needs a person; 2 usage; 65 same key, other arguments;\n",
    "75 not now; 78 bad configuration, such as no store.{after-help}",
);

/// Look at what runs without you, find out why, and send it round again
#[derive(Debug, Parser)]
#[command(name = "unattended", version)]
struct Tool {
    #[command(flatten)]
    command: Command,
}

/// The binary `unattended`: reads `args` (the program's name first), carries the verb out on the process's streams, and
/// gives the exit code.
#[must_use]
pub fn run_tool(args: impl IntoIterator<Item = OsString>) -> Exit {
    let args: Vec<OsString> = args.into_iter().collect();
    with_process_streams(|io| run(&args, io))
}

fn run(args: &[OsString], io: &mut Io<'_>) -> Exit {
    let parsed = tool().try_get_matches_from(args).and_then(|matches| Tool::from_arg_matches(&matches));
    match parsed {
        Ok(tool) => tool.command.run_on(&Host::new("unattended"), io),
        Err(error) => not_parsed(&error, args, io),
    }
}

fn tool() -> clap::Command {
    spoken(Tool::command().help_template(TEMPLATE), "unattended ")
}

/// The command line as `program` has it, for what is made from it: completions and the manual.
pub(super) fn shape(program: &str) -> clap::Command {
    if program == "unattended" {
        return tool();
    }
    // What an application has beside the verbs is not known here: the words before them become one name.
    let command = Tool::command().help_template(TEMPLATE);
    let command = command.display_name(program.replace(' ', "-")).bin_name(program);
    spoken(command, &format!("{program} "))
}

/// The same command with examples that can be typed: behind the program's name.
fn spoken(command: clap::Command, before: &str) -> clap::Command {
    let example = command.get_after_help().map(ToString::to_string);
    let example =
        example.and_then(|help| Some(format!("Example: {before}{}", help.strip_prefix("Example: ")?)));
    let command = match example {
        Some(example) => command.after_help(example),
        None => command,
    };
    command.mut_subcommands(|verb| spoken(verb, before))
}

/// Help and version are answers; everything else is a usage error.
fn not_parsed(error: &clap::Error, args: &[OsString], io: &mut Io<'_>) -> Exit {
    let rendered = error.render();
    let text = if io.colour { rendered.ansi().to_string() } else { rendered.to_string() };
    if !error.use_stderr() {
        let written = io.out.write_all(text.as_bytes()).and_then(|()| io.out.flush()).map_err(Stop::from);
        // Whoever asked for help and went away does not need it.
        let Err(Stop::Failed(failure)) = written else { return Exit::Done };
        drop(io.err.write_all(failure.human("unattended").as_bytes()));
        return failure.exit;
    }
    let before_end = args.iter().take_while(|arg| *arg != "--");
    let text = if before_end.clone().any(|arg| arg == "--json") {
        usage(&rendered.to_string()).json() + "\n"
    } else {
        text
    };
    drop(io.err.write_all(text.as_bytes()));
    Exit::Usage
}

/// What clap says in lines, in one: the first paragraph is what is wrong, each tip is a hint.
fn usage(plain: &str) -> Failure {
    let mut lines = plain.trim_start().lines();
    let mut message = lines.next().unwrap_or_default().trim_start_matches("error: ").to_owned();
    let listed = message.ends_with(':');
    for (place, line) in lines.take_while(|line| !line.trim().is_empty()).enumerate() {
        message.push_str(if listed && place > 0 { ", " } else { " " });
        message.push_str(line.trim());
    }
    let tips: Vec<&str> = plain.lines().filter_map(|line| line.trim().strip_prefix("tip: ")).collect();
    let hint = if tips.is_empty() { String::from("see --help") } else { tips.join("; ") };
    Failure::usage(message).hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_usage_error_in_one_line_names_the_argument() {
        let said = |args: &[&str]| {
            let error = tool().try_get_matches_from(["unattended"].iter().chain(args)).unwrap_err();
            let failure = usage(&error.render().to_string());
            (failure.message, failure.hint.unwrap_or_default())
        };
        let missing = "the following required arguments were not provided: ";
        assert_eq!(said(&["exec", "--name", "x"]).0, format!("{missing}<CMD>..."));
        assert_eq!(said(&["hold", "job:x"]), (format!("{missing}--reason <R>"), String::from("see --help")));
        let (message, _) = said(&["exec"]);
        assert_eq!(message, format!("{missing}--name <NAME>, <CMD>..."));
        let (message, _) = said(&["replay", "x", "--mode", "odd"]);
        assert!(message.ends_with("[possible values: resume, rerun, force]"), "{message}");
        let (_, hint) = said(&["runs", "--stat", "queued"]);
        assert!(hint.contains("a similar argument exists: '--state'"), "{hint}");
    }

    #[test]
    fn clap_finds_nothing_wrong() {
        tool().debug_assert();
    }

    #[test]
    fn the_groups_name_every_verb_once() {
        let lines = TEMPLATE.lines().filter_map(|line| line.strip_prefix("  "));
        let mut listed: Vec<_> =
            lines.filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect();
        let mut verbs: Vec<_> = tool().get_subcommands().map(|verb| verb.get_name().to_owned()).collect();
        listed.sort_unstable();
        verbs.sort_unstable();
        assert_eq!(listed, verbs);
        assert!(TEMPLATE.lines().all(|line| line.chars().count() <= 100), "it fits a terminal");
    }

    #[test]
    fn every_verb_says_what_it_does_and_shows_an_example_that_is_understood() {
        let mut missing = Vec::new();
        each(&tool(), &mut |verb| {
            if verb.get_about().is_none() {
                missing.push(format!("{}: what it does", verb.get_name()));
            }
        });
        for verb in tool().get_subcommands().filter(|verb| !verb.has_subcommands()) {
            let example = verb.get_after_help().map(ToString::to_string);
            if !example.is_some_and(|example| example.starts_with("Example: unattended ")) {
                missing.push(format!("{}: an example", verb.get_name()));
            }
        }
        assert_eq!(missing, Vec::<String>::new());
    }

    fn each(command: &clap::Command, look: &mut impl FnMut(&clap::Command)) {
        for verb in command.get_subcommands() {
            look(verb);
            each(verb, look);
        }
    }
}
