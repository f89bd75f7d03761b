//! What is sent: one alert, or a digest of those that were held back.

use serde::{Deserialize, Serialize};

use crate::act::notify::kept::Known;
use crate::act::notify::outbox::Says;
use crate::act::notify::{Alerts, Entry};
use crate::base::text::{about, rfc3339, second, shortened, shown};
use crate::base::time::{Timestamp, between};
use crate::decide::alert::{Kind, Subject};

/// The code of a test page.
pub const TEST_CODE: &str = "alert.test";
/// The code of a digest.
const DIGEST_CODE: &str = "alert.digest";
/// So many alerts are listed in a digest; the others are counted.
const LISTED_MAX: usize = 100;
/// So many letters of each sentence stand in a digest.
const WHY_SHOWN: usize = 160;

/// What is sent to a sink: JSON with these names, which do not change. Instants are RFC 3339.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Page {
    /// The alert's id: the same for each page of it.
    pub id: String,
    /// `open`, `acknowledged`, `resolved`, `digest` or `test`.
    pub state: String,
    /// What it is about: `job:NAME` or `dependency:NAME`; empty in a digest.
    pub subject: String,
    /// What it is: `dead_letter`, `needs_review`, `overdue` and so on, or `digest`, `test`.
    pub kind: String,
    /// The stable word of what is wrong.
    pub code: String,
    /// The last sentence.
    pub why: String,
    /// Since when.
    pub since: Option<String>,
    /// When last.
    pub last: Option<String>,
    /// How often since.
    pub count: u64,
    /// Who is to see to it.
    pub owner: Option<String>,
    /// Where it says what to do.
    pub runbook: Option<String>,
    /// The end of what the run put out.
    pub tail: String,
    /// The last run in which it happened.
    pub run_id: Option<String>,
    /// The command to type next.
    pub next: String,
    /// All of it, for people.
    pub text: String,
}

/// How long two instants lie apart, for people.
fn lasted(since: Option<Timestamp>, last: Option<Timestamp>) -> String {
    match (since, last) {
        (Some(since), Some(last)) if last > since => about(between(since, last)),
        _ => String::from("a moment"),
    }
}

/// A word as it is typed in a shell.
fn typed(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+=,~".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

impl Alerts {
    /// What to type next, by what has happened.
    pub(super) fn next_command(&self, known: &Known) -> String {
        let program = &self.inner.program;
        let name = typed(known.kept.subject.name());
        match (&known.kept.run, known.alert.kind(), &known.kept.subject) {
            (Some(run), ..) => format!("{program} explain {}", typed(run)),
            (None, Kind::CredentialRefused, Subject::Dependency(_)) => {
                format!("{program} credential ok {name}")
            }
            (None, Kind::Trend, Subject::Job(_)) => format!("{program} dead-letters --job {name}"),
            (None, Kind::Overdue | Kind::DeadLetter | Kind::NeedsReview | Kind::Fatal, Subject::Job(_)) => {
                format!("{program} runs --job {name}")
            }
            (None, ..) => format!("{program} status"),
        }
    }

    pub(super) fn page(&self, known: &Known, says: Says) -> Page {
        let entry = self.entry(known);
        let state = match says {
            Says::Wrong => entry.state.as_str(),
            Says::Over => "resolved",
        };
        Page {
            text: text(&entry, says),
            id: entry.id,
            state: state.to_owned(),
            subject: entry.subject.typed(),
            kind: entry.kind.as_str().to_owned(),
            code: entry.code,
            why: entry.why,
            since: entry.since.map(rfc3339),
            last: entry.last.map(rfc3339),
            count: entry.count,
            owner: entry.owner,
            runbook: entry.runbook,
            tail: entry.tail,
            run_id: entry.run,
            next: entry.next,
        }
    }

    /// One page of all that was held back.
    pub(super) fn digest(&self, held: &[Known], more: bool) -> Page {
        let policy = &self.inner.policy;
        let (pages, per) = policy.limit();
        let many = if more { format!("more than {}", held.len()) } else { held.len().to_string() };
        let why = format!("{many} alerts were held back: {pages} pages in {} is the limit", about(per));
        let mut text = format!("{why}\n");
        for known in held.iter().take(LISTED_MAX) {
            let (kept, alert) = (&known.kept, &known.alert);
            let why = shortened(&shown(&kept.why), WHY_SHOWN);
            let (subject, kind) = (shown(kept.subject.name()).into_owned(), alert.kind());
            let word = kept.subject.word();
            text.push_str(&format!(
                "\n{} {word} {subject}: {kind}, {} ({}): {why}",
                known.id,
                kept.code,
                alert.count()
            ));
        }
        if held.len() > LISTED_MAX {
            text.push_str(&format!("\nand {} others", held.len() - LISTED_MAX));
        }
        let next = format!("{} alerts", self.inner.program);
        text.push_str(&format!("\n\nnext: {next}"));
        let since = held.iter().filter_map(|known| known.alert.since()).min();
        let last = held.iter().filter_map(|known| known.alert.last()).max();
        Page {
            id: String::from("digest"),
            state: String::from("digest"),
            subject: String::new(),
            kind: String::from("digest"),
            code: String::from(DIGEST_CODE),
            why,
            since: since.map(rfc3339),
            last: last.map(rfc3339),
            count: u64::try_from(held.len()).unwrap_or(u64::MAX),
            owner: None,
            runbook: None,
            tail: String::new(),
            run_id: None,
            next,
            text,
        }
    }

    pub(super) fn test_page(&self, now: Timestamp) -> Page {
        let why = String::from("this is a test: somebody asked whether pages arrive");
        let next = format!("{} alerts", self.inner.program);
        Page {
            id: String::from("test"),
            state: String::from("test"),
            subject: String::new(),
            kind: String::from("test"),
            code: String::from(TEST_CODE),
            since: Some(rfc3339(now)),
            last: Some(rfc3339(now)),
            count: 1,
            owner: None,
            runbook: None,
            tail: String::new(),
            run_id: None,
            text: format!("{why}\n\nnext: {next}"),
            why,
            next,
        }
    }
}

/// A page as a person reads it.
fn text(entry: &Entry, says: Says) -> String {
    let what = format!("{} {}", entry.subject.word(), shown(entry.subject.name()));
    let mut lines = Vec::new();
    match says {
        Says::Wrong => {
            lines.push(format!("{what}: {} ({})", entry.kind.as_str().replace('_', " "), shown(&entry.code)));
        }
        Says::Over => {
            let lasted = lasted(entry.since, entry.last);
            lines.push(format!("{what}: resolved after {lasted} ({})", shown(&entry.code)));
        }
    }
    // The rest of a sentence that quotes an output stands below, with it.
    let has_tail = says == Says::Wrong && !entry.tail.is_empty() && entry.tail != entry.why;
    let mut why = entry.why.lines();
    lines.push(shown(why.next().unwrap_or_default()).into_owned());
    lines.extend(why.filter(|_| !has_tail).map(|line| format!("  {}", shown(line))));
    if let Some(since) = entry.since {
        let times = if entry.count == 1 { String::from("once") } else { format!("{} times", entry.count) };
        let last = entry.last.filter(|last| *last > since);
        let last = last.map(|last| format!(", last at {}", second(last))).unwrap_or_default();
        lines.push(format!("since {}, {times}{last}", second(since)));
    }
    for (name, value) in [("owner", &entry.owner), ("runbook", &entry.runbook)] {
        lines.extend(value.iter().map(|value| format!("{name}: {}", shown(value))));
    }
    if has_tail {
        lines.push(String::from("its output ended with:"));
        lines.extend(entry.tail.lines().map(|line| format!("  {}", shown(line))));
    }
    lines.push(format!("next: {}", entry.next));
    lines.join("\n")
}
