# Programs that are hard on what others keep in their process: they close all descriptors, put files in their places, fork, run many
# threads, change their user. Sockets go on working, and nothing of the program's is harmed. One check a function.
# Arguments: the check's name, own address, the peer's address. The peer runs calls_peer.py.
import errno, os, resource, socket, sys, tempfile, threading

name, OWN, PEER = sys.argv[1:4]
ECHO = (PEER, 7000)
PATIENCE = 30


def echoes(text=b"echo"):
    with socket.create_connection(ECHO, timeout=PATIENCE) as s:
        s.sendall(text)
        got = b""
        while len(got) < len(text):
            piece = s.recv(len(text) - len(got))
            assert piece, "the end came too early"
            got += piece
        assert got == text and s.getpeername() == ECHO


def bound():
    s = socket.socket()
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
        fresh = socket.socket()
        assert fresh.getsockname() == ("0.0.0.0", 0)
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
                sockets.append(socket.socket())
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


def another_user():
    """What a program may do is what it may do now, whatever it was when it first spoke to the node."""
    with open("/proc/self/uid_map") as numbers:
        if sum(int(line.split()[2]) for line in numbers) < 65535:
            return  # There is nobody else to become.
    low = socket.socket()
    low.bind((OWN, 89))
    fresh = socket.socket()
    os.seteuid(65534)
    assert refused(fresh) == errno.EACCES
    os.seteuid(0)
    assert refused(fresh) is None
    fresh, other = socket.socket(), socket.socket()
    child = os.fork()
    if child == 0:
        os.setresuid(65534, 65534, 65534)
        ok = refused(fresh) == errno.EACCES and refused(other, 8089) is None and other.getsockname() == (OWN, 8089)
        os._exit(0 if ok else 1)
    assert os.waitpid(child, 0)[1] == 0
    os.setresuid(65534, 65534, 65534)
    assert refused(fresh) == errno.EACCES
    assert refused(fresh, 8090) is None and fresh.getsockname() == (OWN, 8090)


def refused(s, port=90):
    try:
        s.bind((OWN, port))
    except OSError as error:
        return error.errno


globals()[name]()
