//! The token in the store: saved before it is used, refreshed by one process at a time.
//!
//! # After a restart
//! The record `credential/NAME` holds the last token, the last failure with when the next refresh may be tried, and
//! whether a person has to see to it. Its state is `ok` or `needs_human`; each change of that is an event, written once,
//! however many processes notice it.

use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::act::credential::work::{Crew, Failed, Landing, Order, Stored, Unsaved, for_good};
use crate::act::credential::{Token, log};
use crate::base::fault::{Class, Fault};
use crate::base::rng::Rng;
use crate::base::time::{Now, Timestamp, millis};
use crate::remember::leases::{Held, Leases, Taken};
use crate::remember::store::{ApplyError, Batch, Error, Event, Expect, Ns, Put, Store, Write, apply_settled};

/// The format that is written.
const FORMAT: u32 = 1;
/// What kind of record it is.
const KIND: &str = "credential";
/// The states of a record.
const OK: &str = "ok";
const NEEDS_HUMAN: &str = "needs_human";
/// How often a write by version is tried again when somebody else was faster each time.
const ATTEMPTS_MAX: u32 = 16;
/// How often a process that needs a token looks whether another one has saved it.
const POLL: Duration = Duration::from_millis(200);
/// How much longer than a refresh may take its lease is.
const LEASE_MORE: Duration = Duration::from_secs(15);

/// The key of the record.
pub(super) fn key(name: &str) -> String {
    format!("{KIND}/{name}")
}

/// Where a token is shared.
pub(super) struct Shared<T> {
    store: Arc<dyn Store>,
    leases: Leases,
    key: String,
    encode: fn(&T) -> Option<Box<RawValue>>,
    decode: fn(&RawValue) -> Option<T>,
}

/// The body of the record. No `Debug`: it holds the token.
#[derive(Serialize, Deserialize)]
struct Form {
    v: u32,
    /// Raised by each new token.
    serial: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    token: Option<TokenForm>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    failed: Option<FailedForm>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    refused: Option<RefusedForm>,
}

#[derive(Serialize, Deserialize)]
struct TokenForm {
    value: Box<RawValue>,
    obtained_at: Timestamp,
    expires_at: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct FailedForm {
    class: Class,
    failures: u32,
    wait_ms: u64,
    retry_at: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct RefusedForm {
    class: Class,
    code: String,
}

impl Form {
    const fn empty() -> Self {
        Self { v: FORMAT, serial: 0, token: None, failed: None, refused: None }
    }

    const fn state(&self) -> &'static str {
        if self.refused.is_some() { NEEDS_HUMAN } else { OK }
    }
}

/// The record as it was read.
struct Read {
    form: Form,
    /// `None` if nothing stands there.
    version: Option<u64>,
}

/// What became of a save.
enum Saving<T> {
    Saved {
        serial: u64,
    },
    /// Another token was saved meanwhile.
    Superseded(Stored<T>),
}

/// What became of the mark that a person is needed.
enum Refusal<T> {
    First,
    Already,
    Superseded(Stored<T>),
}

impl<T: Send + Sync + 'static> Shared<T> {
    pub(super) fn new(store: Arc<dyn Store>, name: &str) -> Self
    where
        T: Serialize + DeserializeOwned,
    {
        Self {
            leases: Leases::new(Arc::clone(&store)),
            store,
            key: key(name),
            encode: |value| serde_json::value::to_raw_value(value).ok(),
            decode: |text| serde_json::from_str(text.get()).ok(),
        }
    }

    pub(super) const fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    async fn load(&self) -> Result<Option<Stored<T>>, Error> {
        let read = read(&*self.store, &self.key).await?;
        if read.version.is_none() {
            return Ok(None);
        }
        self.stored(&read.form).map(Some)
    }

    fn stored(&self, form: &Form) -> Result<Stored<T>, Error> {
        let token = match &form.token {
            None => None,
            Some(token) => {
                // What serde would say of it may show a part of it.
                let value = (self.decode)(&token.value).ok_or_else(|| Error::Corrupt {
                    detail: format!("the saved token of {} is not of the type that is kept here", self.key),
                })?;
                Some(Token::new(value, token.obtained_at, token.expires_at))
            }
        };
        let failed = form.failed.as_ref().map(|failed| {
            let FailedForm { class, failures, wait_ms, retry_at } = *failed;
            Failed { class, failures, wait: Duration::from_millis(wait_ms), retry_at }
        });
        Ok(Stored { serial: form.serial, token, refused: form.refused.as_ref().map(|r| r.class), failed })
    }

    fn form_of(&self, token: &Token<T>) -> Result<TokenForm, Error> {
        let value = (self.encode)(token.expose())
            .ok_or_else(|| Error::invalid("token", "no JSON", "a value that is JSON"))?;
        Ok(TokenForm { value, obtained_at: token.obtained_at(), expires_at: token.expires_at() })
    }

    /// Saves the token that follows the one with number `base`; whatever else was saved meanwhile stays.
    async fn save(&self, token: &Token<T>, base: u64) -> Result<Saving<T>, Error> {
        for _ in 0..ATTEMPTS_MAX {
            let Read { form, version } = read(&*self.store, &self.key).await?;
            if form.serial != base {
                return self.stored(&form).map(Saving::Superseded);
            }
            if let Some(serial) = self.replace(token, &form, version, "credential.refreshed").await? {
                return Ok(Saving::Saved { serial });
            }
        }
        Err(contended(&self.key))
    }

    /// Saves a token that a person or the program has put there, whatever stands there.
    pub(super) async fn put(&self, token: &Token<T>) -> Result<u64, Error> {
        for _ in 0..ATTEMPTS_MAX {
            let Read { form, version } = read(&*self.store, &self.key).await?;
            if let Some(serial) = self.replace(token, &form, version, "credential.put").await? {
                return Ok(serial);
            }
        }
        Err(contended(&self.key))
    }

    /// The number of the new token; `None` if somebody else was faster.
    async fn replace(
        &self,
        token: &Token<T>,
        before: &Form,
        version: Option<u64>,
        code: &'static str,
    ) -> Result<Option<u64>, Error> {
        let serial = before.serial.saturating_add(1);
        let form = Form { serial, token: Some(self.form_of(token)?), ..Form::empty() };
        // A token that follows another is no news; the end of a refusal is.
        let event = before
            .refused
            .is_some()
            .then(|| Event::new(Some(NEEDS_HUMAN), OK, self.store.owner(), code, "there is a new token"));
        Ok(write(&*self.store, &self.key, &form, version, event).await?.then_some(serial))
    }

    /// Marks that a person is needed, unless there is another token than the one with number `base` by now.
    async fn refuse(&self, base: u64, fault: &Fault) -> Result<Refusal<T>, Error> {
        for _ in 0..ATTEMPTS_MAX {
            let Read { mut form, version } = read(&*self.store, &self.key).await?;
            if form.serial != base {
                return self.stored(&form).map(Refusal::Superseded);
            }
            if form.refused.is_some() {
                return Ok(Refusal::Already);
            }
            let from = version.map(|_| form.state());
            let code = fault.code.clone().into_owned();
            let why = format!("its refresh was refused for good: {fault}");
            let event = Event::new(from, NEEDS_HUMAN, self.store.owner(), "credential.needs_human", why);
            form.refused = Some(RefusedForm { class: fault.class, code });
            if write(&*self.store, &self.key, &form, version, Some(event)).await? {
                return Ok(Refusal::First);
            }
        }
        Err(contended(&self.key))
    }

    /// Leaves word of a failure, so that the next process does not try at once. Only word: that it could not be left is
    /// no further failure.
    async fn note(&self, base: u64, failed: Failed) {
        let Ok(Read { mut form, version }) = read(&*self.store, &self.key).await else { return };
        if form.serial != base || form.refused.is_some() {
            return;
        }
        let Failed { class, failures, wait, retry_at } = failed;
        form.failed = Some(FailedForm { class, failures, wait_ms: millis(wait), retry_at });
        let _written_or_not = write(&*self.store, &self.key, &form, version, None).await;
    }
}

impl<T: Send + Sync + 'static> Crew<T> {
    pub(super) async fn look(&self) -> Landing<T> {
        let Some(shared) = &self.shared else { return Landing::Looked(None) };
        match shared.load().await {
            Ok(stored) => Landing::Looked(stored),
            Err(error) => self.store_down(&error),
        }
    }

    pub(super) async fn save(&self, unsaved: &Unsaved<T>) -> Landing<T> {
        let Some(shared) = &self.shared else { return Landing::NotSaved };
        match shared.save(&unsaved.token, unsaved.base).await {
            Ok(Saving::Saved { serial }) => Landing::Saved { serial },
            Ok(Saving::Superseded(stored)) => Landing::Looked(Some(stored)),
            Err(error) => {
                log::store_down(&self.name, &error);
                Landing::NotSaved
            }
        }
    }

    /// Takes the lease and refreshes, unless another process has done so or does.
    pub(super) async fn refresh_shared(&self, order: Order<T>) -> Landing<T> {
        let Some(shared) = &self.shared else { return Landing::StoreDown };
        let lease = self.attempt_timeout.saturating_add(LEASE_MORE);
        let patience = lease.saturating_add(self.attempt_timeout);
        let began = self.wait.now().moment;
        loop {
            match shared.load().await {
                Ok(stored) if self.enough(stored.as_ref(), &order) => return Landing::Looked(stored),
                Ok(_) => {}
                Err(error) => return self.store_down(&error),
            }
            match shared.leases.take(&shared.key, lease).await {
                Ok(Taken::Held(held)) => return self.refresh_held(shared, held, order).await,
                Ok(Taken::Busy { .. }) if !order.hard || self.wait.now().moment.since(began) >= patience => {
                    return Landing::Elsewhere { hard: order.hard };
                }
                Ok(Taken::Busy { .. }) => self.wait.pause(order.face, POLL).await,
                Err(error) => return self.store_down(&error),
            }
        }
    }

    /// Refreshes under the lease, and gives that back.
    async fn refresh_held(&self, shared: &Shared<T>, held: Held, order: Order<T>) -> Landing<T> {
        // Once more, now that nobody else refreshes: it may have been done between the look and the lease.
        let landing = match shared.load().await {
            Ok(stored) if self.enough(stored.as_ref(), &order) => Landing::Looked(stored),
            Ok(stored) => self.refresh_from(shared, stored, order).await,
            Err(error) => self.store_down(&error),
        };
        if let Err(error) = shared.leases.release(held).await {
            // It runs out by itself.
            log::store_down(&self.name, &error);
        }
        landing
    }

    async fn refresh_from(
        &self,
        shared: &Shared<T>,
        stored: Option<Stored<T>>,
        order: Order<T>,
    ) -> Landing<T> {
        let base = stored.as_ref().map_or(0, |stored| stored.serial);
        let failures = stored.as_ref().and_then(|stored| stored.failed).map_or(0, |failed| failed.failures);
        // What is not saved yet is newer than what is.
        let old = match order.unsaved {
            Some(unsaved) if unsaved.base == base => Some(unsaved.token),
            _ => stored.and_then(|stored| stored.token).or(order.old),
        };
        let since = self.wait.now().moment;
        match self.call(order.face, old).await {
            Ok(token) => match shared.save(&token, base).await {
                Ok(Saving::Saved { serial }) => {
                    Landing::Refreshed { token, since, serial: Some(serial), unsaved: None }
                }
                Ok(Saving::Superseded(stored)) => Landing::Looked(Some(stored)),
                Err(error) => {
                    log::store_down(&self.name, &error);
                    Landing::Refreshed { token, since, serial: None, unsaved: Some(base) }
                }
            },
            Err(fault) if for_good(&fault) => match shared.refuse(base, &fault).await {
                Ok(Refusal::Superseded(stored)) => Landing::Looked(Some(stored)),
                Ok(Refusal::Already) => Landing::Refused { class: fault.class, first: false },
                Ok(Refusal::First) => Landing::Refused { class: fault.class, first: true },
                Err(error) => {
                    log::store_down(&self.name, &error);
                    Landing::Refused { class: fault.class, first: true }
                }
            },
            Err(fault) => {
                let failed = self.back_off(&fault, failures.max(order.failures), order.seed);
                shared.note(base, failed).await;
                Landing::Failed { failed, hint: fault.retry_after }
            }
        }
    }

    /// Whether what is saved makes a refresh needless or forbids it.
    fn enough(&self, stored: Option<&Stored<T>>, order: &Order<T>) -> bool {
        let Some(stored) = stored else { return false };
        let now = self.wait.now();
        if stored.refused.is_some() {
            return true;
        }
        let other = order.serial != Some(stored.serial)
            && order.unsaved.as_ref().is_none_or(|unsaved| unsaved.base != stored.serial);
        if other && stored.token.as_ref().is_some_and(|token| good(token, now)) {
            return true;
        }
        // Another process has failed and says when to try again; no wait is longer than what a failure asks for.
        stored.failed.is_some_and(|failed| Some(failed) != order.failed && failed.waits(now))
    }

    fn store_down(&self, error: &Error) -> Landing<T> {
        log::store_down(&self.name, error);
        Landing::StoreDown
    }
}

/// Whether a token that another process has saved need not be refreshed itself.
fn good<T>(token: &Token<T>, now: Now) -> bool {
    use crate::act::credential::expiry::{Standing, Terms};
    // Without luck: whatever seed this process draws, the other one found it good.
    let terms = Terms::of(token, now.moment, now, &mut Rng::seeded(0));
    matches!(terms.standing(now, None), Standing::Valid { due: None, .. })
}

/// What became of a person's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Cleared {
    /// It needed a person, and may be refreshed again.
    Done,
    /// It did not need one.
    NotNeeded,
    /// Nothing of it is saved in this store.
    Unknown,
}

/// A person has seen to the credential `name`: it may be refreshed again. `by` is who, as events name them
/// (`operator:ada`).
///
/// Runs that wait for it are released by [`Operator::credential_ok`](crate::operator::Operator::credential_ok), which
/// also does this. A process that runs sees it at the next look, within 10 s.
///
/// # Errors
/// When the store cannot be read or written, or others were faster 16 times in a row.
pub async fn ok(store: &Arc<dyn Store>, name: &str, by: &str) -> Result<Cleared, Error> {
    let key = key(name);
    for _ in 0..ATTEMPTS_MAX {
        let Read { mut form, version } = read(&**store, &key).await?;
        if version.is_none() {
            return Ok(Cleared::Unknown);
        }
        if form.refused.take().is_none() {
            return Ok(Cleared::NotNeeded);
        }
        form.failed = None;
        let why = format!("{by} has seen to it");
        let event = Event::new(Some(NEEDS_HUMAN), OK, by, "credential.ok", why);
        if write(&**store, &key, &form, version, Some(event)).await? {
            return Ok(Cleared::Done);
        }
    }
    Err(contended(&key))
}

/// What a run that waits for the credential `name` has as its token.
#[must_use]
pub fn token_of(name: &str) -> String {
    format!("credential:{name}")
}

/// How the credential `name` stands in this store.
pub(in crate::act) async fn needs_human(store: &dyn Store, name: &str) -> Result<Needing, Error> {
    let record = store.get(Ns::SNAPSHOT, &key(name)).await?;
    Ok(match record {
        None => Needing::NotKept,
        Some(record) if record.state == NEEDS_HUMAN => Needing::Person { version: record.version },
        Some(_) => Needing::Nobody,
    })
}

/// How a credential stands in a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::act) enum Needing {
    /// It is not kept there.
    NotKept,
    /// It needs a person, as of this version of its record.
    Person { version: u64 },
    /// It may be refreshed.
    Nobody,
}

/// A write that changes nothing and holds only while the credential's record is at `version`.
pub(in crate::act) fn unmoved(name: &str, version: u64) -> Write {
    Write::new(Ns::SNAPSHOT, key(name), Expect::Version(version), Put::nothing())
}

async fn read(store: &dyn Store, key: &str) -> Result<Read, Error> {
    let Some(record) = store.get(Ns::SNAPSHOT, key).await? else {
        return Ok(Read { form: Form::empty(), version: None });
    };
    // No word of serde's: it may show a part of what it could not read.
    let form: Form = serde_json::from_str(&record.body)
        .map_err(|_| Error::Corrupt { detail: format!("the saved {key} is no credential") })?;
    if form.v > FORMAT {
        let detail = format!("the saved {key} has format {}, this release reads up to {FORMAT}", form.v);
        return Err(Error::Corrupt { detail });
    }
    Ok(Read { form, version: Some(record.version) })
}

/// Whether it was written; not if somebody else was faster.
async fn write(
    store: &dyn Store,
    key: &str,
    form: &Form,
    version: Option<u64>,
    event: Option<Event>,
) -> Result<bool, Error> {
    let body = serde_json::to_string(form)
        .map_err(|_| Error::invalid("credential", "no JSON", "a value that is JSON"))?;
    let put = Put {
        state: Some(String::from(form.state())),
        kind: Some(String::from(KIND)),
        body: Some(body),
        ..Put::default()
    };
    let mut write = Write::new(Ns::SNAPSHOT, key, version.map_or(Expect::Absent, Expect::Version), put);
    write.event = event;
    match apply_settled(store, Batch::of(write)).await {
        Ok(_) => Ok(true),
        Err(ApplyError::Conflict(_)) => Ok(false),
        Err(ApplyError::NotApplied(error) | ApplyError::Unknown(error)) => Err(error),
    }
}

fn contended(key: &str) -> Error {
    Error::Backend {
        action: "saving a credential",
        source: format!("{key} was changed by others {ATTEMPTS_MAX} times in a row").into(),
    }
}
