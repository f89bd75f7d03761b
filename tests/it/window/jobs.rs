//! Steps and jobs that begin only while a window is open.
