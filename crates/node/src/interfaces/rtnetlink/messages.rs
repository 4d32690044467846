//! Netlink's messages: a header, a fixed part by the message's type, and attributes, each aligned to four bytes.
//!
//! # Standards
//!
//! netlink(7), `linux/netlink.h`; RFC 3549 §2.3.

/// The header: length, type, flags, sequence, port.
pub(crate) const HEADER_LEN: usize = 16;

pub(crate) const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;

pub(crate) const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_MULTI: u16 = 0x2;
pub(crate) const NLM_F_ACK: u16 = 0x4;
/// Either bit of it: NLM_F_ROOT, NLM_F_MATCH.
pub(crate) const NLM_F_DUMP: u16 = 0x300;
/// In an error: of what was asked only the header comes back.
const NLM_F_CAPPED: u16 = 0x100;
/// In an error: attributes follow.
const NLM_F_ACK_TLVS: u16 = 0x200;
/// In a dump: some were left out, as was asked for.
const NLM_F_DUMP_FILTERED: u16 = 0x20;

/// In an error: what it says to people.
const NLMSGERR_ATTR_MSG: u16 = 1;

/// What a program asks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request<'a> {
    pub(crate) kind: u16,
    pub(crate) flags: u16,
    pub(crate) sequence: u32,
    /// What follows the header.
    pub(crate) body: &'a [u8],
    /// All of it, with the header.
    pub(crate) whole: &'a [u8],
}

impl<'a> Request<'a> {
    /// The first request of several, and those that follow it; `None` where a length cannot be one.
    pub(crate) fn split(bytes: &'a [u8]) -> Option<(Request<'a>, &'a [u8])> {
        let len = word(bytes, 0)? as usize;
        let whole = bytes.get(..len).filter(|whole| whole.len() >= HEADER_LEN)?;
        let rest = bytes.get(len.next_multiple_of(4)..).unwrap_or_default();
        let (kind, flags, sequence) = (half(bytes, 4)?, half(bytes, 6)?, word(bytes, 8)?);
        Some((Request { kind, flags, sequence, body: &whole[HEADER_LEN..], whole }, rest))
    }

    pub(crate) fn is_dump(&self) -> bool {
        self.flags & NLM_F_DUMP != 0
    }

    /// A byte of the fixed part; zero where it ends before.
    pub(crate) fn byte(&self, at: usize) -> u8 {
        self.body.get(at).copied().unwrap_or(0)
    }

    /// Four bytes of it.
    pub(crate) fn word(&self, at: usize) -> u32 {
        word(self.body, at).unwrap_or(0)
    }

    /// The attributes behind a fixed part of this length.
    pub(crate) fn attributes(&self, fixed: usize) -> Attributes<'a> {
        Attributes(self.body.get(fixed..).unwrap_or_default())
    }
}

impl Attributes<'_> {
    /// Whether there are bytes behind the last that was whole; ask when there is no next one.
    pub(crate) fn is_cut_off(&self) -> bool {
        !self.0.is_empty()
    }
}

/// Attributes, one after another. What is cut off ends them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attributes<'a>(&'a [u8]);

impl<'a> Attributes<'a> {
    /// The value of one of that kind; of several the last, as the kernel has it.
    pub(crate) fn find(self, kind: u16) -> Option<&'a [u8]> {
        self.filter(|(found, _)| *found == kind).last().map(|(_, value)| value)
    }

    /// The same of one that holds a number.
    pub(crate) fn number(self, kind: u16) -> Option<u32> {
        self.find(kind).and_then(|value| word(value, 0))
    }

    /// The same of one that holds a text.
    pub(crate) fn text(self, kind: u16) -> Option<&'a str> {
        let value = self.find(kind)?;
        std::str::from_utf8(value.split(|&byte| byte == 0).next()?).ok()
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        /// Flags: nested, in the network's order.
        const KIND: u16 = 0x3fff;
        let (len, kind) = (usize::from(half(self.0, 0)?), half(self.0, 2)? & KIND);
        let value = self.0.get(4..len)?;
        self.0 = self.0.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    }
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|&bytes| u16::from_ne_bytes(bytes))
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|&bytes| u32::from_ne_bytes(bytes))
}

/// Messages to a program, one after another.
#[derive(Debug)]
pub(crate) struct Messages {
    bytes: Vec<u8>,
    flags: u16,
    sequence: u32,
    /// Of the socket that asked.
    port: u32,
    /// They tell of what is no more: RTM_DEL... is one more than RTM_NEW....
    gone: bool,
}

impl Messages {
    /// For a file: no sequence, and nobody's port.
    pub(crate) fn file() -> Messages {
        Messages { bytes: Vec::new(), flags: NLM_F_MULTI, sequence: 0, port: 0, gone: false }
    }

    /// The answer to a request of the socket at `port`: one message, or, to what asks for a dump, several and an end.
    pub(crate) fn answer(request: &Request<'_>, port: u32) -> Messages {
        let flags = if request.is_dump() { NLM_F_MULTI } else { 0 };
        Messages { bytes: Vec::new(), flags, sequence: request.sequence, port, gone: false }
    }

    /// What nobody has asked for: something came, or is gone.
    pub(crate) fn change(gone: bool) -> Messages {
        Messages { bytes: Vec::new(), flags: 0, sequence: 0, port: 0, gone }
    }

    /// From here on messages say that some are left out.
    pub(crate) fn filtered(&mut self) {
        self.flags |= NLM_F_DUMP_FILTERED;
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// A message: its type, its fixed part, and what `fill` adds.
    pub(crate) fn message(&mut self, kind: u16, fixed: &[u8], fill: impl FnOnce(&mut Self)) {
        let start = self.bytes.len();
        self.bytes.extend([0; 4]);
        self.bytes.extend((kind + u16::from(self.gone)).to_ne_bytes());
        self.bytes.extend(self.flags.to_ne_bytes());
        self.bytes.extend(self.sequence.to_ne_bytes());
        self.bytes.extend(self.port.to_ne_bytes());
        self.bytes.extend(fixed);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        fill(self);
        let len = (self.bytes.len() - start) as u32;
        self.bytes[start..start + 4].copy_from_slice(&len.to_ne_bytes());
    }

    pub(crate) fn attribute(&mut self, kind: u16, value: &[u8]) {
        self.bytes.extend((value.len() as u16 + 4).to_ne_bytes());
        self.bytes.extend(kind.to_ne_bytes());
        self.bytes.extend(value);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    pub(crate) fn text(&mut self, kind: u16, text: &str) {
        self.attribute(kind, &[text.as_bytes(), &[0]].concat());
    }

    pub(crate) fn number(&mut self, kind: u16, number: u32) {
        self.attribute(kind, &number.to_ne_bytes());
    }

    pub(crate) fn address(&mut self, kind: u16, address: std::net::IpAddr) {
        match address {
            std::net::IpAddr::V4(address) => self.attribute(kind, &address.octets()),
            std::net::IpAddr::V6(address) => self.attribute(kind, &address.octets()),
        }
    }

    /// The end of a dump, with an error and what it says to people if it was refused.
    pub(crate) fn done(&mut self, refused: Option<(i32, Option<&str>)>) {
        let (errno, text) = refused.unwrap_or((0, None));
        if text.is_some() {
            self.flags |= NLM_F_ACK_TLVS;
        }
        self.message(NLMSG_DONE, &(-errno).to_ne_bytes(), |messages| {
            if let Some(text) = text {
                messages.text(NLMSGERR_ATTR_MSG, text);
            }
        });
    }

    /// `struct nlmsgerr`: what became of a request, 0 or an error; `text` says it to people who asked for words, and `capped` that only its header is
    /// to come back.
    pub(crate) fn outcome(request: &Request<'_>, port: u32, errno: i32, text: Option<&str>, capped: bool) -> Vec<u8> {
        // Of what was fine nothing comes back but the header.
        let back = if errno != 0 && !capped { request.whole } else { &request.whole[..HEADER_LEN] };
        let text = text.filter(|_| errno != 0);
        let cut = if errno == 0 || capped { NLM_F_CAPPED } else { 0 };
        let flags = cut | if text.is_some() { NLM_F_ACK_TLVS } else { 0 };
        let mut messages = Messages { bytes: Vec::new(), flags, sequence: request.sequence, port, gone: false };
        messages.message(NLMSG_ERROR, &[&(-errno).to_ne_bytes(), back].concat(), |messages| {
            if let Some(text) = text {
                messages.text(NLMSGERR_ATTR_MSG, text);
            }
        });
        messages.bytes
    }
}

/// How many of these bytes, which are messages, make one datagram of at most `most`: a whole number of messages, and at least one. The end of a dump is
/// one of its own, as on Linux: there are programs that read until the first message of a datagram is the end.
pub(crate) fn datagram(bytes: &[u8], most: usize) -> usize {
    let mut at = 0;
    while let Some(rest) = bytes.get(at..)
        && let Some(len) = word(rest, 0)
    {
        let end = at + (len as usize).next_multiple_of(4);
        let is_end = rest.get(4..6) == Some(&NLMSG_DONE.to_ne_bytes());
        if at > 0 && (is_end || end > most) {
            break;
        }
        at = end;
    }
    at.min(bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(kind: u16, flags: u16, body: &[u8]) -> Vec<u8> {
        let mut bytes = ((HEADER_LEN + body.len()) as u32).to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(flags.to_ne_bytes());
        bytes.extend([7, 0, 0, 0, 0, 0, 0, 0]);
        bytes.extend(body);
        bytes
    }

    #[test]
    fn requests_are_read_one_after_another_and_lies_end_them() {
        let mut two = request(18, NLM_F_REQUEST | NLM_F_DUMP, &[1, 2, 3, 4, 5]);
        two.resize(two.len().next_multiple_of(4), 0);
        two.extend(request(22, NLM_F_REQUEST, &[]));
        let (first, rest) = Request::split(&two).expect("one");
        assert_eq!((first.kind, first.sequence, first.body, first.is_dump()), (18, 7, &[1, 2, 3, 4, 5][..], true));
        let (second, rest) = Request::split(rest).expect("another");
        assert_eq!((second.kind, second.body.len(), rest.len()), (22, 0, 0));
        for len in [0, 1, 15, 17, u32::MAX] {
            let mut lie = request(22, 0, &[]);
            lie[..4].copy_from_slice(&len.to_ne_bytes());
            assert!(Request::split(&lie).is_none(), "{len}");
        }
        assert!(Request::split(&two[..15]).is_none());
    }

    #[test]
    fn attributes_end_where_they_are_cut_off() {
        let mut messages = Messages::file();
        messages.number(4, 2);
        messages.text(3, "eth0");
        messages.number(0x8000 | 4, 3);
        let whole = messages.into_bytes();
        let find = |bytes: &[u8]| Attributes(bytes).number(4);
        assert_eq!((find(&whole), Attributes(&whole).text(3)), (Some(3), Some("eth0")));
        for len in 0..whole.len() {
            assert!(find(&whole[..len]).is_none_or(|first| first == 2), "{len}");
        }
        for len in [0u16, 3, 9, u16::MAX] {
            let mut lie = whole[..8].to_vec();
            lie[..2].copy_from_slice(&len.to_ne_bytes());
            assert_eq!(find(&lie), None, "{len}");
        }
    }

    #[test]
    fn a_datagram_holds_whole_messages() {
        let mut messages = Messages::file();
        for len in [20, 3, 40, 0] {
            messages.message(16, &vec![0; len], |_| ());
        }
        let whole = messages.into_bytes();
        // 36, 20, 56 and 16 bytes.
        let mut cut = Vec::new();
        let mut rest = &whole[..];
        while !rest.is_empty() {
            let len = datagram(rest, 57);
            cut.push(len);
            rest = &rest[len..];
        }
        assert_eq!(cut, [56, 56, 16]);
        assert_eq!(datagram(&whole, 1), 36);
        assert_eq!(datagram(&[], 57), 0);
    }

    #[test]
    fn an_error_brings_back_what_was_asked_and_says_why() {
        let bytes = request(16, NLM_F_REQUEST | NLM_F_ACK, &[1; 8]);
        let (request, _) = Request::split(&bytes).expect("one");
        let plain = Messages::outcome(&request, 9, 1, None, false);
        assert_eq!((plain.len(), half(&plain, 6), word(&plain, 16)), (16 + 4 + 24, Some(0), Some(-1i32 as u32)));
        assert_eq!((word(&plain, 8), word(&plain, 12), &plain[20..]), (Some(7), Some(9), &bytes[..]));
        let told = Messages::outcome(&request, 9, 95, Some("no"), true);
        assert_eq!((half(&told, 6), told.len()), (Some(NLM_F_CAPPED | NLM_F_ACK_TLVS), 16 + 4 + 16 + 8));
        let fine = Messages::outcome(&request, 9, 0, Some("not said"), false);
        assert_eq!((half(&fine, 6), fine.len()), (Some(NLM_F_CAPPED), 16 + 4 + 16));
    }
}
