//! `cargo xtask test`: everything that a change has to pass, from a fresh clone.
//!
//! What is built is built first and by few profiles: the tests by the development profile, the command `sockeye`, which
//! the tests in the lab run, by the release profile. Then nothing needs a network any more, and whoever is not root
//! becomes it, in a user namespace, for the labs that the tests make.

use std::process::{Command, ExitCode};

use clap::Args;

use crate::packages;
use crate::report::Report;

/// How long the tests of one subject may take, in seconds; a generous bound on what should never hang. One test that does is named long
/// before, see [`Report::tests`].
const LAB_LIMIT: &str = "1200";
const UNIT_LIMIT: &str = "900";

/// Rooms of tests about what only a node has, or that ask the kernel itself whatever the subject is.
const NODE_ONLY: [&str; 5] = ["filter::", "formats::", "names::", "node::", "truth::"];

/// What to leave out.
#[derive(Args)]
pub(crate) struct Test {
    /// Leaves out the tests in the lab
    #[arg(long)]
    quick: bool,
    /// In the lab, runs only the tests whose names contain this, and no other checks
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
}

pub(crate) fn run(test: &Test) -> ExitCode {
    let mut report = Report::new();
    if let Some(name) = &test.only {
        if build_lab(&mut report) && privileges(&mut report) {
            lab(&mut report, "sockeye", &[name]);
        }
        return report.finish();
    }

    report.section("Programs");
    report.check(packages::ensure(packages::TEST));

    report.section("Format");
    report.step(&mut cargo(&["fmt", "--all", "--check"]));

    report.section("Lints");
    report.step(&mut cargo(&[
        "clippy",
        "--workspace",
        "--all-targets",
        "--test",
        "real",
        "--locked",
        "--quiet",
        "--",
        "-D",
        "warnings",
    ]));

    report.section("Documentation");
    let mut doc = cargo(&["doc", "--workspace", "--no-deps", "--document-private-items", "--locked", "--quiet"]);
    report.step(doc.env("RUSTDOCFLAGS", "-D warnings"));

    report.section("Build");
    // The whole workspace each time, so that one build of each crate serves all.
    let built = report.step(&mut cargo(&["test", "--workspace", "--no-run", "--locked", "--quiet"]));
    if !(built && build_lab(&mut report) && privileges(&mut report)) {
        return report.finish();
    }

    report.section("Unit tests");
    report.tests(&mut limited(UNIT_LIMIT, &["test", "--workspace", "--no-fail-fast", "--offline"]));

    if !test.quick {
        report.section("The tests in the lab hold for the kernel");
        lab(&mut report, "kernel", &NODE_ONLY.map(|room| ["--skip", room]).concat());
        report.section("Real programs on Sockeye");
        lab(&mut report, "sockeye", &[]);
    }
    report.finish()
}

fn build_lab(report: &mut Report) -> bool {
    // With the test of their command lines come the examples, which the tests in the lab run.
    let tests = ["test", "--workspace", "--test", "real", "--test", "command_line", "--no-run", "--locked", "--quiet"];
    report.step(&mut cargo(&tests))
        && report.step(&mut cargo(&["build", "--release", "--locked", "--quiet", "--package", "sockeye"]))
}

/// From here on nothing is fetched: a user namespace has a network of its own, with nothing in it.
fn privileges(report: &mut Report) -> bool {
    report.check(sockeye_lab::become_root().map_err(|error| error.to_string()))
}

fn lab(report: &mut Report, subject: &str, filter: &[&str]) {
    let mut command = limited(LAB_LIMIT, &["test", "--workspace", "--test", "real", "--no-fail-fast", "--offline"]);
    // Two at a time leave each what it needs on a small machine.
    command.args(["--", "--test-threads=2"]).args(filter);
    report.tests(command.env("SUBJECT", subject).env("RUST_BACKTRACE", "0"));
}

fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments);
    command
}

fn limited(seconds: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new("timeout");
    command.args(["--kill-after=10", seconds]).arg(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments);
    command
}
