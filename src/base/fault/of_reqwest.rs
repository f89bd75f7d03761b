//! What an error or an answer of `reqwest` means.

use std::error::Error;
use std::io;

use super::chain::links;
use super::{Classify, Fault, Reached, of_http};
use crate::base::time::Timestamp;

/// What a response means, or `None` when it is no failure: [`of_http`] of its status and headers. `now` is the wall
/// instant at which it came.
///
/// `Response::error_for_status` drops the headers, and with them how long the server asked us to wait; ask this first.
/// For `reqwest::blocking::Response`, call `of_http(response.status(), response.headers(), now)`.
#[must_use]
pub fn of_response(response: &reqwest::Response, now: Timestamp) -> Option<Fault> {
    of_http(response.status(), response.headers(), now)
}

/// | what happened | code | class | reached |
/// |---|---|---|---|
/// | no connection within the time for it | `reqwest.connect.timed_out` | transient | no |
/// | the whole time is over | `reqwest.timed_out` | transient | maybe |
/// | connection refused | `reqwest.refused` | transient | no |
/// | the name was not found | `reqwest.dns` | transient | no |
/// | the certificate is not accepted | `reqwest.certificate` | permanent | no |
/// | what answers does not speak TLS as we do | `reqwest.tls` | permanent | no |
/// | a URL that cannot be asked for | `reqwest.invalid_url` | permanent | no |
/// | no connection for another reason | `reqwest.connect` | transient | no |
/// | closed or reset before the answer's head was whole, or what came is no HTTP | `reqwest.request` | transient | maybe |
/// | closed or reset amid the answer's body | `reqwest.body` | transient | maybe |
/// | the whole body came and is not what was expected | `reqwest.decode` | permanent | yes |
/// | `error_for_status` | as [`of_http`] without headers | | |
/// | too many redirects | `reqwest.redirect` | permanent | yes |
/// | the request or the client cannot be built | `reqwest.builder` | permanent | no |
/// | anything else | `reqwest.other` | unknown | maybe |
///
/// Whether a name is not found for now or for ever is nothing that a resolver says reliably, so that is transient. That
/// it was the name, the certificate or the URL is read off the texts of the sources, for their types are private; an
/// unknown wording gives `reqwest.connect` instead.
impl Classify for reqwest::Error {
    fn fault(&self) -> Fault {
        if let Some(status) = self.status() {
            return status.fault();
        }
        match (self.is_connect(), self.is_timeout()) {
            (true, true) => return Fault::transient("reqwest.connect.timed_out").reached(Reached::No),
            (true, false) => return of_connecting(self),
            (false, true) => return Fault::transient("reqwest.timed_out"),
            (false, false) => {}
        }
        if self.is_builder() {
            Fault::permanent("reqwest.builder").reached(Reached::No)
        } else if self.is_redirect() {
            Fault::permanent("reqwest.redirect")
        } else if self.is_body() || self.is_decode() {
            of_body(self)
        } else if self.is_request() {
            Fault::transient("reqwest.request")
        } else {
            Fault { code: "reqwest.other".into(), ..Fault::unknown() }
        }
    }
}

/// Nothing was sent yet, whatever went wrong.
fn of_connecting(error: &(dyn Error + 'static)) -> Fault {
    let fault = links(error).find_map(|link| {
        let text = link.to_string();
        if text.starts_with("invalid URL") {
            return Some(Fault::permanent("reqwest.invalid_url"));
        }
        if text.to_ascii_lowercase().contains("certificate") {
            return Some(Fault::permanent("reqwest.certificate"));
        }
        if text == "dns error" || text == "error resolving DNS" {
            return Some(Fault::transient("reqwest.dns"));
        }
        match link.downcast_ref::<io::Error>()?.kind() {
            io::ErrorKind::ConnectionRefused => Some(Fault::transient("reqwest.refused")),
            // What the TLS libraries give for a handshake that went wrong.
            io::ErrorKind::InvalidData => Some(Fault::permanent("reqwest.tls")),
            _ => None,
        }
    });
    fault.unwrap_or_else(|| Fault::transient("reqwest.connect")).reached(Reached::No)
}

/// A body that did not come whole, or one that is whole and wrong.
///
/// Only its beginning came, so nobody knows whether its end would have said that it was done: that is `Maybe`.
fn of_body(error: &reqwest::Error) -> Fault {
    let torn = Fault::transient("reqwest.body");
    let wrong = Fault::permanent("reqwest.decode");
    let sources = || links(error).skip(1);
    if let Some(io) = sources().find_map(|link| link.downcast_ref::<io::Error>()) {
        // Of these kinds are the errors of decompression; those of the connection are of others.
        let content = matches!(io.kind(), io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput);
        return if content { wrong } else { torn };
    }
    let within =
        sources().any(|link| link.downcast_ref::<reqwest::Error>().is_some_and(reqwest::Error::is_body));
    if error.is_body() || within { torn } else { wrong }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::fault::Class;

    #[derive(Debug, thiserror::Error)]
    #[error("{said}")]
    struct Link {
        said: &'static str,
        source: io::Error,
    }

    fn connecting(said: &'static str, kind: io::ErrorKind) -> (Class, String) {
        let fault = of_connecting(&Link { said, source: kind.into() });
        assert_eq!(fault.reached, Reached::No);
        (fault.class, fault.code.into_owned())
    }

    #[test]
    fn a_certificate_that_is_not_accepted_is_permanent() {
        // The words of rustls and of OpenSSL.
        for said in ["invalid peer certificate: Expired", "certificate verify failed (self-signed)"] {
            let (class, code) = connecting(said, io::ErrorKind::Other);
            assert_eq!((class, &*code), (Class::Permanent, "reqwest.certificate"), "{said}");
        }
        let within = io::Error::new(io::ErrorKind::InvalidData, "invalid peer certificate: UnknownIssuer");
        assert_eq!(of_connecting(&Link { said: "client error", source: within }).code, "reqwest.certificate");
    }

    #[test]
    fn a_handshake_that_cannot_be_is_permanent() {
        assert_eq!(
            connecting("client error (Connect)", io::ErrorKind::InvalidData),
            (Class::Permanent, String::from("reqwest.tls"))
        );
    }

    #[test]
    fn a_connection_that_is_not_made_for_another_reason_is_transient() {
        let (class, code) = connecting("tcp connect error", io::ErrorKind::NetworkUnreachable);
        assert_eq!((class, &*code), (Class::Transient, "reqwest.connect"));
    }

    #[test]
    fn a_request_that_cannot_be_built_is_permanent_and_was_not_sent() {
        let error = reqwest::Client::new().get("not a url").build().unwrap_err();
        let fault = error.fault();
        assert_eq!((fault.class, fault.reached), (Class::Permanent, Reached::No));
        assert_eq!(fault.code, "reqwest.builder");
    }

    #[test]
    fn an_error_of_reqwest_is_found_in_a_chain() {
        let error = reqwest::Client::new().get("not a url").build().unwrap_err();
        let wrapped = io::Error::other(error);
        assert_eq!(crate::base::fault::of_chain(&wrapped).code, "reqwest.builder");
    }
}
