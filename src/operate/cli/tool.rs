//! The tool `unattended` itself: the same verbs as in an application, without `replay`.

use std::ffi::OsString;

use clap::{CommandFactory, FromArgMatches, Parser};

use crate::operate::cli::failure::{Exit, Failure};
use crate::operate::cli::{Command, Host, Io, with_process_streams};

/// The verbs in groups: what clap lists would be one long row. A test holds them against the verbs.
macro_rules! template {
    ($replay:expr) => {
        concat!(
            "{about-with-newline}\n{usage-heading} {usage}\n\n",
            "Incident:\n",
            "  runs       List runs, newest first\n",
            "  show       Show all that is known of one run, the answers it accepts and the next commands to type\n",
            "  explain    Tell the story of one run: what was seen, decided and done, and why\n",
            "  note       Write a note into a run's history\n",
            "  requeue    Send failed runs round again, each from its last checkpoint\n",
            $replay,
            "  credential Say that a credential was seen to, and release the runs that wait for it\n",
            "\nSet up:\n",
            "  store      The store itself: info, check\n",
            "\nPlumbing:\n",
            "  key        The idempotency key of a piece of work, and its payload's fingerprint\n",
            "  canonical  Canonical JSON: reads JSON on stdin, writes its one canonical form\n",
            "\nOptions:\n{options}\n\n",
            "RUN is an id, a unique end of one (4 characters or more), a job's name (its last run),\n",
            "JOB~1 (the one before it), or @failed (the last dead letter).\n\n",
            "Exit codes: 0 done; 1 failed, or needs a person; 2 usage; 65 same key, other arguments;\n",
            "75 not now; 78 bad configuration, such as no store.{after-help}",
        )
    };
}

pub(super) const TEMPLATE: &str = template!("");
pub(super) const TEMPLATE_MOUNTED: &str = template!("  replay     Run a run again, here and now\n");

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
    // Known, so that whoever types it is told where it is to be found, and not offered.
    Tool::command().help_template(TEMPLATE).mut_subcommand("replay", |replay| replay.hide(true))
}

/// Help and version are answers; everything else is a usage error.
fn not_parsed(error: &clap::Error, args: &[OsString], io: &mut Io<'_>) -> Exit {
    let rendered = error.render();
    let text = if io.colour { rendered.ansi().to_string() } else { rendered.to_string() };
    if !error.use_stderr() {
        // Whoever asked for help and went away does not need it.
        drop(io.out.write_all(text.as_bytes()).and_then(|()| io.out.flush()));
        return Exit::Done;
    }
    let before_end = args.iter().take_while(|arg| *arg != "--");
    let text = if before_end.clone().any(|arg| arg == "--json") {
        let plain = rendered.to_string();
        let message = plain.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned();
        let hint = plain.lines().find_map(|line| line.trim().strip_prefix("tip: ")).unwrap_or("see --help");
        Failure::usage(message).hint(hint).json() + "\n"
    } else {
        text
    };
    drop(io.err.write_all(text.as_bytes()));
    Exit::Usage
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clap_finds_nothing_wrong() {
        tool().debug_assert();
    }

    #[test]
    fn the_groups_name_every_verb_once() {
        let listed = |template: &str| -> Vec<String> {
            let verbs = template.lines().filter_map(|line| line.strip_prefix("  "));
            verbs.filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
        };
        let mut verbs: Vec<_> = tool().get_subcommands().map(|verb| verb.get_name().to_owned()).collect();
        let mut mounted = listed(TEMPLATE_MOUNTED);
        mounted.sort_unstable();
        verbs.sort_unstable();
        assert_eq!(mounted, verbs);
        verbs.retain(|verb| verb != "replay");
        let mut plain = listed(TEMPLATE);
        plain.sort_unstable();
        assert_eq!(plain, verbs);
    }
}
