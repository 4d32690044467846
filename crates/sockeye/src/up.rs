//! `sockeye up`: a node in the foreground.
//!
//! The one line on standard output, `ready ...`, is printed when programs can use the node, so that a script may wait
//! for it instead of sleeping. With `--owned` (as `run` and `demo` start it) the node ends with its parent, however
//! that one ends.

use std::process::ExitCode;

use rustix::process::{Signal, getppid, set_parent_process_death_signal};
use sockeye_node::{Config, Node};

use crate::cli::Up;
use crate::failure::Failure;
use crate::{config, paint};

/// Runs a node until it is told to stop.
pub(crate) fn up(args: &Up) -> Result<ExitCode, Failure> {
    if args.owned {
        tie_to_parent(Signal::TERM)?;
    }
    let config = config::config(&args.node, args.control.control.as_deref())?;
    let ready = ready_line(&config);
    let failed = |error: sockeye_node::Error| Failure::new(error.to_string());
    let mut node = Node::open(config).map_err(failed)?;
    node.stop_at_signals().map_err(failed)?;
    paint::print(ready).map_err(|error| Failure::new(format!("cannot write to standard output: {error}")))?;
    node.run().map_err(failed)?;
    Ok(ExitCode::SUCCESS)
}

/// Lets the kernel send us a signal when the parent ends. The parent may have ended already.
pub(crate) fn tie_to_parent(signal: Signal) -> Result<(), Failure> {
    let parent = getppid();
    set_parent_process_death_signal(Some(signal))
        .map_err(|error| Failure::new(format!("cannot tie this process to its parent: {error}")))?;
    if getppid() != parent {
        return Err(Failure::new("the parent of this process is gone"));
    }
    Ok(())
}

fn ready_line(config: &Config) -> String {
    let mut line = String::from("ready");
    for interface in &config.interfaces {
        line.push_str(&format!(" {}", interface.name));
        for address in &interface.addresses {
            line.push_str(&format!(" {address}"));
        }
    }
    line.push_str(&format!(" control {}\n", config.control.display()));
    line
}
