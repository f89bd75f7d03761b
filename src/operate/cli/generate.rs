//! `completions` and `man`: what shells and manuals know of the program, made from what it takes.

use clap_complete::Shell;

use crate::operate::cli::failure::{Exit, Failure, Stop};
use crate::operate::cli::session::Session;
use crate::operate::cli::tool;

/// What `completions` takes.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Completions {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

pub(super) fn completions(session: &mut Session<'_, '_>, asked: Completions) -> Result<Exit, Stop> {
    let (mut command, name) = shaped(session);
    // Into memory first: the generator panics where it cannot write.
    let mut script = Vec::new();
    clap_complete::generate(asked.shell, &mut command, name, &mut script);
    session.out().write_all(&script)?;
    Ok(Exit::Done)
}

/// What `man` takes.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Man {
    /// The verb, such as exec, or store prune [default: the page of them all]
    verb: Vec<String>,
}

pub(super) fn man(session: &mut Session<'_, '_>, asked: Man) -> Result<Exit, Stop> {
    let (mut command, _) = shaped(session);
    command.build();
    let mut found = &command;
    for word in &asked.verb {
        let next = found.find_subcommand(word);
        found = next.ok_or_else(|| {
            let words: Vec<&str> = found.get_subcommands().map(clap::Command::get_name).collect();
            Failure::usage(format!("there is no verb {word}")).hint(format!("verbs are {}", words.join(", ")))
        })?;
    }
    let page = clap_mangen::Man::new(found.clone()).source(concat!("unattended ", env!("CARGO_PKG_VERSION")));
    let mut text = Vec::new();
    page.render(&mut text)?;
    session.out().write_all(&text)?;
    Ok(Exit::Done)
}

/// The command line as this program has it: the tool's own, or the verbs behind the application's words.
fn shaped(session: &Session<'_, '_>) -> (clap::Command, String) {
    let program = session.host.program.clone();
    (tool::shape(&program), program)
}
