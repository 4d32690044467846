# The kernel's side of options.py: it tells what it sees on its link, sends what it is asked to, and echoes.
import select, socket, struct, sys, threading, time

IP, IPV6 = 0, 41
interface = sys.argv[1]

def echo(listener):
    while True:
        s, _ = listener.accept()
        def serve(s=s):
            while data := s.recv(65536):
                s.sendall(data)
            s.close()
        threading.Thread(target=serve, daemon=True).start()

def read(packet):
    # What of an IP packet is asked for: its words, its source port, its bytes of transport, whether it is the first piece.
    if packet[0] >> 4 == 4:
        header = (packet[0] & 15) * 4
        total, fragment = struct.unpack("!HxxH", packet[2:8])
        df, offset = fragment >> 14 & 1, (fragment & 0x1fff) * 8
        words = {"df": df, "ttl": packet[8], "tos": packet[1], "options": packet[20:header].hex(),
                 "from": socket.inet_ntoa(packet[12:16])}
        return words, packet[9], packet[header:total], offset, total
    first, payload, protocol, hops = struct.unpack("!IHBB", packet[:8])
    words = {"hops": hops, "class": first >> 20 & 255, "label": first & 0xfffff, "destination": "",
             "from": socket.inet_ntop(socket.AF_INET6, packet[8:24])}
    rest, offset = packet[40:40 + payload], 0
    while protocol in (0, 43, 44, 60):
        length = 8 if protocol == 44 else rest[1] * 8 + 8
        if protocol == 60:
            words["destination"] = rest[1:length].hex()
        if protocol == 44:
            offset = struct.unpack("!H", rest[2:4])[0] & 0xfff8
        protocol, rest = rest[0], rest[length:]
    return words, protocol, rest, offset, 40 + payload

def waiting(link):
    # What has come in by now.
    link.setblocking(False)
    try:
        while True:
            packet, address = link.recvfrom(1 << 17)
            if address[2] != socket.PACKET_OUTGOING and address[1] in (0x0800, 0x86dd):
                yield read(packet)
    except BlockingIOError:
        pass

class Watch:
    def __init__(self, port):
        self.port = port
        self.link = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))
        self.link.bind((interface, 3))

    def packets(self):
        while True:
            packet, address = self.link.recvfrom(65536)
            # Only what comes in.
            if address[2] == socket.PACKET_OUTGOING or address[1] not in (0x0800, 0x86dd):
                continue
            yield read(packet)

    def packet(self):
        # The first datagram of the port, as it came.
        while True:
            packet, address = self.link.recvfrom(65536)
            if address[1] not in (0x0800, 0x86dd):
                continue
            words, protocol, rest, _, size = read(packet)
            if protocol == 17 and struct.unpack("!H", rest[:2])[0] == self.port:
                return packet[:size]

    def seen(self):
        # The first datagram of the port, in all its pieces: how it went, and how long the pieces were.
        sizes, told, have = [], None, 0
        for words, protocol, rest, offset, size in self.packets():
            if protocol != 17 or offset == 0 and struct.unpack("!H", rest[:2])[0] != self.port:
                continue
            if offset == 0:
                told, wanted = words, struct.unpack("!H", rest[4:6])[0]
            if told:
                sizes.append(size)
                have += len(rest)
            if told and have >= wanted:
                break
        if "df" in told:
            how = "df %(df)d ttl %(ttl)d tos %(tos)d from %(from)s" % told
        else:
            how = "hops %(hops)d class %(class)d label %(label)d from %(from)s" % told
        return ";".join([how] + [str(size) for size in sizes if len(sizes) > 1])

    def flow(self, datagrams):
        # Of all packets of the port, of which so many datagrams are waited for: their labels, the longest one's length, and the checksums of datagrams.
        labels, longest, sums = set(), 0, []
        while True:
            for words, protocol, rest, offset, size in waiting(self.link):
                if protocol in (6, 17) and offset == 0 and struct.unpack("!H", rest[:2])[0] == self.port:
                    labels.add(words.get("label", 0))
                    longest = max(longest, size)
                    if protocol == 17:
                        sums.append(rest[6:8].hex())
            if len(sums) >= datagrams:
                break
            select.select([self.link], [], [])
        return " ".join(map(str, [",".join(map(str, labels)), longest, *sums]))

    def all(self):
        # Of all segments of the port that have bytes, and the first: they must be alike.
        told = set()
        for words, protocol, rest, offset, size in waiting(self.link):
            if protocol != 6 or struct.unpack("!H", rest[:2])[0] != self.port:
                continue
            header, flags = (rest[12] >> 4) * 4, rest[13]
            if flags & 2 == 0 and len(rest) == header:
                continue
            if "df" in words:
                told.add("df %(df)d ttl %(ttl)d options %(options)s" % words)
            else:
                told.add("hops %(hops)d class %(class)d destination %(destination)s" % words)
        return " / ".join(sorted(told))

def address_family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET

class Conversation:
    def __init__(self):
        self.watches, self.callers = {}, []

    def watch(self, port):
        self.watches[port] = Watch(int(port))
        return "ready"

    def seen(self, port):
        return self.watches.pop(port).seen()

    def all(self, port):
        return self.watches.pop(port).all()

    def own(self):
        # An address of the link, once it is known to be nobody else's.
        while True:
            rows = [line.split() for line in open("/proc/net/if_inet6")]
            for row in rows:
                if row[5] == interface and row[0].startswith("fe80") and int(row[4], 16) & 0x40 == 0:
                    return socket.inet_ntop(socket.AF_INET6, bytes.fromhex(row[0]))
            time.sleep(0.01)

    def flow(self, port, datagrams=0):
        return self.watches.pop(port).flow(int(datagrams))

    def send(self, to, port, size, *without_sum):
        s = socket.socket(address_family(to), socket.SOCK_DGRAM)
        if without_sum:
            # UDP_NO_CHECK6_TX.
            s.setsockopt(17, 101, 1)
        s.sendto(b"z" * int(size), (to, int(port)))
        return "sent"

    def options(self, to, port, options):
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.setsockopt(IP, socket.IP_OPTIONS, bytes.fromhex(options))
        s.sendto(b"z", (to, int(port)))
        return "sent"

    def complain(self, port, checksum):
        # A port unreachable about the datagram that is watched for, with an object behind it (RFC 4884).
        packet = self.watches.pop(port).packet()
        objects = bytes([0x20, 0]) + int(checksum, 16).to_bytes(2, "big") + bytes([0, 8, 1, 1, 0xab, 0xcd, 0xe1, 0x40])
        quoted = packet.ljust(128, b"\0") + objects
        if packet[0] >> 4 == 4:
            message = bytes([3, 3, 0, 0, 0, 32, 0, 0]) + quoted
            total = sum(struct.unpack("!%dH" % (len(message) // 2), message))
            while total >> 16:
                total = (total & 0xffff) + (total >> 16)
            message = message[:2] + struct.pack("!H", ~total & 0xffff) + message[4:]
            raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
            raw.sendto(message, (socket.inet_ntoa(packet[12:16]), 0))
        else:
            raw = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
            raw.sendto(bytes([1, 4, 0, 0, 16, 0, 0, 0]) + quoted, (socket.inet_ntop(socket.AF_INET6, packet[8:24]), 0))
        return "complained"

    def connect(self, to, port, hops):
        s = socket.socket(address_family(to), socket.SOCK_STREAM)
        if ":" in to:
            s.setsockopt(IPV6, socket.IPV6_UNICAST_HOPS, int(hops))
        else:
            s.setsockopt(IP, socket.IP_TTL, int(hops))
        s.setblocking(False)
        s.connect_ex((to, int(port)))
        self.callers.append(s)
        return "calling"

    def connected(self):
        def is_connected(s):
            try:
                return "yes" if s.getpeername() else "no"
            except OSError:
                return "no"
        return " ".join(is_connected(s) for s in self.callers)

    def hears(self):
        self.callers[-1].setblocking(True)
        return self.callers[-1].recv(100).decode()

    def forget(self):
        self.callers.clear()
        return "gone"

for family, any_address in [(socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")]:
    listener = socket.socket(family, socket.SOCK_STREAM)
    if family == socket.AF_INET6:
        listener.setsockopt(IPV6, socket.IPV6_V6ONLY, 1)
    listener.bind((any_address, 7001))
    listener.listen()
    threading.Thread(target=echo, args=(listener,), daemon=True).start()
    for port in (7001, 7002):
        sink = socket.socket(family, socket.SOCK_DGRAM)
        if family == socket.AF_INET6:
            sink.setsockopt(IPV6, socket.IPV6_V6ONLY, 1)
        sink.bind((any_address, port))
        globals()["sink%d%d" % (family, port)] = sink
control = socket.create_server(("0.0.0.0", 7000))
while True:
    lines = control.accept()[0].makefile("rw")
    conversation = Conversation()
    for line in lines:
        word, *rest = line.split()
        print(getattr(conversation, word)(*rest), file=lines, flush=True)
