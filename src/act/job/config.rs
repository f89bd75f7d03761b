//! The application's configuration as it is kept with runs: without its secrets, and a large one only once.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use serde_json::value::RawValue;

use crate::act::runlog;
use crate::base::canonical::Fingerprint;
use crate::base::redact::{Names, Redact as _};
use crate::remember::runs::Json;
use crate::remember::snapshots::Snapshots;
use crate::remember::store::{self, Store};

/// The largest that is kept with each run.
const WITH_RUN_MAX: usize = 2 << 10;
/// The largest at all.
const BYTES_MAX: usize = 256 << 10;
/// Configurations that were logged in this process.
const LOGGED_MAX: usize = 256;
static LOGGED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// A configuration without its secrets.
#[derive(Clone, Debug)]
pub(super) struct Config {
    json: Arc<str>,
    fingerprint: String,
}

impl Config {
    pub(super) fn of<C: Serialize + ?Sized>(config: &C) -> Result<Self, String> {
        let written = serde_json::to_string(config).map_err(|error| error.to_string())?;
        if written.len() > BYTES_MAX {
            return Err(format!("{} bytes", written.len()));
        }
        let json = redacted(&written)?;
        let fingerprint = Fingerprint::of_bytes(json.as_bytes()).to_string();
        Ok(Self { json: json.into(), fingerprint })
    }

    /// What a run keeps of it.
    pub(super) fn kept(&self) -> Json {
        let text = match self.json.len() {
            0..=WITH_RUN_MAX => self.json.to_string(),
            _ => format!("{{\"fingerprint\":\"{}\"}}", self.fingerprint),
        };
        RawValue::from_string(text).unwrap_or_else(|_| RawValue::NULL.to_owned())
    }

    /// Logs it, once in a process.
    pub(super) fn tell(&self, job: &str) {
        let mut logged = LOGGED.lock().unwrap_or_else(PoisonError::into_inner);
        if logged.len() < LOGGED_MAX && logged.insert(format!("{job} {}", self.fingerprint)) {
            runlog::config(job, &self.fingerprint, &self.json);
        }
    }

    /// Keeps a large one in the store, if it is not there.
    pub(super) async fn keep(&self, store: &Arc<dyn Store>) -> Result<(), store::Error> {
        if self.json.len() <= WITH_RUN_MAX {
            return Ok(());
        }
        let snapshots = Snapshots::new(Arc::clone(store));
        let name = format!("config/{}", self.fingerprint);
        if snapshots.load_large::<Box<RawValue>>(&name).await?.is_none()
            && let Ok(json) = RawValue::from_string(self.json.to_string())
        {
            // Whoever was first has saved the same.
            let _saved = snapshots.save_large(&name, "config", &json, None).await?;
        }
        Ok(())
    }
}

/// Every value under a name that means a secret, hidden. The whole of it is looked at in pieces, as one text has a bound.
fn redacted(json: &str) -> Result<String, String> {
    let value: serde_json::Value = serde_json::from_str(json).map_err(|error| error.to_string())?;
    let safe = Names::new().body(json.as_bytes()).into_owned();
    match serde_json::from_str::<serde::de::IgnoredAny>(&safe) {
        Ok(_) => Ok(safe),
        // Longer than one text may be: by its members.
        Err(_) => Ok(by_names(value, &Names::new()).to_string()),
    }
}

fn by_names(value: serde_json::Value, names: &Names) -> serde_json::Value {
    use serde_json::Value;
    match value {
        Value::Object(members) => {
            let member = |(name, value): (String, Value)| {
                let hidden = names.is_secret(&name) && !value.is_null();
                let value = if hidden { Value::from("[redacted]") } else { by_names(value, names) };
                (name, value)
            };
            Value::Object(members.into_iter().map(member).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(|item| by_names(item, names)).collect()),
        Value::String(text) => Value::String(names.body(text.as_bytes()).into_owned()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_is_kept_without_its_secrets() {
        let small = Config::of(&serde_json::json!({"folder": "/srv", "api_token": "s3cr3t"})).unwrap();
        assert!(!small.json.contains("s3cr3t") && small.kept().get().contains("/srv"));
        let rows: Vec<_> = (0..2500)
            .map(|n| serde_json::json!({"name": n, "password": "s3cr3t", "url": "https://u:s3cr3t@a.org/"}))
            .collect();
        let large = Config::of(&rows).unwrap();
        assert!(!large.json.contains("s3cr3t"));
        assert!(large.kept().get().starts_with("{\"fingerprint\":\"sha256:"), "{}", large.kept());
        assert!(Config::of(&"x".repeat(BYTES_MAX)).is_err());
    }
}
