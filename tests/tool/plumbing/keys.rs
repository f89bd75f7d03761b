//! `canonical` and `key`.

use crate::kit::Shop;

const KEY: [&str; 7] = ["key", "--scope", "shop", "--kind", "mail", "--id", "order 17"];

#[test]
fn canonical_json_is_written_and_not_a_byte_more() {
    let shop = Shop::sqlite();
    let given = shop.run_with(&["canonical"], "{\"b\": [1.0, \"\\u0041\"],\n \"a\": 1e2}\n").ended(0);
    assert_eq!(given.out, r#"{"a":100,"b":[1,"A"]}"#);
    assert_eq!(given.err, "");
}

#[test]
fn a_key_and_a_fingerprint_are_the_same_for_the_same_meaning() {
    let shop = Shop::sqlite();
    let json = [&KEY[..], &["--json"]].concat();
    let one = shop.run_with(&json, r#"{"total": 1.50, "to": "ada"}"#).ended(0).object();
    let other = shop.run_with(&json, "{\"to\":\"ada\",\"total\":1.5}\n").ended(0).object();
    assert_eq!(one, other);
    assert!(one["key"].is_string() && one["fingerprint"].is_string(), "{one}");
    let third = shop.run_with(&json, r#"{"total": 1.51, "to": "ada"}"#).ended(0).object();
    assert!(one["key"] == third["key"] && one["fingerprint"] != third["fingerprint"], "{third}");
    let human = shop.run_with(&KEY, "{}").ended(0).out;
    assert!(human.starts_with("key ") && human.contains("fingerprint  "), "{human}");
}

#[test]
fn bad_json_is_named_with_its_line_and_column() {
    let shop = Shop::sqlite();
    for args in [&["canonical", "--json"][..], &[&KEY[..], &["--json"]].concat()] {
        for (input, says) in [
            ("{\"a\": 1,\n \"b\": }", "line 2 column 7"),
            ("{\"a\": 1, \"a\": 2}", "duplicate key \"a\""),
            ("[1, 2", "expected"),
            ("", "no JSON on stdin"),
        ] {
            let given = shop.run_with(args, input).ended(1);
            let error = given.error();
            assert_eq!(
                (error["code"].as_str(), given.out.as_str()),
                (Some("canonical.invalid"), ""),
                "{given:?}"
            );
            assert!(error["message"].as_str().unwrap().contains(says), "{input}: {given:?}");
        }
    }
    shop.run_with(&["key", "--scope", "", "--kind", "k", "--id", "i"], "{}").ended(2);
    shop.run(&["key"]).ended(2);
}
