//! Loads rows in the store's own transactions: a chunk and its cursor are committed together, and the last chunk
//! together with the ledger's completion. Whatever dies, every line is one row.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Transaction, params};
use serde::{Deserialize, Serialize};
use unattended::fault::{Fault, Reached};
use unattended::pipeline::{Cx, StepError};
use unattended::sqlite::apply_in;
use unattended::store;

use crate::failed::present;
use crate::format::Format;
use crate::job::{App, Input, Taken, Transformed};
use crate::lines::{Cursor, LINE_BYTES_MAX, Lines, Text};
use crate::places::Stamp;

/// The table, as every copy of this program makes it if it is not there.
const TABLE: &str = "CREATE TABLE IF NOT EXISTS events (
    file TEXT NOT NULL, line_no INTEGER NOT NULL, at TEXT, level TEXT, component TEXT, message TEXT NOT NULL
) STRICT";

const INSERT: &str =
    "INSERT INTO events (file, line_no, at, level, component, message) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";

/// The longest that a chunk holds the file: other writers wait for it.
const CHUNK_TIME_MAX: Duration = Duration::from_millis(200);
/// How many rows are written between two looks at the clock.
const LOOK_EVERY: u64 = 512;

/// What the step gives.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Loaded {
    pub(crate) lines: u64,
}

impl Loaded {
    /// The cursor holds the number of the line that comes next.
    fn up_to(cursor: Cursor) -> Self {
        Self { lines: cursor.line_no.saturating_sub(1) }
    }
}

/// Makes the table.
pub(crate) fn prepare(app: &App) -> Result<(), store::Error> {
    app.store.transaction(|tx| {
        tx.execute_batch(TABLE).map_err(|error| store::Error::Backend {
            action: "cannot make the table of events",
            source: error.into(),
        })
    })
}

/// Loads what the cursor says is left.
pub(crate) fn load(app: &App, cx: &Cx) -> Result<Loaded, StepError> {
    let input: Input = cx.input()?;
    let Transformed { format, .. } = cx.output("transform")?;
    let Taken { stamp } = cx.output("ingest")?;
    let path = present(app, cx)?;
    let mut cursor: Cursor = cx.cursor()?.unwrap_or_default();
    let mut lines = Lines::resume(File::open(&path)?, cursor, LINE_BYTES_MAX)?;
    while cursor.offset < stamp.bytes {
        if cx.should_stop() {
            return Err(StepError::transient("load.stopped", "the run was asked to stop"));
        }
        let chunk = app.store.transaction(|tx| -> Result<_, StepError> {
            insert_chunk(app, cx, tx, &input.name, format, &mut lines)?;
            let next = lines.cursor();
            let progress = if next.offset < stamp.bytes {
                cx.edge("load:chunk-before-commit");
                cx.progress(&next)?
            } else {
                unchanged(&path, stamp, &input.name)?;
                cx.edge("load:last-before-commit");
                cx.completion(&next, &Loaded::up_to(next))?
            };
            let applied = apply_in(tx, progress.batch())?;
            Ok((next, progress, applied))
        });
        match chunk {
            Ok((next, progress, applied)) => {
                cx.committed(progress, &applied);
                cursor = next;
            }
            Err(error) => {
                if error.fault().code == CHANGED {
                    withdraw(app, cx, &input.name)?;
                }
                return Err(error);
            }
        }
        let done = cursor.offset >= stamp.bytes;
        cx.edge(if done { "load:last-committed" } else { "load:chunk-committed" });
    }
    let loaded = Loaded::up_to(cursor);
    cx.note(format!("{} rows, each committed with its place in the file", loaded.lines));
    Ok(loaded)
}

/// Inserts rows until the chunk is full, its time is over, or the file ends.
fn insert_chunk(
    app: &App,
    cx: &Cx,
    tx: &Transaction<'_>,
    file: &str,
    format: Format,
    lines: &mut Lines<File>,
) -> Result<(), StepError> {
    let mut insert = tx.prepare_cached(INSERT)?;
    let (began, mut rows) = (cx.now().moment, 0);
    while rows < app.chunk_rows {
        let Some(line) = lines.next_line()? else { break };
        let number = i64::try_from(line.number).unwrap_or(i64::MAX);
        let Text::Valid(text) = line.text else {
            // Validated before, so it has changed since.
            return Err(changed(file));
        };
        let row = format.parse(text);
        let (at, level) = (row.at.as_ref().map(|at| at.as_str()), row.level.map(|level| level.as_str()));
        insert.execute(params![file, number, at, level, row.component.as_deref(), &*row.message])?;
        rows += 1;
        if rows % LOOK_EVERY == 0 && cx.now().moment.since(began) >= CHUNK_TIME_MAX {
            break;
        }
    }
    if rows == 0 {
        // It was longer when it was hashed.
        return Err(changed(file));
    }
    Ok(())
}

const CHANGED: &str = "ingest.changed";

fn unchanged(path: &Path, stamp: Stamp, name: &str) -> Result<(), StepError> {
    if Stamp::of(&File::open(path)?)? == stamp { Ok(()) } else { Err(changed(name)) }
}

fn changed(name: &str) -> StepError {
    let text = format!("{name} changed while it was loaded; none of its rows are kept");
    StepError::new(Fault::permanent(CHANGED).reached(Reached::No), text)
}

/// Takes back the rows of the chunks that were committed before the change was seen.
fn withdraw(app: &App, cx: &Cx, name: &str) -> Result<(), StepError> {
    let (progress, applied) = app.store.transaction(|tx| -> Result<_, StepError> {
        tx.execute("DELETE FROM events WHERE file = ?1", [name])?;
        let progress = cx.progress(&Cursor::default())?;
        let applied = apply_in(tx, progress.batch())?;
        Ok((progress, applied))
    })?;
    cx.committed(progress, &applied);
    Ok(())
}
