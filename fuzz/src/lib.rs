//! What the fuzz targets call. The properties themselves live with the crates that they are about, where an ordinary
//! test runs them on the kept corpus with the stable compiler.

/// Every parser of `sockeye-wire`.
#[path = "../../crates/wire/tests/exercise/mod.rs"]
pub mod wire;
