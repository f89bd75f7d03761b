//! Typed values in, text out.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use proptest::prelude::*;
use serde::Serialize;
use serde::ser::{SerializeStruct, Serializer};

use crate::base::canonical::{DEPTH_MAX, Place, Problem, from_text, to_string, to_vec};

#[derive(Serialize)]
enum Shape {
    Unit,
    New(u8),
    Tuple(u8, i8),
    Fields { b: u8, a: Option<u8> },
}

#[derive(Serialize, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Wrapped(u64);

#[test]
fn every_shape_of_serde_has_the_form_that_serde_json_gives_it() {
    let shapes = (
        Shape::Unit,
        Shape::New(1),
        Shape::Tuple(1, -1),
        Shape::Fields { b: 2, a: None },
        (),
        Some('é'),
        Wrapped(3),
        [true, false],
    );
    let form = r#"["Unit",{"New":1},{"Tuple":[1,-1]},{"Fields":{"a":null,"b":2}},null,"é",3,[true,false]]"#;
    assert_eq!(to_string(&shapes).unwrap(), form);
    assert_eq!(to_vec(&shapes).unwrap(), form.as_bytes());
    assert_eq!(from_text(serde_json::to_string(&shapes).unwrap()).unwrap(), form);
}

#[test]
fn integers_keep_every_digit() {
    assert_eq!(to_string(&9_007_199_254_740_993_i64).unwrap(), "9007199254740993");
    assert_eq!(to_string(&u64::MAX).unwrap(), "18446744073709551615");
    assert_eq!(to_string(&i64::MIN).unwrap(), "-9223372036854775808");
    assert_eq!(to_string(&u128::MAX).unwrap(), u128::MAX.to_string());
    assert_eq!(to_string(&i128::MIN).unwrap(), i128::MIN.to_string());
    // A typed integer and the same integer in text are one number, also where RFC 8785 uses an exponent.
    let big = 10_u128.pow(30);
    assert_eq!(to_string(&big).unwrap(), from_text(big.to_string()).unwrap());
    assert_eq!(to_string(&big).unwrap(), to_string(&1e30).unwrap());
}

#[test]
fn single_precision_is_read_by_its_own_digits() {
    assert_eq!(to_string(&0.1_f32).unwrap(), "0.1");
    assert_eq!(to_string(&f32::MAX).unwrap(), from_text("3.4028235e38").unwrap());
    assert_eq!(to_string(&-0.0_f32).unwrap(), "0");
    // 2097152.25, as close to ….2 as to ….3: the even digit, as for doubles.
    assert_eq!(to_string(&f32::from_bits(0x4a00_0001)).unwrap(), "2097152.2");
}

#[test]
fn what_is_not_finite_is_an_error_with_its_path() {
    #[derive(Serialize)]
    struct Rates<'a> {
        #[serde(rename = "a/b~c")]
        list: &'a [f64],
    }
    let error = to_string(&Rates { list: &[0.0, f64::NAN] }).unwrap_err();
    assert_eq!(error.problem, Problem::NotFinite { given: "NaN" });
    assert_eq!(error.at, Place::Value { pointer: "/a~1b~0c/1".to_owned() });
    assert_eq!(error.to_string(), "NaN is not a number in JSON at \"/a~1b~0c/1\"");
    assert_eq!(to_string(&f32::NEG_INFINITY).unwrap_err().problem, Problem::NotFinite { given: "-inf" });
    let deep = to_string(&Shape2::Fields { a: [f64::INFINITY] }).unwrap_err();
    assert_eq!(deep.at, Place::Value { pointer: "/Fields/a/0".to_owned() });
}

#[derive(Serialize)]
enum Shape2 {
    Fields { a: [f64; 1] },
}

#[test]
fn map_keys_become_names_or_are_refused() {
    let by_number: HashMap<i64, u8> = (-2..12).map(|n| (n, 0)).collect();
    let form = to_string(&by_number).unwrap();
    assert!(form.starts_with(r#"{"-1":0,"-2":0,"0":0,"1":0,"10":0,"11":0,"2":0"#), "{form}");
    assert_eq!(to_string(&BTreeMap::from([(Wrapped(1), true)])).unwrap(), r#"{"1":true}"#);
    assert_eq!(
        to_string(&BTreeMap::from([(false, ()), (true, ())])).unwrap(),
        r#"{"false":null,"true":null}"#
    );
    let refused = |error: Result<String, crate::base::canonical::Error>| error.unwrap_err().problem;
    assert_eq!(refused(to_string(&BTreeMap::from([([1, 2], 0)]))), Problem::KeyNotText { given: "a tuple" });
    assert_eq!(refused(to_string(&BTreeMap::from([((), 0)]))), Problem::KeyNotText { given: "nothing" });
    assert_eq!(refused(to_string(&Pairs(vec![(0.5, 1)]))), Problem::KeyNotText { given: "a float" });
}

/// A map in the order given, duplicates and all.
struct Pairs<K>(Vec<(K, u8)>);

impl<K: Serialize> Serialize for Pairs<K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(k, v)| (k, v)))
    }
}

#[test]
fn two_members_of_one_name_are_an_error() {
    let error = to_string(&[Pairs(vec![("a", 1), ("b", 2), ("a", 1)])]).unwrap_err();
    assert_eq!(error.problem, Problem::DuplicateKey { key: "a".to_owned() });
    assert_eq!(error.at, Place::Value { pointer: "/0".to_owned() });
    #[derive(Serialize)]
    struct Outer {
        id: u8,
        #[serde(flatten)]
        rest: BTreeMap<String, u8>,
    }
    let outer = Outer { id: 1, rest: BTreeMap::from([("id".to_owned(), 2)]) };
    assert!(matches!(to_string(&outer).unwrap_err().problem, Problem::DuplicateKey { .. }));
}

#[derive(Serialize)]
struct List {
    next: Option<Box<Self>>,
}

#[derive(Serialize)]
struct Hollow(Option<Box<Self>>);

#[test]
fn nesting_has_a_bound_also_where_it_leaves_no_text() {
    let list =
        |levels| (1..levels).fold(List { next: None }, |inner, _| List { next: Some(Box::new(inner)) });
    assert!(to_string(&list(DEPTH_MAX)).is_ok());
    assert_eq!(to_string(&list(DEPTH_MAX + 1)).unwrap_err().problem, Problem::TooDeep);
    let hollow = (0..10_000).fold(Hollow(None), |inner, _| Hollow(Some(Box::new(inner))));
    assert_eq!(to_string(&hollow).unwrap_err().problem, Problem::TooDeep);
}

#[test]
fn raw_json_inside_a_value_is_canonical_too() {
    let raw = |json: &str| serde_json::value::RawValue::from_string(json.to_owned()).unwrap();
    let value = BTreeMap::from([("raw", raw(r#"{ "b": 1.0, "a": 9007199254740993 }"#))]);
    assert_eq!(to_string(&value).unwrap(), r#"{"raw":{"a":9007199254740993,"b":1}}"#);
    let twice = BTreeMap::from([("raw", raw(r#"{ "a": 1, "a": 2 }"#))]);
    let error = to_string(&twice).unwrap_err();
    assert!(matches!(&error.at, Place::Embedded { pointer, .. } if pointer == "/raw"), "{error}");
    let deep = raw(&format!("{}{}", "[".repeat(DEPTH_MAX), "]".repeat(DEPTH_MAX)));
    assert_eq!(to_string(&[deep]).unwrap_err().problem, Problem::TooDeep);
}

/// A number as `serde_json` hands it over when `arbitrary_precision` is on anywhere in the build.
struct Precise(&'static str);

impl Serialize for Precise {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut number = serializer.serialize_struct("$serde_json::private::Number", 1)?;
        number.serialize_field("$serde_json::private::Number", self.0)?;
        number.end()
    }
}

#[test]
fn numbers_that_come_as_text_keep_their_digits() {
    let digits = "123456789012345678901234567890";
    assert_eq!(to_string(&Precise("1.0")).unwrap(), "1");
    assert_eq!(
        to_string(&[Precise("12345678901234567890123456789")]).unwrap(),
        "[12345678901234567890123456789]"
    );
    assert_eq!(to_string(&Precise("123456789012345678901234567890")).unwrap(), from_text(digits).unwrap());
    for wrong in ["", "1x", "NaN", " 1", "0x10"] {
        assert!(matches!(to_string(&Precise(wrong)).unwrap_err().problem, Problem::Syntax { .. }), "{wrong}");
    }
}

#[test]
fn a_json_value_has_the_form_of_its_text_under_every_feature_of_serde_json() {
    // Run by the house's checks once more with preserve_order, arbitrary_precision and float_roundtrip switched on.
    let json =
        r#"{"z": [1.0, 1, 1e0, -0.0, 0.1, 1e21, 18446744073709551615], "a": {"y": null, "x": "\u0041"}}"#;
    let value: serde_json::Value = serde_json::from_str(json).unwrap();
    let form = r#"{"a":{"x":"A","y":null},"z":[1,1,1,0,0.1,1e+21,18446744073709551615]}"#;
    assert_eq!(to_string(&value).unwrap(), form);
    assert_eq!(from_text(json).unwrap(), form);
}

#[test]
fn a_display_that_fails_is_an_error() {
    struct Broken;
    impl fmt::Display for Broken {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            Err(fmt::Error)
        }
    }
    impl Serialize for Broken {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_str(self)
        }
    }
    assert!(matches!(to_string(&[Broken]).unwrap_err().problem, Problem::Refused { .. }));
    assert!(matches!(to_string(&Refusing).unwrap_err().problem, Problem::Refused { .. }));
}

struct Refusing;

impl Serialize for Refusing {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("not today"))
    }
}

/// Values on which `serde_jcs` is right: integers that a double holds, no duplicate names.
fn safe() -> impl Strategy<Value = serde_json::Value> {
    use serde_json::{Value, json};
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-(1_i64 << 53)..=1 << 53).prop_map(Value::from),
        any::<f64>().prop_filter("finite", |x| x.is_finite()).prop_map(|x| json!(x)),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::hash_map(any::<String>(), inner, 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn where_rfc_8785_loses_nothing_this_is_rfc_8785(value in safe()) {
        let form = to_string(&value).unwrap();
        prop_assert_eq!(&form, &serde_jcs::to_string(&value).unwrap());
        prop_assert_eq!(from_text(&form).unwrap(), form);
    }

    #[test]
    fn distinct_integers_have_distinct_texts(a in any::<i64>(), b in any::<u64>(), step in 1u64..4) {
        let c = b.wrapping_add(step);
        prop_assert_ne!(to_string(&b).unwrap(), to_string(&c).unwrap());
        prop_assert_eq!(to_string(&a).unwrap(), a.to_string());
        prop_assert_eq!(from_text(b.to_string()).unwrap(), b.to_string());
    }

    #[test]
    fn of_two_digits_equally_close_the_even_one_is_written(whole in 1_u64 << 50..1 << 51, quarters in 0_u8..4) {
        #[allow(clippy::cast_precision_loss, reason = "below 2^51 with two binary places it is exact")]
        let x = whole as f64 + f64::from(quarters) / 4.0;
        prop_assert_eq!(to_string(&x).unwrap(), serde_jcs::to_string(&x).unwrap());
    }

    #[test]
    fn floats_come_back_as_they_were(bits in any::<u64>(), small in any::<u32>()) {
        let x = f64::from_bits(bits);
        prop_assume!(x.is_finite());
        let form = to_string(&x).unwrap();
        prop_assert_eq!(form.parse::<f64>().unwrap(), x);
        prop_assert_eq!(from_text(format!("{x}")).unwrap(), form);
        let y = f32::from_bits(small);
        prop_assume!(y.is_finite());
        let form = to_string(&y).unwrap();
        prop_assert_eq!(form.parse::<f32>().unwrap(), y);
        prop_assert_eq!(from_text(serde_json::to_string(&y).unwrap()).unwrap(), form);
    }
}
