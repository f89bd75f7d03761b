//! What is rare, and when there is enough evidence to say so.
