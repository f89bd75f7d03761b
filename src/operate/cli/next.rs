//! What can be typed next about a run.

use std::io::{self, Write};

use crate::decide::run::State;
use crate::operate::cli::exec;
use crate::operate::cli::print::{Paint, Table, plain};
use crate::operate::cli::session::{Session, quoted};
use crate::operate::operator;
use crate::remember::runs::Run;

/// A command, and what it does.
pub(super) type Next = (String, &'static str);

/// The answers that the run accepts: what a review takes, and the verbs that its question offers beside it.
pub(super) fn answers(run: &Run) -> Vec<String> {
    let mut answers: Vec<String> = operator::answers(run).into_iter().map(str::to_owned).collect();
    if let Some(question) = run.body.question.as_ref().filter(|_| run.state() == State::NeedsReview) {
        // In the order in which it is asked.
        let more: Vec<String> =
            question.options.iter().filter(|option| !answers.contains(option)).cloned().collect();
        answers.retain(|answer| question.options.contains(answer));
        answers.extend(more);
    }
    answers
}

/// What an answer means; nothing for one that an application made up.
pub(super) fn meaning(answer: &str) -> &'static str {
    match answer.split([' ', ':', '=']).next().unwrap_or_default() {
        "requeue" => "send it round again from its last checkpoint",
        "dismiss" => "leave it as failed",
        "applied" => "it was done: go on behind the step, with what it gave",
        "not_applied" => "it was not done: do the step again",
        "skip" | "skip_step" => "go on without the step",
        "fixed_input" | "input" => "go on with another input",
        _ => "",
    }
}

/// Commands that can be typed next: each with what it does.
pub(super) fn next(session: &Session<'_, '_>, run: &Run) -> Vec<Next> {
    let mut next = about(session, run, run.id());
    let (program, id) = (session.program(), run.id());
    next.push((format!("{program} note {id} TEXT"), "writes into its history"));
    next
}

/// The one that most likely comes next, about the run as `id`.
pub(super) fn first(session: &Session<'_, '_>, run: &Run, id: &str) -> Next {
    let show = || (format!("{} show {id}", session.program()), "shows all that is known of it");
    // What a question is about must be read before it is answered.
    if run.state() == State::NeedsReview {
        return show();
    }
    about(session, run, id).into_iter().next().unwrap_or_else(show)
}

fn about(session: &Session<'_, '_>, run: &Run, id: &str) -> Vec<Next> {
    let (program, state) = (session.program(), run.state());
    let mut next = Vec::new();
    let replays = (exec::is_command(run) && exec::not_stored(run).is_none())
        || session.host.replayer.as_ref().is_some_and(|replayer| replayer.knows(run));
    if replays && !state.is_held() {
        match state {
            State::NeedsReview => {}
            state if !state.is_terminal() || state == State::FailedPermanent => {
                next.push((format!("{program} replay {id}"), "goes on with it here and now"));
            }
            _ => next.push((
                format!("{program} replay {id} --mode rerun"),
                "a new run of the same input; its key still holds",
            )),
        }
    }
    let asked = run.body.question.as_ref().filter(|_| state == State::NeedsReview);
    if asked.is_some() {
        next.extend(reviews(&program, run, id));
    }
    let accepts =
        |word: &str| asked.is_none_or(|question| question.options.iter().any(|option| option == word));
    if matches!(state, State::FailedTransient | State::FailedPermanent | State::NeedsReview)
        && accepts("requeue")
    {
        next.push((format!("{program} requeue {id}"), "a worker takes it up from its last checkpoint"));
    }
    if run.record.paused && !state.is_terminal() {
        next.push((format!("{program} resume {id}"), "lets it go on"));
    }
    if let (State::WaitingExternal, Some(wait)) = (state, &run.body.wait) {
        let token = quoted(&wait.token);
        next.push(match wait.token.strip_prefix("credential:") {
            Some(name) => (
                format!("{program} credential ok {}", quoted(name)),
                "once a person has seen to it: this run and the others go on",
            ),
            None => (format!("{program} resolve {token} JSON"), "gives it what it waits for"),
        });
    }
    next
}

fn reviews(program: &str, run: &Run, id: &str) -> Vec<Next> {
    let command = |answer: &String| {
        let option = match answer.as_str() {
            "applied" => "--applied JSON",
            "not_applied" => "--not-applied",
            "skip" => "--skip-step",
            "fixed_input" => "--input FILE",
            "dismiss" => "--dismiss REASON",
            _ => return None,
        };
        Some((format!("{program} review {id} {option}"), meaning(answer)))
    };
    answers(run).iter().filter_map(command).collect()
}

pub(super) fn commands(next: Vec<Next>) -> Vec<String> {
    next.into_iter().map(|(command, _)| command).collect()
}

pub(super) fn to_type(next: &[Next], paint: Paint, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "\n{}", paint.bold("next"))?;
    let mut table = Table::default();
    for (command, what) in next {
        table.row([(String::new(), String::new()), plain(command), (String::from(*what), paint.dim(what))]);
    }
    table.write(out)
}
