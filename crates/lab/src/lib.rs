//! Throw-away networks: hosts that are network namespaces, joined by veth pairs.
//!
//! A [`Lab`] owns hosts; a [`Host`] is an anonymous network namespace with its loopback up; [`Lab::link`] joins two of
//! them with a veth pair. Addresses, routes, MTU, offloads and link state are set through netlink, so a lab needs
//! nothing but Linux: no external program, no configuration file.
//!
//! No host has a name outside this process. A namespace is held by a descriptor, and lives as long as the descriptor or
//! a program in it does. So there is nothing to clean up and nothing to collide: when the owner drops the lab, panics,
//! or is killed, the kernel takes the namespaces back, and with them their interfaces and routes. Programs started through
//! [`Host::command`] are ordinary children; who starts them ends them.
//!
//! A namespace belongs to a thread, not to a process. [`Host::enter`] runs a closure on a thread of its own inside the
//! namespace; sockets opened there stay in that namespace when they are handed out, and children spawned there are
//! born in it.
//!
//! Making a namespace needs CAP_SYS_ADMIN and CAP_NET_ADMIN. Root has them; everybody else gets them in a user namespace:
//! [`become_root`], called while the process has one thread only.
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let lab = sockeye_lab::Lab::new()?;
//! let (left, right) = (lab.host("left")?, lab.host("right")?);
//! lab.link(&left, "veth0", &right, "veth0")?;
//! left.address("veth0", "10.9.0.1/24")?;
//! right.address("veth0", "10.9.0.2/24")?;
//! let status = left.command("ping").args(["-c1", "10.9.0.2"]).status()?;
//! # Ok(())
//! # }
//! ```

mod command;
mod error;
mod ethtool;
mod link;
mod namespace;
mod netlink;
mod user;

pub use command::Command;
pub use error::{Error, Result};
pub use ethtool::Offloads;
pub use namespace::Namespace;
pub use user::{become_root, is_privileged};

use std::io;
use std::net::IpAddr;
use std::process;
use std::sync::Arc;

use error::Context;

/// A network of hosts. Dropping it (and every [`Host`] of it) removes all it made.
#[derive(Debug)]
pub struct Lab(());

impl Lab {
    /// A lab without hosts. Fails, with the mend, when this process may not make network namespaces.
    pub fn new() -> Result<Lab> {
        if is_privileged() {
            return Ok(Lab(()));
        }
        Err(Error::new(
            "a lab needs CAP_SYS_ADMIN and CAP_NET_ADMIN: be root, or call become_root() first",
            io::Error::from(io::ErrorKind::PermissionDenied),
        ))
    }

    /// A new host: an empty network, but for loopback, which is up. The name serves messages only.
    pub fn host(&self, name: &str) -> Result<Host> {
        let namespace = Namespace::new().context(|| format!("cannot make host {name}"))?;
        let host = Host(Arc::new(Inner { name: name.to_owned(), namespace }));
        host.up("lo")?;
        Ok(host)
    }

    /// Joins two hosts with a veth pair, both ends up. An interface's name has 1 to 15 bytes. When this returns, the link carries frames.
    pub fn link(&self, left: &Host, left_interface: &str, right: &Host, right_interface: &str) -> Result<()> {
        let far = right.namespace();
        left.change(format!("link {left_interface} to {right_interface}"), |socket| {
            link::add_veth(socket, left_interface, far, right_interface)
        })?;
        let ends = [(left, left_interface), (right, right_interface)];
        ends.iter().try_for_each(|(host, interface)| host.up(interface))?;
        ends.iter().try_for_each(|(host, interface)| {
            host.change(format!("use {interface}"), |socket| link::await_carrier(socket, interface))
        })
    }
}

/// A network namespace with a name for messages. Clones are the same host.
#[derive(Clone, Debug)]
pub struct Host(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    name: String,
    namespace: Namespace,
}

impl Host {
    /// The name given at birth.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The namespace itself.
    pub fn namespace(&self) -> &Namespace {
        &self.0.namespace
    }

    /// A program to be run on this host. Nothing happens before `spawn`, `status` or `output`.
    pub fn command(&self, program: &str) -> Command {
        Command::new(self.namespace().clone(), program)
    }

    /// Spawns a command prepared elsewhere on this host.
    pub fn spawn(&self, command: &mut process::Command) -> io::Result<process::Child> {
        self.enter(|| command.spawn())?
    }

    /// Runs `body` on a thread inside this host's namespace and waits for it. A panic in `body` goes on in the caller.
    pub fn enter<T: Send>(&self, body: impl FnOnce() -> T + Send) -> io::Result<T> {
        self.namespace().enter(body)
    }

    /// Gives `interface`, which is up, an address, written as `10.9.0.1/24`. When this returns, the host answers for it.
    pub fn address(&self, interface: &str, address: &str) -> Result<()> {
        let (ip, length) = prefix(address)?;
        self.change(format!("add address {address} to {interface}"), |socket| {
            link::add_address(socket, interface, ip, length)
        })
    }

    /// Adds a route to `destination` (a prefix, or `default`) by way of `gateway`.
    pub fn route(&self, destination: &str, gateway: IpAddr) -> Result<()> {
        let (ip, length) = match (destination, gateway) {
            ("default", IpAddr::V4(_)) => prefix("0.0.0.0/0")?,
            ("default", IpAddr::V6(_)) => prefix("::/0")?,
            _ => prefix(destination)?,
        };
        self.change(format!("add a route to {destination} by {gateway}"), |socket| {
            link::add_route(socket, ip, length, gateway)
        })
    }

    /// Sets `interface` up.
    pub fn up(&self, interface: &str) -> Result<()> {
        self.change(format!("set {interface} up"), |socket| link::set_up(socket, interface, true))
    }

    /// Sets `interface` down.
    pub fn down(&self, interface: &str) -> Result<()> {
        self.change(format!("set {interface} down"), |socket| link::set_up(socket, interface, false))
    }

    /// Sets the MTU of `interface`, in bytes of IP packet.
    pub fn mtu(&self, interface: &str, bytes: u32) -> Result<()> {
        self.change(format!("set the MTU of {interface} to {bytes}"), |socket| link::set_mtu(socket, interface, bytes))
    }

    /// Removes `interface`; a veth's other end goes with it.
    pub fn remove(&self, interface: &str) -> Result<()> {
        self.change(format!("remove {interface}"), |socket| link::remove(socket, interface))
    }

    /// Switches the offloads of `interface`: with [`Offloads::None`] each frame on the link is one a wire could carry.
    pub fn offloads(&self, interface: &str, offloads: Offloads) -> Result<()> {
        self.enter(|| ethtool::set(interface, offloads))
            .flatten()
            .context(|| format!("cannot switch the offloads of {interface} on {}", self.name()))
    }

    /// The hardware address of `interface`.
    pub fn mac(&self, interface: &str) -> Result<[u8; 6]> {
        self.enter(|| link::mac(&mut netlink::Socket::route()?, interface))
            .flatten()
            .context(|| format!("cannot ask for the MAC of {interface} on {}", self.name()))
    }

    /// Writes a setting below `/proc/sys/net`, for example `("ipv4/tcp_congestion_control", "reno")`.
    pub fn sysctl(&self, name: &str, value: &str) -> Result<()> {
        self.enter(|| std::fs::write(format!("/proc/sys/net/{name}"), value))
            .flatten()
            .context(|| format!("cannot set {name} to {value} on {}", self.name()))
    }

    fn change(&self, what: String, work: impl FnOnce(&mut netlink::Socket) -> io::Result<()> + Send) -> Result<()> {
        self.enter(|| work(&mut netlink::Socket::route()?))
            .flatten()
            .context(|| format!("cannot {what} on {}", self.name()))
    }
}

/// `ADDRESS/LENGTH` in its parts. The lab's own reader: it is a leaf that nothing of the stack should be able to break.
fn prefix(text: &str) -> Result<(IpAddr, u8)> {
    let invalid = || {
        Error::new(
            format!("{text} is no address with a prefix length, such as 10.9.0.1/24"),
            io::Error::from(io::ErrorKind::InvalidInput),
        )
    };
    let (ip, length) = text.split_once('/').ok_or_else(invalid)?;
    let (ip, length): (IpAddr, u8) = (ip.parse().map_err(|_| invalid())?, length.parse().map_err(|_| invalid())?);
    let longest = if ip.is_ipv4() { 32 } else { 128 };
    if length > longest { Err(invalid()) } else { Ok((ip, length)) }
}

#[cfg(test)]
mod tests;
