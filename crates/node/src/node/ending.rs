//! The end of a node, in good order.

use std::time::Duration;

use sockeye_socket::table::Key;
use sockeye_stack::tcp::{State, Summary};

use super::Node;
use crate::boundary::Context;
use crate::end::End;
use crate::error::Error;
use crate::poller::{Happened, Token};

/// How long what was written may take to be delivered when the node ends.
const PATIENCE: Duration = Duration::from_secs(5);

impl Node {
    /// Ends in good order. What a program that has closed already had written is delivered, within a bounded time; a
    /// connection that a program still holds is reset, so that no peer waits for a host that is no more.
    pub(super) fn wind_down(mut self, happened: &mut Happened) -> Result<(), Error> {
        self.stopping = false;
        // Programs that have gone a moment ago: epoll knows it, and so shall we.
        self.poller.wait(happened, Some(Duration::ZERO)).map_err(Error::system("waiting"))?;
        self.take_while_ending(happened);
        self.reset(|end| !end.ready.hangup);
        let keys: Vec<Key> = self.boundary.ends.iter().map(|(key, _)| key).collect();
        keys.into_iter().for_each(|key| self.boundary.mark(key));
        let deadline = self.now + PATIENCE;
        loop {
            self.turn()?;
            if !self.has_orphans() || self.stopping || self.now >= deadline {
                break;
            }
            let timeout = self.timeout().unwrap_or(PATIENCE).min(deadline.since(self.now));
            self.poller.wait(happened, Some(timeout)).map_err(Error::system("waiting"))?;
            self.tick();
            self.take_while_ending(happened);
        }
        self.reset(|_| true);
        self.transmit()?;
        self.tell_trace();
        Ok(())
    }

    /// Only what lets the node end: nobody is served any more. A second signal, or a second `Down`, is the end.
    fn take_while_ending(&mut self, happened: &Happened) {
        for (token, flags) in (0..happened.len()).filter_map(|index| happened.at(index)) {
            match token {
                Token::Device(_) | Token::End(_) | Token::Signals => self.take(token, flags),
                Token::Server => self.server.deafen(&self.poller),
                Token::Client(key) => self.dismiss(key),
                Token::Netlink(key) => self.close_netlink(key),
            }
        }
    }

    /// Whether there is still something to deliver for programs that have gone.
    fn has_orphans(&self) -> bool {
        // One whose FIN waits behind what the peer has no room for is still in ESTABLISHED or CLOSE-WAIT.
        let delivered = |state| matches!(state, State::FinWait2 | State::TimeWait | State::Closed);
        let undelivered = |summary: &Summary| summary.orphan && !delivered(summary.state);
        !self.boundary.ends.is_empty() || self.host.stack().tcp_summaries(self.now).iter().any(undelivered)
    }

    fn reset(&mut self, which: impl Fn(&End) -> bool) {
        let keys: Vec<Key> = self.boundary.ends.iter().filter(|(_, end)| which(end)).map(|(key, _)| key).collect();
        let Node { boundary, host, poller, now, uid, .. } = self;
        let mut context = Context { host, poller, now: *now, uid: *uid };
        for key in keys {
            boundary.close(&mut context, key, true);
        }
    }
}
