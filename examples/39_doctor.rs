//! The checklist: what of a job that runs without anybody watching would not be found, explained or mended.

use unattended::canonical::Key;
use unattended::doctor::{Application, Declared, Machine, Outcome, examine};
use unattended::effect::Effect;
use unattended::job::Job;
use unattended::pipeline::Step;
use unattended::testing::{Effects, assert_idempotent};

#[allow(clippy::unwrap_used, reason = "what is built is written above")]
fn job(world: &Effects) -> Job {
    let mails = world.clone();
    let mail = Step::blocking("mail", Effect::Idempotent, move |cx| {
        mails.happen_once(format!("mail {}", cx.input::<String>()?));
        Ok(())
    });
    let key = |name: &String| Key::new("shop", "welcome", name);
    Job::new("welcome").key(key).step(mail).build().unwrap()
}

fn main() {
    let proof = assert_idempotent(job, "ada");
    println!("killed at {} edges, and nobody got two mails", proof.edges);
    let welcome = Declared::of(&job(&Effects::default())).owner("ada").replayable().proof(proof);
    let app = Application::new("shop").job(welcome).logs("stderr").machine(Machine::default());
    for check in examine(&app).iter().filter(|check| check.result == Outcome::Fail) {
        println!("{}: {}", check.name, check.why);
    }
}
