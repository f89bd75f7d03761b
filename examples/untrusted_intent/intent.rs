//! What may be proposed at all, and the rules of the house.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use unattended::contract::{self, Contract, Schema, Verdict};

/// What is proposed.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Intent {
    Refund { order: String, euros: u32 },
    ChangeAddress { address: String },
    DeleteAccount { account: String },
    Publish { by: String, text: String },
}

impl Intent {
    /// What it is about, in a few words.
    pub(crate) fn title(&self) -> String {
        match self {
            Self::Refund { order, .. } => format!("refund {order}"),
            Self::ChangeAddress { .. } => String::from("change of an address"),
            Self::DeleteAccount { account } => format!("deletion of {account}"),
            Self::Publish { by, .. } => format!("publish by {by}"),
        }
    }
}

/// What the house knows about who wrote. It is collected before the gate is asked, and would be stored with the proposal.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    name: &'static str,
    trusted: bool,
    paid: u32,
}

/// All accounts.
pub(crate) struct Facts(BTreeMap<&'static str, Account>);

impl Facts {
    pub(crate) fn collected() -> Self {
        let account = |name, trusted, paid| (name, Account { name, trusted, paid });
        Self([account("ada", true, 60), account("bob", false, 400), account("mal", false, 80)].into())
    }

    /// What is known about one; of a stranger nothing.
    pub(crate) fn about(&self, who: &str) -> Account {
        self.0.get(who).cloned().unwrap_or(Account { name: "a stranger", trusted: false, paid: 0 })
    }
}

pub(crate) type Gate = contract::Gate<Intent, Account>;

pub(crate) fn gate() -> Result<Gate, contract::Error> {
    contract::Gate::with_facts(contract()?)
        .rule_with("refund.amount", |intent: &Intent, account: &Account| match intent {
            Intent::Refund { euros, .. } if *euros > account.paid => {
                let (name, paid) = (account.name, account.paid);
                Verdict::deny(format_args!("{euros} euros are more than the {paid} that {name} has paid"))
            }
            Intent::Refund { euros, .. } if *euros > 50 => {
                Verdict::review(format_args!("{euros} euros are more than 50"))
            }
            Intent::Refund { euros, .. } => Verdict::allow(format_args!("{euros} euros are at most 50")),
            _ => Verdict::Pass,
        })
        .rule_with("address.owner", |intent, account| match intent {
            Intent::ChangeAddress { .. } if account.trusted => {
                Verdict::allow(format_args!("{} is known", account.name))
            }
            Intent::ChangeAddress { .. } => {
                Verdict::review(format_args!("{} is not known well", account.name))
            }
            _ => Verdict::Pass,
        })
        .rule("account.deletion", |intent| match intent {
            Intent::DeleteAccount { account } => {
                Verdict::deny(format_args!("{account} has to do that signed in, a message is not enough"))
            }
            _ => Verdict::Pass,
        })
        .rule("publish.tone", |intent| match intent {
            Intent::Publish { text, .. } if text.contains("!!") => Verdict::review("it is loud"),
            Intent::Publish { .. } => Verdict::allow("it is calm"),
            _ => Verdict::Pass,
        })
        .build()
}

fn contract() -> Result<Contract<Intent>, contract::Error> {
    let refund = Schema::object()
        .required("order", Schema::text().matching("an order such as o-17", |text| text.starts_with("o-")))
        .required("euros", Schema::integer().within(1..=5000));
    let publish = Schema::object()
        .required("by", Schema::text().length(1..=20))
        .required("text", Schema::text().length(1..=200));
    let schema = Schema::tagged("action")
        .variant("refund", refund)
        .variant("change_address", Schema::object().required("address", Schema::text().length(5..=80)))
        .variant("delete_account", Schema::object().required("account", Schema::text().length(1..=20)))
        .variant("publish", publish);
    Contract::new("intent", 1).schema(schema).build()
}
