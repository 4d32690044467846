//! Which listener a connection is for.
//!
//! One at exactly the address, before one at every address; of both families only where no other is; bound to the device that the segment
//! came by, before one that is bound to none. Those that are left share the port (`SO_REUSEPORT`): then a program chooses among them by
//! their number, in the order in which they began to listen (`SO_ATTACH_REUSEPORT_CBPF`), or, where there is none or it names nobody,
//! a keyed hash of the flow.
//!
//! # Standards
//!
//! Linux socket(7).

use super::demux::Flow;
use super::filter::Place;
use super::{ListenerId, Tcp};
use crate::Stack;
use crate::bind::Bind;
use crate::ip::Ip;
use crate::port::PortId;
use crate::socket_filter;
use sockeye_device::RxFrame;
use sockeye_filter::Program;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

impl Stack {
    /// `SO_ATTACH_REUSEPORT_CBPF` on a listener: from now on the program chooses among all that share its address. It counts from the first byte
    /// that a segment carries, and returns a number. None: the hash chooses again. False, and nothing done, if the listener does not share.
    pub fn tcp_set_selection(&mut self, id: ListenerId, program: Option<Arc<Program>>) -> bool {
        let Some(group) = self.tcp.group_of(id) else { return false };
        for index in group {
            if let Some(listener) = self.tcp.listeners.at_mut(index as usize) {
                listener.selection = program.clone();
            }
        }
        true
    }

    /// The program that chooses among those that share a listener's address.
    pub fn tcp_selection(&self, id: ListenerId) -> Option<&Arc<Program>> {
        self.tcp.listeners.get(id)?.selection.as_ref()
    }
}

impl Tcp {
    /// The listener for a segment.
    pub(super) fn listener_for(&self, ip: &mut Ip, flow: &Flow, place: &Place<'_>, frame: &RxFrame) -> Option<u32> {
        let found = self.at_address(flow)?;
        let port = place.incoming.port;
        if let [only] = found[..] {
            return self.hears(only, port).then_some(only);
        }
        let matching = || self.matching(flow, port, found);
        if let Some(program) = self.selection_of(matching().next()?) {
            let (packet, segment) = place.packet(frame);
            let header = usize::from(packet.get(segment + 12).map_or(0, |byte| byte >> 4)) * 4;
            let choice = socket_filter::select(program, place.about(ip), &[packet], segment + header);
            if let Some(chosen) = matching().nth(choice) {
                return Some(chosen);
            }
        }
        self.by_hash(flow, matching)
    }

    /// The listener for a connection by `port` that needs no segments; none where a program would have to look at one.
    pub(super) fn listener_without_segment(&self, flow: &Flow, port: PortId) -> Option<u32> {
        let found = self.at_address(flow)?;
        let matching = || self.matching(flow, port, found);
        match self.selection_of(matching().next()?) {
            Some(_) => None,
            None => self.by_hash(flow, matching),
        }
    }

    /// Who begins to share an address has the program of those that share it already.
    pub(super) fn inherit_selection(&mut self, id: ListenerId) {
        let group = self.group_of(id).unwrap_or_default();
        let program = group.iter().find_map(|&index| self.selection_of(index)).cloned();
        if let (Some(_), Some(listener)) = (&program, self.listeners.get_mut(id)) {
            listener.selection = program;
        }
    }

    fn selection_of(&self, index: u32) -> Option<&Arc<Program>> {
        self.listeners.at(index as usize)?.selection.as_ref()
    }

    fn at_address(&self, flow: &Flow) -> Option<&Vec<u32>> {
        let any: IpAddr = match flow.local.ip() {
            IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let exact = self.listening.get(&flow.local);
        exact.or_else(|| self.listening.get(&SocketAddr::new(any, flow.local.port())))
    }

    fn bind_of(&self, index: u32) -> Option<&Bind> {
        self.bindings.get(self.listeners.at(index as usize)?.binding)
    }

    fn hears(&self, index: u32, port: PortId) -> bool {
        self.bind_of(index).is_some_and(|bind| bind.device.is_none_or(|device| device == port))
    }

    /// Of several listeners those that match best.
    fn matching<'a>(&'a self, flow: &Flow, port: PortId, found: &'a [u32]) -> impl Iterator<Item = u32> + use<'a> {
        let is = move |index: u32, wanted: fn(&Bind) -> bool| self.bind_of(index).is_some_and(wanted);
        let hearing = move || found.iter().copied().filter(move |&index| self.hears(index, port));
        let single = flow.local.is_ipv4() && hearing().any(|index| is(index, |bind| !bind.dual));
        let of_family = move || hearing().filter(move |&index| !single || is(index, |bind| !bind.dual));
        let on_device = of_family().any(|index| is(index, |bind| bind.device.is_some()));
        of_family().filter(move |&index| !on_device || is(index, |bind| bind.device.is_some()))
    }

    fn by_hash<I: Iterator<Item = u32>>(&self, flow: &Flow, matching: impl Fn() -> I) -> Option<u32> {
        matching().nth(self.secrets.timestamp_offset(flow) as usize % matching().count().max(1))
    }

    /// All that share an address with a listener, itself included. None if it does not share.
    fn group_of(&self, id: ListenerId) -> Option<Vec<u32>> {
        let listener = self.listeners.get(id)?;
        let own = self.bindings.get(listener.binding).filter(|bind| bind.reuse_port)?;
        let found = self.listening.get(&listener.local)?;
        let shares = |&&index: &&u32| self.bind_of(index).is_some_and(|other| other.shares_with(own));
        Some(found.iter().filter(shares).copied().collect())
    }
}
