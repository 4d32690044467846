"""Groups of packet sockets (PACKET_FANOUT). Arguments: a function's name, the subject's address, the peer's, both of one
family."""

import collections
import ctypes
import errno
import select
import socket
import struct
import sys

from common import fails

SUBJECT, PEER = sys.argv[2:4]
AF_PACKET, SOL_PACKET, ETH_P_ALL, ETH_P_IP = 17, 263, 3, 0x0800
FANOUT, ROLLOVER_STATS, DATA = 18, 21, 22
HASH, LB, CPU, ROLLOVER, RND, QM, CBPF = range(7)
IPV6 = ':' in PEER
FAMILY, LOOPBACK = (socket.AF_INET6, '::1') if IPV6 else (socket.AF_INET, '127.0.0.1')
# Where a frame has the number of what it carries, and the ports.
KIND, NEXT, PORTS = (b'\x86\xdd', 20, 54) if IPV6 else (b'\x08\x00', 23, 34)
FLAG_ROLLOVER, FLAG_UNIQUE, FLAG_INCOMING = 0x1000, 0x2000, 0x4000
OUTGOING = 4


def opened(protocol=ETH_P_ALL, name='veth0'):
    made = socket.socket(AF_PACKET, socket.SOCK_RAW, 0)
    if protocol:
        made.bind((name, protocol))
    made.setblocking(False)
    return made


def join(one, number, kind, flags=0, most=None):
    value = number | (kind | flags) << 16
    if most is None:
        one.setsockopt(SOL_PACKET, FANOUT, struct.pack('I', value))
    else:
        one.setsockopt(SOL_PACKET, FANOUT, struct.pack('II', value, most))


def group(kind, count, flags=0, number=7):
    members = [opened() for _ in range(count)]
    for member in members:
        join(member, number, kind, flags)
    return members


# What we send ourselves: its flows are known, and nobody else sends to these ports.
def send(flows, count=1):
    """Datagrams from so many ports, one after the other in each round."""
    senders = [socket.socket(FAMILY, socket.SOCK_DGRAM) for _ in range(flows)]
    for at, sender in enumerate(senders):
        sender.bind((SUBJECT, 20000 + at))
    for number in range(count):
        for sender in senders:
            sender.sendto(struct.pack('!I', number) + bytes(60), (PEER, 9999))
    # The last one has gone when this has come around.
    around = opened(name='lo')
    for sender in senders:
        sender.close()
    end = socket.socket(FAMILY, socket.SOCK_DGRAM)
    end.bind((LOOPBACK, 0))
    end.sendto(b'', end.getsockname())
    around.settimeout(20)
    around.recv(100)


def overflow(first, second):
    """Sends until the first has no more room and the second gets something. How many datagrams."""
    for sent in range(20, 2_000, 20):
        send(1, 20)
        if select.select([second], [], [], 0.02)[0]:
            return sent
    raise AssertionError('the first takes all')


def got(member):
    """Of each flow, how many datagrams."""
    flows = collections.Counter()
    while True:
        try:
            frame, sender = member.recvfrom(2000)
        except BlockingIOError:
            return flows
        if frame[12:14] == KIND and frame[NEXT] == 17:
            source, to = struct.unpack_from('!HH', frame, PORTS)
            if to == 9999:
                flows[source] += 1


def errors():
    one = opened(0)
    assert one.getsockopt(SOL_PACKET, FANOUT) == 0
    fails(errno.EINVAL, join, one, 1, HASH)
    fails(errno.EINVAL, one.setsockopt, SOL_PACKET, DATA, bytes(16))
    fails(errno.EINVAL, one.getsockopt, SOL_PACKET, ROLLOVER_STATS, 24)
    one.bind(('veth0', ETH_P_ALL))
    for kind, flags in ((8, 0), (255, 0), (ROLLOVER, FLAG_ROLLOVER)):
        fails(errno.EINVAL, join, one, 1, kind, flags)
    fails(errno.EINVAL, join, one, 1, HASH, FLAG_UNIQUE)
    fails(errno.EINVAL, join, one, 1, HASH, 0, 65537)
    for length in (0, 3, 5, 12):
        fails(errno.EINVAL, one.setsockopt, SOL_PACKET, FANOUT, bytes(length))
    join(one, 77, LB)
    assert one.getsockopt(SOL_PACKET, FANOUT) == 77 | LB << 16
    fails(errno.EALREADY, join, one, 77, LB)
    fails(errno.EALREADY, join, one, 78, HASH)
    fails(errno.EINVAL, one.bind, ('veth0', ETH_P_IP))
    fails(errno.EINVAL, one.setsockopt, SOL_PACKET, DATA, bytes(16))
    fails(errno.EINVAL, one.getsockopt, SOL_PACKET, ROLLOVER_STATS, 24)
    other = opened()
    for kind, flags in ((HASH, 0), (LB, FLAG_ROLLOVER), (LB, FLAG_INCOMING)):
        fails(errno.EINVAL, join, other, 77, kind, flags)
    fails(errno.EINVAL, join, opened(ETH_P_IP), 77, LB)
    fails(errno.EINVAL, join, opened(name='lo'), 77, LB)
    fails(errno.EINVAL, join, other, 77, LB, 0, 3)
    join(other, 77, LB, 0, 256)
    # As many as it says, and the number is free when the last one has gone.
    few = [opened() for _ in range(3)]
    join(few[0], 5, HASH, 0, 2)
    join(few[1], 5, HASH)
    fails(errno.ENOSPC, join, few[2], 5, HASH)
    few[0].close()
    join(few[2], 5, HASH, 0, 2)
    few[1].close()
    few[2].close()
    again = opened()
    join(again, 5, CPU, FLAG_ROLLOVER)
    assert again.getsockopt(SOL_PACKET, FANOUT) == 5 | (CPU | FLAG_ROLLOVER) << 16
    # A number that nobody has.
    first, second = opened(), opened()
    join(first, 0, QM, FLAG_UNIQUE)
    join(second, 0, QM, FLAG_UNIQUE)
    numbers = [made.getsockopt(SOL_PACKET, FANOUT) for made in (first, second)]
    assert numbers[0] >> 16 == QM and numbers[0] != numbers[1], numbers
    third = opened()
    join(third, numbers[1] & 0xffff, QM)


def flows_stay_together():
    members = group(HASH, 4)
    send(40, 5)
    shares = [got(member) for member in members]
    assert all(count == 5 for share in shares for count in share.values()), shares
    assert sum(len(share) for share in shares) == 40, shares
    assert sum(1 for share in shares if share) >= 3, shares


def both_directions_are_one_flow():
    members = group(HASH, 4)
    for at in range(10):
        client = socket.create_connection((PEER, 9998), 20, (SUBJECT, 21000 + at))
        client.sendall(b'hello')
        assert client.recv(100) == b'hello'
        client.close()
    seen = collections.defaultdict(set)
    for at, member in enumerate(members):
        while True:
            try:
                frame, sender = member.recvfrom(2000)
            except BlockingIOError:
                break
            if frame[12:14] == KIND and frame[NEXT] == 6:
                ports = struct.unpack_from('!HH', frame, PORTS)
                seen[max(ports)].add((at, sender[2] == OUTGOING))
    assert sorted(seen) == list(range(21000, 21010)), seen
    for places in seen.values():
        assert len({at for at, _ in places}) == 1 and len(places) == 2, seen


def turns():
    members = group(LB, 3)
    send(1, 30)
    shares = [got(member)[20000] for member in members]
    # Others may send something at the same time.
    assert sum(shares) == 30 and max(shares) - min(shares) <= 4, shares
    members.pop().close()
    send(1, 30)
    assert sum(got(member)[20000] for member in members) == 30


def one_of_each():
    """Processor, queue, chance: one gets each, and none gets it twice."""
    for kind in (CPU, QM, RND):
        members = group(kind, 3)
        send(1, 60)
        shares = [got(member)[20000] for member in members]
        assert sum(shares) == 60, (kind, shares)
        assert kind != RND or all(shares), shares
        for member in members:
            member.close()


def rollover():
    # Whoever has room, the first one as long as it has.
    members = group(ROLLOVER, 3)
    send(1, 20)
    assert [got(member)[20000] for member in members] == [20, 0, 0]
    assert struct.unpack('QQQ', members[1].getsockopt(SOL_PACKET, ROLLOVER_STATS, 24)) == (0, 0, 0)
    for member in members:
        member.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32768)
    sent = overflow(*members[:2])
    shares = [got(member)[20000] for member in members]
    assert sum(shares) == sent and min(shares[:2]) > 0, (shares, sent)
    told = struct.unpack('QQQ', members[0].getsockopt(SOL_PACKET, ROLLOVER_STATS, 24))
    assert told[0] >= sent and told[1:] == (0, 0), told
    for member in members:
        member.close()
    # All goes to one, until that has no room.
    members = group(CBPF, 2, FLAG_ROLLOVER)
    members[0].setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32768)
    sent = overflow(*members)
    shares = [got(member)[20000] for member in members]
    assert sum(shares) == sent and min(shares) > 0, (shares, sent)
    told = struct.unpack('QQQ', members[0].getsockopt(SOL_PACKET, ROLLOVER_STATS, 24))
    assert told[0] >= shares[1] and told[2] == 0, (told, shares)
    # Only what arrives.
    for member in members:
        member.close()
    members = group(LB, 2, FLAG_INCOMING)
    send(1, 10)
    assert [got(member)[20000] for member in members] == [0, 0]


class Instruction(ctypes.Structure):
    _fields_ = [('code', ctypes.c_ushort), ('jt', ctypes.c_ubyte), ('jf', ctypes.c_ubyte), ('k', ctypes.c_uint)]


def choose_by(one, instructions):
    program = (Instruction * len(instructions))(*[Instruction(*each) for each in instructions])
    one.setsockopt(SOL_PACKET, DATA, struct.pack('HxxxxxxP', len(program), ctypes.addressof(program)))


def programs():
    members = group(CBPF, 3)
    send(6)
    assert [len(got(member)) for member in members] == [6, 0, 0]
    fails(errno.EINVAL, members[0].setsockopt, SOL_PACKET, DATA, bytes(4))
    fails(errno.EINVAL, choose_by, members[0], [(0xffff, 0, 0, 0)])
    # The low byte of the source port of what leaves, which begins with its link header.
    choose_by(members[1], [(0x30, 0, 0, PORTS + 1), (0x16, 0, 0, 0)])
    send(6)
    first = 20000 % 256
    expected = [{20000 + at for at in range(6) if (first + at) % 3 == place} for place in range(3)]
    assert [set(got(member)) for member in members] == expected
    members[2].setsockopt(socket.SOL_SOCKET, 44, 1)
    fails(errno.EPERM, choose_by, members[2], [(6, 0, 0, 0)])


globals()[sys.argv[1]]()
