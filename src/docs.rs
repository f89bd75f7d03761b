//! The pages that people read, compiled as documentation tests. A test of the house fails on a page that is not here.

#[doc = include_str!("../docs/reasons.md")]
mod reasons {}

#[doc = include_str!("../docs/runs.md")]
mod runs {}

#[doc = include_str!("../docs/sql.md")]
mod sql {}
#[doc = include_str!("../docs/trends.md")]
mod trends {}

#[doc = include_str!("../docs/operator.md")]
mod operator {}

#[doc = include_str!("../docs/value_curve.md")]
mod value_curve {}

#[doc = include_str!("../docs/architecture.md")]
mod architecture {}

#[doc = include_str!("../README.md")]
mod readme {}

#[doc = include_str!("../docs/operating.md")]
mod operating {}
