# Two ends of a connection on one host, one check a function. What is asserted is what Linux does over its loopback.
# Arguments: own address, and the names of the checks.
import errno, os, select, signal, socket, struct, sys

from common import exactly, fails

OWN, names = sys.argv[1], sys.argv[2:]
IPV6 = ":" in OWN
FAMILY, ANY, LOOPBACK = (socket.AF_INET6, "::", "::1") if IPV6 else (socket.AF_INET, "0.0.0.0", "127.0.0.1")
PATIENCE = 30
ET = select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDHUP | select.EPOLLET


def tcp(timeout=PATIENCE):
    s = socket.socket(FAMILY)
    s.settimeout(timeout)
    return s


def listener(address=OWN, backlog=16):
    s = tcp()
    s.bind((address, 0))
    s.listen(backlog)
    return s


def pair(server=None, client=None):
    own = server is None
    server = server or listener()
    client = client or tcp()
    client.connect((OWN, server.getsockname()[1]))
    connection, address = server.accept()
    connection.settimeout(PATIENCE)
    assert address == client.getsockname()
    if own:
        server.close()
    return client, connection


def readiness(s):
    poll = select.poll()
    poll.register(s, select.POLLIN | select.POLLOUT | select.POLLRDHUP)
    return dict(poll.poll(0)).get(s.fileno(), 0)


def wait(s, events):
    poll = select.poll()
    poll.register(s, events)
    found = poll.poll(PATIENCE * 1000)
    assert found, "nothing happens"
    return found[0][1]


def linger(s):
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def error(s):
    return s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)


def state(s):
    return s.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)[0]


def addresses():
    for address in [ANY, OWN, LOOPBACK]:
        server = listener(address)
        for target in [OWN, LOOPBACK] if address == ANY else [address]:
            client = tcp()
            client.connect((target, server.getsockname()[1]))
            connection, peer = server.accept()
            assert connection.getsockname() == client.getpeername() == (target, *server.getsockname()[1:])
            assert connection.getpeername() == client.getsockname() == peer and peer[0] == target and peer[1] > 0
            assert connection.getsockname()[0] == target
    bound = tcp()
    bound.bind((LOOPBACK, 0))
    name = bound.getsockname()
    client, connection = pair(listener(ANY), bound)
    assert client.getsockname() == connection.getpeername() == name


def ports_are_held():
    server = listener()
    name = server.getsockname()
    # A port of its own, where connect might have chosen one that an old connection has, too.
    client = tcp()
    client.bind((OWN, 0))
    client, connection = pair(server, client)
    local = client.getsockname()
    server.close()
    for taken in [name, local]:
        fails(errno.EADDRINUSE, tcp().bind, taken)
    # A reset leaves nothing behind, not even on Linux.
    for s in [client, connection]:
        linger(s)
        s.close()
    for free in [name, local]:
        s = tcp()
        s.bind(free)
        s.listen()
        s.close()


def many_one_after_the_other():
    server = listener()
    for number in range(300):
        client, connection = pair(server)
        client.sendall(b"%d" % number)
        client.close()
        assert connection.recv(10) == b"%d" % number and connection.recv(10) == b""
        connection.close()


def what_is_told():
    client, connection = pair()
    for s in [client, connection]:
        assert state(s) == 1 and s.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG) > 500
        assert error(s) == 0
        assert s.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE) == socket.SOCK_STREAM
        assert s.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 0
        fails(errno.EINVAL, s.bind, (OWN, 0))
        # The first one tells him who did not wait that it stands.
        assert s.connect_ex((OWN, 9)) in (0, errno.EISCONN) and s.connect_ex((OWN, 9)) == errno.EISCONN
    connection.shutdown(socket.SHUT_WR)
    assert client.recv(1) == b"" and state(client) == 8 and state(connection) in (4, 5)
    client.close()
    assert connection.recv(1) == b"" and state(connection) in (6, 7)


def options_are_kept():
    server = listener()
    server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    client, connection = pair(server)
    assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
    for s in [client, connection]:
        for level, option, value in [
            (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
            (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
            (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 77),
            (socket.IPPROTO_IPV6, socket.IPV6_TCLASS, 16) if IPV6 else (socket.IPPROTO_IP, socket.IP_TOS, 16),
        ]:
            s.setsockopt(level, option, value)
            assert s.getsockopt(level, option) == value
        for option in [socket.SO_SNDBUF, socket.SO_RCVBUF]:
            s.setsockopt(socket.SOL_SOCKET, option, 50_000)
            assert s.getsockopt(socket.SOL_SOCKET, option) == 100_000
        fails(errno.ENOPROTOOPT, s.setsockopt, socket.IPPROTO_TCP, 99, 1)


def buffers_are_bounded():
    client, connection = pair()
    client.setblocking(False)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 20_000)
    sent = 0
    try:
        while sent < 64 << 20:
            sent += client.send(bytes(65536))
    except BlockingIOError:
        pass
    assert 65536 <= sent < 64 << 20
    assert not readiness(client) & select.POLLOUT
    assert len(exactly(connection, sent)) == sent
    wait(client, select.POLLOUT)


def half_close():
    client, connection = pair()
    client.sendall(b"question")
    client.shutdown(socket.SHUT_WR)
    fails(errno.EPIPE, client.send, b"more")
    assert exactly(connection, 8) == b"question" and connection.recv(1) == b""
    assert readiness(connection) == select.POLLIN | select.POLLOUT | select.POLLRDHUP
    connection.sendall(b"answer")
    assert exactly(client, 6) == b"answer"
    assert readiness(client) & ~select.POLLOUT == 0
    connection.close()
    assert client.recv(1) == b"" and readiness(client) & select.POLLHUP
    client, connection = pair()
    connection.shutdown(socket.SHUT_RDWR)
    assert client.recv(1) == b"" and connection.recv(1) == b"" and error(client) == 0
    client.close()


def a_close_is_an_end():
    client, connection = pair()
    client.sendall(b"last words")
    client.close()
    assert exactly(connection, 10) == b"last words"
    assert connection.recv(1) == b"" and error(connection) == 0


def a_reset():
    # By SO_LINGER, from either end, seen by reading, by writing and by asking.
    for turn in range(2):
        for see in ["recv", "send", "error"]:
            closes, sees = pair()[:: 1 - 2 * turn]
            linger(closes)
            closes.close()
            wait(sees, select.POLLIN)
            if see == "recv":
                fails(errno.ECONNRESET, sees.recv, 1)
                assert sees.recv(1) == b""
            elif see == "send":
                fails(errno.ECONNRESET, sees.send, b"x")
                fails(errno.EPIPE, sees.send, b"x")
            else:
                assert error(sees) == errno.ECONNRESET and error(sees) == 0
    # By data that nobody has read; what was sent before is read all the same.
    client, connection = pair()
    client.sendall(b"unread")
    connection.sendall(b"read")
    wait(connection, select.POLLIN)
    connection.close()
    assert exactly(client, 4) == b"read"
    fails(errno.ECONNRESET, client.recv, 1)


def what_was_sent_before_a_reset():
    client, connection = pair()
    linger(client)
    client.sendall(b"last words")
    client.close()
    wait(connection, select.POLLRDHUP)
    fails(errno.ENOTCONN, connection.getpeername)
    assert exactly(connection, 10) == b"last words"
    fails(errno.ECONNRESET, connection.recv, 1)


def a_write_to_who_has_closed():
    # The first is taken: only the answer to it says that nobody is there.
    writes = [
        lambda s: s.send(b"12345"),
        lambda s: s.sendmsg([b"12", b"345"]),
        lambda s: os.write(s.fileno(), b"12345"),
        lambda s: os.writev(s.fileno(), [b"12", b"345"]),
    ]
    for write in writes:
        client, connection = pair()
        client.close()
        assert connection.recv(1) == b"" and connection.getpeername() and state(connection) == 8  # CLOSE_WAIT
        assert connection.send(b"") == 0 and connection.send(b"") == 0
        assert write(connection) == 5
        wait(connection, select.POLLHUP)
        fails(errno.ENOTCONN, connection.getpeername)
        fails(errno.EPIPE, write, connection)
        client, connection = pair()
        client.close()
        assert connection.recv(1) == b"" and write(connection) == 5
        wait(connection, select.POLLHUP)
        assert error(connection) == errno.EPIPE and error(connection) == 0
    # Who reads has had the end, and it stays one.
    client, connection = pair()
    client.close()
    assert connection.recv(1) == b"" and connection.send(b"12345") == 5
    wait(connection, select.POLLHUP)
    assert connection.recv(1) == b""
    # Who has said that he writes no more is not heard.
    client, connection = pair()
    connection.shutdown(socket.SHUT_WR)
    fails(errno.EPIPE, connection.send, b"x")
    client.close()
    fails(errno.EPIPE, connection.send, b"x")


def nobody_listens():
    server = listener()
    gone = server.getsockname()
    server.close()
    fails(errno.ECONNREFUSED, tcp().connect, gone)
    s = tcp()
    s.setblocking(False)
    assert s.connect_ex(gone) == errno.EINPROGRESS
    assert wait(s, select.POLLOUT) & select.POLLERR and error(s) == errno.ECONNREFUSED
    # Its failure can be told by connecting, too. Then it is as new, and watched as before.
    again = tcp()
    again.setblocking(False)
    epoll = select.epoll()
    epoll.register(again, select.EPOLLOUT | select.EPOLLET)
    assert again.connect_ex(gone) == errno.EINPROGRESS
    assert wait(again, select.POLLOUT) & select.POLLERR
    fails(errno.ECONNREFUSED, again.connect, gone)
    server = listener()
    epoll.poll(0)
    assert again.connect_ex(server.getsockname()) == errno.EINPROGRESS
    edge(epoll, select.EPOLLOUT)
    assert error(again) == 0
    epoll.modify(again, select.EPOLLIN | select.EPOLLET)
    server.accept()[0].sendall(b"at last")
    edge(epoll, select.EPOLLIN)
    assert exactly(again, 7) == b"at last"
    # The same socket, once somebody does.
    s = tcp(None)
    fails(errno.ECONNREFUSED, s.connect, gone)
    client, connection = pair(client=s)
    client.sendall(b"at last")
    assert exactly(connection, 7) == b"at last"


def edge(epoll, event):
    """Waits for that event. Room for more output may be told more than once before it."""
    while told := epoll.poll(PATIENCE):
        if any(events & event for _, events in told):
            return
    raise AssertionError("no edge")


def connect_without_blocking():
    server = listener()
    client = socket.socket(FAMILY)
    client.setblocking(False)
    epoll = select.epoll()
    epoll.register(client, ET)
    epoll.poll(0)
    assert client.connect_ex(server.getsockname()) == errno.EINPROGRESS
    edge(epoll, select.EPOLLOUT)
    assert error(client) == 0
    assert client.connect_ex(server.getsockname()) == 0
    assert client.connect_ex(server.getsockname()) == errno.EISCONN
    connection, _ = server.accept()
    connection.sendall(b"hello")
    edge(epoll, select.EPOLLIN)
    assert client.recv(10) == b"hello"
    fails(errno.EAGAIN, client.recv, 10)
    connection.shutdown(socket.SHUT_WR)
    edge(epoll, select.EPOLLRDHUP)


def accepted_without_blocking():
    server = listener()
    server.setblocking(False)
    fails(errno.EAGAIN, server.accept)
    client = tcp()
    client.connect(server.getsockname())
    client.sendall(b"early")
    client.close()
    wait(server, select.POLLIN)
    connection, _ = server.accept()
    # Accepted sockets block, whatever the listener does.
    assert os.get_blocking(connection.fileno()) or connection.gettimeout() is None
    assert exactly(connection, 5) == b"early" and connection.recv(1) == b""


def a_full_queue():
    server = listener(backlog=1)
    clients = []
    while True:
        client = socket.socket(FAMILY)
        client.setblocking(False)
        assert client.connect_ex(server.getsockname()) == errno.EINPROGRESS
        clients.append(client)
        if not readiness(client) & select.POLLOUT:
            break
        assert len(clients) < 64, "a queue of one that is never full"
    connections = [server.accept()[0] for _ in clients]
    for client in clients:
        wait(client, select.POLLOUT)
        client.sendall(b"in")
    assert all(exactly(connection, 2) == b"in" for connection in connections)


def a_listener_that_goes():
    server = listener()
    clients = [tcp() for _ in range(3)]
    for client in clients:
        client.connect(server.getsockname())
    clients[1].sendall(b"unread")
    connection, _ = server.accept()
    server.close()
    clients[0].sendall(b"taken")
    assert exactly(connection, 5) == b"taken"
    for client in clients[1:]:
        fails(errno.ECONNRESET, client.recv, 1)


def many_processes():
    server = listener()
    children = []
    for _ in range(3):
        child = os.fork()
        if child == 0:
            while True:
                connection, _ = server.accept()
                connection.sendall(b"%9d" % os.getpid())
                connection.close()
        children.append(child)
    served = set()
    for _ in range(60):
        client = tcp()
        client.connect(server.getsockname())
        served.add(int(exactly(client, 9)))
        assert client.recv(1) == b""
    assert served <= set(children)
    for child in children:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def another_holder():
    client, connection = pair()
    ready, go = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(go)
        client.close()
        os.read(ready, 1)
        connection.sendall(b"from the child")
        os._exit(0)
    connection.close()
    # The child holds it still: no end, and the addresses as before.
    assert readiness(client) == select.POLLOUT and client.getpeername() and state(client) == 1
    os.close(go)
    assert exactly(client, 14) == b"from the child" and client.recv(1) == b""
    os.waitpid(child, 0)


def urgent():
    client, connection = pair()
    client.sendall(b"ab")
    client.send(b"!", socket.MSG_OOB)
    client.sendall(b"cd")
    assert wait(connection, select.POLLPRI) & select.POLLPRI
    assert connection.recv(10) == b"ab"
    assert connection.recv(1, socket.MSG_OOB) == b"!"
    assert exactly(connection, 2) == b"cd"


def much_both_ways():
    client, connection = pair()
    blob = bytes(range(256)) * 4096
    child = os.fork()
    if child == 0:
        client.close()
        while data := connection.recv(1 << 16):
            connection.sendall(data)
        os._exit(0)
    connection.close()
    for _ in range(16):
        writer = os.fork()
        if writer == 0:
            client.sendall(blob)
            os._exit(0)
        assert exactly(client, len(blob)) == blob
        os.waitpid(writer, 0)
    client.shutdown(socket.SHUT_WR)
    assert client.recv(1) == b""
    os.waitpid(child, 0)


for name in names:
    try:
        globals()[name]()
    except BaseException:
        print("in", name, file=sys.stderr)
        raise
