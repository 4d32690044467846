//! Streams, listeners and datagrams, and what may not be touched.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use rustix::event::PollFlags;
use rustix::net::SendFlags;
use sockeye_control::datagram::{Header, Kind};
use sockeye_control::{Accepted, Reply, Request, What, credit};

use crate::fixture::{Fixture, KERNEL, NODE, address, pattern, receive, wait};

#[test]
fn a_client_connects_and_both_directions_end_in_order() {
    let Some(mut fixture) = Fixture::new("client") else { return };
    let listener = fixture.kernel.enter(|| TcpListener::bind(address(KERNEL, 0))).expect("inside").expect("bound");
    let remote = listener.local_addr().expect("an address");
    let sent = pattern(3_000_000);
    let echo = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("accepted");
        let mut all = Vec::new();
        stream.read_to_end(&mut all).expect("read");
        stream.write_all(&all).expect("written");
    });
    let socket = fixture.socket(1);
    socket.ask(Request::Connect { id: socket.id, address: Some(remote.into()) }, |reply| {
        assert_eq!(reply, Reply::InProgress)
    });
    assert_eq!(wait(&socket.fd, PollFlags::OUT), PollFlags::OUT);
    assert_eq!(socket.error(), 0);
    socket.ask(Request::PeerAddress { id: socket.id }, |reply| assert_eq!(reply, Reply::Address(remote.into())));
    let mut stream = socket.into_stream();
    let writer = std::thread::spawn({
        let (mut stream, sent) = (stream.try_clone().expect("a clone"), sent.clone());
        move || {
            stream.write_all(&sent).expect("written");
            stream.shutdown(std::net::Shutdown::Write).expect("shut down");
        }
    });
    let mut back = Vec::new();
    stream.read_to_end(&mut back).expect("read");
    assert!(back == sent, "{} of {} bytes came back, or other ones", back.len(), sent.len());
    writer.join().expect("written");
    echo.join().expect("echoed");
    fixture.stop();
}

#[test]
fn a_refused_connect_polls_an_error_that_so_error_tells_once() {
    let Some(mut fixture) = Fixture::new("refused") else { return };
    let socket = fixture.socket(1);
    let nobody = address(KERNEL, 9);
    socket.ask(Request::Connect { id: socket.id, address: Some(nobody.into()) }, |reply| {
        assert_eq!(reply, Reply::InProgress)
    });
    let happened = wait(&socket.fd, PollFlags::OUT);
    assert!(happened.contains(PollFlags::ERR | PollFlags::HUP), "{happened:?}");
    assert_eq!((socket.error(), socket.error()), (111, 0));
    // The same socket may connect once more, on a new pair.
    let listener = fixture.kernel.enter(|| TcpListener::bind(address(KERNEL, 0))).expect("inside").expect("bound");
    let remote = listener.local_addr().expect("an address");
    let again = Request::Connect { id: socket.id, address: Some(remote.into()) };
    let fd = fixture.ask(&again, Some(socket.fd.as_fd()), |reply, descriptor| {
        assert_eq!(reply, Reply::InProgress);
        descriptor.expect("a new end")
    });
    assert_eq!(wait(&fd, PollFlags::OUT), PollFlags::OUT);
    drop(socket);
    fixture.stop();
}

#[test]
fn a_listener_hands_connections_over_and_takes_credits() {
    let Some(mut fixture) = Fixture::new("listener") else { return };
    let socket = fixture.socket(1);
    socket.done(Request::Bind { id: socket.id, address: address("0.0.0.0", 7777).into() });
    // A backlog of one: the window is one, so that each connection after the first waits for a credit.
    socket.done(Request::Listen { id: socket.id, backlog: 1 });
    for round in 0..5u8 {
        let mut client =
            fixture.kernel.enter(|| TcpStream::connect(address(NODE, 7777))).expect("inside").expect("connected");
        let mut message = [0; Accepted::LEN];
        let (len, descriptor) = receive(&socket.fd, &mut message);
        let accepted = Accepted::decode(&message[..len]).expect("an accepted connection");
        assert_eq!(accepted.local, address(NODE, 7777));
        assert_eq!(accepted.remote, client.local_addr().expect("an address"));
        rustix::io::write(&socket.fd, &[credit::TAKEN]).expect("credited");
        let mut stream = UnixStream::from(descriptor.expect("a descriptor"));
        client.write_all(&[round]).expect("written");
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("read");
        assert_eq!(byte, [round]);
        if round % 2 == 0 {
            // In good order: the peer reads the end.
            drop(stream);
            assert_eq!(client.read(&mut byte).expect("the end"), 0);
        } else {
            // With data unread: the peer reads a reset.
            client.write_all(b"unread").expect("written");
            wait(&stream, PollFlags::IN);
            drop(stream);
            assert_eq!(client.read(&mut byte).expect_err("reset").kind(), std::io::ErrorKind::ConnectionReset);
        }
    }
    drop(socket);
    fixture.stop();
}

#[test]
fn datagrams_carry_addresses_and_errors_come_back() {
    let Some(mut fixture) = Fixture::new("datagram") else { return };
    let peer = fixture.kernel.enter(|| UdpSocket::bind(address(KERNEL, 0))).expect("inside").expect("bound");
    let remote = peer.local_addr().expect("an address");
    let socket = fixture.socket(2);
    socket.done(Request::Bind { id: socket.id, address: address("0.0.0.0", 5353).into() });
    for payload in [&b""[..], b"hello", &pattern(20_000)] {
        let message = [&Header::data(Some(remote.into())).encode()[..], payload].concat();
        rustix::net::send(&socket.fd, &message, SendFlags::empty()).expect("sent");
        let mut buffer = vec![0; 65_536];
        let (len, from) = peer.recv_from(&mut buffer).expect("received");
        assert_eq!((&buffer[..len], from), (payload, address(NODE, 5353)));
        peer.send_to(payload, from).expect("sent");
        let (len, _) = receive(&socket.fd, &mut buffer);
        let (header, control, data) = Header::split_received(&buffer[..len]).expect("a datagram");
        assert_eq!((header.remote, control, data), (Some(remote.into()), &b""[..], payload));
    }
    // No such route: the program is told.
    let nowhere = address("192.0.2.1", 9);
    rustix::net::send(&socket.fd, &Header::data(Some(nowhere.into())).encode(), SendFlags::empty()).expect("sent");
    let mut buffer = [0; 256];
    let (len, _) = receive(&socket.fd, &mut buffer);
    let (header, _) = Header::decode(&buffer[..len]).expect("an error");
    assert_eq!((header.kind, header.remote), (Kind::Error(101), Some(nowhere.into())));
    drop(socket);
    fixture.stop();
}

#[test]
fn a_program_cannot_touch_a_socket_that_it_does_not_hold() {
    let Some(mut fixture) = Fixture::new("foreign") else { return };
    let (mine, other) = (fixture.socket(1), fixture.socket(1));
    let steal = Request::Bind { id: other.id, address: address("0.0.0.0", 4000).into() };
    let refused = |reply: Reply<'_>, errno| {
        assert!(matches!(reply, Reply::Error { errno: was, .. } if was == errno), "{reply:?}")
    };
    fixture.ask(&steal, Some(mine.fd.as_fd()), |reply, _| refused(reply, 1));
    fixture.ask(&steal, None, |reply, _| refused(reply, 9));
    // Garbage is answered, and let go; the node serves on.
    let socket = fixture.connect();
    rustix::net::send(&socket, b"garbage", SendFlags::empty()).expect("sent");
    let mut buffer = [0; 1024];
    let (len, _) = receive(&socket, &mut buffer);
    refused(Reply::decode(&buffer[..len]).expect("a reply"), 71);
    assert_eq!(receive(&socket, &mut buffer).0, 0);
    other.done(steal);
    let shown = fixture.ask(&Request::Show { what: What::Counters, json: true }, None, |reply, _| match reply {
        Reply::Text { last: true, text } => text.to_owned(),
        other => panic!("{other:?}"),
    });
    assert!(shown.contains("\"requests_malformed\": 1"), "{shown}");
    drop((mine, other));
    fixture.stop();
}
