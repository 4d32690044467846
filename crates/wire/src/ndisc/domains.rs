//! Domain names in a search list: labels with their lengths before them, a zero after each name, zeros after the last.
//!
//! # Standards
//!
//! RFC 8106 §5.2 (the option: no compression); RFC 1035 §3.1 (names), §5.1 (`\` in text); limits from §2.3.4.

use core::fmt;
use core::iter::FusedIterator;

use crate::Malformed;

/// The longest label, and the longest name with all lengths and the last zero.
const MAX_LABEL: usize = 63;
const MAX_NAME: usize = 255;

/// Names in bytes, one at least; each is whole and of a length that names may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Domains<'a> {
    bytes: &'a [u8],
}

impl<'a> Domains<'a> {
    /// Checks names. Zeros after the last one are cut off.
    pub fn parse(bytes: &'a [u8]) -> Result<Domains<'a>, Malformed> {
        let mut rest = bytes;
        while let Some(len) = name_len(rest)? {
            rest = &rest[len..];
        }
        if rest.len() == bytes.len() {
            return Err(Malformed::OptionLength);
        }
        Ok(Domains { bytes: &bytes[..bytes.len() - rest.len()] })
    }

    /// The names one by one.
    pub fn iter(&self) -> impl FusedIterator<Item = Domain<'a>> + Clone + use<'a> {
        let mut rest = self.bytes;
        core::iter::from_fn(move || {
            let (name, after) = rest.split_at(name_len(rest).ok()??);
            rest = after;
            Some(Domain { bytes: name })
        })
        .fuse()
    }

    /// The names in bytes, without zeros after the last.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }
}

/// A name. It is shown with dots between labels; what is no letter, digit, `-` or `_` as RFC 1035 escapes it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Domain<'a> {
    bytes: &'a [u8],
}

impl<'a> Domain<'a> {
    /// Its labels.
    pub fn labels(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let mut rest = self.bytes;
        core::iter::from_fn(move || {
            let (&len, after) = rest.split_first()?;
            let (label, after) = after.split_at_checked(usize::from(len))?;
            rest = after;
            (!label.is_empty()).then_some(label)
        })
    }
}

impl fmt::Display for Domain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, label) in self.labels().enumerate() {
            if index > 0 {
                f.write_str(".")?;
            }
            for &byte in label {
                match byte {
                    b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => write!(f, "{}", char::from(byte))?,
                    _ => write!(f, "\\{byte:03}")?,
                }
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Domain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Writes a name and says how long it is in bytes. A dot at its end may be there. None where it is no name, or the buffer
/// too short.
pub fn encode_domain(name: &str, buffer: &mut [u8]) -> Option<usize> {
    let name = name.strip_suffix('.').unwrap_or(name);
    let mut at = 0;
    for label in name.split('.') {
        if label.is_empty() || label.len() > MAX_LABEL {
            return None;
        }
        let out = buffer.get_mut(at..=at + label.len())?;
        out[0] = label.len() as u8;
        out[1..].copy_from_slice(label.as_bytes());
        at += out.len();
    }
    *buffer.get_mut(at)? = 0;
    (at < MAX_NAME).then_some(at + 1)
}

/// How long the first name is, its zero included. None where only zeros follow.
fn name_len(bytes: &[u8]) -> Result<Option<usize>, Malformed> {
    let mut at = 0;
    loop {
        match bytes.get(at).map(|&len| usize::from(len)) {
            None if at == 0 => return Ok(None),
            None => return Err(Malformed::OptionLength),
            Some(0) if at == 0 && bytes.iter().all(|&byte| byte == 0) => return Ok(None),
            Some(0) if at == 0 || at >= MAX_NAME => return Err(Malformed::OptionValue),
            Some(0) => return Ok(Some(at + 1)),
            Some(len) if len > MAX_LABEL => return Err(Malformed::OptionValue),
            Some(len) => at += 1 + len,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(names: &[&str]) -> Vec<u8> {
        let mut bytes = vec![0; 600];
        let mut at = 0;
        for name in names {
            at += encode_domain(name, &mut bytes[at..]).unwrap();
        }
        bytes.truncate(at);
        bytes
    }

    fn shown(bytes: &[u8]) -> Result<Vec<String>, Malformed> {
        Domains::parse(bytes).map(|domains| domains.iter().map(|domain| domain.to_string()).collect())
    }

    #[test]
    fn names_there_and_back() {
        let mut bytes = encoded(&["example.org", "lab.", "a-1.b_c.d"]);
        assert_eq!(bytes[..13], *b"\x07example\x03org\0");
        for zeros in 0..9 {
            assert_eq!(shown(&bytes).unwrap(), ["example.org", "lab", "a-1.b_c.d"], "{zeros} zeros");
            bytes.push(0);
        }
        assert_eq!(shown(b"\x04a.\"\xff\0").unwrap(), [r"a\046\034\255"]);
    }

    #[test]
    fn what_is_no_name() {
        let long = [&[63; 64][..], &[63; 64], &[63; 64], &[63; 64], &[0]].concat();
        for (bytes, reason) in [
            (&b""[..], Malformed::OptionLength),
            (b"\0\0\0\0\0\0\0\0", Malformed::OptionLength),
            (b"\x03or", Malformed::OptionLength),
            (b"\x03org", Malformed::OptionLength),
            (b"\x40org\0", Malformed::OptionValue),
            (b"\xc0\x0c\0", Malformed::OptionValue),
            (b"\x03org\0\0\x03org\0", Malformed::OptionValue),
            (&long, Malformed::OptionValue),
        ] {
            assert_eq!(shown(bytes), Err(reason), "{bytes:?}");
        }
        let mut buffer = [0; 400];
        let (label, name) = ("x".repeat(64), vec!["x".repeat(63); 4].join("."));
        for text in ["", ".", "a..b", ".a", &label, &name] {
            assert_eq!(encode_domain(text, &mut buffer), None, "{text:?}");
        }
        assert_eq!(encode_domain("org", &mut buffer[..4]), None);
        assert_eq!(encode_domain("org", &mut buffer[..5]), Some(5));
        let longest = name[..253].to_owned();
        assert_eq!(encode_domain(&longest, &mut buffer), Some(255));
        assert_eq!(shown(&buffer[..255]).unwrap(), [longest]);
    }
}
