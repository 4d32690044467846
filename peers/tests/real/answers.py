# What calls say on sockets in odd places, a line each. What it prints is the same on each stack that does as Linux does. Arguments: the function, and
# addresses: own ones and the other side's, of IPv4 and of IPv6; each is called by its name in what is printed.
import errno, os, select, socket, struct, sys
from socket import AF_INET, AF_INET6, SOCK_DGRAM, SOCK_RAW, SOCK_STREAM

check, own, other, own6, other6 = sys.argv[1:6]
NAMES = {own: "OWN", other: "OTHER", own6: "OWN6", other6: "OTHER6"}
IP, IPV6, SOL, TCP = 0, 41, 1, 6
UNKNOWN, ERRQUEUE, DONTWAIT, MORE = 253, 0x2000, 0x40, 0x8000
NOBODY = 65534
SETTINGS = ["core/rmem_default", "core/rmem_max", "core/somaxconn", "core/wmem_default", "core/wmem_max"]
SETTINGS += ["ipv4/" + name for name in "ip_default_ttl ip_forward ip_local_port_range ip_nonlocal_bind ip_unprivileged_port_start ping_group_range".split()]
SETTINGS += ["ipv4/tcp_" + name for name in "allowed_congestion_control available_congestion_control congestion_control ecn fastopen fin_timeout".split()]
SETTINGS += ["ipv4/tcp_" + name for name in "keepalive_intvl keepalive_probes keepalive_time sack syn_retries syncookies timestamps window_scaling".split()]
SETTINGS += ["ipv6/" + name for name in "bindv6only conf/all/disable_ipv6 conf/all/forwarding ip_nonlocal_bind".split()]
PING4 = struct.pack("!BBHHH", 8, 0, 0, 0, 1)
PING6 = struct.pack("!BBHHH", 128, 0, 0, 0, 1)


def attempt(call, *arguments):
    try:
        return call(*arguments)
    except OSError as e:
        return errno.errorcode.get(e.errno, str(e))


def named(value):
    """Addresses by their names; ports and labels that were chosen by none."""
    if isinstance(value, tuple) and value and isinstance(value[0], str):
        address = value[0]
        for real, name in sorted(NAMES.items(), key=lambda item: -len(item[0])):
            if address in (real, "::ffff:" + real):
                address = address.replace(real, name)
        label = ["a label" if flow not in (0, 0x12345) else flow for flow in value[2:3]]
        return (address, "chosen" if value[1] >= 32768 else value[1], *label, *value[3:])
    return value


def say(*words):
    print(*[NAMES.get(word, named(word)) if isinstance(word, (str, tuple)) else word for word in words], flush=True)


def mapped_addresses_on_sockets_of_ipv6_alone():
    addresses = ["127.0.0.1", own, other, "0.0.0.0", "203.0.113.1", "224.0.0.1", "255.255.255.255"]
    for protocol in (UNKNOWN, 58):
        raw = lambda: socket.socket(AF_INET6, SOCK_RAW, protocol)
        for v4 in addresses:
            to = ("::ffff:" + v4, 0)
            say("raw", protocol, v4, attempt(raw().connect, to), attempt(raw().sendto, bytes(40), to), attempt(raw().bind, to))
        for port in (0, 7):
            s = raw()
            s.connect(("::ffff:127.0.0.1", port))
            say("connected", port, s.getsockname(), attempt(s.getpeername), attempt(s.send, bytes(8)), attempt(s.getsockopt, IPV6, 24))
            say("then", attempt(s.sendto, bytes(8), ("::1", 0)), attempt(s.bind, ("::1", 0)), attempt(s.connect, ("::1", 0)), s.getsockname())
        s = raw()
        s.bind((own6, 0))
        say("bound", attempt(s.connect, ("::ffff:" + other, 0)), s.getsockname())
    ping = lambda: socket.socket(AF_INET6, SOCK_DGRAM, 58)
    for v4 in addresses:
        to = ("::ffff:" + v4, 0)
        say("echo", v4, attempt(ping().connect, to), attempt(ping().sendto, PING6, to), attempt(ping().bind, to))
    link = socket.if_nametoindex("veth0")
    for address, scope in [("ff02::1", 0), ("ff02::1", link), ("ff15::1", 0), ("ff01::1", link), ("fe80::77", 0), ("fe80::77", link), ("2001:db8::1", 0), ("::", 0), (own6, 0)]:
        say("echo bound to", address, scope != 0, attempt(ping().bind, (address, 0, 0, scope)), attempt(ping().connect, (address, 0, 0, scope)))
    for address in ("224.0.0.1", "255.255.255.255", "127.255.255.255", "0.0.0.0", "127.9.9.9", own):
        s = socket.socket(AF_INET, SOCK_DGRAM, 1)
        say("echo of IPv4 bound to", address, attempt(s.bind, (address, 0)))


def who_can_be_connected_to():
    for address in ("127.255.255.255", "10.9.0.255", "255.255.255.255", "0.0.0.0", "127.0.0.0", "127.9.9.9", "224.0.0.1"):
        for family, name in ((AF_INET, address), (AF_INET6, "::ffff:" + address)):
            for allowed in (0, 1):
                stream, datagram, sender = [socket.socket(family, kind) for kind in (SOCK_STREAM, SOCK_DGRAM, SOCK_DGRAM)]
                for s in (stream, datagram, sender):
                    s.setsockopt(SOL, socket.SO_BROADCAST, allowed)
                say(name, allowed, attempt(stream.connect, (name, 9)), attempt(datagram.connect, (name, 9)), attempt(datagram.getsockname), attempt(sender.sendto, b"x", (name, 9)))
        say("bound to", address, *[attempt(socket.socket(AF_INET, kind).bind, (address, 0)) for kind in (SOCK_STREAM, SOCK_DGRAM)])
    # Whoever listens to everybody on the loopback hears it, and answers from himself.
    hears, all, one, sender = [socket.socket(AF_INET, SOCK_DGRAM) for _ in range(4)]
    hears.bind(("127.255.255.255", 0))
    port = hears.getsockname()[1]
    for s, address in ((all, "0.0.0.0"), (one, "127.0.0.1")):
        s.setsockopt(SOL, socket.SO_REUSEADDR, 1)
        say("beside", attempt(s.bind, (address, port)))
    sender.setsockopt(SOL, socket.SO_BROADCAST, 1)
    sender.sendto(b"to all", ("127.255.255.255", port))
    hears.settimeout(20)
    say("heard", *hears.recvfrom(100), attempt(hears.sendto, b"x", ("127.0.0.1", 9)))
    one.setblocking(False)
    say("not heard", attempt(one.recv, 100))


def parts(list):
    """Control messages; of what is random it says that it is there."""
    said = []
    for level, kind, data in list:
        if (level, kind) == (IPV6, 11):
            data = b"class and label" if struct.unpack("!I", data)[0] >> 28 == 0 and data[1:] != bytes(3) else data
        # RFC 1122, 3.2.2: errors have no type of service; Linux gives them a precedence.
        if (level, kind) == (IP, 1):
            data = b"class"
        for real, family in ((own, AF_INET), (other, AF_INET), (own6, AF_INET6), (other6, AF_INET6)):
            data = data.replace(socket.inet_pton(family, real), NAMES[real].encode())
        said.append((level, kind, data))
    return said


def what_comes_with_errors():
    def ask(s):
        s.settimeout(20)
        for name in (2, 8, 12, 13, 6, 7, 25):
            attempt(s.setsockopt, IP, name, 1)
        s.setsockopt(IP, 11, 1)
        if s.family == AF_INET6:
            for name in (25, 11, 33, 49, 51, 53, 56, 58, 66, 77):
                s.setsockopt(IPV6, name, 1)
        return s

    def told(s):
        poll = select.poll()
        poll.register(s, 0)
        poll.poll(20_000)
        data, list, flags, whom = s.recvmsg(100, 2000, ERRQUEUE)
        say("told", data, flags, named(whom), *parts(list))

    for family, to in ((AF_INET, "127.0.0.1"), (AF_INET, other), (AF_INET6, "::1"), (AF_INET6, other6), (AF_INET6, "::ffff:127.0.0.1"), (AF_INET6, "::ffff:" + other)):
        say("refused by", to.replace(other, "OTHER"))
        s = ask(socket.socket(family, SOCK_DGRAM))
        s.sendto(b"x", (to, 9))
        told(s)
    # What this host itself refuses comes with nothing.
    for family, level, name, to in ((AF_INET, IP, 10, other), (AF_INET6, IPV6, 23, other6)):
        s = ask(socket.socket(family, SOCK_DGRAM))
        s.setsockopt(level, name, 2)
        say("too long", attempt(s.sendto, bytes(3000), (to, 9)))
        told(s)
    # A label of the program's goes there, and is told of where.
    s = ask(socket.socket(AF_INET6, SOCK_DGRAM))
    request = socket.inet_pton(AF_INET6, other6) + struct.pack("!I", 0x12345) + struct.pack("=BBHHHI", 0, 255, 1, 0, 0, 0)
    s.setsockopt(IPV6, 32, request)
    s.sendto(b"labelled", (other6, 9, 0x12345, 0))
    told(s)


def what_no_packet_can_hold():
    def after(s):
        try:
            data, list, flags, whom = s.recvmsg(3, 1000, ERRQUEUE | DONTWAIT)
        except OSError as e:
            return errno.errorcode[e.errno]
        return data, named(whom), *parts(list)

    for asked in (0, 1):
        for size in (65508, 65515, 65516, 65527, 65528, 65535, 65536, 70000):
            for to in ("127.0.0.1", other):
                for kind, protocol in ((SOCK_DGRAM, 0), (SOCK_DGRAM, 136), (SOCK_RAW, UNKNOWN), (SOCK_DGRAM, 1)):
                    if kind == SOCK_RAW and size < 65516 or protocol == 1 and size < 65516:
                        continue
                    s = socket.socket(AF_INET, kind, protocol)
                    s.setsockopt(IP, 11, asked)
                    s.setsockopt(SOL, socket.SO_SNDBUF, 1_000_000)
                    data = (PING4 + bytes(size))[:size] if protocol == 1 else bytes(size)
                    say(asked, size, to, kind, protocol, attempt(s.sendto, data, (to, 9)), after(s), s.getsockopt(SOL, 4))
            s = socket.socket(AF_INET6, SOCK_DGRAM)
            for level, name in ((IP, 11), (IPV6, 25)):
                s.setsockopt(level, name, asked)
            s.setsockopt(SOL, socket.SO_SNDBUF, 1_000_000)
            say(asked, size, "mapped", attempt(s.sendto, bytes(size), ("::ffff:" + other, 9)), after(s))
        s = socket.socket(AF_INET, SOCK_DGRAM)
        s.setsockopt(IP, 11, asked)
        s.setsockopt(SOL, socket.SO_SNDBUF, 1_000_000)
        s.connect((other, 9))
        say("in pieces", attempt(s.send, bytes(40_000), MORE), attempt(s.send, bytes(40_000)), after(s))


def only_neighbours_are_connected_to():
    for kind, protocol in ((SOCK_DGRAM, 0), (SOCK_RAW, UNKNOWN), (SOCK_DGRAM, 1)):
        for to in ("203.0.113.1", other, own, "127.0.0.1"):
            before, after = [socket.socket(AF_INET, kind, protocol) for _ in range(2)]
            before.setsockopt(SOL, socket.SO_DONTROUTE, 1)
            say(kind, protocol, to, attempt(before.connect, (to, 9)), attempt(before.getpeername))
            say("later", attempt(after.connect, (to, 9)))
            after.setsockopt(SOL, socket.SO_DONTROUTE, 1)
            say("then", attempt(after.send, PING4))


def what_goes_along():
    def send(s, to, level, kind, data):
        return attempt(s.sendmsg, [PING4 if s.family == AF_INET else PING6], [(level, kind, data)], 0, to)

    for family, to in ((AF_INET, (other, 9)), (AF_INET6, (other6, 9))):
        for kind, protocol in ((SOCK_DGRAM, 0), (SOCK_DGRAM, 1 if family == AF_INET else 58)):
            for user in (0, NOBODY):
                os.seteuid(user)
                for value in (-1, 0, 3, 6, 7, 100):
                    s = socket.socket(family, kind, protocol)
                    data = struct.pack("q", value)
                    say("priority", user, value, *[send(s, to, SOL, 12, data[:length]) for length in (1, 2, 4, 8)])
                os.seteuid(0)
        for value in (-2, -1, 0, 1, 255, 256):
            s = socket.socket(family, SOCK_DGRAM)
            level, name = (IP, 1) if family == AF_INET else (IPV6, 67)
            say("class", value, send(s, to, level, name, struct.pack("i", value)))
    s = socket.socket(17, SOCK_DGRAM)
    to = ("veth0", 0x88B5, 0, 0, b"\2\0\0\0\0\1")
    for value in (-1, 3, 7):
        say("of a frame", value, attempt(s.sendmsg, [bytes(46)], [(SOL, 12, struct.pack("i", value))], 0, to))


def names_of_peers():
    PEERNAME, NO_CHECK = 28, 11

    def name(s, *lengths):
        def shown(length):
            told = attempt(s.getsockopt, SOL, PEERNAME, length)
            # Which port it has, is each stack's own.
            return told if isinstance(told, str) else (told[:2] + b"--" + told[4:])[:len(told)]

        return [shown(length) for length in lengths]

    for family, at in ((AF_INET, "127.0.0.1"), (AF_INET6, "::1")):
        listener = socket.socket(family, SOCK_STREAM)
        listener.bind((at, 0))
        listener.listen()
        client = socket.socket(family, SOCK_STREAM)
        say("fresh", *name(client, 1, 16), "listening", *name(listener, 16))
        client.connect(listener.getsockname())
        server, _ = listener.accept()
        assert client.getsockopt(SOL, PEERNAME, 16)[2:4] == struct.pack("!H", listener.getsockname()[1])
        assert server.getsockopt(SOL, PEERNAME, 16)[2:4] == struct.pack("!H", client.getsockname()[1])
        for s in (client, server):
            say("connected", *name(s, 1, 2, 8, 15, 16, 17, 27, 28, 29, 128))
        say("set", attempt(client.setsockopt, SOL, PEERNAME, bytes(16)))
        datagram, raw = socket.socket(family, SOCK_DGRAM), socket.socket(family, SOCK_RAW, UNKNOWN)
        say("others", *name(datagram, 8), *name(raw, 8))
        for s, port in ((datagram, 9), (raw, 0), (raw, 9)):
            s.connect((at, port))
            say("others connected", *name(s, 8, 16, 17, 28, 29))
    frames = socket.socket(17, SOCK_RAW, 0)
    say("frames", *name(frames, 8))
    for family, kind, protocol in ((AF_INET, SOCK_STREAM, 0), (AF_INET6, SOCK_STREAM, 0), (AF_INET, SOCK_DGRAM, 0), (AF_INET, SOCK_RAW, UNKNOWN), (AF_INET6, SOCK_RAW, UNKNOWN), (AF_INET, SOCK_DGRAM, 1), (17, SOCK_RAW, 0)):
        s = socket.socket(family, kind, protocol)
        said = [s.getsockopt(SOL, NO_CHECK)]
        for value in (1, 0, 5, -1):
            said += [attempt(s.setsockopt, SOL, NO_CHECK, value), s.getsockopt(SOL, NO_CHECK)]
        say("without checksums", family, kind, protocol, *said, attempt(s.setsockopt, SOL, NO_CHECK, b"\1"))


def files_about_the_net():
    def count():
        for file in ("/proc/net/sockstat", "/proc/net/sockstat6"):
            for line in open(file):
                words = line.split()
                # Memory is counted otherwise, and streams that others have left behind.
                if words[0] not in ("sockets:", "TCP:", "TCP6:", "FRAG:", "FRAG6:"):
                    say(*words[:3])

    count()
    kept = [socket.socket(AF_INET, SOCK_DGRAM, 1), socket.socket(AF_INET6, SOCK_DGRAM, 58), socket.socket(AF_INET, SOCK_RAW, 1), socket.socket(AF_INET6, SOCK_RAW, 58), socket.socket(AF_INET6, SOCK_RAW, UNKNOWN)]
    count()
    kept[0].bind(("127.0.0.1", 0))
    kept[1].bind(("::1", 0))
    more = [socket.socket(family, SOCK_DGRAM, protocol) for family, protocol in ((AF_INET, 0), (AF_INET6, 0), (AF_INET, 136), (AF_INET6, 136))]
    count()
    for s in more:
        s.bind(("", 0))
    count()
    group = socket.socket(AF_INET6, SOCK_DGRAM)
    for address, name in (("ff15::7", "lo"), ("ff01::7", "veth0"), ("ff01::8", "lo")):
        group.setsockopt(IPV6, 20, socket.inet_pton(AF_INET6, address) + struct.pack("I", socket.if_nametoindex(name)))
    for line in sorted(line.split() for line in open("/proc/net/igmp6")):
        # Those of an address end as it does, and one of the link's is drawn by chance.
        if line[2].startswith(("ff01", "ff15")) or line[2].endswith("1") and "0001ff" not in line[2]:
            say(*line[1:5])
    for name in SETTINGS:
        text = open("/proc/sys/net/" + name).read()
        # What they say is each stack's own, but for these.
        same = text if name in ("core/somaxconn", "core/wmem_default", "ipv4/ip_local_port_range", "ipv4/ping_group_range", "ipv4/tcp_sack", "ipv4/ip_default_ttl") else ""
        say(name, len(text.split()) if "allowed" not in name and "available" not in name else "", text[-1:] == "\n", os.path.exists("/proc/sys/net/" + name), same.split())


globals()[check]()
