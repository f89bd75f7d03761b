//! A backup that stores what has changed meaningfully, and says of each file why or why not.

use unattended::backup::{Over, Policy, Store, Which};
use unattended::explain::Explain;
use unattended::time::{Clock, System};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let docs = folder.path().join("docs");
    std::fs::create_dir(&docs)?;
    let store = Store::create(folder.path().join("store"))?;
    let guide = "Every line of this guide says the same thing.\n".repeat(200);
    let rewritten = "Not one line is as it was.\n".repeat(200);
    for text in [guide.clone(), guide.replacen("same", "very same", 1), rewritten] {
        std::fs::write(docs.join("guide.md"), text)?;
        let report = store.backup(&docs, &Policy::default(), System.now())?;
        for entry in &report.entries {
            println!("{} {}", entry.path, entry.decision.code());
        }
    }
    println!("{}", store.verify(System.now())?);
    for restored in store.restore_tree(Which::At(1), folder.path().join("out"), Over::Older)? {
        println!("restored: {}", matches!(restored, unattended::backup::Restored::Written(_)));
    }
    println!("as it was: {}", std::fs::read_to_string(folder.path().join("out/guide.md"))? == guide);
    Ok(())
}
