//! Files of `/proc/sys/net` that are a node's own: what programs read there about the network that they are on.
//!
//! They can be read and not written. All other settings are of the machine's kernel, which no socket of a node heeds.

/// Their names, in order.
pub const SETTINGS: [&str; 29] = [
    "core/rmem_default",
    "core/rmem_max",
    "core/somaxconn",
    "core/wmem_default",
    "core/wmem_max",
    "ipv4/ip_default_ttl",
    "ipv4/ip_forward",
    "ipv4/ip_local_port_range",
    "ipv4/ip_nonlocal_bind",
    "ipv4/ip_unprivileged_port_start",
    "ipv4/ping_group_range",
    "ipv4/tcp_allowed_congestion_control",
    "ipv4/tcp_available_congestion_control",
    "ipv4/tcp_congestion_control",
    "ipv4/tcp_ecn",
    "ipv4/tcp_fastopen",
    "ipv4/tcp_fin_timeout",
    "ipv4/tcp_keepalive_intvl",
    "ipv4/tcp_keepalive_probes",
    "ipv4/tcp_keepalive_time",
    "ipv4/tcp_sack",
    "ipv4/tcp_syn_retries",
    "ipv4/tcp_syncookies",
    "ipv4/tcp_timestamps",
    "ipv4/tcp_window_scaling",
    "ipv6/bindv6only",
    "ipv6/conf/all/disable_ipv6",
    "ipv6/conf/all/forwarding",
    "ipv6/ip_nonlocal_bind",
];

#[cfg(test)]
mod tests {
    #[test]
    fn they_are_in_order() {
        assert!(super::SETTINGS.is_sorted());
    }
}
