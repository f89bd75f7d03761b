//! The queue's line of time: the monotonic clock in nanoseconds, with room before its origin, so that an instant that a
//! person gave, and that a step of the wall clock moved before it, is still where it is.

use std::time::Duration;

use crate::base::time::{Moment, Now, Timestamp, later as wall_later, nanos};

/// 146 years before the origin; 438 are left after it.
const ORIGIN: u64 = 1 << 62;
/// The latest there is: [`NEVER`](crate::decide::queue::slab::NEVER) is no instant.
pub(super) const LAST: u64 = u64::MAX - 1;

pub(super) fn of(moment: Moment) -> u64 {
    moment.as_nanos().saturating_add(ORIGIN).min(LAST)
}

/// What was before the origin is at it.
pub(super) fn moment(at: u64) -> Moment {
    Moment::from_nanos(at.saturating_sub(ORIGIN))
}

pub(super) fn later(at: u64, by: Duration) -> u64 {
    at.saturating_add(nanos(by)).min(LAST)
}

/// Where a wall instant is, by what the two clocks say now.
pub(super) fn of_wall(wall: Timestamp, now: Now) -> u64 {
    shifted(of(now.moment), nanos_between(wall, now.wall))
}

/// The wall time of an instant, by what the two clocks say now.
pub(super) fn wall(at: u64, moment: u64, wall: Timestamp) -> Timestamp {
    if at >= moment {
        wall_later(wall, Duration::from_nanos(at - moment))
    } else {
        let before = chrono::TimeDelta::from_std(Duration::from_nanos(moment - at)).ok();
        before.and_then(|before| wall.checked_sub_signed(before)).unwrap_or(Timestamp::MIN_UTC)
    }
}

pub(super) fn shifted(at: u64, by: i128) -> u64 {
    u64::try_from((i128::from(at) + by).max(0)).unwrap_or(LAST).min(LAST)
}

/// How much later `a` is than `b`.
pub(super) fn nanos_between(a: Timestamp, b: Timestamp) -> i128 {
    let apart = a.signed_duration_since(b);
    i128::from(apart.num_seconds()) * 1_000_000_000 + i128::from(apart.subsec_nanos())
}

/// How far the wall clock is ahead of the monotonic one.
pub(super) fn ahead(now: Now) -> i128 {
    nanos_between(now.wall, Timestamp::UNIX_EPOCH) - i128::from(now.moment.as_nanos())
}

/// The same in milliseconds, cheaply.
pub(super) fn ahead_millis(now: Now) -> i64 {
    now.wall.timestamp_millis().saturating_sub((now.moment.as_nanos() / 1_000_000).cast_signed())
}
