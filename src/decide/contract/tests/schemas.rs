//! What a schema accepts, what it says of the rest, and which schemas there cannot be.

use super::{example, places, schema};
use crate::decide::contract::{Schema, Violations};

fn of(schema: impl Into<Schema>, document: &str) -> Violations {
    schema.into().examine(document)
}

fn says(schema: impl Into<Schema>, document: &str) -> String {
    of(schema, document).to_string()
}

#[test]
fn every_violation_is_listed_by_its_path() {
    assert!(schema().examine(&example().to_string()).is_empty());
    let bad = r#"{
        "id": -1, "title": "", "paid": "yes", "rate": 1.5, "labels": {"a/b~c": 7}, "colour": "red",
        "items": [{"sku": "r-1", "amount": 3}, {"amount": 2000, "sku": null}, 5],
        "by": {"way": "pigeon"}
    }"#;
    let found = schema().examine(bad);
    assert_eq!(
        places(&found),
        [
            ("/id", "contract.out_of_bounds"),
            ("/title", "contract.length"),
            ("/paid", "contract.wrong_type"),
            ("/rate", "contract.out_of_bounds"),
            ("/labels/a~1b~0c", "contract.wrong_type"),
            ("/colour", "contract.unknown_field"),
            ("/items/1/amount", "contract.out_of_bounds"),
            ("/items/1/sku", "contract.wrong_type"),
            ("/items/2", "contract.wrong_type"),
            ("/by/way", "contract.not_listed"),
        ]
    );
    let told = format!("{found:#}");
    assert!(
        told.contains("/items/1/amount is 2000, allowed is a whole number from -1000 to 1000\n"),
        "{told}"
    );
    assert!(told.contains("/by/way is \"pigeon\", allowed is mail, post"), "{told}");
}

#[test]
fn required_fields_are_truly_required() {
    let found = schema().examine("{}");
    assert_eq!(found.count(), 7, "all but the note: {found:#}");
    assert!(found.iter().all(|violation| violation.given == "missing"));
    let nullable = Schema::object().required("a", Schema::text().nullable()).optional("b", Schema::text());
    assert!(of(nullable.clone(), r#"{"a": null}"#).is_empty());
    assert_eq!(says(nullable.clone(), "{}"), "/a is missing, allowed is a text or null");
    assert_eq!(says(nullable, r#"{"a":"","b":null}"#), "/b is null, allowed is a text");
}

#[test]
fn unknown_fields_are_refused_unless_they_are_let_pass() {
    let object = Schema::object().optional("a", Schema::boolean());
    assert_eq!(places(&of(object.clone(), r#"{"b":1}"#)), [("/b", "contract.unknown_field")]);
    assert!(of(object.clone().unknown_allowed(), r#"{"b":{"c":1}}"#).is_empty());
    let found = of(object.unknown_allowed(), r#"{"b":{"c":1,"c":2}}"#);
    assert_eq!(places(&found), [("/b/c", "contract.duplicate_field")], "also where nothing else is said");
}

#[test]
fn a_name_that_stands_twice_is_found_also_with_other_escapes_and_among_many() {
    let found = of(Schema::object().required("a", Schema::integer()), r#"{"a":1,"\u0061":2}"#);
    assert_eq!(places(&found), [("/a", "contract.duplicate_field")]);
    let many: Vec<String> = (0..40).map(|n| format!("\"k{}\":0", n % 39)).collect();
    let found = of(Schema::map(Schema::any()), &format!("{{{}}}", many.join(",")));
    assert_eq!(places(&found), [("/k0", "contract.duplicate_field")]);
    assert_eq!(of(Schema::any(), r#"[{"x":1,"x":1}]"#).count(), 1);
}

#[test]
fn integers_are_compared_digit_by_digit() {
    let exact = Schema::integer().within(9_007_199_254_740_993..=9_007_199_254_740_993);
    assert!(of(exact.clone(), "9007199254740993").is_empty());
    assert!(
        of(exact.clone(), "9007199254740993.0").is_empty()
            && of(exact.clone(), "9007199254740993000e-3").is_empty()
    );
    assert_eq!(of(exact, "9007199254740992").count(), 1, "an f64 cannot tell them apart");
    let widest = Schema::integer().within(i128::MIN..=i128::MAX);
    for fits in
        [&i128::MIN.to_string(), &i128::MAX.to_string(), "-0", "0e99999999999999999999", "0.000", "1e38"]
    {
        assert!(of(widest.clone(), fits).is_empty(), "{fits}");
    }
    for beyond in ["170141183460469231731687303715884105728", "-1e39", "1e1000"] {
        assert_eq!(places(&of(widest.clone(), beyond)), [("", "contract.out_of_bounds")], "{beyond}");
    }
    for fraction in ["1.5", "1e-1", "123.4560", "-0.5e0"] {
        assert_eq!(places(&of(Schema::integer(), fraction)), [("", "contract.wrong_type")], "{fraction}");
    }
    assert!(of(Schema::integer(), &"9".repeat(1024)).is_empty());
    assert_eq!(of(Schema::integer(), &"9".repeat(1025)).count(), 1, "more digits than are kept");
}

#[test]
fn numbers_are_finite_and_do_not_vanish() {
    let number = || Schema::number();
    for fits in ["0", "-0.0", "1e308", "5e-324", "0e-99999"] {
        assert!(of(number(), fits).is_empty(), "{fits}");
    }
    for beyond in ["1e400", "-1e400", "1e-400", "0.1e99999999999"] {
        assert_eq!(places(&of(number(), beyond)), [("", "contract.out_of_bounds")], "{beyond}");
    }
    assert_eq!(of(Schema::any(), r#"{"a":[1.5e-400]}"#).iter().next().unwrap().path, "/a/0");
    let half_open = number().within(0.0..1.0);
    assert!(of(half_open.clone(), "0").is_empty() && of(half_open.clone(), "0.999").is_empty());
    assert_eq!(says(half_open, "1.0"), "the whole value is 1.0, allowed is a number, at least 0, below 1");
}

#[test]
fn texts_have_lengths_lists_and_forms() {
    assert!(of(Schema::text().length(3..=3), "\"äöü\"").is_empty(), "characters, not bytes");
    assert_eq!(of(Schema::text().length(..3), "\"äöü\"").count(), 1);
    assert_eq!(
        says(Schema::text().one_of(["b", "a", "c"]), "\"d\""),
        r#"the whole value is "d", allowed is "a", "b" or "c""#
    );
    let when = || Schema::text().timestamp();
    assert!(of(when(), r#""2026-11-22T01:02:03.5+01:00""#).is_empty());
    assert_eq!(places(&of(when(), r#""2026-11-22 25:00""#)), [("", "contract.format")]);
    for address in ["https://example.org/a?b=c#d", "http://localhost:80"] {
        assert!(of(Schema::text().url(), &format!("\"{address}\"")).is_empty(), "{address}");
    }
    for wrong in [
        "javascript:alert(1)",
        "https://",
        "http://:80/",
        "https://a b",
        "ftp://a",
        "https:///a",
        "https://a\\\\b",
    ] {
        assert_eq!(of(Schema::text().url(), &format!("\"{wrong}\"")).count(), 1, "{wrong}");
    }
    let even = Schema::text().matching("an even number of letters", |text| text.len().is_multiple_of(2));
    assert_eq!(says(even, "\"abc\""), r#"the whole value is "abc", allowed is an even number of letters"#);
    let names = Schema::map(Schema::integer()).names(Schema::text().length(2..)).count(..=2);
    assert_eq!(
        places(&of(names, r#"{"a":1,"bb":2,"cc":3}"#)),
        [("", "contract.length"), ("/a", "contract.length")]
    );
}

#[test]
fn secrets_are_never_told() {
    let schema = Schema::object()
        .required("token", Schema::text().length(40..).secret())
        .required("keys", Schema::map(Schema::integer()).secret());
    let found =
        of(schema, r#"{"token":"hunter2","keys":{"hunter3":"hunter4","hunter3":1},"hunter5":"hunter6"}"#);
    let told = format!("{found:#} {found:?}");
    assert!(!told.contains("hunter2") && !told.contains("hunter3") && !told.contains("hunter4"), "{told}");
    assert!(!told.contains("hunter6"), "nor the value of a field that is not known: {told}");
    assert_eq!(
        places(&found),
        [
            ("/token", "contract.length"),
            ("/keys/[redacted]", "contract.duplicate_field"),
            ("/keys/[redacted]", "contract.wrong_type"),
            ("/hunter5", "contract.unknown_field"),
        ]
    );
}

#[test]
fn what_is_not_json_is_said_with_its_place() {
    let said = |text: &str| says(Schema::any(), text);
    assert_eq!(
        said("{\n  \"a\": 1,\n}"),
        "the whole value is not JSON from line 3 column 1 (byte 12) on, allowed is a member's name"
    );
    assert_eq!(said(""), "the whole value is not JSON from line 1 column 1 (byte 0) on, allowed is a value");
    assert_eq!(places(&of(Schema::any(), "[1] 2")), [("", "contract.not_json")]);
    assert_eq!(places(&of(Schema::any(), r#""\ud800""#)), [("", "contract.not_json")]);
    assert!(of(Schema::any(), &format!("{}{}", "[".repeat(32), "]".repeat(32))).is_empty());
    assert_eq!(places(&of(Schema::any(), &"[".repeat(50_000))), [("", "contract.too_deep")]);
}

#[test]
fn violations_are_bounded_and_the_rest_is_counted() {
    let found = of(Schema::array(Schema::boolean()), &format!("[{}0]", "0,".repeat(9_999)));
    assert_eq!((found.count(), found.iter().count()), (10_000, 64));
    assert!(found.to_string().ends_with("; and 9936 more"));
    let long = format!("{{\"{}\":1}}", "x".repeat(50_000));
    assert!(says(Schema::object(), &long).len() < 300);
}

#[test]
fn schemas_that_cannot_be_met_are_refused_when_they_are_built() {
    let wrong = |schema: Schema, field: &str| {
        let error = schema.check().unwrap_err().to_string();
        assert!(error.starts_with(&format!("schema{field} is ")), "{error}");
    };
    let text = Schema::text;
    let (least, most) = (3, 2);
    let (lowest, highest) = (1_i128, 0);
    wrong(text().length(least..=most).into(), ": length");
    wrong(text().length(..0).into(), ": length");
    wrong(text().one_of(Vec::<String>::new()).into(), ": one_of");
    wrong(text().one_of(["a"]).length(2..).into(), ": one_of");
    wrong(Schema::integer().within(lowest..=highest).into(), ": within");
    wrong(Schema::number().within(0.0..0.0).into(), ": within");
    wrong(Schema::number().within(f64::NAN..).into(), ": within");
    wrong(Schema::array(text().length(least..=most)).into(), "/*: length");
    wrong(Schema::object().required("a/b", text().length(least..=most)).into(), "/a~1b: length");
    wrong(Schema::object().required("a", text()).optional("a", text()).into(), ": field");
    wrong(Schema::tagged("t").into(), ": variants");
    wrong(Schema::tagged("t").variant("a", Schema::object().required("t", text())).into(), ": tag");
    wrong(
        Schema::tagged("t").variant("a", Schema::object()).variant("a", Schema::object()).into(),
        ": variant",
    );
    let deep = (0..32).fold(Schema::any(), |inner, _| Schema::array(inner).into());
    assert!(deep.check().unwrap_err().to_string().ends_with("depth is deeper; allowed is at most 32"));
    assert!(schema().check().is_ok());
}
