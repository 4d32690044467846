//! Datagrams, and packets without their header, that are written in pieces: `MSG_MORE`, and `UDP_CORK`.
//!
//! While either holds, what is written is kept; the first piece says where to and how it shall go, the others only add to it. It leaves with the
//! first piece that neither holds back, or when the cork is pulled. What becomes too long is given up as a whole, as on Linux, and so is what is
//! held when the socket is closed.
//!
//! # Standards
//!
//! Linux udp(7), raw(7), send(2).

use sockeye_control::Address;
use sockeye_control::datagram::{Header, Kind};
use sockeye_socket::settings::Switch;
use sockeye_socket::{Body, Host, Settings, SocketId};

/// The longest payload of a datagram.
const MOST: usize = 65_535;

/// What a socket holds back.
#[derive(Debug, Default)]
pub(super) struct Cork {
    /// A message, as if it had been written at once, and how much of it is payload.
    held: Option<(Vec<u8>, usize)>,
    /// It is to leave now.
    pulled: bool,
}

/// What becomes of a message.
pub(super) enum Corked {
    /// It leaves as it is.
    Alone,
    /// It is kept.
    Held,
    /// It is the last piece of this, which may be too long.
    Whole(Vec<u8>),
}

impl Cork {
    /// A program has written a message.
    pub(super) fn take(&mut self, host: &Host, socket: SocketId, message: &[u8]) -> Corked {
        // What has all its headers leaves at once, as on Linux, and so do questions of ICMP.
        let (waits, corked) = match (host.body(socket), host.settings(socket)) {
            (Some(Body::Datagram(_) | Body::Unbound), Some(settings)) => (true, settings.advanced.is_on(Switch::CORK)),
            (Some(Body::Raw(_)), Some(Settings { raw: Some(raw), .. })) => {
                (raw.is_raw() && !raw.header_included, false)
            }
            _ => (false, false),
        };
        // What cannot be read is somebody else's to refuse.
        let Ok((header, control, payload)) = Header::split(message) else { return Corked::Alone };
        if header.kind != Kind::Data || !waits {
            return Corked::Alone;
        }
        let more = header.more || corked;
        match self.held.take() {
            None if !more || payload.len() > MOST => Corked::Alone,
            None => {
                let first = Header { more: false, ..header }.encode();
                self.held = Some(([&first[..], control, payload].concat(), payload.len()));
                Corked::Held
            }
            Some((mut held, len)) => {
                // The stack refuses what is too long, and keeps an error that says what would do. It need not see all of it.
                let most = if matches!(host.body(socket), Some(Body::Raw(_))) { MOST + 1 } else { MOST };
                held.extend_from_slice(&payload[..payload.len().min(most.saturating_sub(len))]);
                if !more || len + payload.len() > MOST {
                    // It is for the last piece that an answer is due.
                    if let Ok((first, ..)) = Header::split(&held) {
                        let first = Header { answer: header.answer, ..first }.encode();
                        held[..first.len()].copy_from_slice(&first);
                    }
                    return Corked::Whole(held);
                }
                self.held = Some((held, len + payload.len()));
                Corked::Held
            }
        }
    }

    /// To whom what is held is to go, where its first piece said so; `None`: nothing is held.
    pub(super) fn destination(&self) -> Option<Option<Address>> {
        let (held, _) = self.held.as_ref()?;
        Header::split(held).ok().map(|(header, ..)| header.remote)
    }

    /// What is held is to leave.
    pub(super) fn pull(&mut self) {
        self.pulled = true;
    }

    /// What is to leave because the cork was pulled.
    pub(super) fn pulled(&mut self) -> Option<Vec<u8>> {
        if std::mem::take(&mut self.pulled) { self.held.take().map(|(held, _)| held) } else { None }
    }
}
