//! Flow labels on lease: who may send which, where somebody wants one for himself.
//!
//! Any label may be sent by anybody until a socket leases one that is not for all. From then on, and until the last such lease has ended, a label that a
//! program names is one that its own socket has leased; which sockets these are, their owner knows, and asks [`Stack::flow_labels_are_leased`]. Labels that the
//! host makes of a flow ([`family`](crate::family)) are no program's, and none of this.
//!
//! A lease has as many *users* as sockets hold it. When the last lets go it *lingers*, so that routers forget what the label meant before it means something
//! else; and it lasts at least until it *expires*. The numbers are Linux's: it lingers for six seconds at least, there are 4,096 labels at most, and who is no
//! administrator has fewer the fewer are left.
//!
//! # Standards
//!
//! RFC 3697 §4 and RFC 6437 §3 (a label is not used again too soon); Linux `ip6_flowlabel.c`, ipv6(7).

use crate::Stack;
use crate::family::FLOW_LABEL;
use crate::rng::Rng;
use sockeye_device::Instant;
use std::collections::BTreeMap;
use std::net::Ipv6Addr;
use std::time::Duration;

/// Labels on lease, on the whole host (`FL_MAX_SIZE`).
const MOST: usize = 4_096;
/// Those of one socket (`FL_MAX_PER_SOCK`).
const MOST_OF_A_SOCKET: usize = 32;

/// For whom a lease is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// The socket that has it (`IPV6_FL_S_EXCL`).
    Exclusive,
    /// All sockets of a process (`IPV6_FL_S_PROCESS`).
    Process(i32),
    /// All sockets of a user (`IPV6_FL_S_USER`).
    User(u32),
    /// Everybody (`IPV6_FL_S_ANY`).
    Any,
}

/// For how long a lease is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Term {
    /// After its last use.
    pub linger: Duration,
    /// At least.
    pub lasts: Duration,
}

/// What lease is wanted.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// Which label; 0: one that nobody has.
    pub label: u32,
    /// To whom it is to be sent, which is only told.
    pub destination: Ipv6Addr,
    /// For whom.
    pub share: Share,
    /// For how long.
    pub term: Term,
    /// Where there is none, there shall be one.
    pub create: bool,
    /// Where there is one, it is not wanted.
    pub fresh: bool,
}

/// A label on lease.
#[derive(Clone, Copy, Debug)]
pub struct Lease {
    /// Which.
    pub label: u32,
    /// To whom it is to be sent, as its first holder said.
    pub destination: Ipv6Addr,
    /// For whom it is.
    pub share: Share,
    /// How often it is held.
    pub users: u32,
    /// How long it is kept when nobody holds it.
    pub linger: Duration,
    /// Until when it lasts at least.
    pub expires: Instant,
    /// The how many-eth it was.
    serial: u64,
}

/// Why there is no lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaseError {
    /// There is one, and a fresh one was wanted.
    Exists,
    /// There is none, and none was to be made.
    Missing,
    /// It is for others.
    Refused,
    /// There are too many.
    TooMany,
}

/// All leases of the host.
#[derive(Debug, Default)]
pub(crate) struct Leases {
    leases: BTreeMap<u32, Lease>,
    /// How many are not for everybody.
    guarded: usize,
    /// When the first ends that nobody holds, or earlier.
    next_end: Option<Instant>,
    made: u64,
}

impl Lease {
    fn renew(&mut self, now: Instant, term: Term) {
        self.linger = self.linger.max(term.linger);
        self.expires = self.expires.max(now + term.lasts.max(self.linger));
    }

    fn has_ended(&self, now: Instant) -> bool {
        self.users == 0 && self.expires <= now
    }
}

impl Leases {
    /// One use more, by a socket that holds `held` already. The label.
    fn take(
        &mut self,
        now: Instant,
        rng: &mut Rng,
        wanted: &Wanted,
        held: usize,
        administrator: bool,
    ) -> Result<u32, LeaseError> {
        if let Some(lease) = self.leases.get_mut(&wanted.label) {
            if wanted.fresh {
                return Err(LeaseError::Exists);
            }
            if lease.share == Share::Exclusive || lease.share != wanted.share {
                return Err(LeaseError::Refused);
            }
            lease.users = lease.users.checked_add(1).ok_or(LeaseError::TooMany)?;
            lease.renew(now, wanted.term);
            return Ok(wanted.label);
        }
        if !wanted.create {
            return Err(LeaseError::Missing);
        }
        if !self.has_room(held, administrator) {
            return Err(LeaseError::TooMany);
        }
        let mut label = wanted.label;
        // Of a million labels 4,096 are taken at most.
        while label == 0 || self.leases.contains_key(&label) {
            label = rng.next_u32() & FLOW_LABEL;
        }
        let Wanted { destination, share, term, .. } = *wanted;
        let (linger, serial) = (term.linger, self.made);
        let expires = now + term.lasts.max(linger);
        self.leases.insert(label, Lease { label, destination, share, users: 1, linger, expires, serial });
        self.made += 1;
        self.guarded += usize::from(share != Share::Any);
        Ok(label)
    }

    /// Who is no administrator has fewer the fewer are left.
    fn has_room(&self, held: usize, administrator: bool) -> bool {
        let left = MOST.saturating_sub(self.leases.len());
        let scarce = held >= MOST_OF_A_SOCKET || held > 0 && left < MOST / 2 || left < MOST / 4;
        left > MOST - MOST_OF_A_SOCKET || left > 0 && (administrator || !scarce)
    }

    /// False if there is no such lease.
    fn renew(&mut self, now: Instant, label: u32, term: Term) -> bool {
        self.leases.get_mut(&label).map(|lease| lease.renew(now, term)).is_some()
    }

    /// One use less.
    fn release(&mut self, now: Instant, label: u32) {
        let Some(lease) = self.leases.get_mut(&label) else { return };
        lease.users = lease.users.saturating_sub(1);
        if lease.users == 0 {
            lease.expires = lease.expires.max(now + lease.linger);
            self.next_end = Some(self.next_end.map_or(lease.expires, |next| next.min(lease.expires)));
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.next_end
    }

    /// What has ended goes.
    pub(crate) fn expire(&mut self, now: Instant) {
        if self.next_end.is_none_or(|next| now < next) {
            return;
        }
        let Leases { leases, guarded, .. } = self;
        leases.retain(|_, lease| {
            let ended = lease.has_ended(now);
            *guarded -= usize::from(ended && lease.share != Share::Any);
            !ended
        });
        self.next_end = leases.values().filter(|lease| lease.users == 0).map(|lease| lease.expires).min();
    }
}

/// Leases, for whoever has sockets.
impl Stack {
    /// A label is leased to a socket, once more if it has it already; of how many `held` it has. What is leased is to be [let go](Self::flow_label_release).
    pub fn flow_label_lease(
        &mut self,
        now: Instant,
        wanted: &Wanted,
        held: usize,
        administrator: bool,
    ) -> Result<u32, LeaseError> {
        self.ip.flow_leases.take(now, &mut self.ip.rng, wanted, held, administrator)
    }

    /// A lease lasts longer. False if there is none.
    pub fn flow_label_renew(&mut self, now: Instant, label: u32, term: Term) -> bool {
        self.ip.flow_leases.renew(now, label, term)
    }

    /// A socket has done with a label, as often as it had leased it.
    pub fn flow_label_release(&mut self, now: Instant, label: u32) {
        self.ip.flow_leases.release(now, label);
    }

    /// Whether a label may be sent by those only who have leased it.
    pub fn flow_labels_are_leased(&self) -> bool {
        self.ip.flow_leases.guarded > 0
    }

    /// The lease of a label.
    pub fn flow_lease(&self, label: u32) -> Option<&Lease> {
        self.ip.flow_leases.leases.get(&label)
    }

    /// All leases, in the order in which Linux tells them.
    pub fn flow_leases(&self) -> Vec<Lease> {
        let mut all: Vec<Lease> = self.ip.flow_leases.leases.values().copied().collect();
        // It has 256 chains, and puts what is new in front.
        all.sort_unstable_by_key(|lease| (lease.label & 0xff, u64::MAX - lease.serial));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;

    const fn seconds(seconds: u64) -> Instant {
        Instant::from_millis(seconds * 1_000)
    }

    const TERM: Term = Term { linger: Duration::from_secs(6), lasts: Duration::from_secs(10) };

    fn wanted(label: u32, share: Share) -> Wanted {
        let destination = Ipv6Addr::LOCALHOST;
        Wanted { label, destination, share, term: TERM, create: true, fresh: false }
    }

    fn stack() -> Stack {
        Stack::new(Config::default(), [7; 32])
    }

    #[test]
    fn a_lease_is_shared_with_those_it_is_for() {
        let mut stack = stack();
        let mut lease = |wanted: Wanted| stack.flow_label_lease(seconds(0), &wanted, 0, false);
        let seek = Wanted { create: false, ..wanted(5, Share::Any) };
        assert_eq!(lease(seek), Err(LeaseError::Missing));
        assert_eq!(lease(wanted(5, Share::Any)), Ok(5));
        assert_eq!(lease(seek), Ok(5));
        assert_eq!(lease(Wanted { fresh: true, ..seek }), Err(LeaseError::Exists));
        assert_eq!(lease(wanted(5, Share::Exclusive)), Err(LeaseError::Refused));
        assert_eq!(lease(wanted(6, Share::Exclusive)), Ok(6));
        assert_eq!(lease(wanted(6, Share::Exclusive)), Err(LeaseError::Refused));
        for share in [Share::Process, |number| Share::User(number as u32)] {
            let label = if share(0) == Share::Process(0) { 7 } else { 8 };
            assert_eq!(lease(wanted(label, share(1))), Ok(label));
            assert_eq!(lease(wanted(label, share(1))), Ok(label));
            assert_eq!(lease(wanted(label, share(2))), Err(LeaseError::Refused));
        }
        let users: Vec<_> = stack.flow_leases().iter().map(|lease| (lease.label, lease.users)).collect();
        assert_eq!(users, [(5, 2), (6, 1), (7, 2), (8, 2)]);
    }

    #[test]
    fn nobody_is_kept_from_sending_while_all_leases_are_for_all() {
        let mut stack = stack();
        stack.flow_label_lease(seconds(0), &wanted(5, Share::Any), 0, false).unwrap();
        assert!(!stack.flow_labels_are_leased());
        let label = stack.flow_label_lease(seconds(0), &wanted(0, Share::User(9)), 0, false).unwrap();
        assert!(label > 0 && label <= FLOW_LABEL && stack.flow_labels_are_leased());
        // It lasts for ten seconds, and lingers for six.
        stack.flow_label_release(seconds(1), label);
        stack.handle_timeout(seconds(9));
        assert!(stack.flow_labels_are_leased());
        assert_eq!(stack.poll_timeout(), Some(seconds(10)));
        stack.handle_timeout(seconds(10));
        assert!(!stack.flow_labels_are_leased() && stack.flow_lease(label).is_none());
        // What is held does not end.
        stack.handle_timeout(seconds(1_000));
        assert_eq!(stack.flow_lease(5).map(|lease| lease.users), Some(1));
        stack.flow_label_release(seconds(1_000), 5);
        assert_eq!(stack.poll_timeout(), Some(seconds(1_006)));
        // Held again, it stays.
        assert_eq!(stack.flow_label_lease(seconds(1_005), &wanted(5, Share::Any), 0, false), Ok(5));
        stack.handle_timeout(seconds(2_000));
        assert!(stack.flow_lease(5).is_some() && stack.poll_timeout().is_none());
    }

    #[test]
    fn a_lease_is_made_longer_and_never_shorter() {
        let mut stack = stack();
        stack.flow_label_lease(seconds(0), &wanted(5, Share::Any), 0, false).unwrap();
        let longer = Term { linger: Duration::from_secs(20), lasts: Duration::from_secs(7) };
        assert!(stack.flow_label_renew(seconds(1), 5, longer));
        assert!(stack.flow_label_renew(seconds(1), 5, TERM));
        let lease = stack.flow_lease(5).unwrap();
        assert_eq!((lease.linger, lease.expires), (longer.linger, seconds(21)));
        assert!(!stack.flow_label_renew(seconds(1), 6, TERM));
    }

    #[test]
    fn there_are_so_many_and_the_last_are_the_administrators() {
        let mut stack = stack();
        let mut lease =
            |held, administrator| stack.flow_label_lease(seconds(0), &wanted(0, Share::Any), held, administrator);
        // While there are few a socket may have as many as it likes.
        assert!((0..MOST_OF_A_SOCKET).all(|_| lease(1_000, false).is_ok()));
        assert_eq!(lease(MOST_OF_A_SOCKET, false), Err(LeaseError::TooMany));
        assert!((0..MOST / 2).all(|_| lease(1_000, true).is_ok()));
        assert_eq!(lease(1, false), Err(LeaseError::TooMany));
        assert!((0..MOST / 4 - MOST_OF_A_SOCKET).all(|_| lease(0, false).is_ok()));
        assert_eq!(lease(0, false).err(), None);
        assert_eq!(lease(0, false), Err(LeaseError::TooMany));
        while lease(0, true).is_ok() {}
        assert_eq!(stack.flow_leases().len(), MOST);
    }
}
