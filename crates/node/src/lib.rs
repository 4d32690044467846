//! Sockeye's node.
