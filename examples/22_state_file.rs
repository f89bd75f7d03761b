//! One small state in one file, for a cron job without a database: torn, it gives the last good one and says so.

use unattended::explain::Explain;
use unattended::snapshots::File;

#[derive(Default, serde::Serialize, serde::Deserialize)]
struct Seen {
    runs: u32,
    last: String,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let state = File::<Seen>::open(folder.path().join("poll.state"))?;
    println!("before the first run: {}", state.load()?.map_or(0, |seen| seen.value.runs));
    for page in ["p1", "p2", "p3"] {
        let updated = state.update(Seen::default, |seen| {
            *seen = Seen { runs: seen.runs + 1, last: page.to_owned() };
        })?;
        println!("saved as generation {}", updated.generation);
    }
    // Something tears the file: a full copy of a disk, an editor, a bad cable.
    let torn = std::fs::read(state.path())?;
    std::fs::write(state.path(), &torn[..torn.len() - 5])?;
    let seen = state.load()?.ok_or("nothing")?;
    let why = seen.recovered.ok_or("it was sound")?;
    println!("{} runs, the last {}\n{}: {why}", seen.value.runs, seen.value.last, why.code());
    Ok(())
}
