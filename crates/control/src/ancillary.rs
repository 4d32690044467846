//! Lists of control messages, as `sendmsg` and `recvmsg` have them: `struct cmsghdr` of 64-bit Linux.
//!
//! ```text
//!   0        8       12     16
//!   | length | level | kind | data ... | zeros up to a multiple of eight |
//! ```
//!
//! The length counts header and data. What a program attaches is walked as Linux walks it ([`messages`]); what the node has for a program it
//! builds whole ([`put`]), and the shim cuts it for the program's buffer as Linux cuts ([`cut`], `put_cmsg`).
//!
//! RFC 3542 section 20, POSIX.1-2017 `<sys/socket.h>`, Linux cmsg(3).

use crate::Malformed;

/// Bytes before each message's data.
pub const HEADER_LEN: usize = 16;

/// One control message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// The level, as in `setsockopt`.
    pub level: i32,
    /// What it is.
    pub kind: i32,
    /// Its data.
    pub data: &'a [u8],
}

/// The messages of a list. A length that is shorter than the header, or longer than the list, ends it with an error.
pub fn messages(list: &[u8]) -> impl Iterator<Item = Result<Message<'_>, Malformed>> {
    let mut rest = list;
    std::iter::from_fn(move || {
        let (head, _) = rest.split_first_chunk::<HEADER_LEN>()?;
        let Some((len, data)) = length(head).and_then(|len| Some((len, rest.get(HEADER_LEN..len)?))) else {
            rest = &[];
            return Some(Err(Malformed::Field("length of a control message")));
        };
        let [level, kind] = [[head[8], head[9], head[10], head[11]], [head[12], head[13], head[14], head[15]]];
        rest = rest.get(len.next_multiple_of(8)..).unwrap_or_default();
        Some(Ok(Message { level: i32::from_ne_bytes(level), kind: i32::from_ne_bytes(kind), data }))
    })
}

/// A message's length, if it can be one.
fn length(head: &[u8; HEADER_LEN]) -> Option<usize> {
    let bytes = head.first_chunk::<8>()?;
    // No list is longer than memory, so the next multiple of eight does not overflow either.
    usize::try_from(u64::from_ne_bytes(*bytes)).ok().filter(|&len| len <= isize::MAX as usize)
}

/// Adds a message to a list.
pub fn put(list: &mut Vec<u8>, level: i32, kind: i32, data: &[u8]) {
    list.extend((HEADER_LEN as u64 + data.len() as u64).to_ne_bytes());
    list.extend(level.to_ne_bytes());
    list.extend(kind.to_ne_bytes());
    list.extend_from_slice(data);
    list.resize(list.len().next_multiple_of(8), 0);
}

/// Cuts a list for a buffer of `room` bytes: how many bytes it has there, and whether something was lost (`MSG_CTRUNC`).
///
/// The last message may be cut in its data, and its length says so. Where not even its header finds room nothing of it is left.
pub fn cut(list: &mut [u8], room: usize) -> (usize, bool) {
    let mut at = 0;
    while let Some(rest) = list.get_mut(at..).filter(|rest| rest.len() >= HEADER_LEN) {
        let left = room.saturating_sub(at).min(rest.len());
        let len = rest.first_chunk().and_then(length).unwrap_or(rest.len()).max(HEADER_LEN);
        if left < HEADER_LEN {
            return (at, true);
        }
        if left < len {
            rest[..8].copy_from_slice(&(left as u64).to_ne_bytes());
            return (at + left, true);
        }
        at += len.next_multiple_of(8).min(left);
    }
    (at, false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list() -> Vec<u8> {
        let mut list = Vec::new();
        put(&mut list, 1, 29, &[1; 16]);
        put(&mut list, 0, 1, &[2]);
        put(&mut list, 41, 50, &[3; 20]);
        list
    }

    #[test]
    fn what_is_put_is_found() {
        let list = list();
        assert_eq!(list.len(), 32 + 24 + 40);
        let found: Vec<_> = messages(&list).collect::<Result<_, _>>().expect("well formed");
        let expected = [(1, 29, &[1; 16][..]), (0, 1, &[2]), (41, 50, &[3; 20])];
        assert_eq!(found, expected.map(|(level, kind, data)| Message { level, kind, data }));
        // Neither needs the last one padding, nor is what is shorter than a header a message.
        assert_eq!(messages(&list[..list.len() - 4]).filter(Result::is_ok).count(), 3);
        assert_eq!(messages(&list[..15]).count(), 0);
    }

    #[test]
    fn what_does_not_fit_is_cut_and_told() {
        let whole = list();
        for room in 0..=whole.len() + 8 {
            let mut cut_list = whole.clone();
            let (len, lost) = cut(&mut cut_list, room);
            assert!(len <= room);
            // Padding at the end need not fit.
            assert_eq!(lost, room < whole.len() - 4, "{room}");
            let left: Vec<_> = messages(&cut_list[..len]).collect::<Result<_, _>>().expect("well formed");
            for (left, whole) in left.iter().zip(messages(&whole).flatten()) {
                assert_eq!((left.level, left.kind), (whole.level, whole.kind));
                assert!(whole.data.starts_with(left.data));
            }
            let expected = [16, 32 + 16, 32 + 24 + 16].into_iter().filter(|&least| room >= least).count();
            assert_eq!(left.len(), expected, "{room}");
        }
    }

    #[test]
    fn lying_lengths_are_refused() {
        for len in [0u64, 1, 15, 97, 300, u64::MAX, u64::MAX - 7, 1 << 63, (1 << 63) - 1] {
            let mut list = list();
            list[..8].copy_from_slice(&len.to_ne_bytes());
            assert!(messages(&list).next().expect("one").is_err(), "{len}");
            assert_eq!(messages(&list).count(), 1);
            assert!(cut(&mut list, 1000).0 <= list.len());
            assert!(cut(&mut list, 20).0 <= 20);
        }
    }
}
