//! Windows, from outside.
