//! Contracts, proposals and gates, from the outside.

mod documents;
mod gates;
mod proposals;
mod random;
mod schemas;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Contract, Schema, Violations};

/// What the tests order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    id: u64,
    title: String,
    paid: bool,
    rate: f64,
    items: Vec<Item>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    note: Option<String>,
    labels: BTreeMap<String, String>,
    by: By,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Item {
    sku: String,
    amount: i64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "way", rename_all = "snake_case", deny_unknown_fields)]
enum By {
    Post { street: String },
    Mail { address: String, copies: u8 },
}

fn schema() -> Schema {
    let item = Schema::object()
        .required("sku", Schema::text().length(1..=20))
        .required("amount", Schema::integer().within(-1000..=1000));
    let by =
        Schema::tagged("way").variant("post", Schema::object().required("street", Schema::text())).variant(
            "mail",
            Schema::object()
                .required("address", Schema::text())
                .required("copies", Schema::integer().within(0..=255)),
        );
    Schema::object()
        .required("id", Schema::integer().within(0..=i128::from(u64::MAX)))
        .required("title", Schema::text().length(1..=50))
        .required("paid", Schema::boolean())
        .required("rate", Schema::number().within(0.0..=1.0))
        .required("items", Schema::array(item).count(..=8))
        .optional("note", Schema::text())
        .required("labels", Schema::map(Schema::text().length(..=30)).count(..=8))
        .required("by", by)
        .into()
}

fn contract() -> Contract<Order> {
    Contract::new("order", 1).schema(schema()).build().unwrap()
}

fn example() -> serde_json::Value {
    serde_json::json!({
        "id": 7, "title": "rope", "paid": true, "rate": 0.5, "labels": {"a": "b"},
        "items": [{"sku": "r-1", "amount": 3}, {"sku": "r-2", "amount": -4}],
        "by": {"way": "mail", "address": "ada@example.org", "copies": 2},
    })
}

/// Path and code of each violation.
fn places(found: &Violations) -> Vec<(&str, &'static str)> {
    use crate::base::explain::Explain;
    found.iter().map(|violation| (violation.path.as_str(), violation.code())).collect()
}
