//! A run in front of whoever waits for it: its output goes through, signals reach it.

use std::io::Write;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use crate::act::command::{Captured, Stream};
use crate::act::pipeline::Interrupt;
use crate::base::time::Clock;
use crate::operate::cli::Io;
use crate::operate::cli::exec::stage::{Hear, Last};
use crate::operate::cli::failure::{Exit, Failure};

/// How many pieces of output may wait to be written. Then the command waits.
const WAITING_MAX: usize = 16;

/// Where what the command writes goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Through {
    /// Each stream to its own.
    Both,
    /// Both to stderr.
    Stderr,
    /// Nowhere for now.
    Nowhere,
}

enum Piece {
    Wrote(Stream, Vec<u8>),
    Done,
}

/// Says that there is nothing more to come, also when the work panics.
struct Ending(SyncSender<Piece>);

impl Drop for Ending {
    fn drop(&mut self) {
        drop(self.0.send(Piece::Done));
    }
}

/// Does `work` on a thread of its own, and writes meanwhile what the command writes.
pub(super) fn with_output<T: Send>(
    io: &mut Io<'_>,
    through: Through,
    work: impl FnOnce(Option<Arc<Hear>>) -> T + Send,
) -> Result<T, Failure> {
    let (send, pieces) = sync_channel(WAITING_MAX);
    thread::scope(|scope| {
        let begun =
            thread::Builder::new().name(String::from("unattended-exec")).spawn_scoped(scope, move || {
                let hear = send.clone();
                let _ending = Ending(send);
                let hear: Arc<Hear> = Arc::new(move |stream, bytes: &[u8]| {
                    drop(hear.send(Piece::Wrote(stream, bytes.to_vec())));
                });
                work((through != Through::Nowhere).then_some(hear))
            });
        let begun = begun.map_err(|error| {
            Failure::new(Exit::Failed, "exec.no_thread", format!("no thread can be had: {error}"))
        })?;
        write_all(io, through, &pieces);
        begun.join().map_err(|_| Failure::new(Exit::Failed, "exec.panicked", "the work panicked"))
    })
}

fn write_all(io: &mut Io<'_>, through: Through, pieces: &Receiver<Piece>) {
    // Whoever does not listen any more is not written to; the command goes on.
    let (mut out, mut err) = (true, true);
    while let Ok(Piece::Wrote(stream, bytes)) = pieces.recv() {
        let to_out = stream == Stream::Stdout && through == Through::Both;
        if to_out && out {
            out = io.out.write_all(&bytes).and_then(|()| io.out.flush()).is_ok();
        } else if !to_out && err {
            err = io.err.write_all(&bytes).and_then(|()| io.err.flush()).is_ok();
        }
    }
}

/// What was held back of a command that failed after all.
pub(super) fn show(io: &mut Io<'_>, last: &Last, json: bool) {
    let Some(outcome) = &last.outcome else { return };
    let out: &mut dyn Write = if json { io.err } else { io.out };
    drop(write_captured(out, &outcome.stdout).and_then(|()| out.flush()));
    drop(write_captured(io.err, &outcome.stderr).and_then(|()| io.err.flush()));
}

fn write_captured(to: &mut dyn Write, captured: &Captured) -> std::io::Result<()> {
    to.write_all(&captured.head)?;
    if !captured.is_whole() {
        writeln!(to, "\n… {} bytes left out …", captured.left_out())?;
    }
    to.write_all(&captured.tail)
}

/// Listens to what asks a program to end, until it is dropped: SIGTERM and SIGINT, SIGQUIT, and where it is not ignored SIGHUP, as
/// the command has a process group of its own, which a terminal that is closed does not reach.
pub(in crate::operate::cli) struct Listening {
    pub(in crate::operate::cli) interrupt: Interrupt,
    ids: Vec<signal_hook::SigId>,
}

impl Listening {
    pub(in crate::operate::cli) fn begin(clock: Arc<dyn Clock>) -> Result<Self, Failure> {
        use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
        let mut listening = Self { interrupt: Interrupt::on(clock), ids: Vec::new() };
        let hangs_up = (!ignores_hang_up()).then_some(SIGHUP);
        for signal in [SIGINT, SIGTERM, SIGQUIT].into_iter().chain(hangs_up) {
            for slot in listening.interrupt.slots() {
                let number = usize::try_from(signal).unwrap_or_default();
                let id = signal_hook::flag::register_usize(signal, slot, number).map_err(|error| {
                    let message = format!("cannot listen to signals: {error}");
                    Failure::new(Exit::Failed, "exec.no_signals", message)
                })?;
                listening.ids.push(id);
            }
        }
        Ok(listening)
    }
}

/// Whether whoever started this wants it to outlive the terminal, as nohup does. Where that cannot be known it may.
fn ignores_hang_up() -> bool {
    let Ok(status) = std::fs::read_to_string("/proc/self/status") else { return true };
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_none_or(|mask| mask & 1 == 1)
}

impl Drop for Listening {
    fn drop(&mut self) {
        for id in &self.ids {
            signal_hook::low_level::unregister(*id);
        }
    }
}
