# Sockets of AF_INET6, as Linux has them. Arguments: the function, and the ends: own and peer's of IPv4, own and peer's of IPv6.
import ctypes, errno, socket, struct, sys
from socket import AF_INET, AF_INET6, IPPROTO_IPV6, SOCK_DGRAM, SOCK_STREAM, SOL_SOCKET

from common import fails

check, own, peer, own6, peer6 = sys.argv[1:6]
STREAM, DATAGRAM = 7000, 7001


def make(family, kind=SOCK_STREAM):
    s = socket.socket(family, kind)
    s.settimeout(20)
    return s


def exchange(s, data=b"hello"):
    s.sendall(data)
    assert s.recv(100) == data


def names_of_both_families():
    s = make(AF_INET6)
    assert s.getsockname() == ("::", 0, 0, 0)
    fails(errno.ENOTCONN, s.getpeername)
    s.connect((peer6, STREAM))
    assert s.getsockname()[0] == own6 and s.getpeername() == (peer6, STREAM, 0, 0)
    assert s.getsockopt(SOL_SOCKET, socket.SO_DOMAIN) == AF_INET6
    exchange(s)
    mapped = make(AF_INET6)
    mapped.connect(("::ffff:" + peer, STREAM))
    assert mapped.getsockname()[0] == "::ffff:" + own, mapped.getsockname()
    assert mapped.getpeername() == ("::ffff:" + peer, STREAM, 0, 0)
    exchange(mapped)


def one_port_two_families():
    both = make(AF_INET6)
    both.bind(("::", 0))
    port = both.getsockname()[1]
    both.listen()
    fails(errno.EADDRINUSE, make(AF_INET).bind, ("0.0.0.0", port))
    fails(errno.EADDRINUSE, make(AF_INET).bind, (own, port))
    fails(errno.EADDRINUSE, make(AF_INET6).bind, (own6, port))
    # A connection to ourselves, by either family.
    for family, to, seen in ((AF_INET, own, "::ffff:" + own), (AF_INET6, own6, own6), (AF_INET6, "::ffff:" + own, "::ffff:" + own)):
        client = make(family)
        client.connect((to, port))
        server, address = both.accept()
        server.settimeout(20)
        assert address[0] == seen and server.getsockname()[0] == seen, (address, server.getsockname())
        client.sendall(b"ping")
        assert server.recv(10) == b"ping"
        server.sendall(b"pong")
        assert client.recv(10) == b"pong"


def only_ipv6():
    only = make(AF_INET6)
    only.setsockopt(IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    assert only.getsockopt(IPPROTO_IPV6, socket.IPV6_V6ONLY) == 1
    fails(errno.EINVAL, only.bind, ("::ffff:" + own, 0))
    only.bind(("::", 0))
    port = only.getsockname()[1]
    fails(errno.EINVAL, only.setsockopt, IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    four = make(AF_INET)
    four.bind(("0.0.0.0", port))
    client = make(AF_INET6)
    client.setsockopt(IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    fails(errno.ENETUNREACH, client.connect, ("::ffff:" + peer, STREAM))
    datagram = make(AF_INET6, SOCK_DGRAM)
    datagram.setsockopt(IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    fails(errno.ENETUNREACH, datagram.sendto, b"x", ("::ffff:" + peer, DATAGRAM))
    fails(errno.EADDRNOTAVAIL, make(AF_INET6).bind, (peer6, 0))
    mapped = make(AF_INET6)
    mapped.bind(("::ffff:" + own, 0))
    assert mapped.getsockname()[0] == "::ffff:" + own


def options_of_ipv6():
    for kind in (SOCK_STREAM, SOCK_DGRAM):
        s = make(AF_INET6, kind)
        get = lambda name: s.getsockopt(IPPROTO_IPV6, name)
        set = lambda name, value: s.setsockopt(IPPROTO_IPV6, name, value)
        assert (get(socket.IPV6_UNICAST_HOPS), get(socket.IPV6_TCLASS), get(socket.IPV6_V6ONLY)) == (64, 0, 0)
        set(socket.IPV6_UNICAST_HOPS, 7)
        set(socket.IPV6_TCLASS, 0x40)
        assert (get(socket.IPV6_UNICAST_HOPS), get(socket.IPV6_TCLASS)) == (7, 0x40)
        set(socket.IPV6_UNICAST_HOPS, -1)
        set(socket.IPV6_TCLASS, -1)
        assert (get(socket.IPV6_UNICAST_HOPS), get(socket.IPV6_TCLASS)) == (64, 0)
        fails(errno.EINVAL, set, socket.IPV6_UNICAST_HOPS, 256)
        fails(errno.EINVAL, set, socket.IPV6_TCLASS, 256)
        fails(errno.EINVAL, s.setsockopt, IPPROTO_IPV6, socket.IPV6_V6ONLY, b"\1")
        s.close()
    fails(errno.ENOPROTOOPT, make(AF_INET).setsockopt, IPPROTO_IPV6, 0xffff, 1)


def datagrams_with_what_came_along():
    s = make(AF_INET6, SOCK_DGRAM)
    for option in (socket.IPV6_RECVPKTINFO, socket.IPV6_RECVHOPLIMIT, socket.IPV6_RECVTCLASS):
        s.setsockopt(IPPROTO_IPV6, option, 1)
    for to, seen, here in ((peer6, peer6, own6), ("::ffff:" + peer, "::ffff:" + peer, None)):
        # The longer ones come and go in fragments.
        for size in (0, 1, 1400, 9000, 60000):
            s.sendto(b"x" * size, (to, DATAGRAM))
            data, ancillary, _, sender = s.recvmsg(65536, 256)
            assert len(data) == size and sender[:2] == (seen, DATAGRAM), (len(data), sender)
            if here:
                came = {kind: value for level, kind, value in ancillary if level == IPPROTO_IPV6}
                assert socket.inet_ntop(AF_INET6, came[socket.IPV6_PKTINFO][:16]) == here
                assert struct.unpack("i", came[socket.IPV6_HOPLIMIT]) == (64,)
                assert struct.unpack("i", came[socket.IPV6_TCLASS]) == (0,)
    connected = make(AF_INET6, SOCK_DGRAM)
    connected.connect((peer6, DATAGRAM))
    assert connected.getsockname()[0] == own6 and connected.getpeername() == (peer6, DATAGRAM, 0, 0)
    connected.send(b"hello")
    assert connected.recv(100) == b"hello"


def nobody_listens():
    fails(errno.ECONNREFUSED, make(AF_INET6).connect, (peer6, 9))
    fails(errno.ECONNREFUSED, make(AF_INET6).connect, ("::ffff:" + peer, 9))
    s = make(AF_INET6, SOCK_DGRAM)
    s.connect((peer6, 9))
    s.send(b"anybody?")
    fails(errno.ECONNREFUSED, s.recv, 10)
    fails(errno.ENETUNREACH, make(AF_INET6).connect, ("2001:db8::1", 9))


def connected(to, family=AF_INET6, own=None, kind=SOCK_STREAM):
    s = make(family, kind)
    if own:
        s.bind((own, 0))
    s.connect(to)
    return s


def nobody_in_particular_is_ourselves():
    for kind in (SOCK_STREAM, SOCK_DGRAM):
        four, six = make(AF_INET, kind), make(AF_INET6, kind)
        six.setsockopt(IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        four.bind(("0.0.0.0", 0))
        six.bind(("::", 0))
        four_port, six_port = four.getsockname()[1], six.getsockname()[1]
        if kind == SOCK_STREAM:
            four.listen()
            six.listen()
        assert connected(("::", six_port), kind=kind).getpeername()[0] == "::1"
        assert connected(("::", six_port), kind=kind, own=own6).getsockname()[0] == own6
        assert connected(("0.0.0.0", four_port), AF_INET, kind=kind).getpeername()[0] == "127.0.0.1"
        assert connected(("0.0.0.0", four_port), AF_INET, own, kind).getpeername()[0] == own
        assert connected(("::ffff:0.0.0.0", four_port), kind=kind).getpeername()[0] == "::ffff:127.0.0.1"
        if kind == SOCK_DGRAM:
            make(AF_INET6, kind).sendto(b"six", ("::", six_port))
            assert six.recv(10) == b"six"
            make(AF_INET, kind).sendto(b"four", ("0.0.0.0", four_port))
            assert four.recv(10) == b"four"


def bound_to_the_other_family():
    """Not by any of three ways."""
    for here, there, error in ((own6, "::ffff:" + peer, errno.ENETUNREACH), ("::ffff:" + own, peer6, errno.EAFNOSUPPORT)):
        fails(error, connected, (there, STREAM), AF_INET6, here)
        fails(error, connected, (there, DATAGRAM), AF_INET6, here, SOCK_DGRAM)
        s = make(AF_INET6, SOCK_DGRAM)
        s.bind((here, 0))
        fails(error, s.sendto, b"x", (there, DATAGRAM))


def shared(family, kind, option, port=0):
    s = make(family, kind)
    s.setsockopt(SOL_SOCKET, option, 1)
    s.bind(("::" if family == AF_INET6 else "0.0.0.0", port))
    if kind == SOCK_STREAM:
        s.listen()
    return s


def who_gets_what_both_could():
    """An AF_INET6 socket that speaks both families leaves IPv4 to one of AF_INET, whichever was first."""
    for families in ((AF_INET6, AF_INET), (AF_INET, AF_INET6)):
        for kind, option in ((SOCK_DGRAM, socket.SO_REUSEADDR), (SOCK_DGRAM, socket.SO_REUSEPORT), (SOCK_STREAM, socket.SO_REUSEPORT)):
            first = shared(families[0], kind, option)
            second = shared(families[1], kind, option, first.getsockname()[1])
            by_family = dict(zip(families, (first, second)))
            port = first.getsockname()[1]
            for family, to in ((AF_INET, own), (AF_INET6, own6)):
                for _ in range(8):
                    client = connected((to, port), family, kind=kind)
                    if kind == SOCK_DGRAM:
                        client.send(b"for whom?")
                        assert by_family[family].recv(20) == b"for whom?"
                    else:
                        assert by_family[family].accept()[1][0] == to
            for s in (first, second):
                s.setblocking(False)
                fails(errno.EAGAIN, s.recv if kind == SOCK_DGRAM else s.accept, *([1] if kind == SOCK_DGRAM else []))
                s.close()


def ipv4_addresses_on_ipv6_sockets():
    libc = ctypes.CDLL(None, use_errno=True)

    def call(name, s, address, *before):
        raw = struct.pack("=H", AF_INET) + struct.pack("!H", address[1]) + socket.inet_aton(address[0]) + bytes(8)
        result = getattr(libc, name)(s.fileno(), *before, raw, len(raw))
        return 0 if result >= 0 else ctypes.get_errno()

    data = ctypes.c_char_p(b"hello")
    for only, sent, connects in ((0, 0, 0), (1, errno.ENETUNREACH, errno.EAFNOSUPPORT)):
        s = make(AF_INET6, SOCK_DGRAM)
        s.setsockopt(IPPROTO_IPV6, socket.IPV6_V6ONLY, only)
        assert call("sendto", s, (peer, DATAGRAM), data, ctypes.c_size_t(5), 0) == sent
        if sent == 0:
            assert s.recvfrom(10) == (b"hello", ("::ffff:" + peer, DATAGRAM, 0, 0))
        assert call("connect", s, (peer, DATAGRAM)) == connects
        if connects == 0:
            assert s.getpeername() == ("::ffff:" + peer, DATAGRAM, 0, 0) and s.getsockname()[0] == "::ffff:" + own
            s.send(b"again")
            assert s.recv(10) == b"again"
        assert call("bind", make(AF_INET6, SOCK_DGRAM), (own, 0)) == errno.EINVAL
    assert call("connect", make(AF_INET6), (peer, STREAM)) == errno.EINVAL
    assert call("bind", make(AF_INET6), (own, 0)) == errno.EINVAL


def ipv6_becomes_ipv4():
    libc = ctypes.CDLL(None, use_errno=True)
    become = lambda s, family=AF_INET: s.setsockopt(IPPROTO_IPV6, 1, family)  # IPV6_ADDRFORM
    mapped = "::ffff:" + peer
    for kind, port in ((SOCK_STREAM, STREAM), (SOCK_DGRAM, DATAGRAM)):
        s = make(AF_INET6, kind)
        fails(errno.ENOTCONN, become, s)
        fails(errno.EINVAL, become, s, AF_INET6)
        fails(errno.EINVAL, s.setsockopt, IPPROTO_IPV6, 1, bytes([AF_INET, 0]))
        s.connect((peer6, port))
        fails(errno.EADDRNOTAVAIL, become, s)
        s = make(AF_INET6, kind)
        if kind == SOCK_DGRAM:
            s.setsockopt(IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, socket.inet_pton(AF_INET6, "ff15::9") + bytes(4))
        s.connect((mapped, port))
        exchange(s)
        become(s)
        assert s.getsockopt(SOL_SOCKET, socket.SO_DOMAIN) == AF_INET
        assert s.getsockname()[0] == own and s.getpeername() == (peer, port), s.getsockname()
        exchange(s, b"and now")
        s = socket.socket(fileno=s.detach())
        s.settimeout(20)
        assert s.family == AF_INET
        fails(errno.ENOPROTOOPT, become, s)
        fails(errno.ENOPROTOOPT, s.setsockopt, IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, 9)
        fails(errno.EOPNOTSUPP, s.getsockopt, IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS)
        fails(errno.EINVAL, s.bind, (own, 0))
        s.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 9)
        assert s.getsockopt(socket.IPPROTO_IP, socket.IP_TTL) == 9
        if kind == SOCK_STREAM:
            # The first was not waited for, and not asked about.
            s.connect((peer, port))
            fails(errno.EISCONN, s.connect, (peer, port))
            s.shutdown(socket.SHUT_WR)
            assert s.recv(1) == b""
        else:
            s.sendto(b"to whom?", (peer, port))
            assert s.recvfrom(10) == (b"to whom?", (peer, port))
            s.connect((own, port))
            assert s.getpeername() == (own, port)
            s.connect((peer, port))
            assert libc.connect(s.fileno(), bytes(16), 16) == 0
            assert s.getsockname()[0] == "0.0.0.0", s.getsockname()
    # What has ended is connected no more.
    s = make(AF_INET6)
    s.connect((mapped, STREAM))
    s.shutdown(socket.SHUT_WR)
    assert s.recv(1) == b""
    fails(errno.ENOTCONN, become, s)
    # Half a datagram of IPv6 is one.
    s = make(AF_INET6, SOCK_DGRAM)
    s.sendto(b"half", socket.MSG_MORE, (peer6, DATAGRAM))
    fails(errno.EBUSY, become, s)
    s.send(b"")
    assert s.recv(10) == b"half"
    # Both ends of a connection that never leaves the host.
    listener = make(AF_INET6)
    listener.bind(("::", 0))
    listener.listen()
    port = listener.getsockname()[1]
    client = make(AF_INET6)
    client.connect(("::ffff:" + own, port))
    server, _ = listener.accept()
    for s in (client, server):
        become(s)
    assert server.getpeername() == client.getsockname() and server.getsockname() == client.getpeername() == (own, port)
    client.sendall(b"ping")
    assert server.recv(10) == b"ping"


globals()[check]()
