# Numbers, flags, and what a socket says of itself.
import errno, fcntl, os, socket

def name(e):
    return errno.errorcode.get(e.errno, e.errno)

def attempt(what, call):
    try:
        print(what, call())
    except OSError as e:
        print(what, name(e))

first = socket.socket()
print("first", first.fileno())
holes = [os.open("/dev/null", os.O_RDONLY) for _ in range(6)]
print("files", holes)
os.close(holes[1])
os.close(holes[3])
one, two, three = socket.socket(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM), socket.socket()
print("lowest", one.fileno(), two.fileno(), three.fileno())

import ctypes
libc = ctypes.CDLL(None, use_errno=True)
for flags in (0, socket.SOCK_CLOEXEC, socket.SOCK_NONBLOCK, socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK):
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        fd = libc.socket(socket.AF_INET, kind | flags, 0)
        print("flags", flags, kind, fd, fcntl.fcntl(fd, fcntl.F_GETFD), bool(fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_NONBLOCK))
        os.close(fd)

for s in (one, two):
    for option in (socket.SO_TYPE, socket.SO_DOMAIN, socket.SO_PROTOCOL, socket.SO_ACCEPTCONN, socket.SO_ERROR):
        print("option", option, s.getsockopt(socket.SOL_SOCKET, option))
    print("short", s.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE, 2), s.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE, 0))
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, bytes(8) + (10000).to_bytes(8, "little"))
    print("timeout", s.getsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, 16)[8:])
    s.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    print("keepalive", s.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))
    attempt("unknown option", lambda: s.getsockopt(socket.SOL_SOCKET, 9999))
    attempt("unknown option", lambda: s.setsockopt(socket.SOL_SOCKET, 9999, 1))
    print("name", s.getsockname())
    attempt("peer", s.getpeername)
attempt("timed out", lambda: two.recv(10))

three.bind(("127.0.0.1", 7001))
print("bound", three.getsockname(), three.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
attempt("bound twice", lambda: three.bind(("127.0.0.1", 7002)))
attempt("bound in use", lambda: first.bind(("127.0.0.1", 7001)))
attempt("bound elsewhere", lambda: first.bind(("192.0.2.1", 7001)))
three.setblocking(False)
attempt("accept before listen", three.accept)
three.listen()
print("listens", three.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
attempt("accept nothing", three.accept)
attempt("datagrams listen", two.listen)
attempt("datagrams accept", two.accept)
attempt("shutdown unconnected", lambda: one.shutdown(socket.SHUT_RDWR))

attempt("wrong kind", lambda: socket.socket(socket.AF_INET, 7))
attempt("wrong protocol", lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_UDP))
attempt("wrong flags", lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM | 0x100))
attempt("wrong family", lambda: socket.socket(99, socket.SOCK_STREAM))
a, b = socket.socketpair()
a.send(b"unix")
print("unix", a.fileno(), b.recv(10), a.family.name)
netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 15)
print("netlink", netlink.getsockname()[1])
os.closerange(3, 100)
os.close(0)
print("standard input", socket.socket().detach())
print("done")
