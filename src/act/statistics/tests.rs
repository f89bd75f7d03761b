//! What is written when not all of it can be.

use std::sync::Arc;
use std::time::Duration;

use super::{Ended, Error, Statistics, Subject};
use crate::base::park::block_on;
use crate::base::time::{Clock, System};
use crate::remember::memory::Memory;
use crate::remember::snapshots::{Saved, Snapshots};
use crate::remember::store::{self, Store};

#[test]
fn a_subject_whose_statistics_cannot_be_read_holds_up_no_other() {
    let store: Arc<dyn Store> = Arc::new(Memory::new());
    let (broken, sound) = (Subject::dependency("a"), Subject::dependency("b"));
    let saved = block_on(Snapshots::new(Arc::clone(&store)).save(&broken.key(), "statistics", &1, None));
    assert!(matches!(saved, Ok(Saved::Done(_))));
    let statistics = Statistics::new(store).build();
    for round in 1..=3_u64 {
        for subject in [&broken, &sound] {
            statistics.note(subject, Ended::ok(Duration::from_secs(round)), System.now());
        }
        let written = statistics.flush_blocking();
        assert!(matches!(written, Err(Error::Store(store::Error::Corrupt { .. }))), "{written:?}");
        let read = statistics.read_blocking(&sound).unwrap().expect("it is written");
        assert_eq!(read.counts.ended, round);
    }
    // What cannot be written is kept, and nothing twice.
    let kept = statistics.pending().len();
    assert_eq!((kept, statistics.lost()), (3, 0));
}
