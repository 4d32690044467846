//! What is left of a stream whose connection failed when whoever carries its bytes lets it go: enough for it to begin anew.
//!
//! On Linux it is still the same socket, which may be bound, listen, or connect once more, from the port that the program had bound it to. Here nobody
//! learns when the program closes what it cannot use any more, so that the port is free meanwhile, and memberships and leased labels end.

use std::net::{IpAddr, SocketAddr};

use sockeye_stack::errors::Reported;
use sockeye_stack::{Bind, PortId};

use super::{Host, SocketId, State};
use crate::errno::Errno;
use crate::filter::Filtering;
use crate::reports::Reports;
use crate::settings::{Privilege, Settings};

/// A socket without its place in a host.
#[derive(Clone, Debug, Default)]
pub struct Remains {
    /// What the program has set.
    pub settings: Settings,
    error: Option<Errno>,
    reports: Reports,
    /// Where it was (getsockname).
    pub local: Option<SocketAddr>,
    bound: Option<Bind>,
    address: Option<IpAddr>,
    device: Option<PortId>,
    filtering: Filtering,
}

impl Remains {
    /// setsockopt(2).
    pub fn set(&mut self, who: Privilege, level: i32, name: i32, value: &[u8]) -> Result<(), Errno> {
        self.settings.set(true, who, level, name, value)?;
        self.reports.heed(&self.settings, level, name);
        Ok(())
    }

    /// The failure that the program has not been told of, which clears it. From then on it is, as on Linux, only where the program has bound it, and on
    /// the port where it was.
    pub fn take_error(&mut self) -> Option<Errno> {
        let error = self.error.take()?;
        let bound = self.bound.map(|bind| bind.address).or(self.address);
        let address = bound.unwrap_or(self.settings.unspecified());
        self.local = self.local.map(|local| self.settings.outward(SocketAddr::new(address, local.port())));
        Some(error)
    }

    /// What keeping it costs besides its own size, in bytes.
    pub fn memory(&self) -> usize {
        self.filtering.memory() + self.reports.memory()
    }

    /// The oldest error of the queue (MSG_ERRQUEUE).
    pub fn take_report(&mut self) -> Option<Reported> {
        self.reports.take(&mut self.error)
    }
}

impl Host {
    /// Takes what is left of a socket that goes; `error` is what ends it, where it does not know itself.
    pub fn remains(&mut self, id: SocketId, error: Option<Errno>) -> Remains {
        self.refresh(id);
        let local = self.local_address(id).ok();
        let Some(socket) = self.sockets.get_mut(id.0) else { return Remains::default() };
        let bound = match socket.state {
            State::Bound(binding)
            | State::Connection { bound: Some(binding), .. }
            | State::Listening { binding, .. } => self.stack.tcp_binding(binding),
            _ => None,
        };
        Remains {
            settings: socket.settings.clone(),
            error: socket.error.take().or(error),
            reports: std::mem::take(&mut socket.reports),
            local,
            bound,
            address: socket.address,
            device: socket.device,
            filtering: std::mem::take(&mut socket.filtering).whole(),
        }
    }

    /// A stream that was, bound as it was: EADDRINUSE if somebody else has its port by now.
    pub fn revive(&mut self, remains: Remains) -> Result<SocketId, Errno> {
        let Remains { settings, error, reports, bound, address, device, filtering, local: was } = remains;
        let state = match bound {
            Some(bind) => {
                // What was set since counts.
                let (reuse_address, reuse_port) = (settings.reuse_address, settings.reuse_port);
                State::Bound(self.stack.tcp_bind(&Bind { reuse_address, reuse_port, device, ..bind })?)
            }
            None => State::Fresh,
        };
        let id = self.insert(state, settings);
        if let Some(socket) = self.sockets.get_mut(id.0) {
            (socket.error, socket.reports, socket.address, socket.device) = (error, reports, address, device);
            (socket.filtering, socket.was) = (filtering, was);
        }
        Ok(id)
    }
}
