//! What the application itself says.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::base::fault::Panicked;
use crate::decide::gate::Reading;

type Check = Box<dyn FnMut() -> Reading + Send>;

#[derive(Default)]
pub(super) struct Checks {
    by_name: BTreeMap<String, Check>,
}

impl Checks {
    pub(super) fn set(&mut self, name: String, check: Check) {
        self.by_name.insert(name, check);
    }

    pub(super) fn names(&self) -> Vec<&str> {
        self.by_name.keys().map(String::as_str).collect()
    }

    pub(super) fn ask(&mut self, name: &str) -> Reading {
        match self.by_name.get_mut(name) {
            // What a check has half done to its own state when it panics is its own; nothing of ours is touched.
            Some(check) => catch_unwind(AssertUnwindSafe(check)).unwrap_or_else(|panic| {
                Reading::missing(format_args!("its check panicked: {}", Panicked::of(&*panic).message))
            }),
            None => Reading::missing("there is no check of this name"),
        }
    }
}
