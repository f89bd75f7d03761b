//! The text of a unit as assignments.

use crate::base::text::head;

/// So much of a text is read.
const TEXT_MAX: usize = 1 << 20;

/// One line that says something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// From 1: where it begins.
    pub(super) line: usize,
    pub(super) said: Said,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Said {
    Section(String),
    Assignment { section: String, key: String, value: String },
    Nothing,
}

/// The entries of a unit: comments left out, lines with a backslash at their end joined with the next.
pub(super) fn entries(text: &str) -> Vec<Entry> {
    let (mut entries, mut section) = (Vec::new(), String::new());
    let mut whole = String::new();
    let mut began = 0;
    for (number, raw) in (1..).zip(head(text, TEXT_MAX).lines()) {
        let line = raw.trim();
        // A comment within a joined line is none of it.
        if line.starts_with(['#', ';']) || (line.is_empty() && whole.is_empty()) {
            continue;
        }
        if whole.is_empty() {
            began = number;
        }
        if let Some(part) = line.strip_suffix('\\') {
            whole.push_str(part);
            whole.push(' ');
            continue;
        }
        whole.push_str(line);
        let said = read(std::mem::take(&mut whole).trim(), &mut section);
        entries.push(Entry { line: began, said });
    }
    if !whole.is_empty() {
        entries.push(Entry { line: began, said: read(whole.trim(), &mut section) });
    }
    entries
}

fn read(line: &str, section: &mut String) -> Said {
    if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        *section = name.to_owned();
        return Said::Section(name.to_owned());
    }
    match line.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() && !section.is_empty() => Said::Assignment {
            section: section.clone(),
            key: key.trim().to_owned(),
            value: value.trim().to_owned(),
        },
        _ => Said::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_joined_and_comments_left_out() {
        let text = "# one\n[Service]\nExecStart=/bin/a \\\n; between\n  b \\\n  c\nrubbish\nUser=\n";
        let said = |key: &str, value: &str| Said::Assignment {
            section: String::from("Service"),
            key: key.to_owned(),
            value: value.to_owned(),
        };
        let entries = entries(text);
        assert_eq!(entries[0], Entry { line: 2, said: Said::Section(String::from("Service")) });
        assert_eq!(entries[1], Entry { line: 3, said: said("ExecStart", "/bin/a  b  c") });
        assert_eq!(entries[2], Entry { line: 7, said: Said::Nothing });
        assert_eq!(entries[3], Entry { line: 8, said: said("User", "") });
        assert_eq!(entries.len(), 4);
    }
}
