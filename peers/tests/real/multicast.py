# Groups as sockets have them. Arguments: the function; the ends: own and peer's of IPv4, own and peer's of IPv6; and another address of the
# peer's in each family.
import errno, itertools, socket, struct, sys
from socket import AF_INET, AF_INET6, IPPROTO_IP, IPPROTO_IPV6, SO_REUSEADDR, SO_REUSEPORT, SOCK_DGRAM, SOCK_RAW, SOCK_STREAM, SOL_SOCKET
from socket import inet_aton, inet_pton

from common import fails

check, own, peer, own6, peer6, other, other6 = sys.argv[1:8]
GROUP, GROUP6 = "239.7.7.7", "ff15::77"
UNBLOCK, BLOCK, ADD_SOURCE, DROP_SOURCE, MSFILTER = 37, 38, 39, 40, 41
JOIN, MCAST_BLOCK, MCAST_UNBLOCK, LEAVE, JOIN_SOURCE, LEAVE_SOURCE, MCAST_MSFILTER = range(42, 49)
IP_MULTICAST_ALL, IPV6_MULTICAST_ALL = 49, 29
INCLUDE, EXCLUDE = 1, 0


def link():
    """The index of the only link, where the program can ask for it; a node counts from the loopback."""
    try:
        return socket.if_nametoindex("veth0")
    except OSError:
        return 2


def make(family=AF_INET, port=7200, at=""):
    s = socket.socket(family, SOCK_DGRAM)
    s.settimeout(20)
    s.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
    s.bind((at, port))
    return s


def say(data, to, port=7200, by=None):
    """The peer says it."""
    if by is None:
        by = peer6 if ":" in to else peer
    with socket.socket(AF_INET, SOCK_DGRAM) as s:
        s.sendto(f"{by} {to} {port} {data}".encode(), (peer, 7100))


ends = itertools.count()


def hears(s, *expected):
    """Exactly that has come to a socket; then the peer says something to it alone. A raw one hears what goes to port 7200."""
    to = own if s.family == AF_INET else own6
    raw = s.type == SOCK_RAW
    end, got = f"end {next(ends)}", []
    s.settimeout(5)
    for _ in range(6):
        say(end, to, 7200 if raw else s.getsockname()[1])
        try:
            while not got or got[-1] != end:
                data = s.recv(2000)
                if raw:
                    data = data[20 if s.family == AF_INET else 0 :]
                    if struct.unpack("!H", data[2:4])[0] != 7200:
                        continue
                    data = data[8:]
                got.append(data.decode())
            break
        except TimeoutError:
            # The peer has looked for us in vain: who is busy does not answer.
            pass
    else:
        raise AssertionError(f"no end comes, but {got}")
    got = [one for one in got if not one.startswith("end ")]
    assert got == list(expected), (got, expected)


def mreq(group=GROUP, interface=None):
    return inet_aton(group) + inet_aton(interface or own)


def mreqn(group=GROUP, address="0.0.0.0", index=0):
    return struct.pack("4s4si", inet_aton(group), inet_aton(address), index)


def mreq6(group=GROUP6, index=0):
    return struct.pack("16si", inet_pton(AF_INET6, group), index)


def source(address, group=GROUP, interface=None):
    return inet_aton(group) + inet_aton(interface or own) + inet_aton(address)


def storage(address):
    v6 = ":" in address
    packed = struct.pack("HHI16sI", AF_INET6, 0, 0, inet_pton(AF_INET6, address), 0) if v6 else struct.pack("HH4s", AF_INET, 0, inet_aton(address))
    return packed.ljust(128, b"\0")


def request(*addresses, index=0):
    """A group_req, or a group_source_req."""
    return struct.pack("Q", index) + b"".join(map(storage, addresses))


def group_filter(group, mode, *sources, count=None):
    count = len(sources) if count is None else count
    return struct.pack("Q", link()) + storage(group) + struct.pack("II", mode, count) + b"".join(map(storage, sources))


def msfilter(mode, *sources, group=GROUP, count=None):
    count = len(sources) if count is None else count
    return inet_aton(group) + inet_aton(own) + struct.pack("II", mode, count) + b"".join(map(inet_aton, sources))


def a_group_is_heard_while_a_socket_is_in_it():
    for add, drop, value in ((socket.IP_ADD_MEMBERSHIP, socket.IP_DROP_MEMBERSHIP, mreq()),
                             (socket.IP_ADD_MEMBERSHIP, socket.IP_DROP_MEMBERSHIP, mreqn(address=own))):
        s = make()
        say("early", GROUP)
        hears(s)
        s.setsockopt(IPPROTO_IP, add, value)
        say("now", GROUP)
        say("elsewhere", "239.7.7.8")
        hears(s, "now")
        s.setsockopt(IPPROTO_IP, drop, value)
        say("late", GROUP)
        hears(s)
        s.close()
    for join, leave, value in ((socket.IPV6_JOIN_GROUP, socket.IPV6_LEAVE_GROUP, mreq6()),):
        s = make(AF_INET6)
        s.setsockopt(IPPROTO_IPV6, join, value)
        say("now", GROUP6)
        hears(s, "now")
        s.setsockopt(IPPROTO_IPV6, leave, value)
        say("late", GROUP6)
        hears(s)
        s.close()


def sources_are_chosen():
    s = make()
    s.setsockopt(IPPROTO_IP, ADD_SOURCE, source(peer))
    say("wanted", GROUP)
    say("unwanted", GROUP, by=other)
    hears(s, "wanted")
    s.setsockopt(IPPROTO_IP, ADD_SOURCE, source(other))
    s.setsockopt(IPPROTO_IP, DROP_SOURCE, source(peer))
    say("no more", GROUP)
    say("now", GROUP, by=other)
    hears(s, "now")
    # All of a sudden everybody but one.
    s.setsockopt(IPPROTO_IP, MSFILTER, msfilter(EXCLUDE, other))
    say("one", GROUP)
    say("two", GROUP, by=other)
    hears(s, "one")
    s.setsockopt(IPPROTO_IP, UNBLOCK, source(other))
    s.setsockopt(IPPROTO_IP, BLOCK, source(peer))
    say("one", GROUP)
    say("two", GROUP, by=other)
    hears(s, "two")
    s.close()
    s = make(AF_INET6)
    s.setsockopt(IPPROTO_IPV6, JOIN_SOURCE, request(GROUP6, peer6))
    say("wanted", GROUP6)
    say("unwanted", GROUP6, by=other6)
    hears(s, "wanted")
    s.setsockopt(IPPROTO_IPV6, MCAST_MSFILTER, group_filter(GROUP6, EXCLUDE, peer6))
    say("one", GROUP6)
    say("two", GROUP6, by=other6)
    hears(s, "two")
    s.setsockopt(IPPROTO_IPV6, LEAVE, request(GROUP6))
    say("late", GROUP6)
    hears(s)


def several_sockets_share_a_group():
    """As programs that speak mDNS do."""
    for family, group in ((AF_INET, GROUP), (AF_INET6, GROUP6)):
        sockets = []
        for _ in range(4):
            s = socket.socket(family, SOCK_DGRAM)
            s.settimeout(20)
            for each in (SO_REUSEADDR, SO_REUSEPORT):
                s.setsockopt(SOL_SOCKET, each, 1)
            s.bind(("", 7200))
            sockets.append(s)
            if family == AF_INET:
                s.setsockopt(IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, mreq())
                s.setsockopt(IPPROTO_IP, socket.IP_MULTICAST_IF, inet_aton(own))
            else:
                s.setsockopt(IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, mreq6())
        say("to all", group)
        for s in sockets:
            assert s.recv(100) == b"to all"
        # One asks; all hear the question, himself too, and it is one that has left the host.
        sockets[0].sendto(b"who?", (group, 7200))
        for s in sockets:
            data, sender = s.recvfrom(100)
            assert data == b"who?" and sender[:2] == (own if family == AF_INET else own6, 7200), sender
        for s in sockets:
            s.close()


def whoever_listens_here_hears_what_is_sent():
    for family, level, group in ((AF_INET, IPPROTO_IP, GROUP), (AF_INET6, IPPROTO_IPV6, GROUP6)):
        listener = make(family, 7201)
        loop = socket.IP_MULTICAST_LOOP if family == AF_INET else socket.IPV6_MULTICAST_LOOP
        if family == AF_INET:
            listener.setsockopt(level, socket.IP_ADD_MEMBERSHIP, mreq())
        else:
            listener.setsockopt(level, socket.IPV6_JOIN_GROUP, mreq6())
        sender = make(family, 7202)
        if family == AF_INET:
            sender.setsockopt(level, socket.IP_MULTICAST_IF, inet_aton(own))
        sender.sendto(b"one", (group, 7201))
        sender.setsockopt(level, loop, 0)
        sender.sendto(b"two", (group, 7201))
        sender.setsockopt(level, loop, 1)
        sender.sendto(b"three" * 1000, (group, 7201))
        assert [listener.recv(6000) for _ in range(2)] == [b"one", b"three" * 1000]
        listener.close()
        sender.close()
    # And everybody.
    listener, sender = make(port=7201), make(port=7202)
    fails(errno.EACCES, sender.sendto, b"all", ("10.9.0.255", 7201))
    sender.setsockopt(SOL_SOCKET, socket.SO_BROADCAST, 1)
    sender.sendto(b"all", ("10.9.0.255", 7201))
    assert listener.recvfrom(100) == (b"all", (own, 7202))


def groups_elsewhere_are_reached():
    s = make()
    s.setsockopt(IPPROTO_IP, socket.IP_MULTICAST_IF, inet_aton(own))
    for ttl in (None, 5, 1):
        if ttl is not None:
            s.setsockopt(IPPROTO_IP, socket.IP_MULTICAST_TTL, ttl)
        s.sendto(b"hello", ("239.9.9.9", 7101))
        assert s.recvfrom(100) == (f"{ttl or 1} hello".encode(), (peer, 7101))
    s.connect(("239.9.9.9", 7101))
    assert s.getsockname() == (own, 7200)
    s = make(AF_INET6)
    for hops in (None, 7):
        if hops is not None:
            s.setsockopt(IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, hops)
        s.sendto(b"hello", ("ff15::9", 7101))
        data, sender = s.recvfrom(100)
        assert data == f"{hops or 1} hello".encode() and sender[1] == 7101, (data, sender)
    # A socket of both families in a group of each.
    both = make(AF_INET6, 7203, "::")
    both.setsockopt(IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, mreq())
    both.setsockopt(IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, mreq6())
    say("four", GROUP, 7203)
    say("six", GROUP6, 7203)
    hears(both, "four", "six")


def who_is_in_no_group_hears_all_or_nothing():
    for family, level, group in ((AF_INET, IPPROTO_IP, GROUP), (AF_INET6, IPPROTO_IPV6, GROUP6)):
        option = IP_MULTICAST_ALL if family == AF_INET else IPV6_MULTICAST_ALL
        member, curious, aloof = make(family), make(family, 7204), make(family, 7205)
        if family == AF_INET:
            member.setsockopt(level, socket.IP_ADD_MEMBERSHIP, mreq())
        else:
            member.setsockopt(level, socket.IPV6_JOIN_GROUP, mreq6())
        assert curious.getsockopt(level, option) == 1
        aloof.setsockopt(level, option, 0)
        for s in (member, curious, aloof):
            say("hello", group, s.getsockname()[1])
        hears(member, "hello")
        hears(curious, "hello")
        hears(aloof)
        for s in (member, curious, aloof):
            s.close()


def raw(family, at=""):
    s = socket.socket(family, SOCK_RAW, socket.IPPROTO_UDP)
    s.settimeout(20)
    s.bind((at, 0))
    return s


def both_say(s, *expected):
    """Two of the peer's addresses say something to the group, of which that is heard."""
    group, second = (GROUP, other) if s.family == AF_INET else (GROUP6, other6)
    say("one", group)
    say("two", group, by=second)
    hears(s, *expected)


def wishes_of_ipv4(s):
    """All that a socket can wish of sources, in both dresses, and what it then hears; it leaves the group in the end."""
    def wish(name, value):
        s.setsockopt(IPPROTO_IP, name, value)

    first, second = request(GROUP, peer, index=link()), request(GROUP, other, index=link())
    for add, drop, block, unblock, these, those in (
        (ADD_SOURCE, DROP_SOURCE, BLOCK, UNBLOCK, source(peer), source(other)),
        (JOIN_SOURCE, LEAVE_SOURCE, MCAST_BLOCK, MCAST_UNBLOCK, first, second),
    ):
        wish(add, these)
        both_say(s, "one")
        wish(add, those)
        both_say(s, "one", "two")
        wish(drop, these)
        both_say(s, "two")
        wish(drop, those)
        wish(JOIN, request(GROUP, index=link()))
        both_say(s, "one", "two")
        wish(block, those)
        both_say(s, "one")
        wish(block, these)
        both_say(s)
        wish(unblock, those)
        both_say(s, "two")
        wish(LEAVE, request(GROUP, index=link()))
    for mode, heard in ((INCLUDE, "two"), (EXCLUDE, "one")):
        wish(JOIN, request(GROUP, index=link()))
        wish(MCAST_MSFILTER, group_filter(GROUP, mode, other))
        both_say(s, heard)
        wish(MSFILTER, msfilter(EXCLUDE))
        both_say(s, "one", "two")
        wish(LEAVE, request(GROUP, index=link()))


def wishes_of_ipv6(s, chooses=True):
    """The same; of raw sockets only those that are bound to an address of ours choose."""
    def wish(name, value):
        s.setsockopt(IPPROTO_IPV6, name, value)

    def heard(*expected):
        both_say(s, *(expected if chooses else ("one", "two")))

    group, first, second = request(GROUP6, index=link()), request(GROUP6, peer6, index=link()), request(GROUP6, other6, index=link())
    wish(JOIN_SOURCE, first)
    heard("one")
    wish(JOIN_SOURCE, second)
    heard("one", "two")
    wish(LEAVE_SOURCE, first)
    heard("two")
    wish(LEAVE_SOURCE, second)
    wish(socket.IPV6_JOIN_GROUP, mreq6(index=link()))
    heard("one", "two")
    wish(MCAST_BLOCK, second)
    heard("one")
    wish(MCAST_BLOCK, first)
    heard()
    wish(MCAST_UNBLOCK, second)
    heard("two")
    wish(MCAST_MSFILTER, group_filter(GROUP6, INCLUDE, peer6))
    heard("one")
    wish(MCAST_MSFILTER, group_filter(GROUP6, EXCLUDE))
    heard("one", "two")
    wish(LEAVE, group)


def every_wish_of_sources_holds():
    """Of datagrams' sockets, and of raw ones, while somebody else hears all."""
    members = make(port=7207), make(AF_INET6, 7207)
    members[0].setsockopt(IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, mreq())
    members[1].setsockopt(IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, mreq6(index=link()))
    for kind in (make, raw):
        s = kind(AF_INET)
        both_say(s, "one", "two")
        wishes_of_ipv4(s)
        both_say(s, "one", "two")
        s.setsockopt(IPPROTO_IP, IP_MULTICAST_ALL, 0)
        both_say(s)
        wishes_of_ipv4(s)
        s.close()
    s = make(AF_INET6)
    wishes_of_ipv6(s)
    s.setsockopt(IPPROTO_IPV6, IPV6_MULTICAST_ALL, 0)
    both_say(s)
    wishes_of_ipv6(s)
    s.close()


def raw_sockets_hear_groups_by_their_address():
    members = make(port=7207), make(AF_INET6, 7207)
    members[0].setsockopt(IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, mreq())
    members[1].setsockopt(IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, mreq6(index=link()))
    # IPv4: the address is the packet's, or none.
    s = raw(AF_INET, own)
    s.setsockopt(IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, mreq())
    both_say(s)
    # IPv6: who is bound to an address of ours hears what it wishes of groups, too, and who is bound to none hears all.
    s = raw(AF_INET6, own6)
    both_say(s, "one", "two")
    wishes_of_ipv6(s)
    s.setsockopt(IPPROTO_IPV6, IPV6_MULTICAST_ALL, 0)
    both_say(s)
    wishes_of_ipv6(s)
    s = raw(AF_INET6)
    wishes_of_ipv6(s, chooses=False)
    s.setsockopt(IPPROTO_IPV6, IPV6_MULTICAST_ALL, 0)
    both_say(s, "one", "two")
    wishes_of_ipv6(s, chooses=False)


def options_and_their_errors():
    s = make()
    set4 = lambda name, value: s.setsockopt(IPPROTO_IP, name, value)
    fails(errno.EINVAL, set4, socket.IP_ADD_MEMBERSHIP, mreq("10.9.0.1"))
    fails(errno.EINVAL, set4, socket.IP_ADD_MEMBERSHIP, inet_aton(GROUP))
    fails(errno.ENODEV, set4, socket.IP_ADD_MEMBERSHIP, mreq(GROUP, "192.0.2.9"))
    fails(errno.ENODEV, set4, socket.IP_ADD_MEMBERSHIP, mreqn(index=99))
    fails(errno.EADDRNOTAVAIL, set4, socket.IP_DROP_MEMBERSHIP, mreq())
    set4(socket.IP_ADD_MEMBERSHIP, mreq())
    fails(errno.EADDRINUSE, set4, socket.IP_ADD_MEMBERSHIP, mreq())
    fails(errno.EADDRNOTAVAIL, set4, socket.IP_DROP_MEMBERSHIP, mreq("239.1.1.1"))
    fails(errno.EINVAL, set4, BLOCK, source(peer, "239.1.1.1"))
    fails(errno.EINVAL, set4, BLOCK, source(peer)[:8])
    fails(errno.EADDRNOTAVAIL, set4, UNBLOCK, source(peer))
    set4(BLOCK, source(peer))
    fails(errno.EADDRNOTAVAIL, set4, BLOCK, source(peer))
    fails(errno.EINVAL, set4, DROP_SOURCE, source(peer))
    fails(errno.EINVAL, set4, ADD_SOURCE, source(peer))
    fails(errno.ENOBUFS, set4, MSFILTER, msfilter(INCLUDE, *[peer] * 11))
    fails(errno.EINVAL, set4, MSFILTER, msfilter(INCLUDE, peer, count=2))
    fails(errno.EINVAL, set4, MSFILTER, msfilter(7, peer))
    set4(MSFILTER, msfilter(INCLUDE))
    fails(errno.EADDRNOTAVAIL, set4, socket.IP_DROP_MEMBERSHIP, mreq())
    fails(errno.EINVAL, set4, JOIN, request(GROUP6))
    fails(errno.EINVAL, set4, JOIN, request(GROUP)[:100])
    for number in range(20):
        set4(socket.IP_ADD_MEMBERSHIP, mreq(f"239.2.0.{number}"))
    fails(errno.ENOBUFS, set4, socket.IP_ADD_MEMBERSHIP, mreq("239.2.0.20"))
    assert s.getsockopt(IPPROTO_IP, socket.IP_MULTICAST_TTL) == 1
    set4(socket.IP_MULTICAST_TTL, 7)
    set4(socket.IP_MULTICAST_TTL, b"\x08")
    assert s.getsockopt(IPPROTO_IP, socket.IP_MULTICAST_TTL) == 8
    set4(socket.IP_MULTICAST_TTL, -1)
    assert s.getsockopt(IPPROTO_IP, socket.IP_MULTICAST_TTL) == 1
    fails(errno.EINVAL, set4, socket.IP_MULTICAST_TTL, 256)
    fails(errno.EINVAL, set4, socket.IP_MULTICAST_TTL, -2)
    assert s.getsockopt(IPPROTO_IP, socket.IP_MULTICAST_LOOP) == 1
    set4(socket.IP_MULTICAST_LOOP, 0)
    assert s.getsockopt(IPPROTO_IP, socket.IP_MULTICAST_LOOP) == 0
    fails(errno.EINVAL, set4, IP_MULTICAST_ALL, 2)
    fails(errno.EADDRNOTAVAIL, set4, socket.IP_MULTICAST_IF, inet_aton("192.0.2.9"))
    fails(errno.EADDRNOTAVAIL, set4, socket.IP_MULTICAST_IF, mreqn(index=99))
    set4(socket.IP_MULTICAST_IF, inet_aton(own))
    assert s.getsockopt(IPPROTO_IP, socket.IP_MULTICAST_IF, 4) == inet_aton(own)
    set4(socket.IP_MULTICAST_IF, mreqn("0.0.0.0"))
    assert s.getsockopt(IPPROTO_IP, socket.IP_MULTICAST_IF, 4) == bytes(4)
    s = make(AF_INET6, 7206)
    set6 = lambda name, value: s.setsockopt(IPPROTO_IPV6, name, value)
    fails(errno.EINVAL, set6, socket.IPV6_JOIN_GROUP, mreq6("fd09::1"))
    fails(errno.ENODEV, set6, socket.IPV6_JOIN_GROUP, mreq6(index=99))
    fails(errno.EADDRNOTAVAIL, set6, socket.IPV6_LEAVE_GROUP, mreq6())
    set6(socket.IPV6_JOIN_GROUP, mreq6(index=link()))
    fails(errno.EADDRINUSE, set6, socket.IPV6_JOIN_GROUP, mreq6())
    fails(errno.EADDRINUSE, set6, JOIN, request(GROUP6))
    fails(errno.EADDRNOTAVAIL, set6, JOIN, request(GROUP))
    fails(errno.EINVAL, set6, MCAST_BLOCK, request("ff15::99", peer6))
    fails(errno.EADDRNOTAVAIL, set6, MCAST_UNBLOCK, request(GROUP6, peer6))
    fails(errno.ENOBUFS, set6, MCAST_MSFILTER, group_filter(GROUP6, INCLUDE, *[peer6] * 65))
    assert s.getsockopt(IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS) == 1
    set6(socket.IPV6_MULTICAST_HOPS, 9)
    assert s.getsockopt(IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS) == 9
    fails(errno.EINVAL, set6, socket.IPV6_MULTICAST_HOPS, 256)
    fails(errno.EINVAL, set6, socket.IPV6_MULTICAST_LOOP, 2)
    fails(errno.ENODEV, set6, socket.IPV6_MULTICAST_IF, 99)
    assert s.getsockopt(IPPROTO_IPV6, socket.IPV6_MULTICAST_IF) == 0
    stream = socket.socket(AF_INET, SOCK_STREAM)
    fails(errno.EPROTO, stream.setsockopt, IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, mreq())
    fails(errno.EINVAL, stream.setsockopt, IPPROTO_IP, socket.IP_MULTICAST_TTL, 3)
    stream = socket.socket(AF_INET6, SOCK_STREAM)
    fails(errno.EPROTO, stream.setsockopt, IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, mreq6())
    fails(errno.ENOPROTOOPT, stream.setsockopt, IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 3)


globals()[check]()
