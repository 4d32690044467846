//! What programs leave behind when they go, however they go: nothing.

use std::net::{TcpListener, UdpSocket};

use rustix::event::PollFlags;
use rustix::net::{SendFlags, send};
use sockeye_control::datagram::Header;
use sockeye_control::{Reply, Request, What};

use crate::fixture::{Fixture, KERNEL, address, wait};

#[test]
fn a_thousand_sockets_leave_nothing() {
    let Some(mut fixture) = Fixture::new("leaks") else { return };
    let listener = fixture.kernel.enter(|| TcpListener::bind(address(KERNEL, 0))).expect("inside").expect("bound");
    let datagrams = fixture.kernel.enter(|| UdpSocket::bind(address(KERNEL, 0))).expect("inside").expect("bound");
    let (remote, nobody) = (listener.local_addr().expect("an address"), address(KERNEL, 9));
    for round in 0..1_000u32 {
        let socket = fixture.socket(if round % 8 == 7 { 2 } else { 1 });
        let connect = |address| {
            let started = |reply: Reply<'_>| assert_eq!(reply, Reply::InProgress);
            socket.ask(Request::Connect { id: socket.id, address: Some(address) }, started);
        };
        match round % 8 {
            // Never used; bound; listening; let go in the making; refused, and not asked about.
            0 => {}
            1 => socket.done(Request::Bind { id: socket.id, address: address("0.0.0.0", 4_444).into() }),
            2 => {
                socket.done(Request::Bind { id: socket.id, address: address("0.0.0.0", 4_445).into() });
                socket.done(Request::Listen { id: socket.id, backlog: 8 });
            }
            3 => connect(nobody.into()),
            4 => {
                connect(nobody.into());
                wait(&socket.fd, PollFlags::OUT);
            }
            // Connected and closed by us; by the peer first, with something unread.
            5 => {
                connect(remote.into());
                wait(&socket.fd, PollFlags::OUT);
                let (peer, _) = listener.accept().expect("accepted");
                drop(socket);
                drop(peer);
            }
            6 => {
                connect(remote.into());
                wait(&socket.fd, PollFlags::OUT);
                let (peer, _) = listener.accept().expect("accepted");
                send(&peer, b"unread", SendFlags::empty()).expect("sent");
                drop(peer);
                wait(&socket.fd, PollFlags::IN);
            }
            _ => {
                let to = Header::data(Some(datagrams.local_addr().expect("an address").into()));
                send(&socket.fd, &to.encode(), SendFlags::empty()).expect("sent");
            }
        }
    }
    // Each question gives the node a turn to see who has gone; how many it needs is bounded.
    let left = (0..1_000).map(|_| fixture.ends()).find(|&ends| ends == 0);
    assert_eq!(left, Some(0), "{}", fixture.show(What::Queues));
    fixture.stop();
}
