# Datagrams by every call; bounds, truncation, peeking, control messages, errors.
import ctypes, errno, fcntl, os, select, socket, struct

def name(e):
    return errno.errorcode.get(e.errno, e.errno)

def attempt(what, call):
    try:
        print(what, call())
    except OSError as e:
        print(what, name(e))

a = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); a.bind(("127.0.0.1", 7400))
b = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); b.bind(("127.0.0.1", 7401))
A, B = ("127.0.0.1", 7400), ("127.0.0.1", 7401)
print("names", a.getsockname(), b.getsockname())

print("sendto", a.sendto(b"one", B), b.recvfrom(100))
print("empty", a.sendto(b"", B), b.recvfrom(100))
a.sendto(b"a", B); a.sendto(b"bb", B); a.sendto(b"ccc", B)
print("peek", b.recv(10, socket.MSG_PEEK), b.recv(10), b.recv(1, socket.MSG_PEEK | socket.MSG_TRUNC), b.recv(10))
print("FIONREAD", struct.unpack("i", fcntl.ioctl(b, 0x541b, bytes(4))), b.recv(2), struct.unpack("i", fcntl.ioctl(b, 0x541b, bytes(4))))
attempt("nothing", lambda: b.recv(10, socket.MSG_DONTWAIT))
a.sendto(b"longer than that", B)
data, control, flags, address = b.recvmsg(6)
print("truncated", data, control, bool(flags & socket.MSG_TRUNC), address)
a.sendto(b"longer than that", B)
buffer = bytearray(4)
print("true length", b.recv_into(buffer, 4, socket.MSG_TRUNC), bytes(buffer))
print("large", a.sendto(b"x" * 60000, B), len(b.recv(70000)))
attempt("too large", lambda: a.sendto(b"x" * 65508, B))
attempt("port 0", lambda: a.sendto(b"x", ("127.0.0.1", 0)))
attempt("urgent", lambda: a.sendto(b"x", socket.MSG_OOB, B))
attempt("urgent", lambda: b.recv(1, socket.MSG_OOB | socket.MSG_DONTWAIT))
attempt("queue of errors", lambda: b.recv(1, socket.MSG_ERRQUEUE))

# Connected: the calls without addresses.
attempt("peer", b.getpeername)
a.connect(B)
print("peer", a.getpeername(), a.getsockname())
print("send", a.send(b"sent"), b.recv(10))
print("write", os.write(a.fileno(), b"written"), os.read(b.fileno(), 100))
print("write nothing", os.write(a.fileno(), b""), b.recvfrom(10))
print("writev", os.writev(a.fileno(), [b"in", b"", b"pieces"]), b.recv(100))
print("many pieces", os.writev(a.fileno(), [b"%d" % (i % 10) for i in range(700)]), len(b.recv(1000)))
b.sendto(b"back to you", A)
buffers = [bytearray(5), bytearray(3), bytearray(20)]
print("readv", os.readv(a.fileno(), buffers), [bytes(x) for x in buffers])
b.sendto(b"read in short", A)
print("read", os.read(a.fileno(), 4), os.read(b.fileno(), 0))
attempt("rest is gone", lambda: a.recv(10, socket.MSG_DONTWAIT))
stranger = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
stranger.sendto(b"not for you", A)
attempt("strangers", lambda: a.recv(10, socket.MSG_DONTWAIT))
print("sendmsg", a.sendmsg([b"to ", b"peer"]), a.sendmsg([b"to ", b"named"], [], 0, B), b.recv(10), b.recv(10))
libc = ctypes.CDLL(None, use_errno=True)
unspecified = ctypes.create_string_buffer(16)
print("dissolve", libc.connect(a.fileno(), unspecified, 16))
attempt("peer", a.getpeername)

# What cannot be sent is told at once; the same after a datagram that could.
n = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for call in (lambda: n.send(b"x"), lambda: n.sendmsg([b"x"]), lambda: n.sendto(b"x", B), lambda: n.send(b"x"), lambda: os.write(n.fileno(), b"x")):
    attempt("no peer", call)
print("came", b.recv(10))

# An error comes back.
c = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); c.connect(("127.0.0.1", 7409))
print("to nobody", c.send(b"x"))
p = select.poll(); p.register(c, select.POLLIN); print("ready", bool(p.poll()))
attempt("refused", lambda: c.recv(10))
attempt("once", lambda: c.recv(10, socket.MSG_DONTWAIT))
print("to nobody", c.send(b"x")); p.poll()
attempt("refused", lambda: c.send(b"x"))
print("to nobody", c.send(b"x")); p.poll()
print("refused", errno.errorcode[c.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)], c.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))

# Control messages.
PKTINFO, RECVTTL, RECVTOS = 8, 12, 13
for option in (PKTINFO, RECVTTL, RECVTOS):
    b.setsockopt(socket.IPPROTO_IP, option, 1)
a.sendto(b"with all", B)
data, control, flags, address = b.recvmsg(100, 200)
print("control", data, sorted((l, t, d.hex()) for l, t, d in control), int(flags), address)
a.sendmsg([b"ttl ", b"and tos"], [(socket.IPPROTO_IP, 2, struct.pack("i", 7)), (socket.IPPROTO_IP, 1, struct.pack("i", 0x20))], 0, B)
data, control, flags, address = b.recvmsg(100, 200)
print("control", data, sorted((l, t, d.hex()) for l, t, d in control))
for room in (0, 8, 20, 30):
    a.sendto(b"cut", B)
    data, control, flags, address = b.recvmsg(100, room)
    print("cut", room, data, bool(flags & socket.MSG_CTRUNC), [(l, t, d.hex()) for l, t, d in control])
a.sendmsg([b"from"], [(socket.IPPROTO_IP, PKTINFO, struct.pack("i4s4s", 0, socket.inet_aton("127.0.0.5"), bytes(4)))], 0, B)
print("source", b.recvfrom(10))

# A list longer than most, with options of IP: each bound of the program's buffers, and no byte beyond what came.
RECVOPTS, RETOPTS = 6, 7
e = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); e.bind(("127.0.0.1", 7403))
E = ("127.0.0.1", 7403)
for level, option in ((1, 29), (0, PKTINFO), (0, RECVTTL), (0, RECVTOS), (0, RECVOPTS)):
    e.setsockopt(level, option, 1)
PAYLOAD = bytes(range(200))
def long():
    a.sendmsg([PAYLOAD], [(socket.IPPROTO_IP, RETOPTS, b"\x01" * 40)], 0, E)
for size in (0, 1, 23, 24, 25, 100, 176, 199, 200, 201, 300):
    long()
    data, control, flags, address = e.recvmsg(size, 500)
    print("long", size, data == PAYLOAD[:size], [(l, t, len(d), t != 29 and d.hex()) for l, t, d in control], int(flags), address)
for size in (10, 190, 200, 240):
    long()
    whole = bytearray(b"x" * size)
    print("long peeked", e.recv(size, socket.MSG_PEEK) == PAYLOAD[:size], e.recv_into(whole, size, socket.MSG_TRUNC), whole[:200] == PAYLOAD[:size])
long()
buffers = [bytearray(n) for n in (3, 0, 50, 1, 90, 40, 100)]
print("long readv", os.readv(e.fileno(), buffers), b"".join(buffers)[:200] == PAYLOAD)
for room in (0, 8, 32, 100, 120, 150, 165, 168, 300):
    long()
    data, control, flags, address = e.recvmsg(50, room)
    print("long cut", room, data == PAYLOAD[:50], [(l, t, len(d)) for l, t, d in control], int(flags))
many = [(77, 1, b"for nobody" * 10)] * 30
print("many", a.sendmsg([b"with many"], many, 0, E), a.sendmsg([b"again"], many, 0, E), e.recv(100), e.recv(100))
attempt("wrong among many", lambda: a.sendmsg([b"x"], many + [(socket.IPPROTO_IP, 2, struct.pack("i", 256))], 0, E))
attempt("wrong ttl", lambda: a.sendmsg([b"x"], [(socket.IPPROTO_IP, 2, struct.pack("i", 256))], 0, B))
attempt("unknown", lambda: a.sendmsg([b"x"], [(socket.IPPROTO_IP, 99, struct.pack("i", 1))], 0, B))
attempt("not ours", lambda: a.sendmsg([b"x"], [(77, 99, struct.pack("i", 1))], 0, B))
print("came", b.recv(10))
d = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); d.bind(("127.0.0.1", 7402))
d.setsockopt(socket.SOL_SOCKET, 29, 1)
a.sendto(b"stamped", ("127.0.0.1", 7402))
data, control, flags, address = d.recvmsg(100, 200)
print("time", data, [(l, t, len(x)) for l, t, x in control])

# Files are still files in a process that has datagram sockets.
fd = os.memfd_create("file")
os.write(fd, b"content"); os.lseek(fd, 0, 0)
print("file", os.read(fd, 100), os.read(fd, 100))
r, w = os.pipe(); os.write(w, b"pipe"); os.close(w)
print("pipe", os.read(r, 10), os.read(r, 10))

# Shut down.
attempt("shutdown unconnected", lambda: d.shutdown(socket.SHUT_RDWR))
attempt("reads the end", lambda: d.recv(10))
a.connect(B); a.shutdown(socket.SHUT_WR)
attempt("writes no more", lambda: a.send(b"x"))
print("done")
