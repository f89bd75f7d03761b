//! What a feature brings, and that it can be built with the oldest compiler that is promised.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::source::root;

/// The newest `rust-version` that a locked crate may ask for: the crate's own.
const RUST: (u64, u64) = (1, 89);

#[test]
fn no_feature_brings_what_is_denied() {
    let denied = Denied::read(&fs::read_to_string(root().join("tests/deny-crates.txt")).unwrap());
    let mut faults = Vec::new();
    for feature in features().into_iter().chain([String::new()]) {
        let found = denied.in_tree(&feature, &tree(&feature, &[]));
        faults.extend(found.into_iter().map(|name| format!("feature {feature:?} brings {name}")));
    }
    assert!(faults.is_empty(), "see tests/deny-crates.txt:\n{}", faults.join("\n"));
}

#[test]
fn a_user_of_the_deciders_pays_for_four_crates() {
    let direct: Vec<_> = tree("default", &["--depth", "1"]).into_iter().collect();
    assert_eq!(direct, ["chrono", "serde", "thiserror", "tracing", "unattended"]);
    // Their own trees, macros and all; a twenty-fifth crate is a decision, not an accident.
    let all = tree("default", &[]);
    assert!(all.len() <= 24, "{} crates: {all:?}", all.len());
    assert!(!tree("", &[]).contains("tracing"));
}

#[test]
fn features_bring_what_they_are_for() {
    for (feature, brings) in [
        ("tokio", "tokio"),
        ("store", "sha2"),
        ("sqlite", "libsqlite3-sys"),
        ("postgres", "tokio-postgres"),
        ("postgres-tls", "rustls"),
        ("cli", "clap"),
        ("watch", "notify"),
        ("lines", "regex"),
        ("backup", "globset"),
        ("zstd", "zstd"),
    ] {
        assert!(tree(feature, &[]).contains(brings), "{feature} does not bring {brings}");
    }
}

#[test]
fn every_locked_crate_builds_with_the_promised_compiler() {
    let metadata = metadata();
    let packages = metadata["packages"].as_array().unwrap();
    let own = packages.iter().find(|p| p["name"] == "unattended").unwrap();
    assert_eq!(version(own["rust_version"].as_str().unwrap()), RUST);
    let newer: Vec<String> = packages
        .iter()
        .filter(|p| p["rust_version"].as_str().is_some_and(|asked| version(asked) > RUST))
        .map(|p| format!("{} {} asks for {}", p["name"], p["version"], p["rust_version"]))
        .collect();
    assert!(newer.is_empty(), "{}", newer.join("\n"));

    let lock = fs::read_to_string(root().join("Cargo.lock")).unwrap();
    let locked = lock.lines().filter(|line| *line == "[[package]]").count();
    assert_eq!(packages.len(), locked, "cargo metadata did not give every locked crate");
}

/// The deny list: a crate, and the features that may bring it.
struct Denied(BTreeMap<String, BTreeSet<String>>);

impl Denied {
    fn read(text: &str) -> Self {
        let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default());
        let entries = lines.filter(|line| !line.trim().is_empty()).map(|line| {
            let mut words = line.split_whitespace().map(str::to_owned);
            let name = words.next().unwrap();
            assert!(words.next().is_none_or(|word| word == "unless"), "{line}");
            (name, words.collect())
        });
        let denied = Self(entries.collect());
        assert!(!denied.0.is_empty());
        denied
    }

    fn in_tree(&self, feature: &str, tree: &BTreeSet<String>) -> Vec<String> {
        let denied = |name: &&String| self.0.get(*name).is_some_and(|unless| !unless.contains(feature));
        tree.iter().filter(denied).cloned().collect()
    }
}

/// The names of the crates that `feature` alone compiles on this platform, and of those that build them.
fn tree(feature: &str, more: &[&str]) -> BTreeSet<String> {
    let mut words = vec!["tree", "--edges", "normal,build", "--prefix", "none", "--format", "{p}"];
    words.extend(["--no-default-features", "--features", feature]);
    words.extend(more);
    let text = cargo(&words);
    let names: BTreeSet<String> =
        text.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect();
    assert!(names.contains("unattended"), "{text}");
    names
}

fn features() -> Vec<String> {
    let metadata = metadata();
    let packages = metadata["packages"].as_array().unwrap();
    let own = packages.iter().find(|p| p["name"] == "unattended").unwrap();
    own["features"].as_object().unwrap().keys().cloned().collect()
}

/// Every locked crate, those of other platforms too, which cargo may first have to fetch.
fn metadata() -> Value {
    serde_json::from_str(&cargo(&["metadata", "--all-features", "--format-version", "1"])).unwrap()
}

/// What cargo says, from what is here if it can, else with the registry.
fn cargo(words: &[&str]) -> String {
    let run = |offline: &[&str]| {
        Command::new(env!("CARGO"))
            .args(words)
            .arg("--locked")
            .args(offline)
            .current_dir(root())
            .env("CARGO_TERM_COLOR", "never")
            .output()
            .unwrap()
    };
    let mut output = run(&["--offline"]);
    if !output.status.success() {
        output = run(&[]);
    }
    assert!(output.status.success(), "cargo {words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn version(text: &str) -> (u64, u64) {
    let mut parts = text.split('.').map(|part| part.parse().unwrap());
    (parts.next().unwrap(), parts.next().unwrap_or(0))
}

#[test]
fn the_deny_list_can_fail() {
    let denied = Denied::read("# why\nopenssl # a system library\ntokio unless tokio full\n\n");
    let tree: BTreeSet<String> = ["openssl", "tokio", "serde"].map(str::to_owned).into();
    assert_eq!(denied.in_tree("tokio", &tree), ["openssl"]);
    assert_eq!(denied.in_tree("store", &tree), ["openssl", "tokio"]);
    assert!(version("1.90.0") > RUST && version("1.89") == RUST && version("1.9") < RUST);
}
