//! Saved states that are larger than a record may be: in parts, under a head that says what belongs together.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::base::canonical::Fingerprint;
use crate::remember::snapshots::{Saved, Snapshot, Snapshots, json, write};
use crate::remember::store::{BODY_MAX, Batch, Error, Ns, WRITES_MAX};

/// The most bytes that a state in parts has as JSON: 7 MiB.
pub const LARGE_MAX: usize = 7 << 20;
/// Of JSON in a part, before it is quoted: at worst, where all of it is quotes, twice that.
const PART: usize = BODY_MAX / 2 - 16;
/// How often a state is read again that is replaced while it is read.
const READS_MAX: u32 = 8;
const FORMAT: u32 = 1;

const _: () = assert!(LARGE_MAX.div_ceil(PART) + 1 < WRITES_MAX, "head and parts are one batch");

/// What stands under the name.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    parts_format: u32,
    parts: usize,
    bytes: usize,
    hash: Fingerprint,
    /// Which of the two sets of parts: a save writes the other one.
    side: u8,
}

impl Snapshots {
    /// As [`save`](Self::save), for a value of up to [`LARGE_MAX`] bytes of JSON (a baseline, say): kept in parts beside its
    /// name, `NAME#0.1` and so on, that are replaced with it in one commit.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the value is no JSON or too large; otherwise when the store cannot be written.
    pub async fn save_large<T: Serialize>(
        &self,
        name: &str,
        kind: &str,
        value: &T,
        version: Option<u64>,
    ) -> Result<Saved, Error> {
        let text = json(value)?;
        if text.len() > LARGE_MAX {
            return Err(Error::invalid("snapshot", text.len(), format!("at most {LARGE_MAX} bytes of JSON")));
        }
        let side = match self.head(name).await? {
            Some((_, found)) if Some(found) != version => return Ok(Saved::Raced),
            Some((head, _)) => 1 - head.side.min(1),
            None if version.is_some() => return Ok(Saved::Raced),
            None => 0,
        };
        let mut writes = Vec::new();
        let parts = split(&text);
        for (number, part) in parts.iter().enumerate() {
            let key = part_key(name, side, number);
            let stands = self.store.get(Ns::SNAPSHOT, &key).await?;
            let version = stands.map(|record| record.version);
            writes.push(write(&key, version, "part", json(part)?));
        }
        let head = Head {
            parts_format: FORMAT,
            parts: parts.len(),
            bytes: text.len(),
            hash: Fingerprint::of_bytes(&text),
            side,
        };
        writes.insert(0, write(name, version, kind, json(&head)?));
        self.commit(Batch::new(writes)).await
    }

    /// What was [saved in parts](Self::save_large) as `name`, if there is anything.
    ///
    /// # Errors
    /// When the store cannot be read; [`Error::Corrupt`] if the parts are not those that were saved together, or what they say is
    /// no such value: never a default.
    pub async fn load_large<T: DeserializeOwned>(&self, name: &str) -> Result<Option<Snapshot<T>>, Error> {
        let corrupt = |what: &str| Error::Corrupt { detail: format!("the saved state {name}: {what}") };
        let mut seen = None;
        for _ in 0..READS_MAX {
            let Some((head, version)) = self.head(name).await? else { return Ok(None) };
            // The parts that a head names are replaced by the save after the next: then there is another head.
            if seen == Some(version) {
                return Err(corrupt("its parts are not those that were saved with it"));
            }
            seen = Some(version);
            let mut json = String::with_capacity(head.bytes.min(LARGE_MAX));
            for number in 0..head.parts.min(WRITES_MAX) {
                let Some(part) = self.store.get(Ns::SNAPSHOT, &part_key(name, head.side, number)).await?
                else {
                    break;
                };
                let part: String =
                    serde_json::from_str(&part.body).map_err(|_| corrupt("a part is no text"))?;
                json.push_str(&part);
            }
            if json.len() == head.bytes && Fingerprint::of_bytes(&json) == head.hash {
                let value = serde_json::from_str(&json).map_err(|error| corrupt(&error.to_string()))?;
                return Ok(Some(Snapshot { value, version }));
            }
        }
        Err(corrupt("it was replaced each time while it was read"))
    }

    async fn head(&self, name: &str) -> Result<Option<(Head, u64)>, Error> {
        let Some(found) = self.load::<Head>(name).await? else { return Ok(None) };
        if found.value.parts_format != FORMAT {
            let detail = format!("the saved state {name}: parts of format {}", found.value.parts_format);
            return Err(Error::Corrupt { detail });
        }
        Ok(Some((found.value, found.version)))
    }
}

fn part_key(name: &str, side: u8, number: usize) -> String {
    format!("{name}#{side}.{number}")
}

/// At the boundaries of characters.
fn split(json: &str) -> Vec<&str> {
    let (mut parts, mut rest) = (Vec::new(), json);
    while rest.len() > PART {
        let end = (0..=PART).rev().find(|end| rest.is_char_boundary(*end)).unwrap_or(PART);
        let (part, after) = rest.split_at(end);
        parts.push(part);
        rest = after;
    }
    parts.push(rest);
    parts
}
