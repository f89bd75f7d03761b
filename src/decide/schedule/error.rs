//! What is wrong with a schedule.

/// What is wrong with a schedule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A knob out of its range.
    #[error("schedule: {field} is {given}, allowed is {allowed}")]
    Field {
        /// Which knob.
        field: &'static str,
        /// What it is.
        given: String,
        /// What it may be.
        allowed: String,
    },
    /// A cron expression that cannot be read.
    #[error("schedule: {field} of the cron expression {expression:?}: {why}")]
    Cron {
        /// Which field of the expression, such as `day of month`; `fields` if their number is wrong.
        field: &'static str,
        /// The expression.
        expression: String,
        /// What is wrong with the field.
        why: String,
    },
    /// A cron expression that names only days which do not exist, such as 30 February.
    #[error("schedule: the cron expression {expression:?} never fires: there is no such day")]
    NeverFires {
        /// The expression.
        expression: String,
    },
}

impl Error {
    pub(super) fn field(field: &'static str, given: impl ToString, allowed: impl Into<String>) -> Self {
        Self::Field { field, given: given.to_string(), allowed: allowed.into() }
    }
}
