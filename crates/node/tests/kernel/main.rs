//! A node on a veth pair with a kernel host at the other end, driven as the shim drives it: by control messages and by
//! plain reads and writes on the descriptors that they bring. Needs the right to make network namespaces; without it
//! the tests say so and pass over.

mod boundary;
mod fixture;
mod leaks;
mod names;
mod statements;
mod urgent;
