//! Lines in, alerts out: which line a finding is about, and what it stands on.

use std::collections::{BTreeMap, HashMap, VecDeque};

use serde::Serialize;

use crate::base::explain::Explain;
use crate::base::redact::{Names, Redact};
use crate::base::text::{head, rfc3339, shown};
use crate::base::time::{Moment, Now};
use crate::decide::baseline::{Digest, Finding, Outcome, Quiet, Severity, Unit};
use crate::observe::lines::Keyed;
use crate::operate::cli::anomaly::kept::Ready;

/// Bytes of a line that an alert shows.
const TEXT_MAX: usize = 400;
/// Kinds whose lines are remembered until they are told or forgotten.
const SIGHTS_MAX: usize = 4096;
/// Units that are open at the same time; beyond them the one that was quiet longest is taken to be over.
const UNITS_MAX: usize = 4096;

/// Something that a person is told.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Alert {
    pub(super) kind: String,
    pub(super) code: &'static str,
    pub(super) why: String,
    /// The number of the line in its file; the first is 1.
    pub(super) line: Option<u64>,
    /// How often it was seen.
    pub(super) count: u64,
    /// Among how many lines, or units.
    pub(super) n: u64,
    pub(super) file: Option<String>,
    pub(super) text: Option<String>,
    pub(super) severity: Option<Severity>,
    pub(super) unit: Option<String>,
    pub(super) at: String,
}

/// Where a line stands.
#[derive(Clone, Debug)]
struct Sight {
    file: usize,
    line: u64,
    text: String,
}

/// A unit of work that is under way.
struct Open {
    unit: Unit,
    touched: u64,
    at: Moment,
    file: usize,
    line: u64,
}

/// Judges lines by a baseline, and lets it learn from them.
pub(super) struct Watcher {
    pub(super) ready: Ready,
    pub(super) files: Vec<String>,
    /// Lines, and those of them that have no key.
    pub(super) lines: u64,
    pub(super) unkeyed: u64,
    key: Vec<u8>,
    name: Vec<u8>,
    sights: HashMap<u64, Sight>,
    order: VecDeque<u64>,
    open: HashMap<Vec<u8>, Open>,
    quiet: BTreeMap<u64, Vec<u8>>,
    touches: u64,
    alerts: Vec<Alert>,
    notes: Vec<String>,
    names: Names,
}

impl Watcher {
    pub(super) fn new(ready: Ready, files: Vec<String>) -> Self {
        Self {
            ready,
            files,
            lines: 0,
            unkeyed: 0,
            key: Vec::new(),
            name: Vec::new(),
            sights: HashMap::new(),
            order: VecDeque::new(),
            open: HashMap::new(),
            quiet: BTreeMap::new(),
            touches: 0,
            alerts: Vec::new(),
            notes: Vec::new(),
            names: Names::new(),
        }
    }

    /// Counts a line of the file with that index.
    pub(super) fn line(&mut self, file: usize, line: u64, text: &[u8], now: Now) {
        self.lines += 1;
        let Keyed::Key { severity, .. } = self.ready.key.key().of(text, &mut self.key) else {
            self.unkeyed += 1;
            return;
        };
        if self.ready.units.is_some() {
            self.of_unit(file, line, text, now);
            return;
        }
        let outcome = self.ready.baseline.observe(&self.key, severity, now);
        let tells = match outcome {
            Outcome::Quiet(Quiet::Held { .. } | Quiet::Counted { .. }) => false,
            Outcome::Quiet(_) => return,
            Outcome::Tell => true,
        };
        let hash = self.ready.baseline.hash(&self.key);
        self.saw(hash, file, line, text);
        if tells {
            self.take(now);
        }
    }

    /// Remembers the first line of a kind that may be told.
    fn saw(&mut self, hash: u64, file: usize, line: u64, text: &[u8]) {
        if self.sights.contains_key(&hash) {
            return;
        }
        if self.sights.len() >= SIGHTS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.sights.remove(&oldest);
        }
        let text = self.safe(text);
        self.sights.insert(hash, Sight { file, line, text });
        self.order.push_back(hash);
    }

    /// A line as it may be shown: short, without secrets.
    fn safe(&self, text: &[u8]) -> String {
        let start = text.get(..text.len().min(4 * TEXT_MAX)).unwrap_or_default();
        head(&shown(&self.names.body(start)), TEXT_MAX).to_owned()
    }

    fn of_unit(&mut self, file: usize, line: u64, text: &[u8], now: Now) {
        let (Some(spec), Some(units)) = (&self.ready.unit, &self.ready.units) else { return };
        if !matches!(spec.key().of(text, &mut self.name), Keyed::Key { .. }) {
            self.unkeyed += 1;
            return;
        }
        self.touches += 1;
        let touched = self.touches;
        if let Some(open) = self.open.get_mut(&self.name) {
            self.quiet.remove(&open.touched);
            open.unit.observe(&self.key);
            (open.touched, open.at, open.file, open.line) = (touched, now.moment, file, line);
        } else {
            let mut unit = units.begin();
            unit.observe(&self.key);
            let open = Open { unit, touched, at: now.moment, file, line };
            self.open.insert(self.name.clone(), open);
        }
        self.quiet.insert(touched, self.name.clone());
        if self.open.len() > UNITS_MAX {
            self.end_quietest(now);
        }
    }

    /// Ends the unit that was quiet longest; whether there was one.
    fn end_quietest(&mut self, now: Now) -> bool {
        let Some((_, name)) = self.quiet.pop_first() else { return false };
        let (Some(open), Some(units)) = (self.open.remove(&name), &mut self.ready.units) else { return true };
        let name = String::from_utf8_lossy(&name);
        let name = head(&shown(&name), TEXT_MAX).to_owned();
        for odd in units.end(&open.unit).odd {
            self.alerts.push(Alert {
                kind: odd.kind.name.clone(),
                code: odd.code(),
                why: odd.to_string(),
                line: Some(open.line),
                count: u64::from(odd.times),
                n: odd.footing.events,
                file: self.files.get(open.file).cloned(),
                text: None,
                severity: None,
                unit: Some(name.clone()),
                at: rfc3339(now.wall),
            });
        }
        true
    }

    /// Ends the units of which nothing was seen since `before`.
    pub(super) fn end_units_before(&mut self, before: Moment, now: Now) {
        while let Some((_, name)) = self.quiet.first_key_value()
            && self.open.get(name).is_none_or(|open| open.at < before)
        {
            self.end_quietest(now);
        }
    }

    /// Nothing more comes: what is held back is told, and what is open is over.
    pub(super) fn end(&mut self, now: Now) {
        while self.end_quietest(now) {}
        self.ready.baseline.flush(now);
        self.take(now);
    }

    /// What the time alone brings.
    pub(super) fn take(&mut self, now: Now) {
        while let Some(finding) = self.ready.baseline.take(now) {
            if finding.is_alert() {
                let alert = self.alert(&finding, now);
                self.alerts.push(alert);
            } else if self.notes.len() < SIGHTS_MAX {
                self.notes.push(finding.to_string());
            }
        }
    }

    fn alert(&mut self, finding: &Finding, now: Now) -> Alert {
        let (kind, count, n, severity) = match finding {
            Finding::Rare(rare) => {
                let count = u64::from(rare.footing.seen) + rare.times;
                (rare.kind.name.clone(), count, rare.footing.events, Some(rare.severity))
            }
            Finding::Again(again) => {
                (again.kind.name.clone(), again.times, self.ready.baseline.evidence().events, None)
            }
            Finding::RegimeChange(change) => {
                (String::from("*"), u64::from(change.new_kinds), u64::from(change.events), None)
            }
            Finding::Cardinality(many) => (String::from("*"), many.kinds, many.events, None),
            _ => (String::from("*"), 0, 0, None),
        };
        let about = finding.kind().or_else(|| match finding {
            Finding::RegimeChange(change) => change.examples.first(),
            Finding::Cardinality(many) => many.examples.first(),
            _ => None,
        });
        let sight = about.and_then(|kind| self.sights.remove(&kind.hash));
        if let Some(kind) = about.filter(|_| sight.is_some()) {
            self.order.retain(|hash| *hash != kind.hash);
        }
        Alert {
            kind,
            code: finding.code(),
            why: finding.to_string(),
            line: sight.as_ref().map(|sight| sight.line),
            count,
            n,
            file: sight.as_ref().and_then(|sight| self.files.get(sight.file).cloned()),
            text: sight.map(|sight| sight.text),
            severity,
            unit: None,
            at: rfc3339(now.wall),
        }
    }

    /// What is to be told, and what is for the record.
    pub(super) fn told(&mut self) -> (Vec<Alert>, Vec<String>) {
        (std::mem::take(&mut self.alerts), std::mem::take(&mut self.notes))
    }

    pub(super) fn digest(&mut self) -> Digest {
        self.ready.baseline.take_digest()
    }
}
