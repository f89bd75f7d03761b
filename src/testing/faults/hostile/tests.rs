use std::io::{Read, Write};

use super::*;
use crate::base::time::{Clock, System};

const LONG: Duration = Duration::from_secs(60);

fn send(server: &Hostile, request: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server.addr()).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    stream
}

fn get(server: &Hostile, path: &str) -> io::Result<String> {
    let mut answer = String::new();
    send(server, &format!("GET {path} HTTP/1.1\r\n\r\n")).read_to_string(&mut answer)?;
    Ok(answer)
}

fn until(server: &Hostile, requests: u64) {
    while server.count() < requests {
        std::thread::yield_now();
    }
}

#[test]
fn dropping_the_server_interrupts_silence_and_drips_at_once() {
    let replies = [Reply::silence(LONG), Reply::ok("{}").after(LONG), Reply::ok("{}").drip(LONG)];
    let server = Hostile::script(replies).unwrap();
    let clients: Vec<_> = (0..3).map(|_| send(&server, "GET / HTTP/1.1\r\n\r\n")).collect();
    let idle = TcpStream::connect(server.addr()).unwrap();
    until(&server, 3);
    let shared = Arc::clone(&server.shared);

    let before = System.moment();
    drop(server);
    let took = System.moment().since(before);
    assert!(took < Duration::from_secs(3), "{took:?}");
    // A thread that runs has a handle to what is shared; the last one may be about to let go of it.
    while Arc::strong_count(&shared) > 1 {
        assert!(System.moment().since(before) < Duration::from_secs(10), "a thread is left");
        std::thread::yield_now();
    }
    for mut client in clients.into_iter().chain([idle]) {
        let _closed_or_reset = client.read_to_end(&mut Vec::new());
    }
}

#[test]
fn a_reset_mid_body_is_a_reset_after_half_of_it() {
    let server = Hostile::script([Reply::ok("0123456789").reset_mid_body()]).unwrap();
    let mut client = send(&server, "POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody");
    let mut got = Vec::new();
    let error = client.read_to_end(&mut got).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    let got = String::from_utf8(got).unwrap();
    assert!(got.contains("Content-Length: 10\r\n") && got.ends_with("\r\n\r\n01234"), "{got:?}");
    assert_eq!(server.requests()[0].body, b"body", "the byte that was left unread is kept too");
}

#[test]
fn a_reset_comes_instead_of_an_answer() {
    let server = Hostile::script([Reply::reset()]).unwrap();
    assert_eq!(get(&server, "/").unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    assert_eq!(server.requests()[0].status, None);
}

#[test]
fn a_torn_answer_ends_in_order_and_too_early() {
    let server = Hostile::script([Reply::ok("0123456789").torn()]).unwrap();
    assert!(get(&server, "/").unwrap().ends_with("\r\n\r\n01234"));
}

#[test]
fn a_script_that_is_used_up_has_recovered() {
    let server = Hostile::script([Reply::status(500)]).unwrap();
    assert!(get(&server, "/").unwrap().starts_with("HTTP/1.1 500 \r\n"));
    assert!(get(&server, "/").unwrap().ends_with("\r\n\r\n{}"));
}

#[test]
fn each_path_has_its_own_script() {
    let server = Hostile::routes([("/a", vec![Reply::status(503)]), ("/b", vec![])]).unwrap();
    let status = |path: &str| get(&server, path).unwrap()[9..12].to_owned();
    assert_eq!([status("/b"), status("/a?page=2"), status("/a"), status("/c")], ["200", "503", "200", "404"]);
}

#[test]
fn the_same_seed_gives_the_same_replies_by_weight() {
    let statuses = |seed| {
        let weights = [(3, Reply::ok("{}")), (0, Reply::status(418)), (1, Reply::status(503))];
        let server = Hostile::seeded(seed, weights).unwrap();
        (0..100).for_each(|_| drop(get(&server, "/").unwrap()));
        server.requests().into_iter().filter_map(|request| request.status).collect::<Vec<_>>()
    };
    let first = statuses(7);
    assert_eq!(first, statuses(7));
    assert_ne!(first, statuses(8));
    let unwell = first.iter().filter(|status| **status == 503).count();
    assert!((15..35).contains(&unwell) && !first.contains(&418), "{first:?}");
}

#[test]
fn a_token_that_is_not_current_is_a_401_and_costs_no_reply() {
    let server = Hostile::script([Reply::ok("first"), Reply::ok("second")]).unwrap();
    let with = |token: &str| {
        let mut answer = String::new();
        let request = format!("GET / HTTP/1.1\r\nauthorization: Bearer {token}\r\n\r\n");
        send(&server, &request).read_to_string(&mut answer).unwrap();
        answer
    };
    server.token("a");
    assert!(with("a").ends_with("first"));
    server.token("b");
    assert!(with("a").starts_with("HTTP/1.1 401 "));
    assert!(with("b").ends_with("second"));
    let authorized: Vec<_> = server.requests().iter().map(|request| request.authorized).collect();
    assert_eq!(authorized, [true, false, true]);
}

#[test]
fn effects_are_counted_by_their_key() {
    let server = Hostile::script([Reply::ok("{}").torn(), Reply::status(503)]).unwrap();
    for key in ["k1", "k1", "k1", "k2"] {
        let mut client = send(&server, &format!("POST /pay HTTP/1.1\r\nIdempotency-Key: {key}\r\n\r\n"));
        client.read_to_end(&mut Vec::new()).unwrap();
    }
    let expected = [("k1".to_owned(), 2), ("k2".to_owned(), 1)];
    assert_eq!(
        server.effects(),
        BTreeMap::from(expected),
        "the first answer was lost, the second was a refusal"
    );
}

#[test]
fn a_closure_may_look_at_what_came_before_and_may_panic() {
    let server = Hostile::answering(|request| match &*request.path {
        "/panic" => panic!("on purpose"),
        _ => Reply::ok(request.number.to_string()),
    })
    .unwrap();
    assert!(get(&server, "/panic").unwrap().starts_with("HTTP/1.1 500 "));
    assert!(get(&server, "/").unwrap().ends_with("\r\n\r\n2"));
}

#[test]
fn what_is_no_request_is_closed_and_not_counted() {
    let server = Hostile::script([]).unwrap();
    let long = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(40_000));
    for wrong in [
        "\r\n\r\n",
        "GET / HTTP/1.1\r\nContent-Length: ten\r\n\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
        &long,
    ] {
        let mut got = Vec::new();
        let mut client = TcpStream::connect(server.addr()).unwrap();
        // It may be reset while it is still writing or reading.
        let _written = client.write_all(wrong.as_bytes());
        let _read = client.read_to_end(&mut got);
        assert!(got.is_empty(), "{wrong:.40}");
    }
    assert_eq!(server.count(), 0);
}

#[test]
fn more_connections_than_allowed_are_closed_at_once() {
    let server = Hostile::answering(|_| Reply::silence(LONG)).unwrap();
    let held: Vec<_> =
        (0..Hostile::CONNECTIONS_MAX).map(|_| send(&server, "GET / HTTP/1.1\r\n\r\n")).collect();
    until(&server, held.len() as u64);
    let mut one_more = TcpStream::connect(server.addr()).unwrap();
    assert_eq!(one_more.read_to_end(&mut Vec::new()).unwrap(), 0);
    assert_eq!(server.count(), held.len() as u64);
}

#[test]
fn the_refusing_address_refuses() {
    let server = Hostile::script([]).unwrap();
    let refused = TcpStream::connect(server.refusing_addr().unwrap()).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
}
