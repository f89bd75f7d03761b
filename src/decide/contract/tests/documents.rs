//! Versions, upgrades, bounds, and what is stored.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{contract, example, places};
use crate::base::explain::Explain;
use crate::base::fault::{Class, Classify, Reached};
use crate::decide::contract::{Check, Contract, Refusal, Schema, Violations};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct One {
    name: String,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Two {
    title: String,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Three {
    title: String,
    copies: u32,
}

fn three() -> Contract<Three> {
    let title = || Schema::text().length(1..=10);
    Contract::<Three>::new("page", 3)
        .schema(
            Schema::object().required("title", title()).required("copies", Schema::integer().within(1..=9)),
        )
        .schema_of(1, Schema::object().required("name", title()))
        .upgrade(2, |old: Two| Ok(Three { title: old.title, copies: 1 }))
        .upgrade(1, |old: One| match old.name.as_str() {
            "gone" => Err(String::from("it was given up")),
            _ => Ok(Two { title: old.name }),
        })
        .build()
        .unwrap()
}

#[test]
fn older_versions_go_through_every_upgrade_between() {
    let contract = three();
    let new = contract.accept(None, r#"{ "copies": 2.0, "title": "a" }"#).unwrap();
    assert_eq!(
        (new.value, new.input.get(), new.from),
        (Three { title: "a".into(), copies: 2 }, r#"{"copies":2,"title":"a"}"#, 3)
    );
    for (version, old) in [(1, r#"{"name":"a"}"#), (2, r#"{"title":"a"}"#)] {
        let accepted = contract.accept(Some(version), old).unwrap();
        assert_eq!((accepted.input.get(), accepted.from), (r#"{"copies":1,"title":"a"}"#, version));
    }
    assert_eq!(contract.versions().collect::<Vec<_>>(), [1, 2, 3]);
    assert!(contract.knows(1) && contract.knows(3) && !contract.knows(0) && !contract.knows(4));
    assert_eq!((contract.name(), contract.version(), Check::name(&contract)), ("page", 3, "page/3"));
}

#[test]
fn an_unknown_version_says_which_are_known() {
    for version in [0, 4, u32::MAX] {
        let refused = three().accept(Some(version), "{}").unwrap_err();
        assert_eq!(refused.why, Refusal::UnknownVersion { given: version, oldest: 1, newest: 3 });
        assert_eq!(refused.code(), "contract.unknown_version");
        assert_eq!(
            refused.to_string(),
            format!("page/3 refuses the input: it is of version {version}, known are 1 to 3")
        );
    }
}

#[test]
fn bad_old_documents_are_refused_by_what_their_version_says() {
    let refused = three().accept(Some(1), r#"{"name":"","x":1}"#).unwrap_err();
    assert_eq!(
        places(refused.violations().unwrap()),
        [("/name", "contract.length"), ("/x", "contract.unknown_field")]
    );
    assert!(refused.to_string().starts_with("page/3 refuses the input of version 1: /name is"), "{refused}");
    let refused = three().accept(Some(2), r#"{"name":"a"}"#).unwrap_err();
    assert_eq!(places(refused.violations().unwrap()), [("", "contract.not_upgraded")]);
    let refused = three().accept(Some(1), r#"{"name":"gone"}"#).unwrap_err();
    assert!(refused.to_string().contains("cannot be upgraded: it was given up"), "{refused}");
    let refused = three().accept(Some(2), r#"{"title":"far too long for a page"}"#).unwrap_err();
    assert_eq!(
        places(refused.violations().unwrap()),
        [("/title", "contract.length")],
        "judged once upgraded"
    );
}

#[test]
fn a_gap_in_the_upgrades_is_refused_at_build() {
    let begun = |version| Contract::<serde_json::Value>::new("gap", version).schema(Schema::any());
    let same = |old: serde_json::Value| Ok(old);
    let wrong = |built: Result<Contract<serde_json::Value>, crate::decide::contract::Error>| {
        built.unwrap_err().to_string()
    };
    assert_eq!(
        wrong(begun(4).upgrade(1, same).upgrade(3, same).build()),
        "upgrade is the next one from version 3; allowed is one from version 2"
    );
    assert_eq!(wrong(begun(3).upgrade(1, same).build()), "upgrade is none; allowed is one from version 2");
    assert!(wrong(begun(3).upgrade(2, same).upgrade(2, same).build()).starts_with("upgrade is "));
    for from in [0, 3, 4] {
        assert!(wrong(begun(3).upgrade(from, same).build()).starts_with("upgrade is "), "{from}");
    }
    assert!(wrong(begun(2).schema_of(1, Schema::any()).build()).starts_with("schema_of is 1"));
    assert!(begun(3).upgrade(2, same).build().is_ok(), "the oldest may be forgotten");
}

#[test]
fn what_could_not_work_is_refused_at_build() {
    let wrong = |name: &str, version| {
        Contract::<u8>::new(name, version).schema(Schema::any()).build().unwrap_err().to_string()
    };
    for name in ["", "a b", "a/2", "a@2", &"x".repeat(101)] {
        assert!(wrong(name, 1).starts_with("name is "), "{name}");
    }
    assert_eq!(wrong("a", 0), "version is 0; allowed is 1 to 99");
    assert_eq!(wrong("a", 100), "version is 100; allowed is 1 to 99");
    let begun = || Contract::<u8>::new("a", 99);
    assert!(begun().build().unwrap_err().to_string().starts_with("schema is none"));
    for bytes in [0, (60 << 10) + 1] {
        assert!(begun().schema(Schema::any()).bytes_max(bytes).build().is_err());
    }
    assert!(begun().schema(Schema::text().length(..0)).build().is_err());
}

#[test]
fn what_is_too_long_is_refused_with_what_is_given_and_the_limit() {
    let contract =
        Contract::<serde_json::Value>::new("any", 1).schema(Schema::any()).bytes_max(100).build().unwrap();
    let document = format!("\"{}\"", "x".repeat(99));
    let refused = contract.accept(None, &document).unwrap_err();
    assert_eq!(refused.why, Refusal::TooLong { given: 101, limit: 100 });
    assert_eq!(refused.to_string(), "any/1 refuses the input: it has 101 bytes, at most 100 are allowed");
    let refused = contract.accept(None, "3e999").unwrap_err();
    assert_eq!(refused.code(), "contract.too_long", "what would be stored is what counts: {refused}");
}

#[test]
fn a_refusal_is_permanent_and_nothing_was_reached() {
    let refused = contract().accept(None, "[]").unwrap_err();
    let fault = refused.fault();
    assert_eq!(
        (fault.class, fault.reached, &*fault.code),
        (Class::Permanent, Reached::No, "contract.refused")
    );
    let error: Box<dyn std::error::Error + Send + Sync> = refused.into();
    assert_eq!(
        error.to_string(),
        "order/1 refuses the input of version 1: the whole value is an array of 0 items, allowed is an object"
    );
}

#[test]
fn hooks_are_asked_last_and_all_of_them() {
    let contract = Contract::<Three>::new("page", 1)
        .schema(
            Schema::object()
                .required("title", Schema::text().secret())
                .required("copies", Schema::integer().within(0..=9)),
        )
        .validate(|page: &Three| {
            let mut found = Violations::default();
            found.unless(page.copies > 0, "/copies", "at least one", page.copies);
            found
        })
        .validate(|page: &Three| {
            let mut found = Violations::default();
            found.unless(page.title != "hunter2", "/title", "no password", &page.title);
            found
        })
        .build()
        .unwrap();
    assert!(contract.accept(None, r#"{"title":"a","copies":1}"#).is_ok());
    let refused = contract.accept(None, r#"{"title":"hunter2","copies":0}"#).unwrap_err();
    assert_eq!(
        places(refused.violations().unwrap()),
        [("/copies", "contract.invalid"), ("/title", "contract.invalid")]
    );
    assert!(!format!("{refused} {refused:?}").contains("hunter2"), "{refused}");
    let refused = contract.accept(None, r#"{"title":"hunter2","copies":10}"#).unwrap_err();
    assert_eq!(refused.violations().unwrap().count(), 1, "the hooks see only what the schema accepts");
    assert!(contract.check(&Three { title: String::new(), copies: 0 }).is_err());
}

#[test]
fn a_type_that_takes_less_than_its_schema_is_said_and_quotes_no_secret() {
    let schema = || Schema::object().required("name", Schema::integer());
    let open = Contract::<One>::new("one", 1).schema(schema()).build().unwrap();
    let refused = open.accept(None, r#"{"name":4711}"#).unwrap_err();
    assert_eq!(places(refused.violations().unwrap()), [("", "contract.undecodable")]);
    assert!(refused.to_string().contains("4711"), "{refused}");
    let hidden = Schema::object().required("name", Schema::integer().secret());
    let hidden = Contract::<One>::new("one", 1).schema(hidden).build().unwrap();
    let refused = hidden.accept(None, r#"{"name":4711}"#).unwrap_err();
    assert!(
        !format!("{refused:?}").contains("4711") && refused.to_string().contains("data error at line 1"),
        "{refused}"
    );
}

#[test]
fn the_digits_of_big_integers_are_kept_on_the_whole_way() {
    type Members = std::collections::BTreeMap<String, Box<RawValue>>;
    let digits = "123456789012345678901234567890123456789012345678901234567890";
    let contract = Contract::<Members>::new("big", 2)
        .schema(Schema::object().required("n", Schema::integer()).required("v", Schema::integer()))
        .upgrade(1, |mut old: Members| {
            let v = RawValue::from_string(String::from("2")).map_err(|error| error.to_string())?;
            old.insert(String::from("v"), v);
            Ok(old)
        })
        .build()
        .unwrap();
    let accepted = contract.accept(Some(1), &format!("{{\"n\": {digits}}}")).unwrap();
    assert_eq!(accepted.input.get(), format!("{{\"n\":{digits},\"v\":2}}"));
    assert_eq!(accepted.value["n"].get(), digits);
}

#[test]
fn without_its_type_a_contract_says_the_same() {
    fn is_shared<T: Send + Sync + Clone + 'static>(_: &T) {}
    let (contract, intake) = (contract(), contract().erased());
    is_shared(&contract);
    is_shared(&intake);
    let good = example().to_string();
    assert_eq!(
        intake.admit(None, &good).unwrap().input.get(),
        contract.accept(None, &good).unwrap().input.get()
    );
    for bad in ["{}", "", "[1", r#"{"id":true}"#] {
        assert_eq!(intake.admit(None, bad).unwrap_err(), contract.accept(None, bad).unwrap_err());
    }
    assert_eq!((intake.name(), intake.version()), ("order", 1));
    assert_eq!(intake.versions().map(|version| intake.knows(version)).collect::<Vec<_>>(), [true]);
}
