//! Sockeye's shim.
