//! The library in a program, against a server behind an interface: plain blocking calls, as the `traffic` program makes them
//! on the kernel.

use sockeye::host::{Config, Host, TcpStream};
use sockeye_wire::IpPrefix;
use sockeye_workload::{Interface, Latency, Load, Outcome, Result, Unit};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, SocketAddrV4};
use std::time::{Duration, Instant};

/// What is written and read at a time.
const CHUNK: usize = 128 * 1024;
/// What is said on a connection that is only opened and closed.
const MESSAGE: usize = 64;
/// For how long nothing may happen.
const PATIENCE: Duration = Duration::from_secs(10);

/// Puts a load on a host.
pub(crate) fn run(interface: &Interface, load: Load, peer: SocketAddrV4, duration: Duration) -> Result<Outcome> {
    let address = IpPrefix::new(interface.address.into(), interface.prefix)?;
    let host = Host::open(Config::new(&interface.name).address(address))?;
    let peer = SocketAddr::V4(peer);
    match load {
        Load::Send { flows: 1 } => send(&mut open(&host, peer)?, duration),
        Load::Receive { flows: 1 } => receive(&mut open(&host, peer)?, duration),
        Load::Send { flows } => many(&host, peer, duration, flows, |stream| stream.write(&[0x5a; CHUNK])),
        Load::Receive { flows } => {
            let mut sink = vec![0; CHUNK];
            many(&host, peer, duration, flows, move |stream| stream.read(&mut sink))
        }
        Load::Request { size } => request(&mut open(&host, peer)?, size, duration),
        Load::Connect => connect(&host, peer, duration),
    }
}

fn open(host: &Host, peer: SocketAddr) -> Result<TcpStream> {
    let stream = host.connect(peer)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

fn send(stream: &mut TcpStream, duration: Duration) -> Result<Outcome> {
    let source = vec![0x5a; CHUNK];
    let (mut count, start) = (0, Instant::now());
    while start.elapsed() < duration {
        count += stream.write(&source)? as u64;
    }
    Ok(Outcome { unit: Unit::Bytes, count, time: start.elapsed(), latency: None })
}

fn receive(stream: &mut TcpStream, duration: Duration) -> Result<Outcome> {
    let mut sink = vec![0; CHUNK];
    let (mut count, start) = (0, Instant::now());
    while start.elapsed() < duration {
        match stream.read(&mut sink)? {
            0 => return Err("the peer has ended the stream".into()),
            read => count += read as u64,
        }
    }
    Ok(Outcome { unit: Unit::Bytes, count, time: start.elapsed(), latency: None })
}

/// Several streams in one thread: whichever can go on goes on, until it would wait.
fn many(
    host: &Host,
    peer: SocketAddr,
    duration: Duration,
    flows: usize,
    mut step: impl FnMut(&mut TcpStream) -> std::io::Result<usize>,
) -> Result<Outcome> {
    let mut streams = (0..flows).map(|_| open(host, peer)).collect::<Result<Vec<_>>>()?;
    for stream in &streams {
        stream.set_nonblocking(true)?;
    }
    let (mut count, mut events, start) = (0, Vec::new(), Instant::now());
    while start.elapsed() < duration {
        let mut moved = false;
        for stream in &mut streams {
            match step(stream) {
                Ok(0) => return Err("the peer has ended a stream".into()),
                Ok(bytes) => (count, moved) = (count + bytes as u64, true),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
        }
        if !moved {
            host.poll(&mut events, Some(PATIENCE))?;
            if events.is_empty() {
                return Err("the peer is silent".into());
            }
        }
    }
    Ok(Outcome { unit: Unit::Bytes, count, time: start.elapsed(), latency: None })
}

fn request(stream: &mut TcpStream, size: usize, duration: Duration) -> Result<Outcome> {
    let (message, mut answer) = (vec![0x5a; size], vec![0; size]);
    let (mut count, mut latency, start) = (0, Latency::default(), Instant::now());
    let mut now = start;
    while now - start < duration {
        let begun = now;
        stream.write_all(&message)?;
        stream.read_exact(&mut answer)?;
        now = Instant::now();
        latency.record(now - begun);
        count += 1;
    }
    Ok(Outcome { unit: Unit::Requests, count, time: now - start, latency: Some(latency) })
}

fn connect(host: &Host, peer: SocketAddr, duration: Duration) -> Result<Outcome> {
    let (message, mut answer) = ([0x5a; MESSAGE], [0; MESSAGE]);
    let (mut count, start) = (0, Instant::now());
    while start.elapsed() < duration {
        let mut stream = open(host, peer)?;
        stream.write_all(&message)?;
        stream.read_exact(&mut answer)?;
        if stream.read(&mut [0])? != 0 {
            return Err("the answer is too long".into());
        }
        count += 1;
    }
    Ok(Outcome { unit: Unit::Connections, count, time: start.elapsed(), latency: None })
}
