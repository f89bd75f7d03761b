//! Whether what has ended is begun again, and when; or a person is told.
