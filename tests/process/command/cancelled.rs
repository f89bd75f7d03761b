//! Called off from outside: by a wake, by a shutdown, by dropping a future.

use std::time::Instant;

use unattended::blocking::block_on;
use unattended::command::{Error, Waited, Wake};
use unattended::shutdown::{Phase, Shutdown};

use super::{SLACK, ms, shell, until, zombies};

#[test]
fn a_shutdown_ends_a_command_with_what_it_had_written() {
    let (command, mark) = shell("trap 'echo flushed; exit 0' TERM; echo up; sleep 600 & wait");
    let shutdown = Shutdown::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            assert!(until(|| mark.pids().len() == 2));
            shutdown.trigger();
        });
        let error = command.run_blocking_with(shutdown.reached(Phase::Draining)).unwrap_err();
        let Error::Cancelled { outcome: Some(outcome) } = error else { panic!("{error:?}") };
        assert_eq!(outcome.stdout.text(), "up\nflushed\n");
    });
    mark.none_left();
}

#[test]
fn a_wake_before_the_wait_is_kept_and_many_are_one() {
    let (command, mark) = shell("sleep 600");
    let mut child = command.start().unwrap();
    let wake = Wake::new().unwrap();
    (0..5000).for_each(|_| wake.wake());
    assert_eq!(child.wait(None, Some(&wake)).unwrap(), Waited::Woken);
    assert_eq!(child.wait(Some(ms(10)), Some(&wake)).unwrap(), Waited::TimedOut);
    drop(child);
    mark.none_left();
}

#[test]
fn a_command_is_a_future_on_any_runtime() {
    let (command, mark) = shell("echo hello; exit 3");
    let error = block_on(command.run()).unwrap_err();
    assert!(matches!(&error, Error::NonZero { code: 3, outcome, .. } if outcome.stdout.text() == "hello\n"));
    mark.none_left();
}

#[tokio::test]
async fn futures_of_commands_run_side_by_side_and_one_that_is_dropped_leaves_nothing() {
    let (command, mark) = shell("trap '' TERM; sleep 600 & sleep 600");
    let begun = Instant::now();
    let cut = tokio::time::timeout(ms(200), command.run()).await;
    assert!(cut.is_err() && begun.elapsed() < SLACK);
    mark.none_left();
    let (quick, quick_mark) = shell("sleep 0.1; echo done");
    let runs: Vec<_> = (0..8).map(|_| tokio::spawn(quick.run())).collect();
    for run in runs {
        assert_eq!(run.await.unwrap().unwrap().stdout.text(), "done\n");
    }
    drop(command.run());
    quick_mark.none_left();
    assert!(until(|| zombies().is_empty()), "{:?}", zombies());
}

#[test]
fn whoever_panics_at_the_output_leaves_nothing_behind_and_no_future_that_hangs() {
    let (command, mark) = shell("echo hello; sleep 600");
    let command = command.on_output(|_, _| panic!("no such output"));
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| command.run_blocking()));
    assert!(caught.is_err());
    mark.none_left();
    assert!(matches!(block_on(command.run()), Err(Error::Cancelled { outcome: None })));
    mark.none_left();
}
