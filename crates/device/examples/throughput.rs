//! What a packet socket and a TAP move: `cargo run --release -p sockeye-device --example throughput [-- bypass]`.
//!
//! Makes two network namespaces with a veth pair for as long as it runs, so it needs root. `bypass` sets
//! `PACKET_QDISC_BYPASS`, to see what that is worth. Rates are given by the time on the clock, and by the time that the
//! thread had a processor, which tells more on a machine that is busy.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use sockeye_device::{
    Checksum, Device, MacChoice, Offload, PacketSocket, RxBatch, SegmentKind, Segmentation, Tap, TxFrame,
};
use sockeye_wire::MacAddr;

const RECEIVER: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);
const SECONDS: Duration = Duration::from_secs(2);

struct Namespaces(Vec<String>);

impl Drop for Namespaces {
    fn drop(&mut self) {
        for name in &self.0 {
            let _ = Command::new("ip").args(["netns", "del", name]).status();
        }
    }
}

fn run(command: &str) {
    let words: Vec<_> = command.split(' ').collect();
    let status = Command::new(words[0]).args(&words[1..]).status().expect("the program is there");
    assert!(status.success(), "{command} (run this as root)");
}

fn enter<T: Send>(namespace: &str, work: impl FnOnce() -> T + Send) -> T {
    let file = File::open(format!("/run/netns/{namespace}")).expect("is there");
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let kind = Some(rustix::thread::LinkNameSpaceType::Network);
            rustix::thread::move_into_link_name_space(file.as_fd(), kind).expect("moves as root");
            work()
        });
        thread.join().expect("does not panic")
    })
}

/// A TCP segment of `payload` bytes to nobody.
fn header(dst: MacAddr, payload: usize) -> Vec<u8> {
    let mut header = [&dst.0[..], &[2, 0, 0, 0, 0, 1, 8, 0]].concat();
    let total = (40 + payload) as u16;
    header.extend([0x45, 0, (total >> 8) as u8, total as u8, 0, 1, 0x40, 0, 64, 6, 0, 0, 10, 9, 0, 1, 10, 9, 0, 2]);
    let sum = sockeye_wire::checksum::sum(&header[14..34]).finish();
    header[24..26].copy_from_slice(&sum.to_be_bytes());
    header.extend([0x30, 0x39, 0, 80, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x10, 0xff, 0xff, 0, 0, 0, 0]);
    header
}

/// Processor time of this thread, what the kernel does for it included.
fn busy() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Sends for a while; the processor time that it took.
fn send(device: &mut dyn Device, dst: MacAddr, payload: usize) -> f64 {
    let began = busy();
    let header = header(dst, payload);
    let bytes = vec![0x5a; payload];
    let (front, back) = bytes.split_at(payload / 2);
    let payload = [front, back];
    let segmentation = Segmentation { kind: SegmentKind::TcpV4, size: 1448, header_len: 54 };
    let offload = Offload {
        checksum: Checksum::Partial { start: 34, offset: 16 },
        segmentation: (bytes.len() > 1460).then_some(segmentation),
    };
    let frame = TxFrame { header: &header, payload: &payload, offload };
    let start = Instant::now();
    while start.elapsed() < SECONDS {
        for _ in 0..64 {
            while device.transmit(&frame).is_err() {
                let fd = device.as_fd().expect("has one");
                rustix::event::poll(&mut [PollFd::from_borrowed_fd(fd, PollFlags::OUT)], None).expect("polls");
            }
        }
        device.flush().expect("flushes");
    }
    busy() - began
}

fn receive(device: &mut dyn Device, stop: &AtomicBool) -> f64 {
    let began = busy();
    let mut batch = RxBatch::new(32);
    while !stop.load(Ordering::Relaxed) {
        if device.receive(&mut batch).expect("receives") == 0 {
            let fd = device.as_fd().expect("has one");
            let timeout = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
            rustix::event::poll(&mut [PollFd::from_borrowed_fd(fd, PollFlags::IN)], Some(&timeout)).expect("polls");
        }
    }
    busy() - began
}

fn report(what: &str, frames: u64, bytes: u64, processor: f64, extra: &str) {
    let seconds = SECONDS.as_secs_f64();
    let [gigabits, alone] = [seconds, processor].map(|seconds| bytes as f64 * 8.0 / seconds / 1e9);
    let each = processor / frames as f64 * 1e6;
    println!("{what:46} {gigabits:6.2} Gbit/s; {alone:6.2} a processor second, {each:6.2} us a frame  {extra}");
}

fn main() {
    let bypass = std::env::args().any(|argument| argument == "bypass");
    let [a, b] = ["a", "b"].map(|end| format!("sky-throughput-{}-{end}", std::process::id()));
    let _namespaces = Namespaces(vec![a.clone(), b.clone()]);
    for name in [&a, &b] {
        run(&format!("ip netns add {name}"));
    }
    run(&format!("ip link add veth0 netns {a} type veth peer name veth1 netns {b}"));
    run(&format!("ip -n {a} link set veth0 up"));
    run(&format!("ip -n {b} link set veth1 up"));
    let open = || {
        let device = enter(&a, || PacketSocket::open("veth0", MacChoice::Auto)).expect("opens as root");
        let value = libc::c_int::from(bypass);
        // SAFETY: the value is an integer of the length given, and lives through the call.
        let result = unsafe {
            libc::setsockopt(
                device.as_fd().expect("has one").as_raw_fd(),
                libc::SOL_PACKET,
                libc::PACKET_QDISC_BYPASS,
                (&raw const value).cast(),
                4,
            )
        };
        assert_eq!(result, 0);
        device
    };

    for payload in [65_000, 1448, 60] {
        let mut device = open();
        let processor = send(&mut device, RECEIVER, payload);
        let sent = device.counters();
        report(&format!("packet socket out, {payload} bytes"), sent.tx_frames, sent.tx_bytes, processor, "");
    }
    for payload in [65_000, 1448, 60] {
        let mut device = open();
        let mut sink = enter(&b, || PacketSocket::open("veth1", MacChoice::Fixed(RECEIVER))).expect("opens as root");
        let stop = AtomicBool::new(false);
        let processor = std::thread::scope(|scope| {
            let receiver = scope.spawn(|| receive(&mut sink, &stop));
            send(&mut device, RECEIVER, payload);
            stop.store(true, Ordering::Relaxed);
            receiver.join().expect("does not panic")
        });
        let got = sink.counters();
        let extra = format!("({} sent, {} dropped unread)", device.counters().tx_frames, got.rx_dropped);
        report(&format!("packet socket in, {payload} bytes"), got.rx_frames, got.rx_bytes, processor, &extra);
    }
    for payload in [65_000, 1448, 60] {
        let mut tap = enter(&a, || Tap::open("tap0", MacChoice::Auto)).expect("opens as root");
        let processor = send(&mut tap, RECEIVER, payload);
        let sent = tap.counters();
        report(&format!("TAP out, {payload} bytes"), sent.tx_frames, sent.tx_bytes, processor, "");
    }
}
