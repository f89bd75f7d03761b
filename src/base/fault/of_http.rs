//! What an HTTP answer means: RFC 9110, RFC 6585, RFC 8470, and what the large APIs do.

use std::borrow::Cow;
use std::time::Duration;

use http::header::{DATE, RETRY_AFTER};
use http::{HeaderMap, StatusCode};

use super::{Class, Classify, Fault, Reached};
use crate::base::retry_after::{http_date, retry_after, trim};
use crate::base::time::{Timestamp, between};

/// A number from here on is seconds since 1970 and not seconds from now, which would be more than 31 years.
const EPOCH_SECONDS: u64 = 1_000_000_000;
/// A number from here on is milliseconds since 1970; in seconds it would be in the year 5138.
const EPOCH_MILLIS: u64 = 100_000_000_000;

/// What an answer means, or `None` when it is no failure (1xx, 2xx and 3xx). Its code is `http.` and the status.
///
/// | status | class | reached | |
/// |---|---|---|---|
/// | 401 | unauthorized | no | "has not been applied because it lacks valid authentication credentials" |
/// | 403 with `Retry-After`, or with `X-RateLimit-Remaining: 0` | rate limited | no | how some APIs, GitHub's among them, say it |
/// | 408 | transient | maybe | the server gave up on the request, or, with some, on itself |
/// | 413 with `Retry-After` | transient | yes | the standard's word for a limit that is there for now |
/// | 421 | transient | no | the wrong server was asked; another connection may find the right one |
/// | 425 | transient | no | too early: the server did not risk a request that may be a replay |
/// | 429 | rate limited | no | refused before it was looked at |
/// | other 4xx | permanent | yes | 403 and 407 among them: trying again gives the same answer |
/// | 500 | transient | yes | it may have failed before, amid or after its work |
/// | 503 | transient | yes | overloaded or in maintenance; often with `Retry-After` |
/// | 507 | transient | yes | the disk that is full is the server's, so it is not fatal to us |
/// | 501, 505, 506, 508, 510 | permanent | yes | the server cannot do it, today or tomorrow |
/// | other 5xx | transient | maybe | 502, 504, 520 to 530: a gateway speaks, and knows not what the server behind it did |
/// | 600 and above | unknown | yes | no status |
///
/// "Reached: no" is the word that lets an [unsafe](crate::base::effect::Effect::Unsafe) operation be sent again, so it
/// is said only of answers that mean that nothing was done. A 503 is not one of them: it is also what a server says
/// whose own dependency failed half-way. For a server that is known to mean it, say so in a closure.
///
/// The wait that was asked for is kept for all of these that are transient or rate limited: `Retry-After`, measured
/// against the answer's own `Date` where there is one, else against `now`, the wall instant at which the answer came.
/// Where a rate limited answer has no `Retry-After` that can be read, `RateLimit-Reset` or `X-RateLimit-Reset` holds: a
/// number below 1,000,000,000 is seconds from then, one below 100,000,000,000 is seconds since 1970, any other is
/// milliseconds since 1970. The structured `RateLimit` field of the later drafts is not read.
///
/// ```
/// use http::{HeaderMap, HeaderValue, StatusCode, header::RETRY_AFTER};
/// use std::time::Duration;
/// use unattended::fault::{self, Class};
///
/// let now = chrono::DateTime::UNIX_EPOCH;
/// let mut headers = HeaderMap::new();
/// headers.insert(RETRY_AFTER, HeaderValue::from_static("20"));
/// let fault = fault::of_http(StatusCode::TOO_MANY_REQUESTS, &headers, now).unwrap();
/// assert_eq!((fault.class, &*fault.code), (Class::RateLimited, "http.429"));
/// assert_eq!(fault.retry_after, Some(Duration::from_secs(20)));
/// assert_eq!(fault::of_http(StatusCode::OK, &headers, now), None);
/// ```
#[must_use]
pub fn of_http(status: StatusCode, headers: &HeaderMap, now: Timestamp) -> Option<Fault> {
    if status.as_u16() < 400 {
        return None;
    }
    let asked = asked(headers, now);
    let mut fault = of_status(status);
    match status.as_u16() {
        403 if asked.is_some() || text(headers, "x-ratelimit-remaining") == Some("0") => {
            fault = with_code(Class::RateLimited, Reached::No, status);
        }
        413 if asked.is_some() => fault = with_code(Class::Transient, Reached::Yes, status),
        _ => {}
    }
    fault.retry_after = match fault.class {
        Class::Transient => asked,
        Class::RateLimited => asked.or_else(|| reset(headers, now)),
        Class::Unauthorized | Class::Permanent | Class::Unknown => None,
    };
    Some(fault)
}

impl Classify for StatusCode {
    /// As [`of_http`] without headers. Whoever calls a success an error gets a fault of no class.
    fn fault(&self) -> Fault {
        of_status(*self)
    }
}

fn of_status(status: StatusCode) -> Fault {
    let (class, reached) = match status.as_u16() {
        401 => (Class::Unauthorized, Reached::No),
        408 => (Class::Transient, Reached::Maybe),
        421 | 425 => (Class::Transient, Reached::No),
        429 => (Class::RateLimited, Reached::No),
        400..=499 | 501 | 505 | 506 | 508 | 510 => (Class::Permanent, Reached::Yes),
        500 | 503 | 507 => (Class::Transient, Reached::Yes),
        502..=599 => (Class::Transient, Reached::Maybe),
        _ => (Class::Unknown, Reached::Yes),
    };
    with_code(class, reached, status)
}

fn with_code(class: Class, reached: Reached, status: StatusCode) -> Fault {
    Fault {
        class,
        severity: class.severity(),
        code: Cow::Owned(format!("http.{}", status.as_u16())),
        retry_after: None,
        reached,
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().map(trim)
}

fn asked(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    retry_after(text(headers, RETRY_AFTER.as_str())?, text(headers, DATE.as_str()), now)
}

/// The names are those of the drafts before the structured field, and those that were in use before the drafts.
fn reset(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let digits = |value: &&str| !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    let value = ["ratelimit-reset", "x-ratelimit-reset"]
        .into_iter()
        .find_map(|name| text(headers, name).filter(digits))?;
    let number = value.parse().unwrap_or(u64::MAX);
    if number < EPOCH_SECONDS {
        return Some(Duration::from_secs(number));
    }
    let millis = if number < EPOCH_MILLIS { number.saturating_mul(1000) } else { number };
    let then = Timestamp::from_timestamp_millis(i64::try_from(millis).ok()?)?;
    let from = text(headers, DATE.as_str()).and_then(|date| http_date(date, now)).unwrap_or(now);
    Some(between(from, then))
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};
    use proptest::prelude::*;

    use super::*;
    use crate::base::fault::Severity;

    fn now() -> Timestamp {
        Timestamp::from_timestamp(1_700_000_000, 0).unwrap()
    }

    fn answer(status: u16, headers: &[(&str, &str)]) -> Fault {
        let map = headers.iter().map(|(name, value)| {
            (HeaderName::try_from(*name).unwrap(), HeaderValue::try_from(*value).unwrap())
        });
        of_http(StatusCode::from_u16(status).unwrap(), &map.collect(), now()).unwrap()
    }

    fn class(status: u16) -> (Class, Reached) {
        let fault = answer(status, &[]);
        assert_eq!(fault.code, format!("http.{status}"));
        assert_eq!(fault, StatusCode::from_u16(status).unwrap().fault());
        (fault.class, fault.reached)
    }

    #[test]
    fn an_answer_below_400_is_no_fault() {
        for status in [100, 200, 204, 301, 304, 399] {
            assert_eq!(of_http(StatusCode::from_u16(status).unwrap(), &HeaderMap::new(), now()), None);
        }
        assert_eq!(StatusCode::OK.fault().class, Class::Unknown);
    }

    #[test]
    fn a_server_that_means_later_is_transient() {
        for status in [408, 421, 425, 500, 502, 503, 504, 507, 522, 599] {
            assert_eq!(class(status).0, Class::Transient, "{status}");
        }
    }

    #[test]
    fn a_429_is_rate_limited_with_and_without_retry_after() {
        assert_eq!(class(429), (Class::RateLimited, Reached::No));
        assert_eq!(answer(429, &[]).retry_after, None);
        assert_eq!(answer(429, &[("retry-after", "7")]).retry_after, Some(Duration::from_secs(7)));
        assert_eq!(answer(429, &[("retry-after", "soon")]).retry_after, None);
    }

    #[test]
    fn a_503_with_retry_after_stays_transient_and_carries_the_wait() {
        let fault = answer(503, &[("retry-after", "120")]);
        assert_eq!((fault.class, fault.retry_after), (Class::Transient, Some(Duration::from_secs(120))));
    }

    #[test]
    fn retry_after_as_a_date_is_measured_against_the_answers_own_date() {
        let date = ("date", "Sun, 06 Nov 1994 08:49:00 GMT");
        let fault = answer(503, &[("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT"), date]);
        assert_eq!(fault.retry_after, Some(Duration::from_secs(37)));
        let fault = answer(503, &[("retry-after", "Tue, 14 Nov 2023 22:13:30 GMT")]);
        assert_eq!(fault.retry_after, Some(Duration::from_secs(10)), "against the instant that was given");
    }

    #[test]
    fn a_401_is_unauthorized_and_was_not_applied() {
        let fault = answer(401, &[]);
        assert_eq!((fault.class, fault.reached), (Class::Unauthorized, Reached::No));
        assert_eq!(fault.severity, Severity::Critical);
    }

    #[test]
    fn a_403_is_permanent() {
        assert_eq!(class(403), (Class::Permanent, Reached::Yes));
        assert_eq!(answer(403, &[("x-ratelimit-remaining", "12")]).class, Class::Permanent);
    }

    #[test]
    fn a_403_that_says_when_or_that_nothing_is_left_is_rate_limited() {
        let fault = answer(403, &[("retry-after", "60")]);
        assert_eq!((fault.class, fault.retry_after), (Class::RateLimited, Some(Duration::from_secs(60))));
        let spent = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1700000090")];
        let fault = answer(403, &spent);
        assert_eq!((fault.class, &*fault.code), (Class::RateLimited, "http.403"));
        assert_eq!(fault.retry_after, Some(Duration::from_secs(90)));
    }

    #[test]
    fn a_413_that_says_when_is_for_now() {
        assert_eq!(class(413).0, Class::Permanent);
        assert_eq!(answer(413, &[("retry-after", "5")]).class, Class::Transient);
    }

    #[test]
    fn a_full_disk_of_the_server_is_not_fatal_to_us() {
        assert_eq!(answer(507, &[]).severity, Severity::Recoverable);
    }

    #[test]
    fn other_4xx_and_what_a_server_cannot_do_are_permanent() {
        for status in [400, 402, 404, 405, 407, 409, 410, 415, 422, 451, 499, 501, 505, 508] {
            assert_eq!(class(status), (Class::Permanent, Reached::Yes), "{status}");
        }
    }

    #[test]
    fn only_answers_that_mean_that_nothing_was_done_did_not_reach() {
        let none: Vec<u16> = (400..1000).filter(|status| class(*status).1 == Reached::No).collect();
        assert_eq!(none, [401, 421, 425, 429]);
    }

    #[test]
    fn a_gateway_does_not_know_what_the_server_behind_it_did() {
        for status in [502, 504, 520, 524] {
            assert_eq!(class(status).1, Reached::Maybe, "{status}");
        }
    }

    #[test]
    fn a_reset_is_seconds_from_now_or_an_instant_as_its_size_says() {
        for (value, wait) in [("30", 30), ("1700000030", 30), ("1700000030000", 30), ("1600000000", 0)] {
            let fault = answer(429, &[("x-ratelimit-reset", value)]);
            assert_eq!(fault.retry_after, Some(Duration::from_secs(wait)), "{value}");
        }
        let both = [("retry-after", "5"), ("ratelimit-reset", "30")];
        assert_eq!(answer(429, &both).retry_after, Some(Duration::from_secs(5)), "Retry-After goes first");
        assert_eq!(answer(429, &[("ratelimit-reset", "-1")]).retry_after, None);
        assert_eq!(answer(503, &[("ratelimit-reset", "30")]).retry_after, None, "it speaks of limits");
    }

    proptest! {
        #[test]
        fn no_answer_makes_it_panic(
            status in 100u16..1000, date in "[ -~]{0,40}", after in "[ -~]{0,40}", reset in "[0-9]{0,25}",
        ) {
            let mut headers = HeaderMap::new();
            for (name, value) in [("date", date), ("retry-after", after), ("x-ratelimit-reset", reset)] {
                headers.insert(name, HeaderValue::try_from(value).unwrap());
            }
            let fault = of_http(StatusCode::from_u16(status).unwrap(), &headers, now());
            prop_assert_eq!(fault.is_none(), status < 400);
        }
    }
}
