# UDP-Lite (RFC 3828), one check a function. What is asserted is what Linux does.
# Arguments: the check's name, own address, the peer's address. The peer runs sockets_peer.py.
import errno, json, socket, struct, sys
from socket import AF_INET, AF_INET6, IPPROTO_IP, IPPROTO_IPV6, IPPROTO_UDP, SOCK_DGRAM, SOCK_STREAM, SOL_SOCKET

from common import Orders, fails

name, OWN, PEER = sys.argv[1:4]
IPV6 = ":" in PEER
FAMILY, ANY, LOOPBACK = (AF_INET6, "::", "::1") if IPV6 else (AF_INET, "0.0.0.0", "127.0.0.1")
PATIENCE = 30
UDPLITE, SEND_CSCOV, RECV_CSCOV = 136, 10, 11
UDP_CORK, UDP_SEGMENT = 1, 103
# What a link carries, and what goes in pieces.
SHORT, LONG = bytes(range(100)), bytes(range(250)) * 16


def at(address, port):
    return (address, port, 0, 0) if IPV6 else (address, port)


peer = Orders(PEER)


def lite(port=0, address=ANY, family=FAMILY):
    s = socket.socket(family, SOCK_DGRAM, UDPLITE)
    s.settimeout(PATIENCE)
    s.bind((address, port))
    return s


def what_is_sent_is_covered_so_far():
    peer("raw = socket.socket(FAMILY, socket.SOCK_RAW, 136)")
    # Who hears it is not told that nobody does.
    peer("r = socket.socket(FAMILY, socket.SOCK_DGRAM, 136); r.bind(at(own, 8200))")
    strip = "" if IPV6 else "[20:]"
    # The header says the whole length, or what was asked for; a sum over that and the pseudo header is right, and never zero.
    peer(
        "def said():\n"
        f"    data = raw.recv(65536){strip}\n"
        "    coverage, value = struct.unpack('!HH', data[4:8])\n"
        "    whole = checksum(pseudo(136, len(data)), data[:coverage or len(data)])\n"
        "    return [coverage, whole, int(value != 0), len(data)]"
    )
    s = lite()
    for payload in SHORT, LONG, b"odd", b"":
        length = len(payload) + 8
        for asked, coverage in (None, length), (0, 0), (1, 8), (8, 8), (10, 10), (57, 57), (1999, 1999), (length, length), (65535, length):
            fresh = lite()
            if asked is not None:
                fresh.setsockopt(UDPLITE, SEND_CSCOV, asked)
            fresh.sendto(payload, at(PEER, 8200))
            seen = peer("said()")
            assert seen == [min(coverage, length), 0, 1, length], (asked, len(payload), seen)
            fresh.close()
    # SO_NO_CHECK is UDP's. Two bytes that make the sum come out as zero are those of the checksum over two zeros.
    s.setsockopt(SOL_SOCKET, 11, 1)
    s.connect(at(PEER, 8200))
    s.send(b"\0\0")
    value = peer(f"raw.recv(65536){strip}[6:8]")
    assert value != b"\0\0"
    s.send(value)
    assert peer(f"raw.recv(65536){strip}[6:8]") == b"\xff\xff"


def what_is_taken():
    s = lite(8201)
    s.setsockopt(UDPLITE, SEND_CSCOV, 8)
    peer("raw = socket.socket(FAMILY, socket.SOCK_RAW, 136)")
    peer(
        "def send(coverage, payload, wrong=None, summed=True, to=8201):\n"
        "    data = struct.pack('!HHHH', 5000, to, coverage, 0) + payload\n"
        "    value = checksum(pseudo(136, len(data)), data[:coverage or len(data)]) or 0xffff\n"
        "    data = bytearray(data)\n"
        "    if summed: data[6:8] = struct.pack('!H', value)\n"
        "    if wrong is not None: data[wrong] ^= 1\n"
        "    raw.sendto(bytes(data), at(subject, 0))"
    )

    def taken(*arguments, **named):
        """Whether it comes before what is right beyond doubt."""
        named = "".join(f", {key}={value}" for key, value in named.items())
        peer(f"send({', '.join(map(repr, arguments))}{named})")
        peer("send(0, b'end')")
        got = s.recv(65536)
        if got == b"end":
            return False
        assert s.recv(65536) == b"end"
        assert named or got == arguments[1], got
        return True

    # 108 bytes in all.
    for coverage in 0, 8, 9, 50, 107, 108:
        assert taken(coverage, SHORT), coverage
    for coverage in 1, 7, 109, 65535:
        assert not taken(coverage, SHORT), coverage
    assert not taken(0, SHORT, summed=False)
    for wrong in 0, 2, 8, 19:
        assert not taken(20, SHORT, wrong=wrong), wrong
    assert taken(20, SHORT, wrong=20) and taken(20, SHORT, wrong=107) and not taken(0, SHORT, wrong=107)
    assert taken(20, LONG) and taken(0, LONG) and not taken(0, LONG, wrong=4000) and taken(3000, LONG, wrong=3001)
    # What the socket wants covered; what is covered in full is taken always.
    for wanted, least in (1, 8), (20, 20), (2000, 2000), (0, 2000):
        s.setsockopt(UDPLITE, RECV_CSCOV, wanted)
        for coverage in 8, 19, 20, 107:
            assert taken(coverage, SHORT) == (coverage >= least), (wanted, coverage)
        assert taken(108, SHORT) and taken(0, SHORT)


def between_programs():
    peer("r = socket.socket(FAMILY, socket.SOCK_DGRAM, 136); r.bind(at(own, 8202))")
    s = lite(8203)
    for coverage in None, 0, 8, 1000:
        if coverage is not None:
            s.setsockopt(UDPLITE, SEND_CSCOV, coverage)
            peer(f"r.setsockopt(136, 10, {coverage})")
        for payload in SHORT, LONG, b"":
            s.sendto(payload, at(PEER, 8202))
            assert peer("r.recv(65536)") == payload
            peer(f"r.sendto({payload!r}, at(subject, 8203))")
            got, sender = s.recvfrom(65536)
            assert (got, sender[:2]) == (payload, (PEER, 8202))
    # In pieces.
    s.connect(at(PEER, 8202))
    for level in IPPROTO_UDP, UDPLITE:
        s.setsockopt(level, UDP_CORK, 1)
        s.send(b"one ")
        s.send(b"datagram")
        s.setsockopt(level, UDP_CORK, 0)
        assert peer("r.recv(65536)") == b"one datagram"
    # Nobody cuts it into several.
    s.setsockopt(UDPLITE, UDP_SEGMENT, 10)
    fails(errno.EIO, s.send, SHORT)
    fails(errno.EIO, s.send, b"short")
    # Within the host.
    with lite(address=LOOPBACK) as one, lite(address=LOOPBACK) as other:
        one.setsockopt(UDPLITE, SEND_CSCOV, 20)
        one.sendto(LONG, other.getsockname())
        assert other.recvfrom(65536) == (LONG, one.getsockname())


def ports_and_errors():
    s = lite(8204)
    with socket.socket(FAMILY, SOCK_DGRAM) as udp:
        udp.settimeout(PATIENCE)
        udp.bind((ANY, 8204))
        fails(errno.EADDRINUSE, lite, 8204)
        for protocol, one in (136, s), (17, udp):
            peer(f"d = socket.socket(FAMILY, socket.SOCK_DGRAM, {protocol}); d.sendto(b'{protocol}', at(subject, 8204))")
            assert one.recv(100) == str(protocol).encode()
    # Nobody is there, though somebody of the other protocol is.
    peer("d = socket.socket(FAMILY, socket.SOCK_DGRAM); d.bind(at(own, 8205))")
    s.connect(at(PEER, 8205))
    s.send(b"anybody?")
    fails(errno.ECONNREFUSED, s.recv, 100)
    with socket.socket(FAMILY, SOCK_DGRAM) as udp:
        udp.bind((ANY, 8299))
        peer("d = socket.socket(FAMILY, socket.SOCK_DGRAM, 136); d.settimeout(30); d.connect(at(subject, 8299)); d.send(b'anybody?')")
        peer("try:\n    d.recv(100)\n    code_of_error = 0\nexcept OSError as error:\n    code_of_error = error.errno")
        assert peer("code_of_error") == errno.ECONNREFUSED
    # Who is connected hears nobody else.
    peer("r = socket.socket(FAMILY, socket.SOCK_DGRAM, 136); r.bind(at(own, 8206)); o = socket.socket(FAMILY, socket.SOCK_DGRAM, 136)")
    s.connect(at(PEER, 8206))
    assert s.getpeername()[:2] == (PEER, 8206)
    peer("o.sendto(b'not me', at(subject, 8204)); r.sendto(b'me', at(subject, 8204))")
    assert s.recv(100) == b"me"


def coverages_are_options():
    with socket.socket(FAMILY, SOCK_DGRAM, UDPLITE) as s:
        assert s.getsockopt(SOL_SOCKET, socket.SO_PROTOCOL) == UDPLITE
        assert s.getsockopt(SOL_SOCKET, socket.SO_TYPE) == SOCK_DGRAM
        for option in SEND_CSCOV, RECV_CSCOV:
            assert s.getsockopt(UDPLITE, option) == 0
            for asked, kept in (-1, 8), (0, 0), (1, 8), (7, 8), (8, 8), (9, 9), (65535, 65535), (65536, 65535):
                for level in UDPLITE, IPPROTO_UDP:
                    s.setsockopt(level, option, asked)
                    assert s.getsockopt(UDPLITE, option) == s.getsockopt(IPPROTO_UDP, option) == kept, asked
            fails(errno.EINVAL, s.setsockopt, UDPLITE, option, b"\x08")
    with socket.socket(FAMILY, SOCK_DGRAM) as udp, socket.socket(FAMILY) as stream:
        for level in UDPLITE, IPPROTO_UDP:
            for option in SEND_CSCOV, RECV_CSCOV:
                fails(errno.ENOPROTOOPT, udp.setsockopt, level, option, 8)
                fails(errno.ENOPROTOOPT, stream.setsockopt, level, option, 8)
                assert udp.getsockopt(level, option) == 0
                fails(errno.ENOPROTOOPT if IPV6 else errno.EOPNOTSUPP, stream.getsockopt, level, option)
    fails(errno.EPROTONOSUPPORT, socket.socket, FAMILY, SOCK_STREAM, UDPLITE)
    with lite(8207) as s:
        place = "udplite6" if IPV6 else "udplite"
        rows = open(f"/proc/net/{place}").read().split("\n")[1:]
        assert [row for row in rows if f":{8207:04X} " in row], rows
        assert f":{8207:04X} " not in open(f"/proc/net/{'udp6' if IPV6 else 'udp'}").read()


def groups():
    group = "ff05::136" if IPV6 else "239.1.3.6"
    s = lite(8208)
    if IPV6:
        s.setsockopt(IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, socket.inet_pton(AF_INET6, group) + struct.pack("I", 0))
    else:
        s.setsockopt(IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(group) + socket.inet_aton(OWN))
    # What it sends there comes back, as it listens.
    with lite(address=OWN) as sender:
        sender.setsockopt(UDPLITE, SEND_CSCOV, 20)
        sender.sendto(SHORT, (group, 8208))
        assert s.recvfrom(1000)[0] == SHORT
    s.setsockopt(UDPLITE, RECV_CSCOV, 20)
    peer("m = socket.socket(FAMILY, socket.SOCK_DGRAM, 136); m.bind(at(own, 0))")
    if not IPV6:
        peer("m.setsockopt(0, socket.IP_MULTICAST_IF, socket.inet_aton(own))")
    for coverage in 19, 20:
        peer(f"m.setsockopt(136, 10, {coverage}); m.sendto(b'{coverage} is covered of this', ({group!r}, 8208))")
    assert s.recv(1000) == b"20 is covered of this"


def both_families_at_once():
    s = lite(8209)
    with lite(address="127.0.0.1", family=AF_INET) as four:
        four.setsockopt(UDPLITE, SEND_CSCOV, 9)
        four.sendto(b"from the other family", ("127.0.0.1", 8209))
        got, sender = s.recvfrom(100)
        assert (got, sender[0]) == (b"from the other family", "::ffff:127.0.0.1")
        s.sendto(b"back", sender)
        assert four.recv(100) == b"back"


globals()[name]()
