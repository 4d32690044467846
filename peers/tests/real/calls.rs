//! The socket calls one by one, from Python, which reaches nearly all of them: what Linux does is what is expected. Each
//! test is a function of the same name in `calls.py`; the kernel's side of it is `calls_peer.py`.

use sockeye_peers::{Family, Process, Scene, Side, checks};

fn check(family: Family, name: &str) {
    let scene = Scene::of(family);
    let [own, peer] = [Side::Subject, Side::Peer].map(|side| scene.address(side));
    let mut helper = scene.script(Side::Peer, "calls_peer.py", include_str!("calls_peer.py"));
    let _helper = Process::start(helper.args([peer, own]));
    for port in [7000, 7002] {
        scene.listens(Side::Peer, port);
    }
    scene.is_bound(Side::Peer, 7001);
    let mut script = scene.script(Side::Subject, "calls.py", include_str!("calls.py"));
    Process::start(script.args([name, own, peer])).success();
}

checks! {
    in both families:
    // IPv6 has no broadcast, and has extension headers in another test.
    [ipv4:
        datagram_broadcast_needs_leave
        datagram_options_come_along
        paths_that_are_none
    ]
    datagrams_of_one_call_come_once
    names_of_a_client
    names_of_a_server
    connect_without_blocking
    connect_edge_triggered
    refused_blocking
    refused_without_blocking
    what_failed_begins_anew
    listeners_begin_anew
    unreachable
    bind_errors
    calls_in_the_wrong_state
    a_connect_is_given_up
    a_stream_lets_go_of_its_peer
    a_listener_has_nothing_to_write
    data_after_both_ends_is_a_reset
    half_close
    reset_by_the_peer
    reset_seen_by_so_error
    close_is_an_end_for_the_peer
    close_with_unread_data_is_a_reset
    close_with_linger_zero_is_a_reset
    what_was_sent_before_a_reset
    accept_without_blocking
    accept_queue
    accept_after_close_of_the_peer
    accept_with_timeout
    what_is_accepted_waits_as_long
    listeners_close_frees_the_port
    peek_and_wait_for_all
    what_is_thrown_away
    timeouts
    scattered_messages
    send_a_file
    urgent_data
    options_are_kept
    options_that_tell
    bytes_in_queues
    descriptors
    fork_and_exec
    accept_in_many_processes
    passing_descriptors
    threads
    asyncio_echoes
    many_sockets
    many_short_connections
    datagram_addresses
    datagram_sizes
    datagram_truncation
    datagram_refused
    datagram_server
    datagram_information
    datagram_queue
    numeric_names
    other_families_are_left_alone
    to_ones_own_address
    to_the_loopback
}
