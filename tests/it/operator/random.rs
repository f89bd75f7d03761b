//! Random days at the desk: words, claims, takeovers and what steps come to, in any order.

use std::collections::BTreeMap;

use proptest::prelude::*;
use unattended::blocking::block_on;
use unattended::claim::{AfterTakeover, LastKnown, after_takeover};
use unattended::effect::Effect;
use unattended::operator::{Answer, Error, Mode, Operator, Replayed, Retention, Spread, Verb, answers};
use unattended::run::{self, State};
use unattended::runs::{self, Filter, Run, StepState, Submitted, UndoState};

use crate::operator::desk::{Desk, done, json, question};
use crate::world::LEASE;

const KEYS: u32 = 3;

#[derive(Clone, Debug)]
enum Op {
    Deliver {
        key: u32,
    },
    /// A worker claims what is due and does so many things before it ends as said, or dies.
    Work {
        steps: usize,
        end: usize,
    },
    /// A word about the n-th run, by one of two operators, one of whom looked at it a while ago.
    Say {
        run: usize,
        word: usize,
        stale: bool,
    },
    Many {
        verb: usize,
    },
    Look {
        run: usize,
    },
    Advance {
        secs: u64,
    },
    Sweep,
    Prune,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        3 => (0..KEYS).prop_map(|key| Op::Deliver { key }),
        6 => (0..5_usize, 0..7_usize).prop_map(|(steps, end)| Op::Work { steps, end }),
        8 => (0..5_usize, 0..15_usize, any::<bool>())
            .prop_map(|(run, word, stale)| Op::Say { run, word, stale }),
        1 => (0..Verb::ALL.len()).prop_map(|verb| Op::Many { verb }),
        2 => (0..5_usize).prop_map(|run| Op::Look { run }),
        3 => (0..100_u64).prop_map(|secs| Op::Advance { secs }),
        1 => Just(Op::Sweep),
        1 => Just(Op::Prune),
    ]
}

/// The world outside, and what operators have taken upon themselves.
#[derive(Default)]
struct Outside {
    /// How often the unsafe effect of a key was begun, and how often somebody has said that it may be done again.
    paid: BTreeMap<String, (u32, u32)>,
    /// Runs as somebody looked at them a while ago.
    seen: BTreeMap<String, Run>,
}

impl Outside {
    fn allow(&mut self, run: &Run) {
        self.paid.entry(run.body.key.clone().unwrap()).or_default().1 += 1;
    }

    /// A replay was made of it: forced, or of an effect that was undone.
    fn replayed(&mut self, run: &Run, forced: bool) {
        let undone = run.body.steps.iter().any(|step| step.name == "pay" && step.undo == UndoState::Done);
        if forced || undone {
            self.allow(run);
        }
    }
}

fn perform(desk: &Desk, outside: &mut Outside, op: &Op) {
    let operators = [desk.ada(), desk.operator("bob")];
    match *op {
        Op::Deliver { key } => match block_on(desk.runs().submit(desk.new_run(key), desk.now())).unwrap() {
            Submitted::Created(_) | Submitted::Existing(..) | Submitted::Settled { .. } => {}
            // After a fixed input.
            Submitted::Conflict { .. } => assert!(desk.told(key).2 > 1),
        },
        Op::Work { steps, end } => work(desk, outside, steps, end),
        Op::Say { run, word, stale } => {
            let all = desk.all();
            let Some(run) = all.get(run) else { return };
            let run = outside.seen.get(run.id()).filter(|_| stale).unwrap_or(run).clone();
            say(desk, outside, &operators[usize::from(stale)], &run, word);
        }
        Op::Many { verb } => {
            let verb = Verb::ALL[verb];
            let chosen = block_on(operators[0].choose(verb, &Filter::default(), 10));
            let Ok(chosen) = chosen else { return };
            let before = chosen.clone();
            let outcomes = block_on(operators[0].each(chosen, verb, "all", Spread::default())).unwrap();
            for (outcome, run) in outcomes.iter().zip(&before) {
                if matches!(verb, Verb::Rerun | Verb::Force) && outcome.result.is_ok() {
                    outside.replayed(run, verb == Verb::Force);
                }
            }
        }
        Op::Look { run } => {
            if let Some(run) = desk.all().get(run) {
                outside.seen.insert(run.id().to_owned(), run.clone());
            }
        }
        Op::Advance { secs } => desk.secs(secs),
        Op::Sweep => drop(block_on(operators[0].sweep()).unwrap()),
        Op::Prune => {
            let keep = Some(std::time::Duration::from_secs(200));
            let retention = Retention {
                succeeded: keep,
                failed: keep,
                cancelled: keep,
                waits: keep,
                ..Retention::default()
            };
            block_on(operators[1].prune(&retention, desk.now())).unwrap();
        }
    }
}

/// What a driver does, by the rules that it has: one claim, some steps, and an end.
fn work(desk: &Desk, outside: &mut Outside, steps: usize, end: usize) {
    let taken = block_on(desk.runs().claim_due("transfer", 1, LEASE, "worker:a")).unwrap();
    let Some(taken) = taken.into_iter().next() else { return };
    let mut run = taken.run;
    if run.state() == State::Compensating {
        return undo(desk, &run, end);
    }
    let begun = run.body.next_step().filter(|step| step.state == StepState::Started).cloned();
    if let Some(begun) = begun
        && after_takeover(begun.effect, LastKnown::Started) == AfterTakeover::Review
    {
        return ask(desk, &run, &begun.name);
    }
    if run.record.cancelling {
        desk.work(&run, run::Event::Cancel, |_| {});
        return;
    }
    for _ in 0..steps {
        let Some(next) = run.body.next_step().cloned() else { break };
        if next.effect == Effect::Unsafe {
            let key = run.body.key.clone().unwrap();
            outside.paid.entry(key).or_default().0 += 1;
        }
        run = desk.work(&run, run::Event::Checkpoint, |body| {
            body.step_mut(&next.name).unwrap().state = StepState::Started;
        });
        // The effect takes place, and the process dies.
        if end == 6 {
            return;
        }
        run = desk.work(&run, run::Event::Checkpoint, |body| done(body, &next.name, "1"));
    }
    let Some(next) = run.body.next_step().cloned() else {
        desk.work(&run, run::Event::Succeed, |body| body.output = Some(json("1")));
        return;
    };
    match end {
        0 => drop(desk.work(&run, run::Event::FailForNow, |_| {})),
        1 => drop(desk.work(&run, run::Event::FailForGood, |_| {})),
        2 => drop(desk.work(&run, run::Event::HandBack, |_| {})),
        3 => {
            let any = ["applied", "not_applied", "skip", "fixed_input", "requeue", "dismiss"];
            desk.work(&run, run::Event::AskReview, |body| {
                body.question = Some(question(&next.name, &any, false));
            });
        }
        4 => drop(desk.work(&run, run::Event::Compensate, |_| {})),
        // It dies between two steps.
        _ => {}
    }
}

fn ask(desk: &Desk, run: &Run, step: &str) {
    let step = step.to_owned();
    desk.work(run, run::Event::AskReview, |body| {
        body.question =
            Some(question(&step, &["applied", "not_applied", "skip", "requeue", "dismiss"], false));
    });
}

fn undo(desk: &Desk, run: &Run, end: usize) {
    let next = run.body.steps.iter().rev();
    let next = next.clone().find(|step| step.state == StepState::Done && !step.undo.is_settled()).cloned();
    match (next, end) {
        (Some(step), 0..3) => {
            let asked = question(&step.name, &["applied", "not_applied", "skip", "requeue", "dismiss"], true);
            desk.work(run, run::Event::AskReview, |body| {
                body.step_mut(&step.name).unwrap().undo = UndoState::Started;
                body.question = Some(asked);
            });
        }
        (Some(_), 3) => {}
        (_, _) => {
            desk.work(run, run::Event::Undone, |body| {
                for step in body.steps.iter_mut().filter(|step| step.state == StepState::Done) {
                    step.undo = UndoState::Done;
                }
            });
        }
    }
}

fn say(desk: &Desk, outside: &mut Outside, operator: &Operator, run: &Run, word: usize) {
    let before = block_on(desk.runs().get(run.id())).unwrap();
    let fixed = json(&format!("{{\"amount\":{}}}", run.record.version));
    let in_doubt =
        run.body.steps.iter().any(|step| step.effect == Effect::Unsafe && step.state == StepState::Started);
    let result = match word {
        0 => block_on(operator.review(run, &Answer::Applied(Some(json("1"))), "")),
        1 => {
            let undo = run.body.question.as_ref().is_some_and(|question| question.undo);
            let said = block_on(operator.review(run, &Answer::NotApplied, ""));
            if said.is_ok() && in_doubt && !undo {
                outside.allow(run);
            }
            said
        }
        2 => block_on(operator.review(run, &Answer::Skip, "")),
        3 => block_on(operator.review(run, &Answer::FixedInput(fixed), "")),
        4 => block_on(operator.dismiss(run, "")),
        5 => block_on(operator.compensate(run, "")),
        6 => block_on(operator.cancel(run, "")),
        7 => block_on(operator.pause(run, "")),
        8 | 9 => block_on(operator.resume(run, "")),
        10 => block_on(operator.requeue(run, desk.now())),
        11 => block_on(operator.mark_reviewed(run, "")),
        12 => block_on(operator.note(&run.id().parse().unwrap(), "hm")),
        _ => {
            let mode = if word == 13 { Mode::Rerun } else { Mode::Force { reason: String::from("so") } };
            match block_on(operator.replay(run, &mode, "")) {
                Ok(Replayed::Created(new)) => {
                    assert_eq!(new.body.replay_of.as_deref(), Some(run.id()));
                    outside.replayed(run, word == 14);
                    Ok(*new)
                }
                Ok(_) => return,
                Err(error) => Err(error),
            }
        }
    };
    match result {
        Ok(now) => assert!(before.is_some(), "{now:?}"),
        // What is refused changes nothing.
        Err(Error::NotPossible { .. } | Error::Runs(_)) => {
            let after = block_on(desk.runs().get(run.id())).unwrap();
            let version = |run: &Option<Run>| run.as_ref().map(|run| run.record.version);
            assert_eq!(version(&before), version(&after), "{word}");
            if let Err(Error::Runs(runs::Error::NotOffered { given, .. })) = &result {
                assert!(!answers(run).contains(given));
            }
        }
        Err(error) => panic!("{error}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 400, ..ProptestConfig::default() })]

    #[test]
    fn whatever_operators_say_no_unsafe_step_runs_twice_unless_one_said_so(
        ops in prop::collection::vec(op(), 1..50),
    ) {
        let (desk, mut outside) = (Desk::new(), Outside::default());
        for op in &ops {
            perform(&desk, &mut outside, op);
            desk.check();
            for (key, (begun, allowed)) in &outside.paid {
                prop_assert!(*begun <= 1 + allowed, "{} was paid {} times, {} were allowed", key, begun, allowed);
            }
        }
    }
}
