//! A floor imports only floors below it, and only the ground floor reads clocks.

use crate::source::{File, Token, files, inline_modules, module_of, tokens};

/// The floors, each with those that it may import besides itself.
const FLOORS: [(&str, &[&str]); 7] = [
    ("base", &[]),
    ("decide", &["base"]),
    ("observe", &["base", "decide"]),
    ("remember", &["base", "decide"]),
    ("act", &["base", "decide", "observe", "remember"]),
    ("operate", &["base", "decide", "observe", "remember", "act"]),
    ("testing", &["base", "decide", "observe", "remember", "act", "operate"]),
];

/// What only `base/time.rs` may call.
const CLOCKS: [(&str, &str); 4] =
    [("Instant", "now"), ("SystemTime", "now"), ("Utc", "now"), ("Local", "now")];

/// What a decider must not touch, outside its tests.
const WORLD: [&str; 6] = ["fs", "net", "process", "thread", "env", "os"];
const RUNTIMES: [&str; 4] = ["tokio", "tracing", "rusqlite", "rustix"];

#[test]
fn the_house_stands_on_its_floors() {
    let faults: Vec<String> = files().iter().flat_map(faults).collect();
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

fn faults(file: &File) -> Vec<String> {
    let around = inline_modules(&file.tokens);
    let module = module_of(&file.path);
    let mut faults = Vec::new();
    for at in 0..file.tokens.len() {
        let here = Here { file, module: &module, inline: &around[at], rest: &file.tokens[at..] };
        let before = at.checked_sub(1).map(|before| file.tokens[before].text.as_str());
        let fault = here
            .clock()
            .or_else(|| here.world(before))
            .or_else(|| if before == Some("$") { None } else { here.crate_path() })
            .or_else(|| if before == Some("::") { None } else { here.super_path() });
        let line = file.tokens[at].line;
        faults.extend(fault.map(|fault| format!("src/{}:{line}: {fault}", file.path)));
    }
    faults
}

/// A place in a file, and what follows it.
struct Here<'a> {
    file: &'a File,
    module: &'a [&'a str],
    inline: &'a [&'a str],
    rest: &'a [Token],
}

impl Here<'_> {
    fn word(&self, ahead: usize) -> &str {
        self.rest.get(ahead).map_or("", |token| &token.text)
    }

    fn starts_with(&self, words: &[&str]) -> bool {
        words.iter().enumerate().all(|(i, word)| self.rest.get(i).is_some_and(|token| token.is(word)))
    }

    fn clock(&self) -> Option<String> {
        let read = CLOCKS.iter().find(|(clock, read)| self.starts_with(&[clock, "::", read]))?;
        (self.file.path != "base/time.rs")
            .then(|| format!("only base/time.rs calls {}::{}; take a Now or a Clock", read.0, read.1))
    }

    /// What a decider reaches outside: `std::fs`, also in a group, or a runtime.
    fn world(&self, before: Option<&str>) -> Option<String> {
        let in_tests = self.inline.contains(&"tests") || self.module.contains(&"tests");
        if self.module[0] != "decide" || in_tests {
            return None;
        }
        let reached = if self.starts_with(&["std", "::", "{"]) {
            let group = self.rest.iter().skip(3).take_while(|token| !token.is(";"));
            group.map(|token| token.text.as_str()).find(|word| WORLD.contains(word))
        } else if self.starts_with(&["std", "::"]) {
            Some(self.word(2)).filter(|word| WORLD.contains(word))
        } else {
            let path = before != Some("::") && self.starts_with(&[self.word(0), "::"]);
            Some(self.word(0)).filter(|word| path && RUNTIMES.contains(word))
        };
        reached.map(|what| format!("a decider does not reach {what}"))
    }

    /// A path that begins with `crate::`.
    fn crate_path(&self) -> Option<String> {
        if !self.starts_with(&["crate", "::"]) {
            return None;
        }
        let (_, below) = FLOORS.iter().find(|(floor, _)| *floor == self.module[0])?;
        let target = self.word(2);
        let is_floor = FLOORS.iter().any(|(floor, _)| *floor == target);
        if !is_floor || !self.rest.get(3).is_some_and(|token| token.is("::")) {
            return Some(format!("crate::{target} is not a path crate::<floor>::…"));
        }
        if target != self.module[0] && !below.contains(&target) {
            return Some(format!("{} must not import {target}", self.module[0]));
        }
        let module = self.word(4);
        (target == "decide" && self.module[0] == "decide" && self.module.get(1) != Some(&module))
            .then(|| format!("deciders do not import each other: {module}"))
    }

    /// A path that begins with `super::` and climbs out of the module's own folder.
    fn super_path(&self) -> Option<String> {
        if !self.starts_with(&["super", "::"]) {
            return None;
        }
        let climbs =
            (0..).step_by(2).take_while(|i| self.word(*i) == "super" && self.word(i + 1) == "::").count();
        let depth = self.module.len() + self.inline.len();
        let is_floor = FLOORS.iter().any(|(floor, _)| *floor == self.module[0]);
        (is_floor && depth.saturating_sub(climbs) < self.module.len().min(2))
            .then(|| "super:: climbs out of the module's own folder".to_owned())
    }
}

fn found(path: &str, text: &str) -> Vec<String> {
    faults(&File { path: path.to_owned(), tokens: tokens(text) })
}

#[test]
fn each_rule_can_fail() {
    for (path, text, says) in [
        ("decide/retry.rs", "use crate::remember::store;", "decide must not import remember"),
        ("base/fault.rs", "fn f() { crate::decide::retry::f() }", "base must not import decide"),
        ("observe/host.rs", "use crate::act::call;", "observe must not import act"),
        ("remember/store.rs", "use crate::testing::sim;", "remember must not import testing"),
        ("act/call.rs", "use crate::retry::Policy;", "crate::retry is not a path"),
        ("act/call.rs", "use crate::{base::time, decide::retry};", "crate::{ is not a path"),
        ("decide/retry.rs", "use crate::decide::breaker::Policy;", "each other: breaker"),
        ("decide/retry/policy.rs", "use crate::decide::{breaker, retry};", "each other"),
        ("decide/retry.rs", "use super::breaker;", "climbs out"),
        ("decide/retry.rs", "mod tests { use super::super::breaker; }", "climbs out"),
        ("decide/retry/policy.rs", "use super::super::breaker;", "climbs out"),
        ("act/call.rs", "let t = std::time::Instant::now();", "Instant::now"),
        ("act/call.rs", "let t = chrono::Utc::now();", "Utc::now"),
        ("lib.rs", "let t = SystemTime::now();", "SystemTime::now"),
        ("decide/quota.rs", "use std::fs;", "does not reach fs"),
        ("decide/quota.rs", "use std::{collections::HashMap, thread};", "does not reach thread"),
        ("decide/quota.rs", "fn f() { tracing::info!(\"x\") }", "does not reach tracing"),
    ] {
        let faults = found(path, text);
        assert!(faults.iter().any(|fault| fault.contains(says)), "{path}: {text}: {faults:?}");
    }
}

#[test]
fn what_is_allowed_passes() {
    for (path, text) in [
        ("decide/retry.rs", "use crate::base::time::Moment; mod tests { use super::*; }"),
        ("decide/retry/policy.rs", "use super::Reason; use crate::decide::retry::Stop;"),
        ("decide/retry/tests.rs", "use std::fs; use super::*;"),
        ("act/call.rs", "pub(crate) fn f() { crate::decide::retry::f(); crate::act::limit::f() }"),
        ("base/time.rs", "fn f() { Instant::now(); chrono::Utc::now() }"),
        ("testing/mod.rs", "use crate::operate::doctor; mod tests { use super::*; }"),
        ("lib.rs", "pub use base::time; mod prelude { pub use crate::retry; }"),
        ("act/call.rs", "// Instant::now() is not called\nlet s = \"crate::nowhere\"; $crate::retry::f()"),
    ] {
        assert_eq!(found(path, text), [""; 0], "{path}: {text}");
    }
}
