# What programs hear of each ICMP error. Arguments: an address beyond the router, and the types and codes to ask for, as `type.code`.
# The port that is spoken to says which error the router is to send about it; after the error it answers.
import errno, select, socket, struct, sys

far, *wanted = sys.argv[1:]
V6 = ":" in far
FAMILY = socket.AF_INET6 if V6 else socket.AF_INET
OPEN = 0x8000  # such a port lets connections open
LEVEL, RECVERR = (socket.IPPROTO_IPV6, 25) if V6 else (socket.IPPROTO_IP, 11)


def name(number):
    return errno.errorcode.get(number, "nothing")


def errors(s):
    """All that the queue of errors has: whose packet, how much of it, errno, origin, type, code."""
    found = []
    s.setblocking(False)
    while True:
        try:
            data, control, _, whose = s.recvmsg(2000, 500, socket.MSG_ERRQUEUE)
        except BlockingIOError:
            return found
        for level, kind, said in control:
            if (level, kind) == (LEVEL, RECVERR):
                number, *rest = struct.unpack("=IBBB", said[:7])
                found.append((*whose[:2], len(data), name(number), *rest))


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
    return f"says {said}, then {pending}, tells {errors(s)}"


def stream(port, asks):
    s = socket.socket(FAMILY, socket.SOCK_STREAM)
    s.settimeout(30)
    s.setsockopt(LEVEL, RECVERR, asks)
    said = name(s.connect_ex((far, port)))
    pending = name(s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
    return f"says {said}, then {pending}, tells {errors(s)}"


def open_stream(port, asks):
    """On a connection that stands: what is told, whichever call tells it."""
    s = socket.create_connection((far, OPEN | port), 30)
    s.setsockopt(LEVEL, RECVERR, asks)
    s.send(b"complain")
    select.select([s], [], [], 30)
    told = []
    while True:
        try:
            assert s.recv(100) == b"answer"
            break
        except OSError as error:
            assert not isinstance(error, TimeoutError), (port, told)
            told.append("a call: " + name(error.errno))
    try:
        s.send(b"more")
    except OSError as error:
        told.append("a call: " + name(error.errno))
    if number := s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
        told.append("who asks: " + name(number))
    return told + errors(s)


def open_stream_at_leisure(port, asks):
    """Linux tells nobody at once who is in a call just then, as Linux's own send may be: then it is asked once more."""
    for _ in range(5 if asks else 1):
        if told := open_stream(port, asks):
            break
    return f"tells {told}"


for pair in wanted:
    kind, code = map(int, pair.split("."))
    port = kind << 8 | code
    for how in ((0, True), (1, True), (0, False), (1, False)):
        print(pair, "datagram", *how, datagram(port, *how))
    for asks in (0, 1):
        print(pair, "stream", asks, stream(port, asks))
        print(pair, "open stream", asks, open_stream_at_leisure(port, asks))
