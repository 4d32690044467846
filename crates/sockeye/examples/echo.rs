//! Sends back what it hears, to as many connections as there are, in one thread: [`Host::poll`] names those that have something.
//!
//! ```sh
//! cargo build --release --example echo
//! sudo target/release/examples/echo eth0 10.0.0.2/24 7
//! ```

use std::collections::HashMap;
use std::error::Error;
use std::io::{self, ErrorKind, Read, Write};
use std::net::Ipv4Addr;

use sockeye::host::{Config, Host, TcpStream};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [interface, address, port] = arguments.as_slice() else {
        return Err("usage: echo INTERFACE ADDRESS/LENGTH PORT".into());
    };
    let host = Host::open(Config::new(interface).address(address.parse()?))?;
    let listener = host.listen((Ipv4Addr::UNSPECIFIED, port.parse::<u16>()?))?;
    listener.set_nonblocking(true)?;

    let mut connections = HashMap::new();
    let mut events = Vec::new();
    loop {
        match host.poll(&mut events, None) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            result => result?,
        }
        for event in &events {
            if event.id == listener.id() {
                while let Some((stream, peer)) = unless_it_would_block(listener.accept())? {
                    stream.set_nonblocking(true)?;
                    eprintln!("{peer} is here");
                    let connection = Connection { stream, unsent: Vec::new() };
                    connections.insert(connection.stream.id(), connection);
                }
            } else if let Some(connection) = connections.get_mut(&event.id) {
                // Dropping a stream closes it.
                if !connection.serve().unwrap_or(false) {
                    connections.remove(&event.id);
                }
            }
        }
    }
}

struct Connection {
    stream: TcpStream,
    unsent: Vec<u8>,
}

impl Connection {
    /// Reads and writes until either would block; false when the peer has ended and has everything.
    fn serve(&mut self) -> io::Result<bool> {
        let mut buffer = [0; 16 * 1024];
        loop {
            while !self.unsent.is_empty() {
                match unless_it_would_block(self.stream.write(&self.unsent))? {
                    Some(count) => drop(self.unsent.drain(..count)),
                    None => return Ok(true),
                }
            }
            match unless_it_would_block(self.stream.read(&mut buffer))? {
                Some(0) => return Ok(false),
                Some(count) => self.unsent.extend_from_slice(&buffer[..count]),
                None => return Ok(true),
            }
        }
    }
}

fn unless_it_would_block<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        result => result.map(Some),
    }
}
