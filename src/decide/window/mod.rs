//! When something may happen: opening hours, and days on which there are none.
