//! What a request may say on a socket that means what it says (NETLINK_GET_STRICT_CHK).
//!
//! Other sockets may leave garbage in a request, and old programs do. A strict one is told of each field and attribute
//! that would not be heeded, so that nobody takes all there is for the answer to a narrower question.
//!
//! # Standards
//!
//! netlink(7); what Linux refuses for each kind.

use sockeye_socket::Errno;

use super::messages::Request;
use super::{AF_BRIDGE, RTM_GETADDR, RTM_GETLINK, RTM_GETNEIGH, RTM_GETROUTE, RTM_GETRULE, Refused};

/// The form of a request.
struct Form {
    /// Length of the fixed part.
    fixed: usize,
    /// Bytes of it that are heeded; the others are zero.
    heeded: &'static [usize],
    /// Where a word of flags stands, and those that are.
    flags: Option<(usize, u32)>,
    /// Attributes that are.
    attributes: &'static [u16],
    /// Those of them that are no numbers.
    names: &'static [u16],
}

impl Form {
    const NOTHING: Form = Form { fixed: 0, heeded: &[0], flags: None, attributes: &[], names: &[] };
}

/// Refuses what will not be heeded.
pub(super) fn check(request: &Request<'_>) -> Result<(), Refused> {
    /// RTM_F_CLONED, RTM_F_PREFIX.
    const ROUTES: u32 = 0xa00;
    /// NTF_PROXY; beside it stand the state and the type.
    const PROXIES: u32 = u32::from_ne_bytes([0, 0, 0x08, 0]);
    let form = match request.kind {
        // Bridges have forms of their own, and there are none.
        RTM_GETLINK | RTM_GETNEIGH if request.is_dump() && request.byte(0) == AF_BRIDGE => return Ok(()),
        // IFLA_MASTER, IFLA_LINKINFO, IFLA_EXT_MASK.
        RTM_GETLINK if request.is_dump() => Form { fixed: 16, attributes: &[10, 18, 29], ..Form::NOTHING },
        // The index; IFLA_IFNAME, IFLA_EXT_MASK, IFLA_ALT_IFNAME.
        RTM_GETLINK => {
            Form { fixed: 16, heeded: &[0, 4, 5, 6, 7], attributes: &[3, 29, 53], names: &[3, 53], ..Form::NOTHING }
        }
        // The index.
        RTM_GETADDR if request.is_dump() => Form { fixed: 8, heeded: &[0, 4, 5, 6, 7], ..Form::NOTHING },
        // And IFA_ADDRESS, IFA_LOCAL.
        RTM_GETADDR => Form { fixed: 8, heeded: &[0, 4, 5, 6, 7], attributes: &[1, 2], ..Form::NOTHING },
        // Table, protocol and type; RTA_OIF, RTA_TABLE.
        RTM_GETROUTE if request.is_dump() => {
            Form { fixed: 12, heeded: &[0, 4, 5, 7], flags: Some((8, ROUTES)), attributes: &[4, 15], ..Form::NOTHING }
        }
        // NDA_IFINDEX, NDA_MASTER.
        RTM_GETNEIGH if request.is_dump() => {
            Form { fixed: 12, flags: Some((8, PROXIES)), attributes: &[8, 9], ..Form::NOTHING }
        }
        RTM_GETRULE if request.is_dump() => Form { fixed: 12, ..Form::NOTHING },
        _ => return Ok(()),
    };
    let refuse = |text| Err(Refused(Errno::EINVAL, text));
    let Some(fixed) = request.body.get(..form.fixed) else { return refuse("the header is cut off") };
    let in_flags = |at: usize| form.flags.is_some_and(|(word, _)| (word..word + 4).contains(&at));
    let idle = |at: &usize| !form.heeded.contains(at) && !in_flags(*at);
    let unknown_flags = form.flags.map_or(0, |(at, known)| request.word(at) & !known);
    if (0..fixed.len()).filter(idle).any(|at| fixed[at] != 0) || unknown_flags != 0 {
        return refuse("the header has a value that is not heeded in a request of this kind");
    }
    let mut attributes = request.attributes(form.fixed);
    for (kind, value) in attributes.by_ref() {
        if !form.attributes.contains(&kind) {
            return refuse("there is an attribute that is not heeded in a request of this kind");
        }
        // They hold numbers, or others, of which there may be none.
        if (1..4).contains(&value.len()) && !form.names.contains(&kind) {
            return Err(Refused(Errno::ERANGE, "an attribute is too short"));
        }
    }
    if attributes.is_cut_off() { refuse("there are bytes behind the last attribute") } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::super::messages::HEADER_LEN;
    use super::*;

    fn checked(kind: u16, body: &[u8]) -> Result<(), Errno> {
        let mut bytes = ((HEADER_LEN + body.len()) as u32).to_ne_bytes().to_vec();
        bytes.extend([kind.to_ne_bytes(), [1, 3], [0; 2], [0; 2], [0; 2], [0; 2]].concat());
        bytes.extend(body);
        let (request, _) = Request::split(&bytes).expect("a request");
        check(&request).map_err(|refused| refused.0)
    }

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        [&(4 + value.len() as u16).to_ne_bytes()[..], &kind.to_ne_bytes(), value].concat()
    }

    #[test]
    fn each_byte_of_a_header_is_heeded_or_must_be_zero() {
        for (kind, len, heeded) in [
            (RTM_GETLINK, 16, &[0][..]),
            (RTM_GETADDR, 8, &[0, 4, 5, 6, 7]),
            (RTM_GETROUTE, 12, &[0, 4, 5, 7]),
            (RTM_GETNEIGH, 12, &[0]),
            (RTM_GETRULE, 12, &[0]),
        ] {
            let zero = vec![0; len];
            assert_eq!(checked(kind, &zero), Ok(()));
            for at in 0..len {
                assert_eq!(checked(kind, &zero[..at]), Err(Errno::EINVAL), "{kind} of {at} bytes");
                let mut one = zero.clone();
                one[at] = 1;
                let fine = if heeded.contains(&at) { Ok(()) } else { Err(Errno::EINVAL) };
                assert_eq!(checked(kind, &one), fine, "{kind}, byte {at}");
            }
        }
        let flags = |kind, at, value: u32| {
            let mut body = [0; 12];
            body[at..].copy_from_slice(&value.to_ne_bytes()[..12 - at]);
            checked(kind, &body)
        };
        assert_eq!(flags(RTM_GETROUTE, 8, 0x200 | 0x800), Ok(()));
        let mut proxies = [0; 12];
        proxies[10] = 0x08;
        assert_eq!(checked(RTM_GETNEIGH, &proxies), Ok(()));
        assert_eq!(checked(RTM_GETLINK, &[AF_BRIDGE, 0, 0, 0, 1, 0, 0, 0]), Ok(()));
    }

    #[test]
    fn attributes_are_heeded_long_enough_and_the_last_thing_there_is() {
        for (kind, len, heeded) in
            [(RTM_GETLINK, 16, &[10, 18, 29][..]), (RTM_GETADDR, 8, &[]), (RTM_GETROUTE, 12, &[4, 15])]
        {
            for number in 0..64 {
                let body = [vec![0; len], attribute(number, &[1, 0, 0, 0])].concat();
                let fine = if heeded.contains(&number) { Ok(()) } else { Err(Errno::EINVAL) };
                assert_eq!(checked(kind, &body), fine, "{kind}, attribute {number}");
            }
        }
        let routes = |rest: &[u8]| checked(RTM_GETROUTE, &[&[0; 12][..], rest].concat());
        assert_eq!(routes(&attribute(4, &[1, 0])), Err(Errno::ERANGE));
        assert_eq!(routes(&[attribute(4, &[1, 0, 0, 0]), vec![0]].concat()), Err(Errno::EINVAL));
        assert_eq!(routes(&[200, 0, 4, 0, 1, 0, 0, 0]), Err(Errno::EINVAL));
    }
}
