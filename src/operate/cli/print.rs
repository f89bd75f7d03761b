//! How things look: colours, tables, states.

use std::fmt::Display;
use std::io::{self, Write};

use anstyle::{AnsiColor, Style};

use crate::base::text::{self, relative, second, shown};
use crate::base::time::Timestamp;
use crate::decide::run::State;

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();

/// Colours, if there are any.
#[derive(Clone, Copy, Debug)]
pub(super) struct Paint {
    pub(super) on: bool,
}

impl Paint {
    pub(super) fn bold(self, text: impl Display) -> String {
        self.with(BOLD, text)
    }

    pub(super) fn dim(self, text: impl Display) -> String {
        self.with(DIM, text)
    }

    pub(super) fn good(self, text: impl Display) -> String {
        self.with(AnsiColor::Green.on_default(), text)
    }

    pub(super) fn bad(self, text: impl Display) -> String {
        self.with(AnsiColor::Red.on_default(), text)
    }

    /// `text` in the colour of the state called `state`.
    pub(super) fn state(self, state: &str, text: impl Display) -> String {
        let colour = match state.parse() {
            Ok(State::Succeeded) => AnsiColor::Green,
            Ok(State::FailedPermanent | State::NeedsReview) => AnsiColor::Red,
            Ok(State::FailedTransient | State::WaitingExternal) => AnsiColor::Yellow,
            Ok(State::Processing | State::Compensating) => AnsiColor::Cyan,
            _ => return text.to_string(),
        };
        self.with(colour.on_default(), text)
    }

    fn with(self, style: Style, text: impl Display) -> String {
        if self.on { format!("{style}{text}{style:#}") } else { text.to_string() }
    }
}

/// How instants are written.
#[derive(Clone, Copy, Debug)]
pub(super) struct When {
    pub(super) now: Timestamp,
    pub(super) absolute: bool,
}

impl When {
    /// For a table: one or the other.
    pub(super) fn short(self, at: Timestamp) -> String {
        if self.absolute { second(at).to_string() } else { relative(at, self.now) }
    }

    /// For a line of its own: both, unless only the absolute is wanted.
    pub(super) fn long(self, at: Timestamp) -> String {
        if self.absolute {
            return text::rfc3339(at);
        }
        format!("{}  {}", second(at), relative(at, self.now))
    }
}

/// A table whose columns are as wide as what stands in them.
#[derive(Debug, Default)]
pub(super) struct Table {
    rows: Vec<Vec<Cell>>,
}

#[derive(Debug)]
struct Cell {
    text: String,
    painted: String,
}

impl Table {
    pub(super) fn head(paint: Paint, names: &[&str]) -> Self {
        let mut table = Self::default();
        table.row(names.iter().map(|name| (*name, paint.dim(name))));
        table
    }

    /// A row: each cell as its text and as it is painted.
    pub(super) fn row<T: AsRef<str>>(&mut self, cells: impl IntoIterator<Item = (T, String)>) {
        let cells = cells.into_iter().map(|(text, painted)| Cell { text: text.as_ref().to_owned(), painted });
        self.rows.push(cells.collect());
    }

    pub(super) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let widest = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| width(&cell.text)).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(widest).collect();
        for row in &self.rows {
            let mut line = String::new();
            for (cell, column) in row.iter().zip(&widths) {
                line.push_str(&cell.painted);
                let pad = column.saturating_sub(width(&cell.text)).saturating_add(2);
                line.extend(std::iter::repeat_n(' ', pad));
            }
            writeln!(out, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// A cell that is safe to show and not painted.
pub(super) fn plain(text: &str) -> (String, String) {
    let text = shown(text).into_owned();
    (text.clone(), text)
}

/// Lines of a name and what it is, the names aligned; what is empty is left out.
#[derive(Debug, Default)]
pub(super) struct Facts {
    lines: Vec<(&'static str, String)>,
}

impl Facts {
    /// A line; the value is shown as it is, so it must be safe.
    pub(super) fn painted(&mut self, name: &'static str, value: String) {
        if !value.is_empty() {
            self.lines.push((name, value));
        }
    }

    /// A line of text from anywhere.
    pub(super) fn text(&mut self, name: &'static str, value: &str) {
        self.painted(name, shown(value).into_owned());
    }

    pub(super) fn write(&self, out: &mut dyn Write, paint: Paint) -> io::Result<()> {
        let widest = self.lines.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        for (name, value) in &self.lines {
            writeln!(out, "{}{}  {value}", paint.dim(name), " ".repeat(widest - name.len()))?;
        }
        Ok(())
    }
}

/// How many columns of a terminal `text` takes, as the common terminals draw it.
pub(super) fn width(text: &str) -> usize {
    text.chars().map(columns_of).sum()
}

/// Two for East Asian wide and for emoji (Unicode, UAX 11), none for marks that sit on the character before.
fn columns_of(c: char) -> usize {
    const WIDE: [(u32, u32); 14] = [
        (0x1100, 0x115f),
        (0x231a, 0x231b),
        (0x2e80, 0x303e),
        (0x3041, 0x33ff),
        (0x3400, 0x4dbf),
        (0x4e00, 0x9fff),
        (0xa000, 0xa4cf),
        (0xa960, 0xa97f),
        (0xac00, 0xd7a3),
        (0xf900, 0xfaff),
        (0xfe30, 0xfe6f),
        (0xff00, 0xff60),
        (0x1f300, 0x1faff),
        (0x20000, 0x3fffd),
    ];
    const NONE: [(u32, u32); 9] = [
        (0x0300, 0x036f),
        (0x0483, 0x0489),
        (0x0591, 0x05bd),
        (0x064b, 0x065f),
        (0x1ab0, 0x1aff),
        (0x1dc0, 0x1dff),
        (0x200b, 0x200f),
        (0x20d0, 0x20ff),
        (0xfe00, 0xfe0f),
    ];
    let code = u32::from(c);
    let within = |ranges: &[(u32, u32)]| ranges.iter().any(|(from, to)| (*from..=*to).contains(&code));
    match code {
        ..0x300 => 1,
        _ if within(&NONE) => 0,
        _ if within(&WIDE) || (0xffe0..=0xffe6).contains(&code) => 2,
        _ => 1,
    }
}

/// The shortest ends of ids, 8 characters at least, that tell `ids` apart.
pub(super) fn ends(ids: &[&str]) -> usize {
    const SHORTEST: usize = 8;
    let longest = ids.iter().map(|id| id.chars().count()).max().unwrap_or(SHORTEST);
    let distinct = |length: usize| {
        let mut all: Vec<String> = ids.iter().map(|id| end(id, length)).collect();
        all.sort_unstable();
        all.windows(2).all(|pair| pair[0] != pair[1])
    };
    let longest = longest.max(SHORTEST);
    (SHORTEST..longest).find(|length| distinct(*length)).unwrap_or(longest)
}

/// The last `length` characters of an id.
pub(super) fn end(id: &str, length: usize) -> String {
    let skip = id.chars().count().saturating_sub(length);
    id.chars().skip(skip).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_the_text_not_as_the_paint() {
        let mut table = Table::head(Paint { on: true }, &["A", "B"]);
        table.row([("four", Paint { on: true }.bold("four")), ("x", String::from("x"))]);
        let mut out = Vec::new();
        table.write(&mut out).unwrap();
        let plain = String::from_utf8(out).unwrap();
        let stripped: Vec<String> = plain.lines().map(strip).collect();
        assert_eq!(stripped, ["A     B", "four  x"]);
    }

    #[test]
    fn columns_stay_aligned_with_wide_characters() {
        assert_eq!(
            [width("job"), width("日本"), width("e\u{301}"), width("🚀"), width("ｆｕ")],
            [3, 4, 1, 2, 4]
        );
        let mut table = Table::default();
        table.row([plain("日本語"), plain("x")]);
        table.row([plain("sixsix"), plain("y")]);
        let mut out = Vec::new();
        table.write(&mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "日本語  x\nsixsix  y\n");
    }

    fn strip(line: &str) -> String {
        let mut text = String::new();
        let mut inside = false;
        for c in line.chars() {
            inside = c == '\x1b' || (inside && c != 'm');
            if !inside && c != 'm' {
                text.push(c);
            }
        }
        text
    }

    #[test]
    fn ends_tell_apart() {
        assert_eq!(ends(&["0000-aaaaaaaa", "0000-bbbbbbbb"]), 8);
        assert_eq!(ends(&["1-aaaaaaaa", "2-aaaaaaaa"]), 10);
        assert_eq!(ends(&[]), 8);
        assert_eq!(ends(&["same", "same"]), 8, "nothing tells them apart");
        assert_eq!(end("0000-aaaaaaaa", 8), "aaaaaaaa");
        assert_eq!(end("id", 8), "id");
    }

    #[test]
    fn no_paint_is_no_escape() {
        assert_eq!(Paint { on: false }.state("succeeded", "ok"), "ok");
        assert!(Paint { on: true }.state("succeeded", "ok").contains("\x1b["));
    }
}
