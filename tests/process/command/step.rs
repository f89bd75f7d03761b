//! A command as a step of a job.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use unattended::blocking::block_on;
use unattended::canonical::Key;
use unattended::command::{Codes, Command};
use unattended::effect::Effect;
use unattended::job::{Job, Terms};
use unattended::memory::Memory;
use unattended::pipeline::Step;
use unattended::retry;
use unattended::runs::{Run, Runs};
use unattended::shutdown::Shutdown;
use unattended::store::Store;
use unattended::worker::Worker;

use super::{Mark, SLACK, ms, shell, until};

/// Runs a job with this one step, and gives its run and what its history says.
fn job(step: Step) -> (Run, String) {
    let store: Arc<dyn Store> = Arc::new(Memory::new());
    let key = |input: &String| Key::new("test", "copy", input);
    let job = Job::new("copy").key(key).step(step).build().unwrap();
    let run = job.run_once_blocking(&store, "monday").unwrap().run.unwrap();
    let history = block_on(Runs::new(store).history(run.id(), 0, 100)).unwrap();
    let told = history.iter().map(|event| {
        format!(
            "{} {} {}\n",
            event.event.code,
            event.event.why,
            event.event.data.as_deref().unwrap_or_default()
        )
    });
    let told = told.collect();
    (run, told)
}

fn output(run: &Run) -> Value {
    let step = run.body.steps.first().unwrap();
    serde_json::from_str(step.output.as_ref().unwrap().get()).unwrap()
}

#[test]
fn a_command_is_a_step_and_its_output_has_a_bound_and_no_secrets() {
    let script = "echo key $UNATTENDED_KEY; echo run $UNATTENDED_RUN_ID; echo token=abc123; echo 1>&2 fine; seq 1 100000; echo end";
    let (command, mark) = shell(script);
    let (run, _) = job(Step::command("copy", Effect::Idempotent, command));
    assert_eq!(run.record.state, "succeeded");
    let given = output(&run);
    let text = given["stdout"].as_str().unwrap();
    assert!(
        text.starts_with(&format!(
            "key {}\nrun {}\ntoken=[redacted]\n",
            run.body.key.as_deref().unwrap(),
            run.id()
        )),
        "{text}"
    );
    assert!(text.ends_with("100000\nend\n") && text.len() < 9 * 1024 && text.contains("bytes left out"));
    assert_eq!((given["code"].as_i64(), given["stderr"].as_str()), (Some(0), Some("fine\n")));
    mark.none_left();
}

#[test]
fn a_failure_has_the_faults_of_its_exit_code_and_the_end_of_stderr() {
    let (command, _mark) =
        shell("echo connecting >&2; echo password=hunter2 >&2; echo 'no such user' >&2; exit 67");
    let (run, told) = job(Step::command("copy", Effect::Idempotent, command.codes(Codes::curl())));
    assert_eq!(run.record.state, "failed_permanent");
    assert!(told.contains("exit.67") && told.contains("unauthorized"), "{told}");
    assert!(told.contains("exited with code 67: no such user"), "{told}");
    assert!(told.contains("stderr: connecting") && !told.contains("hunter2"), "{told}");
}

#[test]
fn what_a_program_reports_counts_more_than_its_exit_code() {
    let report = r#"{"class":"permanent","code":"crm.no_such_account","why":"account 7 was closed","progress":{"done":3,"total":9}}"#;
    let (command, _mark) = shell(&format!("echo '{report}' > $UNATTENDED_REPORT; exit 75"));
    let (run, told) = job(Step::command("copy", Effect::Idempotent, command));
    assert_eq!(run.record.state, "failed_permanent");
    assert!(told.contains("crm.no_such_account") && told.contains("(account 7 was closed)"), "{told}");
    assert!(!told.contains("retry.wait"), "{told}");
    let progress = run.body.steps.first().unwrap().progress.as_ref().unwrap();
    assert_eq!((progress.done, progress.total), (3, Some(9)));
}

#[test]
fn a_report_that_cannot_be_read_is_left_out_and_the_note_says_so() {
    // Whatever an earlier process that was killed has left is none of ours.
    let before = reports();
    let (command, _mark) = shell("echo '{\"class\":' > $UNATTENDED_REPORT");
    let (run, told) = job(Step::command("copy", Effect::Idempotent, command));
    assert_eq!(run.record.state, "succeeded");
    assert!(told.contains("its report is left out"), "{told}");
    // Those of tests that run beside this one go too.
    let ours: Vec<_> = reports().into_iter().filter(|path| !before.contains(path)).collect();
    assert!(until(|| ours.iter().all(|path| !path.exists())));
}

fn reports() -> Vec<std::path::PathBuf> {
    let found = std::fs::read_dir(std::env::temp_dir()).unwrap().flatten();
    let ours = found.filter(|entry| entry.file_name().to_string_lossy().starts_with("unattended-report-"));
    ours.map(|entry| entry.path()).collect()
}

#[test]
fn the_steps_time_out_holds_for_the_program_with_its_grace_and_drain() {
    let (command, mark) = shell("trap '' TERM; echo up; setsid sleep 600 & while :; do sleep 600; done");
    let once = retry::Policy::service().transient(|strategy| strategy.attempts_max(1));
    let begun = std::time::Instant::now();
    let step = Step::command("copy", Effect::Idempotent, command).timeout(Duration::from_secs(1)).retry(once);
    let (run, told) = job(step);
    assert!(begun.elapsed() < Duration::from_secs(1) + SLACK);
    assert!(told.contains("/bin/sh did not end within"), "{told}");
    assert_ne!(run.record.state, "succeeded");
    mark.sweep();
    mark.none_left();
}

#[test]
fn a_command_may_depend_on_the_run() {
    let mark = Mark::new();
    let (mark, theirs) = (&mark, Arc::new(Mark::new()));
    let step = Step::command_from("copy", Effect::Pure, move |cx| {
        Ok(theirs.on(Command::new("echo").arg(cx.job().to_owned()).grace(ms(10))))
    });
    let (run, _) = job(step);
    assert_eq!(output(&run)["stdout"], "copy\n");
    mark.none_left();
}

#[test]
fn a_worker_that_is_asked_to_end_ends_the_program_and_hands_the_run_back() {
    let store: Arc<dyn Store> = Arc::new(Memory::new());
    let (command, mark) = shell("sleep 600 & sleep 600");
    let job = Job::new("copy").step(Step::command("copy", Effect::Idempotent, command.unbounded()));
    let job = job.build().unwrap();
    drop(job.submit_blocking(&store, "monday", &Terms::default()).unwrap());
    let worker = Worker::new(Arc::clone(&store)).job(job).concurrency(1).grace(ms(100)).build().unwrap();
    let shutdown = Shutdown::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            assert!(until(|| mark.pids().len() >= 2));
            shutdown.trigger();
        });
        drop(worker.run_blocking(&shutdown));
    });
    mark.none_left();
    let runs = block_on(Runs::new(store).list(&Default::default(), 9, None)).unwrap().0;
    let run = runs.first().unwrap();
    assert_eq!((run.record.state.as_str(), run.body.attempt), ("queued", 0), "no attempt is used up");
}
