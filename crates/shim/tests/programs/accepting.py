# Two processes accept on one listener, as nginx's workers do; numbers and flags of what they get.
import ctypes, errno, fcntl, os, select, socket, struct

listener = socket.create_server(("127.0.0.1", 7300), backlog=16)
libc = ctypes.CDLL(None, use_errno=True)

def worker(edge):
    e = select.epoll()
    listener.setblocking(False)
    e.register(listener, select.EPOLLIN | (select.EPOLLET if edge else 0))
    served = 0
    while True:
        e.poll()
        while True:
            try: c, _ = listener.accept()
            except BlockingIOError: break
            c.setblocking(True)
            order = c.recv(10)
            c.sendall(order.upper())
            c.close()
            served += 1
            if order == b"stop": os._exit(0)

workers = []
for edge in (False, True):
    pid = os.fork()
    if pid == 0: worker(edge)
    workers.append(pid)
def ask(order):
    with socket.create_connection(("127.0.0.1", 7300)) as c:
        c.sendall(order)
        return c.recv(10), c.recv(10)
print("served", {ask(b"work") for _ in range(40)})
ended = 0
while ended < 2:
    assert ask(b"stop") == (b"STOP", b"")
    os.wait(); ended += 1
    # The one that is left takes the next.
print("workers ended")

# A listener has no peer, and what waits in it stays: TLS is wrapped around it so.
listener.setblocking(False)
with socket.create_connection(("127.0.0.1", 7300)) as waits:
    available = ctypes.c_int()
    print("available", libc.ioctl(listener.fileno(), 0x541b, ctypes.byref(available)), errno.errorcode[ctypes.get_errno()])
    for what, call in (("recv", lambda: listener.recv(1)), ("recvfrom", lambda: listener.recvfrom(1)), ("read", lambda: os.read(listener.fileno(), 1)),
                       ("send", lambda: listener.send(b"x")), ("write", lambda: os.write(listener.fileno(), b"x"))):
        try: print(what, call())
        except OSError as e: print(what, errno.errorcode[e.errno])
    select.select([listener], [], [], 10)
    print("accepted", listener.accept()[0].getpeername() == waits.getsockname())

listener.setblocking(True)
hole = os.open("/dev/null", os.O_RDONLY)
client = socket.create_connection(("127.0.0.1", 7300))
clients = [socket.create_connection(("127.0.0.1", 7300)) for _ in range(4)]
os.close(hole)
for flags in (0, socket.SOCK_CLOEXEC, socket.SOCK_NONBLOCK, socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK):
    fd = libc.accept4(listener.fileno(), None, None, flags)
    print("accept4", fd == hole, fcntl.fcntl(fd, fcntl.F_GETFD), bool(fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_NONBLOCK))
    os.close(fd)
print("wrong flags", libc.accept4(listener.fileno(), None, None, 1), errno.errorcode[ctypes.get_errno()])

# Addresses in buffers that are too small, and large enough.
for room in (0, 4, 16, 100):
    waiting = socket.create_connection(("127.0.0.1", 7300)) if room else None
    address = ctypes.create_string_buffer(b"\xff" * 128, 128)
    length = ctypes.c_uint32(room)
    fd = libc.accept(listener.fileno(), address, ctypes.byref(length))
    # The port is any.
    print("address", room, length.value, address.raw[:2].hex(), address.raw[4:8].hex(), address.raw[16:20].hex())
    for call in (libc.getsockname, libc.getpeername):
        address = ctypes.create_string_buffer(b"\xff" * 128, 128)
        length = ctypes.c_uint32(room)
        print("name", call(fd, address, ctypes.byref(length)), length.value, address.raw[:2].hex(), address.raw[4:8].hex())
    os.close(fd)

listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 0, 20000))
print("times out", libc.accept(listener.fileno(), None, None), errno.errorcode[ctypes.get_errno()])
print("done")
