# Every number of the levels IPPROTO_IP, IPPROTO_IPV6 and IPPROTO_TCP, and some of SOL_SOCKET and UDP, on each kind of socket: what it is at first, which ints
# and which lengths may be set, what reads back, and what others than root may. And whom each kind takes for a group. What it prints is the same on each stack that does as Linux does.
import errno, os, socket, struct

SOL, IP, IPV6, UDP, TCP = 1, 0, 41, 17, 6
NUMBERS = {SOL: [11, 29, 35], IP: range(82), IPV6: range(82), UDP: [101, 102, 103], TCP: range(50)}
VALUES = [-2, -1, 0, 1, 2, 3, 4, 5, 6, 8, 10, 63, 64, 128, 255, 256, 1279, 1280, 1281, 65535, 65536, 0x7fffffff]
LENGTHS = [0, 1, 2, 3, 5, 8, 12, 16, 20, 24, 32, 40]
KINDS = [("udp4", socket.AF_INET, socket.SOCK_DGRAM, 0), ("udp6", socket.AF_INET6, socket.SOCK_DGRAM, 0),
         ("tcp4", socket.AF_INET, socket.SOCK_STREAM, 0), ("tcp6", socket.AF_INET6, socket.SOCK_STREAM, 0),
         ("raw4", socket.AF_INET, socket.SOCK_RAW, 253), ("raw6", socket.AF_INET6, socket.SOCK_RAW, 253),
         ("all6", socket.AF_INET6, socket.SOCK_RAW, 255)]
NOBODY = 65534

def attempt(call):
    try:
        return call()
    except OSError as e:
        return errno.errorcode[e.errno]

def show(value):
    return value if isinstance(value, str) else value.hex() if len(value) != 4 else str(struct.unpack("i", value)[0])

# What is asked of these stands in the buffer, and python's has anything in it; or it is each host's affair: TCP_INFO, the congestion control, the clock.
QUESTIONS = [(IP, 41), (IP, 48), (IPV6, 48), (IPV6, 32), (TCP, 11), (TCP, 13), (TCP, 24)]

def get(s, level, name, length=4):
    if (level, name) in QUESTIONS:
        return "unasked"
    return show(attempt(lambda: s.getsockopt(level, name, length)))

def put(s, level, name, value):
    return attempt(lambda: s.setsockopt(level, name, value)) or "ok"

def ranges(s, level, name):
    # Values that end alike are told together.
    told, last = [], None
    for value in VALUES:
        # Which numbers interfaces have is each host's affair.
        if (level, name) == (IPV6, 17) and value > 1:
            continue
        result = put(s, level, name, struct.pack("i", value))
        read = get(s, level, name) if result == "ok" else result
        this = "=" if read == str(value) else read
        if this == last:
            told[-1] = told[-1].split("..")[0] + ".." + str(value)
        else:
            told += [this, str(value)]
        last = this
    return " ".join(told)

def table(kind, family, sort, protocol, level, name):
    # Streams and raw packets have no more of these than that a checksum could be left out.
    if (level, name) != (SOL, 11) and level in (SOL, UDP) and sort != socket.SOCK_DGRAM:
        return
    if level == TCP and sort != socket.SOCK_STREAM:
        return
    whole, parts, others = [socket.socket(family, sort, protocol) for _ in range(3)]
    print(kind, level, name, "first", get(whole, level, name), get(whole, level, name, 64))
    print(kind, level, name, "set", ranges(whole, level, name))
    lengths = [(n, put(parts, level, name, bytes([1] + [0] * (n - 1))[:n])) for n in LENGTHS]
    print(kind, level, name, "lengths", " ".join("%d:%s" % pair for pair in lengths), "|",
          " ".join("%d:%s" % (n, get(parts, level, name, n)) for n in (1, 2, 3, 8)))
    os.seteuid(NOBODY)
    print(kind, level, name, "nobody", put(others, level, name, struct.pack("i", 1)))
    os.seteuid(0)
    for s in (whole, parts, others):
        s.close()

# What is another matter on a raw socket whose program makes the headers.
OTHER = {"all6": {IPV6: [7, 22, 36]}}

for kind in KINDS:
    for level, numbers in OTHER.get(kind[0], NUMBERS).items():
        for name in numbers:
            table(*kind, level, name)

# MCAST_* and their like: what is a group, and where, and how long what says so has to be; on streams, too.
def groups(kind, family, sort, protocol, level):
    def storage(address):
        if level == IP:
            return struct.pack("=HH4s120x", socket.AF_INET, 0, socket.inet_aton(address))
        return struct.pack("=HHI16s104x", socket.AF_INET6, 0, 0, socket.inet_pton(socket.AF_INET6, address))
    group, nobody = ("239.1.2.3", "10.0.0.1") if level == IP else ("ff15::7", "2001:db8::1")
    four, here = socket.inet_aton("239.1.2.3"), socket.inet_aton("127.0.0.1")
    for name in (35, 36, 37, 38, 39, 40, 41, *range(42, 49)) if level == IP else (20, 21, *range(42, 49)):
        s = socket.socket(family, sort, protocol)
        told = []
        for index in (1, 99):
            for to in (group, nobody):
                asked = struct.pack("=Ixxxx", index) + storage(to)
                values = [asked, asked + storage(nobody), asked + struct.pack("II", 1, 1) + storage(nobody)]
                told += [put(s, level, name, value) for value in values]
        if level == IP and name < 42:
            for value in (four + here, four + here + socket.inet_aton("10.0.0.1"), four + here + struct.pack("II", 1, 0)):
                told.append(put(s, level, name, value))
        print(kind, level, name, "groups", *told)

for kind in KINDS:
    groups(*kind, IP)
    if kind[1] == socket.AF_INET6:
        groups(*kind, IPV6)
