//! What is told of a trend.

use std::fmt;

use serde::Serialize;

use crate::act::statistics::note::{Stream, Subject};
use crate::base::explain::Explain;
use crate::base::time::Timestamp;
use crate::decide::trend::{Alert, Recovered};

/// A trend has become worse, or has recovered.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Raised {
    /// Of what.
    pub subject: Subject,
    /// In what respect.
    pub stream: Stream,
    /// What has happened.
    pub what: What,
}

/// What has happened to a trend.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// The share has risen.
    Alert(Alert),
    /// It has fallen again.
    Recovered(Recovered),
}

impl Raised {
    /// When it was noticed.
    #[must_use]
    pub const fn at(&self) -> Timestamp {
        match &self.what {
            What::Alert(alert) => alert.at,
            What::Recovered(recovered) => recovered.at,
        }
    }

    /// Whether it is the end of an alert.
    #[must_use]
    pub const fn is_recovery(&self) -> bool {
        matches!(self.what, What::Recovered(_))
    }
}

impl Explain for Raised {
    fn code(&self) -> &'static str {
        match &self.what {
            What::Alert(alert) => alert.code(),
            What::Recovered(recovered) => recovered.code(),
        }
    }
}

impl fmt::Display for Raised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { subject, stream, what } = self;
        match what {
            What::Alert(alert) => write!(f, "{subject}, {stream}: {alert}"),
            What::Recovered(recovered) => write!(f, "{subject}, {stream}: {recovered}"),
        }
    }
}
