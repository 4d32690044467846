//! Clients of the control socket: what they ask, and what they are told.

use std::os::fd::{AsFd, OwnedFd};

use sockeye_control::{Reply, Request, What};
use sockeye_socket::table::Key;
use sockeye_socket::{Errno, Privilege};

use super::Node;
use super::hear::Asked;
use crate::boundary::{Boundary, Context, Note};
use crate::end::Owner;
use crate::interfaces;
use crate::requests::{Answer, Call, Outcome};
use crate::resolve::{Question, Resolution};
use crate::server::Activity;
use crate::show;
use crate::trace::{describe, describe_outcome};

impl Node {
    /// Answers a question.
    pub(super) fn serve(&mut self, asked: Asked) {
        let Asked { key, who, message, truncated, descriptor } = asked;
        self.server.set_asking(key, false);
        let request = match Request::decode(&message) {
            Ok(request) if !truncated => request,
            wrong => {
                self.server.counters.requests_malformed += 1;
                let reason =
                    wrong.err().map_or_else(|| "too much in one message".to_owned(), |error| error.to_string());
                let reply = Reply::Error { errno: Errno::EPROTO.raw(), reason: &reason };
                self.server.reply(key, &reply, None, &self.poller);
                return self.dismiss(key);
            }
        };
        let privilege = self.privilege(who);
        let fine = match request {
            Request::Resolve { family, flags, name } => {
                let configured = flags & Request::RESOLVE_CONFIGURED != 0;
                self.ask(key, Question::Name { name: name.to_owned(), family, configured })
            }
            Request::ResolveAddress { address } => self.ask(key, Question::Address(address)),
            Request::Interfaces => {
                let outcome = interfaces::dump(self).map(|file| (Answer::Done, Some(file)));
                self.give(key, who, &request, outcome)
            }
            Request::InterfaceIoctl { family, command, argument } => {
                let outcome = interfaces::ioctl::perform(self, privilege, family, command, argument);
                self.give(key, who, &request, outcome.map(|value| (Answer::Value(value), None)))
            }
            Request::File { look, link, path } => {
                self.see_who_has_gone();
                let outcome = interfaces::open(self, who.pid, path, look, link).map(|file| (Answer::Done, Some(file)));
                self.give(key, who, &request, outcome)
            }
            Request::Board => self.server.give_board(key, &self.poller),
            Request::Show { what, json } => {
                if matches!(what, What::Sockets | What::Queues) {
                    self.see_who_has_gone();
                    let Node { boundary, host, poller, now, uid, .. } = self;
                    boundary.look_at_all(&mut Context { host, poller, now: *now, uid: *uid });
                }
                let text = show::render(self, what, json);
                self.server.reply_text(key, &text, true, &self.poller)
            }
            Request::Trace => {
                if self.server.clients.get(key).is_some_and(|client| client.activity == Activity::Idle) {
                    self.server.set_activity(key, Activity::Tracing, &self.poller);
                    self.tracer.add_listener();
                    self.boundary.notes.get_or_insert_default();
                }
                true
            }
            Request::Down if privilege == Privilege::Administrator => {
                self.stopping = true;
                self.server.reply(key, &Reply::Done, None, &self.poller)
            }
            Request::Down => {
                let reason = "only root and the user who started the node may stop it";
                let reply = Reply::Error { errno: Errno::EPERM.raw(), reason };
                self.server.reply(key, &reply, None, &self.poller)
            }
            request if self.is_netlink(&request) => {
                let outcome = self.serve_netlink(who, &request, descriptor);
                self.give(key, who, &request, outcome)
            }
            request => self.call(key, who, &request, descriptor),
        };
        if !fine {
            self.dismiss(key);
        }
    }

    /// What programs have closed before somebody asks is not shown any more.
    fn see_who_has_gone(&mut self) {
        let Node { boundary, host, poller, now, uid, .. } = self;
        boundary.pump(&mut Context { host, poller, now: *now, uid: *uid });
    }

    pub(crate) fn privilege(&self, who: Owner) -> Privilege {
        if who.uid == 0 || who.uid == self.uid { Privilege::Administrator } else { Privilege::User }
    }

    /// Does what a request about a socket asks for, or says.
    pub(super) fn perform(&mut self, who: Owner, request: &Request<'_>, descriptor: Option<OwnedFd>) -> Outcome {
        let privilege = self.privilege(who);
        let Node { boundary, host, poller, now, uid, tracer, .. } = self;
        let number = |boundary: &Boundary| request.id().and_then(|id| boundary.number(id));
        let line = tracer.is_on().then(|| describe(request, number(boundary)));
        let mut context = Context { host, poller, now: *now, uid: *uid };
        let outcome = Call { boundary, context: &mut context, who, privilege }.perform(request, descriptor);
        if let Some(line) = line {
            tracer.call(*now, who.pid, &line, &describe_outcome(&outcome, Some(boundary.last_number())));
        }
        outcome
    }

    /// Answers a question about a socket.
    fn call(&mut self, key: Key, who: Owner, request: &Request<'_>, descriptor: Option<OwnedFd>) -> bool {
        let outcome = self.perform(who, request, descriptor);
        self.reply(key, outcome)
    }

    /// Answers a question about interfaces, or of a netlink socket.
    fn give(&mut self, key: Key, who: Owner, request: &Request<'_>, outcome: Outcome) -> bool {
        if self.tracer.is_on() {
            let number = request.id().and_then(|id| self.boundary.number(id));
            let told = describe_outcome(&outcome, Some(self.boundary.last_number()));
            self.tracer.call(self.now, who.pid, &describe(request, number), &told);
        }
        self.reply(key, outcome)
    }

    fn reply(&mut self, key: Key, outcome: Outcome) -> bool {
        let Node { server, poller, .. } = self;
        match outcome {
            Ok((answer, theirs)) => {
                let reply = match &answer {
                    Answer::Done => Reply::Done,
                    Answer::InProgress => Reply::InProgress,
                    Answer::Address(address) => Reply::Address(*address),
                    Answer::Value(value) => Reply::Value(value),
                    Answer::Message(message) => Reply::Message(message),
                };
                server.reply(key, &reply, theirs.as_ref().map(AsFd::as_fd), poller)
            }
            Err(refusal) => {
                let reply = Reply::Error { errno: refusal.errno.raw(), reason: &refusal.reason };
                server.reply(key, &reply, None, poller)
            }
        }
    }

    fn ask(&mut self, key: Key, question: Question) -> bool {
        self.server.set_activity(key, Activity::Waiting, &self.poller);
        self.resolver.ask(&mut self.host, self.now, key, question);
        self.answer_names();
        true
    }

    /// Answers of the resolver to those who asked.
    pub(super) fn answer_names(&mut self) {
        while let Some((key, outcome)) = self.resolver.poll_done() {
            let Some(who) = self.server.clients.get(key).map(|client| client.who) else { continue };
            if self.tracer.is_on() {
                let (call, result) = match &outcome {
                    Ok(Resolution::Addresses { canonical, addresses }) => {
                        let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
                        (format!("getaddrinfo({canonical})"), addresses.join(", "))
                    }
                    Ok(Resolution::Name(name)) => ("getnameinfo()".to_owned(), name.clone()),
                    Err(unresolved) => ("getaddrinfo()".to_owned(), unresolved.reason.clone()),
                };
                self.tracer.call(self.now, who.pid, &call, &result);
            }
            let reply = match &outcome {
                Ok(Resolution::Addresses { canonical, addresses }) => {
                    Reply::Addresses { canonical, addresses: addresses.as_slice().into() }
                }
                Ok(Resolution::Name(name)) => Reply::Name(name),
                Err(unresolved) => Reply::Error { errno: unresolved.errno.raw(), reason: &unresolved.reason },
            };
            self.server.set_activity(key, Activity::Idle, &self.poller);
            if !self.server.reply(key, &reply, None, &self.poller) {
                self.dismiss(key);
            }
        }
    }

    /// What programs have done without asking, before what the stack sends because of it.
    pub(super) fn trace_notes(&mut self) {
        for Note { pid, call, outcome } in self.boundary.notes.iter_mut().flat_map(|notes| notes.drain(..)) {
            self.tracer.call(self.now, pid, &call, &outcome);
        }
    }

    pub(super) fn tell_trace(&mut self) {
        if !self.tracer.is_on() {
            return;
        }
        let text = self.tracer.take();
        if text.is_empty() {
            return;
        }
        let tracing = |client: &crate::server::Client| client.activity == Activity::Tracing;
        let listeners: Vec<Key> =
            self.server.clients.iter().filter(|(_, client)| tracing(client)).map(|(key, _)| key).collect();
        for key in listeners {
            if !self.server.reply_text(key, &text, false, &self.poller) {
                self.dismiss(key);
            }
        }
    }

    pub(super) fn dismiss(&mut self, key: Key) {
        self.close_board(key);
        if self.server.remove(key) == Some(Activity::Tracing) {
            self.tracer.remove_listener();
            if !self.tracer.is_on() {
                self.boundary.notes = None;
            }
        }
    }
}
