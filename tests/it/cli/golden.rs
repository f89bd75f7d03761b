//! Two answers as people see them, letter for letter. `UNATTENDED_BLESS=1` writes them anew.

use std::fs;
use std::path::Path;

use super::fixture::{Fixture, filled};

#[test]
fn runs_looks_like_this() {
    let fixture = filled();
    let given = fixture.run(&["runs", "--absolute"]);
    compare("cli_runs.out", &without_ids(&given.out, &fixture));
}

#[test]
fn explain_looks_like_this() {
    let fixture = filled();
    let given = fixture.run(&["explain", "ingest~1"]);
    compare("cli_explain.out", &without_ids(&given.out, &fixture));
}

/// Ids, the place of the store and how long ago it is are of each run of the test; widths stay.
fn without_ids(text: &str, fixture: &Fixture) -> String {
    let mut text = text.replace(&fixture.path.display().to_string(), "STORE");
    for (id, letter) in
        [(&fixture.failed, "a"), (&fixture.succeeded, "b"), (&fixture.review, "c"), (&fixture.queued, "d")]
    {
        text = text.replace(id.as_str(), &format!("0000-{}", letter.repeat(31)));
        text = text.replace(&id[id.len() - 8..], &letter.repeat(8));
    }
    let lines = text.lines().map(|line| match line.split_once(" d ago") {
        Some((before, after)) => {
            format!("{}N d ago{after}\n", before.trim_end_matches(|c: char| c.is_ascii_digit()))
        }
        None => format!("{line}\n"),
    });
    lines.collect()
}

fn compare(name: &str, given: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("UNATTENDED_BLESS").is_some() {
        fs::write(&path, given).unwrap();
    }
    let golden = fs::read_to_string(&path).unwrap();
    assert!(golden == given, "{name} is\n{golden}\nand was given\n{given}");
}
