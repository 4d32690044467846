//! What clients say, and in which order it counts.
//!
//! A client sends statements, which nobody answers, and questions, one at a time. A statement is acted upon when it is read. A question
//! waits until everything has been read that was said before it was asked, by whomever: a program may have said it on another connection of its own, or
//! have told another process to ask. So after questions were read, epoll is asked once more without waiting, and the boards are read. Whatever was said
//! before is there by then; what is asked only now waits for the next time.
//!
//! What was said also comes before the data that programs wrote after it, as far as order matters: ends are pumped after all that was
//! said has been read. A late cork is a segment more. Two things must not happen: that a pulled cork holds back what was written before it
//! (pulling looks for data that epoll has not told of), and that the next cork does (a cork is put on after such data were read; see `requests`).
//!
//! A client that says much has a board. What stands there and what came by message counts in the order in which it was said: the board is read before
//! each message, and up to what was said after a message that has not come yet.

use std::os::fd::OwnedFd;
use std::time::Duration;

use sockeye_control::{MAX_CALL, Request};
use sockeye_socket::table::Key;

use super::Node;
use crate::boundary::Context;
use crate::end::Owner;
use crate::error::Error;
use crate::poller::Happened;
use crate::requests::Call;
use crate::trace::describe;

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

/// How reading a board went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Board {
    Read,
    /// A message comes first.
    After,
    /// It lies.
    Wrong,
}

impl Node {
    /// Reads what a client says, up to its next question. If there is more, epoll says so again.
    pub(super) fn hear(&mut self, key: Key) {
        let mut buffer = [0; MAX_CALL];
        for _ in 0..STATEMENTS {
            if self.read_board(key) == Board::Wrong {
                return self.dismiss(key);
            }
            let received = match self.server.receive(key, &mut buffer) {
                Ok(Some(received)) => received,
                Ok(None) => return,
                Err(()) => return self.dismiss(key),
            };
            let Some(who) = self.server.clients.get(key).map(|client| client.who) else { return };
            let message = &buffer[..received.len];
            match Request::decode(message) {
                Ok(Request::Ring) if !received.truncated => {}
                Ok(Request::Admit) if !received.truncated => {
                    let admitted = received.descriptor.and_then(|end| self.server.admit(key, who, &end, &self.poller));
                    self.server.counters.statements_refused += u64::from(admitted.is_none());
                }
                Ok(statement) if !statement.is_answered() && !received.truncated => {
                    self.act(key, who, &statement, received.descriptor);
                }
                _ => {
                    self.server.set_asking(key, true);
                    let (truncated, descriptor) = (received.truncated, received.descriptor);
                    return self.asked.push(Asked { key, who, message: message.into(), truncated, descriptor });
                }
            }
        }
    }

    /// Does what a message says. Its socket was shown by it.
    fn act(&mut self, key: Key, who: Owner, statement: &Request<'_>, descriptor: Option<OwnedFd>) {
        let done = self.perform(who, statement, descriptor).is_ok();
        let Node { server, boundary, .. } = self;
        server.counters.statements_refused += u64::from(!done);
        if let Some(board) = server.clients.get_mut(key).and_then(|client| client.board.as_mut()) {
            board.heard += 1;
            if let Some(id) = statement.id().filter(|_| done) {
                board.show(id, |id| boundary.knows(id));
            }
        }
    }

    /// Reads all boards.
    pub(super) fn read_boards(&mut self) {
        for at in (0..self.server.boards.len()).rev() {
            let Some(&key) = self.server.boards.get(at) else { continue };
            match self.read_board(key) {
                Board::Read => {}
                Board::After => {
                    self.hear(key);
                    // A message that was said to be there is not.
                    if self.read_board(key) == Board::After {
                        self.dismiss(key);
                    }
                }
                Board::Wrong => self.dismiss(key),
            }
        }
    }

    /// Reads a client's board, up to where a message comes first.
    fn read_board(&mut self, key: Key) -> Board {
        let Some(client) = self.server.clients.get(key) else { return Board::Read };
        let Some(board) = &client.board else { return Board::Read };
        let Some(waiting) = board.waiting() else { return Board::Wrong };
        let who = client.who;
        for _ in 0..waiting {
            let Some(board) = self.server.clients.get_mut(key).and_then(|client| client.board.as_mut()) else { break };
            let notice = board.peek();
            if notice.after > board.heard {
                return Board::After;
            }
            board.advance();
            let shown = board.has_shown(notice.id);
            let mut value = [0; 4];
            let told = notice.request(&mut value).filter(|_| shown).is_some_and(|request| self.told(who, &request));
            self.server.counters.statements += 1;
            self.server.counters.statements_refused += u64::from(!told);
        }
        Board::Read
    }

    /// Does what is said of a socket that its program has shown before.
    fn told(&mut self, who: Owner, request: &Request<'_>) -> bool {
        let privilege = self.privilege(who);
        let Node { boundary, host, poller, now, uid, tracer, .. } = self;
        let number = request.id().and_then(|id| boundary.number(id));
        let mut context = Context { host, poller, now: *now, uid: *uid };
        let told = Call { boundary, context: &mut context, who, privilege }.told(request);
        if tracer.is_on() {
            let outcome = told.as_ref().map_or_else(|refusal| refusal.errno.to_string(), |()| "0".to_owned());
            tracer.call(*now, who.pid, &describe(request, number), &outcome);
        }
        told.is_ok()
    }

    /// Reads a client's board for the last time.
    pub(super) fn close_board(&mut self, key: Key) {
        if let Some(board) = self.server.clients.get(key).and_then(|client| client.board.as_ref()) {
            board.board().close();
            self.read_board(key);
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
