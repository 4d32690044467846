//! What clients say, and in which order it counts.
//!
//! A client sends statements, which nobody answers, and questions, one at a time. A statement is acted upon when it is read. A question
//! waits until everything has been read that was said before it was asked, by whomever: a program may have said it on another connection of its own, or
//! have told another process to ask. So after questions were read, epoll is asked once more without waiting. Whatever was said before is
//! ready by then, and is read; what is asked only now waits for the next time.
//!
//! What was said also comes before the data that programs wrote after it, as far as order matters: ends are pumped after all that was
//! said has been read. A late cork is a segment more. Two things must not happen: that a pulled cork holds back what was written before it
//! (pulling looks for data that epoll has not told of), and that the next cork does (a cork is put on after such data were read; see `requests`).

use std::os::fd::OwnedFd;
use std::time::Duration;

use sockeye_control::{MAX_CALL, Request};
use sockeye_socket::table::Key;

use super::Node;
use crate::end::Owner;
use crate::error::Error;
use crate::poller::Happened;

/// Statements of one client that are read in one go: more than its socket holds.
const STATEMENTS: usize = 512;
/// How often epoll is asked before questions are answered, if there is always more.
const LOOKS: usize = 64;

/// A question that was read.
pub(super) struct Asked {
    pub(super) key: Key,
    pub(super) who: Owner,
    pub(super) message: Box<[u8]>,
    pub(super) truncated: bool,
    pub(super) descriptor: Option<OwnedFd>,
}

impl Node {
    /// Reads what a client says, up to its next question. If there is more, epoll says so again.
    pub(super) fn hear(&mut self, key: Key) {
        let mut buffer = [0; MAX_CALL];
        for _ in 0..STATEMENTS {
            let received = match self.server.receive(key, &mut buffer) {
                Ok(Some(received)) => received,
                Ok(None) => return,
                Err(()) => return self.dismiss(key),
            };
            let Some(who) = self.server.clients.get(key).map(|client| client.who) else { return };
            let message = &buffer[..received.len];
            match Request::decode(message) {
                Ok(statement) if !statement.is_answered() && !received.truncated => {
                    if self.perform(who, &statement, received.descriptor).is_err() {
                        self.server.counters.statements_refused += 1;
                    }
                }
                _ => {
                    self.server.set_asking(key, true);
                    let (truncated, descriptor) = (received.truncated, received.descriptor);
                    return self.asked.push(Asked { key, who, message: message.into(), truncated, descriptor });
                }
            }
        }
    }

    /// Answers what was asked.
    pub(super) fn answer(&mut self, happened: &mut Happened) -> Result<(), Error> {
        if self.asked.is_empty() {
            return Ok(());
        }
        let asked = std::mem::take(&mut self.asked);
        for _ in 0..LOOKS {
            self.poller.wait(happened, Some(Duration::ZERO)).map_err(Error::system("waiting"))?;
            self.take_all(happened);
            if !happened.is_full() {
                break;
            }
        }
        asked.into_iter().for_each(|asked| self.serve(asked));
        Ok(())
    }
}
