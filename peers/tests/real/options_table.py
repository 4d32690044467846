# Every option of ip(7), ipv6(7), udp(7) and RFC 3542 on each kind of socket: what it is at first, what may be set and reads back, and how
# other lengths and values are refused. What it prints is the same on each stack that does as Linux does.
import errno, os, socket, struct

IP, IPV6, TCP, UDP, SOL = 0, 41, 6, 17, 1
OPTIONS = {
    SOL: {"NO_CHECK": 11, "TIMESTAMP": 29, "TIMESTAMPNS": 35},
    IP: {"TOS": 1, "TTL": 2, "RECVOPTS": 6, "PKTINFO": 8, "RECVTTL": 12, "RECVTOS": 13, "RECVORIGDSTADDR": 20, "BIND_ADDRESS_NO_PORT": 24},
    IPV6: {"2292PKTINFO": 2, "2292HOPOPTS": 3, "2292DSTOPTS": 4, "2292RTHDR": 5, "2292HOPLIMIT": 8, "NEXTHOP": 9, "FLOWINFO": 11,
           "UNICAST_HOPS": 16, "V6ONLY": 26, "FLOWINFO_SEND": 33, "RECVPKTINFO": 49, "RECVHOPLIMIT": 51, "RECVHOPOPTS": 53, "RECVRTHDR": 56,
           "RECVDSTOPTS": 58, "DONTFRAG": 62, "USE_MIN_MTU": 63, "RECVTCLASS": 66, "TCLASS": 67, "RECVORIGDSTADDR": 74},
    UDP: {"NO_CHECK6_TX": 101, "NO_CHECK6_RX": 102, "SEGMENT": 103},
}
VALUES = [-2, -1, 0, 1, 2, 3, 8, 63, 64, 128, 255, 256, 1279, 1280, 65535, 65536, 0x7fffffff]

def attempt(call):
    try:
        return call()
    except OSError as e:
        return errno.errorcode[e.errno]

def show(value):
    return value if isinstance(value, str) else value.hex() if len(value) != 4 else str(struct.unpack("i", value)[0])

def get(s, level, name, length=4):
    return show(attempt(lambda: s.getsockopt(level, name, length)))

def ranges(s, level, name):
    # Values that end alike are told together.
    told = []
    for value in VALUES:
        result = attempt(lambda: s.setsockopt(level, name, struct.pack("i", value))) or "ok"
        read = get(s, level, name) if result == "ok" else ""
        same = "=" if read == str(value) else read
        told.append("%d:%s%s" % (value, "" if result == "ok" else result, same))
    return " ".join(told)

KINDS = [("udp4", socket.AF_INET, socket.SOCK_DGRAM), ("udp6", socket.AF_INET6, socket.SOCK_DGRAM),
         ("tcp4", socket.AF_INET, socket.SOCK_STREAM), ("tcp6", socket.AF_INET6, socket.SOCK_STREAM)]
# What a connection has no use for is set on datagram sockets only.
DATAGRAM = {(SOL, n) for n in (11, 29, 35)} | {(IP, n) for n in (6, 8, 12, 13, 20)} | {
    (IPV6, n) for n in (2, 3, 4, 5, 8, 11, 33, 53, 56, 58, 62, 74)}
for kind, family, sort in KINDS:
    for level, options in OPTIONS.items():
        for option, name in options.items():
            if sort == socket.SOCK_STREAM and (level, name) in DATAGRAM:
                continue
            s = socket.socket(family, sort)
            print(kind, level, option, "first", get(s, level, name))
            print(kind, level, option, "set", ranges(s, level, name))
            t = socket.socket(family, sort)
            short = [(n, attempt(lambda: t.setsockopt(level, name, bytes([1] + [0] * (n - 1))[:n])) or "ok") for n in (0, 1, 2, 3, 5, 8)]
            print(kind, level, option, "lengths", " ".join("%d:%s" % pair for pair in short), "|",
                  " ".join("%d:%s" % (n, get(s, level, name, n)) for n in (1, 2, 3, 8)))
            s.close(); t.close()
