//! Rules: RTM_NEWRULE. A node has those that every host begins with: its own addresses, then the main table.

use sockeye_socket::Errno;

use super::messages::{Messages, Request};
use super::{AF_INET, AF_INET6, RT_TABLE_LOCAL, RT_TABLE_MAIN, RTNL_FAMILY_IP6MR, RTNL_FAMILY_IPMR, Refused};

const RTM_NEWRULE: u16 = 32;

/// `struct fib_rule_hdr`: family, lengths, TOS, table, two zeros, action, flags.
const FIXED_LEN: usize = 12;
const FR_ACT_TO_TBL: u8 = 1;

const FRA_PRIORITY: u16 = 6;
const FRA_SUPPRESS_PREFIXLEN: u16 = 14;
const FRA_TABLE: u16 = 15;
const FRA_PROTOCOL: u16 = 21;
const RTPROT_KERNEL: u8 = 2;

/// The table of IPv4 to which nobody has given a route.
const RT_TABLE_DEFAULT: u8 = 253;

pub(super) fn asked(messages: &mut Messages, request: &Request<'_>) -> Result<(), Refused> {
    let family = request.byte(0);
    if !matches!(family, 0 | AF_INET | AF_INET6 | RTNL_FAMILY_IPMR | RTNL_FAMILY_IP6MR) {
        return Err(Refused(Errno::EAFNOSUPPORT, "no family of that number has rules"));
    }
    for which in [AF_INET, AF_INET6].into_iter().filter(|&which| family == 0 || family == which) {
        let last = (which == AF_INET).then_some((32_767, RT_TABLE_DEFAULT));
        for (priority, table) in [(0, RT_TABLE_LOCAL), (32_766, RT_TABLE_MAIN)].into_iter().chain(last) {
            let mut fixed = [0; FIXED_LEN];
            (fixed[0], fixed[4], fixed[7]) = (which, table, FR_ACT_TO_TBL);
            messages.message(RTM_NEWRULE, &fixed, |messages| {
                messages.number(FRA_TABLE, table.into());
                messages.number(FRA_SUPPRESS_PREFIXLEN, u32::MAX);
                messages.attribute(FRA_PROTOCOL, &[RTPROT_KERNEL]);
                if priority != 0 {
                    messages.number(FRA_PRIORITY, priority);
                }
            });
        }
    }
    Ok(())
}
