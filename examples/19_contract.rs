//! Bad input is refused before anything is spent, with all that is wrong; an older version is upgraded.

use serde::{Deserialize, Serialize};
use unattended::contract::{Contract, Schema};

#[derive(Deserialize)]
struct Old {
    name: String,
}
#[derive(Debug, Deserialize, Serialize)]
struct Publish {
    title: String,
    tags: Vec<String>,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let contract = Contract::<Publish>::new("publish", 2)
        .schema(
            Schema::object()
                .required("title", Schema::text().length(1..=40))
                .required("tags", Schema::array(Schema::text()).count(..=3)),
        )
        .upgrade(1, |old: Old| Ok(Publish { title: old.name, tags: Vec::new() }))
        .build()?;
    println!("{:?}", contract.accept(Some(1), r#"{"name": "A day at sea"}"#)?.value);
    for bad in [r#"{"titel": "A day", "tags": [1, "b", null, "d"]}"#, r#"{"title": "#] {
        println!("{:#}", contract.accept(None, bad).err().ok_or("accepted")?);
    }
    Ok(())
}
