//! However a child behaves, the call is over within time-out + grace + drain, with what was written until then.

use std::time::{Duration, Instant};

use unattended::command::{Command, Error, KilledBy, Outcome, Signal, Status, Stdin, Stream, Waited};
use unattended::fault::Classify;

use super::{Mark, SLACK, exists, ms, shell, until, zombies};

/// Runs a script with a time-out of 300 ms, a grace of 200 ms and a drain of 200 ms; it must take no longer, give what it said, and leave
/// nobody.
fn is_bounded(script: &str) -> Box<Outcome> {
    let (command, mark) = shell(script);
    let begun = Instant::now();
    let error = command.timeout(ms(300)).grace(ms(200)).drain(ms(200)).run_blocking().unwrap_err();
    let took = begun.elapsed();
    assert!(took >= ms(300) && took < ms(700) + SLACK, "{script}: {took:?}");
    let Error::Timeout { limit_ms: 300, outcome } = error else { panic!("{script}: {error:?}") };
    assert_eq!(outcome.killed_by, Some(KilledBy::TimedOut { limit: ms(300) }));
    assert!(outcome.stdout.text().starts_with("begun\n"), "{script}: {:?}", outcome.stdout);
    mark.none_left();
    outcome
}

#[test]
fn a_child_that_hangs_is_over_in_time() {
    let outcome = is_bounded("echo begun; sleep 600");
    assert_eq!(outcome.status.signal(), Some(Signal::TERM));
    assert!(!outcome.pipe_held_open && !outcome.truncated && outcome.escaped.is_empty());
}

#[test]
fn a_grandchild_in_the_same_group_is_ended_with_its_parent() {
    is_bounded("echo begun; sleep 600 & sleep 600 & wait");
}

#[test]
fn a_child_that_ignores_term_is_killed() {
    let outcome = is_bounded("trap '' TERM; echo begun; while :; do sleep 600; done");
    assert_eq!(outcome.status.signal(), Some(Signal::KILL));
}

#[test]
fn a_child_that_is_stopped_is_ended() {
    is_bounded("echo begun; kill -STOP $$; echo never");
}

#[test]
fn a_child_that_fills_stderr_is_over_in_time_and_keeps_no_more_than_it_may() {
    let outcome = is_bounded("echo begun; exec yes 'no space left on device' >&2");
    assert!(outcome.stderr.head.len() + outcome.stderr.tail.len() == 64 * 1024, "{}", outcome.stderr.bytes);
    assert!(outcome.truncated && outcome.stderr.bytes > 64 * 1024);
    assert!(outcome.stderr.text().contains("bytes left out"));
}

#[test]
fn a_child_that_closes_its_pipes_and_runs_on_is_over_in_time() {
    is_bounded("echo begun; exec >&- 2>&-; sleep 600");
}

#[test]
fn a_grandchild_that_left_the_group_and_holds_the_pipe_does_not_hold_the_call() {
    let (command, mark) = shell("echo begun; setsid sleep 600 & sleep 600");
    let begun = Instant::now();
    let error = command.timeout(ms(300)).grace(ms(200)).drain(ms(200)).run_blocking().unwrap_err();
    assert!(begun.elapsed() < ms(700) + SLACK);
    let Error::Timeout { outcome, .. } = error else { panic!("{error:?}") };
    assert!(outcome.pipe_held_open && outcome.truncated);
    assert_eq!(outcome.stdout.text(), "begun\n");
    let escaped = mark.pids();
    assert_eq!((escaped.len(), &outcome.escaped), (1, &escaped), "it is named");
    mark.sweep();
    mark.none_left();
}

#[test]
fn what_a_child_leaves_in_its_group_is_ended_though_it_ended_well() {
    let (command, mark) = shell("sleep 600 >/dev/null 2>&1 & sleep 600 & echo done");
    let begun = Instant::now();
    let outcome = command.grace(ms(200)).drain(ms(200)).run_blocking().unwrap();
    assert!(begun.elapsed() < ms(600) + SLACK);
    assert_eq!((outcome.stdout.text(), outcome.left.len()), (String::from("done\n"), 2));
    assert!(outcome.status.is_success() && outcome.killed_by.is_none() && !outcome.pipe_held_open);
    mark.none_left();
}

#[test]
fn what_a_child_leaves_may_end_by_itself_within_the_drain() {
    let (command, mark) = shell("(sleep 0.2; echo later) & echo done");
    let outcome = command.drain(SLACK).run_blocking().unwrap();
    assert_eq!(outcome.stdout.text(), "done\nlater\n");
    assert!(outcome.left.is_empty());
    mark.none_left();
}

#[test]
fn a_child_that_would_write_ten_gigabytes_is_stopped_by_its_bound() {
    let (command, mark) = shell("exec head -c 10000000000 /dev/zero");
    let before = resident();
    let error = command.stop_after(256 * 1024 * 1024).grace(ms(500)).run_blocking().unwrap_err();
    let grown = resident().saturating_sub(before);
    let Error::TooMuchOutput { limit: 268_435_456, outcome } = error else { panic!("{error:?}") };
    assert!(outcome.stdout.bytes > 268_435_456 && outcome.stdout.bytes < 1_000_000_000);
    assert_eq!(outcome.stdout.head.len() + outcome.stdout.tail.len(), 64 * 1024);
    assert!(grown < 64 * 1024, "{grown} KiB more in memory");
    mark.none_left();
    // Too quick to be stopped is too much all the same.
    let (quick, _mark) = shell("echo more than four");
    assert!(matches!(quick.stop_after(4).run_blocking(), Err(Error::TooMuchOutput { limit: 4, .. })));
}

#[test]
fn input_larger_than_a_pipe_goes_in_while_as_much_comes_out() {
    let input: Vec<u8> = (0..3_000_000_u32).map(|at| u8::try_from(at % 251).unwrap()).collect();
    let heard = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let hear = std::sync::Arc::clone(&heard);
    let cat = Command::new("cat").stdin(Stdin::Bytes(input.clone())).output_max(1000);
    let cat = cat.on_output(move |stream, bytes| {
        assert_eq!(stream, Stream::Stdout);
        hear.lock().unwrap().extend_from_slice(bytes);
    });
    let outcome = cat.run_blocking().unwrap();
    assert_eq!(outcome.stdout.bytes, 3_000_000);
    assert!(*heard.lock().unwrap() == input);
    assert_eq!(outcome.stdout.head, input[..500]);
    // One that does not read at all is no failure.
    let idle = Command::new("true").stdin(Stdin::Bytes(input)).run_blocking().unwrap();
    assert!(idle.status.is_success());
}

#[test]
fn each_signal_that_ends_a_child_is_named() {
    // What this process was started to ignore (as by nohup) its children ignore too; SIGPIPE is theirs again.
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap().trim();
    let ignored = u64::from_str_radix(ignored, 16).unwrap() & !(1 << 12);
    let ends = |number: &i32| ![17, 18, 19, 20, 21, 22, 23, 28].contains(number);
    for number in (1..=31).filter(ends).filter(|number| ignored >> (number - 1) & 1 == 0) {
        let (command, _mark) = shell(&format!("ulimit -c 0; kill -{number} $$; sleep 60"));
        let error = command.run_blocking().unwrap_err();
        let Error::Signalled { signal, outcome } = &error else { panic!("{number}: {error:?}") };
        assert_eq!(signal.number(), number);
        assert!(matches!(outcome.status, Status::Signalled { .. }) && !outcome.out_of_memory);
        assert_eq!(error.fault().code, "command.signalled");
    }
}

#[test]
fn eight_commands_at_once_each_have_their_own_end() {
    std::thread::scope(|scope| {
        let run = |number: i32| {
            let (command, mark) = shell(&format!("seq 1 20000; sleep 0.1; exit {number}"));
            for _ in 0..3 {
                match command.run_blocking() {
                    Ok(outcome) => assert!(number == 0 && outcome.stdout.bytes == 108_894),
                    Err(Error::NonZero { code, outcome, .. }) => {
                        assert_eq!((code, outcome.stdout.bytes), (number, 108_894));
                    }
                    other => panic!("{other:?}"),
                }
            }
            mark.none_left();
        };
        let running: Vec<_> = (0..8).map(|number| scope.spawn(move || run(number))).collect();
        running.into_iter().for_each(|one| one.join().unwrap());
    });
}

#[test]
fn a_child_is_waited_for_in_parts_and_stopped() {
    let (command, mark) = shell("trap 'echo bye; exit 3' TERM; echo up; while :; do sleep 0.05; done");
    let mut child = command.start().unwrap();
    assert!(matches!(child.wait(Some(Duration::ZERO), None).unwrap(), Waited::TimedOut));
    assert!(until(|| {
        assert!(matches!(child.wait(Some(ms(20)), None).unwrap(), Waited::TimedOut));
        child.output().stdout.text() == "up\n"
    }));
    assert_eq!((child.written(), exists(child.pid())), (3, true));
    let outcome = child.stop(SLACK);
    assert_eq!((outcome.status, outcome.stdout.text().as_str()), (Status::Exited(3), "up\nbye\n"));
    assert_eq!(outcome.killed_by, Some(KilledBy::Stopped));
    assert_eq!(child.wait(None, None).unwrap(), Waited::Exited(outcome), "asked again it says the same");
    assert!(!exists(child.pid()), "it is reaped");
    assert!(child.signal(Signal::TERM).is_err(), "the number may be anybody's by now");
    mark.none_left();
}

#[test]
fn a_child_that_is_dropped_is_killed_with_its_group_and_reaped() {
    let (command, mark) = shell("trap '' TERM; sleep 600 & sleep 600");
    let child = command.start().unwrap();
    let pid = child.pid();
    assert!(until(|| mark.pids().len() >= 2));
    let begun = Instant::now();
    drop(child);
    assert!(begun.elapsed() < SLACK);
    assert!(!exists(pid));
    mark.none_left();
}

#[test]
fn no_zombie_is_left() {
    for script in ["exit 0", "exit 3", "kill -9 $$", "sleep 600 & sleep 600 & exit 0", "sleep 600"] {
        let (command, mark) = shell(script);
        drop(command.timeout(ms(100)).grace(ms(100)).drain(ms(50)).run_blocking());
        mark.none_left();
    }
    drop(Mark::new());
    assert!(until(|| zombies().is_empty()), "{:?}", zombies());
}

/// In KiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn a_program_that_reads_its_own_pipe_does_not_hold_the_call() {
    let (command, mark) =
        shell("echo a; sleep 0.2; echo a; echo b >&2; sleep 0.5; read b < /dev/stderr; sleep 60");
    let begun = Instant::now();
    let command = command
        .timeout(Duration::from_secs(2))
        .grace(Duration::from_millis(100))
        .drain(Duration::from_millis(100))
        // While it hears the first stream, the second is taken away.
        .on_output(|stream, _| {
            if stream == Stream::Stdout {
                std::thread::sleep(Duration::from_millis(600));
            }
        });
    let error = command.run_blocking().unwrap_err();
    assert!(matches!(error, Error::Timeout { .. }), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(2) + SLACK, "{:?}", begun.elapsed());
    mark.none_left();
}
