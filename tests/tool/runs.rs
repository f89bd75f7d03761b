//! The verbs about runs, on each kind of store.

mod answers;
mod bad;
mod lists;
mod made;
mod stores;
