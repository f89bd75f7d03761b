//! What is going on in a tree whose files change.
