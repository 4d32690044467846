# Options of sockets of all kinds (SOL_SOCKET, SOL_UDP), one check a function. What is asserted is what Linux does.
# Arguments: the check's name, own address, the peer's address. The peer runs sockets_peer.py.
import ctypes, errno, fcntl, json, os, select, socket, struct, sys, time
from socket import AF_INET, AF_INET6, IPPROTO_IP, IPPROTO_IPV6, IPPROTO_TCP, IPPROTO_UDP, SO_REUSEPORT, SOCK_DGRAM, SOCK_RAW
from socket import SOCK_STREAM, SOL_SOCKET

from common import Orders, exactly, fails

name, OWN, PEER, SUBJECT = sys.argv[1:5]
IPV6 = ":" in PEER
FAMILY, ANY, LOOPBACK = (AF_INET6, "::", "::1") if IPV6 else (AF_INET, "0.0.0.0", "127.0.0.1")
PATIENCE = 30
SO_ATTACH_FILTER, SO_DETACH_FILTER, SO_LOCK_FILTER, SO_ATTACH_BPF = 26, 27, 44, 50
SO_ATTACH_REUSEPORT_CBPF, SO_ATTACH_REUSEPORT_EBPF, SO_DETACH_REUSEPORT_BPF = 51, 52, 68
NET = 0xFFF00000
UDP_CORK, UDP_SEGMENT, UDP_GRO, MSG_MORE, MSG_DONTROUTE = 1, 103, 104, 0x8000, 4
SO_DONTROUTE, SO_BINDTODEVICE, SO_RXQ_OVFL, SO_BINDTOIFINDEX, SO_TIMESTAMPING = 5, 25, 40, 62, 37
ERRORS = (IPPROTO_IPV6, 25) if IPV6 else (IPPROTO_IP, 11)  # IPV6_RECVERR, IP_RECVERR
DISCOVER = (IPPROTO_IPV6, 23) if IPV6 else (IPPROTO_IP, 10)  # IPV6_MTU_DISCOVER, IP_MTU_DISCOVER


def at(address, port):
    """A name as Python tells it."""
    return (address, port, 0, 0) if IPV6 else (address, port)


peer = Orders(PEER)


def program(s, *instructions, option=SO_ATTACH_FILTER):
    """Attaches instructions: each is code, jump if true, jump if false, constant."""
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *one) for one in instructions))
    s.setsockopt(SOL_SOCKET, option, struct.pack("HxxxxxxP", len(instructions), ctypes.addressof(code)))


def ret(value):
    return (0x06, 0, 0, value)


RETURN_A = (0x16, 0, 0, 0)


def datagrams(port=0, share=False, kind=SOCK_DGRAM, protocol=0):
    s = socket.socket(FAMILY, kind, protocol)
    if share:
        s.setsockopt(SOL_SOCKET, SO_REUSEPORT, 1)
    s.settimeout(PATIENCE)
    s.bind(at(ANY, port))
    return s


def listening(port, share=False):
    s = socket.socket(FAMILY)
    s.setsockopt(SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if share:
        s.setsockopt(SOL_SOCKET, SO_REUSEPORT, 1)
    s.settimeout(PATIENCE)
    s.bind(at(ANY, port))
    s.listen()
    return s


def connection(port):
    """One that the peer has made, named `c` there."""
    with listening(port) as listener:
        peer(f"c = socket.create_connection((subject, {port}))")
        s = listener.accept()[0]
    s.settimeout(PATIENCE)
    return s


# Filters.


def filter_on_a_stream():
    s = connection(8001)
    # Payload that begins with x is for nobody: the header's length is the fourth part of the high half of byte 12.
    program(
        s,
        (0x30, 0, 0, 12),  # ldb [12]
        (0x54, 0, 0, 0xF0),  # and #0xf0
        (0x74, 0, 0, 2),  # rsh #2
        (0x07, 0, 0, 0),  # tax
        (0x50, 0, 0, 0),  # ldb [x]
        (0x15, 0, 1, ord("x")),  # jeq #'x', next, keep
        ret(0),
        ret(0xFFFF),
    )
    # A segment without payload has no such byte, and a load from where nothing is drops it.
    peer("c.sendall(b'yes')")
    assert exactly(s, 3) == b"yes"
    peer("c.sendall(b'x')")
    peer("wait_for(lambda: retransmitted(c) > 1)")
    s.setblocking(False)
    fails(errno.EAGAIN, s.recv, 1)
    s.setblocking(True)
    s.setsockopt(SOL_SOCKET, SO_DETACH_FILTER, 0)
    assert exactly(s, 1) == b"x", "it comes again until it is taken"
    fails(errno.ENOENT, s.setsockopt, SOL_SOCKET, SO_DETACH_FILTER, 0)
    s.sendall(b"answer")
    assert peer("c.recv(6)") == b"answer"


def filter_trims_a_segment():
    s = connection(8002)
    # Timestamps are in each header.
    program(s, ret(32 + 3))
    peer("c.sendall(b'abcdefg')")
    assert exactly(s, 7) == b"abcdefg", "what was cut off came again"
    assert peer("retransmitted(c)") > 0
    # A header is never cut.
    program(s, ret(1))
    s.sendall(b"0123456789")
    assert peer("c.recv(10)") == b"0123456789"
    peer("wait_for(lambda: struct.unpack('i', __import__('fcntl').ioctl(c, 0x5411, bytes(4)))[0] == 0)")


def filter_on_a_listener():
    listener = listening(8003)
    # Whom a SYN is from: the first two bytes.
    program(listener, (0x28, 0, 0, 0), (0x15, 0, 1, 7201), ret(0), ret(0xFFFF))
    peer("a = connecting(7201, 8003)")
    peer("b = connecting(7202, 8003)")
    accepted, remote = listener.accept()
    assert remote[1] == 7202
    peer("wait_for(lambda: retransmitted(a) > 0)")
    listener.setblocking(False)
    fails(errno.EAGAIN, listener.accept)
    listener.settimeout(PATIENCE)
    # It has come along to the connection, where it looks at the same bytes.
    assert len(accepted.getsockopt(SOL_SOCKET, SO_ATTACH_FILTER, 32)) >= 4
    accepted.setsockopt(SOL_SOCKET, SO_DETACH_FILTER, 0)
    listener.setsockopt(SOL_SOCKET, SO_LOCK_FILTER, 1)
    fails(errno.EPERM, listener.setsockopt, SOL_SOCKET, SO_DETACH_FILTER, 0)
    fails(errno.EPERM, listener.setsockopt, SOL_SOCKET, SO_LOCK_FILTER, 0)
    peer("d = connecting(7203, 8003)")
    accepted, remote = listener.accept()
    assert remote[1] == 7203
    fails(errno.EPERM, accepted.setsockopt, SOL_SOCKET, SO_DETACH_FILTER, 0)
    assert accepted.getsockopt(SOL_SOCKET, SO_LOCK_FILTER) == 1


def program_chooses_among_datagrams():
    choose = [(0x20, 0, 0, 0), RETURN_A]  # ld [0]: the first word of the payload
    sockets = [datagrams(8004, share=True) for _ in range(3)]
    program(sockets[1], *choose, option=SO_ATTACH_REUSEPORT_CBPF)
    peer("u = socket.socket(FAMILY, socket.SOCK_DGRAM)")

    def got(word):
        peer(f"u.sendto(struct.pack('!I', {word}), at(subject, 8004))")
        ready = select.select(sockets, [], [], PATIENCE)[0]
        assert len(ready) == 1
        assert struct.unpack("!I", ready[0].recv(100)) == (word,)
        return sockets.index(ready[0])

    assert [got(word) for word in (0, 1, 2, 1, 0)] == [0, 1, 2, 1, 0]
    by_hash = got(7)
    assert by_hash in (0, 1, 2) and got(0xFFFFFFFF) == by_hash, "what names nobody goes by the hash"
    # One that joins has it, too.
    sockets.append(datagrams(8004, share=True))
    assert got(3) == 3
    # The last takes the number of one that goes.
    sockets.pop(0).close()
    assert [got(word) for word in (0, 1, 2)] == [2, 0, 1]
    sockets[2].setsockopt(SOL_SOCKET, SO_DETACH_REUSEPORT_BPF, 0)
    assert got(0) == got(1) == got(2)
    fails(errno.ENOENT, sockets[0].setsockopt, SOL_SOCKET, SO_DETACH_REUSEPORT_BPF, 0)
    # Before it is bound; who shares with others has theirs.
    early = socket.socket(FAMILY, SOCK_DGRAM)
    fails(errno.EINVAL, lambda: program(early, ret(1), option=SO_ATTACH_REUSEPORT_CBPF))
    early.setsockopt(SOL_SOCKET, SO_REUSEPORT, 1)
    program(early, ret(1), option=SO_ATTACH_REUSEPORT_CBPF)
    early.bind(at(ANY, 8005))
    second = datagrams(8005, share=True)
    peer("u.sendto(b'x', at(subject, 8005))")
    assert second.recv(10) == b"x"
    alone = datagrams(8006)
    fails(errno.EINVAL, lambda: program(alone, *choose, option=SO_ATTACH_REUSEPORT_CBPF))
    fails(errno.EINVAL, alone.setsockopt, SOL_SOCKET, SO_DETACH_REUSEPORT_BPF, 0)
    fails(errno.EINVAL, lambda: program(sockets[0], (0xFFFF, 0, 0, 0), option=SO_ATTACH_REUSEPORT_CBPF))
    sockets[0].setsockopt(SOL_SOCKET, SO_LOCK_FILTER, 1)
    fails(errno.EPERM, lambda: program(sockets[0], *choose, option=SO_ATTACH_REUSEPORT_CBPF))


def program_chooses_among_listeners():
    listeners = [listening(8007, share=True) for _ in range(3)]
    # The peer's port, behind an IP header without options.
    program(listeners[0], (0x28, 0, 0, NET + (40 if IPV6 else 20)), (0x94, 0, 0, 10), RETURN_A, option=SO_ATTACH_REUSEPORT_CBPF)

    def got(port):
        peer(f"e = connecting({port}, 8007)")
        ready = select.select(listeners, [], [], PATIENCE)[0]
        assert len(ready) == 1
        accepted, remote = ready[0].accept()
        assert remote[1] == port
        accepted.close()
        return listeners.index(ready[0])

    assert [got(port) for port in (7300, 7301, 7302, 7311)] == [0, 1, 2, 1]
    assert got(7309) in (0, 1, 2)
    listeners.pop(0).close()
    assert [got(port) for port in (7320, 7321)] == [1, 0]
    listeners[0].setsockopt(SOL_SOCKET, SO_DETACH_REUSEPORT_BPF, 0)
    fails(errno.ENOENT, listeners[1].setsockopt, SOL_SOCKET, SO_DETACH_REUSEPORT_BPF, 0)
    assert got(7330) in (0, 1)


def programs_of_the_other_machine_are_refused():
    refusals = [errno.ENOPROTOOPT] if SUBJECT == "sockeye" else [errno.EBADF, errno.EINVAL, errno.EPERM]
    for s in (datagrams(), socket.socket(FAMILY)):
        for option in (SO_ATTACH_BPF, SO_ATTACH_REUSEPORT_EBPF):
            try:
                s.setsockopt(SOL_SOCKET, option, 0)
            except OSError as error:
                assert error.errno in refusals, error
            else:
                raise AssertionError("taken")



# Datagrams in pieces.


def datagrams_are_written_in_pieces():
    s = datagrams()
    peer("h = socket.socket(FAMILY, socket.SOCK_DGRAM); h.bind(at(own, 7500)); h.settimeout(20)")
    peer("h2 = socket.socket(FAMILY, socket.SOCK_DGRAM); h2.bind(at(own, 7501)); h2.settimeout(20)")
    there, elsewhere = at(PEER, 7500), at(PEER, 7501)
    assert s.sendto(b"one ", MSG_MORE, there) == 4
    # The first says where to.
    assert s.sendto(b"two ", MSG_MORE, elsewhere) == 4
    assert s.sendto(b"three", there) == 5
    assert peer("h.recv(100)") == b"one two three"
    s.setsockopt(IPPROTO_UDP, UDP_CORK, 1)
    assert s.getsockopt(IPPROTO_UDP, UDP_CORK) == 1
    s.connect(there)
    for piece in (b"a", b"", b"bc"):
        s.send(piece)
    s.setsockopt(IPPROTO_UDP, UDP_CORK, 0)
    assert peer("h.recv(100)") == b"abc"
    s.send(b"alone")
    assert peer("h.recv(100)") == b"alone"
    # Pulling what was never put on pushes, too.
    s.send(b"more", MSG_MORE)
    s.setsockopt(IPPROTO_UDP, UDP_CORK, 0)
    assert peer("h.recv(100)") == b"more"
    # An empty one is one.
    s.send(b"", MSG_MORE)
    s.send(b"")
    assert peer("h.recv(100)") == b""
    # What becomes too long is given up as a whole.
    s.send(b"x" * 60000, MSG_MORE)

    def rest():
        s.send(b"y" * 6000)
        s.send(b"")

    fails(errno.EMSGSIZE, rest)
    s.send(b"after")
    while (heard := peer("h.recv(100)")) != b"after":
        assert heard == b"", heard
    # What a socket has in hand when it is closed is lost.
    s.send(b"lost", MSG_MORE)
    s.close()
    t = datagrams()
    t.sendto(b"last", there)
    assert peer("h.recv(100)") == b"last"


def raw_packets_are_written_in_pieces():
    head = 0 if IPV6 else 20
    peer("r = socket.socket(FAMILY, socket.SOCK_RAW, 201); r.settimeout(20)")
    s = socket.socket(FAMILY, SOCK_RAW, 201)
    there = (PEER, 0)
    assert s.sendto(b"one ", MSG_MORE, there) == 4
    # The first says where to.
    assert s.sendto(b"two ", MSG_MORE, (OWN, 0)) == 4
    assert s.sendto(b"three", there) == 5
    assert peer("r.recv(100)")[head:] == b"one two three"
    s.connect(there)
    for piece in (b"a", b"", b"bc"):
        s.send(piece, MSG_MORE)
    s.send(b"")
    assert peer("r.recv(100)")[head:] == b"abc"
    # What becomes too long is given up as a whole.
    s.send(b"x" * 60000, MSG_MORE)
    fails(errno.EMSGSIZE, s.send, b"y" * 6000)
    s.send(b"after")
    assert peer("r.recv(100)")[head:] == b"after"
    # What has its header leaves at once, and so do questions.
    if IPV6:
        whole = struct.pack("!IHBB", 6 << 28, 5, 201, 64) + bytes(16) + socket.inet_pton(AF_INET6, PEER) + b"whole"
        s.setsockopt(IPPROTO_IPV6, 36, 1)  # IPV6_HDRINCL
    else:
        whole = struct.pack("!BBHHHBBH4x4s", 0x45, 0, 25, 0, 0, 64, 201, 0, socket.inet_aton(PEER)) + b"whole"
        s.setsockopt(IPPROTO_IP, socket.IP_HDRINCL, 1)
    s.send(whole, MSG_MORE)
    assert peer("r.recv(100)")[head:] == b"whole"
    if SUBJECT == "sockeye":
        # Where the kernel lets nobody have them, it cannot be asked.
        echo = socket.socket(FAMILY, SOCK_DGRAM, 58 if IPV6 else 1)
        echo.settimeout(PATIENCE)
        echo.sendto(struct.pack("!BBHHH", 128 if IPV6 else 8, 0, 0, 0, 7) + b"ping", MSG_MORE, there)
        assert echo.recv(100)[8:] == b"ping"


def several_datagrams_come_as_one():
    s = datagrams(8010)
    s.setsockopt(IPPROTO_UDP, UDP_GRO, 1)
    assert s.getsockopt(IPPROTO_UDP, UDP_GRO) == 1
    # From this host to itself they are never cut.
    out = datagrams()
    data = bytes(range(250)) * 10
    out.sendmsg([data], [(IPPROTO_UDP, UDP_SEGMENT, struct.pack("H", 1000))], 0, at(LOOPBACK, 8010))
    got, sizes = b"", []
    while len(got) < len(data):
        piece, control, _, _ = s.recvmsg(5000, 200)
        sizes += [struct.unpack("i", value)[0] for level, kind, value in control if (level, kind) == (IPPROTO_UDP, UDP_GRO)]
        got += piece
    assert got == data
    assert set(sizes) <= {1000}
    peer("g = socket.socket(FAMILY, socket.SOCK_DGRAM); g.setsockopt(17, 103, 1000); g.sendto(b'z' * 2500, at(subject, 8010))")
    piece, control, _, _ = s.recvmsg(5000, 200)
    assert piece == b"z" * 2500, len(piece)
    assert (IPPROTO_UDP, UDP_GRO, struct.pack("i", 1000)) in control, control
    # One alone has no size; and who has not asked gets them one by one.
    peer("g.sendto(b'z' * 700, at(subject, 8010))")
    piece, control, _, _ = s.recvmsg(5000, 200)
    assert (len(piece), control) == (700, [])
    s.setsockopt(IPPROTO_UDP, UDP_GRO, 0)
    peer("g.sendto(b'z' * 2500, at(subject, 8010))")
    assert [len(s.recv(5000)) for _ in range(3)] == [1000, 1000, 500]


# SOL_SOCKET.


def options_of_sockets():
    s, t = datagrams(), socket.socket(FAMILY)
    for name in (SO_DONTROUTE, SO_RXQ_OVFL):
        assert s.getsockopt(SOL_SOCKET, name) == 0
        s.setsockopt(SOL_SOCKET, name, 5)
        assert s.getsockopt(SOL_SOCKET, name) == 1
        s.setsockopt(SOL_SOCKET, name, 0)
    for one in (s, t):
        # SO_BSDCOMPAT, SO_SNDLOWAT, SO_RCVLOWAT
        one.setsockopt(SOL_SOCKET, 14, 1)
        assert one.getsockopt(SOL_SOCKET, 19) == 1
        assert one.getsockopt(SOL_SOCKET, 18) == 1
        one.setsockopt(SOL_SOCKET, 18, 1)
        fails(errno.ENOPROTOOPT, one.setsockopt, SOL_SOCKET, 19, 1)
        # SO_PEERCRED: nobody.
        assert struct.unpack("iii", one.getsockopt(SOL_SOCKET, 17, 12)) == (0, -1, -1)
        # SO_BPF_EXTENSIONS
        assert one.getsockopt(SOL_SOCKET, 48) == 64
        # SO_COOKIE is given whole or not at all.
        assert len(one.getsockopt(SOL_SOCKET, 57, 9)) == 8
        fails(errno.EINVAL, one.getsockopt, SOL_SOCKET, 57, 7)
        # SO_DETACH_FILTER and its kin say nothing, in an int.
        for name, nothing in ((SO_DETACH_FILTER, errno.ENOENT), (SO_DETACH_REUSEPORT_BPF, errno.EINVAL)):
            fails(errno.EINVAL, one.setsockopt, SOL_SOCKET, name, bytes(3))
            fails(nothing, one.setsockopt, SOL_SOCKET, name, bytes(4))
        # SO_TYPE, SO_PROTOCOL, SO_DOMAIN, SO_ERROR, SO_ACCEPTCONN, SO_PEERCRED, SO_COOKIE are only asked.
        for name in (3, 38, 39, 4, 30, 17, 57):
            fails(errno.ENOPROTOOPT, one.setsockopt, SOL_SOCKET, name, 1)
        for name in (0, 999, -1):
            fails(errno.ENOPROTOOPT, one.setsockopt, SOL_SOCKET, name, 1)
            fails(errno.ENOPROTOOPT, one.getsockopt, SOL_SOCKET, name)
        index = socket.if_nametoindex("veth0")
        one.setsockopt(SOL_SOCKET, SO_BINDTOIFINDEX, index)
        assert one.getsockopt(SOL_SOCKET, SO_BINDTOIFINDEX) == index
        assert one.getsockopt(SOL_SOCKET, SO_BINDTODEVICE, 16) == b"veth0\0"
        one.setsockopt(SOL_SOCKET, SO_BINDTODEVICE, b"")
        assert one.getsockopt(SOL_SOCKET, SO_BINDTOIFINDEX) == 0
        if SUBJECT == "sockeye":
            fails(errno.ENODEV, one.setsockopt, SOL_SOCKET, SO_BINDTOIFINDEX, 4711)
        fails(errno.EINVAL, one.setsockopt, SOL_SOCKET, SO_BINDTOIFINDEX, -1)
    # Packets of one port are everybody's.
    packets = socket.socket(socket.AF_PACKET, SOCK_RAW, 0)
    fails(errno.EOPNOTSUPP, packets.setsockopt, SOL_SOCKET, SO_REUSEPORT, 1)
    fails(errno.EINVAL, packets.setsockopt, SOL_SOCKET, SO_REUSEPORT, b"1")
    packets.setsockopt(SOL_SOCKET, SO_REUSEPORT, 0)
    # What waits to be sent: nothing, or what a device has not got rid of yet.
    assert struct.unpack("i", fcntl.ioctl(s, 0x5411, bytes(4))) == (0,)
    # A listener that is bound to a device after its port hears others no more.
    listener = listening(8011)
    listener.setsockopt(SOL_SOCKET, SO_BINDTODEVICE, b"veth0")
    t.settimeout(PATIENCE)
    fails(errno.ECONNREFUSED, t.connect, at(LOOPBACK, 8011))
    peer("i = connecting(7400, 8011)")
    assert listener.accept()[1][1] == 7400
    # What this host does not do is refused.
    if SUBJECT == "sockeye":
        for name in (1, 16, 34, 41, 45, 46, 60, 69):
            assert s.getsockopt(SOL_SOCKET, name) == 0
            s.setsockopt(SOL_SOCKET, name, 0)
            fails(errno.ENOPROTOOPT, s.setsockopt, SOL_SOCKET, name, 1)
        # SO_PEEK_OFF, SO_MAX_PACING_RATE, SO_TXTIME
        for name in (42, 47, 61):
            fails(errno.ENOPROTOOPT, s.setsockopt, SOL_SOCKET, name, 1)


def datagrams_to_neighbours_only():
    nowhere = ("2001:db8::1", 9) if IPV6 else ("192.0.2.1", 9)
    for kind in ("option", "flag"):
        s = datagrams()
        flags = 0
        if kind == "option":
            s.setsockopt(SOL_SOCKET, SO_DONTROUTE, 1)
        else:
            flags = MSG_DONTROUTE
        peer("j = socket.socket(FAMILY, socket.SOCK_DGRAM); j.bind(at(own, 7510)); j.settimeout(20)")
        s.sendto(b"near", flags, at(PEER, 7510))
        assert peer("j.recv(10)") == b"near"
        peer("j.close()")
        if IPV6 and SUBJECT == "kernel":
            # Taken, and without effect.
            s.sendto(b"far", flags, at(*nowhere))
        else:
            fails(errno.ENETUNREACH, s.sendto, b"far", flags, at(*nowhere))
    t = datagrams()
    t.sendto(b"far", at(*nowhere))


def datagrams_tell_what_was_lost():
    s = datagrams(8012)
    s.setsockopt(SOL_SOCKET, SO_RXQ_OVFL, 1)
    # What a filter drops counts: three in four.
    program(s, (0x30, 0, 0, 8), (0x15, 0, 1, ord("k")), ret(0xFFFF), ret(0))
    peer("k = socket.socket(FAMILY, socket.SOCK_DGRAM)")
    peer("[k.sendto(data, at(subject, 8012)) for data in (b'k0', b'a', b'b', b'k1', b'c', b'k2')]")
    lost = []
    for expected in (b"k0", b"k1", b"k2"):
        data, control, _, _ = s.recvmsg(100, 200)
        assert data == expected
        lost.append([struct.unpack("I", value)[0] for level, kind, value in control if kind == SO_RXQ_OVFL])
    assert lost == [[], [2], [3]], lost


def times_of_datagrams():
    s = datagrams(8013)
    s.setsockopt(SOL_SOCKET, SO_TIMESTAMPING, 1 << 3 | 1 << 4)
    assert struct.unpack("ii", s.getsockopt(SOL_SOCKET, SO_TIMESTAMPING, 8)) == (24, 0)
    peer("k = socket.socket(FAMILY, socket.SOCK_DGRAM)")
    before = time.time()
    while True:
        peer("k.sendto(b'x', at(subject, 8013))")
        data, control, _, _ = s.recvmsg(100, 200)
        # Linux begins to look at the clock a moment after it was asked to.
        if control or SUBJECT != "kernel":
            break
    ((level, kind, value),) = control
    assert (level, kind, len(value)) == (SOL_SOCKET, SO_TIMESTAMPING, 48)
    seconds, nanoseconds, *others = struct.unpack("6q", value)
    assert before - 1 <= seconds + nanoseconds / 1e9 <= time.time() + 1 and others == [0] * 4
    s.setsockopt(SOL_SOCKET, 35, 1)  # SO_TIMESTAMPNS
    peer("k.sendto(b'x', at(subject, 8013))")
    kinds = [kind for _, kind, _ in s.recvmsg(100, 200)[1]]
    assert kinds == [35, SO_TIMESTAMPING], kinds
    s.setsockopt(SOL_SOCKET, 35, 0)
    s.setsockopt(SOL_SOCKET, SO_TIMESTAMPING, 0)
    peer("k.sendto(b'x', at(subject, 8013))")
    assert s.recvmsg(100, 200)[1] == []
    fails(errno.EINVAL, s.setsockopt, SOL_SOCKET, SO_TIMESTAMPING, 1 << 30)
    # SIOCGSTAMP, SIOCGSTAMPNS: when the last one came, wherever nothing tells beside it.
    for fresh in (datagrams(), socket.socket(FAMILY)):
        fails(errno.ENOENT, fcntl.ioctl, fresh, 0x8906, bytes(16))
    watching = socket.socket(socket.AF_PACKET, SOCK_RAW, socket.htons(0x86DD if IPV6 else 0x0800))
    watching.settimeout(PATIENCE)
    for command, parts in ((0x8906, 10**6), (0x8907, 10**9)):
        before = time.time()
        peer("k.sendto(b'x', at(subject, 8013))")
        assert s.recv(10) == b"x" and watching.recv(10)
        for asked in (s, watching):
            seconds, fraction = struct.unpack("qq", fcntl.ioctl(asked, command, bytes(16)))
            assert before - 1 <= seconds + fraction / parts <= time.time() + 1
    # How much the next one holds.
    peer("k.sendto(b'12345', at(subject, 8013)); k.sendto(b'1', at(subject, 8013))")
    select.select([s], [], [], PATIENCE)
    assert struct.unpack("i", fcntl.ioctl(s, 0x541B, bytes(4))) == (5,)
    s.recv(10)
    assert s.recv(10) == b"1"
    assert struct.unpack("i", fcntl.ioctl(s, 0x541B, bytes(4))) == (0,)


# Errors.

ICMP_OF_PEER = """
def icmp(kind, code, quoted, rest=bytes(4)):
    r = socket.socket(FAMILY, socket.SOCK_RAW, 58 if IPV6 else 1)
    message = struct.pack('!BBH', kind, code, 0) + rest + quoted
    if not IPV6:
        message = message[:2] + struct.pack('!H', checksum(message)) + message[4:]
    r.sendto(message, (subject, 0))
    r.close()

def quoted(port, protocol=17, payload=b'12345678'):
    # A datagram of the subject's to port 9, as it was on the wire.
    there, here = (socket.inet_pton(FAMILY, address) for address in (subject, own))
    if protocol == 17:
        transport = struct.pack('!HHHH', port, 9, 8 + len(payload), 0) + payload
    else:
        transport = payload
    if IPV6:
        return struct.pack('!IHBB', 6 << 28, len(transport), protocol, 64) + there + here + transport
    head = struct.pack('!BBHHHBBH', 0x45, 0, 20 + len(transport), 1, 0x4000, 64, protocol, 0) + there + here
    return head[:10] + struct.pack('!H', checksum(head)) + head[12:] + transport
"""


def messages_of_the_network():
    """Each type and code of each family, to a socket that is connected, to one that is not, and to one that asked for all."""
    peer(ICMP_OF_PEER)
    if IPV6:
        causes = [(1, code) for code in range(9)] + [(2, 0), (3, 0), (3, 1), (4, 0), (4, 1), (4, 2), (5, 0), (100, 3), (127, 1)]
    else:
        causes = [(3, code) for code in range(16)] + [(11, 0), (12, 0), (4, 0)]
    heard = []
    connected = datagrams()
    asked = datagrams()
    asked.setsockopt(*ERRORS, 1)
    asked.setblocking(False)
    device = datagrams()
    device.setsockopt(SOL_SOCKET, SO_BINDTODEVICE, b"veth0")
    sentinel = datagrams()
    for s in (connected, device, sentinel):
        s.connect(at(PEER, 9))
    for kind, code in causes:
        rest = struct.pack("!I", 1400) if IPV6 and kind == 2 else (struct.pack("!HH", 0, 1400) if (kind, code) == (3, 4) else bytes(4))
        for s in (connected, asked, device, sentinel):
            what = (1, 4) if IPV6 else (3, 3)
            one = (kind, code) if s is not sentinel else what
            peer(f"icmp({one[0]}, {one[1]}, quoted({s.getsockname()[1]}), {rest if s is not sentinel else bytes(4)!r})")
        # They come in order: when the last has come, all have.
        assert select.select([sentinel], [], [], PATIENCE)[0]
        assert sentinel.getsockopt(SOL_SOCKET, socket.SO_ERROR) == errno.ECONNREFUSED
        errors = [s.getsockopt(SOL_SOCKET, socket.SO_ERROR) for s in (connected, device, asked)]
        try:
            control = asked.recvmsg(2000, 200, 0x2000)[1]
            errors.append(struct.unpack_from("I", control[0][2])[0])
            asked.getsockopt(SOL_SOCKET, socket.SO_ERROR)
        except BlockingIOError:
            errors.append(0)
        heard.append((kind, code, *errors))
    names = {0: 0, **errno.errorcode}
    heard = [(kind, code, *(names[number] for number in numbers)) for kind, code, *numbers in heard]
    assert heard == (EXPECTED6 if IPV6 else EXPECTED4), "\n".join(map(str, heard))


def told(kind, code, error, final):
    """What the three sockets and the queue hear of it."""
    return (kind, code, error if final else 0, error if final else 0, error, error)


EXPECTED4 = [
    told(3, 0, "ENETUNREACH", False),
    told(3, 1, "EHOSTUNREACH", False),
    told(3, 2, "ENOPROTOOPT", True),
    told(3, 3, "ECONNREFUSED", True),
    told(3, 4, "EMSGSIZE", True),
    told(3, 5, errno.errorcode[errno.EOPNOTSUPP], False),
    told(3, 6, "ENETUNREACH", True),
    told(3, 7, "EHOSTDOWN", True),
    told(3, 8, "ENONET", True),
    told(3, 9, "ENETUNREACH", True),
    told(3, 10, "EHOSTUNREACH", True),
    told(3, 11, "ENETUNREACH", False),
    told(3, 12, "EHOSTUNREACH", False),
    told(3, 13, "EHOSTUNREACH", True),
    told(3, 14, "EHOSTUNREACH", True),
    told(3, 15, "EHOSTUNREACH", True),
    told(11, 0, "EHOSTUNREACH", False),
    told(12, 0, "EPROTO", True),
    (4, 0, 0, 0, 0, 0),
]
EXPECTED6 = [
    told(1, 0, "ENETUNREACH", False),
    told(1, 1, "EACCES", True),
    told(1, 2, "EHOSTUNREACH", False),
    told(1, 3, "EHOSTUNREACH", False),
    told(1, 4, "ECONNREFUSED", True),
    told(1, 5, "EACCES", True),
    told(1, 6, "EACCES", True),
    told(1, 7, "EPROTO", True),
    told(1, 8, "EPROTO", True),
    told(2, 0, "EMSGSIZE", True),
    told(3, 0, "EHOSTUNREACH", False),
    told(3, 1, "EHOSTUNREACH", False),
    told(4, 0, "EPROTO", True),
    told(4, 1, "EPROTO", True),
    told(4, 2, "EPROTO", True),
    told(5, 0, "EPROTO", False),
    told(100, 3, "EPROTO", False),
    told(127, 1, "EPROTO", False),
]


def errors_have_a_bound():
    peer(ICMP_OF_PEER)
    s = datagrams()
    s.setsockopt(*ERRORS, 1)
    s.setsockopt(SOL_SOCKET, socket.SO_RCVBUF, 1)
    s.setblocking(False)
    port = s.getsockname()[1]
    what = (1, 0) if IPV6 else (3, 1)
    peer(f"[icmp({what[0]}, {what[1]}, quoted({port})) for _ in range(50)]")
    sentinel = datagrams()
    sentinel.connect(at(PEER, 9))
    what = (1, 4) if IPV6 else (3, 3)
    peer(f"icmp({what[0]}, {what[1]}, quoted({sentinel.getsockname()[1]}))")
    assert select.select([sentinel], [], [], PATIENCE)[0]
    kept = 0
    while True:
        try:
            s.recvmsg(2000, 200, 0x2000)
        except BlockingIOError:
            break
        kept += 1
    assert 0 < kept < 20, kept


def raw_packets_to_groups_come_back():
    group = "ff15::77" if IPV6 else "239.1.2.77"
    s = socket.socket(FAMILY, SOCK_RAW, 200)
    hearer = socket.socket(FAMILY, SOCK_RAW, 200)
    hearer.settimeout(PATIENCE)
    index = socket.if_nametoindex("veth0")
    if IPV6:
        hearer.setsockopt(IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, socket.inet_pton(AF_INET6, group) + struct.pack("I", index))
        s.setsockopt(IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
        loop = (IPPROTO_IPV6, socket.IPV6_MULTICAST_LOOP)
    else:
        hearer.setsockopt(IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(group) + struct.pack("=II", 0, index))
        s.setsockopt(IPPROTO_IP, socket.IP_MULTICAST_IF, struct.pack("=III", 0, 0, index))
        loop = (IPPROTO_IP, socket.IP_MULTICAST_LOOP)
    for on, data in ((1, b"first"), (0, b"second"), (1, b"third")):
        s.setsockopt(*loop, on)
        s.sendto(data, (group, 0))
    head = 0 if IPV6 else 20
    assert [hearer.recv(100)[head:] for _ in range(2)] == [b"first", b"third"]

globals()[name]()
