# What a stream tells of the packets that brought it: IP_PKTOPTIONS and IPV6_2292PKTOPTIONS, asked. The peer is heard_peer.py.
import ctypes, errno, socket, struct, sys

US4, PEER4, US6, PEER6, LINK = sys.argv[2:7]
IP, IPV6 = 0, 41
LINK = socket.if_nametoindex(LINK)
ALL4, ALL6 = (8, 12, 13), (49, 51, 66, 11, 2, 8)
HOPS, CLASS, LABELS, HOP_BY_HOP, DESTINATION = 16, 67, 70, 54, 59
NAMES = {(0, 8): "info", (0, 2): "ttl", (0, 1): "tos", (41, 50): "info", (41, 52): "hops", (41, 67): "class", (41, 11): "flow", (41, 2): "old-info",
         (41, 8): "old-hops", (41, 54): "hop-by-hop", (41, 59): "destination", (41, 3): "old-hop-by-hop", (41, 4): "old-destination", (41, 74): "original"}
libc = ctypes.CDLL(None, use_errno=True)

class Talk:
    def __init__(self):
        self.file = socket.create_connection((PEER4, 7000)).makefile("rw")

    def ask(self, *words):
        print(*words, file=self.file, flush=True)
        return self.file.readline().strip()

def expect(got, wanted):
    assert got == wanted, (got, wanted)

def refused(call):
    try:
        call()
    except OSError as e:
        return errno.errorcode[e.errno]
    return "done"

def stream(family):
    return socket.socket(family, socket.SOCK_STREAM)

def wants(s, level, names):
    for name in names:
        s.setsockopt(level, name, 1)

def one(level, name, value):
    return "%d:%d:%s" % (level, name, value if isinstance(value, str) else struct.pack("i", value).hex())

def asked(s, level, room=1000):
    # The whole buffer and the length, as the call leaves them.
    buffer, length = ctypes.create_string_buffer(b"\xee" * 1000, 1000), ctypes.c_int(room)
    assert libc.getsockopt(s.fileno(), level, 9 if level == IP else 6, buffer, ctypes.byref(length)) == 0, ctypes.get_errno()
    assert buffer.raw[length.value:] == b"\xee" * (1000 - length.value)
    return buffer.raw[:length.value]

def address(data):
    return socket.inet_ntop(socket.AF_INET6 if len(data) == 16 else socket.AF_INET, data)

def told(s, level):
    said, rest = [], asked(s, level)
    while rest:
        length, of, kind = struct.unpack_from("=QII", rest)
        data, rest = rest[16:length], rest[(length + 7) // 8 * 8:]
        name = NAMES[of, kind]
        if name == "info" and level == IP:
            assert data[4:8] == data[8:]
            value = "%d/%s" % (struct.unpack("I", data[:4])[0], address(data[4:8]))
        elif name.endswith("info"):
            value = "%d/%s" % (struct.unpack("I", data[16:])[0], address(data[:16]))
        elif name == "original":
            value = "%d/%s" % (struct.unpack("!H", data[2:4])[0], address(data[8:24]))
        elif len(data) == 4 and name != "flow":
            value = struct.unpack("i", data)[0]
        else:
            value = data.hex()
        said.append("%s %s" % (name, value))
    return ", ".join(said)

def all6(info, hops, traffic, flow, kept=False):
    # What was kept is told in another order, and a flow of nothing not at all.
    old = "old-info %s, old-hops %d" % (info, hops)
    flow = "flow %08x" % flow
    return "info %s, hops %d, class %d, " % (info, hops, traffic) + (flow + ", " + old if kept else old + ", " + flow)

def listening(family, port, before=()):
    listener = stream(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    wants(listener, IPV6, before)
    listener.bind(("", port))
    listener.listen()
    return listener

def over_ipv4(talk):
    listener = listening(socket.AF_INET, 7301)
    talk.ask("call", US4, 7301, one(IP, 2, 77), one(IP, 1, 0x40))
    s, _ = listener.accept()
    expect(told(s, IP), "")
    for t in (s, listener):
        wants(t, IP, ALL4)
    # Of the handshake's last packet, whatever comes behind it.
    opened = "info %d/%s, ttl 77, tos 64" % (LINK, US4)
    expect(told(s, IP), opened)
    talk.ask("says", "more", one(IP, 2, 66), one(IP, 1, 0x20))
    expect(s.recv(100), b"more")
    expect(told(s, IP), opened)
    expect((s.getsockopt(IP, 33), s.getsockopt(IP, 32, 4)), (77, bytes(4)))
    expect(refused(lambda: s.setsockopt(IP, 33, 5)), "EINVAL")
    expect(told(listener, IP), "info 0/0.0.0.0, ttl 1, tos 0")
    # What does not fit is cut; of what has no room for its beginning nothing is left.
    whole = asked(s, IP)
    for room in (0, 15, 16, 17, 28, 31, 32, 47, 48, 52, 56, 71, 72, 75, 79, 80, 500):
        cut = asked(s, IP, room)
        left = [at for at in (0, 32, 56) if at + 16 <= room]
        last = left[-1] if left else 0
        end = min(room, 80 if not left else last + (32 if last == 0 else 24))
        expect(len(cut), end if left else 0)
        if left and room - last < (28 if last == 0 else 20):
            expect(struct.unpack_from("Q", cut, last)[0], room - last)
            cut = cut[:last] + whole[last:last + 8] + cut[last + 8:]
        expect(cut, whole[:len(cut)])
    # Who connects has heard of nothing.
    talk.ask("answer", 7302)
    s = stream(socket.AF_INET)
    wants(s, IP, ALL4)
    expect(told(s, IP), "info 0/0.0.0.0, ttl 1, tos 0")
    s.connect((PEER4, 7302))
    talk.ask("answered")
    talk.ask("says", "more")
    expect(s.recv(100), b"more")
    expect(told(s, IP), "info 0/%s, ttl 1, tos 0" % US4)
    # Nor has who tried in vain.
    s = stream(socket.AF_INET)
    wants(s, IP, ALL4)
    expect(refused(lambda: s.connect((PEER4, 7303))), "ECONNREFUSED")
    expect(told(s, IP), "info 0/0.0.0.0, ttl 1, tos 0")
    # Only streams have it.
    expect(refused(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).getsockopt(IP, 9, 100)), "ENOPROTOOPT")

def mapped(talk):
    listener = listening(socket.AF_INET6, 7303, ALL6)
    talk.ask("call", US4, 7303, one(IP, 2, 77), one(IP, 1, 0x40))
    s, _ = listener.accept()
    wants(s, IP, ALL4)
    expect(told(s, IP), "info %d/%s, ttl 77, tos 64" % (LINK, US4))
    opened = all6("%d/::ffff:%s" % (LINK, PEER4), 77, 0, 0)
    expect(told(s, IPV6), opened)
    talk.ask("says", "more", one(IP, 2, 66))
    expect(s.recv(100), b"more")
    expect(told(s, IPV6), opened)
    talk.ask("answer", 7304)
    s = stream(socket.AF_INET6)
    wants(s, IPV6, ALL6)
    s.connect(("::ffff:" + PEER4, 7304))
    expect(told(s, IPV6), all6("0/::", 1, 0, 0))

def over_ipv6(talk):
    plain = [one(IPV6, LABELS, 0)]
    headers = [one(IPV6, HOP_BY_HOP, "00001e0411223344"), one(IPV6, DESTINATION, "00001e0455667788")]
    listener = listening(socket.AF_INET6, 7305)
    talk.ask("call", US6, 7305, one(IPV6, HOPS, 77), one(IPV6, CLASS, 0x40), *plain)
    s, _ = listener.accept()
    wants(s, IP, ALL4)
    expect(told(s, IP), "info 0/127.0.0.6, ttl 1, tos 0")
    expect(told(s, IPV6), "")
    # As long as nobody asks, it is the handshake's last packet that is remembered, and the peer's address that is told with it.
    talk.ask("says", "more", one(IPV6, HOPS, 66))
    expect(s.recv(100), b"more")
    wants(s, IPV6, ALL6)
    expect(told(s, IPV6), all6("%d/%s" % (LINK, PEER6), 77, 0x40, 0x4000000))
    # Then it is the last one; it is kept if it has a flow, and tells what a datagram would.
    talk.ask("says", "again", one(IPV6, HOPS, 55), one(IPV6, CLASS, 0x20))
    expect(s.recv(100), b"again")
    expect(told(s, IPV6), all6("%d/%s" % (LINK, US6), 55, 0x20, 0x2000000, True))
    expect((s.getsockopt(IPV6, 17), s.getsockopt(IPV6, 18)), (LINK, 55))
    expect(refused(lambda: s.setsockopt(IPV6, 18, 5)), "ENOPROTOOPT")
    talk.ask("says", "plain", one(IPV6, CLASS, 0))
    expect(s.recv(100), b"plain")
    expect(told(s, IPV6), all6("%d/%s" % (LINK, PEER6), 55, 0, 0))
    # Extension headers are kept for who asks for these.
    talk.ask("says", "extended", *headers)
    expect(s.recv(100), b"extended")
    expect(told(s, IPV6), all6("%d/%s" % (LINK, PEER6), 55, 0, 0))
    for name in ALL6:
        s.setsockopt(IPV6, name, 0)
    # IPV6_2292HOPOPTS, IPV6_RECVDSTOPTS, IPV6_RECVORIGDSTADDR.
    wants(s, IPV6, (3, 58, 74))
    talk.ask("says", "anew", one(IPV6, HOPS, 44))
    expect(s.recv(100), b"anew")
    seen = "destination %s, old-hop-by-hop %s, original 7305/" + US6
    expect(told(s, IPV6), seen % ("06001e0455667788", "3c001e0411223344"))
    # What nobody asked for is as it was.
    expect(s.getsockopt(IPV6, 18), 55)
    # Who asks for nothing any more keeps what there is.
    for name in (3, 58, 74):
        s.setsockopt(IPV6, name, 0)
    talk.ask("says", "without", one(IPV6, HOP_BY_HOP, ""), one(IPV6, DESTINATION, ""), one(IPV6, HOPS, 33))
    expect(s.recv(100), b"without")
    wants(s, IPV6, (51,))
    expect(told(s, IPV6), "hops 44")
    talk.ask("says", "last")
    expect(s.recv(100), b"last")
    expect(told(s, IPV6), "hops 33")
    s.sendall(b"heard")
    expect(talk.ask("hears"), "heard")

def a_listener_asks(talk):
    # The SYN is kept, until something comes behind the handshake.
    listener = listening(socket.AF_INET6, 7306, ALL6)
    expect(told(listener, IPV6), all6("0/::", 1, 0, 0))
    talk.ask("call", US6, 7306, one(IPV6, HOPS, 77), one(IPV6, CLASS, 0x40), one(IPV6, LABELS, 0))
    s, _ = listener.accept()
    expect(told(s, IPV6), all6("%d/%s" % (LINK, US6), 77, 0x40, 0x4000000, True))
    talk.ask("says", "more", one(IPV6, HOPS, 66), one(IPV6, CLASS, 0))
    expect(s.recv(100), b"more")
    expect(told(s, IPV6), all6("%d/%s" % (LINK, PEER6), 66, 0, 0))
    # Headers of the SYN, and none behind it.
    listener = listening(socket.AF_INET6, 7307, (58,))
    talk.ask("call", US6, 7307, one(IPV6, DESTINATION, "00001e0455667788"))
    s, _ = listener.accept()
    expect(told(s, IPV6), "destination 06001e0455667788")
    talk.ask("says", "more", one(IPV6, DESTINATION, ""))
    expect(s.recv(100), b"more")
    expect(told(s, IPV6), "")

def who_connects(talk):
    # The answer to the SYN is the first to be heard of.
    options = [one(IPV6, HOPS, 88), one(IPV6, CLASS, 0x60), one(IPV6, LABELS, 0)]
    for port, names, wanted in [(7308, ALL6, all6("%d/%s" % (LINK, US6), 88, 0x60, 0x6000000, True)), (7309, (), all6("7/2001:db8::7", 1, 0, 0))]:
        talk.ask("answer", port, *options)
        s = stream(socket.AF_INET6)
        wants(s, IPV6, names)
        expect(told(s, IPV6), all6("0/::", 1, 0, 0) if names else "")
        s.connect((PEER6, port))
        talk.ask("answered")
        wants(s, IPV6, set(ALL6) - set(names))
        if not names:
            # IPV6_PKTINFO stands in where nothing was heard.
            s.setsockopt(IPV6, 50, socket.inet_pton(socket.AF_INET6, "2001:db8::7") + struct.pack("I", 7))
        expect(told(s, IPV6), wanted)

def within_the_host(talk):
    # By the interface that has the address.
    for family, own, link in [(socket.AF_INET, US4, LINK), (socket.AF_INET, "127.0.0.1", 1), (socket.AF_INET6, US6, LINK), (socket.AF_INET6, "::1", 1)]:
        listener = stream(family)
        listener.bind((own, 0))
        listener.listen()
        client = stream(family)
        client.connect(listener.getsockname())
        s, _ = listener.accept()
        for t in (client, s):
            wants(t, IP, ALL4)
        if family == socket.AF_INET:
            expect(told(s, IP), "info %d/%s, ttl 64, tos 0" % (link, own))
            expect(told(client, IP), "info 0/%s, ttl 1, tos 0" % own)
            continue
        # The label is anything.
        for t in (client, s):
            wants(t, IPV6, set(ALL6) - {11})
        info = "%d/%s" % (link, own)
        seen = ["info " + info, "hops 64", "class 0", "old-info " + info, "old-hops 64"]
        for t, u in ((s, client), (client, s)):
            u.sendall(b"hello")
            expect(t.recv(100), b"hello")
            expect(told(t, IP), "info 0/127.0.0.6, ttl 1, tos 0")
            expect(told(t, IPV6), ", ".join(seen))
        wants(s, IPV6, (11,))
        client.sendall(b"hello")
        expect(s.recv(100), b"hello")
        said = told(s, IPV6).split(", ")
        label = said.pop(3)
        assert label.startswith("flow 000") and label != "flow 00000000", label
        expect(said, seen)

globals()[sys.argv[1]](Talk())
