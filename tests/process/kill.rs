//! Processes that are killed lose nothing that was acknowledged, and those that were stopped do no harm when they wake.

use std::time::Duration;

use unattended::blocking::Blocking;
use unattended::rng::Rng;
use unattended::sqlite::Sqlite;
use unattended::store::{ApplyError, Batch, ClaimDue, Expect, Ns, Order, Put, Write};

use crate::kit::{Player, alone};

#[test]
fn what_was_acknowledged_survives_a_kill_at_any_time() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let mut rng = Rng::seeded(7);
    let mut acknowledged = Vec::new();
    for round in 0..8 {
        let names = [format!("a{round}"), format!("b{round}")];
        let players = names.each_ref().map(|name| {
            let mut player = Player::start("acknowledge", &path, &[("UNATTENDED_NAME", name.clone())]);
            let first = player.hear().expect("a child that writes");
            acknowledged.push(format!("{name}-{first}"));
            player
        });
        std::thread::sleep(Duration::from_micros(rng.up_to(60_000)));
        for (player, name) in players.into_iter().zip(&names) {
            let said = player.kill();
            // The last line may be cut; only whole numbers were acknowledged.
            acknowledged.extend(
                said.iter().filter(|number| number.parse::<u64>().is_ok()).map(|n| format!("{name}-{n}")),
            );
        }
        let store = Sqlite::open(&path).unwrap();
        assert_eq!(store.check().unwrap(), Vec::<String>::new(), "round {round}");
        for key in &acknowledged {
            assert!(
                Blocking(&store).get(Ns::RUN, key).unwrap().is_some(),
                "{key} was acknowledged and is lost"
            );
        }
    }
    assert!(acknowledged.len() > 100, "only {} writes were acknowledged", acknowledged.len());
}

#[test]
fn a_zombie_that_wakes_after_a_takeover_is_refused() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let store = Sqlite::open(&path).unwrap();
    let go = folder.path().join("go");
    let mut zombie = Player::start("zombie", &path, &[("UNATTENDED_GO", go.display().to_string())]);
    let fence: u64 = zombie.hear().unwrap().parse().unwrap();
    zombie.signal("-STOP");
    zombie.until_stopped();
    let version = Blocking(&store).get(Ns::RUN, "job").unwrap().unwrap().version;
    let takeover = || {
        let expect = Expect::LeaseOver { version };
        let put = Put::claim("processing", Duration::from_secs(60));
        Blocking(&store).apply(Batch::of(Write::new(Ns::RUN, "job", expect, put)))
    };
    // A stopped process lives: its lease is over when its time is up, not before.
    let mut taken = takeover();
    for _ in 0..400 {
        if !matches!(taken, Err(ApplyError::Conflict(_))) {
            break;
        }
        std::thread::sleep(Duration::from_millis(5));
        taken = takeover();
    }
    let taken = taken.unwrap().first().unwrap().fence;
    assert!(taken > fence);
    std::fs::write(&go, "").unwrap();
    zombie.signal("-CONT");
    let refused = format!("refused by fence {taken}");
    assert_eq!(zombie.finish(), [refused.clone(), refused]);
    let job = Blocking(&store).get(Ns::RUN, "job").unwrap().unwrap();
    assert_eq!((job.fence, job.state.as_str()), (taken, "processing"));
}

#[test]
fn the_work_of_a_killed_process_is_taken_over_at_once() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let store = Sqlite::open(&path).unwrap();
    let mut holder = Player::start("hold", &path, &[]);
    assert_eq!(holder.hear().as_deref(), Some("holding"));
    let claim = || ClaimDue {
        ns: Ns::RUN,
        kinds: Vec::new(),
        states: Vec::new(),
        order: Order::Rank,
        limit: 1,
        owner: None,
        lease: Duration::from_secs(30),
        state: "processing".into(),
        actor: "worker:test".into(),
        due: ("due".into(), "due".into()),
        orphan: ("orphan".into(), "its owner is gone".into()),
    };
    assert_eq!(Blocking(&store).claim_due(claim()).unwrap(), [], "its holder lives");
    holder.kill();
    let claimed = Blocking(&store).claim_due(claim()).unwrap();
    assert_eq!(claimed.len(), 1, "its holder is dead, and its lease has ten minutes to go");
    assert!(claimed[0].orphan);
}
