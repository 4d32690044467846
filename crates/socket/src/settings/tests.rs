//! What is set comes back; what cannot be is refused.

use super::*;

fn set(settings: &mut Settings, level: i32, name: i32, value: i32) -> Result<(), Errno> {
    settings.set(true, Privilege::User, level, name, &value.to_ne_bytes())
}

fn value(settings: &Settings, level: i32, name: i32) -> i32 {
    read_int(&settings.value(true, level, name).expect("known")).expect("an int")
}

#[test]
fn every_int_option_comes_back_as_it_was_set() {
    let options = [
        (SOL_SOCKET, SO_REUSEADDR, 1),
        (SOL_SOCKET, SO_REUSEPORT, 1),
        (SOL_SOCKET, SO_BROADCAST, 1),
        (SOL_SOCKET, SO_KEEPALIVE, 1),
        (SOL_SOCKET, SO_OOBINLINE, 1),
        (SOL_SOCKET, SO_PRIORITY, 6),
        (IPPROTO_TCP, TCP_NODELAY, 1),
        (IPPROTO_TCP, TCP_CORK, 1),
        (IPPROTO_TCP, TCP_QUICKACK, 0),
        (IPPROTO_TCP, TCP_MAXSEG, 1_000),
        (IPPROTO_TCP, TCP_KEEPIDLE, 5),
        (IPPROTO_TCP, TCP_KEEPINTVL, 6),
        (IPPROTO_TCP, TCP_KEEPCNT, 7),
        (IPPROTO_TCP, TCP_SYNCNT, 3),
        (IPPROTO_TCP, TCP_LINGER2, 9),
        (IPPROTO_TCP, TCP_LINGER2, -1),
        (IPPROTO_TCP, TCP_DEFER_ACCEPT, 7),
        (IPPROTO_TCP, TCP_FASTOPEN, 4),
        (IPPROTO_TCP, TCP_WINDOW_CLAMP, 9_000),
        (IPPROTO_TCP, TCP_USER_TIMEOUT, 1_500),
        (IPPROTO_TCP, TCP_NOTSENT_LOWAT, 16_384),
        (IPPROTO_IP, IP_TOS, 0x10),
        (IPPROTO_IP, IP_TTL, 3),
        (IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO),
        (IPPROTO_IP, IP_PKTINFO, 1),
        (IPPROTO_IP, IP_RECVTTL, 1),
        (IPPROTO_IP, IP_RECVTOS, 1),
        (IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1),
    ];
    let mut settings = Settings::default();
    for (level, name, wanted) in options {
        set(&mut settings, level, name, wanted).unwrap_or_else(|errno| panic!("{level}/{name}: {errno}"));
        assert_eq!(value(&settings, level, name), wanted, "{level}/{name}");
    }
}

#[test]
fn buffers_are_doubled_and_bounded() {
    let mut settings = Settings::default();
    set(&mut settings, SOL_SOCKET, SO_RCVBUF, 100_000).unwrap();
    assert_eq!(value(&settings, SOL_SOCKET, SO_RCVBUF), 200_000);
    set(&mut settings, SOL_SOCKET, SO_SNDBUF, 1).unwrap();
    assert_eq!(value(&settings, SOL_SOCKET, SO_SNDBUF), SEND_BUFFER_MIN);
    set(&mut settings, SOL_SOCKET, SO_SNDBUF, i32::MAX).unwrap();
    assert_eq!(value(&settings, SOL_SOCKET, SO_SNDBUF), 2 * BUFFER_MAX);
    set(&mut settings, SOL_SOCKET, SO_SNDBUF, -1).unwrap();
    assert_eq!(value(&settings, SOL_SOCKET, SO_SNDBUF), 2 * BUFFER_MAX);
}

#[test]
fn linger_is_two_ints() {
    let mut settings = Settings::default();
    let linger = |on: i32, time: i32| [on.to_ne_bytes(), time.to_ne_bytes()].concat();
    settings.set(true, Privilege::User, SOL_SOCKET, SO_LINGER, &linger(1, 0)).unwrap();
    assert_eq!(settings.linger, Some(0));
    assert_eq!(settings.value(true, SOL_SOCKET, SO_LINGER), Ok(linger(1, 0)));
    assert_eq!(settings.set(true, Privilege::User, SOL_SOCKET, SO_LINGER, &[1, 0, 0, 0]), Err(Errno::EINVAL));
}

#[test]
fn what_is_not_done_is_refused() {
    let mut settings = Settings::default();
    // SO_ATTACH_FILTER, SO_MAX_PACING_RATE, TCP_ZEROCOPY_RECEIVE, TCP_MD5SIG, IP_HDRINCL, IP_IPSEC_POLICY,
    // IP_ADD_MEMBERSHIP, IPV6_V6ONLY
    let refused = [(1, 26), (1, 47), (6, 35), (6, 14), (0, 3), (0, 16), (0, 35), (41, 26), (-1, 0)];
    for (level, name) in refused {
        assert_eq!(set(&mut settings, level, name, 1), Err(Errno::ENOPROTOOPT), "{level}/{name}");
        let unknown = if level == 41 || level == -1 { Errno::EOPNOTSUPP } else { Errno::ENOPROTOOPT };
        assert_eq!(settings.value(true, level, name), Err(unknown), "{level}/{name}");
    }
    assert_eq!(settings, Settings::default());
}

/// What this host does not do is off, and can be turned off.
#[test]
fn switches_of_tcp_that_are_off() {
    let mut settings = Settings::default();
    let switches = [TCP_THIN_LINEAR_TIMEOUTS, TCP_SAVE_SYN, TCP_FASTOPEN_NO_COOKIE, TCP_INQ, TCP_TX_DELAY];
    for name in switches {
        assert_eq!(set(&mut settings, IPPROTO_TCP, name, 0), Ok(()));
        assert_eq!(set(&mut settings, IPPROTO_TCP, name, 1), Err(Errno::ENOPROTOOPT));
        assert_eq!(set(&mut settings, IPPROTO_TCP, name, -1), Err(Errno::EINVAL));
        assert_eq!(value(&settings, IPPROTO_TCP, name), 0);
    }
    assert_eq!(set(&mut settings, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1), Err(Errno::EOPNOTSUPP));
    let root = |value: i32| {
        Settings::default().set(true, Privilege::Administrator, IPPROTO_TCP, TCP_REPAIR, &value.to_ne_bytes())
    };
    let said = [i32::MIN, -2, -1, 0, 1, 2].map(root);
    let (wrong, no) = (Err(Errno::EINVAL), Err(Errno::ENOPROTOOPT));
    assert_eq!(said, [wrong, wrong, Ok(()), Ok(()), no, wrong]);
    assert_eq!(settings, Settings::default());
}

#[test]
fn waiting_for_data_lasts_as_long_as_so_many_syns() {
    let mut settings = Settings::default();
    for (asked, told) in [(-1, 0), (0, 0), (1, 1), (2, 3), (4, 7), (64, 127), (128, 247), (i32::MAX, 29_887)] {
        set(&mut settings, IPPROTO_TCP, TCP_DEFER_ACCEPT, asked).unwrap();
        assert_eq!(value(&settings, IPPROTO_TCP, TCP_DEFER_ACCEPT), told, "{asked}");
    }
}

#[test]
fn wrong_values_are_refused() {
    let mut settings = Settings::default();
    for (level, name, wrong) in [(6, TCP_KEEPIDLE, 0), (6, TCP_MAXSEG, 87), (0, IP_TTL, 256), (0, IP_TTL, 0)] {
        assert_eq!(set(&mut settings, level, name, wrong), Err(Errno::EINVAL), "{level}/{name}");
    }
    assert_eq!(set(&mut settings, SOL_SOCKET, SO_MARK, 1), Err(Errno::EPERM));
    assert_eq!(value(&settings, SOL_SOCKET, SO_MARK), 0);
    assert_eq!(set(&mut settings, SOL_SOCKET, SO_PRIORITY, 7), Err(Errno::EPERM));
    assert_eq!(settings.set(true, Privilege::User, SOL_SOCKET, SO_REUSEADDR, &[1]), Err(Errno::EINVAL));
    assert_eq!(settings.set(true, Privilege::User, IPPROTO_TCP, TCP_CONGESTION, b"vegas"), Err(Errno::ENOENT));
    assert_eq!(settings.set(true, Privilege::User, IPPROTO_TCP, TCP_CONGESTION, b"reno\0rest"), Ok(()));
}
