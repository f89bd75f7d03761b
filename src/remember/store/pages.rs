//! What matches a query, page by page.

use super::{Error, Query, Record, Store};

/// Goes through the pages of a query, all of them or so many at most.
pub(crate) struct Pages<'a> {
    store: &'a dyn Store,
    /// What is asked for next, if there is more.
    query: Option<Query>,
    left: Option<u32>,
}

impl<'a> Pages<'a> {
    /// All pages that follow, from where `query` stands.
    pub(crate) const fn of(store: &'a dyn Store, query: Query) -> Self {
        Self { store, query: Some(query), left: None }
    }

    /// No more than so many: a bound where a store may hold far more than is looked for.
    pub(crate) const fn most(mut self, pages: u32) -> Self {
        self.left = Some(pages);
        self
    }

    /// The records of the next page, `None` behind the last one.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<Record>>, Error> {
        if self.left == Some(0) {
            return Ok(None);
        }
        let Some(mut query) = self.query.take() else { return Ok(None) };
        let page = self.store.scan(query.clone()).await?;
        self.left = self.left.map(|left| left - 1);
        if page.next.is_some() {
            query.cursor = page.next;
            self.query = Some(query);
        }
        Ok(Some(page.records))
    }

    /// Whether there is more than was read.
    pub(crate) const fn cut(&self) -> bool {
        self.query.is_some()
    }
}
