//! One task of this process at a time reads, changes and writes what is kept of a gate.
//!
//! Tasks that do so at once make each other's writes fail, and then nobody can tell whether what failed to be written is
//! part of what another has written: a failure would be counted twice, or not at all.

use std::pin::pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, PoisonError};

use crate::act::call::bulkhead::{Bulkhead, Slot};
use crate::act::call::face::{Face, within};
use crate::act::call::gate::Gate;
use crate::act::call::kept::{Keeper, PersistError, STORE_WAIT};

/// Whose turn it is.
#[derive(Debug)]
pub(super) struct Turn {
    one: Bulkhead,
    /// How often it was somebody's turn, to see whether it goes on.
    taken: AtomicU32,
}

impl Default for Turn {
    fn default() -> Self {
        Self { one: Bulkhead::new(1), taken: AtomicU32::new(0) }
    }
}

impl Keeper {
    pub(super) fn turn_of(&self, gate: Gate<'_>) -> Arc<Turn> {
        self.with(gate, |cell| Arc::clone(&cell.turn))
    }

    /// The budget is one for all accounts.
    pub(super) fn budget_turn(&self) -> Arc<Turn> {
        Arc::clone(&self.own.lock().unwrap_or_else(PoisonError::into_inner).turn)
    }

    /// Waits for the turn, as long as turns are taken. Whoever waited while the store said nothing does not ask it the
    /// same: a hundred tasks give a silent store up together, not one after the other.
    pub(super) async fn wait<'a, W: Face>(&self, face: &W, turn: &'a Turn) -> Result<Slot<'a>, PersistError> {
        let silences = self.silences.load(Ordering::SeqCst);
        let mut mine = pin!(turn.one.acquire());
        loop {
            let taken = turn.taken.load(Ordering::SeqCst);
            if let Some(slot) = within(face, mine.as_mut(), STORE_WAIT).await {
                turn.taken.fetch_add(1, Ordering::SeqCst);
                if self.silences.load(Ordering::SeqCst) == silences {
                    return Ok(slot);
                }
                return Err(PersistError::Silent { after: STORE_WAIT });
            }
            if turn.taken.load(Ordering::SeqCst) == taken {
                return Err(PersistError::Silent { after: STORE_WAIT });
            }
        }
    }
}
