//! Publishing a page: uploaded where that can be verified, approved by a person outside, and taken down again when the
//! answer is no or does not come.
//!
//! Three pages on a simulated clock, so that two days pass at once: one is approved, one is refused, one is forgotten.
//!
//! ```sh
//! cargo run --all-features --example publish
//! ```

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use unattended::blocking::block_on;
use unattended::canonical::Key;
use unattended::effect::Effect;
use unattended::job::{Job, Report};
use unattended::memory::Memory;
use unattended::operator::Operator;
use unattended::pipeline::{Flow, Step, StepError, Wait};
use unattended::runs::{Json, Runs, Selector};
use unattended::store::Store;
use unattended::testing::sim::Sim;
use unattended::time::{Clock, Timestamp, later};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

const DAY: Duration = Duration::from_secs(86_400);

/// What is to be published.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Page {
    /// Where: the page's identity.
    slug: String,
    /// What stands on it.
    text: String,
}

/// What the person says.
#[derive(Debug, Serialize, Deserialize)]
struct Approval {
    by: String,
    approved: bool,
}

/// The site: what is uploaded, and what links to it.
#[derive(Clone, Default)]
struct Site(Arc<Mutex<BTreeMap<String, String>>>);

impl Site {
    fn with<T>(&self, act: impl FnOnce(&mut BTreeMap<String, String>) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn draft(page: &Page) -> String {
        format!("draft/{}", page.slug)
    }
}

fn publishing(site: &Site) -> Outcome<Job> {
    let (upload, uploaded, remove, live) = (site.clone(), site.clone(), site.clone(), site.clone());
    let job = Job::new("publish")
        // The page's place is what it is about: the same page with another text is a conflict, not a second page.
        .key(|page: &Page| Key::new("site", "page", &page.slug))
        .step(
            Step::blocking("upload", Effect::Verifiable, move |cx| {
                let page: Page = cx.input()?;
                upload.with(|files| files.insert(Site::draft(&page), page.text.clone()));
                cx.note(format!("uploaded {}", Site::draft(&page)));
                Ok(())
            })
            .guard_blocking(move |cx| {
                let page: Page = cx.input()?;
                Ok(uploaded.with(|files| files.get(&Site::draft(&page)) == Some(&page.text)).then_some(()))
            })
            .undo_blocking(Effect::Idempotent, move |cx| {
                let page: Page = cx.input()?;
                remove.with(|files| files.remove(&Site::draft(&page)));
                Ok(())
            }),
        )
        .step(Step::waiting_blocking("approve", Effect::Idempotent, |cx| {
            // Here a mail goes out, with the token in its link.
            let token = format!("approval:{}", cx.input::<Page>()?.slug);
            Ok::<Flow<Approval>, _>(Flow::Wait(Wait::on(token).until(later(cx.now().wall, 2 * DAY))))
        }))
        .step(Step::blocking("go_live", Effect::Idempotent, move |cx| {
            let (page, approval): (Page, Approval) = (cx.input()?, cx.output("approve")?);
            if !approval.approved {
                return Err(StepError::permanent("publish.refused", format!("{} said no", approval.by)));
            }
            live.with(|files| files.insert(format!("live/{}", page.slug), Site::draft(&page)));
            Ok(format!("approved by {}", approval.by))
        }));
    Ok(job.build()?)
}

fn main() -> Outcome<()> {
    let sim = Sim::new(Timestamp::UNIX_EPOCH + Duration::from_secs(1_795_600_000), 1);
    let store: Arc<dyn Store> = Arc::new(Memory::on(Arc::new(sim.clone())));
    let (site, runs) = (Site::default(), Runs::new(Arc::clone(&store)));
    let job = publishing(&site)?;
    let deliver = |slug: &str, text: &str| -> Outcome<Report> {
        let page = Page { slug: slug.to_owned(), text: text.to_owned() };
        Ok(job.run_once_blocking_on(sim.clone(), &store, &page)?)
    };
    for slug in ["welcome", "rumour", "forgotten"] {
        tell(slug, &deliver(slug, "…")?);
    }
    println!("\nthe answers come, one of them twice:");
    for (slug, approved) in [("welcome", true), ("rumour", false), ("welcome", true)] {
        let answer = Approval { by: String::from("ada"), approved };
        let answer: Json = serde_json::value::to_raw_value(&answer)?;
        let token = format!("approval:{slug}");
        let resolved = block_on(runs.resolve(&token, answer, "web:approvals", sim.now().wall))?;
        let told = format!("{resolved:?}");
        println!("  {token}: {}", told.split(['(', ' ']).next().unwrap_or_default().to_lowercase());
    }
    println!("\ntwo days later:");
    sim.advance(2 * DAY);
    job.work_off_blocking_on(sim.clone(), &store)?;
    block_on(runs.sweep(&[], "sweeper"))?;
    job.work_off_blocking_on(sim.clone(), &store)?;
    for slug in ["welcome", "rumour", "forgotten"] {
        tell(slug, &deliver(slug, "…")?);
    }
    tell("welcome, with another text", &deliver("welcome", "other")?);
    println!("\non the site: {:?}", site.with(|files| files.keys().cloned().collect::<Vec<_>>()));

    println!("\nwhat happened to the rumour:");
    let operator = Operator::new(store, "ada")?;
    for run in block_on(operator.list(&Default::default(), 10))? {
        if run.body.input.get().contains("rumour") {
            let whole = block_on(operator.show(&Selector::Name(run.id().to_owned())))?;
            for stored in whole.history {
                let event = stored.event;
                println!("  {:<18} {:<8} {}", event.code, event.step.unwrap_or_default(), event.why);
            }
        }
    }
    Ok(())
}

fn tell(slug: &str, report: &Report) {
    let state = report.run.as_ref().map_or("none", |run| run.state().as_str());
    println!("{slug}: {state}; {}", report.verdict);
}
