# Sends a node what no program of its own would send. Argument: the path of the control socket.
import array, os, random, socket, sys

path = sys.argv[1]
chance = random.Random(1)


def connect(patience=30):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    s.settimeout(patience)
    s.connect(path)
    return s


def send(s, data, fds=()):
    try:
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        s.sendmsg([data], ancillary, socket.MSG_DONTWAIT)
    except OSError:
        return False
    return True


# Random messages of every length, the first bytes likely enough to be taken for a request.
for length in list(range(0, 130)) + [1000, 4096, 65535, 100000]:
    s = connect()
    for _ in range(4):
        head = bytes([chance.randrange(4), chance.randrange(24)])
        if not send(s, (head + chance.randbytes(length))[:length]):
            break
    s.close()

# Each kind of request, cut short and filled with the extremes.
for kind in range(32):
    for filler in (b"\x00", b"\xff"):
        for length in (0, 1, 7, 16, 40, 200):
            s = connect()
            for version in (0, 1, 2):
                send(s, bytes([version, kind]) + filler * length)
            s.close()

# Descriptors that nobody asked for, many at once.
s = connect()
null = os.open("/dev/null", os.O_RDWR)
for _ in range(50):
    if not send(s, b"\x01\x04" + bytes(40), [null] * 200):
        s.close()
        s = connect()
s.close()

# Requests without a reader for the replies.
s = connect()
while send(s, b"\x01\x0d\x00\x00" * 2):
    pass

# The wrong kind of socket.
stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
try:
    stream.connect(path)
except OSError:
    pass

# Many that say nothing. The node may refuse some; it has to serve others still.
silent = []
try:
    for _ in range(2000):
        silent.append(connect(0.2))
except OSError:
    pass
