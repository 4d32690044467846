# Socket calls as programs use them, one check a function. What is asserted is what Linux does.
# Arguments: the check's name, own address, the peer's address. The peer runs calls_peer.py.
import array, asyncio, ctypes, errno, fcntl, os, select, socket, struct, subprocess, sys, tempfile, termios, threading, time

from common import exactly, fails

name, OWN, PEER = sys.argv[1:4]
IPV6 = ":" in PEER
FAMILY, ANY, LOOPBACK = (socket.AF_INET6, "::", "::1") if IPV6 else (socket.AF_INET, "0.0.0.0", "127.0.0.1")
# An address on the link that nobody has, and one that no route leads to.
NOBODY, NOWHERE = ("fd09::77", "2001:db8::1") if IPV6 else ("10.9.0.77", "192.0.2.1")


def at(address, port):
    """A name as Python tells it."""
    return (address, port, 0, 0) if IPV6 else (address, port)


ECHO, DATAGRAMS, ORDERS, CLOSED = at(PEER, 7000), at(PEER, 7001), at(PEER, 7002), at(PEER, 81)
PATIENCE = 30


def tcp(timeout=PATIENCE):
    s = socket.socket(FAMILY)
    s.settimeout(timeout)
    return s


def echo():
    s = tcp()
    s.connect(ECHO)
    return s


class Orders:
    def __init__(self):
        self.lines = socket.create_connection(ORDERS[:2], timeout=PATIENCE).makefile("rw", buffering=1)

    def __call__(self, order):
        self.begin(order)
        return self.answer()

    def begin(self, order):
        self.lines.write(order + "\n")

    def answer(self):
        answer = self.lines.readline().strip()
        assert answer and not answer.startswith("failed"), answer
        return answer


def listener(backlog=128):
    s = tcp()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind((OWN, 0))
    s.listen(backlog)
    return s


def accepted():
    """A connection that the peer has made, and the peer's ear."""
    orders, server = Orders(), listener()
    orders(f"connect {server.getsockname()[1]}")
    connection, _ = server.accept()
    connection.settimeout(PATIENCE)
    assert exactly(connection, 5) == b"hello"
    return connection, orders


def readable(s, patience=PATIENCE):
    return bool(select.select([s], [], [], patience)[0])


def names_of_a_client():
    s = echo()
    assert s.getsockname()[0] == OWN and s.getsockname()[1] > 0, s.getsockname()
    assert s.getpeername() == ECHO
    s = tcp()
    assert s.getsockname() == at(ANY, 0)
    s.bind((ANY, 25678))
    assert s.getsockname() == at(ANY, 25678)
    s.connect(ECHO)
    assert s.getsockname() == at(OWN, 25678)


def names_of_a_server():
    orders, server = Orders(), listener()
    port = server.getsockname()[1]
    assert server.getsockname()[0] == OWN and port > 0
    far_port = int(orders(f"connect {port}"))
    connection, address = server.accept()
    assert address == at(PEER, far_port) == connection.getpeername()
    assert connection.getsockname() == at(OWN, port)


def connect_without_blocking():
    s = socket.socket(FAMILY)
    s.setblocking(False)
    assert s.connect_ex(ECHO) == errno.EINPROGRESS
    assert select.select([], [s], [], PATIENCE)[1] == [s]
    assert s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
    assert s.getpeername() == ECHO
    s.send(b"hello")
    assert readable(s) and s.recv(10) == b"hello"
    fails(errno.EAGAIN, s.recv, 1)


def connect_edge_triggered():
    s = socket.socket(FAMILY)
    s.setblocking(False)
    s.connect_ex(ECHO)
    epoll = select.epoll()
    epoll.register(s, select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDHUP | select.EPOLLET)
    deadline = time.monotonic() + PATIENCE
    while not any(events & select.EPOLLOUT for _, events in epoll.poll(PATIENCE)):
        assert time.monotonic() < deadline
    assert s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
    s.send(b"hello")
    while not any(events & select.EPOLLIN for _, events in epoll.poll(PATIENCE)):
        assert time.monotonic() < deadline
    assert s.recv(10) == b"hello"
    s.shutdown(socket.SHUT_WR)
    while not any(events & select.EPOLLRDHUP for _, events in epoll.poll(PATIENCE)):
        assert time.monotonic() < deadline
    assert s.recv(10) == b""


def refused_blocking():
    fails(errno.ECONNREFUSED, tcp(None).connect, CLOSED)
    fails(errno.ECONNREFUSED, tcp(PATIENCE).connect, CLOSED)


def refused_without_blocking():
    s = socket.socket(FAMILY)
    s.setblocking(False)
    assert s.connect_ex(CLOSED) == errno.EINPROGRESS
    assert select.select([], [s], [], PATIENCE)[1] == [s]
    assert s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNREFUSED
    assert s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0


def what_failed_begins_anew():
    def failed(*address):
        s = tcp(None)
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 7)
        for address in address:
            s.bind(address)
        fails(errno.ECONNREFUSED, s.connect, CLOSED)
        return s

    def echoes(s):
        s.connect(ECHO)
        s.send(b"hello")
        assert exactly(s, 5) == b"hello" and s.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT) == 7

    s = failed((OWN, 4567))
    assert s.getsockname() == at(OWN, 4567)
    echoes(s)
    assert s.getsockname() == at(OWN, 4567)
    s = failed()
    assert s.getsockname()[1] != 0
    s.bind((OWN, 0))
    own = s.getsockname()
    fails(errno.EINVAL, s.bind, (OWN, 0))
    echoes(s)
    assert s.getsockname() == own and own[1] != 0
    for s in (failed((OWN, 0)), failed()):
        s.listen()
        client = socket.create_connection((OWN, s.getsockname()[1]), PATIENCE)
        assert s.accept()[1] == client.getsockname()
    # It is watched still.
    s, epoll = failed(), select.epoll()
    epoll.register(s, select.EPOLLIN)
    s.listen()
    client = socket.create_connection((OWN, s.getsockname()[1]), PATIENCE)
    assert epoll.poll(PATIENCE) == [(s.fileno(), select.EPOLLIN)]


def listeners_begin_anew():
    server = tcp()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind((OWN, 4567))
    for _ in range(2):
        server.listen()
        client = socket.create_connection((OWN, 4567), PATIENCE)
        connection, name = server.accept()
        assert name == client.getsockname()
        client.send(b"hello")
        assert exactly(connection, 5) == b"hello"
        server.shutdown(socket.SHUT_RD)
        fails(errno.EINVAL, server.accept)
        assert server.getsockname() == at(OWN, 4567)
        fails(errno.ECONNREFUSED, tcp().connect, (OWN, 4567))
        client.send(b"still")
        assert exactly(connection, 5) == b"still"


def unreachable():
    # Nobody has this address on the link; the neighbour's silence must become an error.
    s = tcp(60)
    fails(errno.EHOSTUNREACH, s.connect, (NOBODY, 80))
    fails(errno.ENETUNREACH, tcp().connect, (NOWHERE, 80))


def bind_errors():
    server = listener()
    fails(errno.EADDRINUSE, tcp().bind, server.getsockname())
    fails(errno.EADDRNOTAVAIL, tcp().bind, (NOWHERE, 0))
    fails(errno.EINVAL, server.bind, (OWN, 0))
    fails(errno.EADDRINUSE, lambda: socket.create_server(server.getsockname(), family=FAMILY))


def calls_in_the_wrong_state():
    fails(errno.EINVAL, socket.socket, FAMILY, socket.SOCK_STREAM, 263)
    fails(errno.ENOTCONN, tcp().getpeername)
    fails(errno.ENOTCONN, tcp().recv, 1)
    fails(errno.EPIPE, tcp().send, b"x")
    fails(errno.EINVAL, tcp().accept)
    fails(errno.ENOTCONN, tcp().shutdown, socket.SHUT_WR)
    s = socket.socket(FAMILY)
    s.connect(ECHO)
    fails(errno.EISCONN, s.connect, ECHO)
    fails(errno.EINVAL, s.accept)
    s.shutdown(socket.SHUT_WR)
    fails(errno.EPIPE, s.send, b"x")


def a_connect_is_given_up():
    s = tcp()
    s.setblocking(False)
    assert s.connect_ex(at(NOBODY, 80)) == errno.EINPROGRESS
    s.shutdown(socket.SHUT_RDWR)
    assert s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNRESET
    fails(errno.ENOTCONN, s.shutdown, socket.SHUT_RDWR)
    # Another thread, which waits, is told.
    s, told = socket.socket(FAMILY), []
    waiting = threading.Thread(target=lambda: told.append(s.connect_ex(at(NOBODY, 80))), daemon=True)
    waiting.start()
    while waiting.is_alive():
        try:
            s.shutdown(socket.SHUT_RDWR)
            break
        except OSError as error:
            assert error.errno == errno.ENOTCONN, error
    waiting.join(PATIENCE)
    assert told == [errno.ECONNRESET], told


def let_go(s):
    """connect(2) to nobody."""
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.connect(s.fileno(), struct.pack("H14x", socket.AF_UNSPEC), 16) == 0, ctypes.get_errno()


def a_stream_lets_go_of_its_peer():
    connection, orders = accepted()
    orders.begin("hear")
    let_go(connection)
    assert orders.answer() == "reset 0"
    fails(errno.ENOTCONN, connection.getpeername)
    # Then it is free for another; while that is being looked for, too; and one that has none has nobody to let go of.
    s = tcp()
    s.setblocking(False)
    let_go(s)
    assert s.connect_ex(at(NOBODY, 80)) == errno.EINPROGRESS
    let_go(s)
    for free in (connection, s):
        free.settimeout(PATIENCE)
        free.connect(ECHO)
        free.sendall(b"again")
        assert exactly(free, 5) == b"again"
    server = listener()
    let_go(server)
    server.setblocking(False)
    fails(errno.EINVAL, server.accept)


def a_listener_has_nothing_to_write():
    orders, server = Orders(), listener()
    server.shutdown(socket.SHUT_WR)
    orders(f"connect {server.getsockname()[1]}")
    server.accept()
    port = server.getsockname()[1]
    server.shutdown(socket.SHUT_RD)
    fails(errno.EINVAL, server.accept)
    fails(errno.ECONNREFUSED, tcp().connect, at(OWN, port))


def data_after_both_ends_is_a_reset():
    connection, orders = accepted()
    connection.shutdown(socket.SHUT_RDWR)
    for _ in range(10_000):
        orders.begin("say 1")
        if orders.lines.readline().startswith("failed"):
            return
    raise AssertionError("the peer can still write")


def half_close():
    s = echo()
    s.sendall(b"abc" * 1000)
    s.shutdown(socket.SHUT_WR)
    assert exactly(s, 3000) == b"abc" * 1000
    assert s.recv(1) == b"" and s.recv(1) == b""
    # Both have closed: there is no peer any more.
    fails(errno.ENOTCONN, s.getpeername)
    assert s.getsockname()[0] == OWN


def reset_by_the_peer():
    connection, orders = accepted()
    orders("reset")
    assert readable(connection)
    fails(errno.ECONNRESET, connection.recv, 1)
    assert connection.recv(1) == b""
    fails(errno.EPIPE, connection.send, b"x")
    fails(errno.ENOTCONN, connection.getpeername)


def reset_seen_by_so_error():
    connection, orders = accepted()
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    orders("reset")
    assert poll.poll(PATIENCE * 1000)
    assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNRESET


def close_is_an_end_for_the_peer():
    connection, orders = accepted()
    connection.sendall(b"x" * 100_000)
    connection.close()
    assert orders("hear") == "end 100000"


def close_with_unread_data_is_a_reset():
    connection, orders = accepted()
    orders("say 1000")
    assert readable(connection)
    connection.close()
    assert orders("hear") == "reset 0"


def close_with_linger_zero_is_a_reset():
    connection, orders = accepted()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
    assert orders("hear") == "reset 0"


def what_was_sent_before_a_reset():
    connection, orders = accepted()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.sendall(b"x" * 5_000)
    connection.close()
    assert orders("hear") == "reset 5000"
    connection, orders = accepted()
    orders("say 1000")
    assert readable(connection)
    connection.sendall(b"x" * 5_000)
    connection.close()
    assert orders("hear") == "reset 5000"


def accept_without_blocking():
    orders, server = Orders(), listener()
    server.setblocking(False)
    fails(errno.EAGAIN, server.accept)
    orders(f"connect {server.getsockname()[1]}")
    assert readable(server)
    connection, _ = server.accept()
    assert connection.getblocking()
    fails(errno.EAGAIN, server.accept)


def accept_queue():
    orders, server = Orders(), listener()
    ports = [int(orders(f"connect {server.getsockname()[1]}")) for _ in range(100)]
    assert sorted(server.accept()[1][1] for _ in ports) == sorted(ports)


def accept_after_close_of_the_peer():
    orders, server = Orders(), listener()
    orders(f"connect {server.getsockname()[1]}")
    orders("finish")
    connection, _ = server.accept()
    assert exactly(connection, 5) == b"hello" and connection.recv(1) == b""


def accept_with_timeout():
    server = listener()
    server.settimeout(0.05)
    try:
        server.accept()
        raise AssertionError("somebody connected")
    except TimeoutError:
        pass


def what_is_accepted_waits_as_long():
    orders, server = Orders(), listener()
    times = [struct.pack("ll", seconds, 0) for seconds in (3, 4)]
    for option, time in zip((socket.SO_RCVTIMEO, socket.SO_SNDTIMEO), times):
        server.setsockopt(socket.SOL_SOCKET, option, time)
    orders(f"connect {server.getsockname()[1]}")
    connection, _ = server.accept()
    told = [connection.getsockopt(socket.SOL_SOCKET, option, 16) for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO)]
    assert told == times, told


def listeners_close_frees_the_port():
    orders = Orders()
    for _ in range(3):
        server = tcp()
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind((OWN, 5555))
        server.listen()
        orders("connect 5555")
        connection, _ = server.accept()
        connection.close()
        server.close()
    fails(errno.ECONNREFUSED, tcp().connect, (OWN, 5555))


def peek_and_wait_for_all():
    s = echo()
    s.settimeout(None)
    s.sendall(b"hello")
    assert readable(s)
    while len(s.recv(10, socket.MSG_PEEK)) < 5:
        pass
    assert s.recv(2) == b"he"
    s.sendall(b"world")
    assert s.recv(8, socket.MSG_WAITALL) == b"lloworld"
    fails(errno.EAGAIN, s.recv, 1, socket.MSG_DONTWAIT)


def what_is_thrown_away():
    # MSG_TRUNC on a stream: not read, and no memory is needed.
    s = echo()
    libc = ctypes.CDLL(None, use_errno=True)

    def away(count, flags=0):
        got = libc.recv(s.fileno(), None, ctypes.c_size_t(count), socket.MSG_TRUNC | flags)
        return got if got >= 0 else -ctypes.get_errno()

    s.setblocking(True)
    data = bytes(range(256)) * 100
    s.sendall(data)
    assert away(10, socket.MSG_PEEK | socket.MSG_WAITALL) == 10
    assert s.recv(1) == data[:1]
    assert away(20_000, socket.MSG_WAITALL) == 20_000
    assert s.recv(4, socket.MSG_WAITALL) == data[20_001:20_005]
    buffer = bytearray(b"untouched")
    assert s.recv_into(buffer, 9, socket.MSG_TRUNC | socket.MSG_WAITALL) == 9 and buffer == b"untouched"
    got, control, flags, sender = s.recvmsg_into([bytearray(3), bytearray(4)], 0, socket.MSG_TRUNC | socket.MSG_WAITALL)[:4]
    assert (got, control, flags & ~0x80000000) == (7, [], 0), (got, control, flags)
    left = len(data) - 20_005 - 16
    gone = 0
    while gone < left:
        gone += away(1 << 20)
    assert gone == left and away(10, socket.MSG_DONTWAIT) == -errno.EAGAIN
    s.shutdown(socket.SHUT_WR)
    assert away(10) == 0


def timeouts():
    s = echo()
    s.settimeout(None)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 0, 50_000))
    fails(errno.EAGAIN, s.recv, 1)
    seconds, micros = struct.unpack("ll", s.getsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, 16))
    assert seconds == 0 and 40_000 <= micros <= 60_000, (seconds, micros)


def scattered_messages():
    s = echo()
    assert s.sendmsg([b"one", b"two", b"three"]) == 11
    first, second = bytearray(4), bytearray(7)
    while len(s.recv(11, socket.MSG_PEEK)) < 11:
        pass
    assert s.recvmsg_into([first, second])[0] == 11
    assert first + second == b"onetwothree"


def send_a_file():
    connection, orders = accepted()
    with tempfile.TemporaryFile() as file:
        file.write(b"x" * 500_000)
        file.flush()
        orders.begin("hear")
        connection.settimeout(None)
        sent = 0
        while sent < 500_000:
            sent += os.sendfile(connection.fileno(), file.fileno(), sent, 500_000 - sent)
        connection.shutdown(socket.SHUT_WR)
        assert orders.answer() == "end 500000"


def urgent_data():
    connection, orders = accepted()
    poll = select.poll()
    poll.register(connection, select.POLLPRI)
    orders("urgent")
    assert poll.poll(PATIENCE * 1000)
    connection.settimeout(None)
    assert connection.recv(1, socket.MSG_OOB) == b"!"


HOPS = (socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, 33) if IPV6 else (socket.IPPROTO_IP, socket.IP_TTL, 33)


def options_are_kept():
    s = echo()
    for level, option, value in [
        (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
        (socket.SOL_SOCKET, socket.SO_REUSEADDR, 1),
        (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 77),
        (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 7),
        (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 5),
        (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 12_000),
        HOPS,
        (socket.IPPROTO_IPV6, socket.IPV6_TCLASS, 0x10) if IPV6 else (socket.IPPROTO_IP, socket.IP_TOS, 0x10),
    ]:
        s.setsockopt(level, option, value)
        assert s.getsockopt(level, option) == value, (level, option, s.getsockopt(level, option))
        if (level, option, value) != HOPS:
            s.setsockopt(level, option, 0 if value == 1 else value)
    for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
        s.setsockopt(socket.SOL_SOCKET, option, 50_000)
        assert s.getsockopt(socket.SOL_SOCKET, option) == 100_000
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 5))
    assert struct.unpack("ii", s.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8)) == (1, 5)
    s.sendall(b"still")
    assert exactly(s, 5) == b"still"


def options_that_tell():
    s = echo()
    of = lambda option: s.getsockopt(socket.SOL_SOCKET, option)
    assert of(socket.SO_TYPE) == socket.SOCK_STREAM and of(socket.SO_DOMAIN) == FAMILY
    assert of(socket.SO_PROTOCOL) == socket.IPPROTO_TCP
    assert of(socket.SO_ACCEPTCONN) == 0 and listener().getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 1
    assert 500 < s.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG) < 1500
    assert s.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16).rstrip(b"\0") != b""
    info = s.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
    assert len(info) == 104 and info[0] == 1, info
    fails(errno.ENOPROTOOPT, s.getsockopt, socket.IPPROTO_TCP, 9999)
    fails(errno.ENOPROTOOPT, s.setsockopt, socket.IPPROTO_TCP, 9999, 1)


def bytes_in_queues():
    s = echo()
    s.sendall(b"x" * 100)
    waiting = array.array("i", [0])
    deadline = time.monotonic() + PATIENCE
    while waiting[0] != 100 and time.monotonic() < deadline:
        fcntl.ioctl(s, termios.FIONREAD, waiting)
    assert waiting[0] == 100
    fcntl.ioctl(s, termios.TIOCOUTQ, waiting)
    assert waiting[0] == 0, "all was acknowledged"


def descriptors():
    low = socket.socket(FAMILY)
    number = low.fileno()
    low.close()
    s = socket.socket(FAMILY)
    assert s.fileno() == number, "the lowest free number"
    assert fcntl.fcntl(s, fcntl.F_GETFD) & fcntl.FD_CLOEXEC
    s.connect(ECHO)
    os.dup2(s.fileno(), 100)
    s.close()
    copy = socket.socket(fileno=100)
    assert copy.family == FAMILY and copy.type == socket.SOCK_STREAM
    assert copy.getpeername() == ECHO
    copy.settimeout(PATIENCE)
    copy.sendall(b"copy")
    assert exactly(copy, 4) == b"copy"


def fork_and_exec():
    s = echo()
    child = os.fork()
    if child == 0:
        s.sendall(b"child")
        os._exit(0 if s.getpeername() == ECHO else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert exactly(s, 5) == b"child"
    subprocess.run(["sh", "-c", f"echo hello >&{s.fileno()}"], pass_fds=[s.fileno()], check=True)
    assert exactly(s, 6) == b"hello\n"
    program = f"import socket; s = socket.socket(fileno={s.fileno()}); print(s.getpeername()[0])"
    told = subprocess.run([sys.executable, "-c", program], pass_fds=[s.fileno()], check=True, capture_output=True)
    assert told.stdout.strip() == PEER.encode()


def accept_in_many_processes():
    orders, server = Orders(), listener()
    server.settimeout(None)
    reader, writer = os.pipe()
    children = []
    for _ in range(4):
        child = os.fork()
        if child == 0:
            for _ in range(5):
                connection, _ = server.accept()
                exactly(connection, 5)
                os.write(writer, b".")
            os._exit(0)
        children.append(child)
    for _ in range(20):
        orders(f"connect {server.getsockname()[1]}")
    assert all(os.waitpid(child, 0)[1] == 0 for child in children)
    assert os.read(reader, 100) == b"." * 20


def passing_descriptors():
    s = echo()
    near, far = socket.socketpair()
    socket.send_fds(near, [b"take"], [s.fileno()])
    s.close()
    _, [number], _, _ = socket.recv_fds(far, 10, 1)
    taken = socket.socket(fileno=number)
    taken.settimeout(PATIENCE)
    assert taken.getpeername() == ECHO
    taken.sendall(b"taken")
    assert exactly(taken, 5) == b"taken"


def threads():
    sockets = [echo() for _ in range(16)]
    wrong = []

    def work(number):
        s, data = sockets[number], bytes([number]) * 100_000
        writer = threading.Thread(target=s.sendall, args=(data,))
        writer.start()
        if exactly(s, len(data)) != data:
            wrong.append(number)
        writer.join()

    workers = [threading.Thread(target=work, args=(number,)) for number in range(16)]
    [worker.start() for worker in workers]
    [worker.join() for worker in workers]
    assert not wrong


def asyncio_echoes():
    async def one(number):
        reader, writer = await asyncio.open_connection(*ECHO[:2])
        writer.write(bytes([number % 256]) * 20_000)
        await writer.drain()
        assert await reader.readexactly(20_000) == bytes([number % 256]) * 20_000
        writer.close()
        await writer.wait_closed()

    async def all_of_them():
        await asyncio.wait_for(asyncio.gather(*(one(number) for number in range(200))), PATIENCE)

    asyncio.run(all_of_them())


def many_sockets():
    sockets = [echo() for _ in range(400)]
    for number, s in enumerate(sockets):
        s.sendall(b"%4d" % number)
    for number, s in enumerate(sockets):
        assert exactly(s, 4) == b"%4d" % number


def many_short_connections():
    for _ in range(500):
        with echo() as s:
            s.sendall(b"x")
            assert s.recv(1) == b"x"


def udp(timeout=PATIENCE):
    s = socket.socket(FAMILY, socket.SOCK_DGRAM)
    s.settimeout(timeout)
    return s


def datagram_addresses():
    s = udp()
    s.sendto(b"hello", DATAGRAMS)
    assert s.recvfrom(100) == (b"hello", DATAGRAMS)
    assert s.getsockname()[0] == ANY and s.getsockname()[1] > 0
    fails(errno.ENOTCONN, s.getpeername)
    fails(errno.EDESTADDRREQ, s.send, b"x")
    s.connect(DATAGRAMS)
    assert s.getsockname()[0] == OWN and s.getpeername() == DATAGRAMS
    s.send(b"again")
    assert s.recv(100) == b"again"
    os.write(s.fileno(), b"written")
    assert readable(s)
    assert os.read(s.fileno(), 100) == b"written"


def datagram_sizes():
    # What fits the length of an IPv4 packet, which counts its header, or of an IPv6 packet, which does not.
    MOST = 65527 if IPV6 else 65507
    s = udp()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    for size in (0, 1, 1452, 1453, 1472, 1473, 9000, MOST):
        s.sendto(b"x" * size, DATAGRAMS)
        assert len(s.recvfrom(65536)[0]) == size, size
    fails(errno.EMSGSIZE, s.sendto, b"x" * (MOST + 1), DATAGRAMS)


def datagram_truncation():
    s = udp(None)
    s.sendto(b"x" * 100, DATAGRAMS)
    assert s.recv(10, socket.MSG_PEEK) == b"x" * 10
    data, _, flags, _ = s.recvmsg(10)
    assert data == b"x" * 10 and flags & socket.MSG_TRUNC
    fails(errno.EAGAIN, s.recv, 10, socket.MSG_DONTWAIT)
    s.sendto(b"x" * 100, DATAGRAMS)
    assert s.recv_into(bytearray(10), 10, socket.MSG_TRUNC) == 100


def datagram_refused():
    s = udp()
    s.connect((PEER, 82))
    s.send(b"x")
    assert readable(s)
    fails(errno.ECONNREFUSED, s.recv, 1)
    s.send(b"x")
    readable(s)
    assert s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNREFUSED


def datagram_server():
    s, orders = udp(), Orders()
    s.bind((OWN, 0))
    for size in (0, 10, 3000):
        orders(f"datagram {s.getsockname()[1]} {size}")
        data, sender = s.recvfrom(65536)
        assert len(data) == size and sender[0] == PEER
    fails(errno.EADDRINUSE, udp().bind, s.getsockname())


def datagram_information():
    s, orders = udp(), Orders()
    s.bind((ANY, 0))
    IP_PKTINFO = 8
    if IPV6:
        LEVEL, INFO, WHERE, TOS = socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, slice(0, 16), socket.IPV6_TCLASS
        asked = (socket.IPV6_RECVPKTINFO, socket.IPV6_RECVTCLASS)
    else:
        LEVEL, INFO, WHERE, TOS = socket.IPPROTO_IP, IP_PKTINFO, slice(8, 12), socket.IP_TOS
        asked = (IP_PKTINFO, socket.IP_RECVTOS)
    for option in asked:
        s.setsockopt(LEVEL, option, 1)
    orders(f"datagram {s.getsockname()[1]} 10")
    data, ancillary, _, sender = s.recvmsg(100, 256)
    found = {kind: value for level, kind, value in ancillary if level == LEVEL}
    assert len(data) == 10 and sender[0] == PEER
    assert socket.inet_ntop(FAMILY, found[INFO][WHERE]) == OWN, found
    assert TOS in found, found


def datagram_broadcast_needs_leave():
    s = udp()
    fails(errno.EACCES, s.sendto, b"x", ("10.9.0.255", 9))
    s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    s.sendto(b"x", ("10.9.0.255", 9))


def datagram_options_come_along():
    IP_OPTIONS, IP_RECVOPTS = 4, 6
    record_route = bytes([7, 7, 4, 0, 0, 0, 0, 0])
    s, t = udp(), udp()
    s.bind((OWN, 0))
    t.setsockopt(socket.IPPROTO_IP, IP_OPTIONS, record_route)
    for wanted in (0, 1):
        s.setsockopt(socket.IPPROTO_IP, IP_RECVOPTS, wanted)
        t.sendto(b"with options", s.getsockname())
        data, control, _, _ = s.recvmsg(100, 200)
        found = [data for level, kind, data in control if (level, kind) == (socket.IPPROTO_IP, IP_RECVOPTS)]
        assert data == b"with options" and len(found) == wanted and all(one[:2] == record_route[:2] for one in found), control


def datagrams_of_one_call_come_once():
    UDP_SEGMENT = 103
    size, pieces = 1000, 60
    s = udp()
    s.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, size)
    s.connect(DATAGRAMS)
    heard = []
    for call in range(40):
        # Many at once, so that a device is full in the midst of a call.
        for number in range(5):
            s.send(b"".join(struct.pack("!III", call, number, piece).ljust(size, b".") for piece in range(pieces)))
        heard.append(s.recv(2000)[:12])
        s.setblocking(False)
        try:
            while True:
                heard.append(s.recv(2000)[:12])
        except BlockingIOError:
            s.settimeout(PATIENCE)
    assert len(heard) > 100 and len(set(heard)) == len(heard), (len(heard), len(set(heard)))


def paths_that_are_none():
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)

    def says(function, *arguments):
        result = getattr(libc, function)(*arguments)
        return result if result >= 0 else errno.errorcode[ctypes.get_errno()]

    buffer = ctypes.create_string_buffer(1000)
    file = os.open("/", os.O_RDONLY)
    AT_FDCWD, AT_EMPTY_PATH = -100, 0x1000
    assert says("open", None, 0) == says("openat", AT_FDCWD, None, 0) == "EFAULT"
    assert says("stat", None, buffer) == says("access", None, 0) == says("readlink", None, buffer, 100) == "EFAULT"
    assert says("fstatat", file, b"", buffer, AT_EMPTY_PATH) == 0
    # Newer kernels take it for the same.
    assert says("fstatat", file, None, buffer, AT_EMPTY_PATH) in (0, "EFAULT")


def datagram_queue():
    s = udp()
    # Where the peer has to look for us first, Linux sends what waited for that beside what comes meanwhile.
    s.sendto(b"first", DATAGRAMS)
    assert s.recv(10) == b"first"
    for number in range(50):
        s.sendto(b"%d" % number, DATAGRAMS)
    assert [int(s.recv(10)) for _ in range(50)] == list(range(50))


def numeric_names():
    [(family, kind, _, _, address)] = socket.getaddrinfo(PEER, "80", type=socket.SOCK_STREAM)
    assert (family, kind, address) == (FAMILY, socket.SOCK_STREAM, at(PEER, 80))
    assert socket.getnameinfo(at(PEER, 80), socket.NI_NUMERICHOST | socket.NI_NUMERICSERV) == (PEER, "80")


def other_families_are_left_alone():
    near, far = socket.socketpair()
    near.sendall(b"unix")
    assert far.recv(10) == b"unix"
    with tempfile.TemporaryDirectory() as directory:
        server = socket.socket(socket.AF_UNIX)
        server.bind(directory + "/socket")
        server.listen()
        client = socket.socket(socket.AF_UNIX)
        client.connect(directory + "/socket")
        connection, _ = server.accept()
        client.sendall(b"path")
        assert connection.recv(10) == b"path"
        assert client.getpeername() == directory + "/socket"


def to_ones_own_address():
    server = listener()
    client = tcp()
    client.connect(server.getsockname())
    connection, address = server.accept()
    assert address == client.getsockname() and client.getpeername() == server.getsockname()
    client.sendall(b"to myself")
    assert exactly(connection, 9) == b"to myself"
    connection.close()
    assert client.recv(1) == b""


def to_the_loopback():
    server = socket.create_server((LOOPBACK, 0), family=FAMILY)
    client = tcp()
    client.connect(server.getsockname())
    connection, _ = server.accept()
    client.sendall(b"to myself")
    assert exactly(connection, 9) == b"to myself"
    if not IPV6:
        # Whichever of its addresses is asked: it asks from the one that access lists know.
        server = socket.create_server((ANY, 0), family=FAMILY)
        for client in (tcp(), udp()):
            client.connect(("127.1.2.3", server.getsockname()[1]))
            assert client.getsockname()[0] == LOOPBACK
    s, t = udp(), udp()
    s.bind((LOOPBACK, 0))
    t.sendto(b"datagram", s.getsockname())
    assert s.recv(100) == b"datagram"


globals()[name]()
