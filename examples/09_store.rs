//! The seam: every write says what it expects, and a conflict returns the record that won. SQLite, in one file.

use unattended::blocking::Blocking;
use unattended::sqlite::Sqlite;
use unattended::store::{ApplyError, Batch, Expect, Ns, Put, Write};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let sqlite = Sqlite::open(folder.path().join("jobs.db"))?;
    let store = Blocking(&sqlite);
    let put = |state: &str| Put { state: Some(state.to_owned()), ..Put::nothing() };
    let write = |state| Batch::of(Write::new(Ns::SNAPSHOT, "switch", Expect::Absent, put(state)));
    store.apply(write("on"))?;
    match store.apply(write("off")) {
        Err(ApplyError::Conflict(conflicts)) => {
            let winner = conflicts.into_iter().find_map(|conflict| conflict.winner);
            println!("refused: it is {} already", winner.map_or_else(String::new, |winner| winner.state));
        }
        other => println!("{other:?}"),
    }
    println!("a commit waits for the disk: {}", sqlite.info()?.settings.synchronous == 2);
    Ok(())
}
