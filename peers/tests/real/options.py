# Options of IP, by their effects: what the peer sees of packets that were sent with them, and what this socket hears of packets that the peer
# sends. The peer's part is in options_peer.py; the two talk over a connection, line by line.
import ctypes, errno, select, socket, struct, sys

US4, PEER4, US6, PEER6 = sys.argv[2:6]
IP, IPV6 = 0, 41
CONTROL, ECHO, SINK = 7000, 7001, 7002

class Talk:
    def __init__(self):
        self.file = socket.create_connection((PEER4, CONTROL)).makefile("rw")

    def ask(self, *words):
        print(*words, file=self.file, flush=True)
        return self.file.readline().strip()

def number(s, level, name, value):
    s.setsockopt(level, name, struct.pack("I", value))

def socket4(kind=socket.SOCK_DGRAM):
    return socket.socket(socket.AF_INET, kind)

def socket6(kind=socket.SOCK_DGRAM):
    return socket.socket(socket.AF_INET6, kind)

def refused(call):
    try:
        call()
    except OSError as e:
        return errno.errorcode[e.errno]
    return "done"

def expect(got, wanted):
    assert got == wanted, (got, wanted)

def datagrams(talk):
    # What the peer's link sees of a datagram: see options_peer.py for the words.
    def sent(s, to, size=10, call=None):
        s.bind(("", 0))
        port = s.getsockname()[1]
        talk.ask("watch", port)
        (call or s.sendto)(b"x" * size, to)
        return talk.ask("seen", port)

    for discover, wanted in [(0, "df 0"), (1, "df 1"), (2, "df 1"), (3, "df 1"), (4, "df 0"), (5, "df 0")]:
        s = socket4()
        number(s, IP, 10, discover)
        expect(sent(s, (PEER4, SINK)).split(";")[0], wanted + " ttl 64 tos 0 from %s" % US4)
    for discover, wanted in [(4, "EMSGSIZE"), (5, "done")]:
        s = socket4()
        number(s, IP, 10, discover)
        expect(refused(lambda: s.sendto(b"x" * 3000, (PEER4, SINK))), wanted)
    for discover, wanted in [(0, "done"), (1, "done"), (2, "EMSGSIZE"), (3, "EMSGSIZE"), (4, "EMSGSIZE"), (5, "done")]:
        s = socket6()
        number(s, IPV6, 23, discover)
        expect(refused(lambda: s.sendto(b"x" * 3000, (PEER6, SINK))), wanted)
    s = socket6()
    number(s, IPV6, 16, 9)
    number(s, IPV6, 67, 0x48)
    # What is said of IPv6 is not said of IPv4.
    number(s, IP, 2, 11)
    expect(sent(s, ("::ffff:" + PEER4, SINK)).split(";")[0], "df 1 ttl 11 tos 0 from %s" % US4)
    s = socket6()
    number(s, IPV6, 16, 9)
    number(s, IPV6, 67, 0x48)
    expect(sent(s, (PEER6, SINK)).split(" label")[0], "hops 9 class 72")
    # Each flow has a label, unless it wants none or names one.
    label = lambda s, *more: sent(s, *more).split("label ")[1].split(" ")[0]
    assert label(socket6(), (PEER6, SINK)) != "0"
    s = socket6()
    number(s, IPV6, 70, 0)
    expect(label(s, (PEER6, SINK)), "0")
    s = socket6()
    number(s, IPV6, 33, 1)
    expect(label(s, (PEER6, SINK, 0x12345)), str(0x12345))
    s = socket6()
    number(s, IPV6, 33, 1)
    s.connect((PEER6, SINK, 0x54321))
    port = s.getsockname()[1]
    talk.ask("watch", port)
    s.send(b"connected")
    assert "label %d " % 0x54321 in talk.ask("seen", port)
    # IPV6_MTU: shorter pieces than the path would take.
    s = socket6()
    number(s, IPV6, 24, 1300)
    expect(sent(s, (PEER6, SINK), 3000).split(";")[1:], ["1296", "1296", "560"])

def foreign_addresses(talk):
    foreign = "198.51.100.77"
    s = socket4()
    expect(refused(lambda: s.bind((foreign, 0))), "EADDRNOTAVAIL")
    number(s, IP, 15, 1)
    s.bind((foreign, 0))
    expect(s.getsockname()[0], foreign)
    t = socket4()
    number(t, IP, 19, 1)
    t.bind((foreign, 0))
    port = t.getsockname()[1]
    talk.ask("watch", port)
    t.sendto(b"not ours", (PEER4, SINK))
    assert talk.ask("seen", port).split(";")[0].endswith("from " + foreign)
    t = socket6(socket.SOCK_STREAM)
    number(t, IPV6, 78, 1)
    t.bind(("2001:db8::77", 0))
    t.listen()
    u = socket6()
    number(u, IPV6, 75, 1)
    u.bind(("2001:db8::77", 0))
    port = u.getsockname()[1]
    talk.ask("watch", port)
    u.sendto(b"not ours", (PEER6, SINK))
    assert talk.ask("seen", port).split(";")[0].endswith("from 2001:db8::77")

def port_ranges(talk):
    # An option of IP's that sockets of IPv6 have, too.
    for low, kind in [(50000, socket.SOCK_DGRAM), (50010, socket.SOCK_STREAM)]:
        for first, make, us, peer in [(low, socket4, US4, PEER4), (low + 100, socket6, US6, PEER6)]:
            s, t = make(kind), make(kind)
            for each in (s, t):
                number(each, IP, 51, first | first + 1 << 16)
                each.connect((peer, ECHO))
            expect({s.getsockname()[1], t.getsockname()[1]}, {first, first + 1})
            u = make(kind)
            number(u, IP, 51, first | first + 1 << 16)
            assert refused(lambda: u.bind((us, 0))) == "EADDRINUSE"

def what_came_in_pieces(talk):
    for s, level, name, to, wanted in [(socket4(), IP, 25, US4, 1500), (socket6(), IPV6, 77, US6, 1496)]:
        number(s, level, name, 1)
        s.bind(("", 0))
        talk.ask("send", to, s.getsockname()[1], 100)
        expect(s.recvmsg(65536, 256)[1], [])
        talk.ask("send", to, s.getsockname()[1], 3000)
        data, control, _, _ = s.recvmsg(65536, 256)
        expect((len(data), control), (3000, [(level, name, struct.pack("i", wanted))]))

def options_that_go_back(talk):
    s = socket4()
    number(s, IP, 7, 1)
    s.bind(("", 0))
    talk.ask("options", US4, s.getsockname()[1], "070f04" + "00" * 12 + "01")
    _, control, _, _ = s.recvmsg(65536, 256)
    # The sender records itself first, then who hears it.
    recorded = "070f0c" + socket.inet_aton(PEER4).hex() + socket.inet_aton(US4).hex() + "00" * 5
    expect([(level, name, data.hex()) for level, name, data in control], [(IP, 7, recorded)])

def interfaces_to_leave_by(talk):
    link = socket.if_nametoindex(sys.argv[6])
    # IP_UNICAST_IF and IPV6_UNICAST_IF, of which the number is in the order of the network; a route by another interface is none.
    for s, level, name, to in [(socket4(), IP, 50, PEER4), (socket6(), IPV6, 76, PEER6)]:
        set = lambda index: s.setsockopt(level, name, struct.pack("!I", index))
        expect(refused(lambda: set(99)), "EADDRNOTAVAIL")
        s.bind(("", 0))
        port = s.getsockname()[1]
        for index in (link, 0):
            set(index)
            expect(struct.unpack("!I", s.getsockopt(level, name, 4))[0], index)
            talk.ask("watch", port)
            s.sendto(b"by the link", (to, SINK))
            talk.ask("seen", port)
        if level == IPV6:
            # There is no way by the loopback.
            set(1)
            expect(refused(lambda: s.sendto(b"by the loopback", (to, SINK))), "ENETUNREACH")
            expect(refused(lambda: s.connect((to, SINK))), "ENETUNREACH")
    # Where no route leads, who names a link of IPv4 means a host on it, and nobody answers for this one.
    for by_device, answer in [(0, "ENETUNREACH"), (1, "EHOSTUNREACH")]:
        s = socket4()
        s.settimeout(30)
        number(s, IP, 11, 1)
        if by_device:
            s.setsockopt(IP, 50, struct.pack("!I", link))
        if refused(lambda: s.connect(("192.0.2.9", SINK))) == "done":
            s.send(b"anybody?")
            expect(refused(lambda: s.recv(1)), answer)
        else:
            expect(answer, "ENETUNREACH")

def interfaces_that_stick(talk):
    # IPV6_PKTINFO as an option: datagrams go by that interface, so that addresses of a link need no scope.
    link = socket.if_nametoindex(sys.argv[6])
    theirs = talk.ask("own")
    s = socket6()
    expect(refused(lambda: s.setsockopt(IPV6, 50, bytes(16))), "EINVAL")
    s.setsockopt(IPV6, 50, bytes(16) + struct.pack("I", link))
    s.bind(("", 0))
    port = s.getsockname()[1]
    talk.ask("watch", port)
    # Addresses of ours must first be known to be nobody else's.
    for _ in range(600):
        if refused(lambda: s.sendto(b"by the link", (theirs, SINK))) == "done":
            break
        select.select([], [], [], 0.05)
    assert talk.ask("seen", port).startswith("hops 64 ")
    s.setsockopt(IPV6, 50, bytes(16) + struct.pack("I", 1))
    expect(refused(lambda: s.sendto(b"by the loopback", (PEER6, SINK))), "ENETUNREACH")
    # Whoever connects must be able to go by it, too; over IPv4 it means nothing.
    for kind, protocol in ((socket.SOCK_DGRAM, 0), (socket.SOCK_RAW, 253)):
        for index, reached in ((1, {"::1"}), (link, {PEER6, US6, "ff15::1"}), (99, set())):
            for to in (PEER6, US6, "ff15::1", "::1"):
                t = socket.socket(socket.AF_INET6, kind, protocol)
                t.setsockopt(IPV6, 50, bytes(16) + struct.pack("I", index))
                told = refused(lambda: t.connect((to, SINK)))
                assert told == ("done" if to in reached else "ENETUNREACH"), (kind, index, to, told)
            if kind == socket.SOCK_DGRAM:
                t = socket6()
                t.setsockopt(IPV6, 50, bytes(16) + struct.pack("I", index))
                t.connect(("::ffff:" + PEER4, SINK))
    s.setsockopt(IPV6, 50, bytes(20))
    talk.ask("watch", port)
    s.sendto(b"by any way", (PEER6, SINK))
    assert talk.ask("seen", port).endswith("from " + US6)

def datagrams_without_checksums(talk):
    # RFC 6935: none where the socket wants none, and none is taken but by who said so. IPv4's are anybody's.
    def sums(s, to):
        s.bind(("", 0))
        port = s.getsockname()[1]
        talk.ask("watch", port)
        for _ in range(3):
            s.sendto(b"with a sum?", (to, ECHO))
        return talk.ask("flow", port, 3).split(" ")[2:]

    assert "0000" not in sums(socket6(), PEER6)
    s = socket6()
    number(s, 17, 101, 1)
    expect(s.getsockopt(17, 101), 1)
    expect(sums(s, PEER6), ["0000"] * 3)
    s = socket4()
    number(s, socket.SOL_SOCKET, 11, 1)
    expect(sums(s, PEER4), ["0000"] * 3)
    careful, careless = socket6(), socket6()
    number(careless, 17, 102, 1)
    for s in (careful, careless):
        s.bind(("", 0))
        talk.ask("send", US6, s.getsockname()[1], 9, "without")
        talk.ask("send", US6, s.getsockname()[1], 10)
    expect(len(careless.recv(100)), 9)
    expect(len(careless.recv(100)), 10)
    expect(len(careful.recv(100)), 10)

def flows_keep_their_label(talk):
    # All packets of a flow have one, RFC 6437; and a stream leaves in segments that are longer than the link's packets.
    labels = []
    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM) * 2:
        s = socket6(kind)
        s.bind(("", 0))
        port = s.getsockname()[1]
        talk.ask("watch", port)
        s.connect((PEER6, ECHO))
        got = 0
        for _ in range(4):
            s.sendall(b"y" * 1000)
        while kind == socket.SOCK_STREAM and got < 4000:
            got += len(s.recv(65536))
        told = talk.ask("flow", port, 4 if kind == socket.SOCK_DGRAM else 0).split(" ")[0]
        assert told.isdigit() and told != "0", told
        labels.append(told)
    assert len({*labels}) > 1, labels
    for s, to in ((socket4(socket.SOCK_STREAM), PEER4), (socket6(socket.SOCK_STREAM), PEER6)):
        s.bind(("", 0))
        port = s.getsockname()[1]
        s.connect((to, ECHO))
        for _ in range(8):
            talk.ask("watch", port)
            s.sendall(b"z" * 100_000)
            got = 0
            while got < 100_000:
                got += len(s.recv(65536))
            if int(talk.ask("flow", port).split(" ")[1]) > 2 * 1500:
                break
        else:
            raise AssertionError("no super-segment was seen")

def labels_on_lease(talk):
    # IPV6_FLOWLABEL_MGR: while somebody has a label for himself, nobody names one that his socket has not leased.
    def lease(s, label, share):
        to = socket.inet_pton(socket.AF_INET6, PEER6)
        s.setsockopt(IPV6, 32, to + struct.pack("!I", label) + struct.pack("=BBHHHI", 0, share, 1, 10, 6, 0))

    def sent(s, label):
        s.bind(("", 0))
        port = s.getsockname()[1]
        talk.ask("watch", port)
        refusal = refused(lambda: s.sendto(b"x", (PEER6, SINK, label)))
        if refusal != "done":
            # The watch ends with what it waits for.
            s.sendto(b"x", (PEER6, SINK))
        told = talk.ask("seen", port)
        return refusal, "label %d " % label in told

    ours, others = socket6(), socket6()
    for s in (ours, others):
        number(s, IPV6, 33, 1)
    lease(ours, 0x12345, 1)
    expect(sent(ours, 0x12345), ("done", True))
    expect(sent(others, 0x12345), ("EINVAL", False))
    lease(others, 0x23456, 255)
    s = socket6(socket.SOCK_STREAM)
    number(s, IPV6, 33, 1)
    lease(s, 0x34567, 1)
    expect(refused(lambda: s.connect((PEER6, ECHO, 0x23456))), "EINVAL")
    s.bind(("", 0))
    port = s.getsockname()[1]
    talk.ask("watch", port)
    s.connect((PEER6, ECHO, 0x34567))
    s.sendall(b"y" * 1000)
    got = 0
    while got < 1000:
        got += len(s.recv(65536))
    expect(talk.ask("flow", port).split(" ")[0], str(0x34567))

def too_long_for_the_path(talk):
    s = socket6()
    number(s, IPV6, 60, 1)
    number(s, IPV6, 62, 1)
    s.connect((PEER6, SINK))
    expect(refused(lambda: s.send(b"x" * 3000)), "EMSGSIZE")
    data, control, _, _ = s.recvmsg(65536, 256)
    (level, name, info), = control
    expect((data, level, name), (b"", IPV6, 61))
    expect((info[8:24], struct.unpack("I", info[28:])[0]), (socket.inet_pton(socket.AF_INET6, PEER6), 1500))
    expect(struct.unpack("I", s.getsockopt(IPV6, 61, 32)[28:])[0], 1500)

def headers_of_streams(talk):
    # Each segment bears them, the first and those with data, of who connects and of who listens.
    destination = bytes([0, 0, 0x1e, 4, 0xaa, 0xbb, 0xcc, 0xdd])
    def exchange(s, to):
        s.bind(("", 0))
        port = s.getsockname()[1]
        talk.ask("watch", port)
        s.connect(to)
        s.sendall(b"y" * 5000)
        got = b""
        while len(got) < 5000:
            got += s.recv(65536)
        s.close()
        return talk.ask("all", port)

    s = socket6(socket.SOCK_STREAM)
    s.setsockopt(IPV6, 59, destination)
    number(s, IPV6, 67, 0x20)
    number(s, IPV6, 16, 33)
    said = exchange(s, (PEER6, ECHO))
    expect(said, "hops 33 class 32 destination 001e04aabbccdd")
    s = socket4(socket.SOCK_STREAM)
    s.setsockopt(IP, 4, bytes([1, 1, 1, 0]))
    expect(exchange(s, (PEER4, ECHO)), "df 1 ttl 64 options 01010100")
    for discover, wanted in [(0, "df 0"), (2, "df 1")]:
        s = socket4(socket.SOCK_STREAM)
        number(s, IP, 10, discover)
        expect(exchange(s, (PEER4, ECHO)), wanted + " ttl 64 options")

    listener = socket6(socket.SOCK_STREAM)
    listener.setsockopt(IPV6, 59, destination)
    listener.bind(("::", 7009))
    listener.listen()
    talk.ask("watch", 7009)
    talk.ask("connect", US6, 7009, 64)
    served, _ = listener.accept()
    served.sendall(b"served")
    expect(talk.ask("hears"), "served")
    expect(talk.ask("all", 7009).split(" destination ")[1], "001e04aabbccdd")

def headers_as_one_list(talk):
    # IPV6_2292PKTOPTIONS: control messages instead of an option for each header.
    def one(name, data, level=IPV6):
        return struct.pack("=QII", 16 + len(data), level, name) + data + bytes(-len(data) % 8)

    destination, longer = bytes([0, 0, 0x1e, 4, 1, 2, 3, 4]), bytes([0, 1, 0x1e, 12]) + bytes(range(12))
    mobile = bytes([0, 2, 2, 1]) + bytes(4) + socket.inet_pton(socket.AF_INET6, PEER6)
    for kind, protocol in ((socket.SOCK_DGRAM, 0), (socket.SOCK_STREAM, 0), (socket.SOCK_RAW, 253)):
        s = socket.socket(socket.AF_INET6, kind, protocol)
        read = lambda: [s.getsockopt(IPV6, name, 64) for name in (54, 55, 57, 59)]
        put = lambda value: refused(lambda: s.setsockopt(IPV6, 6, value))
        s.setsockopt(IPV6, 54, destination)
        expect(put(one(4, destination)), "done")
        expect(read(), [b"", b"", b"", destination])
        # IPV6_2292HOPOPTS, IPV6_RTHDRDSTOPTS, IPV6_DSTOPTS.
        expect(put(one(3, longer) + one(55, destination) + one(59, longer)), "done")
        expect(read(), [longer, destination, b"", longer])
        # What is wrong leaves all as it was; what is not of IPv6 is no matter.
        for wrong in (one(4, destination) * 2, one(3, destination) * 2, one(54, destination) * 2, one(4, destination[:6]), one(999, destination),
                      one(57, bytes([0, 2, 0, 1]) + bytes(20)), struct.pack("=QII", 99, IPV6, 4), one(2, struct.pack("=16sI", bytes(16), 0)[:19])):
            expect(put(wrong), "EINVAL")
        expect(put(one(2, bytes(16) + struct.pack("I", 99))), "ENODEV")
        expect(put(one(50, socket.inet_pton(socket.AF_INET6, PEER6) + bytes(4))), "EINVAL")
        expect(read(), [longer, destination, b"", longer])
        expect(put(one(2, bytes(20)) + one(8, struct.pack("i", 9)) + one(4, destination) + one(1, b"x", 77)), "done")
        expect(read(), [b"", b"", b"", destination])
        # What stands before a routing header is for each stop (IPV6_2292RTHDR).
        if refused(lambda: s.setsockopt(IPV6, 57, mobile)) == "done":
            expect(put(one(4, destination) + one(5, mobile)), "done")
            expect(read(), [b"", destination, mobile, b""])
        expect(put(b""), "done")
        expect(read(), [b""] * 4)
        expect(refused(lambda: s.getsockopt(IPV6, 6, 64)), "done" if kind == socket.SOCK_STREAM else "ENOPROTOOPT")

def only_neighbours(talk):
    # IP_MINTTL: who is far away is not heard, and not answered.
    for s, level, name, to, port in [(socket4(socket.SOCK_STREAM), IP, 21, US4, 7010),
                                     (socket6(socket.SOCK_STREAM), IPV6, 73, US6, 7011)]:
        number(s, level, name, 255)
        s.bind(("", port))
        s.listen()
        talk.ask("connect", to, port, 254)
        talk.ask("connect", to, port, 255)
        # Who comes second is the only one to come.
        served, who = s.accept()
        expect(talk.ask("connected"), "no yes")
        served.sendall(b"hello")
        expect(talk.ask("hears"), "hello")
        s.setblocking(False)
        expect(refused(s.accept), "EAGAIN")
        talk.ask("forget")

def what_errors_say_besides(talk):
    for make, level, errors, extended, to, before in [(socket4, IP, 11, 26, PEER4, 28), (socket6, IPV6, 25, 31, PEER6, 48)]:
        # The right sum, none, and a wrong one.
        for asks, checksum, wanted in [(1, "51e8", (128 - before, 0)), (1, "0000", (128 - before, 0)),
                                       (1, "1234", (128 - before, 1)), (0, "0000", (0, 0))]:
            s = make()
            number(s, level, errors, 1)
            number(s, level, extended, asks)
            s.connect((to, SINK))
            port = s.getsockname()[1]
            talk.ask("watch", port)
            s.send(b"x" * 10)
            talk.ask("complain", port, checksum)
            expect(refused(lambda: s.recv(10)), "ECONNREFUSED")
            data, control, _, _ = s.recvmsg(2048, 512, socket.MSG_ERRQUEUE)
            (_, _, told), = control
            expect((struct.unpack("HBx", told[12:16]), len(data)), (wanted, 128 - before + 12))

def source_filters(talk):
    # The question stands in the buffer, so getsockopt is called by hand.
    libc = ctypes.CDLL(None, use_errno=True)

    def asked(s, level, name, question, room, size):
        buffer = ctypes.create_string_buffer(question + struct.pack("II", 9, room) + bytes(room * size), len(question) + 8 + room * size)
        length = ctypes.c_uint32(len(buffer))
        if libc.getsockopt(s.fileno(), level, name, buffer, ctypes.byref(length)) != 0:
            return errno.errorcode[ctypes.get_errno()]
        told = buffer.raw[len(question):length.value]
        return struct.unpack("II", told[:8]) + ([told[at:at + size] for at in range(8, len(told), size)],)

    link = socket.if_nametoindex(sys.argv[6])
    storage = lambda address: struct.pack("=HHI16s104x", socket.AF_INET6, 0, 0, socket.inet_pton(socket.AF_INET6, address))

    def v4(s, room=3):
        return asked(s, IP, 41, group + us, room, 4)

    def v6(s, room=2):
        return asked(s, IPV6, 48, struct.pack("=Ixxxx", link) + storage("ff15::7"), room, 128)

    group, us = socket.inet_aton("239.1.2.3"), socket.inet_aton(US4)
    first, second = socket.inet_aton("10.1.1.1"), socket.inet_aton("10.1.1.2")
    for s in (socket4(), socket.socket(socket.AF_INET, socket.SOCK_RAW, 253)):
        expect(v4(s), "EADDRNOTAVAIL")
        s.setsockopt(IP, 35, group + us)
        expect(v4(s), (0, 0, []))
        for source in (first, second):
            # IP_BLOCK_SOURCE.
            s.setsockopt(IP, 38, group + us + source)
        told, number, listed = v4(s)
        expect((told, number, sorted(listed)), (0, 2, [first, second]))
        # Room for one: one of two.
        told, number, (one,) = v4(s, 1)
        expect((told, number, one in (first, second)), (0, 2, True))
        s.setsockopt(IP, 36, group + us)
        s.setsockopt(IP, 39, group + us + first)
        expect(v4(s, 1), (1, 1, [first]))
    s = socket6()
    expect(v6(s), "EADDRNOTAVAIL")
    # MCAST_JOIN_SOURCE_GROUP.
    s.setsockopt(IPV6, 46, struct.pack("=Ixxxx", link) + storage("ff15::7") + storage("2001:db8::5"))
    told, number, listed = v6(s)
    expect((told, number, listed[0][:24]), (1, 1, storage("2001:db8::5")[:24]))

globals()[sys.argv[1]](Talk())
