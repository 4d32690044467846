//! Measurements of Sockeye beside the kernel and other stacks in user space, on one machine, in one run.
//!
//! ```text
//!   for each case                     one workload on one wire
//!     for each subject                a lab of its own, kept for all rounds
//!     for each round
//!       for each subject              A B A B: what the machine does besides hits all alike
//!         measure                     figures, and the processor time of the whole machine
//!   medians, spreads, ratios          as text, JSON and a picture
//! ```
//!
//! - [`workload`]: what is done, a file each. - [`subject`]: who does it. - [`scene`]: where.
//! - [`outcome`]: what came out; [`table`], [`picture`]: how it is shown.
//!
//! A subject that cannot be built, does not start or breaks is a row that says why. It does not stop the others.

pub mod machine;
pub mod outcome;
pub mod picture;
pub mod process;
pub mod scene;
pub mod statistics;
pub mod subject;
pub mod table;
pub mod tools;
pub mod workload;

pub use tools::Tools;

/// What can fail with a word about it.
pub type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;
