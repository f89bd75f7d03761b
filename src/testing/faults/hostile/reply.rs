//! What the server does with a request.

use std::time::Duration;

use crate::base::time::Timestamp;

/// What the server does with one request: an answer, and how it goes wrong.
///
/// ```
/// use std::time::Duration;
/// use unattended::testing::faults::Reply;
///
/// let busy = Reply::status(429).retry_after(Duration::from_secs(2));
/// let slow = Reply::ok(r#"{"page":1}"#).after(Duration::from_millis(50));
/// let lost = Reply::ok(r#"{"page":1}"#).reset_mid_body();
/// # let _ = (busy, slow, lost);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "it does nothing until a server gives it"]
pub struct Reply {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    pub(super) before: Duration,
    pub(super) end: End,
    pub(super) applied: bool,
}

/// How it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// With the whole answer.
    Whole,
    /// With half of the body, and an orderly close.
    Torn,
    /// With half of the body, and a reset.
    ResetMidBody,
    /// With a reset and no answer.
    Reset,
    /// With a close and no answer.
    Silent,
    /// With the whole body, a byte at a time, with this pause after each.
    Drip(Duration),
    /// With the body alone, which is no HTTP.
    Bare,
}

impl Reply {
    /// 200 with this body as `application/json`.
    pub fn ok(json: impl Into<String>) -> Self {
        Self::status(200).body("application/json", json.into())
    }

    /// This status without a body. What is no status (100 to 999) is sent as it is.
    pub const fn status(status: u16) -> Self {
        let applied = status >= 200 && status < 300;
        Self {
            status,
            headers: Vec::new(),
            body: Vec::new(),
            before: Duration::ZERO,
            end: End::Whole,
            applied,
        }
    }

    /// The request is read, then nothing comes for this long, then the connection is closed.
    pub fn silence(lasts: Duration) -> Self {
        Self { before: lasts, end: End::Silent, applied: false, ..Self::status(200) }
    }

    /// The connection is reset instead of an answer.
    pub const fn reset() -> Self {
        let mut reply = Self::status(200);
        (reply.end, reply.applied) = (End::Reset, false);
        reply
    }

    /// 200 and `application/json`, and the body is cut off JSON, all of it there: `{"ok": tr`.
    pub fn wrong_json() -> Self {
        Self::ok(r#"{"ok": tr"#)
    }

    /// 200 with a page of HTML where data was asked for: a login form, a captive portal, an error page of a proxy.
    pub fn html() -> Self {
        Self::status(200).body("text/html", "<!doctype html><title>Sign in</title>")
    }

    /// An answer that is no HTTP.
    pub fn garbage() -> Self {
        Self { end: End::Bare, applied: false, ..Self::status(200).body("", "SSH-2.0-hostile\r\n") }
    }

    /// The same answer with this body.
    pub fn body(mut self, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("content-type"));
        self.header("Content-Type", content_type)
    }

    /// The same answer with one more header. Control characters become spaces. `Content-Length` and `Connection` are the
    /// server's own; without [`dated`](Self::dated) there is no `Date`, as with any server that has no clock.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let plain = |text: String| text.replace(|c: char| c.is_control(), " ");
        self.headers.push((plain(name.into()), plain(value.into())));
        self
    }

    /// The same answer with `Retry-After` in seconds, rounded up.
    pub fn retry_after(self, wait: Duration) -> Self {
        let seconds = wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0));
        self.header("Retry-After", seconds.to_string())
    }

    /// The same answer with `Retry-After` as an HTTP-date.
    pub fn retry_after_date(self, at: Timestamp) -> Self {
        self.header("Retry-After", http_date(at))
    }

    /// The same answer with a `Date`: what the server takes for the time.
    pub fn dated(self, at: Timestamp) -> Self {
        self.header("Date", http_date(at))
    }

    /// The same answer after this wait. The work is done when the wait begins.
    pub const fn after(mut self, wait: Duration) -> Self {
        self.before = wait;
        self
    }

    /// The same answer with its body coming a byte at a time, each followed by this pause.
    pub const fn drip(mut self, pause: Duration) -> Self {
        self.end = End::Drip(pause);
        self
    }

    /// The same answer cut off in the middle of its body by a connection that is closed in order, as by a proxy that
    /// gives up. A body of at least two bytes is needed for there to be a middle.
    pub const fn torn(mut self) -> Self {
        self.end = End::Torn;
        self
    }

    /// The same answer cut off in the middle of its body by a connection that is reset.
    pub const fn reset_mid_body(mut self) -> Self {
        self.end = End::ResetMidBody;
        self
    }

    /// Whether the effect that was asked for takes place; by default with a 2xx, whatever becomes of the answer, and not
    /// with silence, a reset before the answer, or garbage. It is what [`Hostile::effects`](super::Hostile::effects) counts.
    pub const fn applied(mut self, applied: bool) -> Self {
        self.applied = applied;
        self
    }

    /// The head, with the length of the whole body.
    pub(super) fn head(&self) -> String {
        use std::fmt::Write as _;

        // The reason phrase may be empty (RFC 9112, 4); clients do not read it.
        let mut head = format!("HTTP/1.1 {} \r\nConnection: close\r\n", self.status);
        if !matches!(self.status, 100..=199 | 204 | 304) {
            // Writing to a string does not fail.
            let _written = write!(head, "Content-Length: {}\r\n", self.body.len());
        }
        for (name, value) in &self.headers {
            let _written = write!(head, "{name}: {value}\r\n");
        }
        head.push_str("\r\n");
        head
    }

    /// The status that the client gets to see, if it does.
    pub(super) const fn seen(&self) -> Option<u16> {
        match self.end {
            End::Whole | End::Torn | End::ResetMidBody | End::Drip(_) => Some(self.status),
            End::Reset | End::Silent | End::Bare => None,
        }
    }
}

/// RFC 9110, 5.6.7.
fn http_date(at: Timestamp) -> String {
    at.format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_cannot_smuggle_in_another() {
        let head = Reply::status(503).header("X-Why", "a\r\nX-Other: b").head();
        assert_eq!(
            head,
            "HTTP/1.1 503 \r\nConnection: close\r\nContent-Length: 0\r\nX-Why: a  X-Other: b\r\n\r\n"
        );
    }

    #[test]
    fn what_it_writes_is_what_our_own_parser_reads() {
        use crate::base::retry_after::retry_after;

        let now = Timestamp::from_timestamp(784_111_740, 0).unwrap();
        let at = Timestamp::from_timestamp(784_111_777, 0).unwrap();
        let reply = Reply::status(429).dated(now).retry_after_date(at);
        let of = |wanted: &str| reply.headers.iter().find(|(name, _)| name == wanted).unwrap().1.clone();
        assert_eq!(of("Date"), "Sun, 06 Nov 1994 08:49:00 GMT");
        let wait = retry_after(&of("Retry-After"), Some(&of("Date")), Timestamp::UNIX_EPOCH);
        assert_eq!(wait, Some(Duration::from_secs(37)));
        let rounded = Reply::status(429).retry_after(Duration::from_millis(1200));
        assert_eq!(rounded.headers, [("Retry-After".to_owned(), "2".to_owned())]);
    }

    #[test]
    fn an_answer_that_is_lost_was_applied_all_the_same() {
        assert!(Reply::ok("{}").applied && Reply::ok("{}").reset_mid_body().applied);
        assert!(!Reply::status(503).applied && !Reply::reset().applied);
        assert!(!Reply::silence(Duration::ZERO).applied && Reply::reset().applied(true).applied);
    }
}
