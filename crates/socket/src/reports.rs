//! What ended the connections that a stream tried to make, message by message (`MSG_ERRQUEUE`).
//!
//! Datagram sockets have their queue in the stack, since they go on. A connection in the making ends with the first message, so that its queue
//! is the socket's, which may try again. As on Linux, whoever takes the last message takes the pending error with it.

use sockeye_stack::errors::Reported;

use crate::errno::Errno;
use crate::names::*;
use crate::settings::Settings;

/// Failed attempts that a program may leave unasked.
const MOST: usize = 64;

/// Messages about one stream, the oldest first.
#[derive(Clone, Debug, Default)]
pub struct Reports(Vec<Reported>);

impl Reports {
    /// Keeps one, if the program has not left too many.
    pub(crate) fn push(&mut self, reported: Reported) {
        if self.0.len() < MOST {
            self.0.push(reported);
        }
    }

    /// What keeping them costs, in bytes.
    pub(crate) fn memory(&self) -> usize {
        self.0.iter().map(|reported| size_of::<Reported>() + reported.data.len()).sum()
    }

    /// The oldest; the socket's `error` becomes that of the next.
    pub fn take(&mut self, error: &mut Option<Errno>) -> Option<Reported> {
        let oldest = (!self.0.is_empty()).then(|| self.0.remove(0))?;
        *error = self.0.first().map(|next| next.cause.into());
        Some(oldest)
    }

    /// An option was set: whoever wants to hear of errors no more, wants none of these.
    pub fn heed(&mut self, settings: &Settings, level: i32, name: i32) {
        let concerned = matches!((level, name), (IPPROTO_IP, IP_RECVERR) | (IPPROTO_IPV6, IPV6_RECVERR));
        if concerned && !settings.receives_errors() {
            self.0.clear();
        }
    }
}
