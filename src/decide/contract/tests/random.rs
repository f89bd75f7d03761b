//! What holds for every document.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{By, Item, Order, contract, places, schema};
use crate::decide::contract::{Gate, Proposal, Schema, Verdict};

fn orders() -> impl Strategy<Value = Order> {
    let item = ("[a-z]{1,20}", -1000..=1000_i64).prop_map(|(sku, amount)| Item { sku, amount });
    let by = prop_oneof![
        any::<String>().prop_map(|street| By::Post { street }),
        (any::<String>(), any::<u8>()).prop_map(|(address, copies)| By::Mail { address, copies }),
    ];
    let labels = proptest::collection::btree_map("\\PC{0,8}", "\\PC{0,30}", 0..8);
    (
        (any::<u64>(), "\\PC{1,50}", any::<bool>(), 0..=100_u32),
        (proptest::collection::vec(item, 0..8), proptest::option::of(any::<String>()), labels, by),
    )
        .prop_map(|((id, title, paid, percent), (items, note, labels, by))| Order {
            id,
            title,
            paid,
            rate: f64::from(percent) / 100.0,
            items,
            note,
            labels,
            by,
        })
}

/// One way to spoil a document, and the violation that it makes.
#[derive(Clone, Copy, Debug)]
enum Spoil {
    Drop(&'static str),
    Add,
    Change(&'static str),
    Exceed,
    DropDeep,
    LongTitle,
}

const SPOILS: [Spoil; 7] = [
    Spoil::Drop("id"),
    Spoil::Add,
    Spoil::Change("paid"),
    Spoil::Exceed,
    Spoil::DropDeep,
    Spoil::LongTitle,
    Spoil::Change("labels"),
];

impl Spoil {
    fn on(self, document: &mut Value) -> (&'static str, &'static str) {
        let order = document.as_object_mut().unwrap();
        match self {
            Self::Drop(field) => {
                order.remove(field);
                ("/id", "contract.missing")
            }
            Self::Add => {
                order.insert(String::from("colour"), json!("red"));
                ("/colour", "contract.unknown_field")
            }
            Self::Change("paid") => {
                order.insert(String::from("paid"), json!("true"));
                ("/paid", "contract.wrong_type")
            }
            Self::Change(field) => {
                order.insert(field.to_owned(), json!([1]));
                ("/labels", "contract.wrong_type")
            }
            Self::Exceed => {
                order.insert(String::from("rate"), json!(1.01));
                ("/rate", "contract.out_of_bounds")
            }
            Self::DropDeep => {
                order.insert(String::from("items"), json!([{"sku": "a", "amount": 1}, {"sku": "b"}]));
                ("/items/1/amount", "contract.missing")
            }
            Self::LongTitle => {
                order.insert(String::from("title"), json!("ö".repeat(51)));
                ("/title", "contract.length")
            }
        }
    }
}

/// Text that is nearly JSON.
fn nearly_json() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("{"),
        Just("}"),
        Just("["),
        Just("]"),
        Just("\""),
        Just(":"),
        Just(","),
        Just("\\"),
        Just("\\u"),
        Just("d800"),
        Just("null"),
        Just("true"),
        Just("-"),
        Just("0"),
        Just("9e9"),
        Just("."),
        Just("\"id\":"),
        Just("\"items\":["),
        Just(" "),
        Just("```json\n"),
        Just("ä"),
        Just("\u{0}"),
    ];
    proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn what_the_schema_accepts_is_what_the_type_takes(order in orders()) {
        let document = serde_json::to_string(&order).unwrap();
        let accepted = contract().accept(None, &document);
        prop_assert!(accepted.is_ok(), "{}", accepted.unwrap_err());
        let accepted = accepted.unwrap();
        prop_assert_eq!(&accepted.value, &order);
        let again = contract().accept(None, accepted.input.get()).unwrap();
        prop_assert_eq!(again.input.get(), accepted.input.get(), "what is stored stays as it is");
        prop_assert_eq!(again.value, order);
    }

    #[test]
    fn every_way_to_spoil_a_document_is_found_and_all_of_them_at_once(
        order in orders(),
        chosen in proptest::sample::subsequence(SPOILS.to_vec(), 1..=SPOILS.len()),
    ) {
        let mut document = serde_json::to_value(&order).unwrap();
        let mut expected: Vec<_> = chosen.iter().map(|spoil| spoil.on(&mut document)).collect();
        let refused = contract().accept(None, &document.to_string()).unwrap_err();
        let mut found = places(refused.violations().unwrap());
        expected.sort_unstable();
        found.sort_unstable();
        prop_assert_eq!(found, expected, "{:#}", refused);
    }

    #[test]
    fn nothing_panics_on_any_text(bytes in proptest::collection::vec(any::<u8>(), 0..200), text in nearly_json()) {
        let gate = Gate::new(contract()).rule("all", |_: &Order| Verdict::allow("any")).build().unwrap();
        for text in [String::from_utf8_lossy(&bytes).into_owned(), text] {
            let accepts = contract().accept(None, &text).is_ok();
            prop_assert_eq!(accepts, contract().erased().admit(None, &text).is_ok());
            for proposal in [Proposal::text(&*text), Proposal::json(&*text)] {
                let decision = gate.decide(&proposal);
                let told = format!("{decision} {decision:#} {decision:?}");
                prop_assert!(!told.is_empty());
            }
            prop_assert_eq!(
                Schema::any().examine(&text).is_empty(),
                crate::base::canonical::from_text(&text).is_ok(),
                "what the schema of all accepts has a canonical form, and nothing else: {}", text
            );
        }
    }

    #[test]
    fn integers_are_those_of_i128(value in any::<i128>(), zeros in 0..5_usize, least in any::<i64>()) {
        let within = Schema::from(Schema::integer().within(i128::from(least)..));
        let spelled = format!("{value}{}e-{zeros}", "0".repeat(zeros));
        prop_assert_eq!(within.examine(&value.to_string()).is_empty(), value >= i128::from(least));
        prop_assert_eq!(within.examine(&spelled).is_empty(), value >= i128::from(least), "{}", spelled);
    }

    #[test]
    fn the_digits_of_an_integer_are_kept(digits in "[1-9][0-9]{0,200}") {
        let contract = crate::decide::contract::Contract::<Box<serde_json::value::RawValue>>::new("n", 1)
            .schema(Schema::integer()).build().unwrap();
        let accepted = contract.accept(None, &digits).unwrap();
        let plain = accepted.input.get();
        // Where the text has an exponent, the number is one that it loses no digit of.
        if !plain.contains('e') {
            prop_assert_eq!(plain, &digits);
        } else {
            prop_assert_eq!(crate::base::canonical::from_text(&digits).unwrap(), plain);
            prop_assert!(digits.ends_with('0'));
        }
    }
}

#[test]
fn a_schema_is_shown_in_a_line() {
    assert_eq!(schema().to_string(), "an object");
}
