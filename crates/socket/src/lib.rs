//! Sockeye's socket.
