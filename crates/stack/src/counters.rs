//! Every drop has a reason, and every reason a counter.
//!
//! [`Drop`] lists the reasons, in the order of the way that a packet takes; whoever drops names one, and nothing is
//! dropped in any other way. The other counters say what was done. Both are shown by name (`sockeye show counters`), so
//! a name is short, and stays what it is: scripts read it.
//!
//! Messages of ICMP are counted by their types besides, as RFC 4293 wants it.

/// Declares the reasons: variant, name, and what they mean (which is their documentation too).
macro_rules! reasons {
    ($($variant:ident = $name:literal, $meaning:literal;)*) => {
        /// Why a frame, a packet, a segment or a message was dropped.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Drop {
            $(#[doc = $meaning] $variant,)*
        }

        impl Drop {
            /// All reasons, in the order of a packet's way.
            pub const ALL: &[Drop] = &[$(Drop::$variant,)*];

            /// The name that it is shown by.
            pub const fn name(self) -> &'static str {
                match self { $(Drop::$variant => $name,)* }
            }

            /// What it means, in a sentence.
            pub const fn meaning(self) -> &'static str {
                match self { $(Drop::$variant => $meaning,)* }
            }
        }
    };
}

reasons! {
    // Link.
    LinkDown = "link_down", "The port was down.";
    LinkMalformed = "link_malformed", "The Ethernet header was truncated or its length a lie.";
    LinkNotForUs = "link_not_for_us", "The frame was addressed to another station.";
    LinkNotMember = "link_not_member", "The frame was addressed to a group that the port is not in.";
    LinkSource = "link_source", "The frame came from a group address.";
    LinkVlan = "link_vlan", "The frame was tagged for a VLAN that the port is not in.";
    LinkProtocol = "link_protocol", "Nobody here speaks the frame's protocol.";
    LinkQueueFull = "link_queue_full", "The port's queue had no room for a packet that cannot be pushed back.";

    // ARP.
    ArpMalformed = "arp_malformed", "Not ARP for IPv4 on Ethernet, or addresses that cannot be.";
    ArpSource = "arp_source", "The sender's hardware or protocol address is not one of a host.";
    ArpNotForUs = "arp_not_for_us", "A question for another host, from one that we do not talk to.";
    ArpUnsolicited = "arp_unsolicited", "A reply that nobody asked for, from a host that we do not talk to.";
    ArpConflict = "arp_conflict", "Another station claims an address of ours.";
    ArpDoubtful = "arp_doubtful", "An unsolicited claim to a known neighbour's address: the known one is asked first.";

    // Neighbours.
    NeighborQueueFull = "neighbor_queue_full", "A newer packet took the place in the queue for an unresolved neighbour.";
    NeighborFailed = "neighbor_failed", "The next hop did not answer.";
    NeighborEvicted = "neighbor_evicted", "The packet waited for a neighbour that had to make room in the table.";

    // IPv4, inwards.
    Ipv4Malformed = "ipv4_malformed", "A version or a length in the header is wrong.";
    Ipv4Checksum = "ipv4_checksum", "The header's checksum is wrong.";
    Ipv4Source = "ipv4_source", "The source is not an address that a host can have (martian), or it is our own (land).";
    Ipv4Destination = "ipv4_destination", "The destination is an address that must not be on a wire.";
    Ipv4NotForUs = "ipv4_not_for_us", "The destination is another host, and this one does not forward.";
    Ipv4NotMember = "ipv4_not_member", "A multicast group that this host is not in.";
    Ipv4LinkBroadcast = "ipv4_link_broadcast", "One host's address in a frame for everybody.";
    Ipv4Options = "ipv4_options", "The options are malformed.";
    Ipv4SourceRoute = "ipv4_source_route", "Source routes are not followed.";
    Ipv4Protocol = "ipv4_protocol", "Nobody here speaks the packet's protocol.";

    // IPv6, inwards.
    Ipv6Malformed = "ipv6_malformed", "A version or a length in the header is wrong.";
    Ipv6Source = "ipv6_source", "The source is not an address that a host can have (martian), or it is our own (land).";
    Ipv6Destination = "ipv6_destination", "The destination is an address that must not be on a wire.";
    Ipv6NotForUs = "ipv6_not_for_us", "The destination is another host, and this one does not forward.";
    Ipv6NotMember = "ipv6_not_member", "A multicast group that this host is not in.";
    Ipv6LinkMulticast = "ipv6_link_multicast", "One host's address in a frame for many.";
    Ipv6Extension = "ipv6_extension", "An extension header is malformed, out of place, or one too many.";
    Ipv6Option = "ipv6_option", "An option that this host does not know forbids to go on.";
    Ipv6Routing = "ipv6_routing", "A routing header wants the packet to go elsewhere: not followed.";
    Ipv6NoNextHeader = "ipv6_no_next_header", "The packet carries nothing.";
    Ipv6Protocol = "ipv6_protocol", "Nobody here speaks the packet's protocol.";

    // Neighbour discovery.
    NdMalformed = "nd_malformed", "An option of neighbour discovery is malformed.";
    NdInvalid = "nd_invalid", "It does not come from the link, or its addresses contradict each other.";
    NdNotForUs = "nd_not_for_us", "A question for another host, from one that we do not talk to.";
    NdUnsolicited = "nd_unsolicited", "An advertisement from a host that we do not talk to.";
    NdConflict = "nd_conflict", "Another station claims an address of ours.";
    NdDoubtful = "nd_doubtful", "An unsolicited claim to a known neighbour's address: the known one is asked first.";
    NdRouter = "nd_router", "A router's advertisement on a port that hears none, or a question for routers.";
    NdDuplicate = "nd_duplicate", "Another station has, or wants, an address that we were about to use.";
    NdLooped = "nd_looped", "Our own question for an address, come back.";
    NdTentative = "nd_tentative", "A question for an address that is not ours yet.";
    NdAnycast = "nd_anycast", "A question for an anycast address, while as many as may wait for an answer.";
    NdOption = "nd_option", "An option of a router's that cannot be: ignored, the rest of the message was not.";
    NdLimit = "nd_limit", "A router said more than this host remembers of a link.";

    // Groups.
    IgmpMalformed = "igmp_malformed", "The message is truncated, or a length in it a lie.";
    IgmpChecksum = "igmp_checksum", "The checksum is wrong.";
    IgmpInvalid = "igmp_invalid", "It does not come from the link, does not ask routers to look, or is about no group.";
    IgmpUnknown = "igmp_unknown", "What is said to routers, or a type that this host has no use for.";
    MldInvalid = "mld_invalid", "It does not come from the link, does not ask routers to look, or is about no group.";
    MldUnknown = "mld_unknown", "What is said to routers.";

    // Reassembly.
    FragmentMalformed = "fragment_malformed", "A fragment without bytes, or not the last and not a multiple of eight long.";
    FragmentTooLong = "fragment_too_long", "The fragments make more than 65,535 bytes.";
    FragmentOverlap = "fragment_overlap", "Fragments overlap, or disagree about the end: the datagram is refused.";
    FragmentDuplicate = "fragment_duplicate", "The same fragment again.";
    FragmentEcn = "fragment_ecn", "The fragments' congestion marks cannot come from one packet.";
    FragmentTooMany = "fragment_too_many", "More fragments than a datagram may have.";
    FragmentMemory = "fragment_memory", "The oldest incomplete datagram made room for a newer one.";
    FragmentTimeout = "fragment_timeout", "Not all fragments came in time.";

    // ICMP.
    IcmpMalformed = "icmp_malformed", "The message, or the packet that it quotes, is truncated.";
    IcmpChecksum = "icmp_checksum", "The checksum is wrong.";
    IcmpBroadcast = "icmp_broadcast", "A question to everybody: not answered, so that it amplifies nothing.";
    IcmpUnknown = "icmp_unknown", "A type that this host has no use for.";
    IcmpNoSocket = "icmp_no_socket", "An error or a reply that concerns no socket.";
    IcmpNotInFlight = "icmp_not_in_flight", "An error about a segment that is not in flight: forged, or late.";
    RedirectOff = "redirect_off", "A redirect, where none are followed.";
    RedirectInvalid = "redirect_invalid", "A redirect that is not from the router in use, or leads off the link.";
    IcmpRateLimit = "icmp_rate_limit", "An error of ours was not sent: too many to this host, or to all.";

    // UDP.
    UdpMalformed = "udp_malformed", "The length is below eight or beyond the packet.";
    UdpChecksum = "udp_checksum", "The checksum is wrong.";
    UdpNoSocket = "udp_no_socket", "No socket on that port.";
    UdpReceiveBuffer = "udp_receive_buffer", "The socket's receive buffer was full.";
    UdpMinTtl = "udp_min_ttl", "It came from farther away than the socket hears.";
    UdpFilter = "udp_filter", "The socket's filter wanted nothing of it.";
    UdpMemory = "udp_memory", "The receive buffers of all sockets together were full.";

    // UDP-Lite.
    UdpLiteMalformed = "udp_lite_malformed", "The coverage is below eight or beyond the packet.";
    UdpLiteChecksum = "udp_lite_checksum", "The checksum is wrong, or there is none.";
    UdpLiteNoSocket = "udp_lite_no_socket", "No socket on that port.";
    UdpLiteCoverage = "udp_lite_coverage", "The checksum covers less than the socket wants.";
    UdpLiteReceiveBuffer = "udp_lite_receive_buffer", "The socket's receive buffer was full.";
    UdpLiteMinTtl = "udp_lite_min_ttl", "It came from farther away than the socket hears.";
    UdpLiteFilter = "udp_lite_filter", "The socket's filter wanted nothing of it.";
    UdpLiteMemory = "udp_lite_memory", "The receive buffers of all sockets together were full.";

    // Raw sockets, and what errors wait for programs.
    RawReceiveBuffer = "raw_receive_buffer", "A raw socket's receive buffer was full: its copy was dropped.";
    RawMinTtl = "raw_min_ttl", "It came from farther away than a raw socket hears.";
    RawFilter = "raw_filter", "A raw socket's filter wanted nothing of it.";
    RawMemory = "raw_memory", "The receive buffers of all raw sockets together were full.";
    RawChecksum = "raw_checksum", "A raw socket wants right checksums, and this one was not.";
    ErrorQueueFull = "error_queue_full", "An error for a program that has not asked for those before it.";
    // Packet sockets.
    PacketLoss = "packet_loss", "A frame in a packet socket's ring could not be sent as it was, and was to be passed over (PACKET_LOSS).";
    PacketReceiveBuffer = "packet_receive_buffer", "A packet socket had no room for its copy of the frame.";

    // TCP.
    TcpMalformed = "tcp_malformed", "The header is truncated or its length a lie.";
    TcpChecksum = "tcp_checksum", "The checksum is wrong.";
    TcpAddress = "tcp_address", "To or from an address or a port that no connection can have.";
    TcpNoListener = "tcp_no_listener", "No connection and no listener (answered with a reset).";
    TcpFilter = "tcp_filter", "The socket's filter wanted nothing of it.";
    TcpNoSyn = "tcp_no_syn", "To a listener, and neither SYN nor ACK.";
    TcpNoAck = "tcp_no_ack", "On a connection, and without ACK.";
    TcpBadAck = "tcp_bad_ack", "It acknowledges what was never sent, or long ago.";
    TcpBlindReset = "tcp_blind_reset", "A reset that does not prove that it comes from the peer.";
    TcpPaws = "tcp_paws", "The timestamp is older than the last one.";
    TcpOutOfWindow = "tcp_out_of_window", "Outside of the receive window.";
    TcpReceiveMemory = "tcp_receive_memory", "The connection's receive memory was used up.";
    TcpAfterFin = "tcp_after_fin", "Behind the peer's own end of data.";
    TcpNoReader = "tcp_no_reader", "Data for a program that reads no more.";
    TcpMinTtl = "tcp_min_ttl", "It came from farther away than the socket hears.";
    TcpTimeWait = "tcp_time_wait", "An old segment of a connection in TIME-WAIT.";
    TcpAcceptQueueFull = "tcp_accept_queue_full", "The listener's accept queue was full.";
}

/// Declares the other counters, each a field and a name.
macro_rules! counters {
    ($($(#[doc = $meaning:literal])* $name:ident;)*) => {
        /// What happened, counted since the stack was made.
        #[derive(Clone, Debug)]
        pub struct Counters {
            drops: [u64; Drop::ALL.len()],
            /// Messages of ICMP, whoever sent them.
            pub icmp: Messages,
            /// Messages of ICMPv6.
            pub icmpv6: Messages,
            $($(#[doc = $meaning])* pub $name: u64,)*
        }

        impl Default for Counters {
            fn default() -> Self {
                let (icmp, icmpv6) = Default::default();
                Counters { drops: [0; Drop::ALL.len()], icmp, icmpv6, $($name: 0,)* }
            }
        }

        impl Counters {
            /// All that is not a drop: name, value, and what it means.
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64, &'static str)> + use<> {
                [$((stringify!($name), self.$name, concat!($($meaning),*).trim_ascii_start()),)*].into_iter()
            }
        }
    };
}

counters! {
    /// Frames from devices.
    link_frames_received;
    /// Frames handed to devices; a super-frame counts once.
    link_frames_sent;
    /// Frames that we sent to ourselves.
    loopback_frames;
    /// Their bytes.
    loopback_bytes;
    /// ARP requests sent.
    arp_requests_sent;
    /// ARP replies sent.
    arp_replies_sent;
    /// ARP probes sent, which ask whether an address is free.
    arp_probes_sent;
    /// ARP requests received.
    arp_requests_received;
    /// ARP replies received.
    arp_replies_received;
    /// Announcements of an address that another station claimed.
    arp_defences;
    /// Neighbours given up.
    neighbor_failures;
    /// IPv4 packets received.
    ipv4_packets_received;
    /// IPv4 packets delivered to a transport protocol.
    ipv4_packets_delivered;
    /// IPv4 packets sent, before they were cut.
    ipv4_packets_sent;
    /// IPv4 packets that had no way to go.
    ipv4_no_route;
    /// IPv4 packets that were too large for the path and were not to be cut.
    ipv4_too_large;
    /// Neighbour solicitations sent.
    nd_solicitations_sent;
    /// Neighbour advertisements sent.
    nd_advertisements_sent;
    /// Neighbour solicitations received.
    nd_solicitations_received;
    /// Neighbour advertisements received.
    nd_advertisements_received;
    /// Advertisements of an address that another station claimed.
    nd_defences;
    /// Questions whether somebody has an address.
    nd_duplicate_probes;
    /// Addresses that somebody had.
    nd_duplicates;
    /// Router solicitations sent.
    nd_router_solicitations_sent;
    /// Router advertisements received.
    nd_router_advertisements_received;
    /// Redirects followed, of either family.
    redirects_followed;
    /// IPv6 packets received.
    ipv6_packets_received;
    /// IPv6 packets delivered to a transport protocol.
    ipv6_packets_delivered;
    /// IPv6 packets sent, before they were cut.
    ipv6_packets_sent;
    /// IPv6 packets that had no way to go.
    ipv6_no_route;
    /// IPv6 packets that were too large for the path and were not to be cut.
    ipv6_too_large;
    /// IPv6 fragments received.
    ipv6_fragments_received;
    /// IPv6 packets made whole.
    ipv6_reassembled;
    /// IPv6 packets cut.
    ipv6_fragmented;
    /// IPv6 fragments sent.
    ipv6_fragments_sent;
    /// Path MTUs learnt.
    ipv6_path_mtu_learnt;
    /// IGMP queries received.
    igmp_queries_received;
    /// Reports of others, which save us ours where the querier is an older one.
    igmp_reports_received;
    /// IGMP reports and leaves sent.
    igmp_messages_sent;
    /// MLD queries received.
    mld_queries_received;
    /// Reports of others, which save us ours where the querier is an older one.
    mld_reports_received;
    /// MLD reports and dones sent.
    mld_messages_sent;
    /// Fragments received.
    ipv4_fragments_received;
    /// Datagrams made whole.
    ipv4_reassembled;
    /// Datagrams cut.
    ipv4_fragmented;
    /// Fragments sent.
    ipv4_fragments_sent;
    /// Path MTUs learnt.
    ipv4_path_mtu_learnt;
    /// ICMP messages received.
    icmp_messages_received;
    /// ICMP messages sent.
    icmp_messages_sent;
    /// Echo requests answered.
    icmp_echoes_answered;
    /// ICMP errors sent.
    icmp_errors_sent;
    /// ICMP errors handed to a socket.
    icmp_errors_delivered;
    /// Packets put into receive buffers of raw and echo sockets, each copy counted.
    raw_packets_received;
    /// Packets sent by raw and echo sockets.
    raw_packets_sent;
    /// UDP datagrams delivered to a socket.
    udp_datagrams_received;
    /// UDP datagrams sent.
    udp_datagrams_sent;
    /// Those of them that were delivered over IPv6.
    udp_v6_datagrams_received;
    /// Those of them that were sent over IPv6.
    udp_v6_datagrams_sent;
    /// UDP-Lite datagrams delivered to a socket.
    udp_lite_datagrams_received;
    /// UDP-Lite datagrams sent.
    udp_lite_datagrams_sent;
    /// TCP segments received; a super-segment counts once.
    tcp_segments_received;
    /// TCP segments sent; a super-segment counts once.
    tcp_segments_sent;
    /// Resets sent.
    tcp_resets_sent;
    /// Resets accepted.
    tcp_resets_received;
    /// ACKs sent in answer to what looks forged or confused (RFC 5961).
    tcp_challenges_sent;
    /// The same, not sent because one was sent just before.
    tcp_challenges_suppressed;
    /// Segments of which all was known.
    tcp_duplicate_segments;
    /// Segments ahead of a gap.
    tcp_out_of_order;
    /// Segments cut to the window.
    tcp_trimmed_to_window;
    /// Connections that skipped TIME-WAIT because it was full.
    tcp_time_wait_overflows;
    /// Connections that programs here began to open.
    tcp_active_opens;
    /// Connections that peers opened.
    tcp_passive_opens;
    /// SYNs answered by a cookie because the SYN queue was full.
    tcp_cookies_sent;
    /// Cookies that came back and opened a connection.
    tcp_cookies_received;
    /// Cookies that came back and were not ours, or stale.
    tcp_cookies_failed;
    /// SYN-ACKs sent again.
    tcp_syn_ack_retransmissions;
    /// Half-open connections given up.
    tcp_half_open_expired;
    /// Acknowledgements that waited for the program and then left alone.
    tcp_delayed_acks;
    /// Retransmission timeouts.
    tcp_timeouts;
    /// Times that loss was noticed by acknowledgements.
    tcp_fast_recoveries;
    /// Connections given up because the peer was silent.
    tcp_given_up;
    /// Connections reset as their program closed them, because what had to be kept for such was too much.
    tcp_orphans_refused;
    /// Probes of a closed window.
    tcp_window_probes;
    /// Keepalive probes.
    tcp_keepalives;
}

/// How many messages of each type came and went.
#[derive(Clone, Debug)]
pub struct Messages(Box<[[u64; 256]; 2]>);

impl Default for Messages {
    fn default() -> Self {
        Messages(Box::new([[0; 256]; 2]))
    }
}

impl Messages {
    /// Those that came, by type.
    pub fn received(&self) -> &[u64; 256] {
        &self.0[0]
    }

    /// Those that went, by type.
    pub fn sent(&self) -> &[u64; 256] {
        &self.0[1]
    }

    pub(crate) fn note_received(&mut self, message: &[u8]) {
        note(&mut self.0[0], message);
    }

    pub(crate) fn note_sent(&mut self, message: &[u8]) {
        note(&mut self.0[1], message);
    }
}

/// A message's first byte is its type.
fn note(types: &mut [u64; 256], message: &[u8]) {
    if let Some(&kind) = message.first() {
        types[usize::from(kind)] += 1;
    }
}

impl Counters {
    /// Counts a drop.
    #[inline]
    pub fn drop(&mut self, reason: Drop) {
        self.drops[reason as usize] += 1;
    }

    /// How often that was the reason.
    pub fn dropped(&self, reason: Drop) -> u64 {
        self.drops[reason as usize]
    }

    /// All reasons, with how often each was given.
    pub fn drops(&self) -> impl Iterator<Item = (Drop, u64)> + use<'_> {
        Drop::ALL.iter().zip(&self.drops).map(|(&reason, &count)| (reason, count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_are_unique_and_a_drop_counts_under_its_own() {
        let mut counters = Counters::default();
        counters.drop(Drop::UdpChecksum);
        counters.udp_datagrams_sent += 2;
        let counted: Vec<_> = counters.drops().filter(|&(_, count)| count > 0).collect();
        assert_eq!(counted, [(Drop::UdpChecksum, 1)]);
        assert_eq!(
            counters.iter().find(|&(_, count, _)| count > 0),
            Some(("udp_datagrams_sent", 2, "UDP datagrams sent."))
        );
        let names: HashSet<_> =
            Drop::ALL.iter().map(|reason| reason.name()).chain(counters.iter().map(|(name, ..)| name)).collect();
        assert_eq!(names.len(), Drop::ALL.len() + counters.iter().count());
        for &reason in Drop::ALL {
            assert!(reason.meaning().ends_with('.'), "{reason:?}");
        }
    }
}
