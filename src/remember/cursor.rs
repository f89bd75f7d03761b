//! The cursor of the backends in this crate: where a page ended, in the terms of its order.

use crate::base::time::Timestamp;
use crate::remember::store::{Cursor, Error, Order, Record};

/// The last record of a page. `id` ascends in the order of creation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) id: u64,
    pub(super) rank: i64,
    pub(super) due_ms: Option<i64>,
}

impl Mark {
    pub(super) fn of(id: u64, record: &Record) -> Self {
        Self { id, rank: record.rank, due_ms: record.due_at.map(|at| at.timestamp_millis()) }
    }

    pub(super) fn write(self, order: Order) -> Cursor {
        Cursor(match order {
            Order::Newest => format!("n.{}", self.id),
            Order::Oldest => format!("o.{}", self.id),
            Order::Rank => {
                let due = self.due_ms.map_or_else(|| String::from("-"), |due| format!("d{due}"));
                format!("r.{}.{due}.{}", self.rank, self.id)
            }
        })
    }

    pub(super) fn read(cursor: &Cursor, order: Order) -> Result<Self, Error> {
        let foreign =
            || Error::invalid("cursor", &cursor.0, format!("one that a page in order {order:?} ended with"));
        let mut parts = cursor.0.split('.');
        let mut next = || parts.next().ok_or_else(foreign);
        let tag = match order {
            Order::Newest => "n",
            Order::Oldest => "o",
            Order::Rank => "r",
        };
        if next()? != tag {
            return Err(foreign());
        }
        let (rank, due_ms) = if order == Order::Rank {
            let rank = next()?.parse().map_err(|_| foreign())?;
            let due = match next()? {
                "-" => None,
                due => Some(due.strip_prefix('d').and_then(|due| due.parse().ok()).ok_or_else(foreign)?),
            };
            (rank, due)
        } else {
            (0, None)
        };
        let id = next()?.parse().map_err(|_| foreign())?;
        if parts.next().is_some() { Err(foreign()) } else { Ok(Self { id, rank, due_ms }) }
    }
}

/// The sort key of [`Order::Rank`]: highest rank, then no due time (an orphan), then the earliest, then first created.
pub(super) fn by_rank(
    id: u64,
    rank: i64,
    due_at: Option<Timestamp>,
) -> (std::cmp::Reverse<i64>, Option<i64>, u64) {
    (std::cmp::Reverse(rank), due_at.map(|at| at.timestamp_millis()), id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_in_its_own_order_and_in_no_other() {
        for due_ms in [None, Some(-5), Some(1_700_000_000_000)] {
            let mark = Mark { id: 7, rank: -3, due_ms };
            assert_eq!(Mark::read(&mark.write(Order::Rank), Order::Rank).unwrap(), mark);
            assert!(Mark::read(&mark.write(Order::Rank), Order::Newest).is_err());
        }
        let newest = Mark { id: 7, rank: 0, due_ms: None }.write(Order::Newest);
        assert!(Mark::read(&newest, Order::Oldest).is_err());
        for text in ["", "n", "n.", "n.x", "n.1.2", "r.1.5.3", "r.1.d.3", "🦀"] {
            for order in [Order::Newest, Order::Rank] {
                assert!(Mark::read(&Cursor(text.into()), order).is_err(), "{text}");
            }
        }
    }
}
