//! Sockeye's wire.
