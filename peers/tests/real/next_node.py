# A program that outlives its node. Argument: the peer's address, where port 7000 echoes.
import errno, socket, sys

ECHO = (sys.argv[1], 7000)


def fails(codes, call, *arguments):
    try:
        result = call(*arguments)
    except OSError as error:
        assert error.errno in codes, error
        return
    raise AssertionError(f"an error was expected, and {result!r} came")


def echoes(s):
    s.sendall(b"echo")
    assert s.recv(100) == b"echo"


old = socket.create_connection(ECHO, timeout=30)
echoes(old)
print("connected")
assert input() == "none"
fails([errno.ENETDOWN], socket.socket)
fails([errno.ENETDOWN], old.getsockname)
print("without")
assert input() == "next"
# The new node does not know it.
fails([errno.ENOTCONN], old.getsockname)
fails([errno.ENETDOWN, errno.ECONNRESET, errno.EPIPE], old.sendall, b"lost")
for _ in range(3):
    with socket.create_connection(ECHO, timeout=30) as s:
        echoes(s)
        assert s.getpeername()[:2] == ECHO
