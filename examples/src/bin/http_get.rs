//! A web page by hand: ARP, three segments to open, a request, what comes, and three to close. All of it on a packet socket.
//!
//! ```text
//! http_get --interface eth0 --address 192.0.2.77 192.0.2.1 --port 80 --path /
//! ```
//!
//! Watch it with `tcpdump -n -i eth0 'arp or host 192.0.2.77'`. The address must be free on the link: this program *is* the host that has it, and
//! answers ARP for it. With an address of the system's own the system would answer, too: it knows nothing of our connection, and
//! resets it at the first segment that comes back. (That is why a SYN from a raw socket never gets further.)
//!
//! This is the least of TCP: what is out of order is dropped (the server sends it again), what gets no answer is sent again, and
//! the window never closes. Checksums of what comes are not verified: within one machine nobody computes them.
//!
//! # Standards
//!
//! RFC 826 (ARP), RFC 791 (IPv4), RFC 9293 (TCP), RFC 1945 (HTTP/1.0); packet(7).

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use socket2::Socket;
use sockeye_examples::interface::Interface;
use sockeye_examples::way::packet_socket;
use sockeye_examples::{Explain, Result, host, packet, payload, receive, start, unsent};
use sockeye_wire::arp::{self, Operation};
use sockeye_wire::tcp::{self, Flags};
use sockeye_wire::{EtherType, MacAddr, Protocol, SeqNumber, ethernet, ipv4};

/// Fetches a page from a server on this link
#[derive(Parser)]
struct Cli {
    /// The server
    #[arg(value_name = "HOST", value_parser = host::ipv4)]
    server: Ipv4Addr,
    /// Its port
    #[arg(long, default_value_t = 80)]
    port: u16,
    /// What to fetch
    #[arg(long, default_value = "/")]
    path: String,
    /// The interface
    #[arg(long, value_name = "NAME", default_value = "eth0")]
    interface: String,
    /// A free address on the link, to be this program's own
    #[arg(long)]
    address: Ipv4Addr,
    /// The port to come from
    #[arg(long, default_value_t = 49_152)]
    from_port: u16,
}

/// `ETH_P_ALL`: a socket for frames of every type.
const ALL: EtherType = EtherType(3);
/// How long to wait before it is said again, and how often.
const PATIENCE: Duration = Duration::from_millis(500);
const TRIES: u32 = 10;

fn main() -> ExitCode {
    start(run)
}

fn run(cli: &Cli) -> Result<()> {
    let interface = Interface::named(&cli.interface)?;
    let socket = packet_socket(&interface, ALL)?;
    let mut host = Host { cli, socket, interface, server: MacAddr::BROADCAST };
    host.resolve()?;
    let page = host.fetch()?;
    std::io::stdout().write_all(&page).explain("print the page")
}

/// A host of one connection.
struct Host<'a> {
    cli: &'a Cli,
    socket: Socket,
    interface: Interface,
    /// The server's hardware address, once it is known.
    server: MacAddr,
}

impl Host<'_> {
    /// Asks for the server's hardware address until it tells.
    fn resolve(&mut self) -> Result<()> {
        let mut buffer = vec![0; receive::LARGEST];
        for _ in 0..TRIES {
            self.say_arp(Operation::REQUEST, MacAddr::BROADCAST, MacAddr::ZERO, self.cli.server)?;
            let until = Instant::now() + PATIENCE;
            while let Some(frame) = receive::by(&self.socket, until, &mut buffer)? {
                if let Some(answer) = read_arp(frame).filter(|heard| heard.sender_ip == self.cli.server) {
                    self.server = answer.sender_mac;
                    return Ok(());
                }
            }
        }
        Err(format!("nobody on {} has {}", self.interface.name, self.cli.server))
    }

    /// Opens a connection, asks, takes what comes, and closes.
    fn fetch(&self) -> Result<Vec<u8>> {
        let request = format!("GET {} HTTP/1.0\r\nHost: {}\r\n\r\n", self.cli.path, self.cli.server);
        let mut page = Vec::new();
        let mut buffer = vec![0; receive::LARGEST];
        // Our number: of the SYN, then of what follows it. Theirs: what we expect next.
        let mut ours = SeqNumber(0x1000_0000);
        let mut theirs = SeqNumber(0);
        let mut last: (Flags, &[u8]) = (Flags::SYN, &[]);
        let mut tries = 0;
        loop {
            self.say(last.0, ours, theirs, last.1)?;
            let Some((header, data)) = self.hear(Instant::now() + PATIENCE, &mut buffer)? else {
                tries += 1;
                if tries == TRIES {
                    return Err(format!("{} keeps silent", self.cli.server));
                }
                continue;
            };
            if header.flags.contains(Flags::RST) {
                return Err(format!("{} refuses port {}", self.cli.server, self.cli.port));
            }
            if header.flags.contains(Flags::SYN | Flags::ACK) && last.0 == Flags::SYN {
                // The SYN took a number of its own, on both sides.
                (ours, theirs) = (ours + 1, header.seq + 1);
                last = (Flags::PSH | Flags::ACK, request.as_bytes());
                continue;
            }
            if last.0 == Flags::SYN {
                continue;
            }
            if !last.1.is_empty() && header.ack == ours + last.1.len() as u32 {
                // The request has arrived; from here on we only acknowledge.
                ours = header.ack;
                last = (Flags::ACK, &[]);
            }
            if header.seq == theirs {
                tries = 0;
                page.extend(&data);
                theirs += data.len() as u32;
                if header.flags.contains(Flags::FIN) {
                    // Theirs takes a number, too. Ours goes along with its acknowledgement, and nobody waits for the last one.
                    self.say(Flags::FIN | Flags::ACK, ours, theirs + 1, &[])?;
                    return Ok(page);
                }
            }
        }
    }

    /// The next segment of the connection; whoever asks for our hardware address meanwhile is told.
    fn hear(&self, until: Instant, buffer: &mut [u8]) -> Result<Option<(tcp::Repr, Vec<u8>)>> {
        let cli = self.cli;
        loop {
            let Some(frame) = receive::by(&self.socket, until, buffer)? else { return Ok(None) };
            if let Some(question) = read_arp(frame)
                && question.operation == Operation::REQUEST
                && question.target_ip == cli.address
                && question.sender_ip != cli.address
            {
                self.say_arp(Operation::REPLY, question.sender_mac, question.sender_mac, question.sender_ip)?;
            }
            if let Some(segment) = self.read_segment(frame) {
                return Ok(Some(segment));
            }
        }
    }

    fn read_segment(&self, frame: &[u8]) -> Option<(tcp::Repr, Vec<u8>)> {
        let frame = ethernet::Frame::parse(frame).ok()?;
        let packet = ipv4::Packet::parse(frame.payload()).ok()?;
        let segment = tcp::Segment::parse(packet.payload()).ok()?;
        let ours = frame.ether_type() == EtherType::IPV4
            && packet.protocol() == Protocol::TCP
            && (packet.src(), packet.dst()) == (self.cli.server, self.cli.address)
            && (segment.src_port(), segment.dst_port()) == (self.cli.port, self.cli.from_port);
        ours.then(|| (segment.repr(), segment.payload().to_vec()))
    }

    /// Sends a segment.
    fn say(&self, flags: Flags, seq: SeqNumber, ack: SeqNumber, data: &[u8]) -> Result<()> {
        let mss = flags.contains(Flags::SYN).then_some(1460);
        let header = tcp::Repr {
            src_port: self.cli.from_port,
            dst_port: self.cli.port,
            seq,
            ack,
            flags,
            window: u16::MAX,
            urgent: 0,
            options: tcp::Options { mss, ..tcp::Options::default() },
        };
        let (src, dst) = (IpAddr::V4(self.cli.address), IpAddr::V4(self.cli.server));
        let segment = payload::segment(src, dst, &header, data);
        let packet = packet::Header::plain(src, dst, 0)?.packet(Protocol::TCP, &segment)?;
        self.send(self.server, EtherType::IPV4, &packet)
    }

    fn say_arp(&self, operation: Operation, to: MacAddr, target_mac: MacAddr, target_ip: Ipv4Addr) -> Result<()> {
        let (sender_mac, sender_ip) = (self.interface.mac, self.cli.address);
        let mut bytes = [0; arp::LEN];
        arp::Repr { operation, sender_mac, sender_ip, target_mac, target_ip }.emit(&mut bytes);
        self.send(to, EtherType::ARP, &bytes)
    }

    fn send(&self, to: MacAddr, ether_type: EtherType, bytes: &[u8]) -> Result<()> {
        let frame = packet::frame(to, self.interface.mac, ether_type, bytes);
        self.socket.send(&frame).map(drop).map_err(unsent(&self.interface.name))
    }
}

fn read_arp(frame: &[u8]) -> Option<arp::Repr> {
    let frame = ethernet::Frame::parse(frame).ok()?;
    let packet = arp::Repr::parse(frame.payload()).ok()?;
    (frame.ether_type() == EtherType::ARP).then_some(packet)
}
