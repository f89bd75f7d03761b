//! Files that are dropped: each is worked on once, none is lost, no namesake is replaced.

use std::error::Error;
use std::fs;
use std::time::Duration;

use unattended::layout::Layout;
use unattended::time::{Clock, System};

fn main() -> Result<(), Box<dyn Error>> {
    let root = tempfile::tempdir()?;
    let layout = Layout::under(root.path(), "books")?;
    layout.create()?;
    let _only_instance = layout.lock(Duration::ZERO)?;
    fs::write(layout.archive().join("monday.csv"), "of last week")?;
    fs::write(layout.incoming().join("monday.csv"), "1;2;3")?;
    fs::write(layout.incoming().join("notes.txt"), "call Ada")?;

    let (drops, now) = (layout.drops().settle(Duration::ZERO), System.now().wall);
    while let Some(taken) = drops.take(now)? {
        let ended = match fs::read_to_string(taken.path())?.contains(';') {
            true => taken.archive()?,
            false => taken.fail("books.no_fields", "it has no fields", now)?,
        };
        let folder = ended.components().rev().nth(1).map(|folder| folder.as_os_str().display());
        println!("{:?} is now in {}", fs::read_to_string(&ended)?, folder.ok_or("no folder")?);
    }
    println!("monday.csv in archive is {:?}", fs::read_to_string(layout.archive().join("monday.csv"))?);
    Ok(())
}
