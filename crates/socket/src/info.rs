//! `struct tcp_info`, byte for byte as Linux's `linux/tcp.h` lays it out.
//!
//! Times are in microseconds unless the field says otherwise, windows and queues in segments, as Linux counts them.
//! What this host does not measure is zero.

use core::time::Duration;

use sockeye_stack::tcp::{Info, State};

/// Up to and including `tcpi_rcv_wnd` and `tcpi_rehash` (Linux 6.2).
const LEN: usize = 240;

/// The state as Linux numbers it.
fn state_number(state: State) -> u8 {
    match state {
        State::Established => 1,
        State::SynSent => 2,
        State::SynReceived => 3,
        State::FinWait1 => 4,
        State::FinWait2 => 5,
        State::TimeWait => 6,
        State::Closed => 7,
        State::CloseWait => 8,
        State::LastAck => 9,
        State::Listen => 10,
        State::Closing => 11,
    }
}

/// Writes fields one after the other.
struct Fields(Vec<u8>);

impl Fields {
    fn byte(&mut self, value: u8) {
        self.0.push(value);
    }
    fn word(&mut self, value: u32) {
        self.0.extend(value.to_ne_bytes());
    }
    fn long(&mut self, value: u64) {
        self.0.extend(value.to_ne_bytes());
    }
    fn micros(&mut self, value: Duration) {
        self.word(u32::try_from(value.as_micros()).unwrap_or(u32::MAX));
    }
    fn millis(&mut self, value: Duration) {
        self.word(u32::try_from(value.as_millis()).unwrap_or(u32::MAX));
    }
}

/// A socket without a connection.
pub(crate) fn of_state(state: State) -> Vec<u8> {
    let mut bytes = vec![0; LEN];
    bytes[0] = state_number(state);
    bytes
}

/// The bytes of TCP_INFO.
pub(crate) fn encode(info: &Info) -> Vec<u8> {
    let segments = |bytes: u32| bytes.div_ceil(info.send_mss.max(1));
    let (send_scale, receive_scale) = info.window_scales.unwrap_or((0, 0));
    let mut fields = Fields(Vec::with_capacity(LEN));
    fields.byte(state_number(info.state));
    fields.byte(info.congestion_state);
    fields.byte(info.retransmits);
    fields.byte(info.probes);
    fields.byte(info.retransmits);
    fields.byte(u8::from(info.timestamps) | u8::from(info.sack) << 1 | u8::from(info.window_scales.is_some()) << 2);
    fields.byte(send_scale & 15 | receive_scale << 4);
    fields.byte(0);
    fields.micros(info.rto);
    fields.micros(Duration::from_millis(40)); // ato
    fields.word(info.send_mss);
    fields.word(info.receive_mss);
    fields.word(segments(info.unacknowledged));
    fields.word(segments(info.sacked));
    fields.word(segments(info.lost));
    fields.word(0); // retrans, of those in flight
    fields.word(0); // fackets
    fields.millis(info.since_sent);
    fields.word(0); // last_ack_sent: Linux leaves it, too
    fields.millis(info.since_received);
    fields.millis(info.since_received);
    fields.word(info.path_mtu);
    fields.word(info.receive_window); // rcv_ssthresh
    fields.micros(info.rtt);
    fields.micros(info.rtt_variation);
    let threshold = info.slow_start_threshold;
    fields.word(if threshold >= 0x7fff_ffff { 0x7fff_ffff } else { segments(threshold) });
    fields.word(info.congestion_window / info.send_mss.max(1));
    fields.word(info.receive_mss); // advmss
    fields.word(3); // reordering
    fields.word(0); // rcv_rtt
    fields.word(info.receive_window); // rcv_space
    fields.word(u32::try_from(info.total_retransmissions).unwrap_or(u32::MAX));
    fields.long(u64::MAX); // pacing_rate: none
    fields.long(u64::MAX); // max_pacing_rate: none
    fields.long(info.bytes_acknowledged);
    fields.long(info.bytes_received);
    fields.word(0); // segs_out
    fields.word(0); // segs_in
    fields.word(info.not_sent);
    fields.micros(info.least_rtt);
    fields.word(0); // data_segs_in
    fields.word(0); // data_segs_out
    fields.long(0); // delivery_rate
    fields.long(0); // busy_time
    fields.long(0); // rwnd_limited
    fields.long(0); // sndbuf_limited
    fields.word(0); // delivered
    fields.word(0); // delivered_ce
    fields.long(info.bytes_sent);
    fields.long(0); // bytes_retrans
    fields.word(0); // dsack_dups
    fields.word(0); // reord_seen
    fields.word(0); // rcv_ooopack
    fields.word(info.send_window);
    fields.word(info.receive_window);
    fields.word(0); // rehash
    fields.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_stand_where_linux_has_them() {
        let millis = Duration::from_millis;
        let info = Info {
            state: State::Established,
            timestamps: true,
            sack: true,
            window_scales: Some((7, 9)),
            congestion_state: 0,
            congestion_control: "reno",
            retransmits: 0,
            probes: 0,
            rto: millis(204),
            rtt: millis(4),
            rtt_variation: millis(2),
            least_rtt: millis(1),
            send_mss: 1448,
            receive_mss: 1448,
            path_mtu: 1500,
            congestion_window: 14_480,
            slow_start_threshold: u32::MAX,
            unacknowledged: 1449,
            sacked: 0,
            lost: 0,
            send_window: 70_000,
            receive_window: 65_535,
            not_sent: 77,
            total_retransmissions: 5,
            bytes_sent: 1_000_000,
            bytes_acknowledged: 999_999,
            bytes_received: 3,
            since_sent: millis(11),
            since_received: millis(12),
        };
        let bytes = encode(&info);
        assert_eq!(bytes.len(), LEN);
        let word = |at: usize| u32::from_ne_bytes(bytes[at..at + 4].try_into().expect("four"));
        let long = |at: usize| u64::from_ne_bytes(bytes[at..at + 8].try_into().expect("eight"));
        assert_eq!((bytes[0], bytes[5], bytes[6]), (1, 7, 0x97));
        assert_eq!((word(8), word(16), word(24)), (204_000, 1448, 2));
        assert_eq!((word(44), word(52), word(60)), (11, 12, 1500));
        assert_eq!((word(68), word(72), word(76), word(80)), (4_000, 2_000, 0x7fff_ffff, 10));
        assert_eq!((word(100), long(120), long(128)), (5, 999_999, 3));
        assert_eq!((word(144), word(148)), (77, 1_000));
        assert_eq!((long(200), word(228), word(232)), (1_000_000, 70_000, 65_535));
    }
}
