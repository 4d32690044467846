# Pointers to nowhere, lengths that lie, calls on what is no socket.
import ctypes, errno, os, socket

libc = ctypes.CDLL(None, use_errno=True)
for call in ("send", "sendto", "sendmsg", "recv", "recvfrom", "recvmsg", "read", "write", "readv", "writev"):
    getattr(libc, call).restype = ctypes.c_ssize_t

def show(what, result):
    print(what, errno.errorcode[ctypes.get_errno()] if result == -1 else result)

P = ctypes.c_void_p
size = ctypes.c_size_t
NOWHERE = P(1 << 46 | 8)
def address(port, family=socket.AF_INET):
    return family.to_bytes(2, "little") + port.to_bytes(2, "big") + bytes([127, 0, 0, 1]) + bytes(8)
def length(n):
    return ctypes.byref(ctypes.c_uint32(n))

class iovec(ctypes.Structure):
    _fields_ = [("base", P), ("len", size)]
class msghdr(ctypes.Structure):
    _fields_ = [("name", P), ("namelen", ctypes.c_uint32), ("iov", P), ("iovlen", size), ("control", P), ("controllen", size), ("flags", ctypes.c_int)]

listener = socket.create_server(("127.0.0.1", 7600), backlog=16)
client = socket.create_connection(("127.0.0.1", 7600))
server = listener.accept()[0]
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); udp.bind(("127.0.0.1", 7601))
peer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); peer.bind(("127.0.0.1", 7602)); peer.connect(("127.0.0.1", 7601))
fresh = socket.socket()
file = os.memfd_create("file")
buffer = ctypes.create_string_buffer(128)

for what, s in (("stream", fresh.fileno()), ("datagram", socket.socket(socket.AF_INET, socket.SOCK_DGRAM).detach()), ("file", file), ("closed", 99), ("negative", -1)):
    print("--", what)
    for n in (0, 1, 2, 8, 15):
        show("bind short %d" % n, libc.bind(s, address(7610), n))
    show("bind long", libc.bind(s, address(7610), 129))
    show("bind negative", libc.bind(s, address(7610), -1))
    show("bind family", libc.bind(s, address(7610, 1), 16))
    show("bind nowhere", libc.bind(s, NOWHERE, 16))
    show("bind NULL", libc.bind(s, None, 16))
    for n in (0, 1, 2, 15):
        show("connect short %d" % n, libc.connect(s, address(7610), n))
    show("connect long", libc.connect(s, address(7610), 129))
    show("connect family", libc.connect(s, address(7610, 1), 16))
    show("connect nowhere", libc.connect(s, NOWHERE, 16))
    for name in ("getsockname",):
        call = getattr(libc, name)
        show(name + " address nowhere", call(s, NOWHERE, length(16)))
        show(name + " address NULL", call(s, None, length(16)))
        show(name + " address NULL, no room", call(s, None, length(0)))
        show(name + " length nowhere", call(s, buffer, NOWHERE))
        show(name + " length NULL", call(s, buffer, None))
        show(name + " length negative", call(s, buffer, length(0xffffffff)))
    show("getpeername", libc.getpeername(s, buffer, length(16)))
    for option in (3, 2):
        show("getsockopt value nowhere", libc.getsockopt(s, 1, option, NOWHERE, length(4)))
        show("getsockopt length nowhere", libc.getsockopt(s, 1, option, buffer, NOWHERE))
        show("getsockopt length negative", libc.getsockopt(s, 1, option, buffer, length(0x80000000)))
    show("setsockopt value nowhere", libc.setsockopt(s, 1, 2, NOWHERE, 4))
    show("setsockopt value NULL", libc.setsockopt(s, 1, 2, None, 4))
    show("setsockopt length negative", libc.setsockopt(s, 1, 2, buffer, -1))
    show("setsockopt length short", libc.setsockopt(s, 1, 2, buffer, 3))
    show("setsockopt level", libc.setsockopt(s, 77, 2, buffer, 4))
    show("listen", libc.listen(s, 5) if what not in ("stream",) else 0)
    show("shutdown how", libc.shutdown(s, 9))

print("-- accept")
def knock():
    return socket.create_connection(("127.0.0.1", 7600))
waiting = [knock() for _ in range(4)]
show("address nowhere", libc.accept(listener.fileno(), NOWHERE, length(16)))
show("length nowhere", libc.accept(listener.fileno(), buffer, NOWHERE))
show("length NULL", libc.accept(listener.fileno(), buffer, None))
show("length negative", libc.accept(listener.fileno(), buffer, length(0xffffffff)))
show("not listening", libc.accept(client.fileno(), None, None))
show("file", libc.accept(file, None, None))
show("closed", libc.accept(99, None, None))

for what, s, other in (("stream", client.fileno(), server.fileno()), ("datagram", peer.fileno(), udp.fileno())):
    print("--", what)
    show("send nowhere", libc.send(s, NOWHERE, size(5), 0))
    show("write nowhere", libc.write(s, NOWHERE, size(5)))
    show("send huge", libc.send(s, buffer, size(1 << 62), 0x40) if what == "datagram" else -2)
    show("writev count", libc.writev(s, buffer, 1025))
    show("writev negative", libc.writev(s, buffer, -1))
    show("writev nowhere", libc.writev(s, NOWHERE, 2))
    show("sendmsg nowhere", libc.sendmsg(s, NOWHERE, 0))
    show("sendmsg NULL", libc.sendmsg(s, None, 0))
    show("sendmsg pieces nowhere", libc.sendmsg(s, ctypes.byref(msghdr(iov=NOWHERE, iovlen=1)), 0))
    show("sendmsg piece nowhere", libc.sendmsg(s, ctypes.byref(msghdr(iov=ctypes.addressof(iovec(NOWHERE, 5)), iovlen=1)), 0))
    show("sendmsg too many pieces", libc.sendmsg(s, ctypes.byref(msghdr(iov=ctypes.addressof(buffer), iovlen=1025)), 0))
    libc.send(s, b"hello", size(5), 0)
    # It is there.
    libc.recv(other, buffer, size(1), socket.MSG_PEEK)
    show("recv nowhere", libc.recv(other, NOWHERE, size(5), socket.MSG_PEEK))
    show("recvmsg nowhere", libc.recvmsg(other, NOWHERE, socket.MSG_PEEK))
    show("recvmsg pieces nowhere", libc.recvmsg(other, ctypes.byref(msghdr(iov=NOWHERE, iovlen=1)), socket.MSG_PEEK))
    show("recvmsg too many pieces", libc.recvmsg(other, ctypes.byref(msghdr(iov=ctypes.addressof(buffer), iovlen=1025)), socket.MSG_PEEK))
    show("recvmsg negative name", libc.recvmsg(other, ctypes.byref(msghdr(name=ctypes.addressof(buffer), namelen=0xffffffff, iov=ctypes.addressof(iovec(ctypes.addressof(buffer), 5)), iovlen=1)), socket.MSG_PEEK))
    show("readv nowhere", libc.readv(other, NOWHERE, 2))
    show("readv negative", libc.readv(other, buffer, -1))
    show("recv", libc.recv(other, buffer, size(100), 0))

print("-- datagram addresses")
s = udp.fileno()
to = address(7602)
show("short", libc.sendto(s, b"x", size(1), 0, to, 15))
show("empty", libc.sendto(s, b"x", size(1), 0, to, 0))
show("long", libc.sendto(s, b"x", size(1), 0, to, 129))
show("nowhere", libc.sendto(s, b"x", size(1), 0, NOWHERE, 16))
show("family", libc.sendto(s, b"x", size(1), 0, address(7602, 1), 16))
show("no family", libc.sendto(s, b"x", size(1), 0, address(7602, 0), 16))
show("recvfrom nowhere", libc.recvfrom(peer.fileno(), buffer, size(9), 0, NOWHERE, length(16)))
show("right", libc.sendto(s, b"x", size(1), 0, to, 16))
show("recvfrom length nowhere", libc.recvfrom(peer.fileno(), buffer, size(9), 0, buffer, NOWHERE))
show("right", libc.sendto(s, b"x", size(1), 0, to, 16))
n = ctypes.c_uint32(7)
show("recvfrom short", libc.recvfrom(peer.fileno(), buffer, size(9), 0, buffer, ctypes.byref(n)))
print(n.value)
for control, n in ((b"\xff" * 16, 16), (bytes(16), 16), (bytes(8), 8), ((64).to_bytes(8, "little") + bytes(8), 16)):
    piece = iovec(ctypes.addressof(buffer), 1)
    c = ctypes.create_string_buffer(control, 32)
    t = ctypes.create_string_buffer(to, 16)
    show("control %s" % control.hex(), libc.sendmsg(s, ctypes.byref(msghdr(ctypes.addressof(t), 16, ctypes.addressof(piece), 1, ctypes.addressof(c), n)), 0))
show("control nowhere", libc.sendmsg(s, ctypes.byref(msghdr(ctypes.addressof(t), 16, ctypes.addressof(piece), 1, NOWHERE, 16)), 0))
print("done")
