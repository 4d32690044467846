# Options of sockets of all kinds (SOL_SOCKET, SOL_UDP), one check a function. What is asserted is what Linux does.
# Arguments: the check's name, own address, the peer's address. The peer runs sockets_peer.py.
import ctypes, errno, fcntl, os, select, socket, struct, sys, time
from socket import AF_INET, AF_INET6, IPPROTO_IP, IPPROTO_IPV6, IPPROTO_TCP, IPPROTO_UDP, SO_REUSEPORT, SOCK_DGRAM, SOCK_RAW
from socket import SOCK_STREAM, SOL_SOCKET

import json

name, OWN, PEER, SUBJECT = sys.argv[1:5]
IPV6 = ":" in PEER
FAMILY, ANY, LOOPBACK = (AF_INET6, "::", "::1") if IPV6 else (AF_INET, "0.0.0.0", "127.0.0.1")
PATIENCE = 30
SO_ATTACH_FILTER, SO_DETACH_FILTER, SO_LOCK_FILTER, SO_ATTACH_BPF = 26, 27, 44, 50
SO_ATTACH_REUSEPORT_CBPF, SO_ATTACH_REUSEPORT_EBPF, SO_DETACH_REUSEPORT_BPF = 51, 52, 68
NET = 0xFFF00000


def at(address, port):
    """A name as Python tells it."""
    return (address, port, 0, 0) if IPV6 else (address, port)


class Orders:
    def __init__(self):
        self.lines = socket.create_connection((PEER, 7100), timeout=PATIENCE).makefile("rw", buffering=1)

    def __call__(self, code):
        self.lines.write(json.dumps(code) + "\n")
        answer = json.loads(self.lines.readline())
        if isinstance(answer, dict):
            assert "error" not in answer, answer
            return bytes.fromhex(answer["hex"])
        return answer


peer = Orders()


def fails(code, call, *arguments):
    try:
        result = call(*arguments)
    except OSError as error:
        assert error.errno == code, f"{errno.errorcode.get(error.errno, error)} instead of {errno.errorcode[code]}"
        return
    raise AssertionError(f"{errno.errorcode[code]} was expected, and {result!r} came")


def exactly(s, count):
    data = b""
    while len(data) < count:
        piece = s.recv(count - len(data))
        assert piece, f"the end after {len(data)} of {count} bytes"
        data += piece
    return data


def program(s, *instructions, option=SO_ATTACH_FILTER):
    """Attaches instructions: each is code, jump if true, jump if false, constant."""
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *one) for one in instructions))
    s.setsockopt(SOL_SOCKET, option, struct.pack("HxxxxxxP", len(instructions), ctypes.addressof(code)))


def ret(value):
    return (0x06, 0, 0, value)


RETURN_A = (0x16, 0, 0, 0)


def datagrams(port=0, share=False, kind=SOCK_DGRAM, protocol=0):
    s = socket.socket(FAMILY, kind, protocol)
    if share:
        s.setsockopt(SOL_SOCKET, SO_REUSEPORT, 1)
    s.settimeout(PATIENCE)
    s.bind(at(ANY, port))
    return s


def listening(port, share=False):
    s = socket.socket(FAMILY)
    s.setsockopt(SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if share:
        s.setsockopt(SOL_SOCKET, SO_REUSEPORT, 1)
    s.settimeout(PATIENCE)
    s.bind(at(ANY, port))
    s.listen()
    return s


def connection(port):
    """One that the peer has made, named `c` there."""
    with listening(port) as listener:
        peer(f"c = socket.create_connection((subject, {port}))")
        s = listener.accept()[0]
    s.settimeout(PATIENCE)
    return s


# Filters.


def filter_on_a_stream():
    s = connection(8001)
    # Payload that begins with x is for nobody: the header's length is the fourth part of the high half of byte 12.
    program(
        s,
        (0x30, 0, 0, 12),  # ldb [12]
        (0x54, 0, 0, 0xF0),  # and #0xf0
        (0x74, 0, 0, 2),  # rsh #2
        (0x07, 0, 0, 0),  # tax
        (0x50, 0, 0, 0),  # ldb [x]
        (0x15, 0, 1, ord("x")),  # jeq #'x', next, keep
        ret(0),
        ret(0xFFFF),
    )
    # A segment without payload has no such byte, and a load from where nothing is drops it.
    peer("c.sendall(b'yes')")
    assert exactly(s, 3) == b"yes"
    peer("c.sendall(b'x')")
    peer("wait_for(lambda: retransmitted(c) > 1)")
    s.setblocking(False)
    fails(errno.EAGAIN, s.recv, 1)
    s.setblocking(True)
    s.setsockopt(SOL_SOCKET, SO_DETACH_FILTER, 0)
    assert exactly(s, 1) == b"x", "it comes again until it is taken"
    fails(errno.ENOENT, s.setsockopt, SOL_SOCKET, SO_DETACH_FILTER, 0)
    s.sendall(b"answer")
    assert peer("c.recv(6)") == b"answer"


def filter_trims_a_segment():
    s = connection(8002)
    # Timestamps are in each header.
    program(s, ret(32 + 3))
    peer("c.sendall(b'abcdefg')")
    assert exactly(s, 7) == b"abcdefg", "what was cut off came again"
    assert peer("retransmitted(c)") > 0
    # A header is never cut.
    program(s, ret(1))
    s.sendall(b"0123456789")
    assert peer("c.recv(10)") == b"0123456789"
    peer("wait_for(lambda: struct.unpack('i', __import__('fcntl').ioctl(c, 0x5411, bytes(4)))[0] == 0)")


def filter_on_a_listener():
    listener = listening(8003)
    # Whom a SYN is from: the first two bytes.
    program(listener, (0x28, 0, 0, 0), (0x15, 0, 1, 7201), ret(0), ret(0xFFFF))
    peer("a = connecting(7201, 8003)")
    peer("b = connecting(7202, 8003)")
    accepted, remote = listener.accept()
    assert remote[1] == 7202
    peer("wait_for(lambda: retransmitted(a) > 0)")
    listener.setblocking(False)
    fails(errno.EAGAIN, listener.accept)
    listener.settimeout(PATIENCE)
    # It has come along to the connection, where it looks at the same bytes.
    assert len(accepted.getsockopt(SOL_SOCKET, SO_ATTACH_FILTER, 32)) >= 4
    accepted.setsockopt(SOL_SOCKET, SO_DETACH_FILTER, 0)
    listener.setsockopt(SOL_SOCKET, SO_LOCK_FILTER, 1)
    fails(errno.EPERM, listener.setsockopt, SOL_SOCKET, SO_DETACH_FILTER, 0)
    fails(errno.EPERM, listener.setsockopt, SOL_SOCKET, SO_LOCK_FILTER, 0)
    peer("d = connecting(7203, 8003)")
    accepted, remote = listener.accept()
    assert remote[1] == 7203
    fails(errno.EPERM, accepted.setsockopt, SOL_SOCKET, SO_DETACH_FILTER, 0)
    assert accepted.getsockopt(SOL_SOCKET, SO_LOCK_FILTER) == 1


def program_chooses_among_datagrams():
    choose = [(0x20, 0, 0, 0), RETURN_A]  # ld [0]: the first word of the payload
    sockets = [datagrams(8004, share=True) for _ in range(3)]
    program(sockets[1], *choose, option=SO_ATTACH_REUSEPORT_CBPF)
    peer("u = socket.socket(FAMILY, socket.SOCK_DGRAM)")

    def got(word):
        peer(f"u.sendto(struct.pack('!I', {word}), at(subject, 8004))")
        ready = select.select(sockets, [], [], PATIENCE)[0]
        assert len(ready) == 1
        assert struct.unpack("!I", ready[0].recv(100)) == (word,)
        return sockets.index(ready[0])

    assert [got(word) for word in (0, 1, 2, 1, 0)] == [0, 1, 2, 1, 0]
    by_hash = got(7)
    assert by_hash in (0, 1, 2) and got(0xFFFFFFFF) == by_hash, "what names nobody goes by the hash"
    # One that joins has it, too.
    sockets.append(datagrams(8004, share=True))
    assert got(3) == 3
    # The last takes the number of one that goes.
    sockets.pop(0).close()
    assert [got(word) for word in (0, 1, 2)] == [2, 0, 1]
    sockets[2].setsockopt(SOL_SOCKET, SO_DETACH_REUSEPORT_BPF, 0)
    assert got(0) == got(1) == got(2)
    fails(errno.ENOENT, sockets[0].setsockopt, SOL_SOCKET, SO_DETACH_REUSEPORT_BPF, 0)
    # Before it is bound; who shares with others has theirs.
    early = socket.socket(FAMILY, SOCK_DGRAM)
    fails(errno.EINVAL, lambda: program(early, ret(1), option=SO_ATTACH_REUSEPORT_CBPF))
    early.setsockopt(SOL_SOCKET, SO_REUSEPORT, 1)
    program(early, ret(1), option=SO_ATTACH_REUSEPORT_CBPF)
    early.bind(at(ANY, 8005))
    second = datagrams(8005, share=True)
    peer("u.sendto(b'x', at(subject, 8005))")
    assert second.recv(10) == b"x"
    alone = datagrams(8006)
    fails(errno.EINVAL, lambda: program(alone, *choose, option=SO_ATTACH_REUSEPORT_CBPF))
    fails(errno.EINVAL, alone.setsockopt, SOL_SOCKET, SO_DETACH_REUSEPORT_BPF, 0)
    fails(errno.EINVAL, lambda: program(sockets[0], (0xFFFF, 0, 0, 0), option=SO_ATTACH_REUSEPORT_CBPF))
    sockets[0].setsockopt(SOL_SOCKET, SO_LOCK_FILTER, 1)
    fails(errno.EPERM, lambda: program(sockets[0], *choose, option=SO_ATTACH_REUSEPORT_CBPF))


def program_chooses_among_listeners():
    listeners = [listening(8007, share=True) for _ in range(3)]
    # The peer's port, behind an IP header without options.
    program(listeners[0], (0x28, 0, 0, NET + (40 if IPV6 else 20)), (0x94, 0, 0, 10), RETURN_A, option=SO_ATTACH_REUSEPORT_CBPF)

    def got(port):
        peer(f"e = connecting({port}, 8007)")
        ready = select.select(listeners, [], [], PATIENCE)[0]
        assert len(ready) == 1
        accepted, remote = ready[0].accept()
        assert remote[1] == port
        accepted.close()
        return listeners.index(ready[0])

    assert [got(port) for port in (7300, 7301, 7302, 7311)] == [0, 1, 2, 1]
    assert got(7309) in (0, 1, 2)
    listeners.pop(0).close()
    assert [got(port) for port in (7320, 7321)] == [1, 0]
    listeners[0].setsockopt(SOL_SOCKET, SO_DETACH_REUSEPORT_BPF, 0)
    fails(errno.ENOENT, listeners[1].setsockopt, SOL_SOCKET, SO_DETACH_REUSEPORT_BPF, 0)
    assert got(7330) in (0, 1)


def programs_of_the_other_machine_are_refused():
    refusals = [errno.ENOPROTOOPT] if SUBJECT == "sockeye" else [errno.EBADF, errno.EINVAL, errno.EPERM]
    for s in (datagrams(), socket.socket(FAMILY)):
        for option in (SO_ATTACH_BPF, SO_ATTACH_REUSEPORT_EBPF):
            try:
                s.setsockopt(SOL_SOCKET, option, 0)
            except OSError as error:
                assert error.errno in refusals, error
            else:
                raise AssertionError("taken")


globals()[name]()
