//! What the fuzz targets call. The properties themselves live with the crates that they are about, where an ordinary
//! test runs them on the kept corpus with the stable compiler.

/// Every parser of `sockeye-wire`.
#[path = "../../crates/wire/tests/exercise/mod.rs"]
pub mod wire;

/// Programs and packets, of `sockeye-filter`.
#[path = "../../crates/filter/tests/exercise/mod.rs"]
pub mod filter;

/// Cutting super-frames and bad wires, of `sockeye-device`.
#[path = "../../crates/device/tests/exercise/mod.rs"]
pub mod device;

/// The host of `sockeye-stack`: frames, and operations.
#[path = "../../crates/stack/tests/exercise/mod.rs"]
pub mod stack;

/// What programs ask by netlink, of `sockeye-node`.
#[path = "../../crates/node/tests/exercise/mod.rs"]
pub mod node;

/// The messages of `sockeye-control`.
#[path = "../../crates/control/tests/exercise/mod.rs"]
pub mod control;
