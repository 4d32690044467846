//! `sockeye demo`: everything, in a throw-away lab.
//!
//! Three hosts are made of anonymous network namespaces (crate `sockeye-lab`): *kernel* is Linux's own stack; *sockeye*
//! is a namespace in which Linux has no address at all, with a node on its end of the wire: whatever a program does
//! there, it does through the node or not at all; *twin* is Linux again, on a wire of the same kind, for comparison.
//!
//! 1. One small fetch by an unmodified program on the node, and one from such a program, with the node's own trace:
//!    each call and its segments.
//! 2. Bulk, both directions: a program on the node fetches from the kernel, a program on the node serves the kernel;
//!    the same programs do the same between kernel and twin. Every file that arrives is compared by its digest.
//! 3. What the node counted.
//!
//! It leaves nothing behind, whatever ends it: namespaces have no names and go with their last process; the programs
//! are on a leash (see [`tether`]); what they carry lies in a file system in memory that only they see. (Where there is
//! no memory for it, it is a directory that its owner's drop removes, or the thread that answers signals.) Nothing waits
//! without a bound.

pub(crate) mod builtin;
mod load;
mod programs;
mod story;
pub(crate) mod tether;

use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use sockeye_control::What;
use sockeye_lab::{Host, Lab};

use crate::cli::Demo;
use crate::client::Client;
use crate::failure::Failure;
use crate::preload;
use crate::run::{OwnNode, myself, up_command};
use load::{Scratch, Sum};
use programs::{PORT, Programs};
use story::Story;
use tether::Running;

/// The addresses of the lab, of one family.
struct Ends {
    kernel: IpAddr,
    node: IpAddr,
    kernel_to_twin: IpAddr,
    twin: IpAddr,
    prefix: u8,
}

impl Ends {
    fn of(ipv6: bool) -> Ends {
        let at = |wire: u8, host: u8| -> IpAddr {
            match ipv6 {
                false => Ipv4Addr::new(10, 77, wire, host).into(),
                true => Ipv6Addr::new(0xfd77, wire.into(), 0, 0, 0, 0, 0, host.into()).into(),
            }
        };
        let prefix = if ipv6 { 64 } else { 24 };
        Ends { kernel: at(0, 1), node: at(0, 2), kernel_to_twin: at(1, 1), twin: at(1, 2), prefix }
    }

    /// With the length of its prefix, as interfaces have it.
    fn on_link(&self, address: IpAddr) -> String {
        format!("{address}/{}", self.prefix)
    }

    /// Any address of the family, on the servers' port.
    fn any(&self) -> SocketAddr {
        let any: IpAddr = if self.node.is_ipv6() { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
        SocketAddr::new(any, PORT)
    }
}

/// What a server of the lab has under a name.
fn url(server: IpAddr, name: &str) -> String {
    format!("http://{}/{name}", SocketAddr::new(server, PORT))
}

/// How long a program may take to start.
const START: Duration = Duration::from_secs(15);
/// How long one transfer may take.
const TRANSFER: Duration = Duration::from_secs(40);
/// Each transfer is made so often, if that does not take too long.
const ROUNDS: usize = 3;
/// After so long no further round is begun.
const ENOUGH: Duration = Duration::from_secs(10);
/// The trace is complete when it has been quiet for this long.
const QUIET: Duration = Duration::from_millis(300);

/// The hosts, and what runs on them.
struct Stage {
    ends: Ends,
    scratch: Scratch,
    programs: Programs,
    control: PathBuf,
    kernel: Host,
    sockeye: Host,
    twin: Host,
}

/// What the transfers took, in seconds.
#[derive(Default)]
struct Rows {
    fetched: Vec<f64>,
    twin_fetched: Vec<f64>,
    served: Vec<f64>,
    twin_served: Vec<f64>,
}

/// Shows it.
pub(crate) fn demo(args: &Demo) -> Result<ExitCode, Failure> {
    let started = Instant::now();
    let unprivileged = !sockeye_lab::is_privileged();
    // Before there is any thread.
    sockeye_lab::become_root().map_err(|error| Failure::new(format!("the demo's lab: {error}")))?;
    let stage = Stage::build(args)?;
    watch_signals(stage.scratch.path())?;
    let story = Story::new();
    story.opening(&stage, args.size, unprivileged);

    let carried = carry_out(&stage, &story, args.size);
    let Stage { scratch, .. } = stage;
    drop(scratch);
    carried?;
    story.ending(started.elapsed());
    Ok(ExitCode::SUCCESS)
}

fn carry_out(stage: &Stage, story: &Story, size: u32) -> Result<(), Failure> {
    let source = stage.scratch.join("data");
    let sum = load::make(&source, size).map_err(|error| stage.no_room(&error))?;
    std::fs::write(stage.scratch.join("hello"), story::HELLO).map_err(|error| stage.no_room(&error))?;

    let node = stage.start_node()?;
    let node_pid = node.pid();
    let result = (|| {
        let _kernel = stage.serve(&stage.kernel, false)?;
        let _twin = stage.serve(&stage.twin, false)?;
        stage.first_fetch(story)?;
        let _node = stage.first_serve(story)?;

        let mut rows = Rows::default();
        let bulk = Instant::now();
        // In turns, so that whatever else the machine does meets all four; the best of each counts.
        for _ in 0..ROUNDS {
            rows.fetched.push(stage.transfer(&stage.sockeye, true, stage.ends.kernel, &sum)?);
            rows.twin_fetched.push(stage.transfer(&stage.twin, false, stage.ends.kernel_to_twin, &sum)?);
            rows.served.push(stage.transfer(&stage.kernel, false, stage.ends.node, &sum)?);
            rows.twin_served.push(stage.transfer(&stage.kernel, false, stage.ends.twin, &sum)?);
            if bulk.elapsed() > ENOUGH {
                break;
            }
        }
        story.transfers(&stage.programs, size, &sum, &rows);
        story.counters(&Client::connect(&stage.control)?.show(What::Counters, false)?, node_pid);
        Ok(())
    })();
    node.stop(&stage.control);
    result
}

impl Stage {
    fn build(args: &Demo) -> Result<Stage, Failure> {
        let programs = Programs::find()?;
        let ends = Ends::of(args.ipv6);
        let scratch = Scratch::new(args.size)
            .map_err(|error| Failure::new(format!("cannot make a scratch directory: {error}; set TMPDIR")))?;
        let made = |error: sockeye_lab::Error| Failure::new(format!("the demo's lab: {error}"));
        let lab = Lab::new().map_err(made)?;
        let (kernel, sockeye) = (lab.host("kernel").map_err(made)?, lab.host("sockeye").map_err(made)?);
        let twin = lab.host("twin").map_err(made)?;
        // Whatever a kernel without IPv6 says to this: then it is quiet already. Nobody else is there to have its addresses.
        let setting = if args.ipv6 { ("accept_dad", "0") } else { ("disable_ipv6", "1") };
        for host in [&kernel, &sockeye, &twin] {
            let _ = host.sysctl(&format!("ipv6/conf/default/{}", setting.0), setting.1);
        }
        lab.link(&kernel, "veth0", &sockeye, "veth0").map_err(made)?;
        lab.link(&kernel, "veth1", &twin, "veth0").map_err(made)?;
        kernel.address("veth0", &ends.on_link(ends.kernel)).map_err(made)?;
        kernel.address("veth1", &ends.on_link(ends.kernel_to_twin)).map_err(made)?;
        twin.address("veth0", &ends.on_link(ends.twin)).map_err(made)?;
        let control = scratch.join("node.sock");
        Ok(Stage { ends, scratch, programs, control, kernel, sockeye, twin })
    }

    fn no_room(&self, error: &std::io::Error) -> Failure {
        Failure::new(format!(
            "cannot write to {}: {error}; make room or try a smaller --size",
            self.scratch.path().display()
        ))
    }

    fn start_node(&self) -> Result<OwnNode, Failure> {
        let up = up_command(&self.control)?;
        let mut command = tether::on(&self.sockeye, up.get_program())?;
        command.args(up.get_args()).args(["-i", "veth0", "-a", &self.ends.on_link(self.ends.node)]);
        command.stdout(Stdio::piped());
        OwnNode::spawn(command)
    }

    /// A command on a host; on the node by way of `sockeye run`.
    fn command(&self, host: &Host, on_node: bool, words: &[OsString]) -> Result<Command, Failure> {
        let mut command = if on_node {
            let mut command = tether::on(host, myself()?)?;
            command.args(["run", "--control"]).arg(&self.control).arg("--").args(words);
            command.env(preload::DIRECTORY, self.scratch.path());
            command
        } else {
            let mut command = tether::on(host, &words[0])?;
            command.args(&words[1..]);
            command
        };
        command.stdout(Stdio::piped());
        Ok(command)
    }

    fn serve(&self, host: &Host, on_node: bool) -> Result<Running, Failure> {
        let mut command = self.command(host, on_node, &self.programs.serve(self.ends.any(), self.scratch.path()))?;
        // Its log of requests is not part of the story.
        command.stderr(Stdio::null());
        let mut server = Running::start(command, format!("{} on host {}", self.programs.server(), host.name()))?;
        server.says("Serving", START)?;
        Ok(server)
    }

    /// One fetch; gives how many seconds the program says that it took.
    fn fetch(&self, host: &Host, on_node: bool, url: &str, output: &Path) -> Result<f64, Failure> {
        let what = format!("{} on host {}", self.programs.client(), host.name());
        let command = self.command(host, on_node, &self.programs.fetch(url, output))?;
        let (status, text) = Running::start(command, what.clone())?.finish(TRANSFER)?;
        match text.trim().parse() {
            Ok(seconds) if status.success() => Ok(seconds),
            _ => Err(Failure::new(format!(
                "{what} could not fetch {url} ({status}); see SOCKEYE_LOG=debug sockeye demo"
            ))),
        }
    }

    fn transfer(&self, host: &Host, on_node: bool, server: IpAddr, sum: &Sum) -> Result<f64, Failure> {
        let output = self.scratch.join("arrived");
        let seconds = self.fetch(host, on_node, &url(server, "data"), &output)?;
        let (arrived, bytes) = load::sum(&output).map_err(|error| self.no_room(&error))?;
        let _ = std::fs::remove_file(&output);
        if arrived != *sum {
            return Err(Failure::new(format!(
                "what host {} fetched from {server} is not what was sent: {bytes} bytes with the digest {arrived}, not {sum}; this is a bug",
                host.name()
            )));
        }
        Ok(seconds)
    }

    /// A small fetch by a program on the node, told call by call.
    fn first_fetch(&self, story: &Story) -> Result<(), Failure> {
        let url = url(self.ends.kernel, "hello");
        let (trace, ()) = self.traced(|| self.greet(&self.sockeye, true, &url))?;
        story.first_fetch(&self.programs, &url, &trace);
        Ok(())
    }

    /// A server on the node begins to serve, and a small fetch from it; told call by call.
    fn first_serve(&self, story: &Story) -> Result<Running, Failure> {
        let (trace, server) = self.traced(|| {
            let server = self.serve(&self.sockeye, true)?;
            self.greet(&self.kernel, false, &url(self.ends.node, "hello"))?;
            Ok(server)
        })?;
        story.first_serve(&self.programs, &trace);
        Ok(server)
    }

    fn greet(&self, host: &Host, on_node: bool, url: &str) -> Result<(), Failure> {
        let output = self.scratch.join("greeting");
        self.fetch(host, on_node, url, &output)?;
        let greeting = std::fs::read_to_string(&output).map_err(|error| self.no_room(&error))?;
        if greeting != story::HELLO {
            return Err(Failure::new(format!("{url} brought {greeting:?}; this is a bug")));
        }
        Ok(())
    }

    /// Does something, and gives the node's trace of it.
    fn traced<T>(&self, deed: impl FnOnce() -> Result<T, Failure>) -> Result<(String, T), Failure> {
        let mut client = Client::connect(&self.control)?;
        client.trace()?;
        let done = deed()?;
        let mut trace = String::new();
        while client.has_more(QUIET)
            && let Some(piece) = client.text()?
        {
            trace.push_str(&piece);
        }
        Ok((trace, done))
    }
}

/// On a signal: removes the scratch directory and leaves. Programs and namespaces go with this process.
fn watch_signals(scratch: &Path) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::new(format!("cannot watch signals: {error}; try again"));
    let mut signals = signal_hook::iterator::Signals::new([SIGHUP, SIGINT, SIGTERM]).map_err(failed)?;
    let scratch = scratch.to_owned();
    let answer = move || {
        if let Some(signal) = signals.forever().next() {
            let _ = std::fs::remove_dir_all(&scratch);
            eprintln!("sockeye: the demo was interrupted; nothing is left of it");
            std::process::exit(128 + signal);
        }
    };
    std::thread::Builder::new().name("signals".into()).spawn(answer).map_err(failed).map(drop)
}
