//! Fan-out inside a step: many items, so many at once, each finished one saved.

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::sync::{Mutex, PoisonError};
use std::task::Poll;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::act::pipeline::step::to_json;
use crate::act::pipeline::{Cx, StepError};
use crate::base::canonical::Fingerprint;
use crate::base::handover::HandedOver;
use crate::base::time::BoxFuture;

/// The most items that may be worked on at the same time.
pub const AT_ONCE_MAX: usize = 256;

/// The cursor of a step that fans out.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Items<T> {
    /// The fingerprint of the list, so that another list is not taken for this one.
    of: String,
    /// What the finished items gave, by their place in the list.
    done: BTreeMap<usize, T>,
}

/// What the threads of a fan-out share.
struct Shared<T> {
    /// The places of the items that are not begun, the next one last.
    left: Vec<usize>,
    state: Items<T>,
    failed: Option<StepError>,
    saving: bool,
    unsaved: bool,
}

impl<T> Shared<T> {
    fn take_unless(&mut self, stop: bool) -> Option<usize> {
        if stop || self.failed.is_some() { None } else { self.left.pop() }
    }
}

impl Cx {
    /// Works on `items`, at most `at_once` (1 to [`AT_ONCE_MAX`]) at the same time, and gives what each gave, in their order.
    ///
    /// Each finished item is saved with what it gave; those that finish while a save is under way are saved together. A
    /// run that resumes goes on with those that are not saved: one that was finished and not yet saved runs again, as its
    /// step's effect class allows; [`key_of`](Self::key_of) is its own key. When an item fails, no other is begun, those in
    /// the middle are finished and saved, and the first failure is the step's.
    ///
    /// What the items give is kept in the run's record and must have room there: give where it is, not what it is.
    ///
    /// ```
    /// # use unattended::effect::Effect;
    /// # use unattended::pipeline::Step;
    /// let upload = Step::new("upload", Effect::Idempotent, |cx| async move {
    ///     let files: Vec<String> = cx.input()?;
    ///     let urls = cx.for_each(&files, 8, |index, file| {
    ///         let key = cx.key_of(index);
    ///         async move { Ok(format!("https://example.com/{file}?key={key:?}")) }
    ///     });
    ///     urls.await
    /// });
    /// # drop(upload);
    /// ```
    ///
    /// # Errors
    /// The first item's failure; a permanent `step.items_changed` if the list is not the one that was begun,
    /// `step.at_once` for a number of items at once outside its bounds; when the run was lost, or the store cannot be
    /// written.
    pub async fn for_each<I, T, F, Fut>(
        &self,
        items: &[I],
        at_once: usize,
        work: F,
    ) -> Result<Vec<T>, StepError>
    where
        I: Serialize + Clone,
        T: Serialize + DeserializeOwned + Clone,
        F: Fn(usize, I) -> Fut,
        Fut: Future<Output = Result<T, StepError>>,
    {
        let mut state = self.begun::<I, T>(items, at_once)?;
        let total = items.len();
        let mut left: Vec<usize> = (0..total).rev().filter(|index| !state.done.contains_key(index)).collect();
        let mut slots: Vec<(usize, std::pin::Pin<Box<Fut>>)> = Vec::with_capacity(at_once.min(left.len()));
        let (mut failed, mut unsaved) = (None, false);
        let mut saving: Option<BoxFuture<'_, Result<(), StepError>>> = None;
        poll_fn(move |context| {
            loop {
                while failed.is_none()
                    && slots.len() < at_once
                    && let Some(index) = left.pop()
                {
                    if let Some(item) = items.get(index) {
                        slots.push((index, Box::pin(work(index, item.clone()))));
                    }
                }
                let before = slots.len();
                slots.retain_mut(|(index, slot)| match slot.as_mut().poll(context) {
                    Poll::Pending => true,
                    Poll::Ready(Ok(output)) => {
                        state.done.insert(*index, output);
                        unsaved = true;
                        false
                    }
                    Poll::Ready(Err(error)) => {
                        failed.get_or_insert(error);
                        false
                    }
                });
                let finished = slots.len() < before;
                if saving.is_none() && unsaved {
                    unsaved = false;
                    self.count(state.done.len(), total);
                    match self.save_now(&state) {
                        Ok(save) => saving = Some(save),
                        Err(error) => return Poll::Ready(Err(failed.take().unwrap_or(error))),
                    }
                }
                let saved = match saving.as_mut().map(|save| save.as_mut().poll(context)) {
                    Some(Poll::Ready(Err(error))) => return Poll::Ready(Err(error)),
                    Some(Poll::Ready(Ok(()))) => {
                        saving = None;
                        true
                    }
                    Some(Poll::Pending) | None => false,
                };
                if slots.is_empty() && saving.is_none() && !unsaved {
                    match failed.take() {
                        Some(error) => return Poll::Ready(Err(error)),
                        None if left.is_empty() => {
                            return Poll::Ready(Ok(std::mem::take(&mut state.done).into_values().collect()));
                        }
                        None => {}
                    }
                }
                if !finished && !saved {
                    return Poll::Pending;
                }
            }
        })
        .await
    }

    /// The same for work that blocks: on `at_once` threads, this one among them.
    ///
    /// # Errors
    /// As [`for_each`](Self::for_each).
    pub fn for_each_blocking<I, T, F>(
        &self,
        items: &[I],
        at_once: usize,
        work: F,
    ) -> Result<Vec<T>, StepError>
    where
        I: Serialize + Sync,
        T: Serialize + DeserializeOwned + Send,
        F: Fn(usize, &I) -> Result<T, StepError> + Sync,
    {
        let state = self.begun::<I, T>(items, at_once)?;
        let total = items.len();
        let left: Vec<usize> = (0..total).rev().filter(|index| !state.done.contains_key(index)).collect();
        let threads = at_once.min(left.len());
        let shared = Mutex::new(Shared { left, state, failed: None, saving: false, unsaved: false });
        let lock = || shared.lock().unwrap_or_else(PoisonError::into_inner);
        let run = || {
            loop {
                let Some(index) = lock().take_unless(self.should_stop()) else { return };
                let Some(item) = items.get(index) else { return };
                let outcome = work(index, item);
                let mut shared = lock();
                match outcome {
                    Err(error) => {
                        shared.failed.get_or_insert(error);
                    }
                    Ok(output) => {
                        shared.state.done.insert(index, output);
                        shared.unsaved = true;
                    }
                }
                // One save at a time, for all that have finished meanwhile: a later one is never overtaken by an earlier.
                while shared.unsaved && !shared.saving {
                    (shared.unsaved, shared.saving) = (false, true);
                    self.count(shared.state.done.len(), total);
                    let cursor = to_json(&shared.state);
                    drop(shared);
                    let saved = cursor.and_then(|cursor| self.save_cursor_blocking(&cursor));
                    shared = lock();
                    shared.saving = false;
                    if let Err(error) = saved {
                        shared.failed.get_or_insert(error);
                    }
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..threads {
                // Where no more threads can be had, those that are there do the work.
                drop(std::thread::Builder::new().spawn_scoped(scope, run));
            }
            run();
        });
        let Shared { state, failed, .. } = shared.into_inner().unwrap_or_else(PoisonError::into_inner);
        match failed {
            Some(error) => Err(error),
            None if state.done.len() < total => {
                // What is finished is saved, and nothing is in the middle: it has not failed.
                let why = "it was asked to stop between two items";
                Err(HandedOver::new("step.stopped", why, self.now().wall).into())
            }
            None => Ok(state.done.into_values().collect()),
        }
    }

    /// What an earlier life has finished of this list.
    fn begun<I: Serialize, T: DeserializeOwned>(
        &self,
        items: &[I],
        at_once: usize,
    ) -> Result<Items<T>, StepError> {
        if at_once == 0 || at_once > AT_ONCE_MAX {
            let why = format!("at_once is {at_once}; allowed is 1 to {AT_ONCE_MAX}");
            return Err(StepError::permanent("step.at_once", why));
        }
        let of =
            Fingerprint::of(&items).map_err(|error| StepError::permanent("step.items", error))?.to_string();
        match self.cursor::<Items<T>>()? {
            None => Ok(Items { of, done: BTreeMap::new() }),
            Some(begun) if begun.of == of => Ok(begun),
            Some(begun) => {
                let why = format!(
                    "the list of items is not the one that was begun, of which {} were finished",
                    begun.done.len()
                );
                Err(StepError::permanent("step.items_changed", why))
            }
        }
    }

    fn save_now<'a, T: Serialize>(
        &'a self,
        state: &Items<T>,
    ) -> Result<BoxFuture<'a, Result<(), StepError>>, StepError> {
        let cursor = to_json(state)?;
        Ok(Box::pin(async move { self.save_cursor(&cursor).await }))
    }

    fn count(&self, done: usize, total: usize) {
        self.set_progress(done as u64, Some(total as u64));
    }
}
