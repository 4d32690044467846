//! Two hosts, a link, and a connection over it. Needs no root where user namespaces are allowed:
//! `cargo run -p sockeye-lab --example two_hosts`.

use std::error::Error;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

fn main() -> Result<(), Box<dyn Error>> {
    // First of all, while there is one thread only.
    sockeye_lab::become_root()?;
    let lab = sockeye_lab::Lab::new()?;
    let (left, right) = (lab.host("left")?, lab.host("right")?);
    lab.link(&left, "veth0", &right, "veth0")?;
    left.address("veth0", "10.9.0.1/24")?;
    right.address("veth0", "10.9.0.2/24")?;

    let listener = left.enter(|| TcpListener::bind("10.9.0.1:80"))??;
    let mut near = right.enter(|| TcpStream::connect("10.9.0.1:80"))??;
    let (mut far, address) = listener.accept()?;
    near.write_all(b"hello")?;
    drop(near);
    let mut heard = String::new();
    far.read_to_string(&mut heard)?;
    println!("{} heard {heard:?} from {address} on {}", left.name(), right.name());
    Ok(())
}
