//! Initial sequence numbers that cannot be guessed (RFC 6528) and SYN cookies (RFC 4987, 3.6).
//!
//! Both are a keyed hash of the connection's addresses. The ISN adds a clock, so that a connection which reuses its addresses
//! starts above its predecessor. The standard's clock of 4 µs counts 250 kB/s; ours, like Linux's, ticks every 64 ns,
//! so that predecessors of up to 15 MB/s are below, and goes round in 275 seconds, several times what anything
//! old lives (docs/deviations.md). A cookie instead carries, under the hash, what a half-open
//! connection would have remembered: the peer's MSS as an index of eight, and the minute it was made. The window scale,
//! SACK and their like travel in the low bits of our timestamp when the peer echoes timestamps.

use super::demux::Flow;
use siphasher::sip::SipHasher13;
use sockeye_device::Instant;
use sockeye_wire::SeqNumber;
use std::hash::{Hash, Hasher};

/// A tick of the ISN's clock is 64 ns.
const CLOCK_SHIFT: u32 = 6;
/// Segment sizes that a cookie can say; the largest that is not above the peer's is chosen.
const COOKIE_MSS: [u16; 8] = [216, 536, 1_000, 1_220, 1_360, 1_440, 1_460, 8_960];
/// A cookie is good in the period that made it and in the one after it: 64 to 128 seconds.
const COOKIE_PERIOD_SHIFT: u32 = 36;
const COOKIE_MAC_BITS: u32 = 24;

/// What a cookie brought back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cookie {
    pub(crate) mss: u16,
}

/// What a SYN cookie hides in the timestamp that goes with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CookieOptions {
    pub(crate) window_scale: Option<u8>,
    pub(crate) sack_permitted: bool,
}

/// The secrets of one host.
pub(crate) struct Secrets {
    isn: [u8; 16],
    cookie: [u8; 16],
    timestamp: [u8; 16],
}

impl Secrets {
    pub(crate) fn new(isn: [u8; 16], cookie: [u8; 16], timestamp: [u8; 16]) -> Self {
        Secrets { isn, cookie, timestamp }
    }

    /// ISN = M + F(local, remote, secret).
    pub(crate) fn isn(&self, now: Instant, flow: &Flow) -> SeqNumber {
        SeqNumber(keyed(&self.isn, flow, 0) as u32) + (now.as_nanos() >> CLOCK_SHIFT) as u32
    }

    /// What is added to the clock in the timestamps of a connection, so that they tell nothing about the others (RFC 7323, 7.1).
    pub(crate) fn timestamp_offset(&self, flow: &Flow) -> u32 {
        keyed(&self.timestamp, flow, 1) as u32
    }

    /// A sequence number that stands for a half-open connection.
    pub(crate) fn cookie(&self, now: Instant, flow: &Flow, peer_isn: SeqNumber, peer_mss: u16) -> SeqNumber {
        let period = now.as_nanos() >> COOKIE_PERIOD_SHIFT;
        let index = COOKIE_MSS.iter().rposition(|&mss| mss <= peer_mss).unwrap_or(0) as u32;
        SeqNumber(self.cookie_bits(period, flow, peer_isn, index))
    }

    /// Checks the number that a peer acknowledges against the cookies that we may have sent.
    pub(crate) fn check_cookie(
        &self,
        now: Instant,
        flow: &Flow,
        peer_isn: SeqNumber,
        cookie: SeqNumber,
    ) -> Option<Cookie> {
        let period = now.as_nanos() >> COOKIE_PERIOD_SHIFT;
        let index = cookie.0 >> (COOKIE_MAC_BITS + 1) & 7;
        let made = [Some(period), period.checked_sub(1)]
            .into_iter()
            .flatten()
            .find(|&made| self.cookie_bits(made, flow, peer_isn, index) == cookie.0);
        made.map(|_| Cookie { mss: COOKIE_MSS[index as usize] })
    }

    fn cookie_bits(&self, period: u64, flow: &Flow, peer_isn: SeqNumber, index: u32) -> u32 {
        let mask = (1 << COOKIE_MAC_BITS) - 1;
        let mac = keyed(&self.cookie, flow, (u64::from(peer_isn.0) << 32) ^ (period << 3) ^ u64::from(index));
        // Bits 28-31 are the hash's too, so that the numbers of different peers spread over the whole space.
        (mac as u32 & (mask | 0xf000_0000 | 1 << COOKIE_MAC_BITS)) | index << (COOKIE_MAC_BITS + 1)
    }
}

/// Low bits of a timestamp that carry the options of a SYN answered by a cookie: scale (15 = none), SACK.
const OPTION_BITS: u32 = 5;

impl CookieOptions {
    /// The newest timestamp not above `clock` that carries these options.
    pub(crate) fn hide_in(self, clock: u32) -> u32 {
        let bits = u32::from(self.window_scale.map_or(15, |scale| scale.min(14))) << 1 | u32::from(self.sack_permitted);
        let value = clock & !((1 << OPTION_BITS) - 1) | bits;
        if value > clock { value.wrapping_sub(1 << OPTION_BITS) } else { value }
    }

    /// Reads them from the timestamp that the peer echoes.
    pub(crate) fn found_in(echo: u32) -> Self {
        let scale = (echo >> 1 & 15) as u8;
        CookieOptions { window_scale: (scale != 15).then_some(scale), sack_permitted: echo & 1 != 0 }
    }
}

fn keyed(key: &[u8; 16], flow: &Flow, extra: u64) -> u64 {
    let mut hasher = SipHasher13::new_with_key(key);
    flow.hash(&mut hasher);
    hasher.write_u64(extra);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn secrets() -> Secrets {
        Secrets::new([1; 16], [2; 16], [3; 16])
    }

    fn flow(port: u16) -> Flow {
        let address = |last, port| std::net::SocketAddr::from(([10, 0, 0, last], port));
        Flow { local: address(1, 80), remote: address(2, port) }
    }

    #[test]
    fn the_next_connection_of_the_same_addresses_starts_higher() {
        let (secrets, then) = (secrets(), Instant::from_millis(5));
        let (first, second) = (secrets.isn(then, &flow(1)), secrets.isn(then + Duration::from_millis(1), &flow(1)));
        assert_eq!(second - first, 15_625);
        assert_ne!(secrets.isn(then, &flow(2)), first);
    }

    #[test]
    fn a_cookie_comes_back_with_its_segment_size_and_goes_stale() {
        let (secrets, then, peer) = (secrets(), Instant::from_millis(1_000_000), SeqNumber(77));
        for (offered, said) in [(0, 216), (536, 536), (1_448, 1_440), (1_460, 1_460), (9_000, 8_960)] {
            let cookie = secrets.cookie(then, &flow(1), peer, offered);
            let later = then + Duration::from_secs(60);
            assert_eq!(secrets.check_cookie(later, &flow(1), peer, cookie), Some(Cookie { mss: said }));
            assert_eq!(secrets.check_cookie(then + Duration::from_secs(140), &flow(1), peer, cookie), None);
            assert_eq!(secrets.check_cookie(later, &flow(2), peer, cookie), None);
            assert_eq!(secrets.check_cookie(later, &flow(1), peer, cookie + 1), None);
        }
    }

    #[test]
    fn options_survive_in_a_timestamp_that_never_runs_ahead_of_the_clock() {
        for clock in [1_000u32, 1_001, 0xffff_ffff, 1_023] {
            for options in [
                CookieOptions { window_scale: Some(7), sack_permitted: true },
                CookieOptions { window_scale: None, sack_permitted: false },
            ] {
                let value = options.hide_in(clock);
                assert!(clock - value < 64);
                assert_eq!(CookieOptions::found_in(value), options);
            }
        }
    }
}
