//! Deny before review before allow; and only a gate approves.

use serde::Deserialize;

use crate::base::explain::Explain;
use crate::decide::contract::{
    Approved, Candidate, Contract, Decision, Error, Gate, Otherwise, Proposal, Reason, Review, Schema,
    Verdict,
};

#[derive(Debug, PartialEq, Deserialize)]
struct Refund {
    euros: u32,
    to: String,
}

struct Account {
    frozen: bool,
}

fn contract() -> Contract<Refund> {
    Contract::new("refund", 1)
        .schema(
            Schema::object()
                .required("euros", Schema::integer().within(0..=10_000))
                .required("to", Schema::text().length(1..=20)),
        )
        .build()
        .unwrap()
}

fn gate() -> Gate<Refund, Account> {
    Gate::with_facts(contract())
        .rule("small", |refund: &Refund| match refund.euros {
            0..=50 => Verdict::allow("at most 50 euros"),
            51..=500 => Verdict::review("more than 50 euros"),
            501..=1000 => Verdict::Pass,
            _ => Verdict::deny("more than 1000 euros"),
        })
        .rule("known", |refund: &Refund| match refund.to.as_str() {
            "ada" => Verdict::allow("ada is known"),
            _ => Verdict::Pass,
        })
        .rule_with("frozen", |_: &Refund, account: &Account| {
            if account.frozen { Verdict::deny("the account is frozen") } else { Verdict::Pass }
        })
        .build()
        .unwrap()
}

const OPEN: Account = Account { frozen: false };
const FROZEN: Account = Account { frozen: true };

fn decide(euros: u32, to: &str, account: &Account) -> Decision<Refund> {
    let text = format!("{{\"euros\":{euros},\"to\":\"{to}\"}}");
    gate().decide_with(&Proposal::json(text).from("model:7"), account)
}

fn for_review(euros: u32, to: &str) -> Candidate<Refund> {
    match decide(euros, to, &OPEN) {
        Decision::Review { candidate, .. } => candidate,
        other => panic!("{other}"),
    }
}

#[test]
fn deny_goes_before_review_and_review_before_allow() {
    let told = |euros, to, account| decide(euros, to, account).to_string();
    assert_eq!(
        told(50, "ada", &OPEN),
        "approved: small allows it: at most 50 euros; known allows it: ada is known"
    );
    assert_eq!(told(51, "ada", &OPEN), "for a person to decide: small asks for a person: more than 50 euros");
    assert_eq!(
        told(1001, "ada", &FROZEN),
        "denied: small denies it: more than 1000 euros; frozen denies it: the account is frozen"
    );
    assert_eq!(told(50, "ada", &FROZEN), "denied: frozen denies it: the account is frozen");
    let codes = [
        (50, "contract.approved"),
        (51, "contract.in_review"),
        (1001, "contract.denied"),
        (20_000, "contract.refused"),
    ];
    assert!(codes.into_iter().all(|(euros, code)| decide(euros, "bob", &OPEN).code() == code));
}

#[test]
fn what_no_rule_is_about_is_never_allowed() {
    let Decision::Review { reasons, .. } = decide(700, "bob", &OPEN) else { panic!() };
    assert_eq!(reasons, [Reason::NoRule { rules: 3 }]);
    assert_eq!(reasons[0].code(), "contract.no_rule");
    let strict = Gate::new(contract()).rule("none", |_: &Refund| Verdict::Pass).otherwise(Otherwise::Deny);
    let strict = strict.build().unwrap();
    let proposal = Proposal::json(r#"{"euros":1,"to":"bob"}"#);
    let Decision::Denied { reasons, candidate } = strict.decide(&proposal) else { panic!() };
    assert_eq!(reasons, [Reason::NoRule { rules: 1 }]);
    let review = candidate.review("ada", "why not");
    assert!(strict.reviewed(candidate, &review).approved().is_none(), "a person does not change that");
}

#[test]
fn what_is_approved_says_where_it_comes_from() {
    let Decision::Approved(refund) = decide(20, "ada", &OPEN) else { panic!() };
    let origin = refund.origin();
    assert_eq!((&*origin.source, &*origin.contract, origin.from), ("model:7", "refund/1", 1));
    assert_eq!(refund.reasons().iter().filter_map(Reason::rule).collect::<Vec<_>>(), ["small", "known"]);
    assert_eq!(refund.input().get(), r#"{"euros":20,"to":"ada"}"#);
    let spelled = Proposal::text("so: {\"to\": \"\\u0061da\", \"euros\": 2e1}");
    let again = gate().decide_with(&spelled, &OPEN).approved().unwrap();
    assert_eq!(again.origin().fingerprint, origin.fingerprint, "however it is spelled");
    assert_eq!((refund.euros, again.into_inner()), (20, Refund { euros: 20, to: String::from("ada") }));
}

#[test]
fn a_person_stands_in_for_what_asks_for_one_and_not_for_what_denies() {
    let candidate = for_review(80, "bob");
    let review = candidate.review("ada", "a customer of ten years");
    let stored: Review = serde_json::from_str(&serde_json::to_string(&review).unwrap()).unwrap();
    let approved = gate().reviewed_with(candidate, &stored, &OPEN).approved().unwrap();
    assert_eq!(approved.review(), Some(&review));
    assert_eq!(approved.reasons().last().unwrap().to_string(), "ada approves it: a customer of ten years");

    let candidate = for_review(80, "bob");
    let review = candidate.review("ada", "a customer of ten years");
    let frozen = gate().reviewed_with(candidate, &review, &FROZEN);
    assert_eq!(frozen.code(), "contract.denied", "it was frozen in the meantime");
}

#[test]
fn a_review_is_of_what_was_seen_and_has_a_name() {
    let review = for_review(80, "bob").review("ada", "fine");
    let Decision::Review { reasons, candidate } =
        gate().reviewed_with(for_review(400, "bob"), &review, &OPEN)
    else {
        panic!()
    };
    assert_eq!(
        reasons.iter().map(Explain::code).collect::<Vec<_>>(),
        ["contract.other_reviewed", "contract.rule_asks"]
    );
    for (by, why) in [("", "fine"), ("ada", " ")] {
        let nameless = candidate.review(by, why);
        let decided = gate().reviewed_with(for_review(400, "bob"), &nameless, &OPEN);
        assert_eq!(decided.reasons()[0].code(), "contract.nameless_review");
        assert!(decided.approved().is_none());
    }
}

#[test]
fn the_same_proposal_is_decided_the_same_after_it_was_stored() {
    let proposal = Proposal::text("I would do this: {\"euros\": 30, \"to\": \"bob\"}").from("model:7");
    let stored = serde_json::to_string(&proposal).unwrap();
    let read: Proposal = serde_json::from_str(&stored).unwrap();
    let (first, second) = (gate().decide_with(&proposal, &OPEN), gate().decide_with(&read, &OPEN));
    assert_eq!(format!("{first:?}"), format!("{second:?}"));
    assert!(second.approved().is_some());
}

#[test]
fn what_is_not_as_the_contract_says_is_refused_before_any_rule() {
    let gate = Gate::new(contract()).rule("panics", |_: &Refund| panic!("asked")).build().unwrap();
    let codes = [
        (Proposal::json(r#"{"euros":1}"#), "contract.refused"),
        (Proposal::text("no"), "contract.no_candidate"),
        (Proposal::text("{} {\"a\":1}"), "contract.ambiguous_candidate"),
        (Proposal::text("{\"a\":"), "contract.broken_candidate"),
        (Proposal::text(" ".repeat(70_000)), "contract.too_long"),
        (Proposal::json("{}").version(9), "contract.unknown_version"),
    ];
    for (proposal, code) in codes {
        let decision = gate.decide(&proposal);
        assert_eq!(decision.code(), code);
        assert!(decision.to_string().starts_with("refund/1 refuses the input"), "{decision}");
    }
}

#[test]
fn gates_that_could_not_work_are_refused_at_build() {
    let begun = || Gate::new(contract());
    let wrong = |built: Result<Gate<Refund>, Error>| built.unwrap_err().to_string();
    assert_eq!(wrong(begun().build()), "rules is 0; allowed is 1 to 256");
    let pass = |_: &Refund| Verdict::Pass;
    assert!(wrong(begun().rule("a", pass).rule("a", pass).build()).starts_with("rule is \"a\" twice"));
    assert!(wrong(begun().rule("a b", pass).build()).starts_with("rule is \"a b\""));
}

#[test]
fn gates_and_approvals_go_from_thread_to_thread() {
    fn goes<T: Send + Sync>() {}
    goes::<Gate<Refund, Account>>();
    goes::<Approved<Refund>>();
    goes::<Decision<Refund>>();
}
