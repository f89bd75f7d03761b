//! What editors and tools do to a tree, named by where it ended: the states before and after, whatever happened in between.

use std::time::Duration;
use unattended::explain::Explain;
use unattended::intent::{Due, Hint, Judge, Kind, Policy, Stamp, State};
use unattended::time::{Moment, Now};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut now = Now { moment: Moment::ZERO, wall: chrono::DateTime::UNIX_EPOCH };
    let mut judge = Judge::new(Policy::default())?;
    let tree = |written: u64, at: i64| {
        let stamp = |mtime, inode| Stamp { kind: Kind::File, size: 9, mtime, ctime: mtime, inode };
        // What was written beside and renamed over has another inode.
        let file = |n| if n < written { stamp(at, 100 + n) } else { stamp(0, n) };
        State::of((1..9).map(|n| (format!("src/{n}.rs").into(), file(n))))
    };
    let mut before = tree(0, 0);
    for (events, after) in [(9, tree(2, 10)), (2, tree(2, 10)), (14, tree(4, 10)), (40, tree(9, 20))] {
        (0..events).for_each(|_| judge.observe(Hint::Changed, now));
        while let Due::Later { at } = judge.due(now) {
            now = now.after(at.since(now.moment).min(Duration::from_millis(100)));
        }
        let intent = judge.judge(&before, &after, now);
        println!("{events} events, {}: {intent}", intent.code());
        before = before.followed_by(after);
    }
    Ok(())
}
