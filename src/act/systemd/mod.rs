//! What systemd is told, and the units that are made for it.
