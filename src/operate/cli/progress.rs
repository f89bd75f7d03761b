//! A progress bar on stderr for long work, where a person watches: nowhere else is anything written.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle, TermLike};

use crate::operate::cli::session::Session;

/// How often it is drawn in a second, at most.
const HERTZ: u8 = 10;
/// Columns of a terminal that does not say how many it has.
const COLUMNS: u16 = 80;

/// How far something is. It may be told from any thread.
#[derive(Clone, Debug)]
pub(super) struct Bar {
    bar: ProgressBar,
}

impl Bar {
    /// Begins: `what` is counted, such as `files`, up to `total` where that is known. Where stderr is no terminal, is a
    /// dumb one, or `NO_COLOR` is set, nothing is drawn.
    pub(super) fn begin(_session: &Session<'_, '_>, total: Option<u64>, what: &'static str) -> Self {
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb" || term.is_empty());
        let target = match Stderr::open() {
            Some(stderr) if !dumb && !set("NO_COLOR") => {
                ProgressDrawTarget::term_like_with_hz(Box::new(stderr), HERTZ)
            }
            _ => ProgressDrawTarget::hidden(),
        };
        let bar = ProgressBar::with_draw_target(total, target).with_message(what).with_style(style(total));
        Self { bar }
    }

    /// So many are done.
    pub(super) fn at(&self, done: u64) {
        self.bar.set_position(done);
    }

    /// So many there are, as far as is known now.
    pub(super) fn total(&self, total: u64) {
        if self.bar.length() != Some(total) {
            self.bar.set_length(total);
            self.bar.set_style(style(Some(total)));
        }
    }

    /// Takes it away.
    pub(super) fn done(self) {
        self.bar.finish_and_clear();
    }
}

fn style(total: Option<u64>) -> ProgressStyle {
    let template = match total {
        Some(_) => "{bar:30} {human_pos} of {human_len} {msg}, {eta} left",
        None => "{spinner} {human_pos} {msg}",
    };
    let style = ProgressStyle::with_template(template);
    style.map_or_else(|_| ProgressStyle::default_bar(), |style| style.progress_chars("=> "))
}

/// The process's stderr through a handle of its own: whoever draws from a thread must not wait for the lock that the verb
/// holds.
#[derive(Debug)]
struct Stderr(File);

impl Stderr {
    /// If it is a terminal.
    fn open() -> Option<Self> {
        let stderr = io::stderr();
        if !stderr.is_terminal() {
            return None;
        }
        stderr.as_fd().try_clone_to_owned().ok().map(|handle| Self(File::from(handle)))
    }

    fn put(&self, text: &str) -> io::Result<()> {
        (&self.0).write_all(text.as_bytes())
    }
}

impl TermLike for Stderr {
    fn width(&self) -> u16 {
        let columns = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
        columns.unwrap_or(COLUMNS).clamp(20, 200)
    }

    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        if n > 0 { self.put(&format!("\x1b[{n}A")) } else { Ok(()) }
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        if n > 0 { self.put(&format!("\x1b[{n}B")) } else { Ok(()) }
    }

    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        if n > 0 { self.put(&format!("\x1b[{n}C")) } else { Ok(()) }
    }

    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        if n > 0 { self.put(&format!("\x1b[{n}D")) } else { Ok(()) }
    }

    fn write_line(&self, line: &str) -> io::Result<()> {
        self.put(&format!("{line}\n"))
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        self.put(text)
    }

    fn clear_line(&self) -> io::Result<()> {
        self.put("\r\x1b[2K")
    }

    fn flush(&self) -> io::Result<()> {
        (&self.0).flush()
    }
}
