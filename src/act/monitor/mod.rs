//! Who watches: heartbeats in a store, and what is told of them.
