//! What a person says of a run: replay, requeue, review, cancel, pause, resume, compensate, note, submit, resolve.

use serde_json::json as value;
use unattended::effect::Effect;
use unattended::job::Job;
use unattended::pipeline::Step;

use crate::kit::Shop;
use crate::runs::made::{fill, has_keys, ingest, json, run, state};

#[test]
fn a_note_and_who_wrote_it_are_kept() {
    for shop in Shop::each() {
        let made = fill(&shop);
        let noted = json(&shop, &["note", "ingest", "the feed moved", "--by", "grace"]).ended(0).object();
        assert_eq!(
            (&noted["run_id"], &noted["state"]),
            (&made.failed.clone().into(), &"failed_permanent".into())
        );
        let human = shop.run(&["explain", "ingest"]).ended(0).out;
        assert!(human.contains("note by operator:grace: the feed moved"), "{human}");
        shop.run(&["note", "ingest", "again"]).ended(0);
    }
}

#[test]
fn requeue_hands_runs_to_a_worker_one_by_one_or_at_a_rate() {
    for shop in Shop::each() {
        let made = fill(&shop);
        let dry = json(&shop, &["requeue", "--all", "--dry-run"]).ended(0).lines();
        assert_eq!((dry.len(), &dry[0]["dry_run"]), (1, &true.into()));
        assert_eq!(state(&shop, &made.failed), "failed_permanent");
        let sent =
            json(&shop, &["requeue", "--all", "--job", "ingest", "--rate", "1/s", "--yes"]).ended(0).lines();
        assert_eq!(sent.len(), 1);
        has_keys(&sent[0], "run_id state");
        assert_eq!((state(&shop, &made.failed).as_str(), &sent[0]["state"]), ("queued", &"queued".into()));
        let twice = json(&shop, &["requeue", &made.failed]).ended(1).lines();
        assert_eq!((&twice[0]["state"], &twice[0]["code"]), (&"queued".into(), &"run.illegal".into()));
        let human = shop.run(&["requeue", &made.review]).ended(0).out;
        assert_eq!(human, format!("run {} was needs_review and is queued\n", made.review));
    }
}

#[test]
fn a_replay_needs_the_code_of_the_job() {
    for shop in Shop::each() {
        let made = fill(&shop);
        let given = json(&shop, &["replay", &made.failed]).ended(1);
        let error = given.error();
        assert_eq!(error["code"], "replay.no_code", "{error}");
        assert!(error["hint"].as_str().unwrap().contains(&format!("requeue {}", made.failed)), "{error}");
        assert_eq!(state(&shop, &made.failed), "failed_permanent");
        let human = shop.run(&["replay", "ingest"]).ended(1).err;
        assert!(human.contains("does not have the code of job ingest"), "{human}");
        let force = json(&shop, &["replay", "ingest", "--mode", "force"]).ended(2);
        assert_eq!(force.error()["code"], "usage", "a force needs a reason");
    }
}

#[test]
fn each_answer_of_a_review_is_taken() {
    for shop in Shop::each() {
        let made = fill(&shop);
        let applied = json(
            &shop,
            &["review", &made.review, "--applied", "{\"receipt\":7}", "--reason", "the bank says so"],
        );
        let applied = applied.ended(0).object();
        assert_eq!((&applied["run_id"], &applied["state"]), (&made.review.clone().into(), &"queued".into()));
        assert_eq!(run(&shop, &made.review).body.steps[0].output.as_ref().unwrap().get(), "{\"receipt\":7}");
        let story = shop.run(&["explain", &made.review]).ended(0).out;
        assert!(story.contains("operator:ada") && story.contains("the bank says so"), "{story}");
        // On from a failed run past its failed step.
        let skipped = shop.run(&["review", &made.failed, "--skip-step"]).ended(0).out;
        assert_eq!(skipped, format!("run {} is queued: it is left out; a worker takes it up\n", made.failed));
    }
    for shop in Shop::each() {
        let made = fill(&shop);
        for blank in ["", "  \n"] {
            let refused = json(&shop, &["review", &made.review, "--dismiss", blank]).ended(2);
            assert!(refused.error()["message"].as_str().unwrap().contains("--dismiss"), "{refused:?}");
            assert_eq!(state(&shop, &made.review), "needs_review");
            json(&shop, &["note", &made.review, blank]).ended(2);
            json(&shop, &["credential", "ok", blank]).ended(2);
        }
        let dismissed = json(&shop, &["review", &made.review, "--dismiss", "not worth it"]).ended(0).object();
        assert_eq!(dismissed["state"], "failed_permanent");
        shop.run(&["review", &made.review, "--not-applied"]).ended(0);
        let input = shop.file("fixed.json", "{\"page\":2}");
        shop.run(&["review", &made.failed, "--input", input.to_str().unwrap()]).ended(0);
        assert_eq!(run(&shop, &made.failed).body.input.get(), "{\"page\":2}");
    }
    let shop = Shop::sqlite();
    let made = fill(&shop);
    shop.run_with(&["review", &made.failed, "--input", "-"], "{\"page\":3}").ended(0);
    assert_eq!(run(&shop, &made.failed).body.input.get(), "{\"page\":3}");
}

#[test]
fn the_second_of_two_operators_is_told_who_was_first() {
    for shop in Shop::each() {
        let made = fill(&shop);
        let say = |by: &str| shop.command(&["review", &made.review, "--not-applied", "--json", "--by", by]);
        let both: Vec<_> = ["ada", "grace"]
            .map(|by| {
                say(by)
                    .stdout(std::process::Stdio::piped())
                    .stderr(std::process::Stdio::piped())
                    .spawn()
                    .unwrap()
            })
            .map(|child| child.wait_with_output().unwrap())
            .into();
        let mut codes: Vec<_> = both.iter().map(|done| done.status.code()).collect();
        codes.sort_unstable();
        assert_eq!(codes, [Some(0), Some(1)], "{both:?}");
        let second = both.iter().position(|done| done.status.code() == Some(1)).unwrap();
        let first = if second == 0 { "operator:grace" } else { "operator:ada" };
        let told = String::from_utf8_lossy(&both[second].stderr).into_owned();
        assert!(told.contains(first) && told.contains("was first"), "{told}");
    }
}

#[test]
fn a_run_is_paused_resumed_cancelled_and_undone() {
    for shop in Shop::each() {
        let made = fill(&shop);
        let paused = json(&shop, &["pause", &made.waiting, "--reason", "until noon"]).ended(0).object();
        has_keys(&paused, "run_id state");
        assert_eq!((&paused["state"], &paused["paused"]), (&"waiting_external".into(), &true.into()));
        assert!(shop.run(&["show", &made.waiting]).ended(0).out.contains("; paused"));
        let resumed = shop.run(&["resume", &made.waiting]).ended(0).out;
        assert_eq!(resumed, format!("run {} goes on; it is waiting_external\n", made.waiting));
        let cancelled =
            json(&shop, &["cancel", "approval", "--reason", "nobody asks any more"]).ended(0).object();
        assert_eq!(cancelled["state"], "cancelled");
        let twice = json(&shop, &["cancel", &made.succeeded]).ended(1);
        assert_eq!(twice.error()["code"], "run.illegal");
        let undone = json(&shop, &["compensate", &made.failed]).ended(0).object();
        assert_eq!(undone["state"], "compensating");
        let wrong = shop.run(&["compensate", &made.succeeded]).ended(1).err;
        assert!(wrong.contains("is succeeded; compensate takes a run that is"), "{wrong}");
        shop.run(&["pause", &made.succeeded]).ended(1);
        shop.run(&["resume", &made.succeeded]).ended(1);
    }
}

#[test]
fn what_is_submitted_is_worked_on_by_the_applications_worker() {
    for shop in Shop::each() {
        let submitted = shop
            .run_with(&["submit", "ingest", "--key", "feed/page/7", "--json"], "{\"page\":7}")
            .ended(0)
            .object();
        has_keys(&submitted, "run_id state");
        assert_eq!((&submitted["state"], &submitted["duplicate"]), (&"queued".into(), &false.into()));
        let id = submitted["run_id"].as_str().unwrap();
        let file = shop.file("input.json", "{ \"page\": 7 }");
        let file = file.to_str().unwrap();
        let again =
            json(&shop, &["submit", "ingest", "--key", "feed/page/7", "--input", file]).ended(0).object();
        assert_eq!((&again["run_id"], &again["duplicate"]), (&id.into(), &true.into()));
        let other =
            shop.run_with(&["submit", "ingest", "--key", "feed/page/7", "--json"], "{\"page\":8}").ended(65);
        assert_eq!(other.error()["code"], "claim.conflict");
        let human = shop.run_with(&["submit", "report"], "{}").ended(0).out;
        assert!(human.ends_with(" of job report is queued\n"), "{human}");
        // The run has no steps of its own: its worker gives it those of the job.
        let done = ingest().work_off_blocking(&shop.store()).unwrap();
        assert_eq!(done.len(), 1);
        assert_eq!(done[0].body.steps.len(), 2);
        assert_eq!(state(&shop, id), "failed_permanent");
        let report = Step::blocking("write", Effect::Idempotent, |_| Ok(value!({ "pages": 3 })));
        let report = Job::new("report").step(report).build().unwrap();
        assert_eq!(report.work_off_blocking(&shop.store()).unwrap()[0].state().as_str(), "succeeded");
        let dead =
            json(&shop, &["submit", "ingest", "--key", "feed/page/7", "--input", file]).ended(1).object();
        assert_eq!(dead["state"], "failed_permanent");
    }
}

#[test]
fn an_answer_from_outside_is_given_once() {
    for shop in Shop::each() {
        let made = fill(&shop);
        let given = json(&shop, &["resolve", "approval-42", "{\"approved\":true}"]).ended(0).object();
        assert_eq!((&given["run_id"], &given["state"]), (&made.waiting.clone().into(), &"queued".into()));
        let same = shop.run(&["resolve", "approval-42", "{\"approved\":true}"]).ended(0).out;
        assert!(same.contains("has that answer already"), "{same}");
        let late = json(&shop, &["resolve", "approval-42", "{\"approved\":false}"]).ended(1);
        assert!(late.error()["hint"].as_str().unwrap().contains("explain"), "{late:?}");
        let early = shop.run_with(&["resolve", "approval-43", "-", "--json"], "true").ended(0).object();
        assert_eq!((&early["run_id"], &early["result"]), (&serde_json::Value::Null, &"early".into()));
    }
}
