//! `/proc/sys/net`: what holds for all sockets of the node, where programs look for it.
//!
//! Only what is so can be read here, and nothing can be changed. The rest is the machine's kernel's.
//!
//! # Standards
//!
//! `Documentation/networking/ip-sysctl.rst` and `Documentation/admin-guide/sysctl/net.rst` of Linux, tcp(7), ip(7).

use sockeye_socket::settings::{BACKLOG_MAX, BUFFER_MAX, DATAGRAM_BUFFER, FIN_TIMEOUT, SYN_COUNT};
use sockeye_stack::Stack;
use sockeye_stack::bind::EPHEMERAL;
use sockeye_stack::tcp::Options;

/// The text of a file; none where it is not the node's.
pub(super) fn setting(stack: &Stack, name: &str) -> Option<String> {
    let (level, name) = name.split_once('/')?;
    let own = Options::default();
    let text = match (level, name) {
        ("core", "rmem_default" | "wmem_default") => DATAGRAM_BUFFER.to_string(),
        ("core", "rmem_max" | "wmem_max") => BUFFER_MAX.to_string(),
        ("core", "somaxconn") => BACKLOG_MAX.to_string(),
        ("ipv4", "ip_default_ttl") => stack.ttl().to_string(),
        ("ipv4", "ip_local_port_range") => format!("{}\t{}", EPHEMERAL.start(), EPHEMERAL.end()),
        ("ipv4", "ip_unprivileged_port_start") => "1024".to_owned(),
        // Everybody.
        ("ipv4", "ping_group_range") => format!("0\t{}", i32::MAX),
        ("ipv4", "tcp_allowed_congestion_control" | "tcp_available_congestion_control" | "tcp_congestion_control") => {
            "reno".to_owned()
        }
        ("ipv4", "tcp_fin_timeout") => FIN_TIMEOUT.to_string(),
        ("ipv4", "tcp_keepalive_intvl") => own.keep_interval.as_secs().to_string(),
        ("ipv4", "tcp_keepalive_probes") => own.keep_count.to_string(),
        ("ipv4", "tcp_keepalive_time") => own.keep_idle.as_secs().to_string(),
        ("ipv4", "tcp_syn_retries") => SYN_COUNT.to_string(),
        ("ipv4", "tcp_sack" | "tcp_syncookies" | "tcp_timestamps" | "tcp_window_scaling") => "1".to_owned(),
        // What is not done, or off at first.
        ("ipv4", "ip_forward" | "ip_nonlocal_bind" | "tcp_ecn" | "tcp_fastopen")
        | ("ipv6", "bindv6only" | "conf/all/disable_ipv6" | "conf/all/forwarding" | "ip_nonlocal_bind") => {
            "0".to_owned()
        }
        _ => return None,
    };
    Some(text + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_shim_asks_for_is_there() {
        let stack = crate::interfaces::tests::host();
        for name in sockeye_control::SETTINGS {
            assert!(setting(&stack, name).is_some_and(|text| text.ends_with('\n')), "{name}");
        }
        assert_eq!(setting(&stack, "ipv4/ip_local_port_range").as_deref(), Some("32768\t60999\n"));
        assert_eq!(setting(&stack, "ipv4/tcp_mem"), None);
    }
}
