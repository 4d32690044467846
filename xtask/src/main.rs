//! The repository's own commands: `cargo xtask test` is all that stands between a change and its acceptance.
//!
//! What continuous integration runs is what a developer runs. Each verb is a file; it prints sections as it goes, and
//! one line of verdict at its end.

mod bench;
mod packages;
mod report;
mod test;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "The repository's own commands", max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Checks everything: format, lints, documentation, unit tests, and real programs in a lab
    Test(test::Test),
    /// Measures Sockeye beside the kernel and other stacks in user space; see `cargo xtask bench --help`
    Bench(bench::Bench),
}

fn main() -> ExitCode {
    match Cli::parse().verb {
        Verb::Test(test) => test::run(&test),
        Verb::Bench(bench) => bench::run(&bench),
    }
}
