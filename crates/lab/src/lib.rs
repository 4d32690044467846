//! Throw-away networks of namespaces and veth pairs.
