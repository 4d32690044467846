//! `sockeye demo`.

pub(crate) mod builtin;

use std::process::ExitCode;

use crate::cli::Demo;
use crate::failure::Failure;

/// Shows it.
pub(crate) fn demo(args: &Demo) -> Result<ExitCode, Failure> {
    let _ = (args.size, args.inside);
    Err(Failure::new("no demo yet"))
}
