"""Netlink sockets by hand. Arguments: a function's name, "kernel" or "node", the subject's address, the peer's."""

import array
import errno
import fcntl
import os
import select
import socket
import struct
import sys

WHAT, SUBJECT, PEER = sys.argv[2:5]
NODE = WHAT == 'node'
AF_NETLINK, SOL_NETLINK, ROUTE = 16, 270, 0
REQUEST, MULTI, ACK, DUMP = 1, 2, 4, 0x300
ERROR, DONE = 2, 3
GETLINK, NEWLINK, GETADDR, GETROUTE = 18, 16, 22, 26
LINK = bytes(16)
LINK_GROUP, ADDRESS_GROUP, ROUTE_GROUP = 1, 5, 7


def opened(kind=socket.SOCK_RAW, bound=True):
    made = socket.socket(AF_NETLINK, kind, ROUTE)
    made.settimeout(20)
    if bound:
        made.bind((0, 0))
    return made


def refused(number, call, *arguments):
    try:
        call(*arguments)
    except OSError as error:
        assert error.errno == number, (error, errno.errorcode[number])
    else:
        raise AssertionError('was not refused')


def message(kind, flags, body=LINK, sequence=77):
    return struct.pack('IHHII', 16 + len(body), kind, flags, sequence, 0) + body


def split(data):
    """(type, flags, sequence, port, body) of each message."""
    while data:
        length, kind, flags, sequence, port = struct.unpack_from('IHHII', data)
        yield kind, flags, sequence, port, data[16:length]
        data = data[length + 3 & ~3:]


def attributes(data):
    found = {}
    while data:
        length, kind = struct.unpack_from('HH', data)
        found[kind & 0x3fff] = data[4:length]
        data = data[length + 3 & ~3:]
    return found


def dump(made, kind, body=LINK):
    made.send(message(kind, REQUEST | DUMP, body))
    got = []
    while not got or got[-1][0] not in (DONE, ERROR):
        got += split(made.recv(65536))
    return got


def error_of(made):
    (kind, flags, sequence, _, body), = split(made.recv(65536))
    assert (kind, sequence) == (ERROR, 77), (kind, sequence)
    return -struct.unpack_from('i', body)[0], flags, body[4:]


def netlink_sockets_have_addresses():
    for kind in (socket.SOCK_RAW, socket.SOCK_DGRAM):
        fresh = opened(kind, bound=False)
        assert fresh.getsockname() == (0, 0)
        one, two = opened(kind), opened(kind)
        names = [made.getsockname() for made in (one, two)]
        assert names[0][0] and names[1][0] and names[0] != names[1] and names[0][1] == 0, names
        refused(errno.EINVAL, one.bind, (0, 0))
        one.bind(names[0])
        refused(errno.EINVAL, one.bind, (names[0][0] + 1, 0))
        refused(errno.EADDRINUSE, fresh.bind, names[0])
        # Who asks is bound by asking, and answers bear the port.
        fresh.send(message(GETLINK, REQUEST | DUMP))
        data, sender = fresh.recvfrom(65536)
        assert sender == (0, 0) and {port for *_, port, _ in split(data)} == {fresh.getsockname()[0]}
        one.close()
        two.close()
        again = opened(kind, bound=False)
        again.bind(names[0])
        again.sendto(message(GETADDR, REQUEST | DUMP), (0, 0))
        assert again.recv(65536)
        # Nobody is there.
        refused(errno.ECONNREFUSED, again.sendto, message(GETLINK, REQUEST | DUMP), (4_000_000_000, 0))
        assert again.getpeername() == (0, 0)
        again.connect((0, 0))
        again.send(message(GETADDR, REQUEST | DUMP))
        refused(errno.EOPNOTSUPP, again.listen)
        refused(errno.EOPNOTSUPP, again.shutdown, socket.SHUT_RDWR)
        assert again.recv(65536)
        facts = [again.getsockopt(socket.SOL_SOCKET, name) for name in (socket.SO_TYPE, socket.SO_DOMAIN, socket.SO_PROTOCOL)]
        assert facts == [kind, AF_NETLINK, ROUTE], facts
    refused(errno.ESOCKTNOSUPPORT, socket.socket, AF_NETLINK, socket.SOCK_STREAM, ROUTE)


def netlink_answers_wait_to_be_read():
    made = opened()
    made.setblocking(False)
    refused(errno.EAGAIN, made.recv, 100)
    # It is there when the call returns.
    made.send(message(GETLINK, REQUEST, struct.pack('BxHiII', 0, 0, 1, 0, 0)))
    length = made.recv_into(bytearray(1), 1, socket.MSG_PEEK | socket.MSG_TRUNC)
    waiting = array.array('i', [0])
    if NODE:
        fcntl.ioctl(made, 0x541b, waiting)
        assert waiting[0] == length, (waiting, length)
    data, list, flags, sender = made.recvmsg(100, 100, socket.MSG_PEEK)
    assert len(data) == 100 and flags & socket.MSG_TRUNC and list == [] and sender == (0, 0)
    halves = [bytearray(50), bytearray(60_000)]
    got, _, flags, _ = made.recvmsg_into(halves)
    assert got == length and not flags & socket.MSG_TRUNC
    (kind, flags, sequence, _, body), = split(bytes(halves[0] + halves[1])[:got])
    assert (kind, flags, sequence) == (NEWLINK, 0, 77)
    assert struct.unpack_from('=BxHi', body) == (0, 772, 1) and attributes(body[16:])[3] == b'lo\0'
    refused(errno.EAGAIN, made.recv, 100)
    # Several requests in one message; a length that lies ends them.
    both = message(GETLINK, REQUEST | ACK, struct.pack('BxHiII', 0, 0, 1, 0, 0), 1) + message(9, REQUEST | ACK, b'1234', 2)
    made.send(both + struct.pack('IHHII', 15, GETLINK, REQUEST, 3, 0))
    got = []
    while len(got) < 3:
        got += [(kind, sequence) for kind, _, sequence, _, _ in split(made.recv(65536))]
    assert got == [(NEWLINK, 1), (ERROR, 1), (ERROR, 2)], got
    refused(errno.ENODATA, made.send, b'')
    for nothing in (b'short', message(GETLINK, REQUEST, b''), message(GETLINK, 0), message(GETADDR, 0)):
        made.send(nothing)
        refused(errno.EAGAIN, made.recv, 100)


def netlink_sockets_are_descriptors():
    made = opened()
    poll = select.poll()
    poll.register(made, select.POLLIN)
    assert poll.poll(0) == []
    other = made.dup()
    made.send(message(GETADDR, REQUEST | DUMP, bytes([socket.AF_INET]) + bytes(7)))
    assert poll.poll(20_000) == [(made.fileno(), select.POLLIN)]
    edge = select.epoll()
    edge.register(other, select.EPOLLIN | select.EPOLLET)
    assert edge.poll(20) and select.select([other], [], [], 20)[0]
    child = os.fork()
    if not child:
        # It is the parent's question, and the child that reads.
        seen = [socket.inet_ntoa(attributes(body[8:])[1]) for kind, *_, body in split(other.recv(65536)) if kind == 20]
        os._exit(0 if SUBJECT in seen and '127.0.0.1' in seen else 1)
    assert os.waitpid(child, 0)[1] == 0
    # The end is in the same datagram or in one of its own.
    made.setblocking(False)
    try:
        while True:
            made.recv(65536)
    except BlockingIOError:
        pass
    made.settimeout(20)
    child = os.fork()
    if not child:
        os.write(other.fileno(), message(GETLINK, REQUEST | DUMP, sequence=99))
        os._exit(0)
    os.waitpid(child, 0)
    assert {sequence for _, _, sequence, _, _ in split(os.read(made.fileno(), 65536))} == {99}
    # By way of exec, in a program that was not there when it was made.
    other.set_inheritable(True)
    ask = 'import os, sys; os.write(int(sys.argv[1]), bytes.fromhex(sys.argv[2])); os.read(int(sys.argv[1]), 100)'
    arguments = [sys.executable, '-c', ask, str(other.fileno()), message(GETLINK, REQUEST | DUMP, sequence=101).hex()]
    child = os.fork()
    if not child:
        os.execv(sys.executable, arguments)
    assert os.waitpid(child, 0)[1] == 0


def netlink_errors_say_what_is_wrong():
    made = opened()
    # No such type; no such interface.
    unknown = message(1000, REQUEST, b'1234')
    made.send(unknown)
    assert error_of(made) == (errno.EOPNOTSUPP, 0, unknown)
    # Also of what is longer than the buffer.
    long = message(1000, REQUEST, bytes(50_000))
    small = opened()
    small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    small.send(long)
    assert error_of(small) == (errno.EOPNOTSUPP, 0, long)
    assert dump(small, GETLINK)[-1][0] == DONE
    absent = message(GETLINK, REQUEST, struct.pack('BxHiII', 0, 0, 4711, 0, 0))
    made.send(absent)
    number, flags, rest = error_of(made)
    assert number == errno.ENODEV and rest[:len(absent)] == absent, (number, flags, rest)
    made.send(message(GETLINK, REQUEST, struct.pack('BxHiII', 0, 0, 0, 0, 0)))
    assert error_of(made)[0] == errno.EINVAL
    # Only the header comes back, and a word along with it.
    made.setsockopt(SOL_NETLINK, 10, 1)
    made.setsockopt(SOL_NETLINK, 11, 1)
    made.send(unknown)
    number, flags, rest = error_of(made)
    assert number == errno.EOPNOTSUPP and flags & 0x100 and rest[:16] == unknown[:16], (flags, rest)
    if NODE:
        assert flags & 0x200 and attributes(rest[16:])[1] == b'the node has nothing of that kind\0', rest
    made.setsockopt(SOL_NETLINK, 10, 0)
    nowhere = struct.pack('BBBBBBBBI', socket.AF_INET, 32, 0, 0, 0, 0, 0, 0, 0) + struct.pack('HH', 8, 1) + bytes([203, 0, 113, 1])
    made.send(message(GETROUTE, REQUEST, nowhere))
    assert error_of(made)[0] == errno.ENETUNREACH
    # Others may read, and change nothing.
    child = os.fork()
    if not child:
        try:
            os.setresuid(65534, 65534, 65534)
        except OSError:
            os._exit(0)
        theirs = opened()
        theirs.send(message(NEWLINK, REQUEST | ACK, struct.pack('BxHiII', 0, 0, 1, 0, 0)))
        os._exit(0 if error_of(theirs)[0] == errno.EPERM and dump(theirs, GETLINK)[-1][0] == DONE else 1)
    assert os.waitpid(child, 0)[1] == 0
    if NODE:
        made.send(message(NEWLINK, REQUEST | ACK, struct.pack('BxHiII', 0, 0, 1, 0, 0)))
        assert error_of(made)[0] == errno.EOPNOTSUPP


def netlink_options():
    made = opened()
    for name in (3, 5, 10, 11, 12):
        assert made.getsockopt(SOL_NETLINK, name) == 0
        made.setsockopt(SOL_NETLINK, name, 1)
        assert made.getsockopt(SOL_NETLINK, name) == 1
    refused(errno.ENOPROTOOPT, made.setsockopt, SOL_NETLINK, 99, 1)
    made.setsockopt(SOL_NETLINK, 11, b'1')
    assert made.getsockopt(SOL_NETLINK, 11) == 0
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 100_000)
    assert made.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) == 200_000
    made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 32768)
    # NETLINK_PKTINFO: of which group it was.
    made.send(message(GETLINK, REQUEST | DUMP))
    data, list, flags, _ = made.recvmsg(65536, 100)
    assert list == [(SOL_NETLINK, 3, bytes(4))] and flags & ~0x80000000 == 0, (list, flags)
    while [kind for kind, *_ in split(data)][-1] != DONE:
        data = made.recv(65536)
    # NETLINK_GET_STRICT_CHK: what a dump says is meant.
    got = dump(made, GETADDR, struct.pack('BBBBi', socket.AF_INET, 0, 0, 0, 1))
    assert [struct.unpack_from('I', body, 4)[0] for kind, *_, body in got if kind == 20] == [1], got
    assert all(flags & (MULTI | 0x20) == MULTI | 0x20 for kind, flags, *_ in got if kind == 20)
    # What is not heeded is refused, at the end of nothing.
    of_addresses, of_routes, of_neighbours = struct.Struct('=BBBBI'), struct.Struct('=8BI'), struct.Struct('=BBHiHBB')
    index = lambda kind, value: struct.pack('=HHI', 8, kind, value)
    for kind, body, wrong in (
        (GETADDR, of_addresses.pack(0, 0, 0, 0, 9999), errno.ENODEV),
        (GETADDR, of_addresses.pack(2, 0, 0, 0, 0xffffffff), errno.ENODEV),
        (GETADDR, of_addresses.pack(10, 0, 0, 0, 9999), errno.ENODEV),
        (GETADDR, of_addresses.pack(2, 8, 0, 0, 0), errno.EINVAL),
        (GETADDR, of_addresses.pack(2, 0, 0, 0, 0) + index(1, 5), errno.EINVAL),
        (GETADDR, of_addresses.pack(2, 0, 0, 0, 0) + bytes(2), errno.EINVAL),
        (GETADDR, bytes(3), errno.EINVAL),
        (GETLINK, bytes(15), errno.EINVAL),
        (GETLINK, struct.pack('=BBHiII', 0, 0, 0, 1, 0, 0), errno.EINVAL),
        (GETLINK, LINK[:1] + bytes(15) + index(4, 5), errno.EINVAL),
        (GETROUTE, of_routes.pack(2, 0, 0, 0, 100, 0, 0, 0, 0), errno.ENOENT),
        (GETROUTE, of_routes.pack(0, 0, 0, 0, 100, 0, 0, 0, 0), 0),
        (GETROUTE, of_routes.pack(2, 8, 0, 0, 0, 0, 0, 0, 0), errno.EINVAL),
        (GETROUTE, of_routes.pack(2, 0, 0, 0, 0, 0, 0, 0, 4), errno.EINVAL),
        (GETROUTE, of_routes.pack(2, 0, 0, 0, 0, 0, 0, 0, 0) + index(4, 9999), errno.ENODEV),
        (GETROUTE, of_routes.pack(2, 0, 0, 0, 0, 0, 0, 0, 0) + struct.pack('=HHHH', 6, 4, 1, 0), errno.ERANGE),
        (30, of_neighbours.pack(2, 0, 0, 5, 0, 0, 0), errno.EINVAL),
        (30, of_neighbours.pack(2, 0, 0, 0, 0, 1, 0), errno.EINVAL),
        (30, of_neighbours.pack(2, 0, 0, 0, 0, 0, 0) + index(8, 9999), 0),
        (34, of_routes.pack(2, 0, 0, 0, 5, 0, 0, 0, 0), errno.EINVAL),
        (34, of_routes.pack(99, 0, 0, 0, 0, 0, 0, 0, 0), errno.EAFNOSUPPORT),
    ):
        (ended, _, _, _, end), = dump(made, kind, body)
        assert (ended, struct.unpack_from('i', end)[0]) == (DONE, -wrong), (kind, body, end)
    everything = len(dump(made, GETADDR, of_addresses.pack(0, 0, 0, 0, 0)))
    assert len(dump(made, GETADDR, of_addresses.pack(99, 0, 0, 0, 0))) == everything
    made.setsockopt(SOL_NETLINK, 12, 0)
    got = dump(made, GETADDR, struct.pack('BBBBi', socket.AF_INET, 0, 0, 0, 1))
    assert len([1 for kind, *_ in got if kind == 20]) == 2, got


def netlink_questions_about_one():
    v6 = struct.pack('16s', socket.inet_pton(socket.AF_INET6, 'fd09::2'))
    attribute = lambda kind, value: struct.pack('HH', 4 + len(value), kind) + value + bytes(-len(value) % 4)
    link = lambda *fixed: struct.pack('=BBHiII', *fixed)
    loopback = link(0, 0, 0, 1, 0, 0)
    asked = opened()
    strict = opened()
    strict.setsockopt(SOL_NETLINK, 12, 1)

    def ask(made, kind, body):
        made.send(message(kind, REQUEST, body))
        (kind, _, sequence, _, body), = split(made.recv(65536))
        assert sequence == 77
        return (errno.errorcode[-struct.unpack_from('i', body)[0]], None) if kind == ERROR else (kind, body)

    # On a strict socket each byte is heeded, or zero.
    for body, wrong in (
        (link(2, 0, 0, 1, 0, 0), None), (link(0, 1, 0, 1, 0, 0), 'EINVAL'), (link(0, 0, 1, 1, 0, 0), 'EINVAL'),
        (link(0, 0, 0, 1, 1, 0), 'EINVAL'), (link(0, 0, 0, 1, 0, 1), 'EINVAL'), (loopback + b'12', 'EINVAL'),
        (loopback + attribute(1, b'123456'), 'EINVAL'), (loopback + attribute(29, bytes(4)), None),
        (LINK + attribute(3, b'lo\0'), None), (LINK + attribute(53, b'lo\0'), None),
    ):
        assert ask(asked, GETLINK, body)[0] == NEWLINK, body
        assert ask(strict, GETLINK, body)[0] == (wrong or NEWLINK), body
    for made in (asked, strict):
        assert ask(made, GETLINK, bytes(15))[0] == ask(made, GETLINK, loopback[:12])[0] == 'EINVAL'
        # An address, of IPv6 only.
        index = socket.if_nametoindex('veth0')
        address = lambda length, index, *more: bytes([socket.AF_INET6, length, 0, 0]) + struct.pack('I', index) + b''.join(more)
        for body in (address(0, 0, attribute(1, v6)), address(0, index, attribute(2, v6)), address(0, 99, attribute(1, v6))):
            kind, told = ask(made, GETADDR, body)
            assert (kind, told[:2], struct.unpack_from('I', told, 4)[0], attributes(told[8:])[1]) == (20, b'\n@', index, v6), told
        for body, wrong in (
            (address(0, 0), 'EINVAL'), (address(0, 1, attribute(1, v6)), 'EADDRNOTAVAIL'),
            (address(0, 0, attribute(1, v6[:-1] + b'w')), 'EADDRNOTAVAIL'), (address(0, 0, attribute(1, v6[:3])), 'ERANGE'),
            (address(0, 0)[:6], 'EINVAL'), (bytes(8), 'ENOTSUP'), (bytes([socket.AF_INET]) + bytes(7), 'ENOTSUP'),
        ):
            assert ask(made, GETADDR, body)[0] == wrong, (body, wrong)
        # Without a destination: over IPv4 the way to ourselves.
        way = lambda family, *more: bytes([family, 32 if more and more[0][2] == 1 else 0]) + bytes(10) + b''.join(more)
        own, nobody = socket.inet_aton(SUBJECT), bytes(4)
        for more, source in (((), b'\x7f\0\0\1'), ((attribute(1, nobody),), b'\x7f\0\0\1'), ((attribute(4, struct.pack('I', index)),), own)):
            kind, told = ask(made, GETROUTE, way(socket.AF_INET, *more))
            found = attributes(told[12:])
            assert (kind, told[:2], told[7], found[1], found[4], found[7]) == (24, b'\2 ', 2, nobody, struct.pack('I', 1), source), told
        for body, wrong in (
            (way(socket.AF_INET6), 'ENETUNREACH'), (way(0), 'ENOTSUP'), (way(99), 'ENOTSUP'), (way(socket.AF_INET)[:8], 'EINVAL'),
        ):
            assert ask(made, GETROUTE, body)[0] == wrong, (body, wrong)
    kind, told = ask(asked, GETROUTE, bytes([socket.AF_INET, 0, 32]) + bytes(9) + attribute(2, socket.inet_aton(SUBJECT)))
    assert kind == 24 and attributes(told[12:])[2] == socket.inet_aton(SUBJECT), told
    assert ask(strict, GETADDR, address(64, index, attribute(1, v6)))[0] == ask(strict, GETADDR, address(0, 0, attribute(8, bytes(4)), attribute(1, v6)))[0] == 'EINVAL'


def heard(made, group, kind, what):
    """The next message of that type that has this attribute, among what a group is told."""
    while True:
        data, list, _, sender = made.recvmsg(65536, 200)
        assert sender == (0, 1 << group - 1), sender
        assert (socket.SOL_SOCKET, socket.SCM_CREDENTIALS, bytes(12)) in list, list
        assert (SOL_NETLINK, 3, struct.pack('I', group)) in list, list
        for found, flags, sequence, port, body in split(data):
            assert (flags & MULTI, sequence) == (0, 0), (flags, sequence)
            if found == kind and what in attributes(body[{LINK_GROUP: 16, ADDRESS_GROUP: 8, ROUTE_GROUP: 12}[group]:]).items():
                return body


def netlink_tells_groups_of_changes():
    groups = {group: opened(bound=False) for group in (LINK_GROUP, ADDRESS_GROUP, ROUTE_GROUP)}
    for group, made in groups.items():
        made.bind((0, 1 << group - 1))
        assert made.getsockname()[1] == 1 << group - 1
        made.setsockopt(SOL_NETLINK, 3, 1)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    plain = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    address = lambda text: struct.pack('HH4s8x', socket.AF_INET, 0, socket.inet_aton(text))
    # A route comes and goes.
    entry = struct.pack('8x16s16s16sH62x', address('198.18.0.0'), address(PEER), address('255.255.255.0'), 1 | 2)
    for call, kind in ((0x890b, 24), (0x890c, 25)):
        fcntl.ioctl(plain, call, entry)
        body = heard(groups[ROUTE_GROUP], ROUTE_GROUP, kind, (1, socket.inet_aton('198.18.0.0')))
        assert body[:2] == bytes([socket.AF_INET, 24]), body
    # An address, and the one in its place.
    fcntl.ioctl(plain, 0x8916, struct.pack('16s16s8x', b'veth0', address('10.9.0.77')))
    heard(groups[ADDRESS_GROUP], ADDRESS_GROUP, 21, (2, socket.inet_aton(SUBJECT)))
    body = heard(groups[ADDRESS_GROUP], ADDRESS_GROUP, 20, (2, socket.inet_aton('10.9.0.77')))
    assert body[0] == socket.AF_INET
    # A link that is taken down, and up again.
    flags, = struct.unpack_from('H', fcntl.ioctl(plain, 0x8913, struct.pack('16s24x', b'veth0')), 16)
    for wanted in (flags & ~1, flags | 1):
        fcntl.ioctl(plain, 0x8914, struct.pack('16sH22x', b'veth0', wanted))
        while struct.unpack_from('I', heard(groups[LINK_GROUP], LINK_GROUP, 16, (3, b'veth0\0')), 8)[0] & 1 != wanted & 1:
            pass


def netlink_groups_are_joined_and_left():
    made = opened()
    assert made.getsockname()[1] == 0
    for group in (1, 5, 33):
        made.setsockopt(SOL_NETLINK, 1, group)
    assert made.getsockname()[1] == 0x11
    assert struct.unpack_from('2I', made.getsockopt(SOL_NETLINK, 9, 100)) == (0x11, 1)
    made.setsockopt(SOL_NETLINK, 2, 5)
    assert made.getsockname()[1] == 1
    made.bind((made.getsockname()[0], 0x40))
    assert made.getsockname()[1] == 0x40
    for wrong in (0, 1000, -1):
        refused(errno.EINVAL, made.setsockopt, SOL_NETLINK, 1, wrong)
        refused(errno.EINVAL, made.setsockopt, SOL_NETLINK, 2, wrong)
    # What is asked is answered beside what is told.
    assert dump(made, GETLINK)[-1][0] == DONE


def netlink_dumps_end_in_a_datagram_of_their_own():
    made = opened()
    for kind in (GETLINK, GETADDR, GETROUTE):
        made.send(message(kind, REQUEST | DUMP))
        while DONE not in (kinds := [kind for kind, *_ in split(made.recv(65536))]):
            pass
        assert kinds == [DONE], kinds


def netlink_dumps_go_on_as_they_are_read():
    count = 3_000
    routes = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    address = lambda text: struct.pack('HH4s8x', socket.AF_INET, 0, socket.inet_aton(text))
    for number in range(count):
        to = address(f'198.18.{number >> 8}.{number & 255}')
        fcntl.ioctl(routes, 0x890b, struct.pack('8x16s16s16sH62x', to, address(PEER), address('255.255.255.255'), 1 | 2 | 4))
    made = opened()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 40_000)
    made.send(message(GETROUTE, REQUEST | DUMP, bytes([socket.AF_INET]) + bytes(11)))
    # One at a time.
    made.send(message(GETLINK, REQUEST | DUMP, sequence=78))
    found, busy, ended = set(), 0, False
    while not ended:
        data = made.recv(65536)
        assert len(data) <= 32768
        for kind, flags, sequence, _, body in split(data):
            if kind == ERROR:
                assert sequence == 78 and struct.unpack_from('i', body)[0] == -errno.EBUSY, (sequence, body)
                busy += 1
            elif kind == DONE:
                ended = True
            else:
                assert (kind, sequence, flags & MULTI) == (24, 77, MULTI)
                found.add(attributes(body[12:]).get(1))
    assert busy == 1 and sum(to is not None and to[:2] == bytes([198, 18]) for to in found) == count, (busy, len(found))
    assert dump(made, GETLINK)[-1][0] == DONE


def netlink_that_is_not_read_is_lost_with_an_error():
    made = opened()
    made.setblocking(False)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 10_000)
    for sequence in range(2_000):
        made.send(message(GETLINK, REQUEST, struct.pack('BxHiII', 0, 0, 1, 0, 0), sequence))
    read, lost = [], 0
    while True:
        try:
            read += [sequence for _, _, sequence, _, _ in split(made.recv(65536))]
        except BlockingIOError:
            break
        except OSError as error:
            assert error.errno == errno.ENOBUFS, error
            lost += 1
    assert lost == 1 and read == list(range(len(read))) and 0 < len(read) < 2_000, (lost, len(read))
    made.settimeout(20)
    assert dump(made, GETLINK)[-1][0] == DONE


def netlink_knows_one_family():
    if not NODE:
        return
    # Connections, netfilter, generic: of the node's world there is nothing in the kernel.
    for family in (4, 12, 16, 6, 99):
        refused(errno.EPROTONOSUPPORT, socket.socket, AF_NETLINK, socket.SOCK_RAW, family)
    # Nobody is told of neighbours.
    made = opened(bound=False)
    refused(errno.EOPNOTSUPP, made.bind, (0, 4))
    refused(errno.EOPNOTSUPP, made.setsockopt, SOL_NETLINK, 1, 3)


globals()[sys.argv[1]]()
