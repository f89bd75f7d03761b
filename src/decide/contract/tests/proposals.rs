//! What is found in a model's answer, and what is not picked.

use crate::decide::contract::{Extraction, Proposal, Refusal};

fn found(text: &str) -> Result<(String, Extraction), Refusal> {
    Proposal::text(text).extract().map(|(json, how)| (json.to_owned(), how))
}

#[test]
fn json_is_taken_whole_out_of_a_fence_or_out_of_prose() {
    let json = r#"{"a": [1, {"b": "}"}]}"#;
    assert_eq!(found(&format!(" {json}\n")), Ok((json.to_owned(), Extraction::Whole)));
    assert_eq!(found("[1]"), Ok((String::from("[1]"), Extraction::Whole)));
    let fenced = format!("Here [1]:\n```json\n{json}\n```\nDone.");
    assert_eq!(found(&fenced), Ok((json.to_owned(), Extraction::Fenced { offset: 18, aside: 28 })));
    let bare = format!("``` \n{json}```");
    assert!(matches!(found(&bare), Ok((_, Extraction::Fenced { .. }))));
    let prose = format!("I say {json}, as you asked.");
    assert_eq!(found(&prose), Ok((json.to_owned(), Extraction::Embedded { offset: 6, aside: 21 })));
    let array = r#"Two of them: [{"a": 1}, {"a": 2}]"#;
    assert_eq!(found(array).unwrap().0, r#"[{"a": 1}, {"a": 2}]"#, "an array is one candidate");
}

#[test]
fn what_is_ambiguous_is_refused_and_nothing_is_picked() {
    let two = found(r#"Either {"a":1} or {"a":2}."#).unwrap_err();
    let Refusal::Ambiguous { first, second } = two else { panic!("{two:?}") };
    assert_eq!((first.offset, second.offset), (7, 18));
    assert!(found("He wrote {\"a\":1}.\n```json\n{\"a\":2}\n```").is_err(), "a fence is no authority");
    let again = found(r#"{"a":1,"b":2} that is {"b": 2, "a": 1.0}"#).unwrap();
    assert_eq!(again.0, r#"{"a":1,"b":2}"#, "the same one twice is one");
}

#[test]
fn half_of_an_answer_is_refused() {
    for broken in [
        r#"{"action": "delete", "unless": {"action": "keep"},}"#,
        r#"{"action": "refund", "amo"#,
        r#"Sure: {"action": "refund"} and {oops"#,
        r#"[{"action": "refund"}, {"action"#,
        r#"all: [ {"action": "refund"}, nothing else"#,
        "{{\"a\":1}}",
    ] {
        assert!(matches!(found(broken), Err(Refusal::Broken { .. })), "{broken}: {:?}", found(broken));
    }
    let deep = format!("look: {}1{}", "{\"a\":".repeat(40), "}".repeat(40));
    assert!(matches!(found(&deep), Err(Refusal::Broken { .. })));
}

#[test]
fn nothing_is_nothing() {
    for empty in ["", "I am sorry, I cannot do that.", "see [1] and [2, 3]", "```json\n```"] {
        assert_eq!(found(empty), Err(Refusal::NoCandidate { bytes: empty.len() }), "{empty}");
    }
    let long = "x".repeat(Proposal::BYTES_MAX + 1);
    assert!(matches!(found(&long), Err(Refusal::TooLong { given: 65_537, limit: 65_536 })));
}

#[test]
fn a_proposal_is_stored_and_read_and_its_debug_tells_no_text() {
    let proposal = Proposal::text("hunter2 {}").from("model:7").version(3);
    let stored = serde_json::to_string(&proposal).unwrap();
    assert_eq!(stored, r#"{"source":"model:7","form":"text","version":3,"text":"hunter2 {}"}"#);
    assert_eq!(serde_json::from_str::<Proposal>(&stored).unwrap(), proposal);
    assert!(!format!("{proposal:?}").contains("hunter2"));
    let document = Proposal::json("so be it {}");
    assert_eq!(
        document.extract(),
        Ok(("so be it {}", Extraction::Whole)),
        "what is said to be JSON is not searched"
    );
}
