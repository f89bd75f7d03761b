//! What changes the world. Only what a gate has approved gets in.

use unattended::contract::Approved;

use crate::intent::Intent;

/// What was done.
#[derive(Default)]
pub(crate) struct World(Vec<String>);

impl World {
    /// Does it. There is no way to call this with what the classifier has said.
    pub(crate) fn perform(&mut self, intent: &Approved<Intent>) {
        let what = match intent.get() {
            Intent::Refund { order, euros } => format!("paid {euros} euros back for {order}"),
            Intent::ChangeAddress { address } => format!("changed the address to {address}"),
            Intent::DeleteAccount { account } => format!("deleted {account}"),
            Intent::Publish { by, text } => format!("published by {by}: {text}"),
        };
        let rules: Vec<_> = intent.reasons().iter().filter_map(|reason| reason.rule()).collect();
        let review = intent.review().map_or(String::new(), |review| format!(", approved by {}", review.by));
        self.0.push(format!("{what} (said {}, allowed by {rules:?}{review})", intent.origin().source));
    }

    pub(crate) fn done(&self) -> &[String] {
        &self.0
    }
}
