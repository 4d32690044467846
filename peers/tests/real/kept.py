# Programs that are hard on what others keep in their process: they close all descriptors, put files in their places, fork, run many
# threads, change their user. Sockets go on working, and nothing of the program's is harmed. One check a function.
# Arguments: the check's name, own address, the peer's address. The peer runs calls_peer.py.
import errno, os, resource, signal, socket, sys, tempfile, threading, time

name, OWN, PEER = sys.argv[1:4]
IPV6 = ":" in PEER
FAMILY = socket.AF_INET6 if IPV6 else socket.AF_INET


def at(address, port):
    return (address, port, 0, 0) if IPV6 else (address, port)


ECHO = at(PEER, 7000)
PATIENCE = 30


def echoes(text=b"echo"):
    with socket.create_connection(ECHO[:2], timeout=PATIENCE) as s:
        s.sendall(text)
        got = b""
        while len(got) < len(text):
            piece = s.recv(len(text) - len(got))
            assert piece, "the end came too early"
            got += piece
        assert got == text and s.getpeername() == ECHO


def bound():
    s = socket.socket(FAMILY)
    s.bind((OWN, 0))
    return s


def ask(rounds):
    """Many questions, of which each has its own answer."""
    sockets = [bound() for _ in range(4)]
    names = [s.getsockname() for s in sockets]
    assert len(set(names)) == 4
    for turn in range(rounds):
        s, name = sockets[turn % 4], names[turn % 4]
        assert s.getsockname() == name
        s.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, turn & 1)
        assert s.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == turn & 1
        fresh = socket.socket(FAMILY)
        assert fresh.getsockname() == at("::" if IPV6 else "0.0.0.0", 0)
        fresh.close()
    for s in sockets:
        s.close()


def all_descriptors_closed():
    for _ in range(3):
        echoes()
        os.closerange(3, 8192)
    # As often as somebody might lose patience.
    for _ in range(100):
        first, second = bound(), bound()
        assert (first.fileno(), second.fileno()) == (3, 4)
        assert first.getsockname() != second.getsockname()
        first.detach(), second.detach()
        os.closerange(3, 8192)
    echoes()


def numbers_taken():
    echoes()
    file = tempfile.TemporaryFile()
    file.write(b"precious")
    file.flush()
    is_file = os.fstat(file.fileno()).st_ino
    for _ in range(10):
        others = {int(number) for number in os.listdir("/proc/self/fd")} - {0, 1, 2, file.fileno()}
        taken = [number for number in sorted(others) if number > 64] + [1000, 1030]
        for number in taken:
            os.dup2(file.fileno(), number)
        echoes()
        for number in taken:
            assert os.fstat(number).st_ino == is_file and os.pread(number, 100, 0) == b"precious"


def few_numbers():
    resource.setrlimit(resource.RLIMIT_NOFILE, (32, 32))
    for _ in range(3):
        echoes()
        sockets = []
        try:
            while True:
                sockets.append(socket.socket(FAMILY))
        except OSError as error:
            assert error.errno == errno.EMFILE, error
        assert 20 < len(sockets) < 32
        numbers = [s.fileno() for s in sockets]
        assert numbers == sorted(numbers)
        for s in sockets:
            s.close()


def fork_and_go_on_together():
    echoes()
    shared = bound()
    name = shared.getsockname()
    children = []
    for _ in range(3):
        child = os.fork()
        if child == 0:
            try:
                ask(300)
                echoes(b"child")
                assert shared.getsockname() == name
                grandchild = os.fork()
                if grandchild == 0:
                    ask(50)
                    os._exit(0)
                ask(50)
                assert os.waitpid(grandchild, 0)[1] == 0
            except BaseException as error:
                print(f"in the child: {error!r}", file=sys.stderr)
                os._exit(1)
            os._exit(0)
        children.append(child)
    ask(300)
    echoes(b"parent")
    assert all(os.waitpid(child, 0)[1] == 0 for child in children)
    ask(10)


def many_threads():
    failed = []

    def work():
        try:
            ask(200)
            for _ in range(10):
                echoes(os.urandom(1000))
        except BaseException as error:
            failed.append(error)

    workers = [threading.Thread(target=work) for _ in range(12)]
    [worker.start() for worker in workers]
    # Children of a process of which other threads are in the middle of a call.
    for _ in range(10):
        child = os.fork()
        if child == 0:
            ask(5)
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
    [worker.join() for worker in workers]
    assert not failed, failed


NODELAY = (socket.IPPROTO_TCP, socket.TCP_NODELAY)
CORK = (socket.IPPROTO_TCP, socket.TCP_CORK)


def what_was_said_is_read():
    """Who asks for an option gets what was set last, whoever set it, and on whichever connections all that travels."""
    sockets = [bound() for _ in range(4)]
    to_child, to_parent = os.pipe(), os.pipe()
    sys.setswitchinterval(1e-4)
    child = os.fork()
    if child == 0:
        try:
            for turn in range(240):
                os.read(to_child[0], 1)
                s = sockets[turn % 4]
                assert s.getsockopt(*NODELAY) == turn // 4 % 2, f"stale in turn {turn}"
                s.setsockopt(*NODELAY, turn // 4 % 2 ^ 1)
                os.write(to_parent[1], b".")
        except BaseException as error:
            print(f"in the child: {error!r}", file=sys.stderr)
            os._exit(1)
        os._exit(0)
    os.close(to_parent[1])
    failed, over = [], threading.Event()

    def disturb():
        """Has the kept connections in use, so that what is set and what is asked go by different ones."""
        try:
            s, turn = bound(), 0
            while not over.is_set():
                turn += 1
                s.setsockopt(*NODELAY, turn & 1)
                assert s.getsockopt(*NODELAY) == turn & 1
        except BaseException as error:
            failed.append(error)

    others = [threading.Thread(target=disturb) for _ in range(3)]
    [other.start() for other in others]
    for turn in range(240):
        s, value = sockets[turn % 4], turn // 4 % 2
        for again in (value ^ 1, value, value ^ 1, value):
            s.setsockopt(*NODELAY, again)
        os.write(to_child[1], b".")
        assert os.read(to_parent[0], 1), "the child is gone"
        assert s.getsockopt(*NODELAY) == value ^ 1, f"stale in turn {turn}"
    over.set()
    [other.join() for other in others]
    assert os.waitpid(child, 0)[1] == 0 and not failed, failed


def corks_are_pulled():
    """A cork holds data back for a fifth of a second: whoever is busy may once take as long, but not again and again."""
    sockets = [socket.create_connection(ECHO[:2], PATIENCE) for _ in range(3)]
    held = 0
    for turn in range(1500):
        s, began = sockets[turn % 3], time.monotonic()
        s.setsockopt(*CORK, 1)
        s.sendall(b"he")
        if turn % 5 == 0:
            os.sched_yield()
        s.sendall(b"llo")
        if turn % 3 == 0:
            # Whoever holds the data has fallen asleep with them, and must be woken up.
            time.sleep(0.001)
        s.setsockopt(*CORK, 0)
        # What stands before a cork that was pulled is gone, even if another one is put on at once.
        if turn % 2:
            s.setsockopt(*CORK, 1)
        got = b""
        while got != b"hello":
            piece = s.recv(5 - len(got))
            assert piece
            got += piece
        held += time.monotonic() - began > 0.19
        if turn % 10 < 2:
            assert s.getsockopt(*CORK) == turn % 2
    assert held < 100, f"{held} times"


def said_in_one_breath():
    """More than anything between program and node holds, about more sockets than one remembers at a time."""
    sockets = [bound() for _ in range(200)]
    for turn in range(150):
        for number, s in enumerate(sockets):
            s.setsockopt(*NODELAY, (number ^ turn) & 1)
    assert [s.getsockopt(*NODELAY) for s in sockets] == [(number ^ turn) & 1 for number in range(200)]


def said_before_the_connection_is_gone():
    """The program closes what it does not know, and what was said on it is not lost; wrong values are refused all the while."""
    s = bound()
    for turn in range(300):
        s.setsockopt(*NODELAY, 1 - turn % 2)
        s.setsockopt(*NODELAY, turn % 2)
        if turn % 6 == 5:
            os.closerange(s.fileno() + 1, 8192)
        try:
            s.setsockopt(*NODELAY, b"123")
            assert False, "three bytes are no int"
        except OSError as error:
            assert error.errno == errno.EINVAL, error
        assert s.getsockopt(*NODELAY) == turn % 2, f"stale in turn {turn}"


def another_user():
    """What a program may do is what it may do now, whatever it was when it first spoke to the node."""
    with open("/proc/self/uid_map") as numbers:
        if sum(int(line.split()[2]) for line in numbers) < 65535:
            return  # There is nobody else to become.
    low = socket.socket(FAMILY)
    low.bind((OWN, 89))
    fresh = socket.socket(FAMILY)
    os.seteuid(65534)
    assert refused(fresh) == errno.EACCES
    os.seteuid(0)
    assert refused(fresh) is None
    fresh, other = socket.socket(FAMILY), socket.socket(FAMILY)
    child = os.fork()
    if child == 0:
        os.setresuid(65534, 65534, 65534)
        ok = refused(fresh) == errno.EACCES and refused(other, 8089) is None and other.getsockname() == at(OWN, 8089)
        os._exit(0 if ok else 1)
    assert os.waitpid(child, 0)[1] == 0
    os.setresuid(65534, 65534, 65534)
    assert refused(fresh) == errno.EACCES
    assert refused(fresh, 8090) is None and fresh.getsockname() == at(OWN, 8090)


def refused(s, port=90):
    try:
        s.bind((OWN, port))
    except OSError as error:
        return error.errno


globals()[name]()
