//! What a program says of itself while it runs: a file of its own that it may write.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::OFlags;
use serde::Deserialize;

use crate::act::pipeline::Cx;
use crate::base::fault::{Class, Reached};
use crate::base::rng::entropy;
use crate::base::text;
use crate::base::time::{Timestamp, between};

/// How much of a report is read.
const REPORT_MAX: u64 = 64 * 1024;
/// What a folder with a report in it is called, before its run's id.
const PREFIX: &str = "report-";
/// So young a folder may not be locked yet by whoever has made it.
const YOUNG: Duration = Duration::from_secs(60);
/// So many are looked at in one pass.
const CLEAR_MAX: usize = 1000;

/// What the program says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub(super) struct Report {
    pub(super) class: Option<Class>,
    pub(super) reached: Option<Reached>,
    pub(super) code: Option<String>,
    pub(super) retry_after_ms: Option<u64>,
    pub(super) why: Option<String>,
    pub(super) progress: Option<Done>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Done {
    pub(super) done: u64,
    pub(super) total: Option<u64>,
}

/// Dotted words.
pub(super) fn is_code(code: &str) -> bool {
    let is_word = |word: &str| {
        !word.is_empty()
            && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
    };
    code.len() <= 64 && code.split('.').all(is_word)
}

/// A file that nobody else may read, removed at the end.
pub(super) struct ReportFile {
    path: PathBuf,
    /// The folder that is its own. It is locked, so that what a process that was killed has left can be told.
    own: Option<(PathBuf, File)>,
}

impl ReportFile {
    /// That of a run, in `folder` if it can be made there, else in that for temporary files. What a process that is gone has left of
    /// the same run is removed.
    pub(super) fn of(run: &str, folder: Option<PathBuf>) -> io::Result<Self> {
        let plain = run.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if let Some(folder) = folder.filter(|_| plain && run.len() <= 100) {
            clear_named(&folder, &format!("{PREFIX}{run}-"), |_| true);
            if let Ok(report) = Self::within(&folder, run) {
                return Ok(report);
            }
        }
        let name = format!("unattended-report-{:016x}{:016x}", entropy(), entropy());
        let path = std::env::temp_dir().join(name);
        made(&path)?;
        Ok(Self { path, own: None })
    }

    fn within(folder: &Path, run: &str) -> io::Result<Self> {
        let own = folder.join(format!("{PREFIX}{run}-{:016x}", entropy()));
        fs::DirBuilder::new().mode(0o700).create(&own)?;
        let path = own.join("report");
        let locked = opened(&own).and_then(|file| {
            file.try_lock().map_err(io::Error::from)?;
            made(&path)?;
            Ok(file)
        });
        match locked {
            Ok(file) => Ok(Self { path, own: Some((own, file)) }),
            Err(error) => {
                drop(fs::remove_dir_all(&own));
                Err(error)
            }
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What stands there; an empty one says nothing.
    pub(super) fn read(&self) -> Result<Report, String> {
        let mut text = Vec::new();
        // It may have been replaced by anything, at any moment: a FIFO would be waited for.
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
        let file = fs::OpenOptions::new().read(true).custom_flags(flags).open(&self.path);
        let file = file.ok().filter(|file| file.metadata().is_ok_and(|found| found.is_file()));
        let Some(file) = file else { return Err(String::from("its report is no file, and is left out")) };
        let read = file.take(REPORT_MAX).read_to_end(&mut text);
        if let Err(error) = read {
            return Err(format!("its report cannot be read, and is left out: {error}"));
        }
        if text.trim_ascii().is_empty() {
            return Ok(Report::default());
        }
        let said: Report = serde_json::from_slice(&text)
            .map_err(|error| format!("its report is left out, as it cannot be understood: {error}"))?;
        match &said.code {
            Some(code) if !is_code(code) => {
                Err(format!("its report is left out: {:?} is no code", text::shortened(code, 64)))
            }
            _ => Ok(said),
        }
    }

    /// Tells the run how far it is, where that has changed since it was seen last.
    pub(super) fn forward(&self, cx: &Cx, seen: &mut Option<Done>) {
        // It may be amid writing: what cannot be read now is read later.
        let said = self.read().ok().and_then(|said| said.progress);
        if let Some(progress) = said
            && *seen != said
        {
            *seen = said;
            // A store that does not answer is the renewal's business.
            drop(cx.report_blocking(progress.done, progress.total));
        }
    }
}

impl Drop for ReportFile {
    fn drop(&mut self) {
        match &self.own {
            Some((folder, _locked)) => drop(fs::remove_dir_all(folder)),
            None => drop(fs::remove_file(&self.path)),
        }
    }
}

fn made(path: &Path) -> io::Result<()> {
    fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map(drop)
}

fn opened(folder: &Path) -> io::Result<File> {
    let flags = (OFlags::NOFOLLOW | OFlags::DIRECTORY).bits().cast_signed();
    fs::OpenOptions::new().read(true).custom_flags(flags).open(folder)
}

/// Removes the reports in `folder` whose processes are gone. Whose command still runs is not asked: nobody reads what it writes there.
pub(crate) fn clear(folder: &Path, now: Timestamp) {
    let old = |file: &File| {
        let made = file.metadata().and_then(|found| found.modified());
        made.is_ok_and(|made| between(Timestamp::from(made), now) >= YOUNG)
    };
    clear_named(folder, PREFIX, old);
}

fn clear_named(folder: &Path, prefix: &str, may_go: impl Fn(&File) -> bool) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let ours = entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix));
    for entry in ours.take(CLEAR_MAX) {
        let path = entry.path();
        if opened(&path).is_ok_and(|file| may_go(&file) && file.try_lock().is_ok()) {
            drop(fs::remove_dir_all(path));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn a_report_is_read_whole_or_left_out() {
        let file = ReportFile::of("01", None).unwrap();
        assert_eq!(file.read(), Ok(Report::default()));
        fs::write(&file.path, r#"{"class":"rate_limited","retry_after_ms":50,"more":1}"#).unwrap();
        let said = file.read().unwrap();
        assert_eq!((said.class, said.retry_after_ms), (Some(Class::RateLimited), Some(50)));
        for odd in ["{", "[]", r#"{"class":"odd"}"#, r#"{"code":"No Code"}"#, r#"{"retry_after_ms":-1}"#] {
            fs::write(&file.path, odd).unwrap();
            assert!(file.read().unwrap_err().starts_with("its report is left out"), "{odd}");
        }
        fs::remove_file(&file.path).unwrap();
        fs::create_dir(&file.path).unwrap();
        assert!(file.read().is_err());
        fs::remove_dir(&file.path).unwrap();
    }

    #[test]
    fn a_report_that_becomes_a_fifo_while_it_is_read_is_not_waited_for() {
        let file = ReportFile::of("01", None).unwrap();
        let (path, over) = (file.path.clone(), Arc::new(std::sync::atomic::AtomicBool::new(false)));
        let until = Arc::clone(&over);
        let (fifo, plain) = (path.with_extension("fifo"), path.with_extension("plain"));
        let left = [path.clone(), fifo.clone(), plain.clone()];
        let flips = std::thread::spawn(move || {
            while !until.load(std::sync::atomic::Ordering::Relaxed) {
                rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, 0o600.into(), 0)
                    .unwrap();
                fs::rename(&fifo, &path).unwrap();
                fs::write(&plain, "{}").unwrap();
                fs::rename(&plain, &path).unwrap();
            }
        });
        let (done, heard) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            for _ in 0..20_000 {
                drop(file.read());
            }
            done.send(()).unwrap();
        });
        let heard = heard.recv_timeout(Duration::from_secs(30));
        over.store(true, std::sync::atomic::Ordering::Relaxed);
        flips.join().unwrap();
        left.iter().for_each(|path| drop(fs::remove_file(path)));
        heard.unwrap();
    }

    #[test]
    fn what_a_process_that_is_gone_has_left_is_removed_and_what_is_used_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let at = |run: &str| ReportFile::of(run, Some(folder.path().to_owned())).unwrap();
        let used = at("01");
        // As after SIGKILL: nothing is removed, and the lock is free.
        let gone = at("02");
        let left = gone.path().to_owned();
        let (own, _) = gone.own.as_ref().unwrap();
        let own = own.clone();
        let mut gone = std::mem::ManuallyDrop::new(gone);
        gone.own = None;
        fs::create_dir(folder.path().join("input")).unwrap();
        let now = Timestamp::from(own.metadata().unwrap().modified().unwrap());
        clear(folder.path(), now);
        assert!(left.exists(), "it may be one that is being made");
        clear(folder.path(), now + chrono::TimeDelta::minutes(2));
        assert!(!own.exists() && used.path().exists() && folder.path().join("input").exists());
        let path = used.path().to_owned();
        drop(used);
        assert!(!path.exists() && !path.parent().unwrap().exists());
    }

    #[test]
    fn whoever_takes_a_run_over_removes_what_was_left_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let at = |run: &str| ReportFile::of(run, Some(folder.path().to_owned())).unwrap();
        fs::create_dir(folder.path().join("report-01-00")).unwrap();
        fs::create_dir(folder.path().join("report-02-00")).unwrap();
        let other = at("01");
        let next = at("01");
        assert!(!folder.path().join("report-01-00").exists() && folder.path().join("report-02-00").exists());
        assert!(other.path().exists() && next.path().exists(), "one that is used stays");
        let nowhere = ReportFile::of("01", Some(folder.path().join("no/such"))).unwrap();
        assert!(nowhere.path().starts_with(std::env::temp_dir()));
    }
}
