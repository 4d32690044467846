//! What a program's file says to whoever starts it with the shim.
//!
//! The shim is in a program because the dynamic loader puts it there (ld.so(8), `LD_PRELOAD`). The loader does not for a file that has capabilities
//! (capabilities(7)): secure-execution mode. But many such files have them for the network alone, as ping has `CAP_NET_RAW`, and what somebody may do on a
//! node's network a node decides, not the kernel. So such a file is started as an argument of its loader, which has no capabilities and heeds `LD_PRELOAD`
//! ([`of_network_alone`]).
//!
//! These are pure functions of a file's bytes: the command reads the file before `run`, the shim between `vfork` and `exec`.

/// The extended attribute that holds a file's capabilities.
pub const CAPABILITIES: &core::ffi::CStr = c"security.capability";

/// `PT_INTERP`: the segment that names the loader.
pub const PT_INTERP: u32 = 3;
/// `PT_NOTE`: a segment of notes.
pub const PT_NOTE: u32 = 4;

/// The length of an ELF header.
pub const HEADER: usize = 64;
/// The length of a program header.
pub const SEGMENT: usize = 56;

/// Headers of a hostile file are not read beyond this.
const MAX_SEGMENTS: u16 = 512;

/// Bits of `CAP_NET_BIND_SERVICE`, `CAP_NET_BROADCAST`, `CAP_NET_ADMIN` and `CAP_NET_RAW`.
const NETWORK: u64 = 1 << 10 | 1 << 11 | 1 << 12 | 1 << 13;

/// Whether the capabilities of a file (`struct vfs_ns_cap_data`) are of the network alone.
pub fn of_network_alone(attribute: &[u8]) -> bool {
    const REVISION: u32 = 0xff00_0000;
    let number = |at: usize| attribute.get(at..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes));
    let (pairs, len) = match number(0).map(|magic| magic & REVISION) {
        Some(0x0100_0000) => (1, 12),
        Some(0x0200_0000) => (2, 20),
        // With the user who is root where the attribute is heeded.
        Some(0x0300_0000) => (2, 24),
        _ => return false,
    };
    // Each pair: permitted, inheritable.
    let beyond = |pair: usize| {
        let both = number(4 + 8 * pair).zip(number(8 + 8 * pair));
        both.is_none_or(|(permitted, inheritable)| u64::from(permitted | inheritable) << (32 * pair) & !NETWORK != 0)
    };
    attribute.len() == len && !(0..pairs).any(beyond)
}

/// Where the program headers of a file are, if it is a 64-bit ELF file in this machine's byte order and for this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segments {
    table: u64,
    entry: u16,
    count: u16,
}

impl Segments {
    /// What the ELF header says.
    pub fn of(header: &[u8; HEADER]) -> Option<Segments> {
        const NATIVE_DATA: u8 = if cfg!(target_endian = "little") { 1 } else { 2 };
        if !header.starts_with(b"\x7fELF") || header[4] != 2 || header[5] != NATIVE_DATA || half(header, 18) != MACHINE
        {
            return None;
        }
        Some(Segments { table: long(header, 32), entry: half(header, 54), count: half(header, 56).min(MAX_SEGMENTS) })
    }

    /// The places of the headers in the file.
    pub fn places(self) -> impl Iterator<Item = u64> {
        let count = if usize::from(self.entry) < SEGMENT { 0 } else { self.count };
        (0..count).map_while(move |index| self.table.checked_add(u64::from(index) * u64::from(self.entry)))
    }
}

/// A program header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// What it is, [`PT_INTERP`] or another.
    pub kind: u32,
    /// Where it begins in the file.
    pub offset: u64,
    /// How long it is in the file.
    pub len: u64,
}

impl Segment {
    /// What the bytes of a header say.
    pub fn of(bytes: &[u8; SEGMENT]) -> Segment {
        Segment { kind: word(bytes, 0), offset: long(bytes, 8), len: long(bytes, 32) }
    }
}

/// Whether one of these notes is the build id that Go's linker writes.
pub fn notes_of_go(mut notes: &[u8]) -> bool {
    while let Some(header) = notes.first_chunk::<12>() {
        let (name_len, len) = (word(header, 0) as usize, word(header, 4) as usize);
        let rest = &notes[12..];
        if rest.starts_with(b"Go\0\0") && name_len == 4 {
            return true;
        }
        let (Some(name), Some(description)) = (padded(name_len), padded(len)) else { return false };
        match name.checked_add(description).and_then(|skip| rest.get(skip..)) {
            Some(next) => notes = next,
            None => return false,
        }
    }
    false
}

/// Whether a library is a shim as the command writes it out, `shim-HASH.so`: this one, that of another user's directory, or of another version.
pub fn is_shim(path: &[u8]) -> bool {
    let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    let hash = name.strip_prefix(b"shim-").and_then(|rest| rest.strip_suffix(b".so"));
    hash.is_some_and(|hash| hash.len() == 16 && hash.iter().all(u8::is_ascii_hexdigit))
}

/// Whether a loader is that of musl, whose programs the shim is not for.
pub fn is_of_musl(loader: &[u8]) -> bool {
    loader.windows(7).any(|part| part == b"ld-musl")
}

fn padded(len: usize) -> Option<usize> {
    len.checked_next_multiple_of(4)
}

fn half(bytes: &[u8], at: usize) -> u16 {
    u16::from_ne_bytes([bytes[at], bytes[at + 1]])
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn long(bytes: &[u8], at: usize) -> u64 {
    let mut value = [0; 8];
    value.copy_from_slice(&bytes[at..at + 8]);
    u64::from_ne_bytes(value)
}

/// This machine's number in an ELF header.
pub const MACHINE: u16 = if cfg!(target_arch = "x86_64") {
    62
} else if cfg!(target_arch = "aarch64") {
    183
} else if cfg!(target_arch = "riscv64") {
    243
} else if cfg!(target_arch = "powerpc64") {
    21
} else if cfg!(target_arch = "s390x") {
    22
} else {
    0
};

#[cfg(test)]
mod tests {
    use super::*;

    /// An attribute of this revision: permitted and inheritable, in words as they stand.
    fn attribute(magic: u32, words: &[u32]) -> Vec<u8> {
        [magic].iter().chain(words).flat_map(|word| word.to_le_bytes()).collect()
    }

    #[test]
    fn capabilities_of_the_network_are_told_from_others() {
        // As `setcap cap_net_raw=ep` writes it: revision 2, effective.
        assert!(of_network_alone(&attribute(0x0200_0001, &[1 << 13, 0, 0, 0])));
        assert!(of_network_alone(&attribute(0x0200_0001, &[0x3c00, 0x3c00, 0, 0])));
        assert!(of_network_alone(&attribute(0x0200_0000, &[0, 0, 0, 0])), "none at all");
        assert!(of_network_alone(&attribute(0x0300_0001, &[1 << 10, 0, 0, 0, 100_000])));
        assert!(of_network_alone(&attribute(0x0100_0001, &[1 << 12, 0])));
        // CAP_SETUID, CAP_SYS_ADMIN, and one of the second word, CAP_BPF; permitted or inheritable.
        for beyond in [[1 << 7 | 1 << 13, 0, 0, 0], [0, 1 << 21, 0, 0], [1 << 13, 0, 1 << 7, 0], [0, 0, 0, 1 << 7]] {
            assert!(!of_network_alone(&attribute(0x0200_0001, &beyond)), "{beyond:x?}");
        }
    }

    #[test]
    fn what_is_no_such_attribute_is_refused() {
        let sound = attribute(0x0200_0001, &[1 << 13, 0, 0, 0]);
        for len in 0..sound.len() {
            assert!(!of_network_alone(&sound[..len]), "{len}");
        }
        assert!(!of_network_alone(&[&sound[..], &[0]].concat()));
        assert!(!of_network_alone(&attribute(0x0400_0001, &[1 << 13, 0, 0, 0])));
    }

    #[test]
    fn headers_that_lie_lead_nowhere() {
        let mut header = [0; HEADER];
        header[..6].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, if cfg!(target_endian = "little") { 1 } else { 2 }]);
        header[18..20].copy_from_slice(&MACHINE.to_ne_bytes());
        header[32..40].copy_from_slice(&64_u64.to_ne_bytes());
        header[54..56].copy_from_slice(&56_u16.to_ne_bytes());
        header[56..58].copy_from_slice(&3_u16.to_ne_bytes());
        let places = |header: &[u8; HEADER]| Segments::of(header).map(|all| all.places().collect::<Vec<_>>());
        assert_eq!(places(&header), Some(vec![64, 120, 176]));
        let mut far = header;
        far[32..40].copy_from_slice(&(u64::MAX - 60).to_ne_bytes());
        assert_eq!(places(&far), Some(vec![u64::MAX - 60, u64::MAX - 4]));
        let mut short = header;
        short[54..56].copy_from_slice(&55_u16.to_ne_bytes());
        assert_eq!(places(&short), Some(vec![]));
        header[4] = 1;
        assert_eq!(places(&header), None);
        assert!(!notes_of_go(&[0xff; 64]));
        assert!(is_shim(b"/run/sockeye/shim-0123456789abcdef.so") && !is_shim(b"/lib/shim-loader.so"));
        assert!(is_of_musl(b"/lib/ld-musl-x86_64.so.1") && !is_of_musl(b"/lib64/ld-linux-x86-64.so.2"));
    }
}
