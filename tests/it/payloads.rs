//! Runs whose input is outside the store: what a payload that has changed makes of them.

use std::sync::Arc;

use unattended::blocking::block_on;
use unattended::effect::Effect;
use unattended::fault::{self, Class};
use unattended::job::Job;
use unattended::memory::Memory;
use unattended::payload::PayloadRef;
use unattended::pipeline::{Step, StepError};
use unattended::run::State;
use unattended::runs::Runs;
use unattended::store::Store;

#[test]
fn a_run_whose_payload_has_changed_fails_for_good_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let base = folder.path().to_owned();
    let job = Job::new("count")
        .step(Step::blocking("read", Effect::Pure, move |cx| {
            let payload: PayloadRef = cx.input()?;
            Ok(payload.read(&base, 1 << 20)?.len())
        }))
        .build()
        .unwrap();
    let store: Arc<dyn Store> = Arc::new(Memory::new());
    let sound = PayloadRef::put(folder.path(), vec![b'x'; 100_000]).unwrap();
    let run = job.run_once_blocking(&store, &sound).unwrap().run.unwrap();
    assert_eq!(run.record.state, State::Succeeded.as_str());

    let changed = PayloadRef::put(folder.path(), "abc").unwrap();
    std::fs::write(folder.path().join(changed.path()), "abd").unwrap();
    let run = job.run_once_blocking(&store, &changed).unwrap().run.unwrap();
    assert_eq!(run.record.state, State::FailedPermanent.as_str());
    let history = block_on(Runs::new(store).history(run.id(), 0, 100)).unwrap();
    assert!(history.iter().any(|event| format!("{event:?}").contains("payload.changed")), "{history:?}");
}

#[test]
fn the_question_mark_of_a_step_keeps_what_a_file_means() {
    let folder = tempfile::tempdir().unwrap();
    let payload = PayloadRef::put(folder.path(), vec![b'x'; 100_000]).unwrap();
    let path = folder.path().join(payload.path());
    let mut reader = payload.open(folder.path()).unwrap();
    std::fs::write(&path, vec![b'y'; 100_000]).unwrap();
    let error = StepError::from(std::io::copy(&mut reader, &mut std::io::sink()).unwrap_err());
    assert_eq!((error.fault().class, &*error.fault().code), (Class::Permanent, "payload.changed"));

    let state = unattended::snapshots::File::<u64>::open(folder.path().join("a.state")).unwrap();
    std::fs::write(state.path(), "{}").unwrap();
    let error = StepError::from(state.load().unwrap_err());
    assert_eq!(error.fault().code, "state_file.not_ours");
    let error = unattended::file::replace(folder.path(), "x").unwrap_err();
    assert!(fault::chain(&error).contains("is a folder"));
    assert_eq!(StepError::from(error).fault().code, "file.not_a_file");
}
