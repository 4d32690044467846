# What the scripts of the tests share; it lies beside each of them.
import errno, json, socket


def fails(code, call, *arguments):
    """The call is refused with this error."""
    try:
        result = call(*arguments)
    except OSError as error:
        assert error.errno == code, f"{errno.errorcode.get(error.errno, error)} instead of {errno.errorcode[code]}"
        return
    raise AssertionError(f"{errno.errorcode[code]} was expected, and {result!r} came")


def exactly(s, count):
    """So many bytes of a stream."""
    data = b""
    while len(data) < count:
        piece = s.recv(count - len(data))
        assert piece, f"the end after {len(data)} of {count} bytes"
        data += piece
    return data


class Orders:
    """What sockets_peer.py is to do, over a connection of its own."""

    def __init__(self, peer):
        self.lines = socket.create_connection((peer, 7100), timeout=30).makefile("rw", buffering=1)

    def __call__(self, code):
        self.lines.write(json.dumps(code) + "\n")
        answer = json.loads(self.lines.readline())
        if isinstance(answer, dict):
            assert "error" not in answer, answer
            return bytes.fromhex(answer["hex"])
        return answer
