//! Sockeye's stack.
