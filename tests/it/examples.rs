//! Each short example prints what its page shows: their output is compared with `tests/golden/examples/`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

#[test]
fn the_short_examples_print_what_they_printed() {
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(root().join("examples")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ending| ending == "rs") {
            let lines = fs::read_to_string(&path).unwrap().lines().count();
            assert!(lines <= 30, "{} has {lines} lines; 30 are a page", path.display());
            names.insert(path.file_stem().unwrap().to_str().unwrap().to_owned());
        }
    }
    assert!(names.len() >= 10, "{names:?}");
    for name in names {
        prints_what_it_printed(&name, &[]);
    }
}

#[test]
fn the_stories_of_a_job_and_of_its_own_transaction_are_told_as_they_were() {
    prints_what_it_printed("publish", &[]);
    prints_what_it_printed("own_transaction", &[]);
}

/// An application with the operator's verbs in it: what is broken, why, and how it is mended.
#[cfg(unix)]
#[test]
fn the_dead_letter_is_explained_and_replayed_by_the_application_itself() {
    prints_what_it_printed("operated", &[]);
}

/// What is prepared in the night is published when it is nine where its readers are.
#[test]
fn the_night_is_for_preparing_and_the_day_for_publishing() {
    prints_what_it_printed("business_hours", &[]);
}

/// More work than fits, and what of it was worth doing.
#[test]
fn the_passwords_are_sent_and_the_reports_that_nobody_waits_for_are_not() {
    prints_what_it_printed("otp_and_reports", &[]);
}

/// Where edits go, and where what is more than that.
#[cfg(feature = "watch")]
#[test]
fn single_edits_go_to_real_time_and_bulk_changes_to_batch() {
    prints_what_it_printed("bulk_or_edit", &[]);
}

/// What is rare in a log, and why it is said to be.
#[test]
fn each_alert_of_a_log_is_explained_as_it_was() {
    prints_what_it_printed("log_anomalies", &[]);
}

/// What is stored, what waits, what was harmed and found, and how it comes back.
#[cfg(unix)]
#[test]
fn the_documents_are_backed_up_as_they_were() {
    prints_what_it_printed("docs_backup", &[]);
}

/// What is flaky is kept alive, and a person hears of what is broken.
#[cfg(unix)]
#[test]
fn the_flaky_worker_is_kept_alive_and_the_broken_one_is_told_of() {
    prints_what_it_printed("supervise", &[]);
}

/// The main job as a service of systemd, and what is wrong with a unit that was written by hand.
#[cfg(unix)]
#[test]
fn the_units_of_the_main_job_are_written_as_they_were() {
    prints_what_it_printed("ingest_service", &[]);
}

/// Six jobs of which one dies silently: who notices, when, and what it says.
#[test]
fn the_job_that_died_silently_is_missed_and_so_is_the_monitor() {
    prints_what_it_printed("heartbeats", &[]);
}

/// What a classifier proposes is decided as it was decided.
#[test]
fn the_same_messages_are_decided_the_same() {
    prints_what_it_printed("untrusted_intent", &[]);
}

/// A week of calls to a service that is trouble.
#[test]
fn the_same_seed_prints_the_same_week() {
    prints_what_it_printed("hostile_api", &["--week"]);
}

/// What keeps the import from beginning, and until when.
#[test]
fn the_import_waits_for_a_calm_machine_and_gives_up_in_time() {
    prints_what_it_printed("not_now", &[]);
}

/// Processes over one store.
#[cfg(unix)]
#[test]
fn a_producer_and_two_workers_of_which_one_is_killed_send_every_invoice_once() {
    prints_what_it_printed("queue_worker", &["demo"]);
}

/// `UNATTENDED_BLESS=examples` keeps what it prints now.
fn prints_what_it_printed(name: &str, args: &[&str]) {
    let output = Command::new(built().join(name)).args(args).output().unwrap();
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    let golden = root().join("tests/golden/examples").join(format!("{name}.out"));
    if std::env::var("UNATTENDED_BLESS").is_ok_and(|what| what == "examples") {
        fs::write(&golden, &output.stdout).unwrap();
    }
    let expected = fs::read_to_string(&golden).unwrap_or_default();
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected, "{name}");
}

/// What commits with the caller's own rows does so on both databases.
#[cfg(all(feature = "postgres", feature = "testing"))]
#[test]
fn the_own_transaction_tells_the_same_on_postgresql() {
    let Some(database) = crate::pg::Database::new() else { return };
    let own = format!("own_{}", std::process::id());
    // A server that has just been started is waited for.
    drop(database.open());
    database.run_as_it_is(&format!("CREATE DATABASE {own}"));
    let (server, _) = database.url.rsplit_once('/').unwrap();
    let example = built().join("own_transaction");
    let output = Command::new(example).args(["--store", &format!("{server}/{own}")]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told = String::from_utf8(output.stdout).unwrap();
    // The lease of a process that died is over after its time, in whichever of the calls that follow.
    assert!(told.starts_with("the first process ended well: false\nrows that stand: 4\n"), "{told}");
    let again = "succeeded; worked off before: 0; the same work was done before; rows that stand: 10\n";
    assert!(told.ends_with(again), "{told}");
    database.run_as_it_is(&format!("DROP DATABASE {own} WITH (FORCE)"));
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Builds the examples as this test was built, once, and gives their folder.
pub(crate) fn built() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "--all-features", "--examples"]).current_dir(root());
        if !cfg!(debug_assertions) {
            build.arg("--release");
        }
        // What a build script looks at must be as it was, or this builds much of it anew, and whoever builds next all of that again.
        build.env_remove("CARGO_MANIFEST_DIR");
        assert!(build.status().unwrap().success());
        Path::new(env!("CARGO_BIN_EXE_unattended")).parent().unwrap().join("examples")
    })
}
