//! Hosts in one thread: one that talks to itself, where calls may wait, and two on a wire in memory, where they may not.

use std::io::{ErrorKind, IoSlice, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr};
use std::time::{Duration, Instant};

use sockeye_device::memory;
use sockeye_socket::Errno;

use super::*;

/// How long a test may wait for what never comes.
const PATIENCE: Duration = Duration::from_secs(60);
const PORT: u16 = 7;

fn alone() -> Host {
    Host::on(Vec::new(), &[]).expect("needs nothing")
}

fn here(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// Both ends of a connection of a host to itself.
fn ends(host: &Host) -> (TcpStream, TcpStream) {
    let listener = host.listen(here(0)).unwrap();
    let near = host.connect(listener.local_addr().unwrap()).unwrap();
    let (far, peer) = listener.accept().unwrap();
    assert_eq!((peer, far.peer_addr().unwrap()), (near.local_addr().unwrap(), peer));
    (near, far)
}

fn errno<T>(result: io::Result<T>) -> Option<i32> {
    result.err().and_then(|error| error.raw_os_error())
}

fn two() -> (Host, Host) {
    let (left, right) = memory::pair();
    let host = |device, address: &str| {
        let devices: Vec<(Box<dyn Device>, _)> = vec![(Box::new(device), vec![address.parse().unwrap()])];
        Host::on(devices, &[]).unwrap()
    };
    (host(left, "10.0.0.1/24"), host(right, "10.0.0.2/24"))
}

/// Keeps both hosts going until `done` has its answer.
fn until<T>(hosts: [&Host; 2], mut done: impl FnMut(&[Event]) -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    let (mut events, mut all) = (Vec::new(), Vec::new());
    loop {
        all.clear();
        for host in hosts {
            host.poll(&mut events, Some(Duration::ZERO)).unwrap();
            all.append(&mut events);
        }
        if let Some(answer) = done(&all) {
            return answer;
        }
        assert!(Instant::now() < end, "in vain waited");
    }
}

#[test]
fn a_question_and_its_answer() {
    let host = alone();
    let (mut near, mut far) = ends(&host);
    near.write_all(b"question").unwrap();
    let mut heard = [0; 8];
    far.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"question");
    assert_eq!(far.write_vectored(&[IoSlice::new(b"ans"), IoSlice::new(b"wer")]).unwrap(), 6);
    far.shutdown(Shutdown::Write).unwrap();
    let mut answer = String::new();
    near.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "answer");
    near.write_all(b"after your end").unwrap();
    assert_eq!(far.read(&mut [0; 32]).unwrap(), 14);
    drop(near);
    assert_eq!(far.read(&mut heard).unwrap(), 0);
}

#[test]
fn what_has_to_wait_for_nobody_is_told_so() {
    let host = alone();
    let (mut near, far) = ends(&host);
    assert_eq!(near.read(&mut [0]).unwrap_err().kind(), ErrorKind::Deadlock);
    near.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
    assert_eq!(near.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
    assert_eq!(near.read_timeout().unwrap(), Some(Duration::from_millis(1)));
    near.set_read_timeout(None).unwrap();
    near.set_nonblocking(true).unwrap();
    assert_eq!(near.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
    assert_eq!(errno(near.set_write_timeout(Some(Duration::ZERO))), Some(Errno::EINVAL.raw()));
    assert_eq!(host.poll(&mut Vec::new(), Some(Duration::from_millis(1))).map_err(|error| error.kind()), Ok(()));
    drop(far);
}

#[test]
fn errors_are_those_of_linux() {
    let host = alone();
    assert_eq!(errno(host.connect(here(PORT))), Some(Errno::ECONNREFUSED.raw()));
    assert_eq!(errno(host.connect(([192, 0, 2, 1], PORT))), Some(Errno::ENETUNREACH.raw()));
    assert_eq!(errno(host.listen(([192, 0, 2, 1], PORT))), Some(Errno::EADDRNOTAVAIL.raw()));
    let listener = host.listen(here(PORT)).unwrap();
    assert_eq!(errno(host.listen(here(PORT))), Some(Errno::EADDRINUSE.raw()));
    drop(listener);
    let (mut near, far) = ends(&host);
    near.write_all(b"never read").unwrap();
    drop(far);
    assert_eq!(errno(near.read(&mut [0])), Some(Errno::ECONNRESET.raw()));
    assert_eq!(errno(near.write(b"again")), Some(Errno::EPIPE.raw()));
    let refused = host.start_connect(here(PORT)).unwrap();
    assert_eq!(errno((&refused).read(&mut [0])), Some(Errno::ECONNREFUSED.raw()));
}

#[test]
fn shutting_reading_ends_it() {
    let host = alone();
    let (mut near, mut far) = ends(&host);
    far.write_all(b"left").unwrap();
    near.shutdown(Shutdown::Read).unwrap();
    let mut rest = Vec::new();
    near.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, b"left");
}

#[test]
fn bytes_can_stay_where_they_are() {
    let host = alone();
    let (near, far) = ends(&host);
    let written = near.write_in_place(5, |[first, second]| {
        for (place, byte) in first.iter_mut().chain(second).zip(b"bytes") {
            *place = *byte;
        }
        5
    });
    assert_eq!(written.unwrap(), 5);
    let mut heard = Vec::new();
    let read = far.read_in_place(|slices| {
        slices.iter().for_each(|slice| heard.extend_from_slice(slice));
        3
    });
    assert_eq!((read.unwrap(), heard.as_slice()), (3, &b"bytes"[..]));
    let mut rest = [0; 2];
    (&far).read_exact(&mut rest).unwrap();
    assert_eq!(&rest, b"es");
    drop(near);
    assert_eq!(far.read_in_place(|_| panic!("nothing is left")).unwrap(), 0);
}

#[test]
fn options_are_set_and_told() {
    let host = alone();
    let (near, _far) = ends(&host);
    assert!(!near.nodelay().unwrap());
    near.set_nodelay(true).unwrap();
    near.set_ttl(3).unwrap();
    assert!(near.nodelay().unwrap());
    assert_eq!(errno(near.set_ttl(256)), Some(Errno::EINVAL.raw()));
}

#[test]
fn datagrams_go_both_ways() {
    let host = alone();
    let (near, far) = (host.udp(here(0)).unwrap(), host.udp(here(0)).unwrap());
    near.send_to(b"there", far.local_addr().unwrap()).unwrap();
    let mut bytes = [0; 16];
    let (count, from) = far.recv_from(&mut bytes).unwrap();
    assert_eq!((&bytes[..count], from), (&b"there"[..], near.local_addr().unwrap()));
    assert_eq!(errno(far.send(b"nobody")), Some(Errno::EDESTADDRREQ.raw()));
    far.connect(from).unwrap();
    far.send(b"back").unwrap();
    assert_eq!(near.recv(&mut bytes).unwrap(), 4);
    drop(near);
    far.send(b"anybody").unwrap();
    assert_eq!(errno(far.recv(&mut bytes)), Some(Errno::ECONNREFUSED.raw()));
}

#[test]
fn a_socket_is_named_when_something_has_happened_to_it() {
    let host = alone();
    let mut events = Vec::new();
    let listener = host.listen(here(PORT)).unwrap();
    let mut near = host.connect(here(PORT)).unwrap();
    host.poll(&mut events, Some(Duration::ZERO)).unwrap();
    let named = |id| events.iter().filter(|event| event.id == id).count();
    assert_eq!((named(listener.id()), named(near.id())), (1, 1));
    let (far, _) = listener.accept().unwrap();
    host.poll(&mut events, Some(Duration::ZERO)).unwrap();
    near.write_all(b"news").unwrap();
    host.poll(&mut events, Some(Duration::ZERO)).unwrap();
    let [event] = events.iter().filter(|event| event.id == far.id()).collect::<Vec<_>>()[..] else { panic!("once") };
    assert!(event.is_readable() && event.is_writable());
    host.poll(&mut events, Some(Duration::ZERO)).unwrap();
    assert_eq!(events, []);
    near.write_all(b"more").unwrap();
    drop((near, far));
    host.poll(&mut events, Some(Duration::ZERO)).unwrap();
    assert_eq!(events, [], "what is closed is not named");
}

#[test]
fn two_hosts_move_bytes_both_ways() {
    const LENGTH: usize = 4 << 20;
    let (left, right) = two();
    let listener = right.listen(([10, 0, 0, 2], PORT)).unwrap();
    listener.set_nonblocking(true).unwrap();
    let near = left.start_connect(([10, 0, 0, 2], PORT)).unwrap();
    let far = until([&left, &right], |_| listener.accept().ok()).0;
    far.set_nonblocking(true).unwrap();

    let pattern: Vec<u8> = (0..LENGTH).map(|index| ((index / 7) ^ (index >> 11)) as u8).collect();
    let mut sides = [(&near, 0, Vec::new()), (&far, 0, Vec::new())];
    until([&left, &right], |_| {
        for (stream, sent, heard) in &mut sides {
            match (&mut &**stream).write(&pattern[*sent..]) {
                Ok(count) => *sent += count,
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
            let mut buffer = [0; 10_000];
            match (&mut &**stream).read(&mut buffer) {
                Ok(count) => heard.extend_from_slice(&buffer[..count]),
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
        }
        sides.iter().all(|(_, _, heard)| heard.len() >= LENGTH).then_some(())
    });
    for (_, _, heard) in sides {
        assert!(heard == pattern);
    }
    drop(near);
    until([&left, &right], |events| events.iter().any(|event| event.id == far.id()).then_some(()));
    assert_eq!((&far).read(&mut [0]).unwrap(), 0);
}

#[test]
fn what_was_written_before_the_end_is_delivered() {
    let (left, right) = two();
    let listener = right.listen(([10, 0, 0, 2], PORT)).unwrap();
    listener.set_nonblocking(true).unwrap();
    let mut near = left.start_connect(([10, 0, 0, 2], PORT)).unwrap();
    let mut far = until([&left, &right], |_| listener.accept().ok()).0;
    // More than leaves at once: the end of it is behind what is still to be sent.
    near.write_all(&[7; 200_000]).unwrap();
    drop(near);
    assert!(!left.finish(Duration::from_millis(1)).unwrap(), "nobody has acknowledged anything");
    until([&left, &right], |_| left.finish(Duration::from_nanos(1)).unwrap().then_some(()));
    let mut heard = Vec::new();
    far.read_to_end(&mut heard).unwrap();
    assert_eq!(heard, [7; 200_000]);
}

#[test]
fn a_gateway_must_be_on_a_link() {
    let (device, _far) = memory::pair();
    let addresses = vec!["10.0.0.1/24".parse().unwrap()];
    let gateways = [IpAddr::from([10, 0, 1, 1])];
    let error = Host::on(vec![(Box::new(device), addresses)], &gateways).err().expect("is on none");
    assert!(error.to_string().contains("10.0.1.1"), "{error}");
}
