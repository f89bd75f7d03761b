//! Each short example prints what its page shows: their output is compared with `tests/golden/examples/`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// `UNATTENDED_BLESS=examples` keeps what they print now.
#[test]
fn the_short_examples_print_what_they_printed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = built(root);
    let bless = std::env::var("UNATTENDED_BLESS").is_ok_and(|what| what == "examples");
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(root.join("examples")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ending| ending == "rs") {
            let lines = fs::read_to_string(&path).unwrap().lines().count();
            assert!(lines <= 30, "{} has {lines} lines; 30 are a page", path.display());
            names.insert(path.file_stem().unwrap().to_str().unwrap().to_owned());
        }
    }
    assert!(names.len() >= 10, "{names:?}");
    for name in names {
        let output = Command::new(folder.join(&name)).output().unwrap();
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        let golden = root.join("tests/golden/examples").join(format!("{name}.out"));
        if bless {
            fs::write(&golden, &output.stdout).unwrap();
        }
        let expected = fs::read_to_string(&golden).unwrap_or_default();
        assert_eq!(String::from_utf8_lossy(&output.stdout), expected, "{name}");
    }
}

/// The longer stories tell what they told.
#[test]
fn the_stories_print_what_they_printed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = built(root);
    let bless = std::env::var("UNATTENDED_BLESS").is_ok_and(|what| what == "examples");
    for name in ["publish", "own_transaction"] {
        let output = Command::new(folder.join(name)).output().unwrap();
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        let golden = root.join("tests/golden/examples").join(format!("{name}.out"));
        if bless {
            fs::write(&golden, &output.stdout).unwrap();
        }
        let expected = fs::read_to_string(&golden).unwrap_or_default();
        assert_eq!(String::from_utf8_lossy(&output.stdout), expected, "{name}");
    }
}

/// What commits with the caller's own rows does so on both databases.
#[cfg(all(feature = "postgres", feature = "testing"))]
#[test]
fn the_own_transaction_tells_the_same_on_postgresql() {
    let Some(database) = crate::pg::Database::new() else { return };
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let own = format!("own_{}", std::process::id());
    // A server that has just been started is waited for.
    drop(database.open());
    database.run_as_it_is(&format!("CREATE DATABASE {own}"));
    let (server, _) = database.url.rsplit_once('/').unwrap();
    let example = built(root).join("own_transaction");
    let output = Command::new(example).args(["--store", &format!("{server}/{own}")]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told = String::from_utf8(output.stdout).unwrap();
    // The lease of a process that died is over after its time, in whichever of the calls that follow.
    assert!(told.starts_with("the first process ended well: false\nrows that stand: 4\n"), "{told}");
    let again = "succeeded; worked off before: 0; the same work was done before; rows that stand: 10\n";
    assert!(told.ends_with(again), "{told}");
    database.run_as_it_is(&format!("DROP DATABASE {own} WITH (FORCE)"));
}

/// Builds the examples as this test was built, and gives their folder.
pub(crate) fn built(root: &Path) -> PathBuf {
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--quiet", "--all-features", "--examples"]).current_dir(root);
    if !cfg!(debug_assertions) {
        build.arg("--release");
    }
    assert!(build.status().unwrap().success());
    Path::new(env!("CARGO_BIN_EXE_unattended")).parent().unwrap().join("examples")
}
