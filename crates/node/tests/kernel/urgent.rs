//! Urgent data (MSG_OOB), both ways, and what a fresh stream says.

use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::PollFlags;
use rustix::net::{RecvFlags, SendFlags, recv, send, sockopt};
use sockeye_control::{Reply, Request};

use crate::fixture::{Fixture, KERNEL, Socket, address, pattern, wait};

/// A connection of the node's to the kernel: the program's end, and the kernel's.
fn connected(fixture: &Fixture) -> (Socket<'_>, TcpStream) {
    let listener = fixture.kernel.enter(|| TcpListener::bind(address(KERNEL, 0))).expect("inside").expect("bound");
    let remote = listener.local_addr().expect("an address");
    let socket = fixture.socket(1);
    socket.ask(Request::Connect { id: socket.id, address: Some(remote.into()) }, |reply| {
        assert_eq!(reply, Reply::InProgress)
    });
    assert_eq!(wait(&socket.fd, PollFlags::OUT), PollFlags::OUT);
    (socket, listener.accept().expect("accepted").0)
}

/// Reads until `count` bytes came or a read stops: at the mark.
fn read_up_to(fd: &impl AsFd, count: usize) -> Vec<u8> {
    let mut all = vec![0; count];
    let mut len = 0;
    while len < count {
        wait(fd, PollFlags::IN);
        len += recv(fd, &mut all[len..], RecvFlags::empty()).expect("received").0;
    }
    all
}

fn urgent_byte(fd: &impl AsFd) -> u8 {
    wait(fd, PollFlags::PRI);
    let mut byte = [0];
    assert_eq!(recv(fd, &mut byte, RecvFlags::OOB).expect("urgent").0, 1);
    byte[0]
}

#[test]
fn an_urgent_byte_from_the_peer_is_urgent_to_the_program() {
    let Some(mut fixture) = Fixture::new("urgent-in") else { return };
    let (socket, peer) = connected(&fixture);
    let before = pattern(300_000);
    for round in 0..3u8 {
        // Some before it, it, some after it.
        let writer = std::thread::spawn({
            let (peer, before) = (peer.try_clone().expect("a clone"), before.clone());
            move || {
                let mut at = 0;
                while at < before.len() {
                    at += send(&peer, &before[at..], SendFlags::empty()).expect("sent");
                }
                send(&peer, &[b'!' + round], SendFlags::OOB).expect("sent");
                send(&peer, b"after", SendFlags::empty()).expect("sent");
            }
        });
        assert!(read_up_to(&socket.fd, before.len()) == before);
        assert_eq!(urgent_byte(&socket.fd), b'!' + round);
        assert_eq!(read_up_to(&socket.fd, 5), b"after");
        writer.join().expect("written");
    }
    // In line, it has its place among the others.
    sockopt::set_socket_oobinline(&socket.fd, true).expect("set");
    let on = 1i32.to_ne_bytes();
    socket.done(Request::SetOption { id: socket.id, level: 1, name: 10, value: &on });
    send(&peer, b"ab", SendFlags::empty()).expect("sent");
    send(&peer, b"!", SendFlags::OOB).expect("sent");
    send(&peer, b"cd", SendFlags::empty()).expect("sent");
    wait(&socket.fd, PollFlags::PRI);
    assert_eq!(read_up_to(&socket.fd, 5), b"ab!cd");
    drop(socket);
    fixture.stop();
}

#[test]
fn an_urgent_byte_from_the_program_is_urgent_to_the_peer() {
    let Some(mut fixture) = Fixture::new("urgent-out") else { return };
    let (socket, peer) = connected(&fixture);
    let (before, after) = (pattern(50_000), pattern(20_000));
    for round in 0..3u8 {
        for part in before.chunks(10_000) {
            assert_eq!(send(&socket.fd, part, SendFlags::empty()), Ok(part.len()));
        }
        socket.done(Request::Flush { id: socket.id });
        send(&socket.fd, &[b'!' + round], SendFlags::OOB).expect("sent");
        assert_eq!(send(&socket.fd, &after, SendFlags::empty()), Ok(after.len()));
        assert!(read_up_to(&peer, before.len()) == before, "round {round}: what stood before");
        assert_eq!(urgent_byte(&peer), b'!' + round);
        assert!(read_up_to(&peer, after.len()) == after, "round {round}: what stood after");
    }
    drop(socket);
    fixture.stop();
}

#[test]
fn a_fresh_stream_polls_readable_and_loses_nothing_to_it() {
    let Some(mut fixture) = Fixture::new("fresh") else { return };
    let socket = fixture.socket(1);
    assert_eq!(wait(&socket.fd, PollFlags::IN | PollFlags::OUT), PollFlags::IN | PollFlags::OUT);
    let (socket, peer) = connected(&fixture);
    let nothing = recv(&socket.fd, &mut [0; 8], RecvFlags::DONTWAIT);
    assert_eq!(nothing.err(), Some(rustix::io::Errno::AGAIN));
    send(&peer, b"first", SendFlags::empty()).expect("sent");
    assert_eq!(read_up_to(&socket.fd, 5), b"first");
    let fd: OwnedFd = socket.fd;
    drop(fd);
    fixture.stop();
}
