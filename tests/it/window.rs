//! Windows, from outside.

#[cfg(all(feature = "tz", feature = "testing"))]
mod jobs;
#[cfg(feature = "tz")]
mod walker;
#[cfg(feature = "tz")]
mod zones;
