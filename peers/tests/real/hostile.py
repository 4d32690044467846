# Sends frames that nobody should send. Arguments: case, interface, the target's MAC, the target's address.
# Only what Python has; nothing of the stack under test builds them.
import random, socket, struct, sys

case, interface, mac, target = sys.argv[1:5]
chance = random.Random(1)
wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
wire.bind((interface, 0))
own_mac = wire.getsockname()[4]
target_mac = bytes.fromhex(mac.replace(":", ""))
OWN = "10.9.0.1"


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def frame(payload, kind=0x0800, to=None):
    data = (to or target_mac) + own_mac + struct.pack("!H", kind) + payload
    try:
        wire.send(data[: 14 + 1500])
    except OSError:
        pass


def ipv4(payload, protocol=17, source=OWN, to=None, ident=1, offset=0, flags=0, **lies):
    ihl = lies.get("ihl", 5)
    options = lies.get("options", b"")
    header = struct.pack(
        "!BBHHHBBH4s4s",
        lies.get("version", 4) << 4 | ihl,
        0,
        lies.get("total", 20 + len(options) + len(payload)),
        ident,
        flags << 13 | offset // 8,
        lies.get("ttl", 64),
        protocol,
        0,
        socket.inet_aton(source),
        socket.inet_aton(to or target),
    ) + options
    value = checksum(header) ^ lies.get("spoil", 0)
    return header[:10] + struct.pack("!H", value) + header[12:] + payload


def pseudo(payload, protocol, source):
    return socket.inet_aton(source) + socket.inet_aton(target) + struct.pack("!BBH", 0, protocol, len(payload))


def udp(data, source=OWN, sport=1000, dport=9, length=None, spoil=0):
    head = struct.pack("!HHHH", sport, dport, 8 + len(data) if length is None else length, 0)
    value = checksum(pseudo(head + data, 17, source) + head + data) or 0xFFFF
    return head[:6] + struct.pack("!H", value ^ spoil) + data


def tcp(data=b"", source=OWN, sport=1000, dport=80, seq=1, ack=0, flags=2, offset=None, options=b"", spoil=0, urgent=0):
    options += b"\0" * (-len(options) % 4)
    words = 5 + len(options) // 4 if offset is None else offset
    head = struct.pack("!HHIIBBHHH", sport, dport, seq, ack, words << 4, flags, 65535, 0, urgent) + options
    value = checksum(pseudo(head + data, 6, source) + head + data)
    return head[:16] + struct.pack("!H", value ^ spoil) + head[18:] + data


def icmp(kind, code, rest, spoil=0):
    body = struct.pack("!BBH", kind, code, 0) + rest
    return body[:2] + struct.pack("!H", checksum(body) ^ spoil) + body[4:]


def truncated():
    whole = [ipv4(udp(b"x" * 40)), ipv4(tcp(), 6), ipv4(icmp(8, 0, bytes(40)), 1), ipv4(icmp(3, 4, ipv4(tcp(), 6)), 1)]
    for packet in whole:
        for length in range(len(packet)):
            frame(packet[:length])
    arp = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1) + own_mac + socket.inet_aton(OWN) + bytes(6) + socket.inet_aton(target)
    for length in range(len(arp)):
        frame(arp[:length], 0x0806)
    for tags in range(9):
        frame(struct.pack("!HH", 1, 0x8100) * tags + bytes(4), 0x8100)


def lengths():
    for total in list(range(0, 80)) + [1500, 1501, 32768, 65535]:
        frame(ipv4(udp(b"x" * 20), total=total))
    for ihl in range(16):
        frame(ipv4(udp(b"x" * 40), ihl=ihl))
    for version in range(16):
        frame(ipv4(udp(b""), version=version))
    for length in list(range(0, 60)) + [65535]:
        frame(ipv4(udp(b"x" * 20, length=length)))
    for offset in range(16):
        frame(ipv4(tcp(b"x" * 8, offset=offset), 6))
    for kind in range(256):
        for length in (0, 1, 2, 3, 9, 40, 255):
            frame(ipv4(tcp(options=bytes([kind, length, 1, 2]) + bytes(4)), 6))
            frame(ipv4(udp(b""), ihl=7, options=bytes([kind, length, 4, 0]) + bytes(4)))
    for flags in range(256):
        frame(ipv4(tcp(flags=flags, urgent=65535), 6))
    for kind in range(256):
        frame(ipv4(icmp(kind, chance.randrange(256), bytes(chance.randrange(40))), 1))
    for hardware, protocol in ((0, 0), (255, 4), (6, 255), (255, 255), (6, 0)):
        frame(struct.pack("!HHBBH", 1, 0x0800, hardware, protocol, 1) + bytes(40), 0x0806)


def checksums():
    for spoil in (1, 0x100, 0xFFFF):
        for _ in range(20):
            frame(ipv4(udp(b"data"), spoil=spoil))
            frame(ipv4(udp(b"data", spoil=spoil)))
            frame(ipv4(tcp(spoil=spoil), 6))
            frame(ipv4(icmp(8, 0, bytes(8), spoil=spoil), 1))


def fragments():
    body = udp(b"x" * 4000)
    more = 1
    # Overlaps, exact and partial; teardrop: the second fragment ends inside the first.
    for ident, (offset, length) in enumerate([(0, 800), (400, 800), (792, 16), (8, 8), (0, 808), (24, 4)], 100):
        frame(ipv4(body[:800], ident=ident, flags=more))
        frame(ipv4(body[offset : offset + length], ident=ident, offset=offset, flags=more))
        frame(ipv4(body[800:], ident=ident, offset=800))
    # Ping of death: the last fragment ends beyond 65,535.
    for ident in range(200, 220):
        frame(ipv4(icmp(8, 0, bytes(1400)), 1, ident=ident, flags=more))
        frame(ipv4(bytes(1400), 1, ident=ident, offset=65528))
    # Two last fragments that disagree, a middle that is no multiple of eight, an empty one, one that asks both ways.
    for ident in range(300, 320):
        frame(ipv4(bytes(80), ident=ident, offset=800))
        frame(ipv4(bytes(80), ident=ident, offset=400))
        frame(ipv4(bytes(83), ident=ident, offset=80, flags=more))
        frame(ipv4(b"", ident=ident, offset=160, flags=more))
        frame(ipv4(bytes(80), ident=ident, offset=240, flags=3))
    # Tiny ones: a TCP header cut in two.
    for ident in range(400, 420):
        frame(ipv4(tcp()[:8], 6, ident=ident, flags=more))
        frame(ipv4(tcp()[8:], 6, ident=ident, offset=8))
    # Beginnings without end, from many: what waits must have a bound.
    for ident in range(20000):
        source = f"10.9.0.{3 + ident % 250}"
        frame(ipv4(bytes(1400), ident=ident, source=source, offset=chance.randrange(0, 60000, 8), flags=more))


def flood():
    # Neighbours that are not there, and strangers; each address and port once.
    ports = [int(port) for port in sys.argv[5:]]
    for number in range(100_000):
        source = f"10.9.0.{3 + number % 250}" if number % 2 else f"{1 + number % 200}.{number >> 8 & 255}.{number & 255}.7"
        frame(ipv4(tcp(source=source, sport=1024 + number % 60000, dport=ports[0], seq=number, options=b"\2\4\5\xb4"), 6, source))


def addresses():
    for source in ("0.0.0.0", "127.0.0.1", target, "255.255.255.255", "224.0.0.1", "10.9.0.255", "240.0.0.1"):
        frame(ipv4(udp(b"x", source), source=source))
        frame(ipv4(tcp(source=source), 6, source))
        frame(ipv4(icmp(8, 0, bytes(8)), 1, source))
    for to in ("127.0.0.1", "0.0.0.0", "255.255.255.255", "10.9.0.255", "224.0.0.251", "192.0.2.1"):
        frame(ipv4(icmp(8, 0, bytes(8)), 1, to=to))
        frame(ipv4(udp(b"x"), to=to), to=b"\xff" * 6)
    # ARP from many who were never asked; the target's own address among them.
    for number in range(20000):
        sender = socket.inet_aton(f"10.9.{number >> 8 & 255}.{number & 255}" if number else target)
        strange = struct.pack("!Q", number | 2 << 40)[2:]
        frame(struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1 + number % 2) + strange + sender + target_mac + socket.inet_aton(target), 0x0806)


def messages():
    # ICMP errors about connections that are not there, and about nothing.
    inner = ipv4(tcp(sport=80, dport=5000), 6, source=target, to=OWN)
    for code in range(16):
        for mtu in (0, 1, 68, 576, 65535):
            frame(ipv4(icmp(3, code, struct.pack("!HH", 0, mtu) + inner[:28]), 1))
    for length in range(len(inner)):
        for kind in (3, 4, 5, 11, 12):
            frame(ipv4(icmp(kind, 0, bytes(4) + inner[:length]), 1))
    for _ in range(5000):
        frame(ipv4(udp(b"x", dport=chance.randrange(1, 65536))))
        frame(ipv4(b"x" * 20, protocol=chance.randrange(256)))


def noise():
    for _ in range(20000):
        frame(chance.randbytes(chance.randrange(0, 1500)), chance.choice((0x0800, 0x0806, 0x8100, 0x86DD, chance.randrange(65536))))


globals()[case]()
