//! Random beats, restarts and clock steps.

use super::*;
use crate::base::rng::{Rng, entropy};
use crate::base::time::{Clock, System};

/// The same as the rules say, by two comparisons: when is silence late and overdue.
#[test]
fn each_transition_is_told_once_and_overdue_exactly_at_twice_the_interval() {
    for round in 0..12 {
        let seed = entropy() ^ round;
        let mut rng = Rng::seeded(seed);
        let every = 60 + rng.up_to(4000);
        let mut heart = heart(Policy::every(secs(every)).tell_all());
        let (mut last, mut state, mut now) = (0, State::New, 0);
        for _ in 0..400 {
            now += rng.up_to(every / 3) + 1;
            if rng.up_to(9) == 0 {
                let beat = [Beat::started(), Beat::progress(), Beat::succeeded()];
                let beat = beat[usize::try_from(rng.up_to(2)).unwrap()].clone();
                let success = beat == Beat::succeeded();
                let told = heart.observe(at(now), beat).map(|event| (event.from, event.to));
                let expected = (success && state != State::Up).then_some((state, State::Up));
                assert_eq!(told, expected, "seed {seed}, at {now}");
                if success {
                    (last, state) = (now, State::Up);
                }
            }
            if rng.up_to(4) == 0 {
                let json = serde_json::to_string(&heart.saved()).unwrap();
                heart = Heart::restored(*heart.policy(), serde_json::from_str(&json).unwrap()).unwrap();
            }
            let should = match now - last {
                silent if silent >= every + every.max(60) => State::Overdue,
                silent if silent >= every => State::Late,
                _ => state,
            };
            let told = heart.tick(at(now).into(), |_| None).map(|event| (event.from, event.to));
            assert_eq!(told, (should != state).then_some((state, should)), "seed {seed}, at {now}");
            assert_eq!(heart.tick(at(now).into(), |_| None), None, "once");
            state = should;
            if state < State::Overdue {
                let due = if state == State::Late { every + every.max(60) } else { every };
                assert_eq!(heart.next_wake(), Some(at(last + due).wall), "seed {seed}, at {now}");
            }
        }
    }
}

/// Whatever comes and however the clock jumps: events follow on each other, nothing is told twice, and a job that is silent long enough is
/// found.
#[test]
fn events_follow_on_each_other_through_restarts_and_clock_steps() {
    for round in 0..12 {
        let seed = entropy() ^ round;
        let mut rng = Rng::seeded(seed);
        let policy = hourly().run_max(secs(900)).run_min(secs(2)).progress_lease(secs(300)).failures(2);
        let mut heart = heart(policy.recovery(2));
        let mut sight = Sight::new(secs(60));
        let (mut now, mut told_state) = (1_000_000, State::New);
        let (mut quiet, mut untold) = (false, false);
        for _ in 0..600 {
            now += rng.up_to(400);
            match rng.up_to(60) {
                0 => now += rng.up_to(200_000),
                1 => now -= rng.up_to(now.min(200_000)),
                _ => {}
            }
            let run = rng.up_to(3).to_string();
            let beat = match rng.up_to(12) {
                0..4 => Some(Beat::started()),
                4..6 => Some(Beat::progress()),
                6..9 => Some(Beat::succeeded()),
                9 => Some(Beat::failed("x")),
                10 if rng.up_to(5) == 0 => Some(if quiet { Beat::Resumed } else { Beat::Paused }),
                _ => None,
            };
            let mut events = Vec::new();
            if let Some(beat) = beat {
                quiet = match beat {
                    Beat::Paused => true,
                    Beat::Resumed => false,
                    _ => quiet,
                };
                events.extend(heart.observe(at(now), beat.of(run)));
            }
            let json = serde_json::to_string(&(heart.saved(), sight.saved())).unwrap();
            let (saved, seen): (Saved, SavedSight) = serde_json::from_str(&json).unwrap();
            let mut twin = Heart::restored(*heart.policy(), saved).unwrap();
            let mut twin_sight = Sight::restored(secs(60), &seen).unwrap();
            let (look, noticed) = sight.look(at(now));
            assert_eq!(twin_sight.look(at(now)), (look, noticed), "seed {seed}");
            let due = heart.is_due(&look);
            let before = heart.clone();
            let event = heart.tick(look, |_| None);
            assert!(
                due || (event.is_none() && heart == before),
                "seed {seed}: what is not due changes nothing"
            );
            assert_eq!(twin.tick(look, |_| None), event, "seed {seed}: a restart changes nothing");
            assert_eq!(twin.saved(), heart.saved(), "seed {seed}");
            events.extend(event);
            for event in events {
                let summed_up = matches!(event.why, Why::Steady { .. });
                assert!(summed_up == (event.from == event.to), "seed {seed}: {event:?}");
                // What was told last is where this begins, unless changes between were not told.
                assert!(
                    untold || summed_up || event.from == told_state,
                    "seed {seed}: {event:?} after {told_state}"
                );
                untold = matches!(event.why, Why::Unsteady { .. });
                told_state = event.to;
            }
            assert!(heart.status().running <= RUNS_MAX && heart.turns.len() <= 32, "seed {seed}");
        }
        heart.observe(at(now), Beat::Resumed);
        heart.observe(at(now), Beat::succeeded());
        // A death after all of this is found, whatever was told of it before: an interval later at most, for what the clock said.
        for n in (0..6 * 3600).step_by(60) {
            let (look, _) = sight.look(at(now + n));
            let _told = heart.tick(look, |_| None);
        }
        assert!(heart.state().is_down(), "seed {seed}: {:?}", heart.status());
    }
}

#[test]
fn ten_thousand_that_are_well_are_looked_at_in_no_time() {
    let mut hearts: Vec<_> = (0..10_000).map(|_| heart(hourly())).collect();
    for heart in &mut hearts {
        heart.observe(at(0), Beat::succeeded());
    }
    let (mut told, began) = (0, System.moment());
    for heart in &mut hearts {
        told += usize::from(heart.tick(at(3599).into(), |_| None).is_some());
    }
    let took = System.moment().since(began);
    assert_eq!(told, 0);
    assert!(took < secs(1), "{took:?}, unoptimised and beside other tests");
    assert!(size_of::<Heart>() <= 640, "{}", size_of::<Heart>());
    let all = hearts.iter_mut().filter_map(|heart| heart.tick(at(7200).into(), |_| None)).count();
    assert_eq!(all, 10_000);
}
