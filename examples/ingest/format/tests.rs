use proptest::prelude::*;

use super::*;

/// time | level | component | head | message, as one line.
fn shown(format: Format, line: &str) -> String {
    let row = format.parse(line);
    format!(
        "{} | {} | {} | {} | {}",
        row.at.as_ref().map_or("-", At::as_str),
        row.level.map_or("-", Level::as_str),
        row.component.as_deref().unwrap_or("-"),
        row.head,
        row.message
    )
}

fn check(format: Format, cases: &[(&str, &str)]) {
    for (line, expected) in cases {
        assert_eq!(shown(format, line), *expected, "{line}");
        let mut detector = Detector::default();
        detector.see(line);
        assert_eq!(detector.format(), format, "{line}");
    }
}

fn whole(format: Format, lines: &[&str]) {
    for line in lines {
        assert_eq!(format.parse(line), Row::whole(line), "{line}");
    }
}

#[test]
fn syslog() {
    check(
        Format::Syslog,
        &[
            (
                "Jun 14 15:16:01 combo sshd(pam_unix)[19939]: authentication failure; logname= uid=0",
                "Jun 14 15:16:01 | - | sshd(pam_unix) | combo sshd(pam_unix)[19939] | authentication failure; logname= uid=0",
            ),
            (
                "Jul  4 03:02:01 combo kernel: Linux: 1",
                "Jul  4 03:02:01 | - | kernel | combo kernel | Linux: 1",
            ),
            (
                "Jun 19 04:09:11 combo syslogd 1.4.1: restart.",
                "Jun 19 04:09:11 | - | - | combo | syslogd 1.4.1: restart.",
            ),
            ("Jun 14 15:16:01 combo  -- MARK --", "Jun 14 15:16:01 | - | - | combo | -- MARK --"),
            ("Jun 14 15:16:01", "Jun 14 15:16:01 | - | - |  | "),
        ],
    );
    whole(
        Format::Syslog,
        &[
            "",
            "Jun 32 15:16:01 a b: c",
            "Jun 14 24:16:01 a b: c",
            "Jun 14 15:16:012 a",
            "Foo 14 15:16:01 a",
            "Jün 14 15:16:0",
        ],
    );
}

#[test]
fn iso_with_level_and_component() {
    check(
        Format::Iso,
        &[
            (
                "2015-10-18 18:01:47,978 INFO [main] org.apache.hadoop.mapreduce.v2.app.MRAppMaster: Created: 1",
                "2015-10-18T18:01:47.978 | info | org.apache.hadoop.mapreduce.v2.app.MRAppMaster | \
                 INFO [main] org.apache.hadoop.mapreduce.v2.app.MRAppMaster | Created: 1",
            ),
            (
                "2015-07-29 17:41:44,747 - WARN  [QuorumPeer[myid=1]/0:0:0:0:0:0:0:0:2181:FastLeaderElection@774] - Notification - 2",
                "2015-07-29T17:41:44.747 | warning | FastLeaderElection | \
                 WARN  [QuorumPeer[myid=1]/0:0:0:0:0:0:0:0:2181:FastLeaderElection@774] | Notification - 2",
            ),
            (
                "2015-08-10 18:12:34,004 - INFO  [ProcessThread(sid:3 cport:-1)::PrepRequestProcessor@476] - Processed",
                "2015-08-10T18:12:34.004 | info | PrepRequestProcessor | \
                 INFO  [ProcessThread(sid:3 cport:-1)::PrepRequestProcessor@476] | Processed",
            ),
            (
                "2024-03-01 10:00:00.123 [main] ERROR c.f.Bar - boom",
                "2024-03-01T10:00:00.123 | error | c.f.Bar | [main] ERROR c.f.Bar | boom",
            ),
            (
                "2024-03-01T10:00:00.123456Z  INFO my_crate::jobs: started n=3",
                "2024-03-01T10:00:00.123456Z | info | my_crate::jobs | INFO my_crate::jobs | started n=3",
            ),
            (
                "[2024-03-01T10:00:00Z DEBUG my_crate::jobs] started",
                "2024-03-01T10:00:00Z | debug | my_crate::jobs | DEBUG my_crate::jobs | started",
            ),
            ("[2024-03-01 10:00:00] plain words", "2024-03-01T10:00:00 | - | - |  | plain words"),
            (
                "2024-03-01 10:00:00,001 - app.db - CRITICAL - gone",
                "2024-03-01T10:00:00.001 | critical | app.db | app.db - CRITICAL | gone",
            ),
            (
                "2024-03-01 10:00:00.001 UTC [812] LOG:  database system is ready",
                "2024-03-01T10:00:00.001Z | info | - | [812] LOG | database system is ready",
            ),
            (
                "2024-03-01 10:00:00.001 UTC [812] joe@shop ERROR:  syntax error at or near \"x\"",
                "2024-03-01T10:00:00.001Z | error | joe@shop | [812] joe@shop ERROR | syntax error at or near \"x\"",
            ),
            (
                "2024-03-01 10:00:00.001 UTC [812] joe@shop STATEMENT:  select x",
                "2024-03-01T10:00:00.001Z | - | joe@shop | [812] joe@shop STATEMENT | select x",
            ),
            (
                "2024-03-01T10:00:00.5+01:00 web1 sshd[7]: Accepted: x",
                "2024-03-01T10:00:00.5+01:00 | - | sshd | web1 sshd[7] | Accepted: x",
            ),
            (
                "2025-06-24 14:36:25 status half-configured libsystemd0:amd64 252.36",
                "2025-06-24T14:36:25 | - | - |  | status half-configured libsystemd0:amd64 252.36",
            ),
            ("2024/03/01 10:00:00 listening: 80", "2024-03-01T10:00:00 | - | - |  | listening: 80"),
            ("2024-03-01 10:00:00 [WARN] low: 3", "2024-03-01T10:00:00 | warning | low | [WARN] low | 3"),
            ("2024-03-01 10:00:00 error in line", "2024-03-01T10:00:00 | - | - |  | error in line"),
            ("2024-03-01 10:00:00 error: in line", "2024-03-01T10:00:00 | error | - | error | in line"),
            ("2024-03-01 10:00:00 -0800 INFO x", "2024-03-01T10:00:00-08:00 | info | - | INFO | x"),
            ("2024-03-01 10:00:00", "2024-03-01T10:00:00 | - | - |  | "),
        ],
    );
    whole(
        Format::Iso,
        &[
            "\tat org.apache.hadoop.ipc.Client.call(Client.java:1480)",
            "Caused by: java.net.NoRouteToHostException",
            "2024-13-01 10:00:00 x",
            "2024-03-01 10:61:00 x",
            "2024-03-01 10:00:00x",
            "2024-03-01 10:00:00.1234567890 x",
            "2024-03/01 10:00:00 x",
            "[2024-03-01 10:00:00 x",
            "2024-03-01 10:00",
            "",
        ],
    );
}

#[test]
fn apache() {
    check(
        Format::Apache,
        &[
            (
                "[Sun Dec 04 04:47:44 2005] [notice] workerEnv.init() ok /etc/httpd/conf/workers2.properties",
                "2005-12-04T04:47:44 | notice | - | [notice] | workerEnv.init() ok /etc/httpd/conf/workers2.properties",
            ),
            (
                "[Fri Sep  9 10:42:29.902022 2011] [core:error] [pid 35708:tid 4328636416] [client 72.15.99.187] no file",
                "2011-09-09T10:42:29.902022 | error | core | [core:error] [pid 35708:tid 4328636416] | [client 72.15.99.187] no file",
            ),
            ("[Sun Dec 04 04:47:44 2005] child: x", "2005-12-04T04:47:44 | - | - |  | child: x"),
        ],
    );
    whole(Format::Apache, &["script not found", "[notice] x", "[Sun Dec 04 04:47:44 05] [notice] x", "[Sun"]);
}

#[test]
fn build() {
    check(
        Format::Build,
        &[
            ("warning: unused variable: `x`", "- | warning | - | warning | unused variable: `x`"),
            ("error[E0425]: cannot find value", "- | error | E0425 | error[E0425] | cannot find value"),
            ("   Compiling serde v1.0.229", "- | info | - |  | Compiling serde v1.0.229"),
            ("    Finished `dev` profile in 1s", "- | info | - |  | Finished `dev` profile in 1s"),
            (
                "src/main.c:12:5: warning: unused variable [-Wunused]",
                "- | warning | src/main.c | src/main.c:12:5: warning | unused variable [-Wunused]",
            ),
            (
                "a.c:1:10: fatal error: x.h: No such file",
                "- | critical | a.c | a.c:1:10: fatal error | x.h: No such file",
            ),
            ("dpkg: warning: downgrading x", "- | warning | dpkg | dpkg: warning | downgrading x"),
            (
                "make[1]: *** [Makefile:3: all] Error 2",
                "- | error | make | make[1]: *** | [Makefile:3: all] Error 2",
            ),
            ("npm ERR! code E404", "- | error | npm | npm ERR! | code E404"),
            ("npm warn deprecated a@1: no", "- | warning | npm | npm warn | deprecated a@1: no"),
            ("WARNING: Running pip as root", "- | warning | - | WARNING | Running pip as root"),
            ("help: consider this", "- | info | - | help | consider this"),
        ],
    );
    whole(
        Format::Build,
        &[
            "  --> src/main.rs:2:9",
            "   |",
            "2 |     let x = 1;",
            "Collecting requests",
            "an error: x",
            "",
            "            x",
        ],
    );
}

#[test]
fn json() {
    check(
        Format::Json,
        &[
            (
                r#"{"time":"2024-03-01T10:00:00.5Z","level":"warn","logger":"db","msg":"slow"}"#,
                "2024-03-01T10:00:00.5Z | warning | db |  | slow",
            ),
            (
                r#"{"level":30,"time":1531171074631,"pid":657,"hostname":"h","msg":"say \"hi\""}"#,
                r#"2018-07-09T21:17:54.631Z | info | - |  | say "hi" {"pid":657,"hostname":"h"}"#,
            ),
            (
                r#"{"ts":1531171074.25,"level":"info","msg":"a","msg":"b"}"#,
                r#"2018-07-09T21:17:54.250Z | info | - |  | a {"msg":"b"}"#,
            ),
            (
                r#"{"timestamp":"now","level":"LOUD","fields":{"message":"x"}}"#,
                r#"now | - | - |  | {"level":"LOUD","fields":{"message":"x"}}"#,
            ),
            (r#"{"event":"start","level":"info","n":1}"#, r#"- | info | - |  | start {"n":1}"#),
            (r#"{"event":"error","msg":"gone"}"#, r#"- | - | - |  | gone {"event":"error"}"#),
            (r#"{"event":7,"time":"x"}"#, r#"x | - | - |  | {"event":7}"#),
            (r#"{"msg":"","a\"b":[1, 2]}"#, r#"- | - | - |  | {"a\"b":[1, 2]}"#),
        ],
    );
    whole(Format::Json, &["{", "{}", r#"{"a":1}"#, r#"{"msg":"a"} b"#, "[1]", "text", ""]);
}

#[test]
fn json_allocates_nothing_for_plain_strings() {
    let row =
        Format::Json.parse(r#"{"time":"2024-03-01T10:00:00Z","level":"info","target":"a::b","msg":"hello"}"#);
    assert!(matches!(row.message, Cow::Borrowed("hello")));
    assert!(matches!(row.component, Some(Cow::Borrowed("a::b"))));
}

#[test]
fn a_level_is_known_by_its_word_in_any_case() {
    for level in Level::ALL {
        assert_eq!(Level::of(level.as_str()), Some(level));
        assert_eq!(Level::of(&level.as_str().to_uppercase()), Some(level));
    }
    assert_eq!(Level::of("DEBUG5"), Some(Level::Debug));
    assert_eq!(Level::of("Fatal"), Some(Level::Critical));
    for word in ["", "7", "informations", "a very long word", "ınfo", "warned"] {
        assert_eq!(Level::of(word), None, "{word}");
    }
}

#[test]
fn the_format_is_what_most_lines_have() {
    let detect = |lines: &[&str]| {
        let mut detector = Detector::default();
        for line in lines {
            detector.see(line);
        }
        detector.format()
    };
    let trace = [
        "2024-03-01 10:00:00 ERROR a.B: x",
        "\tat a.b.C(D.java:1)",
        "\tat a.b.D(D.java:2)",
        "",
        "Caused by: x",
    ];
    assert_eq!(detect(&trace), Format::Iso);
    assert_eq!(
        detect(&["one", "two", "error: three", "2024-03-01 10:00:00 a", "2024-03-01 10:00:01 b"]),
        Format::Iso
    );
    let mut prose = vec!["prose"; 20];
    prose.push("error: one in twenty-one is no form");
    assert_eq!(detect(&prose), Format::Plain);
    assert_eq!(detect(&prose[1..]), Format::Build);
    assert_eq!(detect(&[]), Format::Plain);
    assert_eq!(detect(&["", "  ", "\t"]), Format::Plain);
}

#[test]
fn only_the_first_lines_are_looked_at() {
    let mut detector = Detector::default();
    assert!((1..LOOKED_AT_MAX).all(|_| detector.see("plain") && detector.see("")));
    assert!(!detector.see("plain"));
    for _ in 0..1_000 {
        assert!(!detector.see("error: too late"));
    }
    assert_eq!(detector.format(), Format::Plain);
}

/// Lines that are near to a form, and lines that are not.
fn lines() -> impl Strategy<Value = String> {
    let time = prop_oneof![
        Just("2015-10-18 18:01:47,978"),
        Just("[2015-10-18T18:01:47.5+0200"),
        Just("Jun 14 15:16:01"),
        Just("[Sun Dec 04 04:47:44 2005]"),
        Just("[Sun Dec 04 04:47:44.12 2005"),
        Just(""),
    ];
    let bits = prop_oneof![
        Just(" ".to_owned()),
        Just(": ".to_owned()),
        Just(" - ".to_owned()),
        Just("INFO".to_owned()),
        Just("error".to_owned()),
        Just("[".to_owned()),
        Just("]".to_owned()),
        Just("[a[1]]".to_owned()),
        Just("é".to_owned()),
        Just("{\"msg\":".to_owned()),
        Just("\"x\"}".to_owned()),
        "[a-z@:.\t]{1,4}",
        "\\PC{0,5}",
    ];
    (time, proptest::collection::vec(bits, 0..10)).prop_map(|(time, bits)| format!("{time}{}", bits.concat()))
}

/// Letters and digits, the characters that are never separators.
fn solid(text: &str) -> String {
    text.chars().filter(|one| one.is_alphanumeric()).collect()
}

proptest! {
    #[test]
    fn nothing_of_a_line_is_lost(line in lines()) {
        for format in [Format::Syslog, Format::Iso, Format::Apache, Format::Build] {
            let row = format.parse(&line);
            if row.at.is_none() && row.level.is_none() {
                prop_assert_eq!(&row, &Row::whole(&line));
            }
            let tail = format!("{}{}", solid(row.head), solid(&row.message));
            prop_assert!(solid(&line).ends_with(&tail), "{:?}: {:?}", format, &row);
            // Before the head stands the time and nothing else.
            let before = solid(&line)[..solid(&line).len() - tail.len()].to_owned();
            let time_bytes = if row.at.is_some() { before.len() } else { 0 };
            prop_assert_eq!(before.len(), time_bytes, "{:?}: {:?}", format, &row);
            prop_assert!(before.len() <= 24, "{:?}: {:?} {:?}", format, &before, &row);
            if let Some(component) = &row.component {
                prop_assert!(row.head.contains(&**component), "{:?}: {:?}", format, &row);
            }
        }
    }

    #[test]
    fn any_text_is_a_row(line in "\\PC{0,60}") {
        for format in FORMS.into_iter().chain([Format::Plain]) {
            let row = format.parse(&line);
            prop_assert!(row.at.is_some() || row.level.is_some() || !row.message.is_empty() || line.is_empty());
        }
    }

    #[test]
    fn json_that_is_a_row_keeps_every_value(
        message in "\\PC{0,20}", key in "[a-z]{4,6}x", value in any::<i32>(), component in proptest::option::of("\\PC{0,9}"),
    ) {
        let line = serde_json::json!({ "msg": message, key.as_str(): value, "logger": component }).to_string();
        let row = Format::Json.parse(&line);
        prop_assert!(row.message.starts_with(&message));
        prop_assert_eq!(row.component.as_deref(), component.as_deref());
        let kept = format!("\"{key}\":{value}");
        prop_assert!(row.message.contains(&kept), "{:?}", row);
    }
}
