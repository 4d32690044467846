//! What a program asks for a ring to be like, and whether it can be.

/// More than a ring may be: what one program may have of the node's memory.
const MAX_LEN: u64 = 256 << 20;
const PAGE: u32 = 4_096;
/// `TPACKET_ALIGNMENT`.
const ALIGNMENT: u32 = 16;
/// `struct tpacket_block_desc`.
pub(super) const BLOCK_HEADER: usize = 48;

/// `PACKET_VERSION`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Version {
    /// `TPACKET_V1`.
    #[default]
    V1,
    /// `TPACKET_V2`.
    V2,
    /// `TPACKET_V3`.
    V3,
}

impl Version {
    /// Bytes of the header before each frame, with the address behind it: `TPACKET_HDRLEN` and its kin.
    pub(super) fn header_len(self) -> usize {
        self.address_at() + 20
    }

    /// Where the address stands.
    pub(super) fn address_at(self) -> usize {
        match self {
            Version::V1 | Version::V2 => 32,
            Version::V3 => 48,
        }
    }
}

/// `struct tpacket_req`, `struct tpacket_req3`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Request {
    /// Bytes of a block.
    pub block_size: u32,
    /// How many; 0 ends the ring.
    pub blocks: u32,
    /// Bytes of a slot.
    pub frame_size: u32,
    /// How many; must be what fits.
    pub frames: u32,
    /// Milliseconds after which a block that is not full is the program's.
    pub retire_after: u32,
    /// Bytes at the beginning of a block that are the program's.
    pub private: u32,
    /// Only one is known, `TP_FT_REQ_FILL_RXHASH`.
    pub features: u32,
}

/// Why a ring cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The numbers contradict each other, or a rule.
    Invalid,
    /// It is too large.
    NoMemory,
}

/// A ring that can be: each slot and each block lies within it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    pub(super) version: Version,
    pub(super) block_size: usize,
    pub(super) blocks: usize,
    pub(super) frame_size: usize,
    pub(super) frames_per_block: usize,
    /// With the block's header and up to a multiple of eight: where the first frame stands.
    pub(super) first: usize,
    pub(super) retire_after: u32,
    /// `TP_FT_REQ_FILL_RXHASH`.
    pub(super) flows: bool,
}

impl Geometry {
    /// Checks what a program asks for, by the kernel's rules. `None`: no ring.
    pub fn check(version: Version, reserve: u32, receive: bool, asked: &Request) -> Result<Option<Self>, Refused> {
        let Request { block_size, blocks, frame_size, frames, retire_after, private, features } = *asked;
        if blocks == 0 {
            return if frames == 0 { Ok(None) } else { Err(Refused::Invalid) };
        }
        let must = |holds: bool| if holds { Ok(()) } else { Err(Refused::Invalid) };
        must(block_size.cast_signed() > 0 && block_size.is_multiple_of(PAGE))?;
        // All in 64 bits, where no sum of these wraps.
        let least = version.header_len() as u64 + u64::from(reserve);
        let first = BLOCK_HEADER as u64 + u64::from(private).next_multiple_of(8);
        if version == Version::V3 {
            must(u64::from(block_size) >= first + least)?;
            must(receive || (retire_after == 0 && private == 0 && features == 0))?;
        }
        must(u64::from(frame_size) >= least && frame_size.is_multiple_of(ALIGNMENT))?;
        let frames_per_block = block_size / frame_size;
        must(frames_per_block > 0)?;
        must(u64::from(frames_per_block) * u64::from(blocks) == u64::from(frames))?;
        if u64::from(block_size) * u64::from(blocks) > MAX_LEN {
            return Err(Refused::NoMemory);
        }
        Ok(Some(Geometry {
            version,
            block_size: block_size as usize,
            blocks: blocks as usize,
            frame_size: frame_size as usize,
            frames_per_block: frames_per_block as usize,
            first: first as usize,
            retire_after,
            flows: version == Version::V3 && features & 1 != 0,
        }))
    }

    /// Bytes of the whole ring.
    #[expect(clippy::len_without_is_empty, reason = "a ring is never empty")]
    pub fn len(&self) -> usize {
        self.block_size * self.blocks
    }

    /// How many slots there are.
    pub(super) fn slots(&self) -> usize {
        self.frames_per_block * self.blocks
    }

    /// Where a slot begins. Blocks may have room left behind their last slot.
    pub(super) fn slot(&self, index: usize) -> usize {
        index / self.frames_per_block * self.block_size + index % self.frames_per_block * self.frame_size
    }
}
