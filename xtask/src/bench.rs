//! `cargo xtask bench`: builds what is measured by the release profile, and hands over to the crate `sockeye-bench`.

use std::process::{Command, ExitCode};

use clap::Args;

use crate::packages;
use crate::report::Report;

/// What the harness understands; `--help` is its own.
#[derive(Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Bench {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

pub(crate) fn run(bench: &Bench) -> ExitCode {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut report = Report::new();
    report.section("Programs");
    // What is missing still costs its own rows only.
    if let Err(reason) = packages::ensure(packages::BENCH) {
        println!("{reason}");
    }
    report.section("Build");
    let packages = ["sockeye", "sockeye-bench", "sockeye-driver"].map(|name| ["--package", name]).concat();
    if report.step(Command::new(&cargo).args(["build", "--release", "--locked", "--quiet"]).args(packages)) {
        report.section("Measurements");
        // It is built beside this program, one profile further; `cargo run` would build it anew, with fewer features.
        let harness = std::env::current_exe().map(|own| own.with_file_name("../release/sockeye-bench"));
        match harness {
            Ok(harness) => report.step(Command::new(harness).args(&bench.arguments)),
            Err(error) => report.check(Err(format!("this program does not know where it lies: {error}"))),
        };
    }
    report.finish()
}
