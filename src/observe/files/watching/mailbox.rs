//! Where the thread that reads the kernel's events leaves what it has heard: so much, however many events there are.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode, CreateKind, ModifyKind, RenameMode};
use notify::{ErrorKind, Event, EventKind};

use crate::decide::intent::Trouble;
use crate::observe::files::filter::Filter;

/// How many new folders are remembered. The others are found when the tree is looked at.
const FOLDERS_MAX: usize = 4096;

#[derive(Debug, Default)]
pub(super) struct Mailbox {
    mail: Mutex<Mail>,
    arrived: Condvar,
}

/// What was heard since it was last asked for.
#[derive(Debug, Default)]
pub(super) struct Mail {
    pub(super) changed: bool,
    pub(super) overflows: u32,
    pub(super) trouble: Option<Trouble>,
    /// Folders, perhaps, that are new, below the root.
    pub(super) folders: BTreeSet<PathBuf>,
}

impl Mailbox {
    pub(super) fn take(&self) -> Mail {
        std::mem::take(&mut *self.mail())
    }

    pub(super) fn wait(&self, timeout: Duration) -> bool {
        let waited = self.arrived.wait_timeout_while(self.mail(), timeout, |mail| mail.is_empty());
        let (mail, _) = waited.unwrap_or_else(PoisonError::into_inner);
        !mail.is_empty()
    }

    /// Takes in what notify says of the tree at `root`.
    pub(super) fn put(&self, event: notify::Result<Event>, root: &Path, filter: &Filter) {
        let mut news = Mail::default();
        match event {
            Err(error) if matches!(error.kind, ErrorKind::MaxFilesWatch) => {
                news.trouble = Some(Trouble::WatchLimit);
            }
            Err(_) => news.trouble = Some(Trouble::Broken),
            Ok(event) if event.need_rescan() => news.overflows = 1,
            Ok(event) => news.read(&event, root, filter),
        }
        if news.is_empty() {
            return;
        }
        self.mail().add(news);
        self.arrived.notify_all();
    }

    fn mail(&self) -> MutexGuard<'_, Mail> {
        self.mail.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Mail {
    const fn is_empty(&self) -> bool {
        !self.changed && self.overflows == 0 && self.trouble.is_none()
    }

    fn add(&mut self, news: Self) {
        self.changed |= news.changed;
        self.overflows = self.overflows.saturating_add(news.overflows).min(1000);
        self.trouble = news.trouble.or(self.trouble);
        let room = FOLDERS_MAX.saturating_sub(self.folders.len());
        self.folders.extend(news.folders.into_iter().take(room));
    }

    fn read(&mut self, event: &Event, root: &Path, filter: &Filter) {
        // Who only reads changes nothing; whoever takes a state of the tree opens every folder of it.
        if matches!(event.kind, EventKind::Access(access) if access != AccessKind::Close(AccessMode::Write)) {
            return;
        }
        self.changed = event.paths.is_empty();
        let may_be_folder = matches!(
            event.kind,
            EventKind::Create(CreateKind::Folder | CreateKind::Any)
                | EventKind::Modify(ModifyKind::Name(RenameMode::To))
        );
        for path in &event.paths {
            let Ok(below) = path.strip_prefix(root) else {
                self.changed = true;
                continue;
            };
            if filter.hides(below) {
                continue;
            }
            self.changed = true;
            if may_be_folder {
                self.folders.insert(below.to_owned());
            }
        }
    }
}
