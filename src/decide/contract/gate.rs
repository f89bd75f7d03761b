//! The gate: a contract and rules, through which what is proposed becomes what may be done.

use std::fmt;
use std::sync::Arc;

use serde::de::DeserializeOwned;

use super::build::{invalid, named};
use super::{
    Approved, Candidate, Contract, Decision, Error, Origin, Problem, Proposal, Reason, Refusal, Refused,
};
use super::{Review, Verdict, Violations};
use crate::base::canonical::Fingerprint;

/// How many rules a gate may have.
const RULES_MAX: usize = 256;

/// A contract and rules. What meets the contract is put before every rule, and their words together decide: **deny
/// before review, review before allow**. What no rule is about is for a person, or denied ([`Otherwise`]); never allowed.
///
/// Rules are deterministic: they look at the candidate and at facts that the caller has collected, at no clock and at
/// nothing outside. So the same proposal and the same facts always give the same decision, and an approval need not be
/// stored: a run stores the [`Proposal`] (and the facts) as its input, and the step that acts asks the gate again. That
/// is cheap, and so is a clone of the gate.
///
/// ```
/// use serde::Deserialize;
/// use unattended::contract::{Approved, Contract, Decision, Gate, Proposal, Schema, Verdict};
///
/// #[derive(Debug, Deserialize)]
/// struct Refund { euros: u32 }
///
/// let contract = Contract::<Refund>::new("refund", 1)
///     .schema(Schema::object().required("euros", Schema::integer().within(1..=1_000_000)))
///     .build()?;
/// let gate = Gate::new(contract)
///     .rule("small", |refund: &Refund| match refund.euros {
///         0..=50 => Verdict::allow("at most 50 euros"),
///         51..=500 => Verdict::review("more than 50 euros"),
///         _ => Verdict::deny("more than 500 euros"),
///     })
///     .build()?;
///
/// fn pay(refund: Approved<Refund>) -> u32 { refund.euros }
///
/// let answer = Proposal::text(r#"Sure: {"euros": 20}"#).from("model:7");
/// match gate.decide(&answer) {
///     Decision::Approved(refund) => assert_eq!(pay(refund), 20),
///     other => unreachable!("{other}"),
/// }
/// let Decision::Review { candidate, .. } = gate.decide(&Proposal::json(r#"{"euros": 80}"#)) else { unreachable!() };
/// let review = candidate.review("ada", "a customer of ten years");
/// assert!(gate.reviewed(candidate, &review).approved().is_some());
/// # Ok::<(), unattended::contract::Error>(())
/// ```
pub struct Gate<T, F = ()> {
    inner: Arc<Inner<T, F>>,
}

struct Inner<T, F> {
    contract: Contract<T>,
    rules: Vec<Rule<T, F>>,
    otherwise: Otherwise,
}

struct Rule<T, F> {
    name: String,
    judge: Box<Judge<T, F>>,
}

/// What a rule says of a candidate, in view of the facts.
type Judge<T, F> = dyn Fn(&T, &F) -> Verdict + Send + Sync;

/// What becomes of a candidate that no rule is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Otherwise {
    /// A person has to look at it.
    #[default]
    Review,
    /// It is denied, also when a person approves it.
    Deny,
}

impl<T> Gate<T> {
    /// Begins a gate behind `contract` whose rules look at the candidate alone.
    #[allow(clippy::new_ret_no_self, reason = "a gate begins with its builder, as every policy here does")]
    pub const fn new(contract: Contract<T>) -> GateBuilder<T> {
        GateBuilder { contract, rules: Vec::new(), otherwise: Otherwise::Review }
    }
}

impl<T, F> Gate<T, F> {
    /// Begins a gate behind `contract` whose rules look at facts of the type `F` too, such as the account that a refund
    /// goes to. Whoever asks collects them, and asks again with the same ones: keep them with the proposal.
    pub const fn with_facts(contract: Contract<T>) -> GateBuilder<T, F> {
        GateBuilder { contract, rules: Vec::new(), otherwise: Otherwise::Review }
    }

    /// The contract that candidates have to meet.
    #[must_use]
    pub fn contract(&self) -> &Contract<T> {
        &self.inner.contract
    }

    /// The names of its rules, in their order.
    pub fn rules(&self) -> impl Iterator<Item = &str> {
        self.inner.rules.iter().map(|rule| rule.name.as_str())
    }
}

impl<T: DeserializeOwned> Gate<T> {
    /// What becomes of the proposal.
    pub fn decide(&self, proposal: &Proposal) -> Decision<T> {
        self.decide_with(proposal, &())
    }

    /// What becomes of a candidate that a person has approved: see [`reviewed_with`](Self::reviewed_with).
    pub fn reviewed(&self, candidate: Candidate<T>, review: &Review) -> Decision<T> {
        self.reviewed_with(candidate, review, &())
    }
}

impl<T: DeserializeOwned, F> Gate<T, F> {
    /// What becomes of the proposal, in view of the facts.
    pub fn decide_with(&self, proposal: &Proposal, facts: &F) -> Decision<T> {
        match self.candidate(proposal) {
            Ok(candidate) => self.judge(candidate, facts, None),
            Err(refused) => Decision::Refused(refused),
        }
    }

    /// What becomes of a candidate that a person has approved: it is approved, unless a rule denies it. A person stands in
    /// for a rule that allows and for one that asks for a person, not for one that denies.
    ///
    /// The review has to be of this very candidate, and has to say by whom it is and why; else the candidate stays where
    /// it is. Only the caller knows whether `by` is the one who it says it is.
    pub fn reviewed_with(&self, candidate: Candidate<T>, review: &Review, facts: &F) -> Decision<T> {
        let given = candidate.origin.fingerprint;
        let reason = if review.by.trim().is_empty() || review.why.trim().is_empty() {
            Reason::Nameless
        } else if review.seen != given {
            Reason::OtherReviewed { seen: review.seen, given }
        } else {
            return self.judge(candidate, facts, Some(review));
        };
        match self.judge(candidate, facts, None) {
            Decision::Review { mut reasons, candidate } => {
                reasons.insert(0, reason);
                Decision::Review { reasons, candidate }
            }
            decided => decided,
        }
    }

    /// What meets the contract.
    fn candidate(&self, proposal: &Proposal) -> Result<Candidate<T>, Refused> {
        let contract = &self.inner.contract;
        let because = |why| contract.shared.because(why);
        let (json, extraction) = proposal.extract().map_err(because)?;
        let accepted = contract.accept(proposal.schema_version(), json)?;
        let fingerprint = Fingerprint::of_text(accepted.input.get()).map_err(|error| {
            let mut violations = Violations::default();
            violations.note(Problem::NotJson, String::new, error, "a JSON document");
            because(Refusal::Invalid { version: accepted.from, violations })
        })?;
        let origin = Origin {
            source: proposal.source().to_owned(),
            contract: contract.shared.label.clone(),
            from: accepted.from,
            extraction,
            fingerprint,
        };
        Ok(Candidate { value: accepted.value, input: accepted.input, origin })
    }

    fn judge(&self, candidate: Candidate<T>, facts: &F, review: Option<&Review>) -> Decision<T> {
        let inner = &*self.inner;
        let (mut allow, mut deny, mut ask) = (Vec::new(), Vec::new(), Vec::new());
        for Rule { name, judge } in &inner.rules {
            match judge(&candidate.value, facts) {
                Verdict::Pass => {}
                Verdict::Allow { why } => allow.push(Reason::allowed(name, &why)),
                Verdict::Deny { why } => deny.push(Reason::denied(name, &why)),
                Verdict::Review { why } => ask.push(Reason::for_review(name, &why)),
            }
        }
        if allow.is_empty() && deny.is_empty() && ask.is_empty() {
            let silence = Reason::NoRule { rules: inner.rules.len() };
            match inner.otherwise {
                Otherwise::Review => ask.push(silence),
                Otherwise::Deny => deny.push(silence),
            }
        }
        if !deny.is_empty() {
            return Decision::Denied { reasons: deny, candidate };
        }
        match review {
            Some(review) => {
                allow.push(Reason::reviewed(&review.by, &review.why));
                Decision::Approved(Approved::of(candidate, allow, Some(review.clone())))
            }
            None if ask.is_empty() => Decision::Approved(Approved::of(candidate, allow, None)),
            None => Decision::Review { reasons: ask, candidate },
        }
    }
}

impl<T, F> Clone for Gate<T, F> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl<T, F> fmt::Debug for Gate<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate")
            .field("contract", &self.inner.contract)
            .field("rules", &self.rules().collect::<Vec<_>>())
            .field("otherwise", &self.inner.otherwise)
            .finish()
    }
}

/// A gate that is being put together.
#[must_use = "a gate is not built until build() is called"]
pub struct GateBuilder<T, F = ()> {
    contract: Contract<T>,
    rules: Vec<Rule<T, F>>,
    otherwise: Otherwise,
}

impl<T, F> GateBuilder<T, F> {
    /// Adds a rule that looks at the candidate.
    pub fn rule(
        self,
        name: impl Into<String>,
        judge: impl Fn(&T) -> Verdict + Send + Sync + 'static,
    ) -> Self {
        self.rule_with(name, move |candidate, _| judge(candidate))
    }

    /// Adds a rule that looks at the candidate and at the facts. All rules are asked, whatever the others say. A rule
    /// must give the same answer each time; one that panics lets nothing through, as the panic goes on to the caller.
    pub fn rule_with(
        mut self,
        name: impl Into<String>,
        judge: impl Fn(&T, &F) -> Verdict + Send + Sync + 'static,
    ) -> Self {
        self.rules.push(Rule { name: name.into(), judge: Box::new(judge) });
        self
    }

    /// What becomes of a candidate that no rule is about. Default: a person has to look at it.
    pub const fn otherwise(mut self, otherwise: Otherwise) -> Self {
        self.otherwise = otherwise;
        self
    }

    /// The gate.
    ///
    /// # Errors
    ///
    /// [`Error::Field`]: no rules or more than 256; a rule's name that is there twice, is empty, longer than 100 bytes or
    /// has white space, control characters, `/`, `~` or `@` in it.
    pub fn build(self) -> Result<Gate<T, F>, Error> {
        let Self { contract, rules, otherwise } = self;
        if rules.is_empty() || rules.len() > RULES_MAX {
            return Err(invalid("rules", rules.len(), format!("1 to {RULES_MAX}")));
        }
        for (at, rule) in rules.iter().enumerate() {
            named("rule", &rule.name)?;
            if rules[..at].iter().any(|other| other.name == rule.name) {
                return Err(invalid("rule", format!("{:?} twice", rule.name), "a name once in a gate"));
            }
        }
        Ok(Gate { inner: Arc::new(Inner { contract, rules, otherwise }) })
    }
}

impl<T, F> fmt::Debug for GateBuilder<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rules: Vec<_> = self.rules.iter().map(|rule| rule.name.as_str()).collect();
        f.debug_struct("GateBuilder")
            .field("contract", &self.contract)
            .field("rules", &rules)
            .finish_non_exhaustive()
    }
}
