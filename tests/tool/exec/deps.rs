//! Jobs that depend on the same thing learn from each other.

use super::*;

const LIMITED: &str = r#"echo x >> first; echo '{"class":"rate_limited","retry_after_ms":7200000}' > "$UNATTENDED_REPORT"; exit 1"#;

#[test]
fn one_that_is_rate_limited_makes_others_wait_that_depend_on_the_same() {
    for shop in Shop::each() {
        let options = ["--effect", "idempotent", "--dep", "youtube"];
        let first = exec(&shop, "upload", &options, LIMITED).ended(1).object();
        assert_eq!(
            (&first["state"], &first["exit_code"]),
            (&"failed_transient".into(), &1.into()),
            "{first}"
        );
        assert!(first["due_at"].is_string(), "{first}");
        assert_eq!(lines(&shop, "first"), 1, "two hours are not waited for in front");
        let second = exec(&shop, "comment", &["--dep", "youtube"], "echo x >> second").ended(75).object();
        assert_eq!(second["exit_code"], Value::Null, "{second}");
        assert!(second["code"].as_str().unwrap().starts_with("breaker."), "{second}");
        assert_eq!(lines(&shop, "second"), 0, "it was not run");
        exec(&shop, "other", &["--dep", "s3"], "true").ended(0);
        exec(&shop, "none", &[], "true").ended(0);
        // A call that comes meanwhile goes on with the one that waits.
        exec(&shop, "comment", &["--dep", "youtube"], "echo x >> second").ended(75);
        assert_eq!(runs_of(&shop, "comment"), 1);
        std::fs::remove_file(shop.path("first")).unwrap();
    }
}

#[test]
fn an_ordinary_failure_says_nothing_of_a_dependency() {
    for shop in Shop::each() {
        for _ in 0..8 {
            exec(&shop, "buggy", &["--dep", "s3"], "exit 1").ended(1);
        }
        exec(&shop, "other", &["--dep", "s3"], "true").ended(0);
    }
}

#[test]
fn failures_for_now_open_the_breaker() {
    for shop in Shop::each() {
        for _ in 0..8 {
            let given = exec(&shop, "flaky", &["--dep", "s3"], "exit 75");
            assert_eq!(given.code, 75);
        }
        let refused = exec(&shop, "other", &["--dep", "s3"], "echo x >> ran").ended(75).object();
        assert_eq!((&refused["exit_code"], lines(&shop, "ran")), (&Value::Null, 0), "{refused}");
    }
}
