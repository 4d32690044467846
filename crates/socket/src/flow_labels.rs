//! IPV6_FLOWLABEL_MGR: labels of flows on lease to sockets.
//!
//! A program asks with a `struct in6_flowlabel_req`: to have a label (GET), to have done with it (PUT), to have it for longer (RENEW). A socket may have a label
//! several times over, and lets go of all when it is closed. What leases there are, the stack knows ([`flow_labels`](sockeye_stack::flow_labels)).
//! Who is no administrator asks for 150 seconds at most.
//!
//! While somebody has a label that is not for all, a label that a program names (in an address, or attached) is to be one of its socket's own, else EINVAL.
//!
//! IPV6_FL_F_REFLECT, by which a stream answers with the label of what came, is EPERM, as on Linux unless an administrator allows it
//! (`flowlabel_consistency`). Extension headers that would go with the label (behind the request) are refused.
//!
//! # Standards
//!
//! Linux `ip6_flowlabel.c`; RFC 6437 §3.

use std::collections::BTreeMap;
use std::net::Ipv6Addr;
use std::time::Duration;

use sockeye_device::Instant;
use sockeye_stack::family::FLOW_LABEL;
use sockeye_stack::flow_labels::{LeaseError, Share, Term, Wanted};

use crate::errno::Errno;
use crate::host::{Host, SocketId};
use crate::settings::Privilege;

/// The length of a `struct in6_flowlabel_req`.
const REQUEST: usize = 32;
/// What stands before its label and with it: what a program gets back.
const LABELLED: usize = 20;
/// What can be behind a request without being a control message.
const CONTROL_MESSAGE: usize = 16;

/// IPV6_FL_A_*.
const GET: u8 = 0;
const PUT: u8 = 1;
const RENEW: u8 = 2;
/// IPV6_FL_F_*.
const CREATE: u16 = 1;
const FRESH: u16 = 2;
const REFLECT: u16 = 4;
const REMOTE: u16 = 8;

/// Seconds that a lease lingers at least, and that everybody may have.
const LEAST: u16 = 6;
const MOST: u16 = 150;

/// Who asks for a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder {
    /// As whom.
    pub privilege: Privilege,
    /// The process.
    pub process: i32,
    /// Its user.
    pub user: u32,
}

/// The labels that a socket has, and how many times.
#[derive(Debug, Default)]
pub(crate) struct Held(BTreeMap<u32, u32>);

impl Held {
    fn count(&self) -> usize {
        self.0.values().map(|&times| times as usize).sum()
    }

    fn has(&self, label: u32) -> bool {
        self.0.contains_key(&label)
    }

    fn put_back(&mut self, label: u32) -> Result<(), Errno> {
        let times = self.0.get_mut(&label).ok_or(Errno::ESRCH)?;
        *times -= 1;
        if *times == 0 {
            self.0.remove(&label);
        }
        Ok(())
    }
}

/// A `struct in6_flowlabel_req`.
#[derive(Clone, Copy, Debug)]
struct Asked {
    destination: Ipv6Addr,
    label: u32,
    action: u8,
    share: u8,
    flags: u16,
    /// In seconds.
    expires: u16,
    linger: u16,
}

impl Asked {
    fn read(value: &[u8]) -> Result<Asked, Errno> {
        let request = value.first_chunk::<REQUEST>().ok_or(Errno::EINVAL)?;
        let [destination @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] = request;
        let [.., l0, l1, l2, l3, action, share, f0, f1, e0, e1, g0, g1, _, _, _, _] = *request;
        Ok(Asked {
            destination: Ipv6Addr::from(*destination),
            label: u32::from_be_bytes([l0, l1, l2, l3]),
            action,
            share,
            flags: u16::from_ne_bytes([f0, f1]),
            expires: u16::from_ne_bytes([e0, e1]),
            linger: u16::from_ne_bytes([g0, g1]),
        })
    }

    fn term(&self, who: Privilege) -> Result<Term, Errno> {
        let seconds = |asked: u16| match who {
            Privilege::User if asked > MOST => Err(Errno::EPERM),
            _ => Ok(Duration::from_secs(asked.max(LEAST).into())),
        };
        Ok(Term { linger: seconds(self.linger)?, lasts: seconds(self.expires)? })
    }

    fn share(&self, who: Holder) -> Result<Share, Errno> {
        match self.share {
            1 => Ok(Share::Exclusive),
            2 => Ok(Share::Process(who.process)),
            3 => Ok(Share::User(who.user)),
            255 => Ok(Share::Any),
            _ => Err(Errno::EINVAL),
        }
    }
}

impl Host {
    /// setsockopt(2) of IPV6_FLOWLABEL_MGR. What the beginning of the program's value becomes, if a label was chosen for it.
    pub fn manage_flow_label(
        &mut self,
        now: Instant,
        id: SocketId,
        who: Holder,
        value: &[u8],
    ) -> Result<Option<Vec<u8>>, Errno> {
        if self.settings(id).ok_or(Errno::EBADF)?.ipv6.is_none() {
            return Err(Errno::ENOPROTOOPT);
        }
        let asked = Asked::read(value)?;
        match asked.action {
            GET | PUT if asked.flags & REFLECT != 0 => {
                let on_get = if asked.action == GET { Errno::EPERM } else { Errno::ESRCH };
                Err(if asked.action == GET || self.is_stream(id) { on_get } else { Errno::ENOPROTOOPT })
            }
            GET => {
                let label = self.lease(now, id, who, &asked, value.len())?;
                let mut told = value[..LABELLED].to_vec();
                told[16..].copy_from_slice(&label.to_be_bytes());
                Ok((asked.label == 0).then_some(told))
            }
            PUT => {
                let socket = self.sockets.get_mut(id.0).ok_or(Errno::EBADF)?;
                socket.flow_labels.put_back(asked.label)?;
                if socket.settings.advanced.flow_label == asked.label {
                    socket.settings.advanced.flow_label = 0;
                }
                self.stack.flow_label_release(now, asked.label);
                self.apply(now, id);
                Ok(None)
            }
            RENEW => {
                let has = self.sockets.get(id.0).is_some_and(|socket| socket.flow_labels.has(asked.label));
                // An administrator may do it for others.
                let may = has || asked.share == 0 && who.privilege == Privilege::Administrator;
                if !may || self.stack.flow_lease(asked.label).is_none() {
                    return Err(Errno::ESRCH);
                }
                self.stack.flow_label_renew(now, asked.label, asked.term(who.privilege)?);
                Ok(None)
            }
            _ => Err(Errno::EINVAL),
        }
    }

    fn lease(&mut self, now: Instant, id: SocketId, who: Holder, asked: &Asked, len: usize) -> Result<u32, Errno> {
        if asked.label > FLOW_LABEL || len >= REQUEST + CONTROL_MESSAGE {
            return Err(Errno::EINVAL);
        }
        let term = asked.term(who.privilege)?;
        let destination = asked.destination;
        if destination.is_unspecified() || destination.to_ipv4_mapped().is_some() {
            return Err(Errno::EINVAL);
        }
        let wanted = Wanted {
            label: asked.label,
            destination,
            share: asked.share(who)?,
            term,
            create: asked.flags & CREATE != 0,
            fresh: asked.flags & FRESH != 0,
        };
        let socket = self.sockets.get_mut(id.0).ok_or(Errno::EBADF)?;
        let administrator = who.privilege == Privilege::Administrator;
        let label = self.stack.flow_label_lease(now, &wanted, socket.flow_labels.count(), administrator)?;
        // No more often than the lease has users, of which there are not so many.
        *socket.flow_labels.0.entry(label).or_default() += 1;
        Ok(label)
    }

    /// getsockopt(2) of IPV6_FLOWLABEL_MGR: the lease of the label that the socket's peer was named with, or the label that the peer sends.
    pub(crate) fn flow_label_asked(&self, now: Instant, id: SocketId, value: &[u8]) -> Result<Vec<u8>, Errno> {
        let asked = Asked::read(value)?;
        if asked.action != GET {
            return Err(Errno::EINVAL);
        }
        let socket = self.sockets.get(id.0).ok_or(Errno::EBADF)?;
        let mut answer = vec![0; REQUEST];
        if asked.flags & REMOTE != 0 {
            let label = self.heard(id, true).label();
            answer[16..20].copy_from_slice(&label.to_be_bytes());
            return Ok(answer);
        }
        let label = socket.settings.advanced.flow_label;
        let lease = self.stack.flow_lease(label).filter(|_| socket.flow_labels.has(label)).ok_or(Errno::ENOENT)?;
        answer[..16].copy_from_slice(&lease.destination.octets());
        answer[16..20].copy_from_slice(&label.to_be_bytes());
        answer[21] = share_number(lease.share);
        // What is past has no seconds left.
        answer[24..26].copy_from_slice(&(lease.expires.since(now).as_secs() as u16).to_ne_bytes());
        answer[26..28].copy_from_slice(&(lease.linger.as_secs() as u16).to_ne_bytes());
        Ok(answer)
    }

    /// Whether a program may name a label in what the socket sends; 0 is none.
    pub fn may_send_label(&self, id: SocketId, label: u32) -> bool {
        let has = || self.sockets.get(id.0).is_some_and(|socket| socket.flow_labels.has(label));
        label == 0 || !self.stack.flow_labels_are_leased() || has()
    }

    /// The socket is no more.
    pub(crate) fn release_flow_labels(&mut self, now: Instant, held: &Held) {
        for (&label, &times) in &held.0 {
            for _ in 0..times {
                self.stack.flow_label_release(now, label);
            }
        }
    }
}

/// IPV6_FL_S_*.
pub fn share_number(share: Share) -> u8 {
    match share {
        Share::Exclusive => 1,
        Share::Process(_) => 2,
        Share::User(_) => 3,
        Share::Any => 255,
    }
}

impl From<LeaseError> for Errno {
    fn from(error: LeaseError) -> Errno {
        match error {
            LeaseError::Exists => Errno::EEXIST,
            LeaseError::Missing => Errno::ENOENT,
            LeaseError::Refused => Errno::EPERM,
            LeaseError::TooMany => Errno::ENOBUFS,
        }
    }
}
