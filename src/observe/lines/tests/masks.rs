//! What a line's kind is.

use proptest::prelude::{any, prop, prop_assert, prop_assert_eq, proptest};

use crate::decide::baseline::Severity;
use crate::observe::lines::{Masker, each};

fn masked(line: &str) -> String {
    let mut key = Vec::new();
    Masker::new().mask(line.as_bytes(), &mut key);
    String::from_utf8(key).unwrap()
}

#[test]
fn the_headers_of_common_formats_are_read() {
    for (line, kind) in [
        // Apache, old and new.
        ("[Sun Dec 04 04:47:44 2005] [notice] worker.init() ok", "|NOTICE|worker.init() ok"),
        (
            "[Sun Dec 04 04:47:44 2005] [error] mod_x child 7 in error state 6",
            "|ERROR|mod_x child * in error state *",
        ),
        (
            "[Thu Mar 05 10:11:12.123 2026] [core:warn] [pid 7:tid 99] [client 10.1.2.3:99] AH00124: too many redirects",
            "core|WARN|*: too many redirects",
        ),
        // log4j as Hadoop and ZooKeeper write it.
        (
            "2026-01-18 18:01:47,978 INFO [main] org.x.Master: Created job_14_0020",
            "org.x.Master|INFO|Created *",
        ),
        (
            "2026-07-29 19:04:12,394 - WARN  [Worker:188:Manager$Worker@688] - worker leaving",
            "Manager$Worker|WARN|worker leaving",
        ),
        (
            "081109 203615 148 INFO dfs.Node$Responder: Responder 1 for block blk_38 ends",
            "dfs.Node$Responder|INFO|Responder * for block * ends",
        ),
        // syslog, RFC 3164 and 5424.
        (
            "Jun 14 15:16:01 host sshd(pam)[19939]: check pass; user unknown",
            "sshd(pam)|-|check pass; user unknown",
        ),
        ("Dec 10 06:55:46 host sshd[24200]: Invalid user x from 10.0.0.1", "sshd|-|Invalid user x from *"),
        ("<34>Oct 11 22:14:15 host su: failed", "su|FATAL|failed"),
        ("<165>1 2026-10-11T22:14:15.003Z host app: started", "app|NOTICE|started"),
        // What programs write by themselves.
        ("2026-10-11T22:14:15.003Z  INFO my_crate::job: done in 12ms", "my_crate::job|INFO|done in *"),
        ("12:14:15 ERROR disk full", "|ERROR|disk full"),
        ("ERROR: disk full", "|ERROR|disk full"),
        ("time=\"2026-10-11T22:14:15Z\" level=warning msg=\"slow\"", "|WARN|msg=\"slow\""),
        ("1760000000 warn [worker] pool: 3 left", "pool|WARN|* left"),
        // What only looks like a header is the message.
        ("Error reading the file", "|-|Error reading the file"),
        ("May the force be with you", "|-|May the force be with you"),
        ("[main] started", "|-|[main] started"),
        ("note: not a component", "|-|note: not a component"),
        ("", "|-|"),
        ("   \r", "|-|"),
    ] {
        assert_eq!(masked(line), kind, "{line}");
    }
}

#[test]
fn what_changes_from_line_to_line_is_masked() {
    for (message, kind) in [
        ("took 12 ms", "took * ms"),
        ("id 550e8400-e29b-41d4-a716-446655440000 ok", "id * ok"),
        ("commit deadbeefcafe is a facade", "commit * is a facade"),
        ("from 173.234.31.186 port 38926", "from * port *"),
        ("peer 0:0:0:0:0:0:0:0:2181 left", "peer * left"),
        ("peer ::1 left", "peer ::* left"),
        ("blocks 1, 2, 3, 4 and 5", "blocks * and *"),
        ("blocks 1 and 5", "blocks * and *"),
        ("at 18:01:47,978 on 2026-01-02", "at * on *"),
        ("init ok /etc/httpd/conf/workers2.properties", "init ok /etc/*"),
        ("GET /index.html", "GET *"),
        ("see http://host.name/a/b", "see http://*"),
        ("read src/main.rs / lib.rs", "read src/* / lib.rs"),
        ("rhost=ns.host.net user=root uid=0", "rhost=* user=root uid=*"),
        ("mail to someone@example.org failed", "mail to * failed"),
        ("class org.x.Manager$Worker failed", "class org.x.Manager$Worker failed"),
        ("(a) [b] {c} <d> \"e\"", "(a) [b] {c} <d> \"e\""),
        ("no number at all", "no number at all"),
    ] {
        assert_eq!(
            masked(&format!("12:00:00 {message}")),
            format!("|-|{message}").replace(message, kind),
            "{message}"
        );
    }
}

#[test]
fn lines_that_differ_in_what_changes_are_one_kind() {
    let line = |n: u64| {
        format!(
            "Dec 10 06:{:02}:46 host{n} sshd[{n}]: Failed for 10.0.{}.{n} port {} in /var/log/{n}.log",
            n % 60,
            n % 7,
            n * 37
        )
    };
    for n in 1..500 {
        assert_eq!(masked(&line(n)), masked(&line(0)));
    }
}

#[test]
fn a_line_that_is_too_long_is_cut_and_says_so() {
    let (masker, mut key) = (Masker::new().line_max(100), Vec::new());
    let line = format!("12:00:00 ERROR {}", "word ".repeat(100));
    let masked = masker.mask(line.as_bytes(), &mut key);
    assert_eq!((masked.severity, masked.cut), (Severity::Error, line.len() - 1 - 100));
    assert!(key.len() <= 120);
}

#[test]
fn text_need_not_be_utf_8() {
    let mut key = Vec::new();
    let masked = Masker::new().mask(b"12:00:00 WARN caf\xe9 \xff\xfe7 \x00 done", &mut key);
    assert_eq!((masked.severity, &key[..]), (Severity::Warn, &b"|WARN|caf\xe9 * \x00 done"[..]));
}

#[test]
fn a_text_is_cut_into_its_lines() {
    let lines = |text: &'static str| {
        let mut lines = Vec::new();
        each(text.as_bytes(), |line| lines.push(std::str::from_utf8(line).unwrap()));
        lines
    };
    assert_eq!(lines("a\n\nb"), ["a", "", "b"]);
    assert_eq!(lines("a\nb\n"), ["a", "b"]);
    assert_eq!(lines(""), [""; 0]);
}

proptest! {
    #[test]
    fn no_bytes_panic_and_no_mask_is_much_longer_than_its_line(
        line in prop::collection::vec(any::<u8>(), 0..300),
        text in "(\\[|<|[A-Z][a-z]{2} |[0-9]{1,4}[-:]?|INFO |ERROR:|level=|=|/|@|\\]|>| |x){0,40}",
    ) {
        let masker = Masker::new();
        for line in [&line[..], text.as_bytes()] {
            let mut key = Vec::new();
            masker.mask(line, &mut key);
            prop_assert!(key.len() <= line.len() + 16, "{line:?}");
            let capacity = key.capacity();
            let first = key.clone();
            masker.mask(line, &mut key);
            prop_assert_eq!(&key, &first);
            prop_assert!(key.capacity() == capacity, "nothing is allocated the second time");
            // No digit of the message is left.
            let message = key.splitn(3, |byte| *byte == b'|').last().unwrap();
            if line.is_ascii() && !line.contains(&b'|') {
                prop_assert!(!message.iter().any(u8::is_ascii_digit), "{}", String::from_utf8_lossy(&key));
            }
        }
    }
}
