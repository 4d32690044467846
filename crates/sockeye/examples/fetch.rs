//! Fetches a page over HTTP with a host of its own: the kernel's TCP has no part in it.
//!
//! ```sh
//! cargo build --release --example fetch
//! sudo target/release/examples/fetch eth0 10.0.0.2/24 10.0.0.1:80 /index.html
//! ```

use std::error::Error;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

use sockeye::host::{Config, Host};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [interface, address, server, path] = arguments.as_slice() else {
        return Err("usage: fetch INTERFACE ADDRESS/LENGTH SERVER:PORT PATH".into());
    };
    let server: SocketAddr = server.parse()?;
    let host = Host::open(Config::new(interface).address(address.parse()?))?;
    let mut stream = host.connect_timeout(server, Duration::from_secs(10))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {}\r\n\r\n", server.ip())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    std::io::stdout().write_all(&answer)?;
    Ok(())
}
