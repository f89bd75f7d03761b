//! Whether the machine is calm enough to begin.
