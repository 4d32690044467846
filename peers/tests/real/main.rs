//! Real programs, unmodified, over a link to the kernel. See the crate for what `SUBJECT` means.

#![allow(clippy::unwrap_used)]

mod advanced;
mod autoconf;
mod bulk;
mod calls;
mod capabilities;
mod complaints;
mod conflicts;
mod cpython;
mod destinations;
mod examples;
mod fanout;
mod faults;
mod filter;
mod formats;
mod fragments;
mod heard;
mod hostile;
mod http;
mod interfaces;
mod iperf;
mod ipv6;
mod kept;
mod library;
mod local;
mod multicast;
mod names;
mod netlink;
mod node;
mod optimistic;
mod options;
mod packet;
mod paths;
mod raw;
mod redirects;
mod redis;
mod routing;
mod sockets;
mod ssh;
mod stable;
mod streams;
mod tools;
mod transmit_ring;
mod truth;
mod udp_lite;
