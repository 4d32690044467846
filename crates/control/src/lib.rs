//! Sockeye's control.
