//! `cargo xtask bench-quick`: the throughput of a node beside the kernel's.

use std::process::{Command, ExitCode};

use clap::Args;

use crate::packages;
use crate::report::Report;

/// How often and how long.
#[derive(Args)]
pub(crate) struct Quick {
    /// Turns of each subject in each case
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// Seconds of each turn
    #[arg(long, default_value_t = 3)]
    seconds: u32,
}

pub(crate) fn quick(quick: &Quick) -> ExitCode {
    let Quick { rounds, seconds } = quick;
    let mut report = Report::new();
    report.section("Throughput beside the kernel's");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let ready = report.check(packages::ensure())
        && report.step(Command::new(&cargo).args(["build", "--release", "--quiet", "--package", "sockeye"]));
    if ready {
        let mut run = Command::new(&cargo);
        run.args(["run", "--quiet", "--package", "sockeye-peers", "--bin", "ratio", "--"]);
        report.step(run.args([rounds.to_string(), seconds.to_string()]));
    }
    report.finish()
}
