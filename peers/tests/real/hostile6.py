# Sends IPv6 frames that nobody should send. Arguments: case, interface, the target's MAC, the target's address, own address.
# Only what Python has; nothing of the stack under test builds them.
import random, socket, struct, sys

case, interface, mac, target, own = sys.argv[1:6]
chance = random.Random(1)
wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
wire.bind((interface, 0))
own_mac = wire.getsockname()[4]
target_mac = bytes.fromhex(mac.replace(":", ""))
HOP, TCP, UDP, ROUTING, FRAGMENT, ICMP, NONE, OPTIONS = 0, 6, 17, 43, 44, 58, 59, 60


def address(text):
    return socket.inet_pton(socket.AF_INET6, text)


def link_local(last):
    return "fe80::" + format(last, "x")


def checksum(data):
    total = sum(struct.unpack(f"!{(len(data) + 1) // 2}H", data + bytes(len(data) % 2)))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def frame(packet, to=None):
    to = to or (b"\x33\x33" + packet[36:40] if packet[24:25] == b"\xff" else target_mac)
    try:
        wire.send((to + own_mac + b"\x86\xdd" + packet)[: 14 + 1500])
    except OSError:
        pass


def ipv6(payload, protocol=UDP, source=None, to=None, hops=64, length=None, version=6, tos=0):
    length = len(payload) if length is None else length
    return struct.pack("!IHBB", version << 28 | tos << 20, length & 0xFFFF, protocol, hops) + address(source or own) + address(to or target) + payload


def summed(head, at, data, protocol, source, to, spoil=0):
    body = head + data
    pseudo = address(source or own) + address(to or target) + struct.pack("!II", len(body), protocol)
    value = checksum(pseudo + body) ^ spoil
    if protocol == UDP:
        value = value or 0xFFFF
    return body[:at] + struct.pack("!H", value) + body[at + 2 :]


def udp(data, source=None, to=None, sport=1000, dport=9, length=None, spoil=0):
    head = struct.pack("!HHHH", sport, dport, 8 + len(data) if length is None else length, 0)
    return summed(head, 6, data, UDP, source, to, spoil)


def tcp(data=b"", source=None, to=None, sport=1000, dport=80, seq=1, ack=0, flags=2, offset=None, options=b"", spoil=0, urgent=0):
    options += bytes(-len(options) % 4)
    words = 5 + len(options) // 4 if offset is None else offset
    head = struct.pack("!HHIIBBHHH", sport, dport, seq, ack, words << 4, flags, 65535, 0, urgent) + options
    return summed(head, 16, data, TCP, source, to, spoil)


def icmp(kind, code, rest, source=None, to=None, spoil=0):
    return summed(struct.pack("!BBH", kind, code, 0), 2, rest, ICMP, source, to, spoil)


def options(following, content=b"\1\4\0\0\0\0", length=None):
    content += bytes(-(len(content) + 2) % 8)
    return struct.pack("!BB", following, (len(content) + 2) // 8 - 1 if length is None else length) + content


def fragment(following, body, ident, offset=0, more=1):
    return struct.pack("!BBHI", following, 0, offset | more, ident) + body


def discover(kind, rest, source=None, to=None, hops=255, code=0, spoil=0):
    return ipv6(icmp(kind, code, rest, source, to, spoil), ICMP, source, to, hops)


def option(kind, content, length=None):
    return struct.pack("!BB", kind, (len(content) + 9) // 8 if length is None else length) + content + bytes(-(len(content) + 2) % 8)


def advertisement(prefix="2001:db8:1::", lifetime=0, more=b""):
    """A router's, with a prefix to make addresses of."""
    head = struct.pack("!BBHII", 64, 0, lifetime, 0, 0)
    return head + option(3, struct.pack("!BBIII", 64, 0xC0, 600, 300, 0) + address(prefix)) + more


MULTICAST = "ff02::1"


def truncated():
    inner = ipv6(tcp(source=target, to=own), TCP, target, own)
    whole = [ipv6(udp(b"x" * 40)), ipv6(tcp(), TCP), ipv6(icmp(128, 0, bytes(40)), ICMP), ipv6(icmp(2, 0, bytes(4) + inner), ICMP)]
    whole += [ipv6(options(UDP) + udp(b"x"), HOP), ipv6(fragment(UDP, udp(b"x" * 40), 1, 0, 0), FRAGMENT), discover(135, bytes(4) + address(target) + option(1, own_mac))]
    for packet in whole:
        for length in range(len(packet)):
            frame(packet[:length])
    # Messages that end early, in packets that say so.
    for kind in (1, 2, 3, 4, 128, 129, 130, 131, 132, 133, 134, 135, 136, 137, 143):
        for length in range(60):
            frame(discover(kind, (bytes(4) + inner)[:length]))


def lengths():
    for length in list(range(0, 80)) + [1500, 1501, 32768, 65535]:
        frame(ipv6(udp(b"x" * 20), length=length))
    for version in range(16):
        frame(ipv6(udp(b""), version=version))
    for length in list(range(0, 60)) + [65535]:
        frame(ipv6(udp(b"x" * 20, length=length)))
    for offset in range(16):
        frame(ipv6(tcp(b"x" * 8, offset=offset), TCP))
    for kind in range(256):
        for length in (0, 1, 2, 3, 9, 40, 255):
            frame(ipv6(tcp(options=bytes([kind, length, 1, 2]) + bytes(4)), TCP))
    for flags in range(256):
        frame(ipv6(tcp(flags=flags, urgent=65535), TCP))
    for kind in range(256):
        frame(ipv6(icmp(kind, chance.randrange(256), bytes(chance.randrange(40))), ICMP))


def checksums():
    for spoil in (1, 0x100, 0xFFFF):
        for _ in range(20):
            frame(ipv6(udp(b"data", spoil=spoil)))
            frame(ipv6(tcp(spoil=spoil), TCP))
            frame(ipv6(icmp(128, 0, bytes(8), spoil=spoil), ICMP))
            frame(discover(135, bytes(4) + address(target), spoil=spoil))
    # None at all: not over IPv6.
    body = udp(b"data")
    for _ in range(20):
        frame(ipv6(body[:6] + bytes(2) + body[8:]))


def extensions():
    """B1 and B2."""
    for count in (1, 2, 8, 16, 17, 100, 180):
        frame(ipv6(options(OPTIONS) * count + options(UDP) + udp(b"x"), OPTIONS))
        frame(ipv6(options(HOP) * count + udp(b"x"), HOP))
        frame(ipv6(options(OPTIONS) + options(HOP) * count + udp(b"x"), OPTIONS))
    for protocol in range(256):
        for following in (HOP, OPTIONS, ROUTING, FRAGMENT, 51, NONE, UDP, 255):
            for length in (0, 1, 4, 255):
                frame(ipv6(bytes([following, length]) + chance.randbytes(30), protocol))
    for kind in range(256):
        for length in (0, 1, 4, 5, 255):
            frame(ipv6(options(UDP, bytes([kind, length, 0, 0, 0, 0])) + udp(b"x"), OPTIONS))
            frame(ipv6(options(UDP, bytes([kind, length, 0, 0, 0, 0])) + udp(b"x"), HOP))
            # To many: only one kind of option may be complained of.
            frame(ipv6(options(UDP, bytes([kind, length, 0, 0, 0, 0])) + udp(b"x", to=MULTICAST), OPTIONS, to=MULTICAST))
    # A jumbogram that is none, padding with something in it, the same padding for ever.
    frame(ipv6(options(UDP, struct.pack("!BBI", 0xC2, 4, 100)) + udp(b"x"), HOP))
    frame(ipv6(options(UDP, struct.pack("!BBI", 0xC2, 4, 70000)) + udp(b"x"), HOP, length=0))
    frame(ipv6(options(UDP, b"\1\4leak") + udp(b"x"), OPTIONS))
    frame(ipv6(options(UDP, bytes(1200)) + udp(b"x"), OPTIONS))
    # Source routes of every kind (A16, RFC 5095).
    for kind in range(8):
        for left in (0, 1, 2, 255):
            frame(ipv6(struct.pack("!BBBBI", UDP, 2, kind, left, 0) + address(own) + udp(b"x"), ROUTING))


def fragments():
    body = udp(b"x" * 4000)
    for ident, (offset, length) in enumerate([(0, 800), (400, 800), (792, 16), (8, 8), (0, 808), (24, 4)], 100):
        frame(ipv6(fragment(UDP, body[:800], ident), FRAGMENT))
        frame(ipv6(fragment(UDP, body[offset : offset + length], ident, offset), FRAGMENT))
        frame(ipv6(fragment(UDP, body[800:2000], ident, 800, 0), FRAGMENT))
    for ident in range(200, 220):
        frame(ipv6(fragment(ICMP, icmp(128, 0, bytes(1400)), ident), FRAGMENT))
        frame(ipv6(fragment(ICMP, bytes(1400), ident, 65528, 0), FRAGMENT))
    for ident in range(300, 320):
        frame(ipv6(fragment(UDP, bytes(80), ident, 800, 0), FRAGMENT))
        frame(ipv6(fragment(UDP, bytes(80), ident, 400, 0), FRAGMENT))
        frame(ipv6(fragment(UDP, bytes(83), ident, 80), FRAGMENT))
        frame(ipv6(fragment(UDP, b"", ident, 160), FRAGMENT))
    # Headers in the second piece (RFC 7112), pieces of pieces, neighbours in pieces (RFC 6980, row B9).
    for ident in range(400, 420):
        frame(ipv6(fragment(TCP, tcp()[:8], ident), FRAGMENT))
        frame(ipv6(fragment(OPTIONS, options(TCP), ident), FRAGMENT))
        frame(ipv6(fragment(FRAGMENT, fragment(UDP, body[:80], ident), ident + 100), FRAGMENT))
        claim = icmp(136, 0, struct.pack("!I", 0x20000000) + address(own) + option(2, b"\2\2\2\2\2\2"))
        frame(ipv6(fragment(ICMP, claim, ident + 200, 0, 0), FRAGMENT, hops=255))
        frame(ipv6(fragment(ICMP, claim[:16], ident + 300), FRAGMENT, hops=255))
        frame(ipv6(fragment(ICMP, claim[16:], ident + 300, 16, 0), FRAGMENT, hops=255))
    # Beginnings without end, from many: what waits must have a bound (A8).
    for ident in range(20000):
        frame(ipv6(fragment(UDP, bytes(1400), ident, chance.randrange(0, 60000, 8)), FRAGMENT, f"fd09::{3 + ident % 250:x}"))
    # The most pieces of one datagram, in the worst order.
    for offset in range(64000, 0, -8):
        frame(ipv6(fragment(UDP, bytes(8), 7, offset), FRAGMENT))


def addresses():
    for source in ("::", "::1", target, "ff02::1", "ff0e::5", "::ffff:10.9.0.1"):
        frame(ipv6(udp(b"x", source), source=source))
        frame(ipv6(tcp(source=source, sport=80), TCP, source))
        frame(ipv6(icmp(128, 0, bytes(8), source), ICMP, source))
    for to in ("::1", "::", "ff00::1", "ff01::1", "ff02::1", "ff02::fb", "ff0e::1", "2001:db8::1", "::ffff:10.9.0.2"):
        frame(ipv6(icmp(128, 0, bytes(8), to=to), ICMP, to=to))
        frame(ipv6(udp(b"x", to=to), to=to))
        frame(ipv6(tcp(to=to), TCP, to=to))
        frame(ipv6(udp(b"x"), to=None), to=b"\x33\x33\0\0\0\1")


def messages():
    """D1, D2, D4, D7: errors about connections that are not there, about nothing, about errors, of sizes that cannot be."""
    inner = ipv6(tcp(source=target, to=own, sport=80, dport=5000), TCP, target, own)
    for kind in (1, 2, 3, 4, 100, 127):
        for code in range(8):
            for value in (0, 1, 68, 1279, 1280, 65535, 0xFFFFFFFF):
                frame(ipv6(icmp(kind, code, struct.pack("!I", value) + inner), ICMP))
        for length in range(len(inner)):
            frame(ipv6(icmp(kind, 0, struct.pack("!I", 1280) + inner[:length]), ICMP))
        frame(ipv6(icmp(kind, 0, bytes(4) + ipv6(icmp(1, 0, bytes(4) + inner), ICMP)), ICMP))
        # Headers behind headers in what is quoted.
        frame(ipv6(icmp(kind, 0, struct.pack("!I", 1280) + ipv6(options(OPTIONS) * 100, OPTIONS, target, own)), ICMP))
    for _ in range(5000):
        frame(ipv6(udp(b"x", dport=chance.randrange(1, 65536))))
        frame(ipv6(b"x" * 20, chance.randrange(256)))
    for _ in range(1000):
        frame(ipv6(udp(b"x", source=MULTICAST), source=MULTICAST))
        frame(ipv6(udp(b"x", to=MULTICAST), to=MULTICAST))


def discovery():
    """B5, B8, B9, B10: neighbours and routers that are none."""
    strange = option(2, b"\2\2\2\2\2\2")
    solicited = "ff02::1:ff" + format(address(target)[13], "02x") + ":" + format(address(target)[14] << 8 | address(target)[15], "x")
    redirect = bytes(4) + address(link_local(9)) + address(own) + strange
    for rest, kind in ((bytes(4) + address(target), 135), (struct.pack("!I", 0x20000000) + address(own), 136), (advertisement(lifetime=1800), 134), (bytes(4), 133), (redirect, 137)):
        for source in (own, link_local(1), "::", MULTICAST, target):
            # From further away than the link, with a code, with options that are empty, too long or cut.
            frame(discover(kind, rest, source, hops=254))
            frame(discover(kind, rest, source, code=1))
            for more in (b"\1\0", b"\2\0" + bytes(6), b"\3\1" + bytes(6), b"\5\1" + bytes(6), b"\x19\2" + bytes(14), b"\x1f\2" + bytes(14), b"\x1f\xff" + bytes(6), b"\x01\xff" + bytes(6)):
                frame(discover(kind, rest + more, source))
        for length in range(len(rest)):
            frame(discover(kind, rest[:length], link_local(1)))
    # Claims to the target's own address, and questions of those who want it.
    for number in range(200):
        frame(discover(136, struct.pack("!I", 0x20000000) + address(target) + strange, target, MULTICAST))
        frame(discover(135, bytes(4) + address(target), "::", solicited))
        frame(discover(136, struct.pack("!I", 0x60000000) + address(own) + strange, own))
    # Many neighbours that nobody asked for (B7).
    for number in range(20000):
        source = f"fd09::{number >> 8 & 255:x}:{number & 255:x}" if number else own
        station = option(1, struct.pack("!Q", number | 2 << 40)[2:])
        frame(discover(135, bytes(4) + address(target) + station, source, solicited))
    # Redirects from whom the target does not send to.
    for number in range(100):
        frame(discover(137, bytes(4) + address(link_local(number + 10)) + address(own) + strange, link_local(number)))


def routers():
    """B6: thousands of prefixes, routers and name servers, some of them malformed."""
    for number in range(4000):
        more = option(25, struct.pack("!HI", 0, 600) + address("fd09::53")) if number % 3 else option(25, struct.pack("!HI", 0, 600) + bytes(16), 4)
        more += option(31, struct.pack("!HI", 0, 600) + b"\3lab\0") if number % 5 else option(31, bytes(6) + b"\xff" * 20)
        prefix = f"2001:db8:{number:x}::"
        # Lifetimes of zero: what is offered is not to be kept.
        frame(discover(134, advertisement(prefix, number % 2, more), link_local(1 + number % 4000), MULTICAST))


def groups():
    """B12: questions about groups, from further away, about everything, and many."""
    alert = options(ICMP, b"\5\2\0\0")
    for source, hops in ((own, 1), (link_local(1), 1), (link_local(1), 2), (link_local(1), 255), ("::", 1)):
        for delay in (0, 1, 1000, 0x7FFF, 0xFFFF):
            for group in ("::", MULTICAST, "ff02::1:3", own):
                for sources in (0, 1, 80, 10000):
                    body = struct.pack("!HH", delay, 0) + address(group) + struct.pack("!BBH", 2, 125, sources) + bytes(16) * min(sources, 80)
                    frame(ipv6(alert + icmp(130, 0, body, source, MULTICAST), HOP, source, MULTICAST, hops))
                    frame(ipv6(icmp(130, 0, body, source, MULTICAST), ICMP, source, MULTICAST, hops))
    for number in range(4000):
        group = f"ff02::{number:x}"
        body = struct.pack("!HH", 1, 0) + address(group)
        frame(ipv6(alert + icmp(130, 0, body, link_local(1), group), HOP, link_local(1), group, 1))


def noise():
    for _ in range(20000):
        frame(ipv6(chance.randbytes(chance.randrange(0, 1400)), chance.choice((HOP, TCP, UDP, ROUTING, FRAGMENT, ICMP, OPTIONS, chance.randrange(256)))))


def flood():
    # Neighbours that are not there, and strangers; each address and port once.
    ports = [int(port) for port in sys.argv[6:]]
    for number in range(100_000):
        source = f"fd09::{3 + number % 250:x}" if number % 2 else f"2001:db8:{number >> 8:x}::{number & 255:x}"
        frame(ipv6(tcp(source=source, sport=1024 + number % 60000, dport=ports[0], seq=number, options=b"\2\4\5\xa0"), TCP, source))


def scan():
    """B7: as many neighbours that are not there, and each wants an answer."""
    for number in range(100_000):
        source = f"fd09::6:{number >> 16:x}:{number & 0xFFFF:x}"
        frame(ipv6(icmp(128, 0, struct.pack("!HH", 1, number & 0xFFFF), source), ICMP, source))


globals()[case]()
