//! One line of JSON for each loaded file in `notifications.jsonl`: an effect outside every transaction, made once by
//! asking first whether it took place.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};

use serde::{Deserialize, Serialize};
use unattended::pipeline::{Cx, StepError};

use crate::job::{App, Input, Transformed};
use crate::load::Loaded;

/// One line.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Notification {
    pub(crate) key: String,
    pub(crate) run_id: String,
    pub(crate) file: String,
    pub(crate) lines: u64,
    pub(crate) format: String,
    pub(crate) levels: Vec<(String, u64)>,
}

/// Whether the line stands already.
pub(crate) fn notified(app: &App, cx: &Cx) -> Result<Option<()>, StepError> {
    let key = cx.key().unwrap_or_default();
    Ok(contains(&locked(app)?, &key)?.then_some(()))
}

/// Appends the line, unless it stands already.
pub(crate) fn notify(app: &App, cx: &Cx) -> Result<(), StepError> {
    let input: Input = cx.input()?;
    let Transformed { format, summary } = cx.output("transform")?;
    let Loaded { lines } = cx.output("load")?;
    let key = cx.key().unwrap_or_default();
    let levels = summary.levels.iter().map(|(level, count)| (level.as_str().to_owned(), *count)).collect();
    let line = Notification {
        key,
        run_id: cx.run_id().to_owned(),
        file: input.name,
        lines,
        format: format.as_str().to_owned(),
        levels,
    };
    let mut text = serde_json::to_string(&line)?;
    text.push('\n');
    let mut file = locked(app)?;
    // Asked again under the lock: a worker that lost this run meanwhile may have been faster.
    if contains(&file, &line.key)? {
        return Ok(());
    }
    cx.edge("notify:before-append");
    append(&mut file, &text)?;
    cx.edge("notify:appended");
    cx.note("a line in notifications.jsonl");
    Ok(())
}

/// The file, locked against other copies until it is dropped.
fn locked(app: &App) -> io::Result<File> {
    let path = app.places.root.join("notifications.jsonl");
    let file = OpenOptions::new().create(true).read(true).append(true).open(path)?;
    file.lock()?;
    Ok(file)
}

fn contains(mut file: &File, key: &str) -> io::Result<bool> {
    file.seek(SeekFrom::Start(0))?;
    for line in BufReader::new(file).lines() {
        let line = line?;
        // A torn last line is no notification, and does not parse.
        if line.contains(key)
            && serde_json::from_str::<Notification>(&line).is_ok_and(|notification| notification.key == key)
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Appends after the last whole line: what a full disk or a kill left of an earlier one is cut off first.
fn append(file: &mut File, text: &str) -> io::Result<()> {
    let mut whole = file.seek(SeekFrom::End(0))?;
    let mut byte = [0];
    while whole > 0 {
        file.seek(SeekFrom::Start(whole - 1))?;
        file.read_exact(&mut byte)?;
        if byte[0] == b'\n' {
            break;
        }
        whole -= 1;
    }
    file.set_len(whole)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_line_is_cut_off_and_is_no_notification() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("n.jsonl");
        let line = |key: &str| {
            let notification = Notification {
                key: key.to_owned(),
                run_id: String::new(),
                file: String::new(),
                lines: 1,
                format: String::new(),
                levels: Vec::new(),
            };
            format!("{}\n", serde_json::to_string(&notification).unwrap())
        };
        std::fs::write(&path, format!("{}{}", line("a"), &line("b")[..20])).unwrap();
        let open = || OpenOptions::new().create(true).read(true).append(true).open(&path).unwrap();
        assert!(contains(&open(), "a").unwrap());
        assert!(!contains(&open(), "b").unwrap());
        append(&mut open(), &line("b")).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("{}{}", line("a"), line("b")));
        assert!(contains(&open(), "b").unwrap());
    }
}
