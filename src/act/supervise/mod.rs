//! What keeps running, or a person is told.
