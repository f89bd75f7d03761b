//! Is a change large enough to mean something?
