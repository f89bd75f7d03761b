//! What there is to do: five engines, each a row of calls to five dependencies.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What the job depends on and does not own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Dependency {
    Feed,
    Media,
    Transcoder,
    Upload,
    Notifier,
}

impl Dependency {
    pub(crate) const ALL: [Self; 5] =
        [Self::Feed, Self::Media, Self::Transcoder, Self::Upload, Self::Notifier];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Feed => "feed",
            Self::Media => "media",
            Self::Transcoder => "transcoder",
            Self::Upload => "upload",
            Self::Notifier => "notifier",
        }
    }

    pub(crate) const fn index(self) -> usize {
        self as usize
    }
}

/// One call of a dependency.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Op {
    pub(crate) name: &'static str,
    pub(crate) on: Dependency,
    /// Whether it changes something there, so that twice is once too often.
    pub(crate) changes: bool,
}

/// A part of the job that works on tasks of its own.
#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) name: &'static str,
    pub(crate) ops: &'static [Op],
}

/// In the order in which a script would run them.
pub(crate) static ENGINES: [Engine; 5] = [
    Engine {
        name: "collect",
        ops: &[
            read("feed.entry", Dependency::Feed),
            read("feed.file", Dependency::Feed),
            change("media.create", Dependency::Media),
        ],
    },
    Engine {
        name: "transcode",
        ops: &[
            read("media.file", Dependency::Media),
            change("transcoder.submit", Dependency::Transcoder),
            read("transcoder.result", Dependency::Transcoder),
            change("media.create", Dependency::Media),
        ],
    },
    Engine {
        name: "publish",
        ops: &[
            read("media.file", Dependency::Media),
            change("upload.begin", Dependency::Upload),
            change("upload.send", Dependency::Upload),
            change("upload.publish", Dependency::Upload),
            change("notifier.send", Dependency::Notifier),
        ],
    },
    Engine {
        name: "report",
        ops: &[
            read("upload.numbers", Dependency::Upload),
            change("media.create", Dependency::Media),
            change("notifier.send", Dependency::Notifier),
        ],
    },
    Engine {
        name: "tidy",
        ops: &[
            read("feed.withdrawn", Dependency::Feed),
            change("upload.withdraw", Dependency::Upload),
            change("media.remove", Dependency::Media),
            change("notifier.send", Dependency::Notifier),
        ],
    },
];

const fn read(name: &'static str, on: Dependency) -> Op {
    Op { name, on, changes: false }
}

const fn change(name: &'static str, on: Dependency) -> Op {
    Op { name, on, changes: true }
}

/// A piece of work of one engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Task {
    pub(crate) engine: usize,
    pub(crate) number: u32,
}

impl Task {
    pub(crate) fn engine(self) -> &'static Engine {
        &ENGINES[self.engine]
    }
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.engine().name, self.number)
    }
}
