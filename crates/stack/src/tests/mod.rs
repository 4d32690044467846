//! Hosts wired in memory.
