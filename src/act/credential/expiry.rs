//! When a token is to be refreshed and when it is over: pure arithmetic on two clocks.

use std::time::Duration;

use crate::act::credential::{Due, Token};
use crate::base::rng::Rng;
use crate::base::time::{Moment, Now, Timestamp, between, nanos};

/// The least time before its end at which a token is refreshed, for lifetimes of 10 minutes or more.
const MARGIN_MIN: Duration = Duration::from_secs(300);
/// So much of the lifetime is the margin, where that is more.
const MARGIN_PART: u32 = 5;
/// The margin is drawn earlier by at most this part of the lifetime.
const JITTER_PART: u32 = 10;
/// A token is over this long before the other side says so, because its clock is not ours.
const SKEW: Duration = Duration::from_secs(10);
/// At most this part of the lifetime.
const SKEW_PART: u32 = 20;
/// A token this young is not replaced for the sake of a longer need: a need that slides along with the clock would
/// otherwise refresh at every call.
const YOUNG: Duration = Duration::from_secs(60);

/// A token's lifetime on both clocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    expires_at: Timestamp,
    lifetime: Duration,
    /// How long before its end it is refreshed.
    margin: Duration,
    skew: Duration,
    /// When it is over by the monotonic clock.
    over: Moment,
}

/// How a token stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It may be used for `left`; `due` says why it should be refreshed, if it should.
    Valid { left: Duration, due: Option<Due> },
    /// It may not be used.
    Over { due: Due },
}

impl Terms {
    /// The terms of a token that is taken in at `now` and was asked for at `since`: it ends at the earlier of what the
    /// wall clock and what the monotonic clock says.
    pub(super) fn of<T>(token: &Token<T>, since: Moment, now: Now, rng: &mut Rng) -> Self {
        let lifetime = token.lifetime();
        let margin = (lifetime / MARGIN_PART).max(MARGIN_MIN).min(lifetime / 2);
        let jitter = Duration::from_nanos(rng.up_to(nanos(lifetime / JITTER_PART)));
        let skew = SKEW.min(lifetime / SKEW_PART);
        // A clock that went back since would give it more than its lifetime.
        let left = between(now.wall, token.expires_at()).min(lifetime);
        let ends = now.moment.after(left).min(since.after(lifetime).max(now.moment));
        let over = Moment::from_nanos(ends.as_nanos().saturating_sub(nanos(skew)));
        Self { expires_at: token.expires_at(), lifetime, margin: margin + jitter, skew, over }
    }

    /// How the token stands at `now` for somebody who needs it until `until`.
    pub(super) fn standing(&self, now: Now, until: Option<Timestamp>) -> Standing {
        let by_wall = between(now.wall, self.expires_at).saturating_sub(self.skew);
        let by_moment = self.over.since(now.moment);
        let left = by_wall.min(by_moment);
        let early = self.margin.saturating_sub(self.skew);
        // Clocks drift; what is worth a word is a step.
        let step = by_wall.saturating_sub(by_moment) > self.skew;
        let went_back = step && by_wall > early && by_moment <= early;
        let due = || match went_back {
            true => Due::ClockWentBack { by: by_wall.saturating_sub(by_moment) },
            false if left.is_zero() => Due::Over { expired_at: self.expires_at },
            false => Due::Soft { left, margin: self.margin },
        };
        if left.is_zero() {
            return Standing::Over { due: due() };
        }
        let due = if left <= early { Some(due()) } else { self.too_short(now, left, until) };
        Standing::Valid { left, due }
    }

    /// A need that this token does not meet and the next one would.
    fn too_short(&self, now: Now, left: Duration, until: Option<Timestamp>) -> Option<Due> {
        let needed = between(now.wall, until?);
        let whole = self.lifetime.saturating_sub(self.skew);
        let age = whole.saturating_sub(left);
        let young = age < YOUNG.min(self.lifetime / JITTER_PART);
        (left < needed && needed <= whole && !young).then_some(Due::TooShort { left, needed })
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);
    const MINUTE: Duration = Duration::from_secs(60);

    fn at(seconds: u64) -> Now {
        Now { moment: Moment::from_nanos(1 << 50), wall: Timestamp::UNIX_EPOCH }
            .after(Duration::from_secs(seconds))
    }

    /// Terms without jitter: a seed whose first draw is small would be luck, so it is taken out.
    fn terms(lifetime: Duration) -> Terms {
        let token = Token::lasting((), at(0).wall, lifetime);
        let mut terms = Terms::of(&token, at(0).moment, at(0), &mut Rng::seeded(1));
        terms.margin = (lifetime / MARGIN_PART).max(MARGIN_MIN).min(lifetime / 2);
        terms
    }

    #[test]
    fn the_margin_is_the_most_of_five_minutes_and_a_fifth_and_at_most_half() {
        for (lifetime, margin) in [(10 * HOUR, 2 * HOUR), (HOUR, 12 * MINUTE), (20 * MINUTE, 5 * MINUTE)] {
            assert_eq!(terms(lifetime).margin, margin);
        }
        assert_eq!(terms(4 * MINUTE).margin, 2 * MINUTE);
        let terms = terms(HOUR);
        let due = |seconds| match terms.standing(at(seconds), None) {
            Standing::Valid { due, .. } => due.is_some(),
            Standing::Over { .. } => panic!("over"),
        };
        assert!(!due(48 * 60 - 1) && due(48 * 60));
    }

    #[test]
    fn the_jitter_is_at_most_a_tenth_and_the_same_for_one_token() {
        let token = Token::lasting((), at(0).wall, HOUR);
        let drawn = |seed| Terms::of(&token, at(0).moment, at(0), &mut Rng::seeded(seed)).margin;
        let all: Vec<_> = (0..200).map(drawn).collect();
        assert!(all.iter().all(|margin| (12 * MINUTE..=18 * MINUTE).contains(margin)));
        assert!(all.iter().any(|margin| *margin > 17 * MINUTE) && all.iter().any(|m| *m < 13 * MINUTE));
        assert_eq!(drawn(3), drawn(3));
    }

    #[test]
    fn it_is_over_a_little_before_the_other_side_says_so() {
        let terms = terms(HOUR);
        assert!(matches!(terms.standing(at(3589), None), Standing::Valid { .. }));
        assert!(matches!(terms.standing(at(3590), None), Standing::Over { due: Due::Over { .. } }));
    }

    #[test]
    fn a_clock_that_went_back_does_not_make_it_last_longer() {
        let terms = terms(HOUR);
        let back = |seconds, by| {
            let now = at(seconds);
            Now { wall: now.wall - TimeDelta::seconds(by), ..now }
        };
        assert!(matches!(
            terms.standing(back(3000, 3000), None),
            Standing::Valid { due: Some(Due::ClockWentBack { .. }), .. }
        ));
        assert!(matches!(
            terms.standing(back(3600, 9000), None),
            Standing::Over { due: Due::ClockWentBack { .. } }
        ));
        let forward = Now { wall: at(5000).wall, ..at(10) };
        assert!(matches!(terms.standing(forward, None), Standing::Over { due: Due::Over { .. } }));
    }

    #[test]
    fn a_token_taken_in_after_the_clock_went_back_gets_no_more_than_its_lifetime() {
        let token = Token::lasting((), at(9000).wall, HOUR);
        let terms = Terms::of(&token, at(0).moment, at(0), &mut Rng::seeded(1));
        assert!(matches!(terms.standing(at(3600), None), Standing::Over { .. }));
    }

    #[test]
    fn it_is_refreshed_earlier_for_a_run_that_would_outlast_it_but_not_for_one_that_no_token_could() {
        let terms = terms(HOUR);
        let due = |seconds, until| match terms.standing(at(seconds), Some(at(until).wall)) {
            Standing::Valid { due, .. } => due,
            Standing::Over { .. } => panic!("over"),
        };
        assert!(matches!(due(600, 4000), Some(Due::TooShort { .. })));
        assert_eq!(due(600, 3000), None);
        assert_eq!(due(600, 600 + 3600), None, "no token lasts as long");
        assert_eq!(due(30, 3610), None, "it is too young to be replaced for that");
    }
}
