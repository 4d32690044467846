//! `/proc/net/ip6_flowlabel`: labels of flows on lease, column for column as the kernel writes them.
//!
//! # Standards
//!
//! `ip6fl_seq_show` of Linux.

use sockeye_device::Instant;
use sockeye_socket::share_number;
use sockeye_stack::flow_labels::{Lease, Share};

use super::proc_net::line;

/// The file.
pub(super) fn ip6_flowlabel(now: Instant, leases: &[Lease]) -> String {
    // "%-5s %-1s %-6s %-6s %-6s %-8s %-32s %s\n"
    let mut text = format!("Label S Owner  Users  Linger Expires  {:<32} Opt\n", "Dst");
    for lease in leases {
        let owner = match lease.share {
            Share::Process(process) => i64::from(process),
            Share::User(user) => user.into(),
            Share::Exclusive | Share::Any => 0,
        };
        // What is held may have expired some time ago.
        let left = lease.expires.since(now).as_secs() as i64 - now.since(lease.expires).as_secs() as i64;
        // "%05X %-1d %-6d %-6d %-6ld %-8ld %pi6 %-4d\n"
        line!(
            text,
            "{:05X} {:<1} {owner:<6} {:<6} {:<6} {left:<8} {:032x} {:<4}",
            lease.label,
            share_number(lease.share),
            lease.users,
            lease.linger.as_secs(),
            lease.destination.to_bits(),
            0
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use sockeye_stack::flow_labels::{Term, Wanted};
    use sockeye_stack::{Config, Stack};
    use std::net::Ipv6Addr;
    use std::time::Duration;

    use super::*;

    #[test]
    fn leases_stand_in_columns() {
        let mut stack = Stack::new(Config::default(), [7; 32]);
        let term = Term { linger: Duration::from_secs(6), lasts: Duration::from_secs(10) };
        let destination: Ipv6Addr = "fd09::1".parse().expect("an address");
        for (label, share) in [(0x12345, Share::Exclusive), (1, Share::Process(77)), (0x101, Share::Any)] {
            let wanted = Wanted { label, destination, share, term, create: true, fresh: false };
            stack.flow_label_lease(Instant::ZERO, &wanted, 0, false).expect("a lease");
        }
        let now = Instant::from_millis(13_100);
        // As the kernel has them, but for the zeros of the time.
        assert_eq!(
            ip6_flowlabel(now, &stack.flow_leases()),
            "Label S Owner  Users  Linger Expires  Dst                              Opt\n\
             00101 255 0      1      6      -3       fd090000000000000000000000000001 0   \n\
             00001 2 77     1      6      -3       fd090000000000000000000000000001 0   \n\
             12345 1 0      1      6      -3       fd090000000000000000000000000001 0   \n"
        );
    }
}
