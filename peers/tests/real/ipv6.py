# Sockets of AF_INET6, as Linux has them. Arguments: the function, and the ends: own and peer's of IPv4, own and peer's of IPv6.
import errno, socket, struct, sys
from socket import AF_INET, AF_INET6, IPPROTO_IPV6, SOCK_DGRAM, SOCK_STREAM, SOL_SOCKET

check, own, peer, own6, peer6 = sys.argv[1:6]
STREAM, DATAGRAM = 7000, 7001


def make(family, kind=SOCK_STREAM):
    s = socket.socket(family, kind)
    s.settimeout(20)
    return s


def fails(error, call, *arguments):
    try:
        call(*arguments)
    except OSError as failure:
        assert failure.errno == error, f"{failure}, and not {errno.errorcode[error]}"
    else:
        raise AssertionError(f"no {errno.errorcode[error]}")


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


globals()[check]()
