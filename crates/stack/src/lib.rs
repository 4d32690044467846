//! The host, sans-I/O.
