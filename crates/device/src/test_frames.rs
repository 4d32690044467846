//! Frames made for tests, and a naive reader that checks every length and checksum on its own.

use crate::{Checksum, Offload, SegmentKind, Segmentation};

/// A TCP frame as a stack would hand it to a device: partial checksum, lengths of the whole.
#[derive(Clone, Debug)]
pub(crate) struct Tcp {
    pub(crate) v6: bool,
    pub(crate) tags: usize,
    /// Bytes of options: of IPv4's, or in IPv6 of a header for them.
    pub(crate) ip_options: usize,
    /// In IPv6, the type of a routing header by two addresses, of which one is left.
    pub(crate) routing: Option<u8>,
    pub(crate) tcp_options: usize,
    pub(crate) identification: u16,
    pub(crate) sequence: u32,
    pub(crate) flags: u8,
    pub(crate) urgent: u16,
    pub(crate) payload: usize,
}

impl Default for Tcp {
    fn default() -> Self {
        Tcp {
            v6: false,
            tags: 0,
            ip_options: 0,
            routing: None,
            tcp_options: 12,
            identification: 7,
            sequence: 1,
            flags: 0x10,
            urgent: 0,
            payload: 0,
        }
    }
}

impl Tcp {
    pub(crate) fn frame(&self) -> Vec<u8> {
        let mut tcp = vec![0; 20 + self.tcp_options];
        tcp[..4].copy_from_slice(&[0x30, 0x39, 0, 80]);
        tcp[4..8].copy_from_slice(&self.sequence.to_be_bytes());
        tcp[12] = ((tcp.len() / 4) as u8) << 4;
        tcp[13] = self.flags;
        tcp[18..20].copy_from_slice(&self.urgent.to_be_bytes());
        tcp[20..].fill(1); // no-operation
        ip(self.v6, self.tags, self.ip_options, self.routing, self.identification, 6, &tcp, 16, self.payload)
    }
}

/// A UDP frame in the same state.
pub(crate) fn udp(v6: bool, payload: usize) -> Vec<u8> {
    let length = ((8 + payload) as u16).to_be_bytes();
    ip(v6, 0, 0, None, 7, 17, &[0x30, 0x39, 0, 53, length[0], length[1], 0, 0], 6, payload)
}

#[allow(clippy::too_many_arguments)]
fn ip(
    v6: bool,
    tags: usize,
    options: usize,
    routing: Option<u8>,
    id: u16,
    protocol: u8,
    transport: &[u8],
    field: usize,
    payload: usize,
) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];
    for _ in 0..tags {
        frame.extend([0x81, 0x00, 0x00, 0x05]);
    }
    let len = transport.len() + payload;
    let mut addresses = Vec::new();
    if v6 {
        let address = |last| [0xfd, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last];
        let mut next = protocol;
        let mut extensions = Vec::new();
        if let Some(kind) = routing {
            extensions.extend([next, 4, kind, 1, 1, 0, 0, 0]);
            extensions.extend([address(3), address(4)].concat());
            next = 43;
        }
        if options > 0 {
            let units = options.div_ceil(8);
            let mut header = vec![next, (units - 1) as u8, 1, (units * 8 - 4) as u8];
            header.resize(units * 8, 0);
            extensions.splice(0..0, header);
            next = 60;
        }
        frame.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
        frame.extend(((extensions.len() + len) as u16).to_be_bytes());
        frame.extend([next, 64]);
        frame.extend([address(1), address(2)].concat());
        frame.extend(extensions);
        addresses.extend([address(1), destination(routing).map_or(address(2), address)].concat());
    } else {
        let header_len = 20 + options;
        frame.extend([0x08, 0x00]);
        let start = frame.len();
        frame.extend([0x40 | (header_len / 4) as u8, 0]);
        frame.extend(((header_len + len) as u16).to_be_bytes());
        frame.extend(id.to_be_bytes());
        frame.extend([0x40, 0, 64, protocol, 0, 0]);
        addresses.extend([10, 9, 0, 1, 10, 9, 0, 2]);
        frame.extend(&addresses);
        frame.extend(vec![1; options]);
        let sum = !naive_sum(&frame[start..], 0);
        frame[start + 10..start + 12].copy_from_slice(&sum.to_be_bytes());
    }
    let start = frame.len();
    frame.extend(transport);
    let pseudo = naive_sum(&addresses, u32::from(protocol) + len as u32);
    frame[start + field..start + field + 2].copy_from_slice(&pseudo.to_be_bytes());
    frame.extend((0..payload).map(|n| (n * 7 + n / 251) as u8));
    frame
}

/// The last byte of the address that a routing header leads to: of type 4 the first one, of others the last.
fn destination(routing: Option<u8>) -> Option<u8> {
    match routing {
        Some(4) => Some(3),
        Some(0 | 2) => Some(4),
        _ => None,
    }
}

/// What a stack would say of such a TCP frame.
pub(crate) fn tcp_offload(frame: &[u8], size: u16) -> Offload {
    let read = read(frame);
    let kind = if read.v6 { SegmentKind::TcpV6 } else { SegmentKind::TcpV4 };
    offload(kind, read.transport, read.payload, 16, size)
}

/// What a stack would say of such a UDP frame.
pub(crate) fn udp_offload(frame: &[u8], size: u16) -> Offload {
    let read = read(frame);
    offload(SegmentKind::Udp, read.transport, read.payload, 6, size)
}

fn offload(kind: SegmentKind, transport: usize, payload: usize, offset: u16, size: u16) -> Offload {
    Offload {
        checksum: Checksum::Partial { start: transport as u16, offset },
        segmentation: Some(Segmentation { kind, size, header_len: payload as u16 }),
    }
}

/// Where things are in a frame.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) v6: bool,
    pub(crate) network: usize,
    pub(crate) transport: usize,
    pub(crate) payload: usize,
    protocol: u8,
    routing: Option<u8>,
}

pub(crate) fn read(frame: &[u8]) -> Read {
    let mut network = 14;
    while frame[network - 2..network] == [0x81, 0x00] {
        network += 4;
    }
    let v6 = frame[network] >> 4 == 6;
    let mut transport = network + if v6 { 40 } else { usize::from(frame[network] & 15) * 4 };
    let mut protocol = frame[network + if v6 { 6 } else { 9 }];
    let mut routing = None;
    while let 43 | 60 = protocol {
        if protocol == 43 {
            routing = Some(frame[transport + 2]);
        }
        protocol = frame[transport];
        transport += 8 + usize::from(frame[transport + 1]) * 8;
    }
    let payload = transport + if protocol == 6 { usize::from(frame[transport + 12] >> 4) * 4 } else { 8 };
    Read { v6, network, transport, payload, protocol, routing }
}

/// Asserts that every length and checksum of a finished frame is right, by sums of its own.
pub(crate) fn assert_fit_for_a_wire(frame: &[u8]) {
    let Read { v6, network, transport, payload: _, protocol, routing } = read(frame);
    let word = |at: usize| usize::from(u16::from_be_bytes([frame[at], frame[at + 1]]));
    let addresses = if v6 {
        assert_eq!(word(network + 4), frame.len() - network - 40, "payload length");
        let mut addresses = frame[network + 8..network + 40].to_vec();
        if let Some(last) = destination(routing) {
            addresses[31] = last;
        }
        addresses
    } else {
        assert_eq!(word(network + 2), frame.len() - network, "total length");
        assert_eq!(naive_sum(&frame[network..transport], 0), 0xffff, "header checksum");
        frame[network + 12..network + 20].to_vec()
    };
    let len = frame.len() - transport;
    if protocol == 17 {
        assert_eq!(word(transport + 4), len, "UDP length");
        assert_ne!(word(transport + 6), 0, "a UDP checksum that says there is none");
    }
    let pseudo = naive_sum(&addresses, u32::from(protocol) + len as u32);
    assert_eq!(naive_sum(&frame[transport..], u32::from(pseudo)), 0xffff, "transport checksum");
}

/// The ones' complement sum, word by word.
pub(crate) fn naive_sum(bytes: &[u8], start: u32) -> u16 {
    let mut sum = start;
    for pair in bytes.chunks(2) {
        sum += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
        sum = (sum & 0xffff) + (sum >> 16);
    }
    ((sum & 0xffff) + (sum >> 16)) as u16
}
