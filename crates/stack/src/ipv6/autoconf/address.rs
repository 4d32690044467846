//! A port's own addresses: states, lifetimes, and whether somebody else has them.
//!
//! ```text
//!                 nobody objects          preferred lifetime over        valid lifetime over
//!   TENTATIVE --------------------> PREFERRED ------------------> DEPRECATED -------------> (gone)
//!   OPTIMISTIC ---------^               ^-----------------------------+
//!       |                                    a router says so
//!       v somebody has it
//!   DUPLICATED
//! ```
//!
//! An address is asked for before it is ours: a solicitation from nobody, with a number that only we know, so that our own
//! question is told from another's when a link brings it back. If nobody objects within a second, it is ours. Until then it
//! is **tentative** and nothing is received or sent there; or **optimistic**: it is used, with two precautions by which
//! whoever had it before keeps the packets that are his. Answers for it do not override what neighbours know, and
//! neighbours are not asked from there (but from the link-local address, see below).
//!
//! What an administrator gave is used optimistically too, so that a node serves at once; if somebody has it, it is
//! given up, told, and shown. What the host made itself is then made anew, up to three times.
//!
//! **Link-local addresses** that are optimistic ask for neighbours with their hardware address, though RFC 4429 forbids it:
//! neighbours answer nobody whom they cannot reach, and two identifiers of 64 bits out of a hash do not meet.
//!
//! # Standards
//!
//! RFC 4862 §5.4 (detection), §5.5.3 and §5.5.4 (lifetimes), RFC 4429 §3.2 and §3.3 (optimistic), RFC 7527 §4.1
//! (numbers in questions), RFC 7217 §6 (anew), RFC 8981 §3.3 and §3.4 (temporary ones).

use super::identifier::{self, Interface};
use super::{Link, MAX_ADDRESSES, Notice, SOLICITATION_DELAY};
use crate::counters::Drop;
use crate::ip::Ip;
use crate::port::PortId;
use crate::wheel::earlier;
use sockeye_device::Instant;
use sockeye_wire::{IpPrefix, ipv6};
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

/// RFC 7217 §6: IDGEN_RETRIES; RFC 8981 §3.8: TEMP_IDGEN_RETRIES.
const RETRIES: u8 = 3;
/// RFC 7217 §6: IDGEN_DELAY.
const RETRY_DELAY: Duration = Duration::from_secs(1);
/// RFC 8981 §3.8: TEMP_VALID_LIFETIME.
const TEMPORARY_VALID: Duration = Duration::from_secs(2 * 86_400);
/// TEMP_PREFERRED_LIFETIME.
const TEMPORARY_PREFERRED: Duration = Duration::from_secs(86_400);
/// MAX_DESYNC_FACTOR is 0.4 of it.
const DESYNCHRONIZED: Duration = Duration::from_secs(86_400 * 2 / 5);
/// REGEN_ADVANCE: 2 s, and one for each try.
const RENEW_ADVANCE: Duration = Duration::from_secs(2 + RETRIES as u64);

/// What may be done with an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressState {
    /// Nothing: it is being asked whether somebody has it.
    Tentative,
    /// The same is being asked, but it is used.
    Optimistic,
    /// All.
    Preferred,
    /// What began with it goes on; nothing new should.
    Deprecated,
    /// Nothing: somebody else has it.
    Duplicated,
}

/// Where an address comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It was given.
    Configured,
    /// Made for the link.
    LinkLocal,
    /// Made from a router's prefix; the same each time.
    Stable,
    /// The same, for a day.
    Temporary,
}

/// An address that is being asked for.
#[derive(Clone, Copy, Debug)]
struct Detection {
    /// Questions that are still to be sent.
    left: u8,
    at: Instant,
    /// Of the last one.
    nonce: Option<[u8; 6]>,
}

/// An address of the port's.
#[derive(Clone, Debug)]
pub(crate) struct Own {
    pub(super) prefix: IpPrefix,
    pub(super) state: AddressState,
    pub(super) origin: Origin,
    pub(super) valid_until: Option<Instant>,
    pub(super) preferred_until: Option<Instant>,
    detection: Option<Detection>,
    /// Neighbours are heard in the group in which they ask for it.
    listens: bool,
    /// How many identifiers before it somebody else had.
    collisions: u8,
    /// Of a temporary one: when it was made, and how much less than a day it is preferred.
    made: Instant,
    desynchronized: Duration,
    renewed: bool,
}

/// What time wants done.
pub(super) enum Due {
    /// Ask whether somebody has it.
    Ask(Ipv6Addr),
    /// Nobody has it.
    Settled(Ipv6Addr),
    /// Others are preferred from now on.
    Deprecated,
    /// A temporary one needs a successor.
    Renew(Ipv6Addr),
    /// It is gone.
    Expired(Ipv6Addr),
}

impl Own {
    fn new(prefix: IpPrefix, origin: Origin, made: Instant) -> Self {
        Own {
            prefix,
            state: AddressState::Tentative,
            origin,
            valid_until: None,
            preferred_until: None,
            detection: None,
            listens: false,
            collisions: 0,
            made,
            desynchronized: Duration::ZERO,
            renewed: false,
        }
    }

    /// One that was in use before.
    pub(super) fn preferred(prefix: IpPrefix, origin: Origin) -> Self {
        Own { state: AddressState::Preferred, listens: true, ..Own::new(prefix, origin, Instant::ZERO) }
    }

    pub(crate) fn address(&self) -> Ipv6Addr {
        match self.prefix.addr() {
            IpAddr::V6(address) => address,
            IpAddr::V4(_) => Ipv6Addr::UNSPECIFIED,
        }
    }

    /// True while packets may come and go.
    pub(crate) fn is_assigned(&self) -> bool {
        !matches!(self.state, AddressState::Tentative | AddressState::Duplicated)
    }

    /// Others are rather spoken from.
    pub(crate) fn is_avoided(&self) -> bool {
        matches!(self.state, AddressState::Deprecated | AddressState::Optimistic)
    }

    /// One for a day.
    pub(crate) fn is_temporary(&self) -> bool {
        self.origin == Origin::Temporary
    }

    /// Made from a router's prefix.
    pub(super) fn is_advertised(&self) -> bool {
        matches!(self.origin, Origin::Stable | Origin::Temporary)
    }

    fn renewal(&self) -> Option<Instant> {
        let waits = self.origin == Origin::Temporary && !self.renewed && self.is_assigned();
        self.preferred_until.filter(|_| waits).map(|until| until - RENEW_ADVANCE)
    }

    fn deprecation(&self) -> Option<Instant> {
        self.preferred_until.filter(|_| self.state == AddressState::Preferred)
    }

    pub(super) fn next(&self) -> Option<Instant> {
        let ends = earlier(self.valid_until, self.deprecation());
        earlier(earlier(ends, self.renewal()), self.detection.map(|detection| detection.at))
    }

    /// Nobody can be asked any more, until the link is up again.
    pub(super) fn pause(&mut self) {
        self.detection = None;
    }

    /// Preferred, or no longer.
    fn settled(&self, now: Instant) -> AddressState {
        match self.preferred_until {
            Some(until) if until <= now => AddressState::Deprecated,
            _ => AddressState::Preferred,
        }
    }

    /// Other lifetimes than before.
    pub(super) fn set_lifetimes(&mut self, now: Instant, valid: Option<Instant>, preferred: Option<Instant>) {
        self.valid_until = valid;
        self.preferred_until = preferred;
        if self.origin == Origin::Temporary {
            let most = self.made + TEMPORARY_VALID;
            self.valid_until = Some(valid.map_or(most, |valid| valid.min(most)));
            let most = self.made + (TEMPORARY_PREFERRED - self.desynchronized);
            self.preferred_until = Some(preferred.map_or(most, |preferred| preferred.min(most)));
            // It was the router that made it end; when it ends again, it needs a successor again.
            if self.preferred_until.is_some_and(|until| until > now + RENEW_ADVANCE) {
                self.renewed = false;
            }
        }
        if matches!(self.state, AddressState::Preferred | AddressState::Deprecated) {
            self.state = self.settled(now);
        }
    }
}

impl Link {
    fn own_mut(&mut self, address: Ipv6Addr) -> Option<&mut Own> {
        self.own.iter_mut().find(|own| own.address() == address)
    }

    /// All of the port's addresses.
    pub(crate) fn own(&self) -> &[Own] {
        &self.own
    }

    /// The state of an address of the port's.
    pub(crate) fn state(&self, address: Ipv6Addr) -> Option<AddressState> {
        self.own.iter().find(|own| own.address() == address).map(|own| own.state)
    }

    /// The port's next duty towards its addresses.
    pub(super) fn due(&mut self, now: Instant) -> Option<Due> {
        let passed = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        let index = self.own.iter().position(|own| passed(own.next()))?;
        let own = &mut self.own[index];
        if passed(own.valid_until) {
            return Some(Due::Expired(own.address()));
        }
        if let Some(detection) = own.detection.as_mut().filter(|detection| detection.at <= now) {
            if detection.left == 0 {
                return Some(Due::Settled(own.address()));
            }
            detection.left -= 1;
            detection.at = now + self.timing.retransmit;
            return Some(Due::Ask(own.address()));
        }
        if passed(own.renewal()) {
            own.renewed = true;
            return Some(Due::Renew(own.address()));
        }
        own.state = AddressState::Deprecated;
        Some(Due::Deprecated)
    }
}

impl Ip {
    /// Gives a port an address that an administrator chose.
    pub(crate) fn add_configured(&mut self, now: Instant, port: PortId, prefix: IpPrefix) {
        let Some(link) = self.autoconf.link_mut(port) else { return };
        if link.own.iter().any(|own| own.prefix.addr() == prefix.addr() && own.origin == Origin::Configured) {
            return;
        }
        // One that we had made ourselves is the administrator's from now on.
        if let IpAddr::V6(address) = prefix.addr() {
            self.drop_own(port, address);
        }
        self.add_own(now, port, Own::new(prefix, Origin::Configured, now));
    }

    /// Takes it back.
    pub(crate) fn remove_configured(&mut self, port: PortId, prefix: IpPrefix) {
        let is_given = |own: &Own| own.prefix == prefix && own.origin == Origin::Configured;
        let link = self.autoconf.link(port);
        if let Some(own) = link.and_then(|link| link.own.iter().find(|own| is_given(own))) {
            self.drop_own(port, own.address());
            self.autoconf.reschedule();
        }
    }

    /// An address is none of the port's any more.
    pub(super) fn drop_own(&mut self, port: PortId, address: Ipv6Addr) {
        let link = self.autoconf.link(port);
        let Some(prefix) =
            link.and_then(|link| link.own.iter().find(|own| own.address() == address)).map(|own| own.prefix)
        else {
            return;
        };
        self.unassign(port, prefix);
        self.set_listening(port, address, false);
        if let Some(link) = self.autoconf.link_mut(port) {
            link.own.retain(|own| own.address() != address);
        }
        self.readdress();
    }

    pub(super) fn make_link_local(&mut self, now: Instant, port: PortId) {
        let Some(prefix) = self.make_address(port, ipv6::link_local(0), 0) else { return };
        self.add_own(now, port, Own::new(prefix, Origin::LinkLocal, now));
    }

    /// The address that the port makes of a network, after so many that were taken.
    fn make_address(&self, port: PortId, network: Ipv6Addr, collisions: u8) -> Option<IpPrefix> {
        let (link, state) = (self.autoconf.link(port)?, self.find_port(port)?);
        let secret = link.settings.secret.as_ref().unwrap_or(&self.autoconf.secret);
        let interface = Interface { secret, name: &state.name, mac: state.mac };
        let id = interface.identifier(link.settings.identifiers, network, collisions);
        IpPrefix::new(ipv6::with_interface_id(network, id).into(), 64).ok()
    }

    /// A router's prefix from which an address may be made, with its lifetimes.
    pub(super) fn make_advertised(
        &mut self,
        now: Instant,
        port: PortId,
        network: Ipv6Addr,
        (valid, preferred): (Option<Instant>, Option<Instant>),
    ) {
        let Some(prefix) = self.make_address(port, network, 0) else { return };
        let mut own = Own::new(prefix, Origin::Stable, now);
        own.set_lifetimes(now, valid, preferred);
        self.add_own(now, port, own);
        self.make_temporary(now, port, network);
    }

    /// A temporary address beside the stable one of a network, if the port is to have such.
    fn make_temporary(&mut self, now: Instant, port: PortId, network: Ipv6Addr) {
        let desynchronized = self.rng.up_to(DESYNCHRONIZED);
        let id = identifier::random(&mut self.rng);
        let Some(link) = self.autoconf.link(port).filter(|link| link.settings.temporary) else { return };
        let within = |own: &&Own| own.origin == Origin::Stable && own.prefix.contains(network.into());
        let Some(stable) = link.own.iter().find(within) else { return };
        let Ok(prefix) = IpPrefix::new(ipv6::with_interface_id(network, id).into(), 64) else { return };
        let mut own = Own { desynchronized, ..Own::new(prefix, Origin::Temporary, now) };
        own.set_lifetimes(now, stable.valid_until, stable.preferred_until);
        // RFC 8981, 3.4 rule 5: it must outlive the making of its successor.
        if own.preferred_until.is_some_and(|until| until > now + RENEW_ADVANCE) {
            self.add_own(now, port, own);
        }
    }

    /// The router prefers a network again, and the temporary addresses that it had are past their time.
    pub(super) fn revive_temporary(&mut self, now: Instant, port: PortId, network: IpPrefix) {
        let Some(link) = self.autoconf.link(port) else { return };
        let lives =
            |own: &Own| own.is_temporary() && own.prefix.network() == network && own.state != AddressState::Deprecated;
        if let IpAddr::V6(address) = network.addr()
            && link.settings.temporary
            && !link.own.iter().any(lives)
        {
            self.make_temporary(now, port, address);
        }
    }

    pub(super) fn renew_temporary(&mut self, now: Instant, port: PortId, address: Ipv6Addr) {
        self.make_temporary(now, port, ipv6::with_interface_id(address, 0));
    }

    fn add_own(&mut self, now: Instant, port: PortId, own: Own) {
        let Some(link) = self.autoconf.link_mut(port) else { return };
        let made = link.own.iter().filter(|own| own.is_advertised()).count();
        let known = link.own.iter().any(|other| other.address() == own.address());
        if known || own.is_advertised() && made >= MAX_ADDRESSES {
            return self.counters.drop(Drop::NdLimit);
        }
        let address = own.address();
        link.own.push(own);
        self.detect(now, port, address);
        self.autoconf.reschedule();
    }

    /// Listens in the group in which neighbours ask for an address, or no more.
    fn set_listening(&mut self, port: PortId, address: Ipv6Addr, listens: bool) {
        let own = self.autoconf.link_mut(port).and_then(|link| link.own_mut(address));
        let Some(own) = own.filter(|own| own.listens != listens) else { return };
        own.listens = listens;
        let group = ipv6::solicited_node(address).into();
        if listens { self.join_group(port, group) } else { self.leave_group(port, group) }
    }

    /// Begins to ask whether somebody has an address of the port's (RFC 4862, 5.4.2).
    pub(super) fn detect(&mut self, now: Instant, port: PortId, address: Ipv6Addr) {
        self.set_listening(port, address, true);
        let is_up = self.find_port(port).is_some_and(|state| state.up);
        let delay = self.rng.up_to(SOLICITATION_DELAY);
        let Some(link) = self.autoconf.link_mut(port) else { return };
        let (count, optimistic) = (link.settings.detection, link.settings.optimistic);
        let Some(own) = link.own_mut(address) else { return };
        if own.state == AddressState::Duplicated {
            // The link was down: it may be another one, or the other host gone.
            own.collisions = 0;
        }
        let was_assigned = own.is_assigned();
        if count == 0 {
            return self.settle_address(now, port, address);
        }
        // One that was in use stays so. Who waits for the answer lets others ask first.
        own.state = if optimistic || was_assigned { AddressState::Optimistic } else { AddressState::Tentative };
        let at = if own.state == AddressState::Optimistic { now } else { now + delay };
        own.detection = is_up.then_some(Detection { left: count, at, nonce: None });
        let assign = own.is_assigned() && !was_assigned;
        let prefix = own.prefix;
        if assign {
            self.assign(port, prefix);
        }
        self.readdress();
    }

    /// A question whether somebody has it.
    pub(super) fn ask_for_duplicates(&mut self, now: Instant, port: PortId, address: Ipv6Addr) {
        let mut nonce = [0; 6];
        nonce.copy_from_slice(&self.rng.next_u64().to_be_bytes()[..6]);
        let own = self.autoconf.link_mut(port).and_then(|link| link.own_mut(address));
        let Some(detection) = own.and_then(|own| own.detection.as_mut()) else { return };
        detection.nonce = Some(nonce);
        self.counters.nd_duplicate_probes += 1;
        self.send_duplicate_probe(now, port, address, &nonce);
    }

    /// Nobody has it: it is ours.
    pub(super) fn settle_address(&mut self, now: Instant, port: PortId, address: Ipv6Addr) {
        let Some(own) = self.autoconf.link_mut(port).and_then(|link| link.own_mut(address)) else { return };
        own.detection = None;
        let was_assigned = own.is_assigned();
        own.state = own.settled(now);
        let (prefix, origin) = (own.prefix, own.origin);
        if !was_assigned {
            self.assign(port, prefix);
        }
        self.autoconf.notify(Notice::Address { port, prefix, origin });
        self.readdress();
        if self.port(port).up {
            // RFC 9131: routers learn where packets for it go before the first comes.
            self.announce(now, port, address.into());
        }
    }

    /// What somebody's question for `address` means while we ask for it too: true if it is our own, come back.
    pub(crate) fn is_own_probe(&self, port: PortId, address: Ipv6Addr, nonce: Option<&[u8]>) -> bool {
        let own = self.autoconf.link(port).and_then(|link| link.own.iter().find(|own| own.address() == address));
        let asked = own.and_then(|own| own.detection).and_then(|detection| detection.nonce);
        asked.is_some_and(|asked| nonce == Some(&asked[..]))
    }

    /// Somebody else has an address that we asked for.
    pub(crate) fn lose_address(&mut self, now: Instant, port: PortId, address: Ipv6Addr) {
        self.counters.nd_duplicates += 1;
        let id = identifier::random(&mut self.rng);
        let Some(own) = self.autoconf.link_mut(port).and_then(|link| link.own_mut(address)) else { return };
        own.detection = None;
        own.collisions += 1;
        let (was_assigned, prefix, origin, collisions) = (own.is_assigned(), own.prefix, own.origin, own.collisions);
        own.state = AddressState::Duplicated;
        if was_assigned {
            self.unassign(port, prefix);
        }
        self.set_listening(port, address, false);
        let anew = match origin {
            Origin::Configured => None,
            _ if collisions > RETRIES => None,
            Origin::LinkLocal | Origin::Stable => self.make_address(port, address, collisions),
            Origin::Temporary => IpPrefix::new(ipv6::with_interface_id(address, id).into(), 64).ok(),
        };
        let own = self.autoconf.link_mut(port).and_then(|link| link.own_mut(address));
        if let (Some(anew), Some(own)) = (anew, own) {
            own.prefix = anew;
            own.state = AddressState::Tentative;
            own.detection = Some(Detection { left: 1, at: now + RETRY_DELAY, nonce: None });
            let anew = own.address();
            self.set_listening(port, anew, true);
        }
        self.autoconf.notify(Notice::Duplicate { port, address, anew: anew.is_some() });
        self.readdress();
        self.autoconf.reschedule();
    }
}
