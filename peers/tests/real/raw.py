# Raw sockets, ICMP's echo sockets and the queue of errors, as Linux has them. Arguments: the function, and addresses: own and peer's of IPv4 and of
# IPv6, and those of a host behind the peer, whose link carries 1,400 bytes.
import errno, select, socket, struct, sys
from socket import AF_INET, AF_INET6, IPPROTO_ICMP, IPPROTO_ICMPV6, IPPROTO_IP, IPPROTO_IPV6, IPPROTO_RAW, SOCK_DGRAM, SOCK_RAW

from common import fails

check, own, peer, own6, peer6, far, far6 = sys.argv[1:8]
IP_RECVERR, IPV6_RECVERR, IP_MTU_DISCOVER, IP_MTU, IPV6_CHECKSUM, IPV6_HDRINCL = 11, 25, 10, 14, 7, 36
SOL_RAW, ICMP_FILTER, ICMP6_FILTER = 255, 1, 1
MSG_ERRQUEUE = 0x2000
UNKNOWN = 253
# A filter of ICMPv6: all but echo replies are blocked, neighbours' talk among them.
ONLY_REPLIES = struct.pack("8I", *[0xFFFFFFFF & ~((1 << 129 % 32) if word == 4 else 0) for word in range(8)])


def make(family, kind, protocol):
    s = socket.socket(family, kind, protocol)
    s.settimeout(20)
    return s


def is_empty(s, flags=0):
    s.setblocking(False)
    fails(errno.EAGAIN, s.recvmsg, 100, 100, flags)
    s.settimeout(20)


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def echo(identifier=0, number=1, data=b"12345678", kind=8):
    head = struct.pack("!BBHHH", kind, 0, 0, identifier, number)
    return struct.pack("!BBHHH", kind, 0, checksum(head + data), identifier, number) + data


def header(source="0.0.0.0", to=None, protocol=IPPROTO_ICMP, identification=0, flags=0):
    # Length and checksum are wrong: they are filled in.
    address = socket.inet_aton
    return struct.pack("!BBHHHBBH4s4s", 0x45, 0, 7, identification, flags, 33, protocol, 9, address(source), address(to or peer))


def replies(s, identifier):
    while True:
        packet, whom = s.recvfrom(2000)
        if packet[20] == 0 and struct.unpack("!H", packet[24:26])[0] == identifier:
            return packet, whom


def what_there_is_no_socket_for():
    for family, kind, protocol in [(AF_INET, SOCK_RAW, 0), (AF_INET6, SOCK_RAW, 0), (AF_INET, SOCK_DGRAM, 58), (AF_INET6, SOCK_DGRAM, 1), (AF_INET, SOCK_DGRAM, 2)]:
        fails(errno.EPROTONOSUPPORT, socket.socket, family, kind, protocol)
    for family, kind, protocol in [(AF_INET, SOCK_RAW, 1), (AF_INET6, SOCK_RAW, 58), (AF_INET, SOCK_DGRAM, 1), (AF_INET6, SOCK_DGRAM, 58)]:
        s = make(family, kind, protocol)
        of = [s.getsockopt(socket.SOL_SOCKET, name) for name in (socket.SO_TYPE, 39, 38)]
        assert of == [kind, family, protocol], of
    for family, protocol, any, foreign, ours, theirs in [(AF_INET, 1, "0.0.0.0", "192.0.2.1", own, peer), (AF_INET6, 58, "::", "2001:db8::1", own6, peer6)]:
        s = make(family, SOCK_RAW, protocol)
        assert s.getsockname()[:2] == (any, protocol), s.getsockname()
        fails(errno.ENOTCONN, s.getpeername)
        fails(errno.EDESTADDRREQ, s.send, echo())
        fails(errno.EADDRNOTAVAIL, s.bind, (foreign, 0))
        s.bind((ours, 0))
        s.connect((theirs, 0))
        assert s.getsockname()[0] == ours
        fails(errno.ENOTCONN, s.getpeername)
        fails(errno.EOPNOTSUPP, s.listen)


def packets_have_their_header_and_each_gets_a_copy():
    first, second, other = (make(AF_INET, SOCK_RAW, 1) for _ in range(3))
    other.bind(("127.0.0.1", 0))
    first.setsockopt(IPPROTO_IP, socket.IP_TTL, 9)
    first.sendto(echo(0x77), (peer, 0))
    for s in first, second:
        packet, whom = replies(s, 0x77)
        assert whom == (peer, 0), whom
        assert packet[0] == 0x45 and socket.inet_ntoa(packet[12:16]) == peer and struct.unpack("!H", packet[2:4])[0] == len(packet) == 36
    other.setblocking(False)
    fails(errno.EAGAIN, other.recv, 100)
    # Those of IPv6 have what follows the header. Neighbours' talk is kept away.
    first, second, other = (make(AF_INET6, SOCK_RAW, 58) for _ in range(3))
    other.bind(("::1", 0))
    for s in first, second, other:
        s.setsockopt(IPPROTO_ICMPV6, ICMP6_FILTER, ONLY_REPLIES)
        s.setsockopt(IPPROTO_IPV6, 51, 1)
    first.setsockopt(IPPROTO_IPV6, 16, 9)
    first.sendto(echo(0x77, kind=128), (peer6, 0))
    for s in first, second:
        packet, ((level, kind, hops),), _, whom = s.recvmsg(2000, 100)
        assert whom == (peer6, 0, 0, 0) and packet[:2] == b"\x81\0" and packet[4:] == echo(0x77)[4:], (packet, whom)
        assert (level, kind) == (IPPROTO_IPV6, 52) and struct.unpack("i", hops)[0] > 1, (level, kind, hops)
    other.setblocking(False)
    fails(errno.EAGAIN, other.recv, 100)


def filters_keep_types_away():
    s, open_to_all = make(AF_INET, SOCK_RAW, 1), make(AF_INET, SOCK_RAW, 1)
    s.setsockopt(SOL_RAW, ICMP_FILTER, struct.pack("I", 1 << 0))
    assert struct.unpack("I", s.getsockopt(SOL_RAW, ICMP_FILTER, 4))[0] == 1
    open_to_all.sendto(echo(0x78), (peer, 0))
    replies(open_to_all, 0x78)
    s.setblocking(False)
    fails(errno.EAGAIN, s.recv, 100)
    fails(errno.EOPNOTSUPP, make(AF_INET, SOCK_RAW, 6).setsockopt, SOL_RAW, ICMP_FILTER, struct.pack("I", 0))
    six = make(AF_INET6, SOCK_RAW, 58)
    six.setsockopt(IPPROTO_ICMPV6, ICMP6_FILTER, ONLY_REPLIES)
    # The checksum is the socket's to fill in.
    six.sendto(struct.pack("!BBHHH", 128, 0, 0xBAD, 7, 9) + b"six", (peer6, 0))
    packet, whom = six.recvfrom(100)
    assert packet[0] == 129 and packet[4:] == struct.pack("!HH", 7, 9) + b"six" and whom[:2] == (peer6, 0), (packet, whom)


def what_is_missing_in_a_header_is_filled_in():
    s, hears = make(AF_INET, SOCK_RAW, IPPROTO_RAW), make(AF_INET, SOCK_RAW, 1)
    assert s.getsockopt(IPPROTO_IP, socket.IP_HDRINCL) == 1
    s.sendto(header() + echo(0x79), (peer, 0))
    replies(hears, 0x79)
    # To ourselves it can be seen what went.
    for given, expected in [(0, None), (77, 77)]:
        s.sendto(header(to="127.0.0.1", source="127.0.0.1", identification=given) + echo(0x80, kind=0), ("127.0.0.1", 0))
        packet, _ = replies(hears, 0x80)
        assert struct.unpack("!H", packet[2:4])[0] == len(packet) == 36 and packet[8] == 33 and checksum(packet[:20]) == 0, packet
        identification = struct.unpack("!H", packet[4:6])[0]
        assert identification != 0 if expected is None else identification == expected, identification
    # What cannot be cut needs none.
    s.sendto(header(to="127.0.0.1", source="127.0.0.1", flags=0x4000) + echo(0x81, kind=0), ("127.0.0.1", 0))
    assert replies(hears, 0x81)[0][4:6] == b"\0\0"
    fails(errno.EINVAL, s.sendto, header()[:19], (peer, 0))
    fails(errno.EMSGSIZE, s.sendto, header() + bytes(1481), (peer, 0))
    fails(errno.EMSGSIZE, make(AF_INET, SOCK_RAW, UNKNOWN).sendto, bytes(65536), (peer, 0))


def nobody_speaks_from_where_he_is_not():
    at4, at6 = socket.inet_aton, lambda address: socket.inet_pton(AF_INET6, address)
    for kind, protocol, data in [(SOCK_DGRAM, 0, b"12345678"), (SOCK_RAW, IPPROTO_ICMP, echo())]:
        s = make(AF_INET, kind, protocol)
        for source, error in [(peer, errno.ENETUNREACH), ("127.0.0.1", errno.EINVAL), ("224.0.0.1", errno.EINVAL)]:
            # IP_PKTINFO: index, address to send from, address of a packet that came.
            info = struct.pack("i", 0) + at4(source) + bytes(4)
            fails(error, s.sendmsg, [data], [(IPPROTO_IP, 8, info)], 0, (peer, 9))
        # No other host may see an address of the loopback (RFC 1122, 3.2.1.3).
        s = make(AF_INET, kind, protocol)
        s.bind(("127.0.0.1", 0))
        fails(errno.EINVAL, s.sendto, data, (peer, 9))
        fails(errno.EINVAL, s.connect, (peer, 9))
        assert s.sendto(data, ("127.0.0.9", 9)) == len(data)
    s = make(AF_INET, socket.SOCK_STREAM, 0)
    s.bind(("127.0.0.1", 0))
    fails(errno.EINVAL, s.connect, (peer, 9))
    for kind, protocol, data in [(SOCK_DGRAM, 0, b"12345678"), (SOCK_RAW, IPPROTO_ICMPV6, echo(kind=128))]:
        s = make(AF_INET6, kind, protocol)
        for source in (peer6, "ff02::1"):
            info = at6(source) + struct.pack("I", 0)
            fails(errno.EINVAL, s.sendmsg, [data], [(IPPROTO_IPV6, socket.IPV6_PKTINFO, info)], 0, (peer6, 9))


def unknown_protocols_are_said_to_be_so():
    s, hears = make(AF_INET, SOCK_RAW, UNKNOWN), make(AF_INET, SOCK_RAW, 1)
    s.sendto(b"hello", ("127.0.0.1", 0))
    # Somebody has a socket for it, and gets it: himself.
    assert s.recv(100)[20:] == b"hello"
    s.sendto(b"hello", (peer, 0))
    while True:
        packet, (whom, _) = hears.recvfrom(2000)
        if packet[20:22] == b"\3\2":
            assert whom == peer and packet[28 + 9] == UNKNOWN
            break
    six = make(AF_INET6, SOCK_RAW, UNKNOWN)
    six.sendto(b"hello", ("::1", 0))
    assert six.recv(100) == b"hello"
    fails(errno.EINVAL, six.sendto, b"hello", (peer6, UNKNOWN + 1))
    hears = make(AF_INET6, SOCK_RAW, 58)
    six.sendto(b"hello", (peer6, 0))
    while True:
        packet, (whom, *_) = hears.recvfrom(2000)
        # The field of the header that is not known, and the packet.
        if packet[:2] == b"\4\1":
            assert whom == peer6 and packet[4:8] == struct.pack("!I", 6) and packet[8 + 6] == UNKNOWN, (packet, whom)
            break


def checksums_of_ipv6():
    s, plain = make(AF_INET6, SOCK_RAW, UNKNOWN), make(AF_INET6, SOCK_RAW, UNKNOWN)
    assert s.getsockopt(IPPROTO_IPV6, IPV6_CHECKSUM) == -1
    fails(errno.EINVAL, s.setsockopt, IPPROTO_IPV6, IPV6_CHECKSUM, 3)
    s.setsockopt(IPPROTO_IPV6, IPV6_CHECKSUM, 2)
    assert s.getsockopt(IPPROTO_IPV6, IPV6_CHECKSUM) == 2
    s.sendto(bytes(8), ("::1", 0))
    sums = [s.recv(100), plain.recv(100)]
    # Over the addresses (two ones), the length and the protocol.
    expected = struct.pack("!H", 0xFFFF - (1 + 1 + 8 + UNKNOWN))
    assert sums[0] == sums[1] == b"\0\0" + expected + bytes(4), sums
    # A wrong one is for those who do not ask.
    plain.sendto(b"wrong sum", ("::1", 0))
    assert plain.recv(100) == b"wrong sum"
    s.setblocking(False)
    fails(errno.EAGAIN, s.recv, 100)
    fails(errno.EINVAL, s.sendto, b"abc", ("::1", 0))
    icmp = make(AF_INET6, SOCK_RAW, 58)
    fails(errno.EINVAL, icmp.setsockopt, IPPROTO_IPV6, IPV6_CHECKSUM, 2)


def the_header_of_ipv6_is_the_programs():
    s, hears = make(AF_INET6, SOCK_RAW, IPPROTO_RAW), make(AF_INET6, SOCK_RAW, UNKNOWN)
    loopback = socket.inet_pton(AF_INET6, "::1")
    s.sendto(struct.pack("!IHBB", 6 << 28, 5, UNKNOWN, 3) + loopback + loopback + b"whole", ("::1", 0))
    hears.setsockopt(IPPROTO_IPV6, 51, 1)
    assert hears.recv(100) == b"whole"
    fails(errno.EINVAL, s.sendto, bytes(39), ("::1", 0))
    # To another host: the header is as it was written, and the answer comes.
    replies = make(AF_INET6, SOCK_RAW, 58)
    replies.setsockopt(IPPROTO_ICMPV6, ICMP6_FILTER, ONLY_REPLIES)
    ends = socket.inet_pton(AF_INET6, own6) + socket.inet_pton(AF_INET6, peer6)
    bare = struct.pack("!BBHHH", 128, 0, 0, 0x79, 1) + b"12345678"
    request = bare[:2] + struct.pack("!H", checksum(ends + struct.pack("!HH", len(bare), 58) + bare)) + bare[4:]
    s.sendto(struct.pack("!IHBB", 6 << 28, len(request), 58, 33) + ends + request, (peer6, 0))
    assert replies.recv(100)[4:] == request[4:]
    fails(errno.EMSGSIZE, s.sendto, bytes(1501), (peer6, 0))
    fails(errno.EMSGSIZE, make(AF_INET6, SOCK_RAW, UNKNOWN).sendto, bytes(65536), (peer6, 0))


def echo_sockets_have_identifiers():
    for family, protocol, any, foreign, ours, theirs, request, reply in [
        (AF_INET, IPPROTO_ICMP, "0.0.0.0", "192.0.2.1", own, peer, 8, 0),
        (AF_INET6, IPPROTO_ICMPV6, "::", "2001:db8::1", own6, peer6, 128, 129),
    ]:
        ping = lambda: make(family, SOCK_DGRAM, protocol)
        s = ping()
        assert s.getsockname()[:2] == (any, 0)
        data = echo(0xBAD, kind=request)
        s.sendto(data[:2] + b"\xba\xad" + data[4:], (theirs, 0))
        identifier = s.getsockname()[1]
        packet, whom = s.recvfrom(100)
        assert identifier != 0 and whom[:2] == (theirs, 0) and packet[:2] == bytes([reply, 0]), (identifier, whom, packet)
        assert packet[4:] == echo(identifier)[4:] and (family == AF_INET6 or checksum(packet) == 0), (identifier, packet)
        fails(errno.EINVAL, s.bind, (ours, 5))
        fails(errno.EINVAL, ping().sendto, echo(kind=reply), (theirs, 0))
        fails(errno.EINVAL, ping().sendto, b"short", (theirs, 0))
        # They share, unless one does not want to; the youngest gets what comes.
        assert s.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR) == 1
        younger, alone = ping(), ping()
        alone.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
        fails(errno.EADDRINUSE, alone.bind, (ours, identifier))
        younger.bind((ours, identifier))
        s.sendto(echo(kind=request), (theirs, 0))
        assert younger.recv(100)[8:] == b"12345678"
        fails(errno.EADDRNOTAVAIL, ping().bind, (foreign, 0))
        named = ping()
        named.bind((ours, 4711))
        named.connect((theirs, 0))
        named.send(echo(kind=request))
        packet = named.recv(100)
        assert packet[0] == reply and packet[4:6] == struct.pack("!H", 4711) and packet[8:] == b"12345678", packet


def next_error(s):
    data, list, flags, whom = s.recvmsg(2000, 500, MSG_ERRQUEUE)
    assert flags & MSG_ERRQUEUE
    for level, kind, bytes in list:
        if (level, kind) in ((IPPROTO_IP, IP_RECVERR), (IPPROTO_IPV6, IPV6_RECVERR)):
            number, origin, type, code, _, info, _ = struct.unpack("IBBBBII", bytes[:16])
            offender = {AF_INET: lambda: socket.inet_ntoa(bytes[20:24]), AF_INET6: lambda: socket.inet_ntop(AF_INET6, bytes[24:40]), 0: lambda: None}
            return (number, origin, type, code, info, offender[struct.unpack("H", bytes[16:18])[0]]()), data, whom


def polls(s, mask=select.POLLIN):
    poll = select.poll()
    poll.register(s, mask)
    return [flags for _, flags in poll.poll(20_000)]


def errors_are_asked_for_one_by_one():
    for family, ours, theirs, beyond, level, recverr, refused, exceeded, limit, told_limit in [
        (AF_INET, own, peer, far, IPPROTO_IP, IP_RECVERR, (2, 3, 3), (2, 11, 0), socket.IP_TTL, 12),
        (AF_INET6, own6, peer6, far6, IPPROTO_IPV6, IPV6_RECVERR, (3, 1, 4), (3, 3, 0), 16, 51),
    ]:
        s = make(family, SOCK_DGRAM, 0)
        is_empty(s, MSG_ERRQUEUE)
        s.setsockopt(level, recverr, 1)
        assert s.getsockopt(level, recverr) == 1
        # Not connected, and told all the same.
        s.sendto(b"hello", (theirs, 9))
        assert polls(s) == [select.POLLERR]
        fails(errno.ECONNREFUSED, s.recv, 100)
        error, data, whom = next_error(s)
        assert (error, data, whom[:2]) == ((errno.ECONNREFUSED, *refused, 0, theirs), b"hello", (theirs, 9)), (error, data, whom)
        is_empty(s, MSG_ERRQUEUE)
        assert s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
        # Taking it from the queue settles it.
        s.sendto(b"again", (theirs, 9))
        assert polls(s) == [select.POLLERR]
        assert next_error(s)[1] == b"again"
        # Who asks for nothing is told of an error all the same, and of nothing else.
        s.sendto(b"mute", (theirs, 9))
        assert polls(s, 0) == [select.POLLERR]
        assert next_error(s)[1] == b"mute"
        other = make(family, SOCK_DGRAM, 0)
        other.sendto(b"data", (ours, s.getsockname()[1]))
        assert polls(s) == [select.POLLIN]
        poll = select.poll()
        poll.register(s, 0)
        poll.register(other, select.POLLIN)
        assert poll.poll(0) == []
        s.sendto(b"answer", (ours, other.getsockname()[1]))
        assert poll.poll(20_000) == [(other.fileno(), select.POLLIN)]
        assert s.recv(100) == b"data"
        assert s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
        # A router's word, with what came along.
        s.setsockopt(level, limit, 1)
        s.setsockopt(level, told_limit, 1)
        s.sendto(b"far", (beyond, 9))
        polls(s)
        assert s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.EHOSTUNREACH
        error, data, whom = next_error(s)
        assert (error, data, whom[:2]) == ((errno.EHOSTUNREACH, *exceeded, 0, theirs), b"far", (beyond, 9)), (error, data, whom)
        # Without asking nobody is told who is not connected.
        s.setsockopt(level, recverr, 0)
        s.sendto(b"far", (beyond, 9))


def what_is_too_long_is_said_with_its_limit():
    for family, to, level, recverr, discover, mtu, limit, where in [
        (AF_INET, far, IPPROTO_IP, IP_RECVERR, IP_MTU_DISCOVER, IP_MTU, 2, 28),
        (AF_INET6, far6, IPPROTO_IPV6, IPV6_RECVERR, 23, 24, 3, 48),
    ]:
        s = make(family, SOCK_DGRAM, 0)
        s.setsockopt(level, recverr, 1)
        s.setsockopt(level, discover, 2)
        s.connect((to, 9))
        assert s.getsockopt(level, mtu) == 1500
        fails(errno.EMSGSIZE, s.send, bytes(1501 - where))
        assert next_error(s)[0] == (errno.EMSGSIZE, 1, 0, 0, 1500, None)
        s.send(bytes(1500 - where))
        assert polls(s) == [select.POLLERR]
        error, _, _ = next_error(s)
        assert error[0] == errno.EMSGSIZE and error[4] == 1400 and error[5] in (peer, peer6), error
        assert s.getsockopt(level, mtu) == 1400
        fails(errno.EMSGSIZE, s.send, bytes(1401 - where))
        assert next_error(s)[0] == (errno.EMSGSIZE, 1, 0, 0, 1400, None)
        # Who probes heeds the link only.
        s.setsockopt(level, discover, 3)
        s.send(bytes(1500 - where))
        polls(s)
        assert next_error(s)[0][4] == 1400


def raw_and_echo_sockets_hear_of_errors():
    six = make(AF_INET6, SOCK_DGRAM, 58)
    six.setsockopt(IPPROTO_IPV6, IPV6_RECVERR, 1)
    six.setsockopt(IPPROTO_IPV6, 16, 1)
    six.sendto(echo(kind=128), (far6, 0))
    polls(six, select.POLLERR | select.POLLIN)
    error, quoted, whom = next_error(six)
    assert error == (errno.EHOSTUNREACH, 3, 3, 0, 0, peer6) and whom[0] == far6, (error, whom)
    assert quoted[0] == 128 and quoted[8:16] == b"12345678", quoted
    for kind, data in [(SOCK_RAW, echo(5)), (SOCK_DGRAM, echo())]:
        s = make(AF_INET, kind, IPPROTO_ICMP)
        s.setsockopt(IPPROTO_IP, IP_RECVERR, 1)
        s.setsockopt(IPPROTO_IP, socket.IP_TTL, 1)
        s.sendto(data, (far, 0))
        assert select.POLLERR in polls(s, select.POLLERR | select.POLLIN) or kind == SOCK_RAW
        error, quoted, whom = next_error(s)
        assert error == (errno.EHOSTUNREACH, 2, 11, 0, 0, peer) and whom == (far, 0), (error, whom)
        assert quoted[0] == 8 and quoted[8:16] == b"12345678", quoted
    six = make(AF_INET6, SOCK_RAW, 58)
    six.setsockopt(IPPROTO_IPV6, IPV6_RECVERR, 1)
    six.setsockopt(IPPROTO_IPV6, 16, 1)
    six.setsockopt(IPPROTO_ICMPV6, ICMP6_FILTER, b"\xff" * 32)
    six.sendto(echo(kind=128), (far6, 0))
    assert polls(six) == [select.POLLERR]
    error, quoted, whom = next_error(six)
    assert error == (errno.EHOSTUNREACH, 3, 3, 0, 0, peer6) and whom[0] == far6 and quoted[0] == 128, (error, whom)


def a_routers_limit_is_told():
    """IPV6_RECVPATHMTU and IPV6_PATHMTU: what a router's Packet Too Big has taught."""
    IPV6_RECVPATHMTU, IPV6_PATHMTU, IPV6_DONTFRAG = 60, 61, 62
    s = make(AF_INET6, SOCK_DGRAM, 0)
    for option in (IPV6_RECVPATHMTU, IPV6_DONTFRAG):
        s.setsockopt(IPPROTO_IPV6, option, 1)
    s.connect((far6, 9))
    for _ in range(200):
        try:
            s.send(bytes(1450))
        except OSError as failure:
            # What is refused at the far end is none of this.
            if failure.errno == errno.EMSGSIZE:
                break
        select.select([s], [], [], 0.1)
    else:
        raise AssertionError("the limit was not learnt")
    while True:
        try:
            data, ((level, kind, info),), _, _ = s.recvmsg(100, 100)
            break
        except ConnectionRefusedError:
            pass
    assert (data, level, kind) == (b"", IPPROTO_IPV6, IPV6_PATHMTU)
    assert socket.inet_ntop(AF_INET6, info[8:24]) == far6 and struct.unpack("I", info[28:]) == (1400,), info
    assert struct.unpack("I", s.getsockopt(IPPROTO_IPV6, IPV6_PATHMTU, 32)[28:]) == (1400,)


def alerts_are_sent():
    """The peer's part, again and again: packets with a router alert for others and for the subject, and one that ends the round."""
    four, six, own_header = make(AF_INET, SOCK_RAW, UNKNOWN), make(AF_INET6, SOCK_RAW, UNKNOWN), make(AF_INET6, SOCK_RAW, IPPROTO_RAW)
    four.setsockopt(IPPROTO_IP, 4, bytes([148, 4, 0, 0]))
    six.setsockopt(IPPROTO_IPV6, 54, bytes([0, 0, 5, 2, 0, 0, 1, 0]))
    addresses = b"".join(socket.inet_pton(AF_INET6, address) for address in (own6, peer6))
    while True:
        for s, elsewhere, here in [(four, "10.9.7.7", peer), (six, "fd09:7::7", peer6)]:
            s.sendto(b"elsewhere", (elsewhere, 0))
            s.sendto(b"here", (here, 0))
        own_header.sendto(struct.pack("!IHBB", 6 << 28, 3, IPPROTO_RAW, 64) + addresses + b"end", (peer6, 0))
        select.select([], [], [], 0.3)


def alerts_are_for_routers():
    four, six = make(AF_INET, SOCK_RAW, UNKNOWN), make(AF_INET6, SOCK_RAW, UNKNOWN)
    alerted = make(AF_INET6, SOCK_RAW, IPPROTO_RAW)
    four.setsockopt(IPPROTO_IP, 5, 1)
    alerted.setsockopt(IPPROTO_IPV6, 22, 0)
    fails(errno.EADDRINUSE, four.setsockopt, IPPROTO_IP, 5, 1)
    fails(errno.EADDRINUSE, alerted.setsockopt, IPPROTO_IPV6, 22, 3)
    fails(errno.ENOPROTOOPT, six.setsockopt, IPPROTO_IPV6, 22, 0)
    print("ready", flush=True)
    # What is for the socket's protocol comes as ever, and nothing else.
    for _ in range(3):
        assert alerted.recv(100) == b"end"
        packet = four.recv(100)
        assert packet[20:] == bytes([148, 4, 0, 0]) + b"here", packet
        assert six.recv(100) == b"here"


globals()[check]()
