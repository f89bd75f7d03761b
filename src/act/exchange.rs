//! What was asked and answered: the last exchanges with a dependency, bounded and without their secrets, kept for the
//! case that it goes wrong.
//!
//! A step of a job has a [`Log`] of its own for each attempt (`Cx::exchanges`): when the attempt fails, the last
//! exchanges become part of the run's history; when it succeeds they are forgotten.
//!
//! ```
//! use unattended::exchange::{Exchange, Log};
//!
//! let log = Log::new();
//! log.push(
//!     Exchange::new("POST", "https://api.example.org/v1/videos?key=s3cr3t")
//!         .request_header("Authorization", "Bearer s3cr3t")
//!         .status(503)
//!         .response_body("try again later"),
//! );
//! let kept = log.entries();
//! assert_eq!(kept[0].to_string(), "POST https://api.example.org/v1/videos?key=[redacted]: 503");
//! assert_eq!(kept[0].request.headers, [("Authorization".to_owned(), "[redacted]".to_owned())]);
//! ```

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::act::log;
use crate::base::redact::{Names, Redact};
use crate::base::text;
use crate::base::time::{Timestamp, millis};

/// How many exchanges a log keeps unless told otherwise: the last ones.
pub const KEPT: usize = 8;
/// The most exchanges that a log keeps, whatever it is told.
pub const KEPT_MAX: usize = 64;
/// The most bytes of one exchange that are kept.
pub const ENTRY_MAX: usize = 4096;

/// What is looked at of a body before its secrets are taken out and it is cut to what is kept.
const BODY_SEEN_MAX: usize = 4 * ENTRY_MAX;
/// How many headers of a side are looked at.
const HEADERS_MAX: usize = 64;

// How the room of an exchange is divided; the body of the response has what is left.
const METHOD_ROOM: usize = 32;
const URL_ROOM: usize = 1024;
const FAILED_ROOM: usize = 256;
const HEADERS_ROOM: usize = 768;
const VALUE_ROOM: usize = 200;
const REQUEST_BODY_ROOM: usize = 512;

/// An exchange as it happened, secrets and all; it is only good for [`Log::push`].
#[derive(Clone, Default)]
#[must_use = "it is kept once it is pushed to a log"]
pub struct Exchange {
    method: String,
    url: String,
    status: Option<u16>,
    failed: Option<String>,
    request: Side,
    response: Side,
    took: Option<Duration>,
    at: Option<Timestamp>,
}

#[derive(Clone, Default)]
struct Side {
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Exchange {
    /// A request that is about to be made, or was.
    pub fn new(method: impl Into<String>, url: impl Into<String>) -> Self {
        Self { method: method.into(), url: url.into(), ..Self::default() }
    }

    /// The method, the address and the headers of a request. Values that are marked as sensitive are not read.
    #[cfg(feature = "http")]
    pub fn of<B>(request: &http::Request<B>) -> Self {
        let mut exchange = Self::new(request.method().as_str(), request.uri().to_string());
        exchange.request.read(request.headers());
        exchange
    }

    /// The status and the headers of the response.
    #[cfg(feature = "http")]
    pub fn answered<B>(mut self, response: &http::Response<B>) -> Self {
        self.response.read(response.headers());
        self.status(response.status().as_u16())
    }

    /// The status of the response.
    pub const fn status(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }

    /// What went wrong, where there was no response or it was not a good one.
    pub fn failed(mut self, error: impl fmt::Display) -> Self {
        self.failed = Some(error.to_string());
        self
    }

    /// A header of the request.
    pub fn request_header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.request.header(name, value.as_ref());
        self
    }

    /// A header of the response.
    pub fn response_header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.response.header(name, value.as_ref());
        self
    }

    /// The body of the request, or its beginning.
    pub fn request_body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.request.body(body.as_ref());
        self
    }

    /// The body of the response, or its beginning.
    pub fn response_body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.response.body(body.as_ref());
        self
    }

    /// How long it took.
    pub const fn took(mut self, took: Duration) -> Self {
        self.took = Some(took);
        self
    }

    /// When it began.
    pub const fn at(mut self, at: Timestamp) -> Self {
        self.at = Some(at);
        self
    }

    /// What of it may be kept: secrets first, then what there is no room for.
    fn recorded(&self, hook: &dyn Redact) -> Recorded {
        let mut room = ENTRY_MAX;
        let mut fit = |text: &str, most: usize| {
            let text = cut(text, most.min(room));
            room = room.saturating_sub(text.len());
            text
        };
        let method = fit(&self.method, METHOD_ROOM);
        let url = fit(&hook.url(&self.url), URL_ROOM);
        let failed = self.failed.as_ref().map(|failed| fit(&hook.body(failed.as_bytes()), FAILED_ROOM));
        let mut headers = |side: &Side| {
            let mut left = HEADERS_ROOM;
            let mut kept = Vec::new();
            for (name, value) in &side.headers {
                let value = hook.header(name, value);
                let (name, value) = (fit(name, VALUE_ROOM.min(left)), fit(&value, VALUE_ROOM.min(left)));
                left = left.saturating_sub(name.len() + value.len());
                if name.is_empty() {
                    break;
                }
                kept.push((name, value));
            }
            kept
        };
        let (asked, answered) = (headers(&self.request), headers(&self.response));
        let request_body = fit(&hook.body(&self.request.body), REQUEST_BODY_ROOM);
        let response_body = fit(&hook.body(&self.response.body), ENTRY_MAX);
        Recorded {
            method,
            url,
            status: self.status,
            failed,
            at: self.at,
            took_ms: self.took.map(millis),
            request: Part { headers: asked, body: request_body },
            response: Part { headers: answered, body: response_body },
        }
    }
}

impl Side {
    fn header(&mut self, name: &str, value: &[u8]) {
        if self.headers.len() < HEADERS_MAX {
            let value = value.get(..BODY_SEEN_MAX).unwrap_or(value);
            self.headers.push((name.to_owned(), String::from_utf8_lossy(value).into_owned()));
        }
    }

    fn body(&mut self, body: &[u8]) {
        self.body = body.get(..BODY_SEEN_MAX).unwrap_or(body).to_vec();
    }

    #[cfg(feature = "http")]
    fn read(&mut self, headers: &http::HeaderMap) {
        for (name, value) in headers {
            let sensitive = crate::base::redact::REDACTED.as_bytes();
            self.header(name.as_str(), if value.is_sensitive() { sensitive } else { value.as_bytes() });
        }
    }
}

/// An exchange as it is kept: without its secrets, at most 4 KiB of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Recorded {
    /// The method.
    pub method: String,
    /// The address.
    pub url: String,
    /// The status of the response.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// What went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
    /// When it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// How long it took, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took_ms: Option<u64>,
    /// What was sent.
    #[serde(default, skip_serializing_if = "Part::is_empty")]
    pub request: Part,
    /// What came back.
    #[serde(default, skip_serializing_if = "Part::is_empty")]
    pub response: Part,
}

/// One side of an exchange as it is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Names and values, in their order, as many as have room.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
    /// The beginning of the body.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub body: String,
}

impl Part {
    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.headers.is_empty() && self.body.is_empty()
    }
}

/// The method, the address and how it ended, as one line.
impl fmt::Display for Recorded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: ", self.method, self.url)?;
        match (self.status, &self.failed) {
            (Some(status), Some(failed)) => write!(f, "{status}, {failed}")?,
            (Some(status), None) => write!(f, "{status}")?,
            (None, Some(failed)) => f.write_str(failed)?,
            (None, None) => f.write_str("no answer")?,
        }
        self.took_ms.map_or(Ok(()), |took| write!(f, " in {}", text::about(Duration::from_millis(took))))
    }
}

/// The last exchanges. Cheap to clone; clones are handles to the same log, from any thread.
#[derive(Clone)]
pub struct Log {
    inner: Arc<Inner>,
}

struct Inner {
    hook: Option<Arc<dyn Redact>>,
    kept_max: usize,
    kept: Mutex<VecDeque<Recorded>>,
}

impl Default for Log {
    fn default() -> Self {
        Self::with(None, KEPT)
    }
}

impl Log {
    /// A log of the last 8 exchanges; secrets are taken out by [`Names`].
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A log of the last 8 exchanges, in which `hook` takes the secrets out.
    #[must_use]
    pub fn redacting(hook: Arc<dyn Redact>) -> Self {
        Self::with(Some(hook), KEPT)
    }

    /// The same log, still empty, that keeps the last `exchanges`: 1 to 64.
    #[must_use]
    pub fn last(self, exchanges: usize) -> Self {
        Self::with(self.inner.hook.clone(), exchanges)
    }

    pub(in crate::act) fn with(hook: Option<Arc<dyn Redact>>, kept_max: usize) -> Self {
        let kept_max = kept_max.clamp(1, KEPT_MAX);
        Self { inner: Arc::new(Inner { hook, kept_max, kept: Mutex::default() }) }
    }

    /// Keeps an exchange without its secrets, and lets go of the oldest where there are too many. It is also told as a
    /// `tracing` event at debug level.
    pub fn push(&self, exchange: Exchange) {
        // Outside of the lock: the hook is the user's code.
        let recorded = match &self.inner.hook {
            Some(hook) => exchange.recorded(&**hook),
            None => exchange.recorded(&Names::new()),
        };
        log::exchange(&recorded.method, &recorded.url, recorded.status, recorded.took_ms);
        let mut kept = self.lock();
        if kept.len() >= self.inner.kept_max {
            kept.pop_front();
        }
        kept.push_back(recorded);
    }

    /// Those that are kept, oldest first.
    #[must_use]
    pub fn entries(&self) -> Vec<Recorded> {
        self.lock().iter().cloned().collect()
    }

    /// How many are kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether none is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// Forgets them all.
    pub fn clear(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Recorded>> {
        self.inner.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log").field("kept", &*self.lock()).finish_non_exhaustive()
    }
}

/// Only what holds no secrets.
impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (method, status) = (&self.method, &self.status);
        f.debug_struct("Exchange").field("method", method).field("status", status).finish_non_exhaustive()
    }
}

/// `text`, cut to at most `bytes` bytes; where it was cut and there is room for it, the last of them are an ellipsis.
fn cut(text: &str, bytes: usize) -> String {
    if text.len() <= bytes {
        return text.to_owned();
    }
    let ellipsis = if bytes >= '…'.len_utf8() { "…" } else { "" };
    format!("{}{ellipsis}", text::head(text, bytes - ellipsis.len()))
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use proptest::prelude::*;

    use super::*;

    fn size(recorded: &Recorded) -> usize {
        let part = |part: &Part| {
            part.body.len() + part.headers.iter().map(|(n, v)| n.len() + v.len()).sum::<usize>()
        };
        let failed = recorded.failed.as_ref().map_or(0, String::len);
        recorded.method.len()
            + recorded.url.len()
            + failed
            + part(&recorded.request)
            + part(&recorded.response)
    }

    #[test]
    fn an_exchange_is_kept_without_its_secrets_wherever_they_stand() {
        let log = Log::new();
        log.push(
            Exchange::new("POST", "https://ada:s3cr3t@a.org/x?sig=s3cr3t")
                .request_header("X-Api-Key", "s3cr3t")
                .request_body(r#"{"password":"s3cr3t","n":1}"#)
                .response_header("Set-Cookie", "id=s3cr3t")
                .response_header("Retry-After", b"30")
                .response_body("access_token=s3cr3t&expires=1")
                .failed("reset by https://a.org/?token=s3cr3t")
                .status(503)
                .took(Duration::from_millis(1500)),
        );
        let told = serde_json::to_string(&log.entries()).unwrap();
        assert!(!told.contains("s3cr3t"), "{told}");
        assert_eq!(told.matches("[redacted]").count(), 7, "{told}");
        assert!(told.contains(r#"["Retry-After","30"]"#) && told.contains(r#"\"n\":1"#), "{told}");
        let line = log.entries()[0].to_string();
        assert!(line.ends_with(": 503, reset by https://a.org/?token=[redacted] in 1.5 s"), "{line}");
    }

    #[test]
    fn the_hook_can_be_replaced_and_what_is_not_yet_kept_is_not_shown() {
        struct All;
        impl Redact for All {
            fn header<'a>(&self, _: &str, _: &'a str) -> Cow<'a, str> {
                Cow::Borrowed("-")
            }
            fn url<'a>(&self, _: &'a str) -> Cow<'a, str> {
                Cow::Borrowed("-")
            }
            fn body<'a>(&self, _: &'a [u8]) -> Cow<'a, str> {
                Cow::Borrowed("-")
            }
        }
        let log = Log::redacting(Arc::new(All));
        let exchange = Exchange::new("GET", "https://a.org").request_header("x", "y").response_body("z");
        assert!(!format!("{exchange:?}").contains("a.org"));
        log.push(exchange);
        let kept = &log.entries()[0];
        assert_eq!(
            (kept.url.as_str(), kept.request.headers[0].1.as_str(), kept.response.body.as_str()),
            ("-", "-", "-")
        );
    }

    #[test]
    fn only_the_last_are_kept_from_all_threads_together() {
        let log = Log::new().last(3);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                let log = log.clone();
                scope.spawn(move || (0..50).for_each(|n| log.push(Exchange::new("GET", n.to_string()))));
            }
        });
        assert_eq!(log.len(), 3);
        log.push(Exchange::new("GET", "last"));
        assert_eq!(log.entries().last().map(|kept| kept.url.as_str()), Some("last"));
        log.clear();
        assert!(log.is_empty());
        assert_eq!(Log::new().last(usize::MAX).inner.kept_max, KEPT_MAX);
    }

    #[test]
    fn a_secret_that_is_cut_off_by_the_bound_does_not_survive_either() {
        let log = Log::new();
        let body = format!("{{\"fill\":\"{}\",\"token\":\"s3cr3t", "x".repeat(BODY_SEEN_MAX - 30));
        log.push(Exchange::new("GET", "/").response_body(&body).request_body(&body));
        assert!(!format!("{log:?}").contains("s3c"));
    }

    #[cfg(feature = "http")]
    #[test]
    fn an_exchange_is_read_from_http_types() {
        let mut secret = http::HeaderValue::from_static("s3cr3t");
        secret.set_sensitive(true);
        let request = http::Request::post("https://a.org/x?key=s3cr3t").header("x-own", secret);
        let request = request.header("accept", "text/plain").body(()).unwrap();
        let response = http::Response::builder().status(429).header("retry-after", "9").body(()).unwrap();
        let log = Log::new();
        log.push(Exchange::of(&request).answered(&response));
        let kept = &log.entries()[0];
        assert_eq!(kept.to_string(), "POST https://a.org/x?key=[redacted]: 429");
        let headers: Vec<_> = kept.request.headers.iter().map(|(n, v)| format!("{n}={v}")).collect();
        assert_eq!(headers, ["x-own=[redacted]", "accept=text/plain"]);
        assert_eq!(kept.response.headers, [("retry-after".to_owned(), "9".to_owned())]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn an_exchange_is_at_most_four_kibibytes(
            url in "\\PC{0,40}", times in 0_usize..200, headers in prop::collection::vec(("[a-z]{1,300}", "\\PC{0,300}"), 0..80),
            body in prop::collection::vec(any::<u8>(), 0..6000),
        ) {
            let mut exchange = Exchange::new("M".repeat(times), url.repeat(times)).request_body(&body).response_body(&body);
            for (name, value) in &headers {
                exchange = exchange.request_header(name, value).response_header(name, value);
            }
            let log = Log::new();
            log.push(exchange.failed(url.repeat(times)));
            let size = size(&log.entries()[0]);
            prop_assert!(size <= ENTRY_MAX, "{size}");
        }
    }
}
