//! A credential that two processes share: one of them refreshes, and one that is killed in the middle is succeeded.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use unattended::credential::{Credential, Token};
use unattended::fault::Fault;
use unattended::sqlite::Sqlite;
use unattended::store::Store;
use unattended::time::{Clock, System};

use crate::kit::{Player, alone, say, var};

const HOUR: Duration = Duration::from_secs(3600);

/// A child that asks for the token; its refresh says so and takes its time, for ever if told to.
pub fn ask(path: &Path) {
    let store: Arc<dyn Store> = Arc::new(Sqlite::open(path).unwrap());
    let takes = Duration::from_millis(var("UNATTENDED_TAKES_MS"));
    let credential = Credential::named("youtube")
        .refresh_blocking(move |_: Option<Token<u32>>| {
            let asked = System.now().wall;
            say("refreshing");
            std::thread::sleep(takes);
            Ok::<_, Fault>(Token::lasting(std::process::id(), asked, HOUR))
        })
        .store(&store)
        .build()
        .unwrap();
    say("ready");
    let given = credential.get_blocking().unwrap_or_else(|error| panic!("{error}"));
    say(format_args!("token {}", given.expose()));
}

fn start(path: &Path, takes_ms: u64) -> Player {
    Player::start("ask for a token", path, &[("UNATTENDED_TAKES_MS", takes_ms.to_string())])
}

#[test]
fn two_processes_that_need_a_token_refresh_once() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    drop(Sqlite::open(&path).unwrap());
    let children: Vec<_> = (0..4).map(|_| start(&path, 700)).collect();
    let said: Vec<Vec<String>> = children.into_iter().map(Player::finish).collect();
    let count = |what: &str| said.iter().flatten().filter(|line| line.as_str() == what).count();
    assert_eq!((count("ready"), count("refreshing")), (4, 1), "{said:?}");
    let tokens: Vec<_> = said.iter().map(|lines| lines.last().unwrap()).collect();
    assert!(tokens[0].starts_with("token "), "{tokens:?}");
    assert!(tokens.iter().all(|token| *token == tokens[0]), "{tokens:?}");
}

#[test]
fn a_process_that_is_killed_in_the_middle_of_a_refresh_is_succeeded_at_once() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    drop(Sqlite::open(&path).unwrap());
    let mut first = start(&path, 600_000);
    assert_eq!(first.hear().as_deref(), Some("ready"));
    assert_eq!(first.hear().as_deref(), Some("refreshing"));
    let mut second = start(&path, 0);
    assert_eq!(second.hear().as_deref(), Some("ready"));
    // It waits for the one that is at it; only the kill lets it go on.
    std::thread::sleep(Duration::from_millis(500));
    let killed = Instant::now();
    assert!(first.kill().is_empty());
    let said = second.finish();
    assert_eq!((said[0].as_str(), said.len()), ("refreshing", 2), "{said:?}");
    assert!(killed.elapsed() < Duration::from_secs(15), "not only when the lease had run out");
}
