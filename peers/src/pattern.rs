//! A stream of bytes that is a pure function of its seed: what one end sends, the other can check without having it.
//!
//! It is xorshift64*, eight bytes a step. It does not repeat at any distance that a stack's buffers could confuse, and
//! compressing or short-cutting programs find nothing in it.

use std::io::{self, Read, Write};

/// The stream, at some place of it.
#[derive(Clone, Debug)]
pub struct Pattern {
    state: u64,
    rest: [u8; 8],
    left: usize,
}

const BLOCK: usize = 64 * 1024;

impl Pattern {
    /// The stream of a seed, from its beginning.
    pub fn new(seed: u64) -> Pattern {
        Pattern { state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1, rest: [0; 8], left: 0 }
    }

    /// The next bytes of the stream.
    pub fn fill(&mut self, mut bytes: &mut [u8]) {
        while !bytes.is_empty() {
            if self.left == 0 {
                let mut chunks = bytes.chunks_exact_mut(8);
                for chunk in &mut chunks {
                    chunk.copy_from_slice(&step(&mut self.state));
                }
                bytes = chunks.into_remainder();
                if bytes.is_empty() {
                    return;
                }
                self.rest = step(&mut self.state);
                self.left = 8;
            }
            let count = bytes.len().min(self.left);
            let start = 8 - self.left;
            bytes[..count].copy_from_slice(&self.rest[start..start + count]);
            self.left -= count;
            bytes = &mut bytes[count..];
        }
    }

    /// The first `length` bytes of a seed's stream.
    pub fn bytes(seed: u64, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        Pattern::new(seed).fill(&mut bytes);
        bytes
    }

    /// Writes the first `length` bytes of a seed's stream.
    pub fn write(seed: u64, mut length: u64, to: &mut impl Write) -> io::Result<()> {
        let mut pattern = Pattern::new(seed);
        let mut block = vec![0; BLOCK];
        while length > 0 {
            let count = usize::try_from(length).map_or(BLOCK, |length| length.min(BLOCK));
            pattern.fill(&mut block[..count]);
            to.write_all(&block[..count])?;
            length -= count as u64;
        }
        Ok(())
    }

    /// Reads to the end; says what is wrong unless it was exactly the first `length` bytes of a seed's stream.
    pub fn check(seed: u64, length: u64, from: &mut impl Read) -> Result<(), String> {
        let mut pattern = Pattern::new(seed);
        let (mut heard, mut expected) = (vec![0; BLOCK], vec![0; BLOCK]);
        let mut at = 0;
        loop {
            let count = match from.read(&mut heard) {
                Ok(0) if at == length => return Ok(()),
                Ok(0) => return Err(format!("the stream ended at byte {at} of {length}")),
                Ok(count) => count,
                Err(error) => return Err(format!("the stream broke at byte {at} of {length}: {error}")),
            };
            pattern.fill(&mut expected[..count]);
            if let Some(wrong) = heard[..count].iter().zip(&expected).position(|(heard, expected)| heard != expected) {
                return Err(format!("byte {} of {length} is wrong", at + wrong as u64));
            }
            at += count as u64;
            if at > length {
                return Err(format!("the stream goes on after its {length} bytes"));
            }
        }
    }
}

fn step(state: &mut u64) -> [u8; 8] {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_of_any_size_make_the_same_stream() {
        let whole = Pattern::bytes(7, 1000);
        let mut pieces = Pattern::new(7);
        let mut joined = Vec::new();
        for size in [1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233].into_iter().cycle() {
            let mut piece = vec![0; size.min(1000 - joined.len())];
            pieces.fill(&mut piece);
            joined.extend(piece);
            if joined.len() == 1000 {
                break;
            }
        }
        assert_eq!(whole, joined);
    }

    #[test]
    fn a_check_finds_each_way_to_be_wrong() {
        let right = Pattern::bytes(1, 100_000);
        assert_eq!(Pattern::check(1, 100_000, &mut &right[..]), Ok(()));
        assert!(Pattern::check(2, 100_000, &mut &right[..]).is_err());
        assert!(Pattern::check(1, 100_001, &mut &right[..]).is_err());
        assert!(Pattern::check(1, 99_999, &mut &right[..]).is_err());
        let mut wrong = right.clone();
        wrong[70_000] ^= 1;
        assert_eq!(Pattern::check(1, 100_000, &mut &wrong[..]), Err("byte 70000 of 100000 is wrong".into()));
    }
}
