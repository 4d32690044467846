//! Big-endian fields of a header that is held as an array: with a constant offset the bounds check is the compiler's.

/// The 16-bit field at `at`.
#[inline(always)]
pub(crate) fn u16_at<const N: usize>(header: &[u8; N], at: usize) -> u16 {
    u16::from_be_bytes([header[at], header[at + 1]])
}

/// The 32-bit field at `at`.
#[inline(always)]
pub(crate) fn u32_at<const N: usize>(header: &[u8; N], at: usize) -> u32 {
    u32::from_be_bytes(array_at(header, at))
}

/// The `M` bytes at `at`.
#[inline(always)]
pub(crate) fn array_at<const M: usize, const N: usize>(header: &[u8; N], at: usize) -> [u8; M] {
    core::array::from_fn(|index| header[at + index])
}

/// Stores `bytes` at `at`.
#[inline(always)]
pub(crate) fn put<const M: usize, const N: usize>(header: &mut [u8; N], at: usize, bytes: [u8; M]) {
    header[at..at + M].copy_from_slice(&bytes);
}

/// The first `N` bytes of a buffer to write to, and what follows them.
///
/// # Panics
///
/// When the buffer is shorter: whoever emits has asked `header_len` first.
#[inline(always)]
#[track_caller]
pub(crate) fn split<const N: usize>(buffer: &mut [u8]) -> (&mut [u8; N], &mut [u8]) {
    buffer.split_first_chunk_mut().expect("a buffer as long as the header")
}
