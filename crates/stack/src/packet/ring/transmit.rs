//! A ring of frames that a program wants to send.
//!
//! It is of slots in all three versions. The program writes a frame and its length into the next slot, then the word that says so
//! ([`REQUEST`]), for as many slots as it likes, and calls `send`: the slots are looked at in turn, and the first that asks for nothing ends
//! the call. A frame is copied out of its slot once, and what is judged is the copy; so the slot is the program's again at once, and
//! `TP_STATUS_SENDING` is never seen. What cannot be sent is marked and stands in the way until the program has mended it, or is passed
//! over where the program wants that (`PACKET_LOSS`).
//!
//! # Standards
//!
//! Linux `Documentation/networking/packet_mmap.rst`, `linux/if_packet.h`, `tpacket_snd` as observed.

use super::{Geometry, Memory, Version, status};
use crate::packet::SendError;
use std::sync::Arc;

/// `TP_STATUS_AVAILABLE`, `TP_STATUS_SEND_REQUEST`, `TP_STATUS_WRONG_FORMAT`.
const AVAILABLE: u32 = 0;
const REQUEST: u32 = 1;
const WRONG_FORMAT: u32 = 1 << 2;

/// What is known of a frame before it is looked at.
#[derive(Clone, Copy, Debug)]
pub(in crate::packet) struct Rules {
    /// Without the link header.
    pub(in crate::packet) cooked: bool,
    /// `PACKET_TX_HAS_OFF`: the slot says where its frame stands.
    pub(in crate::packet) placed: bool,
    /// The longest that the port can carry.
    pub(in crate::packet) most: usize,
}

/// A frame in a slot: where it stands in the memory, and its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::packet) struct Claim {
    pub(in crate::packet) at: usize,
    pub(in crate::packet) len: usize,
}

/// A ring for what is sent.
#[derive(Debug)]
pub(in crate::packet) struct TransmitRing {
    memory: Arc<dyn Memory>,
    geometry: Geometry,
    /// Where it begins: behind the ring for what arrives, if there is one.
    begin: usize,
    /// The slot whose turn it is.
    head: usize,
}

impl TransmitRing {
    pub(in crate::packet) fn new(memory: Arc<dyn Memory>, geometry: Geometry, begin: usize) -> Self {
        TransmitRing { memory, geometry, begin, head: 0 }
    }

    /// The memory that the claims are about.
    pub(in crate::packet) fn memory(&self) -> &dyn Memory {
        &*self.memory
    }

    /// The frame whose turn it is, if the program wants one to be sent. It lies within the slot, whatever the program wrote.
    pub(in crate::packet) fn next(&self, rules: &Rules) -> Option<Result<Claim, SendError>> {
        let word = |at: usize| self.memory.load(self.slot() + at);
        (word(self.words().status) == REQUEST).then(|| self.claim(rules, word))
    }

    fn claim(&self, rules: &Rules, word: impl Fn(usize) -> u32) -> Result<Claim, SendError> {
        let words = self.words();
        let least = self.geometry.version.address_at();
        if self.geometry.version == Version::V3 && word(0) != 0 {
            // Frames of different sizes, one behind the other: not even Linux.
            return Err(SendError::Malformed);
        }
        let len = word(words.len) as usize;
        // A slot is never shorter than its header.
        if len > (self.geometry.frame_size - least).min(rules.most) {
            return Err(SendError::MessageSize);
        }
        let place = if rules.placed {
            let [mac0, mac1, net0, net1] = word(words.places).to_ne_bytes();
            let place = usize::from(u16::from_ne_bytes(if rules.cooked { [net0, net1] } else { [mac0, mac1] }));
            if !(least..=self.geometry.frame_size - len).contains(&place) {
                return Err(SendError::Malformed);
            }
            place
        } else {
            least
        };
        Ok(Claim { at: self.slot() + place, len })
    }

    /// The frame was copied, or is passed over: the slot is the program's, and the next one has its turn.
    pub(in crate::packet) fn advance(&mut self) {
        self.memory.store(self.slot() + self.words().status, AVAILABLE);
        self.head = (self.head + 1) % self.geometry.slots();
    }

    /// The frame cannot be sent: the slot keeps its turn.
    pub(in crate::packet) fn refuse(&mut self) {
        self.memory.store(self.slot() + self.words().status, WRONG_FORMAT);
    }

    fn slot(&self) -> usize {
        self.begin + self.geometry.slot(self.head)
    }

    fn words(&self) -> Words {
        match self.geometry.version {
            Version::V1 => Words { status: status::low_half(), len: 8, places: 16 },
            Version::V2 => Words { status: 0, len: 4, places: 12 },
            Version::V3 => Words { status: 20, len: 16, places: 24 },
        }
    }
}

/// Where in a slot its words stand.
struct Words {
    status: usize,
    len: usize,
    /// `tp_mac`, and `tp_net` behind it.
    places: usize,
}

#[cfg(test)]
mod tests {
    use super::super::tests::Shared;
    use super::super::{CONTROL_LEN, Request};
    use super::*;
    use proptest::prelude::*;

    const RULES: Rules = Rules { cooked: false, placed: false, most: 1518 };
    const TWO_SLOTS: Request =
        Request { block_size: 4096, blocks: 1, frame_size: 2048, frames: 2, retire_after: 0, private: 0, features: 0 };

    fn ring(version: Version, asked: &Request, begin: usize) -> (TransmitRing, Shared) {
        let geometry = Geometry::check(version, 0, false, asked).unwrap().unwrap();
        let shared = Shared::new(begin + geometry.len() + CONTROL_LEN);
        (TransmitRing::new(Arc::new(shared.clone()), geometry, begin), shared)
    }

    #[test]
    fn slots_are_sent_in_turn_and_the_first_that_asks_for_nothing_ends_it() {
        for (version, status, len, data) in
            [(Version::V1, 0, 8, 32), (Version::V2, 0, 4, 32), (Version::V3, 20, 16, 48)]
        {
            let (mut ring, shared) = ring(version, &TWO_SLOTS, 8192);
            assert_eq!(ring.next(&RULES), None);
            for (slot, bytes) in [(8192, 60), (8192 + 2048, 61)] {
                shared.store(slot + len, bytes);
                shared.store(slot + status, REQUEST);
                assert_eq!(ring.next(&RULES), Some(Ok(Claim { at: slot + data, len: bytes as usize })));
                ring.advance();
                assert_eq!(shared.word(slot + status), AVAILABLE);
            }
            assert_eq!(ring.next(&RULES), None);
            shared.store(8192 + len, 1519);
            shared.store(8192 + status, REQUEST);
            assert_eq!(ring.next(&RULES), Some(Err(SendError::MessageSize)));
            ring.refuse();
            assert_eq!((shared.word(8192 + status), ring.next(&RULES)), (WRONG_FORMAT, None));
        }
    }

    proptest! {
        /// Whatever a program writes into its slots: a claim lies in its own slot, behind the header.
        #[test]
        fn a_claim_is_within_its_slot(
            version in prop::sample::select(vec![Version::V1, Version::V2, Version::V3]),
            words in prop::array::uniform8(prop_oneof![any::<u32>(), 0u32..3_000]),
            size in 4u32..129, cooked: bool, placed: bool, most in 0usize..70_000, head in 0usize..9,
        ) {
            let size = size * 16;
            let asked = Request { frame_size: size, frames: 4096 / size, ..TWO_SLOTS };
            prop_assume!(Geometry::check(version, 0, false, &asked).is_ok());
            let (mut ring, shared) = ring(version, &asked, 4096);
            for _ in 0..head {
                ring.advance();
            }
            let slot = ring.slot();
            for (at, word) in words.into_iter().enumerate() {
                shared.store(slot + 4 * at, word);
            }
            shared.store(slot + ring.words().status, REQUEST);
            let rules = Rules { cooked, placed, most };
            if let Some(Ok(Claim { at, len })) = ring.next(&rules) {
                prop_assert!(len <= most && at >= slot + version.address_at() && at + len <= slot + size as usize);
            }
        }
    }
}
