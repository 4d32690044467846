//! Who holds which local port.
//!
//! A binding is a claim to a port at one address or at all of them. Two claims to the same port collide when their
//! addresses overlap (equal, or one is the wildcard, which of IPv6 may stand for both families) and their devices do,
//! unless both sides agreed to share:
//!
//! - both set `SO_REUSEADDR`, and the other one is not listening (a datagram socket never is);
//! - both set `SO_REUSEPORT`, and belong to the same user.
//!
//! These are Linux's rules; listening is checked once more when it begins. A binding is held by a count of holders: a
//! listener and the connections that it accepted hold the same one, so a port stays claimed while a connection is in
//! TIME-WAIT, and a restarted server needs `SO_REUSEADDR`.
//!
//! A connecting socket that has bound nothing claims a port only against those who bind explicitly: other connections
//! may share it, as long as their peers differ. Which port it gets is RFC 6056's matter: the walk begins at an offset that
//! a stranger cannot know (for connections, [`ephemeral`](crate::tcp) decides where).
//!
//! # Standards
//!
//! POSIX bind; Linux socket(7), ip(7) (`ip_local_port_range`); RFC 6056 §3.3.

use crate::hash::Keyed;
use crate::port::PortId;
use hashbrown::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;

/// Ports that are given to those who ask for none in particular, as Linux has them.
pub const EPHEMERAL: RangeInclusive<u16> = 32_768..=60_999;

/// A wish for a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bind {
    /// At which address; unspecified for all.
    pub address: IpAddr,
    /// Which port; 0 for any that is free.
    pub port: u16,
    /// IPv6's unspecified address stands for all of IPv4's, too (`IPV6_V6ONLY` is off).
    pub dual: bool,
    /// `SO_REUSEADDR`.
    pub reuse_address: bool,
    /// `SO_REUSEPORT`.
    pub reuse_port: bool,
    /// `SO_BINDTODEVICE`.
    pub device: Option<PortId>,
    /// The user, among whose sockets `SO_REUSEPORT` shares.
    pub owner: u32,
    /// Whether the address must be one of ours.
    pub foreign: Foreign,
    /// Between which ports one is chosen (`IP_LOCAL_PORT_RANGE`); 0: as the host does.
    pub range: (u16, u16),
}

/// What may be done with addresses that are not ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Foreign {
    /// Nothing.
    #[default]
    Never,
    /// They may be bound to, and are good for nothing until they are ours (`IP_FREEBIND`).
    Bound,
    /// They may be spoken from (`IP_TRANSPARENT`).
    Spoken,
}

impl Bind {
    /// True where it stands for all addresses of both families.
    pub(crate) fn is_dual(&self) -> bool {
        self.dual && self.address == IpAddr::V6(Ipv6Addr::UNSPECIFIED)
    }

    /// The address in the eyes of a peer of that family; none if it speaks for the other one alone.
    pub(crate) fn facing(&self, peer: IpAddr) -> Option<IpAddr> {
        match (self.address, peer) {
            (IpAddr::V4(_), IpAddr::V4(_)) | (IpAddr::V6(_), IpAddr::V6(_)) => Some(self.address),
            _ => self.is_dual().then_some(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
        }
    }

    /// All places at which it is to be found.
    pub(crate) fn places(&self) -> impl Iterator<Item = SocketAddr> + use<> {
        let other = self.is_dual().then(|| SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), self.port));
        [SocketAddr::new(self.address, self.port)].into_iter().chain(other)
    }

    /// Whether the two are one group of `SO_REUSEPORT`.
    pub(crate) fn shares_with(&self, other: &Bind) -> bool {
        let Bind { address, port, dual, reuse_address: _, reuse_port, device, owner, foreign: _, range: _ } = *self;
        reuse_port
            && other.reuse_port
            && (address, port, dual, device, owner)
                == (other.address, other.port, other.dual, other.device, other.owner)
    }

    fn overlaps(&self, other: &Bind) -> bool {
        let (ours, theirs) = (self.address, other.address);
        if ours.is_ipv4() != theirs.is_ipv4() {
            return self.is_dual() || other.is_dual();
        }
        ours == theirs || ours.is_unspecified() || theirs.is_unspecified()
    }

    /// A claim that shares with nobody.
    pub fn new(address: IpAddr, port: u16) -> Self {
        Bind {
            address,
            port,
            dual: false,
            reuse_address: false,
            reuse_port: false,
            device: None,
            owner: 0,
            foreign: Foreign::Never,
            range: (0, 0),
        }
    }
}

/// Why a port cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BindError {
    /// Somebody else holds it.
    InUse,
    /// The address is not one of ours.
    NotLocal,
    /// All ephemeral ports are taken.
    NoPorts,
}

/// A binding. Goes stale when its last holder lets go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BindingId {
    index: u32,
    generation: u32,
}

#[derive(Debug)]
struct Binding {
    bind: Bind,
    /// Made by a connect without a bind: claims the port against explicit binds only.
    implicit: bool,
    listening: bool,
    holders: u32,
}

#[derive(Debug)]
struct Slot {
    generation: u32,
    binding: Option<Binding>,
}

/// All bindings of one protocol.
#[derive(Debug)]
pub(crate) struct Bindings {
    slots: Vec<Slot>,
    free: Vec<u32>,
    ports: HashMap<u16, Vec<u32>, Keyed>,
    range: RangeInclusive<u16>,
}

impl Bindings {
    pub(crate) fn new(hasher: Keyed) -> Self {
        Bindings { slots: Vec::new(), free: Vec::new(), ports: HashMap::with_hasher(hasher), range: EPHEMERAL }
    }

    /// Claims a port. `offset` is a random number: where the search begins when any will do.
    pub(crate) fn bind(&mut self, wish: &Bind, offset: u32) -> Result<BindingId, BindError> {
        let mut bind = *wish;
        if bind.port == 0 {
            bind.port =
                self.candidates(wish, offset).find(|port| !self.ports.contains_key(port)).ok_or(BindError::NoPorts)?;
        } else if self.collides(&bind, None) {
            return Err(BindError::InUse);
        }
        Ok(self.insert(Binding { bind, implicit: false, listening: false, holders: 1 }))
    }

    /// Claims a port for a connection whose socket has bound none: one that nobody has bound, and that `is_free` (the
    /// four addresses together are not in use) agrees to. `wish.port` does not count. Also tells how many ports the search
    /// passed over.
    pub(crate) fn bind_connection(
        &mut self,
        wish: &Bind,
        offset: u32,
        mut is_free: impl FnMut(u16) -> bool,
    ) -> Result<(BindingId, u32), BindError> {
        let mut candidates = (0..).zip(self.candidates(wish, offset));
        let free = candidates.find(|&(_, port)| self.is_unbound(wish, port) && is_free(port));
        let (steps, port) = free.ok_or(BindError::NoPorts)?;
        let bind = Bind { port, ..*wish };
        let shared = self.ports.get(&bind.port).into_iter().flatten().copied().find(|&index| {
            matches!(&self.slots[index as usize].binding, Some(binding) if binding.implicit && binding.bind == bind)
        });
        match shared {
            Some(index) => {
                let id = BindingId { index, generation: self.slots[index as usize].generation };
                self.retain(id);
                Ok((id, steps))
            }
            None => Ok((self.insert(Binding { bind, implicit: true, listening: false, holders: 1 }), steps)),
        }
    }

    /// Adds a holder.
    pub(crate) fn retain(&mut self, id: BindingId) {
        if let Some(binding) = self.find_mut(id) {
            binding.holders += 1;
        }
    }

    /// A holder lets go; with the last one the port is free.
    pub(crate) fn release(&mut self, id: BindingId) {
        let Some(binding) = self.find_mut(id) else { return };
        binding.holders -= 1;
        if binding.holders > 0 {
            return;
        }
        let port = binding.bind.port;
        if let Some(indices) = self.ports.get_mut(&port) {
            indices.retain(|&index| index != id.index);
            if indices.is_empty() {
                self.ports.remove(&port);
            }
        }
        let slot = &mut self.slots[id.index as usize];
        slot.binding = None;
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(id.index);
    }

    /// The claim, with the port that was given.
    pub(crate) fn get(&self, id: BindingId) -> Option<&Bind> {
        let slot = self.slots.get(id.index as usize)?;
        if slot.generation == id.generation { slot.binding.as_ref().map(|binding| &binding.bind) } else { None }
    }

    /// The address and port of a claim.
    pub(crate) fn address(&self, id: BindingId) -> Option<SocketAddr> {
        self.get(id).map(|bind| SocketAddr::new(bind.address, bind.port))
    }

    /// All places at which a claim is to be found.
    pub(crate) fn places(&self, id: BindingId) -> impl Iterator<Item = SocketAddr> + use<> {
        self.get(id).map(Bind::places).into_iter().flatten()
    }

    /// The holder begins to listen: from now on `SO_REUSEADDR` shares no more.
    pub(crate) fn listen(&mut self, id: BindingId) -> Result<(), BindError> {
        let bind = *self.get(id).ok_or(BindError::InUse)?;
        if self.collides(&bind, Some(id.index)) {
            return Err(BindError::InUse);
        }
        if let Some(binding) = self.find_mut(id) {
            binding.listening = true;
        }
        Ok(())
    }

    /// The holder listens no more.
    pub(crate) fn unlisten(&mut self, id: BindingId) {
        if let Some(binding) = self.find_mut(id) {
            binding.listening = false;
        }
    }

    /// The holder's socket options have changed.
    pub(crate) fn set_reuse(&mut self, id: BindingId, reuse_address: bool, reuse_port: bool) {
        if let Some(binding) = self.find_mut(id) {
            binding.bind.reuse_address = reuse_address;
            binding.bind.reuse_port = reuse_port;
        }
    }

    /// The holder is bound to a device, or to none.
    pub(crate) fn set_device(&mut self, id: BindingId, device: Option<PortId>) {
        if let Some(binding) = self.find_mut(id) {
            binding.bind.device = device;
        }
    }

    /// The holder has chosen one address of all (a datagram socket connects) or gives it up again.
    pub(crate) fn set_address(&mut self, id: BindingId, address: IpAddr) {
        if let Some(binding) = self.find_mut(id) {
            binding.bind.address = address;
        }
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    fn insert(&mut self, binding: Binding) -> BindingId {
        let port = binding.bind.port;
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot { generation: 0, binding: None });
            (self.slots.len() - 1) as u32
        });
        let slot = &mut self.slots[index as usize];
        slot.binding = Some(binding);
        self.ports.entry(port).or_default().push(index);
        BindingId { index, generation: slot.generation }
    }

    fn find_mut(&mut self, id: BindingId) -> Option<&mut Binding> {
        let slot = self.slots.get_mut(id.index as usize)?;
        if slot.generation == id.generation { slot.binding.as_mut() } else { None }
    }

    fn at_port(&self, port: u16) -> impl Iterator<Item = (u32, &Binding)> {
        self.ports
            .get(&port)
            .into_iter()
            .flatten()
            .filter_map(|&index| Some((index, self.slots[index as usize].binding.as_ref()?)))
    }

    /// All ephemeral ports, from a place that a stranger cannot know when `offset` is (RFC 6056, 3.3): upwards and around.
    fn candidates(&self, wish: &Bind, offset: u32) -> impl Iterator<Item = u16> + use<> {
        // As on Linux a bound of the socket's counts where it lies within the host's.
        let within = |port: u16, default: u16| if self.range.contains(&port) { port } else { default };
        let first = within(wish.range.0, *self.range.start());
        let last = within(wish.range.1, *self.range.end());
        let count = u32::from(last.saturating_sub(first)) + 1;
        let offset = offset % count;
        (0..count).map(move |step| first + ((offset + step) % count) as u16)
    }

    /// True when nobody has bound the port at this address. Connections may use it.
    fn is_unbound(&self, wish: &Bind, port: u16) -> bool {
        !self.at_port(port).any(|(_, binding)| !binding.implicit && binding.bind.overlaps(wish))
    }

    fn collides(&self, bind: &Bind, except: Option<u32>) -> bool {
        self.at_port(bind.port).any(|(index, other)| Some(index) != except && other.collides_with(bind))
    }
}

impl Binding {
    fn collides_with(&self, wish: &Bind) -> bool {
        let Bind { address: _, port: _, dual: _, reuse_address, reuse_port, device, owner, foreign: _, range: _ } =
            self.bind;
        let devices_overlap = device.is_none() || wish.device.is_none() || device == wish.device;
        let share_address = reuse_address && wish.reuse_address && !self.listening;
        let share_port = reuse_port && wish.reuse_port && owner == wish.owner;
        self.bind.overlaps(wish) && devices_overlap && !share_address && !share_port
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::Keys;

    const ANY: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    const ONE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
    const TWO: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));

    fn bindings() -> Bindings {
        Bindings::new(Keys::new([1; 32]).hasher(b"test"))
    }

    fn reusing(address: IpAddr) -> Bind {
        Bind { reuse_address: true, ..Bind::new(address, 80) }
    }

    #[test]
    fn overlapping_addresses_collide_and_others_do_not() {
        let mut table = bindings();
        let one = table.bind(&Bind::new(ONE, 80), 0).unwrap();
        assert_eq!(table.bind(&Bind::new(ONE, 80), 0), Err(BindError::InUse));
        assert_eq!(table.bind(&Bind::new(ANY, 80), 0), Err(BindError::InUse));
        assert!(table.bind(&Bind::new(TWO, 80), 0).is_ok());
        assert!(table.bind(&Bind::new(ONE, 81), 0).is_ok());
        table.release(one);
        assert!(table.bind(&Bind::new(ONE, 80), 0).is_ok());
    }

    #[test]
    fn reuse_address_shares_until_one_listens() {
        let mut table = bindings();
        let first = table.bind(&reusing(ANY), 0).unwrap();
        let second = table.bind(&reusing(ONE), 0).unwrap();
        assert_eq!(table.bind(&Bind::new(ONE, 80), 0), Err(BindError::InUse), "both must agree");
        assert_eq!(table.listen(first), Ok(()));
        assert_eq!(table.listen(second), Err(BindError::InUse));
        assert_eq!(table.bind(&reusing(TWO), 0), Err(BindError::InUse));
        table.unlisten(first);
        assert_eq!(table.listen(second), Ok(()));
    }

    #[test]
    fn a_restarted_server_needs_reuse_address_while_connections_linger() {
        for reuse in [false, true] {
            let mut table = bindings();
            let bind = Bind { reuse_address: reuse, ..Bind::new(ANY, 80) };
            let listener = table.bind(&bind, 0).unwrap();
            table.listen(listener).unwrap();
            table.retain(listener);
            table.unlisten(listener);
            table.release(listener);
            assert_eq!(table.bind(&bind, 0).is_ok(), reuse);
        }
    }

    #[test]
    fn reuse_port_shares_among_the_sockets_of_one_user_even_listening() {
        let mut table = bindings();
        let bind = Bind { reuse_port: true, owner: 7, ..Bind::new(ANY, 80) };
        for _ in 0..3 {
            let id = table.bind(&bind, 0).unwrap();
            table.listen(id).unwrap();
        }
        assert_eq!(table.bind(&Bind { owner: 8, ..bind }, 0), Err(BindError::InUse));
    }

    #[test]
    fn devices_part_claims() {
        let mut table = bindings();
        let on = |port| Bind { device: Some(PortId(port)), ..Bind::new(ANY, 80) };
        assert!(table.bind(&on(1), 0).is_ok());
        assert!(table.bind(&on(2), 0).is_ok());
        assert_eq!(table.bind(&on(1), 0), Err(BindError::InUse));
        assert_eq!(table.bind(&Bind::new(ANY, 80), 0), Err(BindError::InUse));
    }

    #[test]
    fn ephemeral_ports_start_anywhere_wrap_and_run_out() {
        let mut table = bindings();
        table.range = 40_000..=40_002;
        let ports: Vec<_> = (0..3)
            .map(|_| {
                let id = table.bind(&Bind::new(ANY, 0), 2).unwrap();
                table.address(id).unwrap().port()
            })
            .collect();
        assert_eq!(ports, [40_002, 40_000, 40_001]);
        assert_eq!(table.bind(&Bind::new(ANY, 0), 0), Err(BindError::NoPorts));
    }

    #[test]
    fn a_range_of_the_sockets_own_bounds_the_choice() {
        let mut table = bindings();
        let wish = Bind { range: (50_000, 50_001), ..Bind::new(ANY, 0) };
        for offset in [7, 99] {
            let id = table.bind(&wish, offset).unwrap();
            assert!((50_000..=50_001).contains(&table.address(id).unwrap().port()));
        }
        assert_eq!(table.bind(&wish, 0), Err(BindError::NoPorts));
        // What lies outside of the host's own bounds nothing.
        assert!(table.bind(&Bind { range: (80, 81), ..wish }, 0).is_ok());
    }

    #[test]
    fn connections_share_a_port_among_themselves_and_with_nobody_who_binds() {
        let mut table = bindings();
        table.range = 40_000..=40_001;
        let bound = table.bind(&Bind::new(TWO, 40_000), 0).unwrap();
        let any = Bind::new(ONE, 0);
        table.bind(&Bind::new(ONE, 40_000), 0).unwrap();
        let (first, steps) = table.bind_connection(&any, 0, |_| true).unwrap();
        let (second, _) = table.bind_connection(&any, 1, |_| true).unwrap();
        assert_eq!(steps, 1, "the port that is bound was passed over");
        assert_eq!((first, table.address(first)), (second, Some(SocketAddr::new(ONE, 40_001))));
        assert_eq!(table.bind_connection(&any, 0, |_| false), Err(BindError::NoPorts));
        assert_eq!(table.bind(&Bind::new(ONE, 40_001), 0), Err(BindError::InUse));
        table.release(first);
        assert_eq!(table.bind(&Bind::new(ONE, 40_001), 0), Err(BindError::InUse));
        table.release(second);
        assert!(table.bind(&Bind::new(ONE, 40_001), 0).is_ok());
        table.release(bound);
        assert_eq!(table.len(), 2);
        table.release(first);
        assert_eq!(table.len(), 2, "a stale id does nothing");
    }
}
