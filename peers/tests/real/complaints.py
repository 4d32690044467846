# What programs hear of each ICMP error. Arguments: an address beyond the router, and the types and codes to ask for, as `type.code`.
# The port that is spoken to says which error the router is to send about it; after the error it answers.
import errno, select, socket, struct, sys

far, *wanted = sys.argv[1:]
V6 = ":" in far
FAMILY = socket.AF_INET6 if V6 else socket.AF_INET
LEVEL, RECVERR = (socket.IPPROTO_IPV6, 25) if V6 else (socket.IPPROTO_IP, 11)


def name(number):
    return errno.errorcode.get(number, "nothing")


def errors(s):
    """All that the queue of errors has: errno, origin, type, code."""
    found = []
    s.setblocking(False)
    while True:
        try:
            _, control, _, _ = s.recvmsg(2000, 500, socket.MSG_ERRQUEUE)
        except BlockingIOError:
            return found
        found += [struct.unpack("=IBBBB", data[:8])[:4] for level, kind, data in control if (level, kind) == (LEVEL, RECVERR)]


def datagram(port, asks, connects):
    s = socket.socket(FAMILY, socket.SOCK_DGRAM)
    s.settimeout(30)
    s.setsockopt(LEVEL, RECVERR, asks)
    if connects:
        s.connect((far, port))
        s.send(b"complain")
    else:
        s.sendto(b"complain", (far, port))
    select.select([s], [], [], 30)
    said = []
    while True:
        try:
            assert s.recv(100) == b"answer"
            break
        except OSError as error:
            assert not isinstance(error, TimeoutError), (port, said)
            said.append(name(error.errno))
    pending = name(s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
    return f"says {said}, then {pending}, tells {[(name(number), *rest) for number, *rest in errors(s)]}"


def stream(port):
    s = socket.socket(FAMILY, socket.SOCK_STREAM)
    s.settimeout(30)
    return "says " + name(s.connect_ex((far, port)))


for pair in wanted:
    kind, code = map(int, pair.split("."))
    port = kind << 8 | code
    for how in ((0, True), (1, True), (0, False), (1, False)):
        print(pair, "datagram", *how, datagram(port, *how))
    print(pair, "stream", stream(port))
