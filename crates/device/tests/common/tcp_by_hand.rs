//! The least of a TCP that can exchange bytes with the kernel: enough to see what a device makes of super-frames.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::Duration;

use sockeye_device::{Checksum, Device, Offload, SegmentKind, Segmentation, TxFrame};
use sockeye_wire::{MacAddr, checksum, ethernet, ipv4, tcp};

use crate::common::{Namespace, receive};

const OUR_ADDRESS: [u8; 4] = [10, 9, 0, 99];
const KERNEL_ADDRESS: [u8; 4] = [10, 9, 0, 1];
const PAYLOAD: usize = 40_000;
const SIZE: u16 = 1400;
const SYN: u8 = 0x02;
const PSH_ACK: u8 = 0x18;
const ACK: u8 = 0x10;

pub(crate) struct Seen {
    /// Super-frames that came from the kernel.
    pub(crate) super_frames: usize,
}

/// Connects to a listener in the kernel, sends one super-frame, and reads what the kernel sends.
pub(crate) fn exchange(device: &mut dyn Device, kernel: &Namespace, interface: &str) -> Seen {
    let our_mac = device.mac();
    let kernel_mac = kernel.mac(interface);
    kernel.run(&format!("ip neigh replace 10.9.0.99 lladdr {our_mac} dev {interface}"));
    let listener = kernel.enter(|| TcpListener::bind("10.9.0.1:80").expect("binds"));
    let sent: Vec<u8> = (0..PAYLOAD).map(|n| (n * 13 + n / 253) as u8).collect();
    let expected = sent.clone();
    let answer: Vec<u8> = (0..10_000).map(|n| (n * 31 + n / 241) as u8).collect();
    let answer_bytes = answer.clone();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("accepts");
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("is not zero");
        let mut received = vec![0; PAYLOAD];
        stream.read_exact(&mut received).expect("all of the super-frame");
        assert!(received == expected, "the stream is not what was sent");
        stream.write_all(&answer_bytes).expect("writes");
    });

    let mut peer = Peer { device, our_mac, kernel_mac, arrived: VecDeque::new() };
    peer.send(SYN, 1000, 0, &[]);
    let syn_ack = peer.next();
    assert_eq!((syn_ack.flags & 0x12, syn_ack.ack), (0x12, 1001));
    let mut expected_seq = syn_ack.seq.wrapping_add(1);
    peer.send(ACK, 1001, expected_seq, &[]);
    peer.send(PSH_ACK, 1001, expected_seq, &sent);

    let mut received = Vec::new();
    let mut super_frames = 0;
    while received.len() < answer.len() {
        let segment = peer.next();
        if !segment.payload.is_empty() && segment.seq == expected_seq {
            expected_seq = expected_seq.wrapping_add(segment.payload.len() as u32);
            received.extend(segment.payload);
            super_frames += usize::from(segment.super_frame);
            peer.send(ACK, 1001 + PAYLOAD as u32, expected_seq, &[]);
        }
    }
    assert!(received == answer, "the stream is not what the kernel sent");
    server.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    Seen { super_frames }
}

struct Peer<'a> {
    device: &'a mut dyn Device,
    our_mac: MacAddr,
    kernel_mac: MacAddr,
    arrived: VecDeque<Segment>,
}

struct Segment {
    seq: u32,
    ack: u32,
    flags: u8,
    payload: Vec<u8>,
    super_frame: bool,
}

impl Peer<'_> {
    fn send(&mut self, flags: u8, seq: u32, ack: u32, payload: &[u8]) {
        let mut header = [&self.kernel_mac.0[..], &self.our_mac.0, &[0x08, 0x00]].concat();
        let total = (40 + payload.len()) as u16;
        header.extend([0x45, 0, (total >> 8) as u8, total as u8, 0, 1, 0x40, 0, 64, 6, 0, 0]);
        header.extend([OUR_ADDRESS, KERNEL_ADDRESS].concat());
        let sum = checksum::sum(&header[14..34]).finish();
        header[24..26].copy_from_slice(&sum.to_be_bytes());
        header.extend([0xc3, 0x50, 0, 80]);
        header.extend(seq.to_be_bytes());
        header.extend(ack.to_be_bytes());
        header.extend([0x50, flags, 0xff, 0xff]);
        let len = (20 + payload.len()) as u32;
        let pseudo = checksum::pseudo_header(OUR_ADDRESS.into(), KERNEL_ADDRESS.into(), 6, len).folded();
        header.extend(pseudo.to_be_bytes());
        header.extend([0, 0]);
        let segmentation = (payload.len() > usize::from(SIZE)).then_some(Segmentation {
            kind: SegmentKind::TcpV4,
            size: SIZE,
            header_len: 54,
        });
        let offload = Offload { checksum: Checksum::Partial { start: 34, offset: 16 }, segmentation };
        let (front, back) = payload.split_at(payload.len() / 3);
        self.device.transmit(&TxFrame { header: &header, payload: &[front, back], offload }).expect("room");
        self.device.flush().expect("flushes");
    }

    /// The next TCP segment for us.
    fn next(&mut self) -> Segment {
        loop {
            if let Some(segment) = self.arrived.pop_front() {
                return segment;
            }
            for frame in receive(self.device) {
                let link = ethernet::Frame::parse(frame.bytes()).expect("a frame");
                let Ok(packet) = ipv4::Packet::parse(link.payload()) else { continue };
                let Ok(segment) = tcp::Segment::parse(packet.payload()) else { continue };
                if frame.offload.checksum == Checksum::Present {
                    let (src, dst) = (packet.src().into(), packet.dst().into());
                    let mut sum = checksum::pseudo_header(src, dst, 6, packet.payload().len() as u32);
                    sum.add(packet.payload());
                    assert_eq!(sum.finish(), 0, "the checksum of a frame that says it is there");
                }
                self.arrived.push_back(Segment {
                    seq: segment.seq().0,
                    ack: segment.ack().0,
                    flags: packet.payload()[13],
                    payload: segment.payload().to_vec(),
                    super_frame: frame.offload.segmentation.is_some(),
                });
            }
        }
    }
}
