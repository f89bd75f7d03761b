//! What belongs to a tree.

use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;

/// What version control keeps for itself.
const REPOSITORIES: [&str; 5] = [".git", ".hg", ".jj", ".svn", ".bzr"];

/// What the program itself leaves out.
type Own = Arc<dyn Fn(&Path) -> bool + Send + Sync>;

/// What belongs to a tree, by its path below the root.
#[derive(Clone, Default)]
pub(super) struct Filter {
    pub(super) no_repositories: bool,
    pub(super) no_editor_files: bool,
    pub(super) own: Vec<Own>,
    #[cfg(feature = "globs")]
    pub(super) include: super::scan::globs::Globs,
    #[cfg(feature = "globs")]
    pub(super) exclude: super::scan::globs::Globs,
}

impl Filter {
    /// Whether this entry is left out, and all that is below it. The folders above it are not asked about.
    pub(super) fn leaves_out(&self, path: &Path) -> bool {
        let name = path.file_name().unwrap_or_default();
        if self.no_repositories && REPOSITORIES.iter().any(|kept| name == *kept) {
            return true;
        }
        if self.no_editor_files && is_editor_file(name) {
            return true;
        }
        #[cfg(feature = "globs")]
        if self.exclude.matches(path) {
            return true;
        }
        self.own.iter().any(|own| own(path))
    }

    /// Whether this entry is taken in, once it is not left out; folders that are not are looked into all the same.
    #[cfg_attr(not(feature = "globs"), allow(clippy::unused_self, reason = "patterns are all that it asks"))]
    pub(super) fn takes_in(&self, path: &Path) -> bool {
        #[cfg(feature = "globs")]
        return self.include.is_empty() || self.include.matches(path);
        #[cfg(not(feature = "globs"))]
        return !path.as_os_str().is_empty();
    }

    /// Whether this entry, or a folder above it, is left out.
    #[cfg(feature = "watch")]
    pub(super) fn hides(&self, path: &Path) -> bool {
        path.ancestors().take_while(|path| !path.as_os_str().is_empty()).any(|path| self.leaves_out(path))
    }
}

/// What an editor puts beside a file while it is edited or saved.
fn is_editor_file(name: &OsStr) -> bool {
    let name = name.as_encoded_bytes();
    let hidden = name.first() == Some(&b'.');
    let ends = |ending: &[u8]| name.len() > ending.len() && name.ends_with(ending);
    let begins = |beginning: &[u8]| name.len() > beginning.len() && name.starts_with(beginning);
    // vim's and nano's swap files (`.a.swp`, `.a.swo`, …) and the name by which vim finds out what it may do in a folder.
    let swap = hidden
        && matches!(name, [_, .., b'.', b's', b'w', b'a'..=b'z'] | [_, .., b'.', b's', b'w', b'p', b'x']);
    // Emacs: `#a#` while a file is edited, `.#a` is its lock; `a~` is everybody's backup. LibreOffice: `.~lock.a#`.
    let emacs = (begins(b"#") && ends(b"#")) || begins(b".#") || ends(b"~") || begins(b".~lock.");
    // Kate, GTK's save, JetBrains' safe write.
    let others =
        ends(b".kate-swp") || begins(b".goutputstream-") || ends(b"___jb_tmp___") || ends(b"___jb_old___");
    swap || name == b"4913" || emacs || others
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_editors_keep_for_themselves_is_known_by_its_name() {
        for name in [
            ".notes.md.swp",
            ".notes.md.swo",
            ".a.swx",
            ".a.swpx",
            "4913",
            "#notes.md#",
            ".#notes.md",
            "notes.md~",
            ".~lock.report.odt#",
            ".notes.md.kate-swp",
            ".goutputstream-X0ZQ12",
            "notes.md___jb_tmp___",
        ] {
            assert!(is_editor_file(OsStr::new(name)), "{name}");
        }
        for name in [
            "notes.md",
            "swp",
            ".swp",
            "a.swp",
            ".a.swift",
            "#",
            "##a",
            "~",
            "4913.md",
            "a#",
            ".gitignore",
            "x.swpx",
            "",
        ] {
            assert!(!is_editor_file(OsStr::new(name)), "{name}");
        }
    }
}
