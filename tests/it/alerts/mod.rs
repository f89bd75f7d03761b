//! Alerts in a store: what is told once, to whom, and what becomes of it when processes, sinks and clocks fail.

mod holds;
mod runs;

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use unattended::alert::{Kind, Policy, State, Subject};
use unattended::blocking::block_on;
use unattended::memory::Memory;
use unattended::notify::{About, Alerts, Builder, File, Filter, Page, Sign, Signal, SinkError};
use unattended::store::{Ns, Store};
use unattended::time::{Clock, Now, SleepBlocking, System};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// What was sent.
#[derive(Clone, Default)]
pub(crate) struct Pager(Arc<Mutex<Vec<Page>>>);

impl Pager {
    pub(crate) fn on(&self, builder: Builder) -> Builder {
        let pages = Arc::clone(&self.0);
        builder.sink("pager", move |page: &Page| {
            pages.lock().unwrap().push(page.clone());
            Ok::<(), SinkError>(())
        })
    }

    pub(crate) fn take(&self) -> Vec<Page> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }

    fn states(&self) -> Vec<(String, u64)> {
        self.take().into_iter().map(|page| (page.state, page.count)).collect()
    }
}

pub(crate) fn memory() -> Arc<dyn Store> {
    Arc::new(Memory::new())
}

fn overdue(job: &str, now: Now) -> Signal {
    Signal::new(Subject::job(job), Kind::Overdue, "heartbeat.overdue", "it is silent", now.wall)
}

fn alerts(store: &Arc<dyn Store>) -> Builder {
    Alerts::new(Arc::clone(store))
}

#[test]
fn what_a_killed_process_did_not_send_is_sent_by_the_next_once() {
    let (store, pager, now) = (memory(), Pager::default(), System.now());
    let first = alerts(&store).build().unwrap();
    let _decision = first.raise_blocking(&overdue("mail", now), now).unwrap();
    assert_eq!(first.send_blocking(now).unwrap().pages, 0, "it has nobody to send to");
    assert!(first.list_blocking(&Filter::open(), 10).unwrap()[0].unsent);
    drop(first);
    for _ in 0..3 {
        pager.on(alerts(&store)).build().unwrap().send_blocking(now).unwrap();
    }
    let pages = pager.take();
    assert_eq!(pages.len(), 1, "{pages:?}");
    assert_eq!(pages[0].next, "unattended runs --job mail");
    assert_eq!((pages[0].state.as_str(), pages[0].count, pages[0].kind.as_str()), ("open", 1, "overdue"));
}

#[test]
fn a_sink_that_does_not_answer_is_waited_for_once_in_a_pass() {
    let (store, now, asked) = (memory(), System.now(), Arc::new(AtomicU32::new(0)));
    let (pager, counted) = (Pager::default(), Arc::clone(&asked));
    let silent = move |_: &Page| {
        counted.fetch_add(1, Ordering::SeqCst);
        Err(SinkError::TimedOut { after: MINUTE })
    };
    let alerts = pager.on(alerts(&store)).sink("silent", silent).build().unwrap();
    for job in ["mail", "feed", "bill"] {
        let _decision = alerts.raise_blocking(&overdue(job, now), now).unwrap();
    }
    let sent = alerts.send_blocking(now).unwrap();
    assert_eq!((sent.pages, sent.left, asked.load(Ordering::SeqCst)), (0, 3, 1), "{sent:?}");
    assert_eq!(pager.take().len(), 3, "the other sink has all");
    let later = Now { wall: now.wall + HOUR, ..now };
    let _sent = alerts.send_blocking(later).unwrap();
    assert_eq!(asked.load(Ordering::SeqCst), 2, "the next pass asks it again");
    assert_eq!(pager.take().len(), 0);
}

#[test]
fn two_that_send_at_once_send_it_once() {
    let (store, now, sent) = (memory(), System.now(), Arc::new(AtomicU32::new(0)));
    let _decision = alerts(&store).build().unwrap().raise_blocking(&overdue("mail", now), now).unwrap();
    let senders: Vec<_> = (0..8)
        .map(|_| {
            let sent = Arc::clone(&sent);
            let slow = move |_: &Page| {
                sent.fetch_add(1, Ordering::SeqCst);
                System.sleep_blocking(Duration::from_millis(200));
                Ok::<(), SinkError>(())
            };
            let alerts = alerts(&store).sink("slow", slow).build().unwrap();
            std::thread::spawn(move || alerts.send_blocking(now).unwrap().pages)
        })
        .collect();
    let pages: u32 = senders.into_iter().map(|sender| sender.join().unwrap()).sum();
    assert_eq!((pages, sent.load(Ordering::SeqCst)), (1, 1));
}

#[test]
fn a_sink_that_hangs_holds_up_no_other_and_is_tried_again_later() {
    let (store, pager, now) = (memory(), Pager::default(), System.now());
    let (give, wait) = channel::<()>();
    let wait = Mutex::new(wait);
    let hangs = move |_: &Page| {
        // Until the test is over.
        let _ended = wait.lock().unwrap().recv();
        Ok::<(), SinkError>(())
    };
    let alerts =
        pager.on(alerts(&store)).sink("hangs", hangs).timeout(Duration::from_millis(100)).build().unwrap();
    let _decision = alerts.raise_blocking(&overdue("mail", now), now).unwrap();
    let sent = alerts.send_blocking(now).unwrap();
    assert_eq!((sent.pages, sent.left), (0, 1));
    assert_eq!(sent.failed.len(), 1);
    assert!(sent.failed[0].1.contains("did not answer"), "{sent:?}");
    assert_eq!(pager.take().len(), 1, "the other has it");
    assert_eq!(alerts.send_blocking(now).unwrap().failed, [], "not again at once");
    let later = now.after(MINUTE);
    let sent = alerts.send_blocking(later).unwrap();
    assert!(sent.failed[0].1.contains("still hangs"), "{sent:?}");
    assert_eq!(pager.take().len(), 0, "who has it does not get it twice");
    drop(give);
    let much_later = now.after(HOUR);
    System.sleep_blocking(Duration::from_millis(300));
    let sent = alerts.send_blocking(much_later).unwrap();
    assert_eq!((sent.pages, sent.left), (1, 0), "{sent:?}");
}

#[test]
fn a_sink_that_panics_is_one_that_failed() {
    let (store, now) = (memory(), System.now());
    let panics = |_: &Page| -> Result<(), SinkError> { panic!("no modem") };
    let alerts = alerts(&store).sink("modem", panics).build().unwrap();
    let _decision = alerts.raise_blocking(&overdue("mail", now), now).unwrap();
    let sent = alerts.send_blocking(now).unwrap();
    assert_eq!(sent.failed, [("modem".to_owned(), "it panicked: no modem".to_owned())]);
    let entry = alerts.list_blocking(&Filter::open(), 1).unwrap().remove(0);
    assert!(entry.unsent && entry.not_sent.unwrap().contains("no modem"));
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_is_a_sink_that_failed_and_a_file_gets_a_whole_line_for_each_page() {
    use std::os::unix::fs::PermissionsExt;

    let (store, now, folder) = (memory(), System.now(), tempfile::tempdir().unwrap());
    let path = folder.path().join("pages.jsonl");
    let full = alerts(&store).sink("file", File::new("/dev/full")).build().unwrap();
    let _decision = full.raise_blocking(&overdue("mail", now), now).unwrap();
    let sent = full.send_blocking(now).unwrap();
    assert_eq!((sent.pages, sent.left), (0, 1), "{sent:?}");
    assert!(sent.failed[0].1.contains("/dev/full"), "{sent:?}");
    let folder_is_none = alerts(&memory()).sink("file", File::new(folder.path())).build().unwrap();
    assert!(folder_is_none.test_blocking(now)[0].1.as_ref().unwrap_err().to_string().contains("is a folder"));

    // A line that somebody cut off does not swallow the next.
    std::fs::write(&path, "{\"cut\":").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    let sound = alerts(&store).sink("file", File::new(&path)).build().unwrap();
    assert_eq!(sound.send_blocking(now.after(MINUTE)).unwrap().pages, 1);
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 2, "{text}");
    let page: serde_json::Value = serde_json::from_str(lines[1]).unwrap();
    for key in [
        "id", "state", "subject", "kind", "code", "why", "since", "last", "count", "owner", "runbook",
        "tail", "run_id", "next", "text",
    ] {
        assert!(page.get(key).is_some(), "{key}: {page}");
    }
    assert_eq!(page["subject"], "job:mail");
    let new = folder.path().join("new.jsonl");
    let made = alerts(&memory()).sink("file", File::new(&new)).build().unwrap();
    assert!(made.test_blocking(now)[0].1.is_ok());
    assert_eq!(std::fs::metadata(&new).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn ten_thousand_occurrences_are_one_bounded_record_and_a_page_that_counts_them() {
    let (store, pager, now) = (memory(), Pager::default(), System.now());
    let alerts = pager.on(alerts(&store)).build().unwrap();
    let long = "x".repeat(100_000);
    for second in 0..10_000u64 {
        let now = now.after(Duration::from_secs(second) / 4);
        let signal =
            Signal::new(Subject::job("mail"), Kind::Overdue, "mail.late", &long, now.wall).tail(&long);
        let _decision = alerts.raise_blocking(&signal, now).unwrap();
    }
    let id = alerts.list_blocking(&Filter::open(), 2).unwrap().remove(0).id;
    let record = block_on(store.get(Ns::SNAPSHOT, &format!("alert/{id}"))).unwrap().unwrap();
    assert!(record.body.len() < 16 * 1024, "{}", record.body.len());
    let events = block_on(store.events(Ns::SNAPSHOT, &format!("alert/{id}"), 0, 100)).unwrap();
    assert_eq!(events.len(), 1, "what is only counted has no event");
    alerts.send_blocking(now.after(HOUR)).unwrap();
    assert_eq!(pager.states(), [("open".to_owned(), 10_000)]);
}

#[test]
fn a_thousand_identities_in_a_minute_are_twenty_pages_and_one_digest() {
    let (store, pager, now) = (memory(), Pager::default(), System.now());
    let alerts = pager.on(alerts(&store)).build().unwrap();
    for job in 0..1000u64 {
        let now = now.after(Duration::from_millis(60 * job));
        let _decision = alerts.raise_blocking(&overdue(&format!("job{job:04}"), now), now).unwrap();
        if job % 100 == 99 {
            alerts.send_blocking(now).unwrap();
        }
    }
    let pages = pager.take();
    assert_eq!(pages.len(), 20);
    let sent = alerts.send_blocking(now.after(3 * MINUTE)).unwrap();
    assert_eq!((sent.pages, sent.digests), (0, 1), "{sent:?}");
    let digest = pager.take().remove(0);
    assert_eq!((digest.state.as_str(), digest.count), ("digest", 980));
    assert!(
        digest.why.starts_with("980 alerts were held back: 20 pages in 60 min")
            || digest.why.contains("980 alerts"),
        "{}",
        digest.why
    );
    assert!(digest.text.contains("job0020") && digest.text.contains("and 880 others"), "{}", digest.text);
    // Nothing of it comes again, and when the hour is over pages go out as ever.
    for minute in [4, 30, 100] {
        alerts.send_blocking(now.after(minute * MINUTE)).unwrap();
    }
    assert_eq!(pager.take().len(), 0);
    let later = now.after(2 * HOUR);
    let _decision = alerts.raise_blocking(&overdue("another", later), later).unwrap();
    assert_eq!(alerts.send_blocking(later).unwrap().pages, 1);
}

#[test]
fn an_hour_back_makes_no_page_more() {
    let (store, pager, now) = (memory(), Pager::default(), System.now());
    let alerts = pager.on(alerts(&store)).build().unwrap();
    let at = now.after(2 * HOUR);
    let _decision = alerts.raise_blocking(&overdue("mail", at), at).unwrap();
    alerts.send_blocking(at).unwrap();
    for minute in 0..60 {
        let back = now.after(HOUR + minute * MINUTE);
        let _decision = alerts.raise_blocking(&overdue("mail", back), back).unwrap();
        alerts.send_blocking(back).unwrap();
    }
    assert_eq!(pager.take().len(), 1);
}

#[test]
fn who_has_acknowledged_is_not_paged_and_what_is_resolved_opens_again_as_a_new_page() {
    let (store, pager, now) = (memory(), Pager::default(), System.now());
    let alerts = pager.on(alerts(&store)).build().unwrap();
    let _decision = alerts.raise_blocking(&overdue("mail", now), now).unwrap();
    alerts.send_blocking(now).unwrap();
    let id = alerts.list_blocking(&Filter::open(), 1).unwrap().remove(0).id;
    let end = &id[id.len() - 6..];
    let acked = alerts.ack_blocking(end, None, "operator:ada", now).unwrap();
    assert_eq!((acked.state, acked.acked_by.as_deref()), (State::Acknowledged, Some("operator:ada")));
    let later = now.after(5 * HOUR);
    let _decision = alerts.raise_blocking(&overdue("mail", later), later).unwrap();
    alerts.send_blocking(later).unwrap();
    assert_eq!(pager.states(), [("open".to_owned(), 1)], "only the first");

    let well = later.after(MINUTE);
    let mail = Subject::job("mail");
    assert_eq!(
        alerts.healthy_blocking(&mail, Sign::Success, well).unwrap(),
        0,
        "its monitor says that, not a run"
    );
    assert_eq!(alerts.healthy_blocking(&mail, Sign::Kind(Kind::Overdue), well).unwrap(), 1);
    alerts.send_blocking(well).unwrap();
    assert_eq!(pager.take().len(), 0, "nothing for a quarter of an hour first");
    alerts.send_blocking(well.after(20 * MINUTE)).unwrap();
    assert_eq!(pager.states(), [("resolved".to_owned(), 2)]);
    assert!(alerts.list_blocking(&Filter::open(), 1).unwrap().is_empty());
    assert!(alerts.ack_blocking(&id, None, "operator:ada", well).is_err(), "it is over");
    let again = well.after(HOUR);
    let _decision = alerts.raise_blocking(&overdue("mail", again), again).unwrap();
    alerts.send_blocking(again).unwrap();
    assert_eq!(pager.states(), [("open".to_owned(), 1)]);
}

#[test]
fn what_stands_is_one_occurrence_however_often_it_is_seen() {
    let (store, now) = (memory(), System.now());
    let alerts = alerts(&store).build().unwrap();
    for minute in 0..30 {
        let now = now.after(minute * MINUTE);
        let _decision = alerts.stands_blocking(&overdue("mail", now), now).unwrap();
    }
    assert_eq!(alerts.list_blocking(&Filter::open(), 1).unwrap()[0].count, 1);
}

#[test]
fn a_page_says_whom_to_ask_what_to_read_and_what_to_type_and_no_secret() {
    let (store, pager, now) = (memory(), Pager::default(), System.now());
    let about = About {
        owner: Some("ada".to_owned()),
        runbook: Some("https://example.org/mail".to_owned()),
        ..About::default()
    };
    let alerts = pager.on(alerts(&store)).job("mail", about).program("shop ops").build().unwrap();
    let signal = Signal::new(
        Subject::job("mail"),
        Kind::NeedsReview,
        "step.in_doubt",
        "it may have been sent",
        now.wall,
    );
    let signal = signal.run("01abc").tail("connecting\npassword=hunter2 refused");
    let _decision = alerts.raise_blocking(&signal, now).unwrap();
    alerts.send_blocking(now).unwrap();
    let page = pager.take().remove(0);
    assert_eq!(
        (page.owner.as_deref(), page.runbook.as_deref()),
        (Some("ada"), Some("https://example.org/mail"))
    );
    assert_eq!((page.next.as_str(), page.run_id.as_deref()), ("shop ops explain 01abc", Some("01abc")));
    for part in [
        "job mail: needs review (step.in_doubt)",
        "it may have been sent",
        "owner: ada",
        "next: shop ops explain 01abc",
    ] {
        assert!(page.text.contains(part), "{part}: {}", page.text);
    }
    let all = serde_json::to_string(&page).unwrap();
    assert!(!all.contains("hunter2") && all.contains("[redacted]"), "{all}");
}

#[test]
fn sixteen_processes_that_raise_at_once_lose_nothing() {
    let (store, now) = (memory(), System.now());
    let raisers: Vec<_> = (0..16)
        .map(|_| {
            let alerts = alerts(&store).policy(Policy::default()).build().unwrap();
            std::thread::spawn(move || {
                for _ in 0..10 {
                    while alerts.raise_blocking(&overdue("mail", now), now).is_err() {}
                }
            })
        })
        .collect();
    raisers.into_iter().for_each(|raiser| raiser.join().unwrap());
    let alerts = alerts(&store).build().unwrap();
    assert_eq!(alerts.list_blocking(&Filter::open(), 1).unwrap()[0].count, 160);
}

#[test]
fn alerts_that_cannot_be_meant_are_refused() {
    let sink = |_: &Page| Ok::<(), SinkError>(());
    assert!(alerts(&memory()).sink("a", sink).sink("a", sink).build().is_err());
    assert!(alerts(&memory()).sink("", sink).build().is_err());
    assert!(alerts(&memory()).timeout(Duration::ZERO).build().is_err());
    let none = alerts(&memory()).build().unwrap();
    for id in ["", "abc", "0123456789ab", "\0\0\0\0\0"] {
        assert!(none.ack_blocking(id, None, "operator:ada", System.now()).is_err(), "{id:?}");
    }
}
