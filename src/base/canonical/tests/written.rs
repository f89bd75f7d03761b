//! Text in, text out.

use proptest::prelude::*;

use crate::base::canonical::{
    BYTES_MAX, DEPTH_MAX, INTEGER_DIGITS_MAX, Place, Position, Problem, from_text, to_string,
};

fn text(json: &str) -> String {
    from_text(json).unwrap()
}

fn problem(json: impl AsRef<[u8]>) -> Problem {
    from_text(json).unwrap_err().problem
}

#[test]
fn the_example_of_the_rfc() {
    // RFC 8785, sections 3.2.2 and 3.2.4.
    let json = r#"{
        "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
        "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
        "literals": [null, true, false]
    }"#;
    let form = concat!(
        r#"{"literals":[null,true,false],"#,
        r#""numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"#,
        r#""string":"€$\u000f\nA'B\"\\\\\"/"}"#
    );
    assert_eq!(text(json), form);
}

#[test]
fn the_order_of_the_rfc() {
    // RFC 8785, section 3.2.3: the emoji's surrogates sort before U+FB33, its UTF-8 would sort after it.
    let json = r#"{
        "\u20ac": "Euro Sign", "\r": "Carriage Return", "\ufb33": "Hebrew Letter Dalet With Dagesh", "1": "One",
        "\ud83d\ude00": "Emoji: Grinning Face", "\u0080": "Control", "\u00f6": "Latin Small Letter O With Diaeresis"
    }"#;
    let names = ["Carriage Return", "One", "Control", "Latin", "Euro", "Emoji", "Hebrew"];
    let form = text(json);
    let places: Vec<_> = names.iter().map(|name| form.find(name).unwrap()).collect();
    assert!(places.is_sorted(), "{form}");
}

#[test]
fn doubles_are_written_as_the_rfc_writes_them() {
    // RFC 8785, appendix B.
    let samples: [(u64, &str); 24] = [
        (0x0000_0000_0000_0000, "0"),
        (0x8000_0000_0000_0000, "0"),
        (0x0000_0000_0000_0001, "5e-324"),
        (0x8000_0000_0000_0001, "-5e-324"),
        (0x7fef_ffff_ffff_ffff, "1.7976931348623157e+308"),
        (0xffef_ffff_ffff_ffff, "-1.7976931348623157e+308"),
        (0x4340_0000_0000_0000, "9007199254740992"),
        (0xc340_0000_0000_0000, "-9007199254740992"),
        (0x4430_0000_0000_0000, "295147905179352830000"),
        (0x44b5_2d02_c7e1_4af5, "9.999999999999997e+22"),
        (0x44b5_2d02_c7e1_4af6, "1e+23"),
        (0x44b5_2d02_c7e1_4af7, "1.0000000000000001e+23"),
        (0x444b_1ae4_d6e2_ef4e, "999999999999999700000"),
        (0x444b_1ae4_d6e2_ef4f, "999999999999999900000"),
        (0x444b_1ae4_d6e2_ef50, "1e+21"),
        (0x3eb0_c6f7_a0b5_ed8c, "9.999999999999997e-7"),
        (0x3eb0_c6f7_a0b5_ed8d, "0.000001"),
        (0x41b3_de43_5555_5553, "333333333.3333332"),
        (0x41b3_de43_5555_5554, "333333333.33333325"),
        (0x41b3_de43_5555_5555, "333333333.3333333"),
        (0x41b3_de43_5555_5556, "333333333.3333334"),
        (0x41b3_de43_5555_5557, "333333333.33333343"),
        (0xbecb_f647_612f_3696, "-0.0000033333333333333333"),
        (0x4314_3ff3_c1cb_0959, "1424953923781206.2"),
    ];
    for (bits, form) in samples {
        assert_eq!(to_string(&f64::from_bits(bits)).unwrap(), form, "{bits:016x}");
        assert_eq!(text(form), form);
    }
}

#[test]
fn one_number_has_one_text() {
    for one in ["1", "1.0", "1e0", "1E+0", "10e-1", "0.1e1", "1.000", "100e-2", "0.00001e5"] {
        assert_eq!(text(one), "1", "{one}");
    }
    for zero in ["0", "-0", "-0.0", "0e5", "-0E-99999999999999999999", "0.000e99999999999999999999"] {
        assert_eq!(text(zero), "0", "{zero}");
    }
    for big in ["1e30", "1000000000000000000000000000000", "0.1e31", "1E+30", "10.0e29"] {
        assert_eq!(text(big), "1e+30", "{big}");
    }
}

#[test]
fn integers_keep_every_digit() {
    for digits in [
        "9007199254740993",
        "-9007199254740993",
        "18446744073709551615",
        "340282366920938463463374607431768211455",
        "123456789012345678901",
        "-1234567890123456789012345678901234567890",
    ] {
        assert_eq!(text(digits), digits);
    }
    assert_eq!(text("12345678901234567890123.0e2"), "1234567890123456789012300");
    assert_eq!(text("1e400").len(), 401);
    // The exact value of the double 1e30 is another integer than ten to the thirtieth.
    assert_eq!(text("1000000000000000019884624838656"), "1000000000000000019884624838656");
}

#[test]
fn fractions_are_the_nearest_double() {
    assert_eq!(text("0.1000000000000000055511151231257827"), "0.1");
    assert_eq!(text("9007199254740993.5"), "9007199254740994");
    assert_eq!(text("123e-5"), "0.00123");
    assert_eq!(text("1.5e-7"), "1.5e-7");
    assert_eq!(text("5e-324"), "5e-324");
}

#[test]
fn numbers_beyond_the_bounds_are_errors() {
    assert_eq!(problem("1e-400"), Problem::OutOfRange);
    let huge = format!("{}.5", "9".repeat(310));
    assert_eq!(problem(huge), Problem::OutOfRange);
    assert_eq!(text(&format!("1e{}", INTEGER_DIGITS_MAX - 1)).len(), INTEGER_DIGITS_MAX);
    assert_eq!(problem(format!("1e{INTEGER_DIGITS_MAX}")), Problem::IntegerTooLong { digits: 1025 });
    assert_eq!(problem("1".repeat(1025)), Problem::IntegerTooLong { digits: 1025 });
    assert!(matches!(problem("1e99999999999999999999"), Problem::IntegerTooLong { .. }));
}

#[test]
fn what_is_not_json_is_an_error_with_its_place() {
    for (json, offset) in [
        ("", 0),
        (" ", 1),
        ("01", 1),
        ("+1", 0),
        (".5", 0),
        ("1.", 2),
        ("1e", 2),
        ("-", 1),
        ("NaN", 0),
        ("nul", 0),
        ("[1,]", 3),
        ("[1 2]", 3),
        ("{\"a\" 1}", 5),
        ("{a:1}", 1),
        ("{\"a\":1,}", 7),
        ("\"a", 2),
        ("\"\u{1}\"", 1),
        ("\"\\x\"", 2),
        ("\"\\é\"", 2),
        ("\"\\u12\"", 5),
        ("1 1", 2),
        ("\u{feff}1", 0),
    ] {
        let error = from_text(json).unwrap_err();
        assert!(matches!(error.problem, Problem::Syntax { .. }), "{json}: {error}");
        assert!(matches!(error.at, Place::Text(at) if at.offset == offset), "{json}: {error}");
    }
    assert_eq!(problem(b"\"\xff\""), Problem::NotUtf8);
}

#[test]
fn a_place_has_a_line_and_a_column() {
    let error = from_text("{\n  \"a\": 1,\n  \"b\": tru\n}").unwrap_err();
    assert_eq!(error.at, Place::Text(Position { offset: 19, line: 3, column: 8 }));
    assert_eq!(error.to_string(), "expected a value at line 3 column 8 (byte 19)");
}

#[test]
fn lone_surrogates_are_errors() {
    for lone in [r#""\ud800""#, r#""\udc00""#, r#""\ud800A""#, r#""\ud800\u0041""#, r#""\udc00\ud800""#] {
        assert!(matches!(problem(lone), Problem::LoneSurrogate { .. }), "{lone}");
    }
    assert_eq!(text(r#""\ud83d\ude00""#), "\"😀\"");
}

#[test]
fn duplicate_keys_are_errors_in_every_spelling() {
    let key = "a".to_owned();
    assert_eq!(problem(r#"{"a":1,"b":2,"\u0061":1}"#), Problem::DuplicateKey { key: key.clone() });
    assert_eq!(problem(r#"[{"x":{"a":null,"a":null}}]"#), Problem::DuplicateKey { key });
}

#[test]
fn nesting_has_a_bound() {
    let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    assert_eq!(text(&nested(DEPTH_MAX)), nested(DEPTH_MAX));
    assert_eq!(problem(nested(DEPTH_MAX + 1)), Problem::TooDeep);
    assert_eq!(problem("[".repeat(1_000_000)), Problem::TooDeep);
    assert_eq!(problem(r#"{"a":"#.repeat(1_000_000)), Problem::TooDeep);
}

#[test]
fn a_small_text_does_not_grow_without_bound() {
    // Six bytes each, a thousand digits each.
    let bomb = format!("[{}1]", "1e999,".repeat(BYTES_MAX / 1000 + 1000));
    assert_eq!(problem(bomb), Problem::TooLong);
}

#[test]
fn strings_keep_what_need_not_be_escaped() {
    assert_eq!(text("\"\\u007f\\u2028\\/\\u00e9\""), "\"\u{7f}\u{2028}/é\"");
    assert_eq!(text(r#""\u0000\u0008\u000b\u001f""#), r#""\u0000\b\u000b\u001f""#);
}

/// JSON text of arbitrary values, spelled with white space and any order of members.
fn json() -> impl Strategy<Value = String> {
    let number = prop_oneof![
        any::<i64>().prop_map(|n| n.to_string()),
        any::<f64>().prop_filter("JSON has no NaN", |x| x.is_finite()).prop_map(|x| format!("{x:e}")),
        "-?[1-9][0-9]{0,40}(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,2})?",
    ];
    let string = any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap());
    let leaf = prop_oneof![Just("null".to_owned()), Just("true".to_owned()), number, string.clone()];
    leaf.prop_recursive(5, 60, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6)
                .prop_map(|items| format!("[ {} ]", items.join(" ,\n"))),
            prop::collection::btree_map(any::<String>(), inner, 0..6).prop_map(|members| {
                let name = |name: &String| serde_json::to_string(name).unwrap();
                let members: Vec<_> =
                    members.iter().rev().map(|(n, v)| format!("{}\t: {v}", name(n))).collect();
                format!("{{ {} }}", members.join(" , "))
            }),
        ]
    })
}

proptest! {
    #[test]
    fn the_form_of_a_form_is_itself(json in json()) {
        let once = from_text(&json).unwrap();
        prop_assert_eq!(from_text(&once).unwrap(), once);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        drop(from_text(&bytes));
    }

    #[test]
    fn nearly_json_never_panics(json in json(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = json.into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(form) = from_text(&bytes) {
            prop_assert_eq!(from_text(&form).unwrap(), form);
        }
        drop(from_text(&bytes[..at]));
    }

    #[test]
    fn integers_of_any_length_are_exact(digits in "-?[1-9][0-9]{0,60}", zeros in 0usize..20) {
        // A reference without any code of the module: undo the exponent by hand and compare digits.
        let form = text(&format!("{digits}{}", "0".repeat(zeros)));
        let exponent = text(&format!("{digits}e{zeros}"));
        prop_assert_eq!(&form, &exponent);
        prop_assert_eq!(plain(&form), format!("{digits}{}", "0".repeat(zeros)));
    }
}

/// The digits of an integer in either layout.
fn plain(form: &str) -> String {
    let Some((mantissa, exponent)) = form.split_once("e+") else { return form.to_owned() };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let zeros = exponent.parse::<usize>().unwrap() - fraction.len();
    format!("{whole}{fraction}{}", "0".repeat(zeros))
}
