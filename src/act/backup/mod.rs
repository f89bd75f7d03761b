//! Backups of what has changed meaningfully.
