# Sends datagrams in fragments of every kind and tells what became of each, a line a case: what the subject's echo heard, and which
# ICMP errors came. Only what Python has; nothing of the stack under test builds a packet.
# Arguments: interface, the target's MAC, the target's address, own addresses: one after the other, as there are limits to how many errors
# anybody is sent.
import itertools, os, random, socket, struct, sys, zlib

# Frames that are sent on one processor arrive in order.
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
interface, mac, target = sys.argv[1:4]
IPV6 = ":" in target
FAMILY = socket.AF_INET6 if IPV6 else socket.AF_INET
TARGET = socket.inet_pton(FAMILY, target)
sources = itertools.cycle([socket.inet_pton(FAMILY, own) for own in sys.argv[4:]])
SOURCE = next(sources)
for own in sys.argv[4:]:
    # The target gets to know it, so that answers to it do not wait.
    with socket.socket(FAMILY, socket.SOCK_DGRAM) as asks:
        asks.bind((own, 0))
        asks.settimeout(20)
        asks.sendto(b"hello", (target, 7001))
        asks.recv(100)
UDP, ECHO, PORT, PATIENCE = 17, 7001, 7003, 20
ERRORS = (1, 2, 3, 4) if IPV6 else (3, 4, 5, 11, 12)

wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x86DD if IPV6 else 0x0800))
wire.bind((interface, 0))
wire.setblocking(False)
link = bytes.fromhex(mac.replace(":", "")) + wire.getsockname()[4] + (b"\x86\xdd" if IPV6 else b"\x08\x00")
hears = socket.socket(FAMILY, socket.SOCK_DGRAM)
hears.bind(("::" if IPV6 else "0.0.0.0", PORT))
hears.settimeout(PATIENCE)
idents = itertools.count(0x1000)
chance = random.Random(7)


def checksum(data):
    total = sum(struct.unpack(f"!{(len(data) + 1) // 2}H", data + bytes(len(data) % 2)))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def datagram(size, seed=0):
    """A UDP datagram of so many bytes, header and all. All sources have the same sum, so one checksum is good for all."""
    data = random.Random(f"{size} {seed}").randbytes(size - 8)
    head = struct.pack("!HHHH", PORT, ECHO, size, 0)
    pseudo = SOURCE + TARGET + (struct.pack("!II", size, UDP) if IPV6 else struct.pack("!BBH", 0, UDP, size))
    return head[:6] + struct.pack("!H", checksum(pseudo + head + data) or 0xFFFF) + data


def fragment(ident, body, offset, more, tos=0, next_header=UDP, before=b"", hops=64, flags=0, options=b""):
    """`before`: of IPv6, what stands before the fragment header; its first byte says what follows."""
    if IPV6:
        header = struct.pack("!BBHI", next_header, 0, offset | more, ident)
        length = len(before) + len(header) + len(body)
        first = 0 if before else 44
        packet = struct.pack("!IHBB", 6 << 28 | tos << 20, length, first, hops) + SOURCE + TARGET + before + header + body
    else:
        total = 20 + len(options) + len(body)
        place = flags << 13 | more << 13 | offset // 8
        head = struct.pack("!BBHHHBBH", 0x45 + len(options) // 4, tos, total, ident, place, hops, next_header, 0)
        head += SOURCE + TARGET + options
        packet = head[:10] + struct.pack("!H", checksum(head)) + head[12:] + body
    wire.send(link + packet)


def cut(body, *places):
    """Pieces of it: offset, bytes, whether more follow."""
    ends = [*places, len(body)]
    return [(start, body[start:end], end < len(body)) for start, end in zip([0, *places], ends)]


def settled():
    """All that was sent before is dealt with, when this has come back."""
    question = b"mark %d" % next(idents)
    hears.sendto(question, (target, ECHO))
    heard = []
    while (answer := hears.recv(100)) != b"%d %08x" % (len(question), zlib.crc32(question)):
        heard.append(answer.decode())
    told = []
    while True:
        try:
            frame = wire.recv(2000)
        except BlockingIOError:
            return sorted(heard), told
        protocol, at = (frame[20], 54) if IPV6 else (frame[23], 14 + 4 * (frame[14] & 15))
        if protocol == (58 if IPV6 else 1) and frame[at] in ERRORS:
            pointer = struct.unpack("!I", frame[at + 4 : at + 8])[0] if IPV6 else frame[at + 4]
            told.append((frame[at], frame[at + 1], pointer))


def case(name, pieces, **more):
    """Sends pieces of one identification: offset, bytes, whether more follow, and what else is special."""
    global SOURCE
    SOURCE, ident = next(sources), next(idents)
    for offset, body, follows, *special in pieces:
        fragment(ident, body, offset, follows, **(more | (special[0] if special else {})))
    heard, told = settled()
    print(f"{name}: heard {heard or 'nothing'}, told {told or 'nothing'}", flush=True)


whole = datagram(64)
for order in itertools.permutations(cut(whole, 16, 32, 48)):
    case(f"order {[piece[0] for piece in order]}", order)

for size in (9, 16, 17, 1000, 1472, 9000, 60000, 65507, *((65508, 65527) if IPV6 else ())):
    body = datagram(size)
    for step in (8, 16, 504, 1440):
        if size // step > 100:
            continue
        pieces = cut(body, *range(step, size, step))
        for how in ("in order", "backwards", "shuffled"):
            case(f"{size} bytes by {step} {how}", {"in order": pieces, "backwards": pieces[::-1], "shuffled": chance.sample(pieces, len(pieces))}[how])

# What overlaps a piece of three, put in at each place of the row: the same again, part of it, around it, other bytes.
body, other = datagram(1200), datagram(1200, 1)
first, second, third = cut(body, 400, 800)
for name, extra in {
    "the same again": second,
    "the same with other bytes": (400, other[400:800], True),
    "the beginning of it": (400, body[400:600], True),
    "the end of it": (600, body[600:800], True),
    "the middle of it": (480, body[480:600], True),
    "across its beginning": (200, body[200:600], True),
    "across its end": (600, body[600:1000], True),
    "around it": (200, body[200:1000], True),
    "one unit more": (792, body[792:808], True),
    "the header again": (0, body[:8], True),
    "another header": (0, other[:8], True),
    "an end before the end": (400, body[400:800], False),
    "an end behind the end": (1200, bytes(8), False),
    "more behind the end": (1200, bytes(8), True),
    "the end again": third,
    "the end in part": (1000, body[1000:], False),
}.items():
    for at in range(3):
        row = [first, second, third]
        row.insert(at, extra)
        case(f"{name} as number {at + 1}", row)
        case(f"{name} as number {at + 1} backwards", row[::-1])

# Teardrop and its kin.
for (a, b), (c, d) in itertools.product([(0, 40), (24, 28), (0, 24), (24, 32)], repeat=2):
    case(f"teardrop {a}-{b} {c}-{d}", [(a, whole[a:b], True), (c, whole[c:d], False)])

# Pieces of a wrong size.
case("not a multiple of eight", [(0, whole[:13], True), (16, whole[16:], False)])
case("not a multiple of eight, later", [(0, whole[:16], True), (16, whole[16:29], True), (32, whole[32:], False)])
case("an empty first one", [(0, b"", True), (0, whole, False)])
case("an empty one in the middle", [(0, whole[:16], True), (16, b"", True), (16, whole[16:], False)])
case("an empty last one", [(0, whole, True), (64, b"", False)])
case("beyond the largest packet", [(0, bytes(1400), True), (65528, bytes(1400), False)])
case("just beyond the largest packet", [(0, bytes(1400), True), (65528, bytes(8), False)])
case("beyond by more to come", [(65528, bytes(16), True)])

# The first piece without all of the header.
case("a header in two pieces", cut(whole, 8))
case("nothing but an end", [(16, whole[16:], False)])

# Congestion marks (RFC 3168, 5.3): those that one packet can have had, and those that it cannot.
for marks in itertools.product(range(4), repeat=2):
    case(f"marks {marks}", [(*piece, {"tos": mark}) for piece, mark in zip(cut(whole, 32), marks)])
case("other hop limits", [(*piece, {"hops": hops}) for piece, hops in zip(cut(whole, 32), (1, 255))])

if IPV6:
    options = struct.pack("!BBBB", UDP, 0, 1, 4) + bytes(4)
    case("what is carried is said differently later", [(*piece, {"next_header": said}) for piece, said in zip(cut(whole, 32), (UDP, 6))])
    case("an atomic one", [(0, whole, False)])
    waiting = next(idents)
    fragment(waiting, whole[:32], 0, True)
    fragment(waiting, datagram(48), 0, False)
    fragment(waiting, whole[32:], 32, False)
    print("an atomic one among others:", *settled(), flush=True)
    case("options behind", cut(options + whole, 32), next_header=60)
    case("options before", cut(whole, 32), before=struct.pack("!BBBB", 44, 0, 1, 4) + bytes(4))
    # RFC 7112: what comes first has all headers.
    case("options, and the rest of the headers later", cut(options + whole, 8), next_header=60)
    case("half of the options", cut(struct.pack("!BBBB", UDP, 1, 1, 12) + bytes(12) + whole, 8), next_header=60)
    case("nothing behind", [(0, whole[:8], True), (8, whole[8:], False)], next_header=59)
    case("a protocol that nobody speaks", cut(whole, 32), next_header=253)
    case("a piece of a piece", cut(struct.pack("!BBHI", UDP, 0, 0, 1) + whole, 32), next_header=44)
else:
    case("the reserved bit", cut(whole, 32), flags=4)
    case("not to be cut, but cut", cut(whole, 32), flags=2)
    case("options in each", cut(whole, 32), options=b"\x01" * 4)
    case("options in the first", [(*piece, {"options": said}) for piece, said in zip(cut(whole, 32), (b"\x01" * 8, b""))])
    case("another protocol later", [(*piece, {"next_header": said}) for piece, said in zip(cut(whole, 32), (UDP, 6))])
    case("a protocol that nobody speaks", cut(whole, 32), next_header=253)

# Cuts of any kind in any order, with copies.
for number in range(60):
    body = datagram(chance.randrange(17, 1400), number)
    places = sorted(chance.sample(range(8, len(body), 8), min(chance.randrange(1, 12), (len(body) - 1) // 8)))
    pieces = cut(body, *places)
    chance.shuffle(pieces)
    for _ in range(chance.randrange(3)):
        # Before the last one: behind it a copy would begin anew.
        pieces.insert(chance.randrange(len(pieces)), chance.choice(pieces[:-1]))
    case(f"by chance {number}", pieces)
