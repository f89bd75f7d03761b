//! A contract without its type.

use std::fmt;
use std::sync::Arc;

use serde_json::value::RawValue;

use super::Refused;
use super::accept::Shared;

/// A contract that has forgotten its type, as one who keeps bad input out of a queue may: made by
/// [`Contract::erased`](super::Contract::erased). It checks all that the contract does. Cheap to clone.
#[derive(Clone)]
pub struct Intake {
    shared: Arc<Shared>,
    decodes: Arc<Decodes>,
}

/// Whether the type takes what the schema has accepted, and the hooks too.
type Decodes = dyn Fn(&RawValue) -> Result<(), Refused> + Send + Sync;

/// What was let in.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Admitted {
    /// The document as it is to be stored: upgraded to the present version, in canonical form.
    pub input: Box<RawValue>,
    /// The version in which it came.
    pub from: u32,
}

impl Intake {
    pub(super) fn new(
        shared: Arc<Shared>,
        decodes: impl Fn(&RawValue) -> Result<(), Refused> + Send + Sync + 'static,
    ) -> Self {
        Self { shared, decodes: Arc::new(decodes) }
    }

    /// As [`Contract::accept`](super::Contract::accept), without the value.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn admit(&self, version: Option<u32>, document: &str) -> Result<Admitted, Refused> {
        let (input, from) = self.shared.normal(version, document)?;
        (self.decodes)(&input)?;
        Ok(Admitted { input, from })
    }

    /// The contract's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// The present version of its schema.
    #[must_use]
    pub fn version(&self) -> u32 {
        self.shared.version
    }

    /// Where in a document of the present version stands what must not be shown: JSON pointers (RFC 6901), in which `*` is
    /// every element or member.
    #[must_use]
    pub fn sensitive(&self) -> &[String] {
        &self.shared.sensitive
    }

    /// Whether documents of this version are accepted.
    #[must_use]
    pub fn knows(&self, version: u32) -> bool {
        self.shared.knows(version)
    }

    /// Every version in which a document is accepted, the oldest first.
    pub fn versions(&self) -> impl Iterator<Item = u32> + use<> {
        self.shared.versions()
    }
}

impl fmt::Debug for Intake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Intake").field(&self.shared.label).finish()
    }
}
