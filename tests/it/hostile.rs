//! What a real client makes of a server that misbehaves, and what the classifier makes of that.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use serde_json::Value;
use unattended::effect::Effect;
use unattended::fault::{
    Class, Classify, Fault, Overrides, Panicked, Reached, of_chain, of_http, of_response,
};
use unattended::retry::{self, Stopped};
use unattended::testing::faults::{Hostile, Reply};
use unattended::testing::sim::Sim;
use unattended::time::{Clock, System, Timestamp};

/// What a client waits for silence, which lasts much longer.
const SHORT: Duration = Duration::from_millis(200);
/// What it waits for what comes at once, on however busy a machine.
const LONG: Duration = Duration::from_secs(30);
const PAGE: &str = r#"{"page": 1, "items": ["a", "b"]}"#;

fn blocking() -> reqwest::blocking::Client {
    reqwest::blocking::Client::builder().no_proxy().timeout(LONG).build().unwrap()
}

fn told(fault: &Fault) -> (&str, Class, Reached) {
    (&fault.code, fault.class, fault.reached)
}

/// Asks for JSON, as programs do: the answer's status first, then its body.
async fn page(url: &str, limit: Duration) -> Result<Value, Fault> {
    let client = reqwest::Client::builder().no_proxy().timeout(limit).build().unwrap();
    let response = client.get(url).send().await.map_err(|error| error.fault())?;
    match of_response(&response, System.now().wall) {
        Some(fault) => Err(fault),
        None => response.json().await.map_err(|error| error.fault()),
    }
}

fn page_blocking(url: &str, limit: Duration) -> Result<Value, Fault> {
    let response = blocking().get(url).timeout(limit).send().map_err(|error| error.fault())?;
    match of_http(response.status(), response.headers(), System.now().wall) {
        Some(fault) => Err(fault),
        None => response.json().map_err(|error| error.fault()),
    }
}

/// The fault that both clients meet.
fn met(reply: &Reply) -> Fault {
    met_within(LONG, reply)
}

fn met_within(limit: Duration, reply: &Reply) -> Fault {
    let server = Hostile::script([reply.clone(), reply.clone()]).unwrap();
    met_at(&server.url("/pages"), limit)
}

fn met_at(url: &str, limit: Duration) -> Fault {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let fault = runtime.block_on(page(url, limit)).unwrap_err();
    assert_eq!(page_blocking(url, limit).unwrap_err(), fault, "both clients say the same of {url}");
    fault
}

#[test]
fn a_good_answer_is_no_fault() {
    let server = Hostile::script([Reply::ok(PAGE)]).unwrap();
    assert_eq!(page_blocking(&server.url("/pages"), LONG).unwrap()["page"], 1);
}

#[test]
fn a_429_is_rate_limited_with_and_without_its_wait() {
    let fault = met(&Reply::status(429));
    assert_eq!(told(&fault), ("http.429", Class::RateLimited, Reached::No));
    assert_eq!(fault.retry_after, None);
    let seconds = met(&Reply::status(429).retry_after(Duration::from_secs(7)));
    assert_eq!(seconds.retry_after, Some(Duration::from_secs(7)));
    let at = |seconds: i64| Timestamp::from_timestamp(1_600_000_000 + seconds, 0).unwrap();
    let date = met(&Reply::status(429).dated(at(0)).retry_after_date(at(90)));
    assert_eq!(date.retry_after, Some(Duration::from_secs(90)), "by the server's own clock, however wrong");
}

#[test]
fn a_5xx_that_means_later_is_transient() {
    for (status, reached) in [(500, Reached::Yes), (502, Reached::Maybe), (503, Reached::Yes)] {
        let fault = met(&Reply::status(status));
        assert_eq!((fault.class, fault.reached), (Class::Transient, reached), "{status}");
    }
    let fault = met(&Reply::status(503).retry_after(Duration::from_secs(120)));
    assert_eq!((fault.class, fault.retry_after), (Class::Transient, Some(Duration::from_secs(120))));
}

#[test]
fn an_expired_token_is_unauthorized_until_it_is_the_current_one() {
    let server = Hostile::script([]).unwrap();
    server.token("second");
    let with = |token: &str| {
        let response = blocking().get(server.url("/")).bearer_auth(token).send().unwrap();
        of_http(response.status(), response.headers(), System.now().wall)
    };
    assert_eq!(told(&with("first").unwrap()), ("http.401", Class::Unauthorized, Reached::No));
    assert_eq!(with("second"), None);
    server.token("third");
    assert_eq!(with("second").unwrap().class, Class::Unauthorized);
}

#[test]
fn silence_is_a_time_out_that_may_have_arrived() {
    assert_eq!(
        told(&met_within(SHORT, &Reply::silence(LONG))),
        ("reqwest.timed_out", Class::Transient, Reached::Maybe)
    );
}

#[test]
fn a_slow_drip_is_a_time_out_amid_the_body() {
    let fault = met_within(SHORT, &Reply::ok(PAGE).drip(SHORT));
    assert_eq!(told(&fault), ("reqwest.timed_out", Class::Transient, Reached::Maybe));
}

#[test]
fn a_body_that_is_reset_or_torn_is_transient_and_not_known_to_be_done() {
    for reply in [Reply::ok(PAGE).reset_mid_body(), Reply::ok(PAGE).torn()] {
        assert_eq!(told(&met(&reply)), ("reqwest.body", Class::Transient, Reached::Maybe), "{reply:?}");
    }
}

#[test]
fn a_reset_instead_of_an_answer_is_transient_and_may_have_arrived() {
    for reply in [Reply::reset(), Reply::silence(Duration::ZERO), Reply::garbage()] {
        assert_eq!(told(&met(&reply)), ("reqwest.request", Class::Transient, Reached::Maybe), "{reply:?}");
    }
}

#[test]
fn a_whole_body_that_is_not_what_was_expected_is_permanent() {
    for reply in [Reply::wrong_json(), Reply::html(), Reply::ok("")] {
        assert_eq!(told(&met(&reply)), ("reqwest.decode", Class::Permanent, Reached::Yes), "{reply:?}");
    }
}

#[test]
fn a_refused_connection_is_transient_and_did_not_arrive() {
    let server = Hostile::script([]).unwrap();
    let fault = met_at(&format!("http://{}/", server.refusing_addr().unwrap()), LONG);
    assert_eq!(told(&fault), ("reqwest.refused", Class::Transient, Reached::No));
    assert_eq!(server.count(), 0);
}

#[test]
fn a_name_that_is_not_found_is_transient_and_did_not_arrive() {
    let fault = blocking().get(Hostile::unresolvable("/")).send().unwrap_err().fault();
    assert_eq!(told(&fault), ("reqwest.dns", Class::Transient, Reached::No));
}

/// A port where connections are neither taken nor refused: its queue is full.
fn full() -> (TcpListener, Vec<TcpStream>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let addr: SocketAddr = listener.local_addr().unwrap();
    let waiting = std::iter::repeat_with(|| TcpStream::connect_timeout(&addr, SHORT).ok());
    let waiting = waiting.take(5000).map_while(|stream| stream).collect();
    (listener, waiting)
}

#[cfg(target_os = "linux")]
#[test]
fn no_connection_in_time_is_a_time_out_that_did_not_arrive() {
    let (listener, _waiting) = full();
    let client = reqwest::blocking::Client::builder().no_proxy().connect_timeout(SHORT).timeout(LONG);
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let fault = client.build().unwrap().get(url).send().unwrap_err().fault();
    assert_eq!(told(&fault), ("reqwest.connect.timed_out", Class::Transient, Reached::No));
}

#[test]
fn a_url_that_cannot_be_asked_for_is_permanent() {
    // Without a TLS feature of reqwest there is no https.
    let fault = blocking().get("https://127.0.0.1:1/").send().unwrap_err().fault();
    assert_eq!(told(&fault), ("reqwest.invalid_url", Class::Permanent, Reached::No));
}

#[test]
fn redirects_without_end_are_permanent() {
    let server = Hostile::answering(|_| Reply::status(302).header("Location", "/again")).unwrap();
    assert_eq!(told(&met_at(&server.url("/"), LONG)), ("reqwest.redirect", Class::Permanent, Reached::Yes));
}

#[test]
fn error_for_status_says_the_status() {
    let server = Hostile::script([Reply::status(422)]).unwrap();
    let response = blocking().get(server.url("/")).send().unwrap();
    let fault = response.error_for_status().unwrap_err().fault();
    assert_eq!(told(&fault), ("http.422", Class::Permanent, Reached::Yes));
}

#[test]
fn an_error_of_the_client_is_found_under_what_was_built_on_it() {
    let server = Hostile::script([Reply::ok(PAGE).torn()]).unwrap();
    let body = blocking().get(server.url("/")).send().unwrap().bytes().unwrap_err();
    let boxed: Box<dyn std::error::Error + Send + Sync> = Box::new(std::io::Error::other(body));
    assert_eq!(boxed.fault().code, "reqwest.body");
    assert_eq!(of_chain(&Panicked::of(&"odd")).code, "fault.panicked");
    #[cfg(feature = "anyhow")]
    {
        let refused = blocking().get(format!("http://{}/", server.refusing_addr().unwrap())).send();
        let error = anyhow::Context::context(refused, "the nightly copy").unwrap_err();
        assert_eq!(error.fault().code, "reqwest.refused");
    }
}

#[test]
fn a_dependency_may_mean_something_else_by_its_answers() {
    let meant = Overrides::new().class("http.403", Class::RateLimited);
    let fault = meant.apply(met(&Reply::status(403)));
    assert_eq!(told(&fault), ("http.403", Class::RateLimited, Reached::Yes));
}

/// Pays under a policy, with the waits on a simulated clock and the requests real.
fn pay(server: &Hostile, effect: Effect) -> Result<(), Box<Stopped<Fault>>> {
    let sim = Sim::new(Timestamp::UNIX_EPOCH, 1);
    let policy = retry::Policy::service().effect(effect);
    let paid = policy.on(&sim).seed(7).run_blocking(|_attempt| {
        let sent = blocking().post(server.url("/pay")).header("Idempotency-Key", "invoice-7").send();
        let response = sent.map_err(|error| error.fault())?;
        match of_http(response.status(), response.headers(), sim.now().wall) {
            Some(fault) => Err(fault),
            None => response.bytes().map(drop).map_err(|error| error.fault()),
        }
    });
    paid.map_err(Box::new)
}

#[test]
fn a_lost_answer_is_sent_again_with_its_key_and_never_where_that_is_unsafe() {
    let lost = || Hostile::script([Reply::ok(PAGE).reset_mid_body()]).unwrap();
    let server = lost();
    pay(&server, Effect::Idempotent).unwrap();
    assert_eq!(server.effects()["invoice-7"], 2, "the same key: the server can tell");

    let server = lost();
    let stopped = pay(&server, Effect::Unsafe).unwrap_err();
    assert_eq!(stopped.code(), "retry.may_have_arrived");
    assert_eq!(server.effects()["invoice-7"], 1);
}

#[test]
fn what_certainly_did_nothing_is_sent_again_even_where_that_is_unsafe() {
    let server = Hostile::script([Reply::status(429), Reply::status(425)]).unwrap();
    pay(&server, Effect::Unsafe).unwrap();
    assert_eq!((server.count(), server.effects()["invoice-7"]), (3, 1));
}
