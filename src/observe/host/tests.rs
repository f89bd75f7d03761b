//! The kernel's files as real kernels have them, below another root, and this machine as it is.

mod groups;
mod machine;
mod real;

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::base::time::Moment;
use crate::decide::gate::{Reading, Resource, Signal, Span, Stall};
use crate::observe::host::Sampler;

/// 24 GiB, almost all of them free, as on a host with a kernel 6.18.
const MEMINFO: &str = "MemTotal:       24684084 kB\nMemFree:        24301224 kB\nMemAvailable:   24209116 kB\n\
                       Buffers:            3040 kB\nCached:            34812 kB\nSwapCached:            0 kB\n\
                       SwapTotal:       2097148 kB\nSwapFree:        1572861 kB\nShmem:              8872 kB\n";

/// A folder with the files of some machine.
struct Root {
    folder: tempfile::TempDir,
}

impl Root {
    /// One whose memory, mounts and groups are these.
    fn new(files: &[(&str, &str)]) -> Self {
        let root = Self { folder: tempfile::tempdir().unwrap() };
        root.put("proc/meminfo", MEMINFO);
        for (path, text) in files {
            root.put(path, text);
        }
        root
    }

    fn put(&self, path: &str, text: &str) {
        let path = self.folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn sampler(&self) -> Sampler {
        Sampler::new().root(self.folder.path())
    }

    fn read(&self, signal: Signal) -> Reading {
        read(&mut self.sampler(), signal, Moment::ZERO)
    }

    /// The number of a signal, to a hundredth.
    fn number(&self, signal: Signal) -> f64 {
        match self.read(signal) {
            Reading::Number(number) => (number * 100.0).round() / 100.0,
            other => panic!("{other:?}"),
        }
    }

    /// Why a signal cannot be read, without the name of the folder.
    fn missing(&self, signal: Signal) -> String {
        match self.read(signal) {
            Reading::Missing(why) => why.replace(self.folder.path().to_str().unwrap(), ""),
            other => panic!("{other:?}"),
        }
    }
}

fn read(sampler: &mut Sampler, signal: Signal, now: Moment) -> Reading {
    sampler.sample([&signal], now).get(&signal).unwrap().clone()
}

const fn psi(resource: Resource, kind: Stall, span: Span) -> Signal {
    Signal::Pressure { resource, kind, span }
}

fn millis(millis: u64) -> Moment {
    Moment::ZERO.after(Duration::from_millis(millis))
}

fn exists(path: &Path) -> Signal {
    Signal::Exists(path.to_path_buf())
}
