//! Filters in words: the language of pcap-filter(7), compiled for Ethernet frames.
//!
//! ```text
//!   tcp port 80 or 443 and not src net 10.0.0.0/8
//!      │ lexer       words, numbers, addresses, signs, each with its place
//!      │ parser      and, or, not; qualifiers (tcp port) before what they qualify (80), and again for what follows (443)
//!      │ primitive   what each asks of a frame: a condition on values loaded from it
//!      │ graph       one test a node, two ways on; ways that are known at a test go past it
//!      │ emit        instructions; what A or X holds already is not loaded again
//!   a Program
//! ```
//!
//! The order in which a frame is looked at is that of libpcap's compiler before its optimizer, and it matters: a load
//! beyond the end of a frame ends the run and drops the frame, whatever else the expression says.
//!
//! Of the language there is what concerns Ethernet, 802.1Q, ARP, IPv4, IPv6 and their transports. All the rest (names
//! that would have to be looked up, other links, MPLS, PPPoE, `protochain`, `gateway`, `inbound`, ...) is refused by name.
//!
//! # Standards
//!
//! pcap-filter(7) of libpcap 1.10; its compiler is the judge of ours (`peers/tests/real/filter/expressions.rs`).

mod condition;
mod emit;
mod graph;
mod lexer;
mod names;
mod parser;
mod primitive;
#[cfg(test)]
mod tests;

use std::fmt;

use crate::program::Program;

/// Why an expression was refused, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpressionError {
    /// The place, in bytes from the start of the expression.
    pub at: usize,
    /// The reason, in one line.
    pub reason: String,
}

impl ExpressionError {
    fn new(at: usize, reason: impl Into<String>) -> ExpressionError {
        ExpressionError { at, reason: reason.into() }
    }
}

impl fmt::Display for ExpressionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "filter, column {}: {}", self.at + 1, self.reason)
    }
}

impl std::error::Error for ExpressionError {}

/// Compiles an expression to a program for Ethernet frames, which keeps so many bytes of each frame that matches. The empty
/// expression matches all.
///
/// ```
/// let program = sockeye_filter::compile("arp or icmp6", 262_144)?;
/// assert_eq!(program.to_string().lines().next(), Some("(000) ldh      [12]"));
///
/// let error = sockeye_filter::compile("tcp port http", 262_144).unwrap_err();
/// assert_eq!(error.to_string(), "filter, column 10: `http`: names are not looked up, a number is wanted");
/// # Ok::<(), sockeye_filter::ExpressionError>(())
/// ```
pub fn compile(expression: &str, keep: u32) -> Result<Program, ExpressionError> {
    let condition = parser::parse(expression)?;
    let too_large = || ExpressionError::new(0, "the expression is too large for a program");
    let graph = graph::Graph::new(&condition).ok_or_else(too_large)?;
    let instructions = emit::emit(&graph, keep).ok_or_else(too_large)?;
    Program::new(&instructions).map_err(|_| too_large())
}
