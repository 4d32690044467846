# Data, half-close, end, reset; names of both sides; what the kernel does with a stream besides reading.
import ctypes, errno, fcntl, os, socket, struct, threading

def name(e):
    return errno.errorcode.get(e.errno, e.errno)

def attempt(what, call):
    try:
        print(what, call())
    except OSError as e:
        print(what, name(e))

listener = socket.create_server(("127.0.0.1", 7100), backlog=8)

def pair():
    client = socket.create_connection(("127.0.0.1", 7100))
    server, address = listener.accept()
    assert address == client.getsockname() == server.getpeername()
    assert client.getpeername() == server.getsockname() == ("127.0.0.1", 7100)
    return client, server

# Neither connected nor listening.
import select
fresh = socket.socket()
attempt("fresh recv", lambda: fresh.recv(1))
attempt("fresh peek", lambda: fresh.recv(1, socket.MSG_PEEK))
attempt("fresh read", lambda: os.read(fresh.fileno(), 1))
attempt("fresh recvmsg", lambda: fresh.recvmsg(1))
attempt("fresh send", lambda: fresh.send(b"x"))
attempt("fresh write", lambda: os.write(fresh.fileno(), b"x"))
attempt("fresh writev", lambda: os.writev(fresh.fileno(), [b"x"]))
copy = os.dup(fresh.fileno())
attempt("fresh copy", lambda: os.read(copy, 1))
os.close(copy)
fresh.connect(("127.0.0.1", 7100))
server, _ = listener.accept()
fresh.send(b"no longer"); print("fresh", server.recv(100))
server.close(); print("fresh end", fresh.recv(1)); fresh.close()

client, server = pair()
print("inheritable", os.get_inheritable(server.fileno()), server.getblocking())
client.sendall(b"hello")
print("peek", server.recv(3, socket.MSG_PEEK), server.recv(100))
os.write(server.fileno(), b"written")
print("read", os.read(client.fileno(), 100))
print("writev", os.writev(client.fileno(), [b"a", b"bc", b"def"]))
buffers = [bytearray(2), bytearray(10)]
print("readv", os.readv(server.fileno(), buffers), bytes(buffers[0]), bytes(buffers[1][:4]))
print("sendmsg", client.sendmsg([b"x", b"yz"]))
data, control, flags, address = server.recvmsg(100, 100)
print("recvmsg", data, control, int(flags), address)
print("sendto", client.sendto(b"to nobody else", ("192.0.2.9", 9)))
data, address = server.recvfrom(100)
print("recvfrom", data, address)
server.setblocking(False)
attempt("nothing", lambda: server.recv(1))
attempt("queue of errors", lambda: server.recv(1, socket.MSG_ERRQUEUE))
server.setblocking(True)
client.send(b"count me")
server.recv(1, socket.MSG_PEEK)
print("FIONREAD", struct.unpack("i", fcntl.ioctl(server, 0x541b, bytes(4))))

# Much more than any buffer, both ways, with sendfile.
size = 8 << 20
block = bytes(range(256)) * 256
def drain(s, into):
    left = size
    while left and (piece := s.recv(min(left, 1 << 20))):
        assert piece == (block * 18)[(size - left) % 65536:][:len(piece)]
        left -= len(piece)
    into.append(left)
left = []
server.recv(8)
thread = threading.Thread(target=drain, args=(server, left)); thread.start()
with open("/proc/self/fd/%d" % os.memfd_create("data"), "wb+") as file:
    for _ in range(size // len(block)): file.write(block)
    file.flush(); file.seek(0)
    print("sendfile", client.sendfile(file))
thread.join()
print("left", left)

# Half-close.
client.shutdown(socket.SHUT_WR)
print("end", server.recv(10), server.recv(10))
attempt("after shutdown", lambda: client.send(b"x"))
server.sendall(b"still open")
print("other way", client.recv(100))
server.close()
print("end", client.recv(10), client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
client.close()

# Reset: closed with something unread.
client, server = pair()
server.send(b"unread")
client.recv(1, socket.MSG_PEEK)
client.close()
attempt("reset", lambda: server.recv(10))
attempt("once", lambda: server.recv(10))
attempt("send after", lambda: server.send(b"x"))
server.close()

# Reset: lingering for no time; read by different calls.
for what, call in {
    "recv": lambda s: s.recv(10),
    "read": lambda s: os.read(s.fileno(), 10),
    "readv": lambda s: os.readv(s.fileno(), [bytearray(10)]),
    "recvmsg": lambda s: s.recvmsg(10),
    "recvfrom": lambda s: s.recvfrom(10),
    "SO_ERROR": lambda s: s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR),
}.items():
    client, server = pair()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    import select
    p = select.poll(); p.register(server, select.POLLIN); p.poll()
    attempt("lingering " + what, lambda: call(server))
    attempt("then", lambda: server.recv(10))
    server.close()

# Reset seen first by sending.
client, server = pair()
client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
client.close()
p = select.poll(); p.register(server, select.POLLIN); p.poll()
attempt("send", lambda: server.send(b"x"))
attempt("send again", lambda: server.send(b"x"))
attempt("write", lambda: os.write(server.fileno(), b"x"))
server.close()

# Out of band.
client, server = pair()
client.send(b"urgent!", socket.MSG_OOB)
p = select.poll(); p.register(server, select.POLLPRI); print("urgent", p.poll()[0][1] & select.POLLPRI)
print("oob", server.recv(1, socket.MSG_OOB), server.recv(100))
server.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
print("inline", server.getsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE))
client.close(); server.close()
client, server = pair()

# shutdown of both, and wrong ones.
attempt("shutdown", lambda: client.shutdown(7))
client.shutdown(socket.SHUT_RDWR)
print("end", server.recv(10))
server.close(); client.close()
listener.shutdown(socket.SHUT_RD)
attempt("accept after shutdown", listener.accept)
print("done")
