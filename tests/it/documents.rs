//! Every page is compiled, so that no example in it can rot.

use std::collections::BTreeSet;
use std::fs;

use crate::source::{Kind, root, tokens};

#[test]
fn every_page_is_a_documentation_test() {
    let mut pages: BTreeSet<String> = fs::read_dir(root().join("docs"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".md"))
        .map(|name| format!("../docs/{name}"))
        .collect();
    if root().join("README.md").exists() {
        pages.insert("../README.md".to_owned());
    }
    let text = fs::read_to_string(root().join("src/docs.rs")).unwrap();
    let compiled: BTreeSet<String> =
        tokens(&text).into_iter().filter(|t| t.kind == Kind::Text).map(|t| t.text).collect();
    assert_eq!(compiled, pages, "the pages that src/docs.rs includes, and the pages that there are");
}
