//! The command line: its words, and the help that teaches them.
//!
//! Scripts depend on what stands here, so options are added and never change their meaning. What a word means is
//! decided at the edge: an address, a prefix, a MAC or a driver that cannot be is refused before anything is opened.
//! A wrong command line is one line on standard error and exit code 2, like every other error of the command.

use std::ffi::OsString;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use clap::builder::styling::{AnsiColor, Styles};
use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand, ValueEnum};
use sockeye_wire::IpPrefix;
use sockeye_wire::ethernet::MacAddr;

use crate::failure::Failure;

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Cyan.on_default().bold())
    .usage(AnsiColor::Cyan.on_default().bold())
    .literal(AnsiColor::Green.on_default())
    .placeholder(AnsiColor::Yellow.on_default());

const AFTER: &str = "\
Examples:
  See it work; needs no root, changes nothing:
    sockeye demo
  One program, on a host of its own beside the kernel's:
    sudo sockeye run -i eth0 -a 10.0.0.2/24 -g 10.0.0.1 -- curl http://10.9.9.9/
  A host that stays, any program on it, what it is doing, and its end:
    sudo sockeye up -i eth0 -a 10.0.0.2/24 -g 10.0.0.1
    sudo sockeye run -- nginx -g 'daemon off;'
    sudo sockeye show sockets
    sudo sockeye down

Control path:
  A node is found by its control socket: --control PATH, else $SOCKEYE_CONTROL,
  else /run/sockeye/default.sock as root,
  else $XDG_RUNTIME_DIR/sockeye/default.sock.

Exit codes:
  0 done, 1 failed, 2 wrong usage. `run` passes on the program's own code,
  or 128 + N when signal N killed it. Every error is one line on standard
  error that names the culprit and the mend.

Environment:
  SOCKEYE_CONTROL  the control socket
  SOCKEYE_LOG      what to log: `info`, `debug`, `sockeye_node=trace`, ...
  SOCKEYE_DEBUG    1: a program's shim says what the node refused, and why
  NO_COLOR         no colours";

/// The whole command.
#[derive(Debug, Parser)]
#[command(
    name = "sockeye",
    version,
    about = "A TCP/IP host in user space: unmodified programs on a stack that is not the kernel's",
    after_help = AFTER,
    styles = STYLES,
    max_term_width = 100,
    disable_help_subcommand = true,
    subcommand_required = true,
    arg_required_else_help = true
)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Shows everything in a throw-away lab: real programs on the stack, beside the kernel's
    #[command(after_help = DEMO)]
    Demo(Demo),
    /// Runs a node in the foreground until it is stopped; prints one line "ready ..." when it serves
    #[command(after_help = UP)]
    Up(Up),
    /// Runs a program on a node: the one that runs, or with -i one of its own
    #[command(after_help = RUN)]
    Run(Run),
    /// Prints what a node is doing
    #[command(after_help = SHOW)]
    Show(Show),
    /// Stops a node in good order
    #[command(after_help = "Connections that are still closing get a moment to finish; then the node leaves.")]
    Down(Down),
    /// Starts a program that ends with this process's parent, in another network namespace if need be.
    #[command(hide = true)]
    Tether(Tether),
    /// A plain HTTP server in terms of std::net, where the demo finds no other.
    #[command(hide = true, name = "demo-serve")]
    DemoServe(DemoServe),
    /// A plain HTTP client in terms of std::net, where the demo finds no other.
    #[command(hide = true, name = "demo-fetch")]
    DemoFetch(DemoFetch),
}

const DEMO: &str = "\
The lab is two hosts on one wire, made of network namespaces: one host is the
kernel's, the other a Sockeye node. Programs found on this machine (curl,
python3) run on both; what they carry is checked byte for byte. Nothing outside
the lab is touched, and nothing is left of it, however the demo ends.";

const UP: &str = "\
Examples:
  sockeye up -i eth0 -a 10.0.0.2/24 -g 10.0.0.1 --dns 10.0.0.1
  With both families; a program's [::] is then all addresses of both:
    sockeye up -i eth0 -a 10.0.0.2/24 -a fd00::2/64 -g 10.0.0.1 -g fd00::1
  The kernel gets the other end of a TAP, as interface tap0:
    sockeye up -i tap0 --driver tap -a 192.168.7.2/24
  The same from a file:
    sockeye up -c node.toml
  where node.toml says:
    gateways = [\"10.0.0.1\"]
    dns = [\"10.0.0.1\"]
    control = \"/run/sockeye/web.sock\"
    [[interface]]
    name = \"eth0\"
    addresses = [\"10.0.0.2/24\"]
    mac = \"auto\"
    driver = \"packet\"

By default the node has a MAC address of its own: it lives beside the kernel,
on the same wire, as one more host. What it sends leaves by the interface, so
the kernel's own addresses there do not hear it; with --driver tap they do.";

const RUN: &str = "\
Examples:
  On the node that runs (see `sockeye up`):
    sockeye run -- curl http://10.0.0.1/
    sockeye run -- sh -c 'wget http://10.0.0.1/; sockeye show sockets'
  On a node that lives as long as the program and what it leaves behind:
    sockeye run -i eth0 -a 10.0.0.2/24 -- python3 -m http.server

The program's children are on the node too. A program must be linked with the
system's C library, dynamically, and not be setuid: others cannot be reached,
and are refused rather than run on the kernel's stack unasked. What a program
starts is not refused: children that cannot be reached are on the kernel's
stack, and so are those that were started with LD_PRELOAD set to nothing.";

const SHOW: &str = "\
Examples:
  As `ss` would print them:
    sockeye show sockets
  Every drop has its reason and its counter:
    sockeye show counters --json | jq .";

/// Which node.
#[derive(Debug, Args)]
pub(crate) struct Control {
    /// The node's control socket
    #[arg(long, value_name = "PATH")]
    pub(crate) control: Option<PathBuf>,
}

/// What a node is made of.
#[derive(Debug, Args)]
pub(crate) struct NodeArgs {
    /// The interface to live on
    #[arg(short, long, value_name = "IFACE")]
    pub(crate) interface: Option<String>,
    /// An address of the node, with the length of its prefix (may be repeated)
    #[arg(short, long, value_name = "ADDR/LEN", value_parser = prefix)]
    pub(crate) address: Vec<IpPrefix>,
    /// The default gateway (one a family)
    #[arg(short, long, value_name = "GATEWAY", value_parser = address)]
    pub(crate) gateway: Vec<IpAddr>,
    /// The node's MAC: `auto` is one of its own, `inherit` the interface's, or give one
    #[arg(long, value_name = "auto|inherit|MAC", value_parser = mac)]
    pub(crate) mac: Option<Mac>,
    /// How frames come and go; xdp is not there yet [default: packet]
    #[arg(long, value_name = "packet|xdp|tap", hide_possible_values = true)]
    pub(crate) driver: Option<DriverName>,
    /// A name server (may be repeated) [default: those of routers and of /etc/resolv.conf]
    #[arg(long, value_name = "ADDR", value_parser = address)]
    pub(crate) dns: Vec<IpAddr>,
    /// Lets programs on the node reach each other by packets on its loopback, rather than directly
    #[arg(long)]
    pub(crate) no_local_shortcut: bool,
    /// A file that says all this; options given beside it win
    #[arg(short = 'c', long = "config", value_name = "FILE.toml")]
    pub(crate) file: Option<PathBuf>,
}

/// `sockeye demo`.
#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// How much each transfer carries, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub(crate) size: u32,
    /// Over IPv6
    #[arg(short = '6', long)]
    pub(crate) ipv6: bool,
}

/// `sockeye up`.
#[derive(Debug, Args)]
pub(crate) struct Up {
    #[command(flatten)]
    pub(crate) node: NodeArgs,
    #[command(flatten)]
    pub(crate) control: Control,
    /// Leave when the process that started this one does.
    #[arg(long, hide = true)]
    pub(crate) owned: bool,
}

/// `sockeye run`.
#[derive(Debug, Args)]
pub(crate) struct Run {
    #[command(flatten)]
    pub(crate) node: NodeArgs,
    #[command(flatten)]
    pub(crate) control: Control,
    /// The program and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "PROGRAM")]
    pub(crate) program: Vec<OsString>,
}

/// `sockeye show`.
#[derive(Debug, Args)]
pub(crate) struct Show {
    /// What to show
    #[arg(value_enum, value_name = "WHAT")]
    pub(crate) what: What,
    #[command(flatten)]
    pub(crate) control: Control,
    /// As JSON, for programs
    #[arg(long)]
    pub(crate) json: bool,
}

/// `sockeye down`.
#[derive(Debug, Args)]
pub(crate) struct Down {
    #[command(flatten)]
    pub(crate) control: Control,
}

/// A program on a leash.
#[derive(Debug, Args)]
pub(crate) struct Tether {
    /// The network namespace to start it in.
    #[arg(long)]
    pub(crate) namespace: Option<PathBuf>,
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) program: Vec<OsString>,
}

/// The hidden server.
#[derive(Debug, Args)]
pub(crate) struct DemoServe {
    pub(crate) at: SocketAddr,
    pub(crate) directory: PathBuf,
}

/// The hidden client.
#[derive(Debug, Args)]
pub(crate) struct DemoFetch {
    pub(crate) url: String,
    pub(crate) output: PathBuf,
}

/// What `show` can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum What {
    /// Ports with their MAC, MTU, state and traffic
    Interfaces,
    /// The node's addresses
    Addresses,
    /// Where packets go
    Routes,
    /// Who is known on the link
    Neighbors,
    /// Every socket: state, queues, addresses, timers, program
    Sockets,
    /// What waits, and where
    Queues,
    /// Everything counted, drops by their reason
    Counters,
}

/// `--mac`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mac {
    /// One of the node's own.
    Auto,
    /// The interface's.
    Inherit,
    /// This one.
    Fixed(MacAddr),
}

/// `--driver`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DriverName {
    /// A packet socket on an interface.
    Packet,
    /// An XDP socket on an interface.
    Xdp,
    /// A TAP interface, made for the node.
    Tap,
}

/// Reads the command line. Help and version print themselves and leave with 0; what is wrong leaves with 2.
pub(crate) fn parse() -> Result<Cli, Failure> {
    Cli::try_parse().map_err(|error| match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => error.exit(),
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => error.exit(),
        _ => Failure::usage(one_line(
            &error,
            std::env::args_os().nth(1).and_then(|verb| verb.into_string().ok()).as_deref(),
        )),
    })
}

/// What `--mac` takes.
pub(crate) fn mac(text: &str) -> Result<Mac, String> {
    match text {
        "auto" => Ok(Mac::Auto),
        "inherit" => Ok(Mac::Inherit),
        _ => match text.parse::<MacAddr>() {
            Ok(mac) if mac.is_unicast() => Ok(Mac::Fixed(mac)),
            Ok(_) => Err("a host's own MAC is neither zero nor a group's, e.g. 02:00:00:00:00:01".into()),
            Err(_) => Err("expected auto, inherit or a MAC such as 02:00:00:00:00:01".into()),
        },
    }
}

/// What `-g` and `--dns` take.
fn address(text: &str) -> Result<IpAddr, String> {
    text.parse().map_err(|_| "expected an address, e.g. 10.0.0.1 or fd00::1".into())
}

/// What `-a` takes: an address a host may have, and its prefix length.
pub(crate) fn prefix(text: &str) -> Result<IpPrefix, String> {
    if !text.contains('/') {
        let usual = if text.contains(':') { 64 } else { 24 };
        return Err(format!("the prefix length is missing, e.g. {text}/{usual}"));
    }
    text.parse().map_err(|_| "expected an address and a prefix length, e.g. 10.0.0.2/24".into())
}

/// clap speaks in paragraphs; this says the same in one line, and where the help is.
fn one_line(error: &clap::Error, verb: Option<&str>) -> String {
    let rendered = error.render().to_string();
    let body = rendered.strip_prefix("error: ").unwrap_or(&rendered);
    let mut parts = Vec::new();
    for line in body.lines().map(str::trim) {
        if line.starts_with("Usage:") || line.starts_with("For more information") {
            break;
        }
        if !line.is_empty() && !line.starts_with("tip: to pass") {
            parts.push(line);
        }
    }
    let mut text = parts.join(" ");
    match verb {
        Some(verb @ ("demo" | "up" | "run" | "show" | "down")) => {
            text.push_str(&format!("; see `sockeye {verb} --help`"));
        }
        _ => text.push_str("; see `sockeye --help`"),
    }
    text
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn refused(line: &str) -> String {
        let error = Cli::try_parse_from(line.split_whitespace()).expect_err("refused");
        one_line(&error, line.split_whitespace().nth(1))
    }

    #[test]
    fn the_command_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn run_leaves_the_programs_own_options_alone() {
        let cli = Cli::try_parse_from(["sockeye", "run", "-i", "eth0", "--", "curl", "-i", "--control", "x"]).unwrap();
        let Verb::Run(run) = cli.verb else { panic!("another verb") };
        assert_eq!(run.node.interface.as_deref(), Some("eth0"));
        assert_eq!(run.program, ["curl", "-i", "--control", "x"]);
        assert!(run.control.control.is_none());
    }

    #[test]
    fn a_wrong_line_is_told_in_one_line() {
        for (line, culprit) in [
            ("sockeye up -i eth0 -a 10.0.0.2", "10.0.0.2/24"),
            ("sockeye up -i eth0 -a 10.0.0.2/33", "10.0.0.2/33"),
            ("sockeye up -i eth0 -a 10.0.0.300/8", "10.0.0.300/8"),
            ("sockeye up -i eth0 --mac ff:ff:ff:ff:ff:ff", "neither zero nor a group"),
            ("sockeye up -i eth0 --mac elephant", "auto, inherit or a MAC"),
            ("sockeye up -i eth0 --driver dpdk", "packet, xdp, tap"),
            ("sockeye up -i eth0 -g here", "'here' for '--gateway <GATEWAY>': expected an address"),
            ("sockeye up -i eth0 --dns there", "there"),
            ("sockeye up --colour", "--colour"),
            ("sockeye run", "PROGRAM"),
            ("sockeye show", "WHAT"),
            ("sockeye show mercy", "mercy"),
            ("sockeye swim", "swim"),
        ] {
            let text = refused(line);
            assert!(!text.contains('\n'), "{text}");
            assert!(text.contains(culprit), "{line}: {text}");
            assert!(text.contains("--help`"), "{text}");
        }
    }
}
