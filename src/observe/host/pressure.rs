//! For what part of the time work stood still: `/proc/pressure`, and the control group's own.

use std::path::Path;

use crate::decide::gate::{Reading, Resource, Span, Stall};
use crate::observe::host::cgroup::Groups;
use crate::observe::host::files;

/// The greater of the machine's and of the group's own: either makes a beginning a bad idea.
pub(super) fn read(root: &Path, groups: Option<&Groups>, what: (Resource, Stall, Span)) -> Reading {
    let name = match what.0 {
        Resource::Cpu => "cpu",
        Resource::Memory => "memory",
        Resource::Io => "io",
    };
    let machine = of(&root.join("proc/pressure").join(name), what);
    let own = groups.and_then(|groups| groups.unified.first());
    let own = own.map(|folder| of(&folder.join(format!("{name}.pressure")), what));
    match (machine, own) {
        (Ok(machine), Some(Ok(own))) => Reading::Number(machine.max(own)),
        (Ok(one), None | Some(Err(Unread::No(_)))) | (Err(Unread::No(_)), Some(Ok(one))) => {
            Reading::Number(one)
        }
        (_, Some(Err(Unread::Garbage(why)))) | (Err(Unread::No(why) | Unread::Garbage(why)), _) => {
            Reading::missing(why)
        }
    }
}

/// Why there is no number: the kernel has none, or it has and nobody understands it.
enum Unread {
    No(String),
    Garbage(String),
}

/// A file: `some avg10=0.00 avg60=0.21 avg300=2.46 total=21773051929`, and a line `full` of the same form.
fn of(path: &Path, (_, kind, span): (Resource, Stall, Span)) -> Result<f64, Unread> {
    let text = files::text(path).map_err(|error| Unread::No(files::why(path, &error)))?;
    let kind = match kind {
        Stall::Some => "some",
        Stall::Full => "full",
    };
    let span = match span {
        Span::Avg10 => "avg10=",
        Span::Avg60 => "avg60=",
    };
    let line = text.lines().find_map(|line| line.strip_prefix(kind)?.strip_prefix(' '));
    // Before 5.13 there is none for processors.
    let line = line.ok_or_else(|| match text.starts_with("some ") || text.starts_with("full ") {
        true => Unread::No(files::garbage(path, &format!("it has no line `{kind}`"))),
        false => Unread::Garbage(files::garbage(path, "it says no pressure")),
    })?;
    let word = line.split_whitespace().find_map(|word| word.strip_prefix(span));
    let percent = word.and_then(|word| word.parse().ok()).filter(|percent| (0.0..=100.0).contains(percent));
    percent.ok_or_else(|| Unread::Garbage(files::garbage(path, &format!("no percentage follows {span}"))))
}
