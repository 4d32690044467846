# A router in the peer's place: asks about groups and hears what the subject tells, version by version. What it heard goes into a file
# for Wireshark to judge. Arguments: the subject's address, the file, and the family, 4 or 6.
import socket, struct, sys, time

subject, path, family = sys.argv[1:4]
V6 = family == "6"
GROUP, OTHER, KEPT = ("ff15::77", "ff15::78", "ff15::79") if V6 else ("239.7.7.7", "239.7.7.8", "239.7.7.9")
SOURCE, STRANGER = ("fd09::1", "fd09::99") if V6 else ("10.9.0.1", "10.9.0.99")
ALL, REPORTS, LEAVES = ("ff02::1", "ff02::16", "ff02::2") if V6 else ("224.0.0.1", "224.0.0.22", "224.0.0.2")
ROUTER = "fe80::99" if V6 else "10.9.0.1"
MODE_IN, MODE_EX, TO_IN, TO_EX, ALLOW, BLOCK = range(1, 7)

wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x86DD if V6 else 0x0800))
wire.bind(("veth0", 0x86DD if V6 else 0x0800))
own = wire.getsockname()[4]
orders = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
orders.settimeout(20)
heard = []


def pack(address):
    return socket.inet_pton(socket.AF_INET6 if V6 else socket.AF_INET, address)


def text(octets):
    return socket.inet_ntop(socket.AF_INET6 if V6 else socket.AF_INET, octets)


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def pseudo(src, dst, length):
    return src + dst + struct.pack("!II", length, 58)


def order(words):
    """The subject's program does it."""
    orders.sendto(words.encode(), (subject, 7300))
    answer = orders.recv(100)
    assert answer == b"done", answer


def ask(group=None, sources=None, response=1000, older=None):
    """A query; `response` in milliseconds."""
    to = pack(group or ALL)
    if V6:
        body = struct.pack("!BBHHH", 130, 0, 0, response, 0) + (pack(group) if group else bytes(16))
        if not older:
            body += struct.pack("!BBH", 2, 125, len(sources or [])) + b"".join(map(pack, sources or []))
        body = body[:2] + struct.pack("!H", checksum(pseudo(pack(ROUTER), to, len(body)) + body)) + body[4:]
        packet = struct.pack("!IHBB", 6 << 28, len(body) + 8, 0, 1) + pack(ROUTER) + to + bytes([58, 0, 5, 2, 0, 0, 1, 0]) + body
        station = b"\x33\x33" + to[12:]
    else:
        code = 0 if older == 1 else response // 100
        body = struct.pack("!BBH", 0x11, code, 0) + (pack(group) if group else bytes(4))
        if not older:
            body += struct.pack("!BBH", 2, 125, len(sources or [])) + b"".join(map(pack, sources or []))
        body = body[:2] + struct.pack("!H", checksum(body)) + body[4:]
        header = struct.pack("!BBHHHBBH4s4s4s", 0x46, 0xC0, 24 + len(body), 0, 0x4000, 1, 2, 0, pack(ROUTER), to, b"\x94\4\0\0")
        packet = header[:10] + struct.pack("!H", checksum(header)) + header[12:] + body
        station = b"\1\0\x5e" + bytes([to[1] & 0x7F]) + to[2:]
    wire.send(station + own + struct.pack("!H", 0x86DD if V6 else 0x0800) + packet)


def message():
    """The next message about groups: what it is, to whom it goes, what it says."""
    while True:
        frame = wire.recv(9000)
        if frame[6:12] == own:
            continue
        if V6:
            if frame[20] != 0 or frame[54] != 58:
                continue
            assert frame[54:62] == bytes([58, 0, 5, 2, 0, 0, 1, 0]) and frame[21] == 1, frame.hex()
            assert frame[22:24] == b"\xfe\x80" or frame[22:38] == bytes(16), frame.hex()
            to, body = text(frame[38:54]), frame[62:14 + 40 + struct.unpack("!H", frame[18:20])[0]]
            assert checksum(pseudo(frame[22:38], frame[38:54], len(body)) + body) == 0
        else:
            if frame[23] != 2:
                continue
            assert frame[14] == 0x46 and frame[22] == 1 and frame[34:38] == b"\x94\4\0\0", frame.hex()
            to, body = text(frame[30:34]), frame[38:14 + struct.unpack("!H", frame[16:18])[0]]
            assert checksum(body) == 0
        assert frame[:6] == (b"\x33\x33" + pack(to)[12:] if V6 else b"\1\0\x5e" + bytes([pack(to)[1] & 0x7F]) + pack(to)[2:])
        heard.append(frame)
        kind = body[0]
        size = 16 if V6 else 4
        if kind not in (0x22, 143):
            at = 8 if V6 else 4
            return kind, to, text(body[at:at + size])
        records, at = [], 8
        for _ in range(struct.unpack("!H", body[6:8])[0]):
            mode, extra, count = struct.unpack("!BBH", body[at:at + 4])
            lists = [text(body[at + 4 + size * i:][:size]) for i in range(count + 1)]
            records.append((mode, lists[0], lists[1:]))
            at += 4 + size * (1 + count) + 4 * extra
        return kind, to, records


def expect(*records, to=REPORTS):
    """A report with one of these records, among others; earlier ones do not matter, nor what is said of other groups."""
    wire.settimeout(10)
    while True:
        kind, where, said = message()
        if kind in (0x22, 143) and any(record in said for record in records):
            assert where == to, where
            return


def expect_older(kind, to, group):
    wire.settimeout(15)
    while message() != (kind, to, group):
        pass


def silent(group, seconds):
    """Nothing is said of a group."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        wire.settimeout(left)
        try:
            _, _, said = message()
        except TimeoutError:
            return
        assert said != group and not any(record[1] == group for record in said if len(record) == 3), said


order(f"join {GROUP}")
for _ in range(2):
    expect((TO_EX, GROUP, []))
ask()
expect((MODE_EX, GROUP, []))
ask(GROUP)
expect((MODE_EX, GROUP, []))
ask(GROUP, [STRANGER])
# RFC 3376, 5.2, names the sources; Linux says that it hears all.
expect((MODE_IN, GROUP, [STRANGER]), (MODE_EX, GROUP, []))
order(f"block {GROUP} {STRANGER}")
for _ in range(2):
    expect((BLOCK, GROUP, [STRANGER]))
order(f"leave {GROUP}")
for _ in range(2):
    expect((TO_IN, GROUP, []))
order(f"source {GROUP} {SOURCE}")
for _ in range(2):
    expect((ALLOW, GROUP, [SOURCE]))
ask(GROUP, [SOURCE, STRANGER])
expect((MODE_IN, GROUP, [SOURCE]))
order(f"unsource {GROUP} {SOURCE}")
for _ in range(2):
    expect((BLOCK, GROUP, [SOURCE]))
ask(GROUP, response=100)
silent(GROUP, 0.5)

# An older querier: whoever answers it in its version has noticed it.
REPORT, LEAVE = (131, 132) if V6 else (0x16, 0x17)
order(f"join {KEPT}")
ask(response=200, older=2)
expect_older(REPORT, KEPT, KEPT)
order(f"join {OTHER}")
for _ in range(2):
    expect_older(REPORT, OTHER, OTHER)
ask(OTHER, response=200, older=2)
expect_older(REPORT, OTHER, OTHER)
order(f"leave {OTHER}")
expect_older(LEAVE, LEAVES, OTHER)
if not V6:
    ask(older=1)
    expect_older(0x12, KEPT, KEPT)
    order(f"join {OTHER}")
    expect_older(0x12, OTHER, OTHER)

with open(path, "wb") as file:
    file.write(struct.pack("=IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
    for frame in heard:
        file.write(struct.pack("=IIII", 0, 0, len(frame), len(frame)) + frame)
print(len(heard), "messages")
