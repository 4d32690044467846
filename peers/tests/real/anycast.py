# IPV6_JOIN_ANYCAST and IPV6_LEAVE_ANYCAST. `table OWN INTERFACE`: who may join what, and the files that tell of it; it prints the same on each stack that does as
# Linux does. `serve`: a program on the subject that has joined an address, and answers what comes. `ask SUBJECT SHARED INTERFACE`: the peer, who looks at the
# answers and at the link.
import errno, os, socket, struct, sys

IPV6, JOIN, LEAVE, PKTINFO, RECVPKTINFO = 41, 27, 28, 50, 49
PORT = 7500

def address(text):
    return socket.inet_pton(socket.AF_INET6, text)

def change(s, option, text, index=0, cut=None):
    try:
        s.setsockopt(IPV6, option, (address(text) + struct.pack("I", index))[:cut])
    except OSError as e:
        return errno.errorcode[e.errno]
    return "ok"

def read(name):
    with open("/proc/net/" + name) as file:
        return file.read().split("\n")[:-1]

def table(own, interface):
    here = socket.if_nametoindex(interface)
    def shown():
        rows = read("anycast6")
        assert all(row.startswith("%-4d %-15s " % (here, interface)) for row in rows), rows
        print(*(row[21:] for row in rows), sep="\n")
        groups = [row.split() for row in read("igmp6") if row.split()[1] == interface]
        print("asked for", *sorted((group, users) for _, _, group, users, *_ in groups if group.startswith("ff0200000000000000000001ff0a")))
        routes = [row.split() for row in read("ipv6_route")]
        print("routes", *sorted((to, length, metric, flags) for to, length, _, _, _, metric, _, _, flags, name in routes if int(flags, 16) & 0x100000 and name == interface))
    for kind, protocol in ((socket.SOCK_DGRAM, 0), (socket.SOCK_STREAM, 0), (socket.SOCK_RAW, 253)):
        s, other = (socket.socket(socket.AF_INET6, kind, protocol) for _ in range(2))
        print("kind", int(kind))
        for text, indices in [("fd09::a:1", (0, 0, here, here + 7, 1)), ("fd09::a:2", (here,)), (own, (0, here, 1)), ("::1", (0, 1)), ("fd77::1", (0, here)), ("ff02::5", (0, here)),
                              ("::", (0, here)), ("::ffff:10.9.0.7", (0, here))]:
            print("join", text if text != own else "own", *(change(s, JOIN, text, index) for index in indices))
        print("another", change(other, JOIN, "fd09::a:1"))
        shown()
        for text, indices in [("fd09::a:1", (here + 7, 1, 0, here, here, 0)), ("fd09::a:3", (0,)), ("ff02::5", (0,))]:
            print("leave", text, *(change(s, LEAVE, text, index) for index in indices))
        print("short", *(change(s, option, "fd09::a:4", 0, cut) for option in (JOIN, LEAVE) for cut in (0, 4, 16, 19)))
        shown()
        os.seteuid(65534)
        print("nobody", change(s, JOIN, "fd09::a:5"), change(s, JOIN, "ff02::5"), change(s, LEAVE, "fd09::a:2"), change(s, LEAVE, "fd09::a:2"))
        os.seteuid(0)
        s.close()
        other.close()
        shown()
    four = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    print("of IPv4", change(four, JOIN, "fd09::a:1"), change(four, LEAVE, "fd09::a:1"))

def serve():
    shared, s, listener = socket.socket(socket.AF_INET6), socket.socket(socket.AF_INET6, socket.SOCK_DGRAM), socket.socket(socket.AF_INET6)
    assert change(shared, JOIN, "fd09::a:1") == "ok"
    s.setsockopt(IPV6, RECVPKTINFO, 1)
    s.bind(("::", PORT))
    listener.bind(("::", PORT))
    listener.listen()
    other = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    try:
        other.bind(("fd09::a:1", 0))
        raise AssertionError("bound")
    except OSError as e:
        assert e.errno == errno.EADDRNOTAVAIL
    # The host is one of those who have it.
    other.sendto(b"myself", ("fd09::a:1", PORT))
    data, _, _, whom = s.recvmsg(100, 100)
    assert data == b"myself" and whom[0] not in ("::1", "fd09::a:1"), (data, whom)
    print("ready", flush=True)
    while True:
        data, ((_, _, info),), _, whom = s.recvmsg(100, 100)
        if data == b"leave":
            shared.close()
        s.sendto(b"plain " + data, whom)
        if info[:16] == address("fd09::a:1"):
            # Only if it says so it speaks from there.
            s.sendmsg([b"from there"], [(IPV6, PKTINFO, info[:16] + bytes(4))], 0, whom)

def advertised(link, target):
    """The next advertisement of an address that answers a question: from whom, and its flags."""
    while True:
        packet, origin = link.recvfrom(2000)
        if origin[2] == socket.PACKET_HOST and packet[6] == 58 and packet[40] == 136 and packet[48:64] == address(target):
            return socket.inet_ntop(socket.AF_INET6, packet[8:24]), packet[44] >> 5

def ask(subject, shared, interface):
    link = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x86dd))
    link.bind((interface, 0x86dd))
    link.settimeout(30)
    s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    s.settimeout(30)

    def answers(data, to, count):
        s.sendto(data, (to, PORT))
        return sorted((said, whom[0]) for said, whom in (s.recvfrom(100) for _ in range(count)))

    # Solicited; of an address of its own it overrides what others said, of a shared one it does not.
    assert answers(b"own", subject, 1) == [(b"plain own", subject)]
    assert advertised(link, subject) == (subject, 0b011)
    assert answers(b"shared", shared, 2) == [(b"from there", shared), (b"plain shared", subject)]
    assert advertised(link, shared) == (subject, 0b010)
    # A ping is answered from an address of its own.
    raw = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
    raw.settimeout(30)
    raw.setsockopt(socket.IPPROTO_ICMPV6, 1, b"".join(struct.pack("I", 0xffffffff ^ (1 << 129 % 32 if word == 4 else 0)) for word in range(8)))
    raw.sendto(struct.pack("!BBHHH", 128, 0, 0, 4711, 1), (shared, 0))
    reply, whom = raw.recvfrom(100)
    assert (reply[4:6], whom[0]) == (struct.pack("!H", 4711), subject), (reply, whom)
    # Nobody connects to several.
    connecting = socket.socket(socket.AF_INET6)
    connecting.setblocking(False)
    connecting.connect_ex((shared, PORT))
    # It is said before anything else is.
    assert answers(b"still", shared, 2)[1] == (b"plain still", subject)
    assert connecting.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
    try:
        connecting.getpeername()
        raise AssertionError("connected")
    except OSError as e:
        assert e.errno == errno.ENOTCONN
    # What was left is not its any more: this is known of the neighbour yet.
    assert answers(b"leave", subject, 1) == [(b"plain leave", subject)]
    s.sendto(b"gone", (shared, PORT))
    assert answers(b"end", subject, 1) == [(b"plain end", subject)]

globals()[sys.argv[1]](*sys.argv[2:])
