//! Streams of yes and no that have become worse than they were.
