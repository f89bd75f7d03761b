//! How work comes in: by contract, on terms, in its turn.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use unattended::blocking::block_on;
use unattended::canonical::Key;
use unattended::contract::{Contract, Schema};
use unattended::effect::Effect;
use unattended::job::{Error, INPUT_MAX, Job, Terms, Verdict};
use unattended::pipeline::Step;
use unattended::run::State;
use unattended::runs::{Filter, Submitted};
use unattended::store::{Ns, Query};
use unattended::time::later;

use crate::durable::site::deliver;
use crate::world::{LEASE, World};

#[derive(Clone, Debug, Deserialize, Serialize)]
struct Old {
    title: String,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
struct Page {
    title: String,
    tags: Vec<String>,
}

fn old() -> Contract<Old> {
    let schema = Schema::object().required("title", Schema::text().length(1..=20));
    Contract::new("page", 1).schema(schema).build().unwrap()
}

fn new() -> Contract<Page> {
    let schema = Schema::object()
        .required("title", Schema::text().length(1..=20))
        .required("tags", Schema::array(Schema::text().length(1..=5)).count(..=3));
    let upgrade = |old: Old| {
        if old.title.starts_with('?') {
            return Err(String::from("nobody knows what it was about"));
        }
        Ok(Page { title: old.title, tags: vec![String::from("old")] })
    };
    Contract::new("page", 2).schema(schema).upgrade(1, upgrade).build().unwrap()
}

fn job<T>(contract: &Contract<T>) -> Job
where
    T: serde::de::DeserializeOwned + 'static,
{
    Job::new("publish")
        .contract(contract)
        .lease(LEASE)
        .key(|input: &Old| Key::new("site", "page", &input.title))
        .step(Step::blocking("put", Effect::Idempotent, |cx| cx.input::<serde_json::Value>()))
        .build()
        .unwrap()
}

fn submit(world: &World, job: &Job, version: Option<u32>, text: &str) -> Result<Submitted, Error> {
    block_on(job.submit_text(&world.store, version, text, &Terms::default()))
}

fn nothing_was_written(world: &World) {
    for ns in [Ns::RUN, Ns::LEDGER] {
        let all = block_on(world.store.scan(Query::all(ns))).unwrap();
        assert!(all.records.is_empty(), "{:?}", all.records);
    }
}

#[test]
fn bad_input_is_refused_with_every_violation_by_its_path_before_anything_is_claimed() {
    let world = World::new();
    let job = job(&new());
    let bad = r#"{"title": "", "tags": ["fine", "toolong", 7], "colour": "red"}"#;
    let refused = submit(&world, &job, None, bad).unwrap_err();
    let text = refused.to_string();
    for path in ["/title", "/tags/1", "/tags/2", "/colour"] {
        assert!(text.contains(path), "{path} is not in: {text}");
    }
    assert_eq!(unattended::fault::Classify::fault(&refused).class, unattended::fault::Class::Permanent);
    let typed = Page { title: String::new(), tags: vec!["x".into(); 9] };
    let refused = job.run_once_blocking_on(world.sim.clone(), &world.store, &typed).unwrap_err().to_string();
    assert!(refused.contains("/title") && refused.contains("/tags"), "{refused}");
    nothing_was_written(&world);
}

#[test]
fn a_version_that_nobody_knows_and_an_input_over_the_limit_are_refused() {
    let world = World::new();
    let (known, free) = (job(&new()), Job::new("free").step(Step::blocking("a", Effect::Pure, |_| Ok(1))));
    let unknown = submit(&world, &known, Some(3), "{}").unwrap_err().to_string();
    assert!(unknown.contains('3') && unknown.contains('2'), "{unknown}");
    let free = free.build().unwrap();
    assert!(submit(&world, &free, Some(2), "1").unwrap_err().to_string().contains("allowed is 1"));
    for size in [INPUT_MAX, 10 * INPUT_MAX] {
        let text = format!("\"{}\"", "x".repeat(size));
        let error = submit(&world, &free, None, &text).unwrap_err().to_string();
        assert!(error.contains(&INPUT_MAX.to_string()) && error.contains(&text.len().to_string()), "{error}");
    }
    nothing_was_written(&world);
    let fits = format!("\"{}\"", "x".repeat(INPUT_MAX - 2));
    assert!(matches!(submit(&world, &free, None, &fits), Ok(Submitted::Created(_))));
}

#[test]
fn an_older_input_is_upgraded_when_it_is_worked_on() {
    let world = World::new();
    let Ok(Submitted::Created(run)) = submit(&world, &job(&old()), None, r#"{"title":"sea"}"#) else {
        panic!()
    };
    let worked_off = job(&new()).work_off_blocking_on(world.sim.clone(), &world.store).unwrap();
    assert_eq!(worked_off[0].id(), run.id());
    assert_eq!(worked_off[0].state(), State::Succeeded, "{}", worked_off[0].body.why);
    assert_eq!(worked_off[0].body.output.as_ref().unwrap().get(), r#"{"tags":["old"],"title":"sea"}"#);
    assert_eq!((worked_off[0].body.schema, worked_off[0].job()), (2, "publish"));
    world.check();
}

#[test]
fn an_older_input_that_cannot_be_upgraded_is_a_question_and_never_dropped() {
    let world = World::new();
    let _queued = submit(&world, &job(&old()), None, r#"{"title":"?"}"#).unwrap();
    let run = job(&new()).work_off_blocking_on(world.sim.clone(), &world.store).unwrap().remove(0);
    assert_eq!((run.state(), run.body.code.as_str()), (State::NeedsReview, "contract.refused"));
    assert!(run.body.why.contains("nobody knows what it was about"), "{}", run.body.why);
    assert!(run.body.question.unwrap().options.contains(&String::from("fixed_input")));
    world.check();
}

#[test]
fn a_newer_input_stays_queued_for_a_newer_worker() {
    let world = World::new();
    let (older, newer) = (job(&old()), job(&new()));
    let text = r#"{"title":"sea","tags":[]}"#;
    let Ok(Submitted::Created(run)) = submit(&world, &newer, None, text) else { panic!() };
    assert_eq!(run.record.kind, "publish@2");
    assert!(older.work_off_blocking_on(world.sim.clone(), &world.store).unwrap().is_empty());
    assert_eq!(world.run(run.id()).state(), State::Queued);
    let listed =
        block_on(world.runs().list(&Filter { job: Some("publish".into()), ..Filter::default() }, 10, None));
    assert_eq!(listed.unwrap().0.len(), 1, "a list by job shows every version");
    // An operator may hand it to the older one by name: it gives it back.
    let asked = older.resume_blocking(&world.store, &world.run(run.id())).unwrap().unwrap();
    assert_eq!((asked.state(), asked.body.code.as_str()), (State::Queued, "contract.newer"));
    assert_eq!(asked.body.attempt, 0);
    world.secs(61);
    assert_eq!(newer.work_off_blocking_on(world.sim.clone(), &world.store).unwrap().len(), 1);
    assert_eq!(world.run(run.id()).state(), State::Succeeded);
    world.check();
}

#[test]
fn the_same_work_is_submitted_once_and_another_payload_under_its_key_is_a_conflict() {
    let world = World::new();
    let job = job(&new());
    let Ok(Submitted::Created(run)) = submit(&world, &job, None, r#"{"title":"sea","tags":[]}"#) else {
        panic!()
    };
    let again = submit(&world, &job, None, r#"{ "tags": [], "title": "sea" }"#).unwrap();
    assert!(matches!(again, Submitted::Existing(same, _) if same.id() == run.id()));
    let other = submit(&world, &job, None, r#"{"title":"sea","tags":["x"]}"#).unwrap();
    assert!(matches!(other, Submitted::Conflict { run: Some(of), .. } if of == run.id()));
    world.check();
}

#[test]
fn terms_say_when_it_is_due_and_until_when_it_is_worth_doing() {
    let world = World::new();
    let job = job(&new());
    let page = |title: &str| Page { title: title.into(), tags: Vec::new() };
    let now = world.wall();
    let place = |title: &str, terms: Terms| {
        let submitted = block_on(job.submit_on(&world.sim, &world.store, &page(title), &terms)).unwrap();
        let Submitted::Created(run) = submitted else { panic!("{submitted:?}") };
        run.id().to_owned()
    };
    let minutes = |minutes: u64| later(now, Duration::from_secs(60 * minutes));
    let later_on = place("later", Terms { due_at: Some(minutes(10)), ..Terms::default() });
    let short = place("short", Terms { expires_at: Some(minutes(5)), ..Terms::default() });
    let urgent = place("urgent", Terms { rank: 9, due_at: Some(minutes(6)), ..Terms::default() });
    world.secs(360);
    let worked_off = job.work_off_blocking_on(world.sim.clone(), &world.store).unwrap();
    assert_eq!(worked_off.iter().map(unattended::runs::Run::id).collect::<Vec<_>>(), [urgent.as_str()]);
    assert_eq!(world.run(&short).state(), State::Expired);
    assert_eq!(world.run(&later_on).state(), State::Queued);
    world.check();
}

#[test]
fn runs_with_one_serial_key_wait_for_their_turn_in_whatever_process() {
    let world = Arc::new(World::new());
    let seen = Arc::new(AtomicUsize::new(0));
    let within = (Arc::clone(&world), Arc::clone(&seen));
    let plain = |name: &str| Job::new(name).lease(LEASE).serial_by(|input: &String| input[..1].to_owned());
    let other = plain("serial").step(Step::blocking("work", Effect::Pure, |_| Ok(0))).build().unwrap();
    let job = plain("serial")
        .step(Step::blocking("work", Effect::Pure, move |_| {
            let (world, seen) = &within;
            // Meanwhile another process is given work of the same key, and of another.
            let store = world.other();
            let same = other.run_once_blocking_on(world.sim.clone(), &store, "a2").unwrap();
            assert!(matches!(same.verdict, Verdict::Deferred { .. }), "{:?}", same.verdict);
            assert_eq!(same.run.unwrap().body.code, "run.serial");
            let free = other.run_once_blocking_on(world.sim.clone(), &store, "b1").unwrap();
            assert_eq!(free.verdict, Verdict::Ran);
            assert!(free.worked_off.is_empty(), "the one that waits for its turn was taken");
            seen.fetch_add(1, Ordering::SeqCst);
            Ok(0)
        }))
        .build()
        .unwrap();
    assert_eq!(deliver(&world, &job, "a1").unwrap().verdict, Verdict::Ran);
    assert_eq!(seen.load(Ordering::SeqCst), 1);
    let plain = plain("serial").step(Step::blocking("work", Effect::Pure, |_| Ok(0))).build().unwrap();
    let worked_off = plain.work_off_blocking_on(world.sim.clone(), &world.store).unwrap();
    assert_eq!((worked_off.len(), worked_off[0].state()), (1, State::Succeeded));
    world.check();
}
