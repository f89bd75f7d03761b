//! Sending what was not sent: taken by a lease, sent, marked as sent.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::act::notify::kept::{HELD_BACK, Known, TRIES_MAX, UNSENT};
use crate::act::notify::outbox::{Says, Tried};
use crate::act::notify::raise::ACTOR;
use crate::act::notify::sink::{SinkError, deliver};
use crate::act::notify::{Alerts, Error, Page};
use crate::act::runlog;
use crate::base::time::{Now, Timestamp};
use crate::decide::alert::{Admit, Limit, SavedLimit};
use crate::remember::store::{
    self, ApplyError, Batch, Event, Expect, Fencing, LeaseChange, Ns, PAGE_MAX, Put, Query, Record, Write,
    apply_settled,
};

/// Where the limit of all pages is kept.
const LIMIT: &str = "alert-limit";
/// So many alerts are held back, or told, in one commit.
const CHUNK: usize = 100;
/// What a lease is longer than the sinks may take.
const MARGIN: Duration = Duration::from_secs(30);

/// What a pass has sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sent {
    /// So many pages.
    pub pages: u32,
    /// So many digests.
    pub digests: u32,
    /// So many wait: for a sink that failed, for the digest, or for somebody else who is at it.
    pub left: u32,
    /// The sinks that failed, with what they said last.
    pub failed: Vec<(String, String)>,
}

impl Sent {
    fn failed(&mut self, name: &str, why: &SinkError) {
        let why = why.to_string();
        match self.failed.iter_mut().find(|(known, _)| known == name) {
            Some((_, last)) => *last = why,
            None => self.failed.push((name.to_owned(), why)),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct KeptLimit {
    limit: SavedLimit,
    /// Of the digest.
    #[serde(default)]
    tried: Tried,
}

/// The limit as it was read.
struct Bound {
    version: Option<u64>,
    leased: bool,
    limit: Limit,
    tried: Tried,
}

impl Alerts {
    pub(super) async fn send_all(&self, now: Now) -> Result<Sent, Error> {
        let mut sent = Sent::default();
        if !self.has_sinks() {
            return Ok(sent);
        }
        let mut over = Vec::new();
        // Who has not answered in this pass is not waited for with each page once more.
        let mut silent = Vec::new();
        for known in self.unsent(UNSENT).await?.0 {
            let due = known.kept.page.as_ref().is_some_and(|page| page.tried.is_due(now.wall));
            if known.leased || !due {
                sent.left = sent.left.saturating_add(1);
                continue;
            }
            self.send_one(known, now.wall, (&mut over, &mut silent), &mut sent).await?;
        }
        for chunk in over.chunks(CHUNK) {
            self.hold_back(chunk, now.wall).await?;
        }
        self.send_digest(now.wall, &mut silent, &mut sent).await?;
        Ok(sent)
    }

    pub(super) async fn send_test(&self, now: Now) -> Vec<(String, Result<(), SinkError>)> {
        deliver(&self.inner.outlets, &[], &mut Vec::new(), &Arc::new(self.test_page(now.wall))).await
    }

    /// The alerts of a kind, oldest first, and whether there are more than were read.
    async fn unsent(&self, kind: &str) -> Result<(Vec<Known>, bool), Error> {
        let query = Query { order: store::Order::Oldest, ..Self::query(&[kind], &[]) };
        let page = self.inner.store.scan(Query { limit: PAGE_MAX, ..query }).await?;
        let known = page.records.iter().map(Known::read).collect::<Result<_, _>>()?;
        Ok((known, page.next.is_some()))
    }

    async fn send_one(
        &self,
        mut known: Known,
        now: Timestamp,
        (over, silent): (&mut Vec<Known>, &mut Vec<String>),
        sent: &mut Sent,
    ) -> Result<(), Error> {
        let Some(page) = &mut known.kept.page else { return Ok(()) };
        let mut limit = None;
        if !page.tried.admitted {
            if !over.is_empty() {
                over.push(known);
                sent.left = sent.left.saturating_add(1);
                return Ok(());
            }
            let mut all = self.limit().await?;
            match all.limit.admit(&self.inner.policy, now) {
                Admit::Digest { .. } => {
                    over.push(known);
                    sent.left = sent.left.saturating_add(1);
                    return Ok(());
                }
                Admit::Send => page.tried.admitted = true,
            }
            limit = Some(all.write()?);
        }
        let (says, done) = (page.says, page.tried.done.clone());
        let write = self.claiming(known.write(None)?);
        let Some(fence) = self.claim(std::iter::once(write).chain(limit).collect()).await? else {
            sent.left = sent.left.saturating_add(1);
            return Ok(());
        };
        let page = Arc::new(self.page(&known, says));
        let answers = deliver(&self.inner.outlets, &done, silent, &page).await;
        self.mark(&known, fence, says, &answers, now, sent).await
    }

    /// The same write, taking the record for as long as sending takes.
    fn claiming(&self, mut write: Write) -> Write {
        let slowest = self.inner.outlets.iter().map(|outlet| outlet.timeout).max().unwrap_or_default();
        write.put.fence = Fencing::Grant;
        write.put.lease = LeaseChange::For(slowest.saturating_add(MARGIN));
        if let Expect::Version(version) = write.expect {
            write.expect = Expect::LeaseOver { version };
        }
        write
    }

    /// The fence of the first write, unless somebody was faster.
    async fn claim(&self, writes: Vec<Write>) -> Result<Option<u64>, store::Error> {
        match apply_settled(&*self.inner.store, Batch::new(writes)).await {
            Ok(applied) => Ok(applied.first().map(|written| written.version)),
            Err(ApplyError::Conflict(_)) => Ok(None),
            Err(ApplyError::NotApplied(error) | ApplyError::Unknown(error)) => Err(error),
        }
    }

    /// Writes what became of a page, on top of what has happened meanwhile.
    async fn mark(
        &self,
        claimed: &Known,
        fence: u64,
        says: Says,
        answers: &[(String, Result<(), SinkError>)],
        now: Timestamp,
        sent: &mut Sent,
    ) -> Result<(), Error> {
        let whole = answers.iter().all(|(_, answer)| answer.is_ok());
        for (name, answer) in answers {
            if let Err(error) = answer {
                sent.failed(name, error);
                runlog::alert(name, "sink", "not_sent", "alert.not_sent", &error.to_string());
            }
        }
        let count = if whole { &mut sent.pages } else { &mut sent.left };
        *count = count.saturating_add(1);
        for _ in 0..TRIES_MAX {
            let Some(mut known) = self.load(&claimed.id).await? else { return Ok(()) };
            if known.fence != fence {
                return Ok(());
            }
            let event = marked(&mut known, claimed, says, answers, now);
            let mut write = known.write(event)?;
            write.put.lease = LeaseChange::End;
            if self.apply(vec![write]).await? {
                return Ok(());
            }
        }
        Err(Error::Raced { id: claimed.id.clone() })
    }

    /// Leaves these to the digest.
    async fn hold_back(&self, chunk: &[Known], now: Timestamp) -> Result<(), Error> {
        for _ in 0..TRIES_MAX {
            let mut all = self.limit().await?;
            // It is full, or would be: that is why they are here.
            let Admit::Digest { .. } = all.limit.admit(&self.inner.policy, now) else { return Ok(()) };
            let mut writes = vec![all.write()?];
            for known in chunk {
                let mut known = known.clone();
                if let Some(page) = &mut known.kept.page {
                    page.held = true;
                }
                let state = known.alert.state().as_str();
                let why = "more pages went out than are allowed; it is told in the digest";
                let event = Event::new(Some(state), state, ACTOR, "alert.held_back", why);
                writes.push(known.write(Some(event))?);
            }
            if self.apply(writes).await? {
                return Ok(());
            }
            if self.have_moved(chunk).await? {
                // The next pass sees them as they are then.
                return Ok(());
            }
        }
        Err(Error::Raced { id: LIMIT.to_owned() })
    }

    async fn have_moved(&self, chunk: &[Known]) -> Result<bool, Error> {
        for known in chunk {
            if self.load(&known.id).await?.and_then(|found| found.version) != known.version {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn send_digest(
        &self,
        now: Timestamp,
        silent: &mut Vec<String>,
        sent: &mut Sent,
    ) -> Result<(), Error> {
        let all = self.limit().await?;
        let due = all.limit.digest_due(&self.inner.policy).is_some_and(|due| due <= now);
        if !due || all.leased || !all.tried.is_due(now) {
            return Ok(());
        }
        let (held, more) = self.unsent(HELD_BACK).await?;
        let Some(fence) = self.claim(vec![self.claiming(all.write()?)]).await? else { return Ok(()) };
        let page: Page = self.digest(&held, more);
        let answers = if held.is_empty() {
            Vec::new()
        } else {
            deliver(&self.inner.outlets, &all.tried.done, silent, &Arc::new(page)).await
        };
        let whole = answers.iter().all(|(_, answer)| answer.is_ok());
        for (name, answer) in &answers {
            if let Err(error) = answer {
                sent.failed(name, error);
            }
        }
        if !self.digest_marked(fence, whole, &answers, now).await? || !whole {
            return Ok(());
        }
        sent.digests = sent.digests.saturating_add(u32::from(!held.is_empty()));
        let told = u32::try_from(held.len()).unwrap_or(u32::MAX);
        sent.left = sent.left.saturating_sub(told);
        for chunk in held.chunks(CHUNK) {
            self.told_in_digest(chunk).await?;
        }
        Ok(())
    }

    async fn digest_marked(
        &self,
        fence: u64,
        whole: bool,
        answers: &[(String, Result<(), SinkError>)],
        now: Timestamp,
    ) -> Result<bool, Error> {
        for _ in 0..TRIES_MAX {
            let record = self.inner.store.get(Ns::SNAPSHOT, LIMIT).await?;
            if record.as_ref().is_none_or(|record| record.fence != fence) {
                return Ok(false);
            }
            let mut all = self.limit_of(record.as_ref())?;
            if whole {
                all.limit.digested(now);
                all.tried = Tried::default();
            } else {
                all.tried.done.extend(taken(answers));
                all.tried.put_off(now);
            }
            let mut write = all.write()?;
            write.put.lease = LeaseChange::End;
            if self.apply(vec![write]).await? {
                return Ok(true);
            }
        }
        Err(Error::Raced { id: LIMIT.to_owned() })
    }

    async fn told_in_digest(&self, chunk: &[Known]) -> Result<(), Error> {
        let write = |known: &Known| {
            let mut known = known.clone();
            known.kept.page = None;
            let state = known.alert.state().as_str();
            let event = Event::new(Some(state), state, ACTOR, "alert.sent", "it was told in the digest");
            known.write(Some(event))
        };
        let writes = chunk.iter().map(write).collect::<Result<Vec<_>, _>>()?;
        if self.apply(writes).await? {
            return Ok(());
        }
        for known in chunk {
            // What has moved meanwhile is paged or told again as it is then.
            let _moved = !self.apply(vec![write(known)?]).await?;
        }
        Ok(())
    }

    async fn limit(&self) -> Result<Bound, Error> {
        let record = self.inner.store.get(Ns::SNAPSHOT, LIMIT).await?;
        Ok(self.limit_of(record.as_ref())?)
    }

    fn limit_of(&self, record: Option<&Record>) -> Result<Bound, store::Error> {
        let Some(record) = record else {
            return Ok(Bound { version: None, leased: false, limit: Limit::new(), tried: Tried::default() });
        };
        let corrupt = |detail: String| store::Error::Corrupt { detail: format!("{LIMIT}: {detail}") };
        let kept: KeptLimit =
            serde_json::from_str(&record.body).map_err(|error| corrupt(error.to_string()))?;
        let limit = Limit::restored(kept.limit).map_err(|error| corrupt(error.to_string()))?;
        let (version, leased) = (Some(record.version), record.leased());
        Ok(Bound { version, leased, limit, tried: kept.tried })
    }
}

impl Bound {
    fn write(&self) -> Result<Write, store::Error> {
        let kept = KeptLimit { limit: self.limit.saved(), tried: self.tried.clone() };
        let body = serde_json::to_string(&kept)
            .map_err(|error| store::Error::invalid("alert", error, "a value that is JSON"))?;
        let put = Put {
            state: Some(String::from("saved")),
            kind: Some(String::from("alert.limit")),
            body: Some(body),
            ..Put::default()
        };
        Ok(Write::new(Ns::SNAPSHOT, LIMIT, self.version.map_or(Expect::Absent, Expect::Version), put))
    }
}

fn taken(answers: &[(String, Result<(), SinkError>)]) -> impl Iterator<Item = String> {
    answers.iter().filter(|(_, answer)| answer.is_ok()).map(|(name, _)| name.clone())
}

/// What became of the page that was claimed; the event that tells it.
fn marked(
    known: &mut Known,
    claimed: &Known,
    says: Says,
    answers: &[(String, Result<(), SinkError>)],
    now: Timestamp,
) -> Option<Event> {
    let since = claimed.kept.page.as_ref().map(|page| page.at);
    let page = known.kept.page.as_mut().filter(|page| Some(page.at) == since && page.says == says)?;
    let state = known.alert.state().as_str();
    let names = taken(answers).collect::<Vec<_>>();
    let failed: Vec<String> = answers
        .iter()
        .filter_map(|(name, answer)| Some(format!("{name}: {}", answer.as_ref().err()?)))
        .collect();
    if failed.is_empty() {
        known.kept.page = None;
        let why = format!("a page was sent by {}", names.join(", "));
        return Some(Event::new(Some(state), state, ACTOR, "alert.sent", why));
    }
    let first = page.tried.tries == 0;
    page.tried.done.extend(names);
    let why = failed.join("; ");
    page.failed(&why, now);
    first.then(|| Event::new(Some(state), state, ACTOR, "alert.not_sent", why))
}
