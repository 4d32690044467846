"""Packet sockets by hand. Arguments: a function's name, the subject's address, the peer's, both of one family."""

import ctypes
import mmap
import os
import select
import socket
import struct
import sys
import time

SUBJECT, PEER = sys.argv[2:4]
LIBC = ctypes.CDLL(None, use_errno=True)
AF_PACKET, SOL_PACKET, ETH_P_ALL, ETH_P_IP, ETH_P_ARP, ETH_P_IPV6 = 17, 263, 3, 0x0800, 0x0806, 0x86dd
IPV6 = ':' in PEER
FAMILY, LOOPBACK, KIND = (socket.AF_INET6, '::1', ETH_P_IPV6) if IPV6 else (socket.AF_INET, '127.0.0.1', ETH_P_IP)
# What asks for stations travels in, and a frame of a datagram of 200 bytes is so long.
ASKS, LENGTH = (ETH_P_IPV6, 262) if IPV6 else (ETH_P_ARP, 242)
OWN, THEIRS = (socket.inet_pton(FAMILY, end) for end in (SUBJECT, PEER))
HOST, BROADCAST, MULTICAST, OTHERHOST, OUTGOING = range(5)
PORT = 4444


def opened(protocol, kind=socket.SOCK_RAW, name='veth0'):
    # Who is bound to an interface has heard nothing of others before.
    made = socket.socket(AF_PACKET, kind, 0 if name else socket.htons(protocol))
    if name:
        made.bind((name, protocol))
    made.settimeout(20)
    return made


def refused(errno, call, *arguments):
    try:
        call(*arguments)
    except OSError as error:
        assert error.errno == errno, (error, errno)
    else:
        raise AssertionError('was not refused')


def asked(mac):
    """Where a question for the peer's station goes, and the question itself."""
    if not IPV6:
        return b'\xff' * 6, struct.pack('!HHBBH', 1, ETH_P_IP, 6, 4, 1) + mac + OWN + bytes(6) + THEIRS
    group = socket.inet_pton(FAMILY, 'ff02::1:ff00:0')[:13] + THEIRS[13:]
    solicitation = struct.pack('!BBHI', 135, 0, 0, 0) + THEIRS + b'\1\1' + mac
    total = sum(struct.unpack('!34H', OWN + group + struct.pack('!HH', len(solicitation), 58) + solicitation))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    solicitation = solicitation[:2] + struct.pack('!H', total ^ 0xffff) + solicitation[4:]
    return b'\x33\x33' + group[12:], struct.pack('!IHBB', 6 << 28, len(solicitation), 58, 255) + OWN + group + solicitation


def said(packet):
    """1 for a question for the peer's station, 2 for its answer, as ARP has them."""
    if not IPV6:
        ends = {1: packet[24:28], 2: packet[14:18]}
        return packet[7] if ends.get(packet[7]) == THEIRS and packet[:7] == struct.pack('!HHBBB', 1, ETH_P_IP, 6, 4, 0) else 0
    return {135: 1, 136: 2}.get(packet[40], 0) if packet[6] == 58 and packet[48:64] == THEIRS else 0


def frames_by_hand():
    # To no protocol: the socket keeps its own, as clients of DHCP expect.
    kept = opened(ASKS, name=None)
    kept.bind(('veth0', 0))
    assert kept.getsockname()[:2] == ('veth0', ASKS), kept.getsockname()
    one, everything = opened(ASKS), opened(ETH_P_ALL)
    name = one.getsockname()
    assert name[:2] == ('veth0', ASKS) and name[3] == 1 and len(name[4]) == 6, name
    to, question = asked(name[4])
    request = to + name[4] + struct.pack('!H', ASKS) + question
    assert one.send(request) == len(request)
    answer, sender = one.recvfrom(2000)
    while answer[:6] != name[4] or said(answer[14:]) != 2:
        answer, sender = one.recvfrom(2000)
    assert answer[12:14] == struct.pack('!H', ASKS), answer
    assert sender[:4] == ('veth0', ASKS, HOST, 1) and sender[4] == answer[6:12], sender
    seen = set()
    while len(seen) < 2:
        frame, sender = everything.recvfrom(2000)
        if frame[12:14] == struct.pack('!H', ASKS) and said(frame[14:]):
            seen.add((sender[2], said(frame[14:])))
    assert seen == {(OUTGOING, 1), (HOST, 2)}, seen


def frames_that_cannot_be():
    raw = opened(0, name=None)
    refused(6, raw.send, bytes(60))
    raw.bind(('veth0', 0))
    for length in (0, 13):
        refused(22, raw.send, bytes(length))
    refused(90, raw.send, bytes(1515))
    assert raw.send(bytes(1514)) == 1514
    # Of what is attached only what concerns all sockets is looked at.
    assert raw.sendmsg([bytes(60)], [(socket.IPPROTO_IP, socket.IP_TTL, bytes(4))]) == 60
    refused(22, raw.sendmsg, [bytes(60)], [(socket.SOL_SOCKET, 99, bytes(4))])
    refused(22, raw.sendmsg, [bytes(60)], [(socket.SOL_SOCKET, 61, bytes(8))])
    refused(95, raw.connect, ('veth0', 0))
    refused(95, raw.getpeername)
    refused(95, raw.listen, 1)
    refused(19, raw.bind, ('nothing', 0))
    refused(94, socket.socket, AF_PACKET, socket.SOCK_STREAM, 0)


def cooked():
    one = opened(ASKS, socket.SOCK_DGRAM)
    to, question = asked(one.getsockname()[4])
    one.sendto(question, ('veth0', ASKS, 0, 1, to))
    while True:
        answer, sender = one.recvfrom(2000)
        if sender[2] == HOST and said(answer) == 2:
            break
    assert answer[24:24 + len(OWN)] == OWN, answer


def loopback():
    both = opened(ETH_P_ALL, name='lo')
    own = socket.socket(FAMILY, socket.SOCK_DGRAM)
    own.bind((LOOPBACK, 0))
    own.sendto(b'around', own.getsockname())
    got = [both.recvfrom(2000) for _ in range(2)]
    assert [sender[1:4] for _, sender in got] == [(KIND, OUTGOING, 772), (KIND, HOST, 772)], got
    assert all(frame == bytes(12) + struct.pack('!H', KIND) + frame[14:] and frame.endswith(b'around') for frame, _ in got), got


def send_datagrams(count, size=200):
    sender = socket.socket(FAMILY, socket.SOCK_DGRAM)
    for _ in range(count):
        sender.sendto(bytes(size), (PEER, PORT))


def options():
    one = opened(0, name=None)
    for name, value in ((8, 1), (9, 1), (20, 1), (23, 1), (7, 100), (14, 1), (15, 1), (10, 1), (12, 64), (17, 16)):
        one.setsockopt(SOL_PACKET, name, value)
        if name != 7:
            assert one.getsockopt(SOL_PACKET, name) == value, name
    # Times of hardware that there is not: of software then.
    one.setsockopt(SOL_PACKET, 17, 1 << 6 | 1 << 30)
    for name, value, errno in ((23, 2, 22), (10, 3, 22), (12, -1, 22), (99, 1, 92), (1, 1, 22)):
        refused(errno, one.setsockopt, SOL_PACKET, name, value)
    refused(92, one.getsockopt, SOL_PACKET, 99)
    refused(92, one.setsockopt, socket.IPPROTO_IP, socket.IP_TTL, 3)
    index = socket.if_nametoindex('veth0')
    promiscuous = struct.pack('iHH8s', index, 1, 0, b'')
    one.setsockopt(SOL_PACKET, 1, promiscuous)
    one.setsockopt(SOL_PACKET, 2, promiscuous)
    one.setsockopt(SOL_PACKET, 2, promiscuous)
    refused(22, one.setsockopt, SOL_PACKET, 1, struct.pack('iHH8s', index, 0, 5, b''))
    refused(19, one.setsockopt, SOL_PACKET, 1, struct.pack('iHH8s', 999, 1, 0, b''))
    for version, header in ((0, 32), (1, 32), (2, 48)):
        value, length = ctypes.c_int(version), ctypes.c_uint(4)
        assert LIBC.getsockopt(one.fileno(), SOL_PACKET, 11, ctypes.byref(value), ctypes.byref(length)) == 0
        assert value.value == header
    cooked = opened(0, socket.SOCK_DGRAM, None)
    for name, value in ((15, 1), (24, 0), (24, 10), (24, 12)):
        refused(22, cooked.setsockopt, SOL_PACKET, name, value)
    assert (cooked.type, one.type, one.family) == (socket.SOCK_DGRAM, socket.SOCK_RAW, AF_PACKET)


def headers_of_two_lengths():
    one, sees = opened(0, name=None), opened(ETH_P_ALL, name='lo')
    for value, both in ((0, (0, 0)), (10, (1, 10)), (12, (1, 12))):
        one.setsockopt(SOL_PACKET, 24, value)
        assert (one.getsockopt(SOL_PACKET, 15), one.getsockopt(SOL_PACKET, 24)) == both
    for value in (-1, 1, 9, 11, 13, b'\x0c', b'\x0c\0\0'):
        refused(22, one.setsockopt, SOL_PACKET, 24, value)
    for value, both in ((1, (1, 10)), (0, (0, 0)), (5, (1, 10))):
        one.setsockopt(SOL_PACKET, 15, value)
        assert (one.getsockopt(SOL_PACKET, 15), one.getsockopt(SOL_PACKET, 24)) == both
    frame = bytes(12) + struct.pack('!H', 0x88b5) + b'payload' * 8
    for length in (10, 12):
        one.setsockopt(SOL_PACKET, 24, length)
        one.bind(('lo', 0x88b5))
        for header in (bytes(length), bytes(10) + bytes([7]) * (length - 10)):
            assert one.send(header + frame) == length + len(frame)
            while True:
                seen, sender = sees.recvfrom(2000)
                if sender[1:3] == (0x88b5, HOST):
                    break
            assert seen == frame, seen
            # Of what comes nobody has counted buffers.
            seen, sender = one.recvfrom(2000)
            assert (len(seen), seen[10:length], seen[length:]) == (length + len(frame), bytes(length - 10), frame), seen
        refused(22, one.send, bytes([255]) * length + frame + b'more')
        refused(22, one.send, bytes(length))
        refused(22, one.send, bytes(length - 1))
        refused(22, one.send, bytes(length + 13))
    # A ring keeps what there is.
    one.setsockopt(SOL_PACKET, 5, struct.pack('IIII', 4096, 1, 2048, 2))
    refused(16, one.setsockopt, SOL_PACKET, 24, 10)
    refused(22, one.setsockopt, SOL_PACKET, 24, 11)


def what_is_told_beside():
    one, deaf = opened(0, name=None), opened(0, name=None)
    # Before they see anything: the peer may say something of its own at any time.
    for each in (one, deaf):
        filter_for_datagrams(each)
        each.bind(('veth0', ETH_P_ALL))
    deaf.setsockopt(SOL_PACKET, 23, 1)
    one.setsockopt(SOL_PACKET, 8, 1)
    one.setsockopt(socket.SOL_SOCKET, 35, 1)
    send_datagrams(3)
    for _ in range(3):
        data, control, flags, sender = one.recvmsg(2000, 500)
        assert len(data) == 100 and sender[2] == OUTGOING, (data, sender)
        told = {(level, kind): value for level, kind, value in control}
        seconds, nanoseconds = struct.unpack('qq', told[1, 35])
        assert abs(time.time() - seconds) < 60 and 0 <= nanoseconds < 10**9
        status, length, snapped, mac, net, tag, protocol = struct.unpack('IIIHHHH', told[SOL_PACKET, 8])
        assert status & 1 and (length, snapped, mac, net, tag, protocol) == (LENGTH, 100, 0, 14, 0, 0), told
    packets, drops = struct.unpack('II', one.getsockopt(SOL_PACKET, 6, 8))
    assert (packets, drops) == (3, 0), (packets, drops)
    assert struct.unpack('II', one.getsockopt(SOL_PACKET, 6, 8)) == (0, 0)
    assert struct.unpack('II', deaf.getsockopt(SOL_PACKET, 6, 8)) == (0, 0)


class Instruction(ctypes.Structure):
    _fields_ = [('code', ctypes.c_ushort), ('jt', ctypes.c_ubyte), ('jf', ctypes.c_ubyte), ('k', ctypes.c_uint)]


def attach(one, instructions):
    program = (Instruction * len(instructions))(*[Instruction(*each) for each in instructions])
    one.setsockopt(socket.SOL_SOCKET, 26, struct.pack('HxxxxxxP', len(program), ctypes.addressof(program)))


# udp dst port 4444, 100 bytes.
NEXT, TO = (20, 56) if IPV6 else (23, 36)
DATAGRAMS = [(0x28, 0, 0, 12), (0x15, 0, 5, KIND), (0x30, 0, 0, NEXT), (0x15, 0, 3, 17), (0x28, 0, 0, TO), (0x15, 0, 1, PORT), (6, 0, 0, 100),
             (6, 0, 0, 0)]


def filter_for_datagrams(one):
    attach(one, DATAGRAMS)


def filters():
    one = opened(0)
    refused(2, one.setsockopt, socket.SOL_SOCKET, 27, 0)
    for wrong in ([], [(0xffff, 0, 0, 0)], [(0x15, 9, 9, 0), (6, 0, 0, 0)], [(0, 0, 0, 0)]):
        refused(22, attach, one, wrong)
    refused(22, one.setsockopt, socket.SOL_SOCKET, 26, bytes(8))
    # More than fits into one request.
    long = [(0, 0, 0, at) for at in range(1000)] + [(6, 0, 0, 0)]
    attach(one, long)
    room = ctypes.create_string_buffer(8 * 2000)
    length = ctypes.c_uint(2000)
    assert LIBC.getsockopt(one.fileno(), 1, 26, room, ctypes.byref(length)) == 0 and length.value == 1001, length
    assert room.raw[:8 * 1001] == b''.join(struct.pack('HBBI', *each) for each in long)
    length = ctypes.c_uint(0)
    assert LIBC.getsockopt(one.fileno(), 1, 26, None, ctypes.byref(length)) == 0 and length.value == 1001
    one.setsockopt(socket.SOL_SOCKET, 27, 0)
    attach(one, DATAGRAMS)
    one.setsockopt(socket.SOL_SOCKET, 44, 1)
    refused(1, one.setsockopt, socket.SOL_SOCKET, 27, 0)
    refused(1, attach, one, DATAGRAMS)
    refused(1, one.setsockopt, socket.SOL_SOCKET, 44, 0)
    assert one.getsockopt(socket.SOL_SOCKET, 44) == 1


def filters_of_datagrams():
    # The first byte of the payload is a y, the protocol in the network header UDP's: header and three bytes.
    for family, to, protocol in ((socket.AF_INET, '127.0.0.1', 9), (socket.AF_INET6, '::1', 6)):
        yes = [(0x30, 0, 0, 0xfff00000 + protocol), (0x15, 0, 3, 17), (0x30, 0, 0, 8), (0x15, 0, 1, ord('y')), (6, 0, 0, 11), (6, 0, 0, 0)]
        one, other = socket.socket(family, socket.SOCK_DGRAM), socket.socket(family, socket.SOCK_DGRAM)
        attach(one, yes)
        one.bind((to, PORT))
        one.settimeout(20)
        for said in (b'no', b'yes, indeed', b'n', b'', b'y'):
            other.sendto(said, (to, PORT))
        assert [one.recv(99), one.recv(99)] == [b'yes', b'y']
        # The header stays whole.
        attach(one, [(6, 0, 0, 1)])
        other.sendto(b'yes', (to, PORT))
        assert one.recv(99) == b''
        one.setsockopt(socket.SOL_SOCKET, 27, 0)
        other.sendto(b'no', (to, PORT))
        assert one.recv(99) == b'no'


def rings_of_nothing():
    # None, where there is none; frames without blocks are none either.
    for version, length in ((0, 16), (1, 16), (2, 28)):
        for ring in (5, 13):
            one = opened(3)
            one.setsockopt(263, 10, version)
            one.setsockopt(263, ring, bytes(length))
            refused(22, one.setsockopt, 263, ring, struct.pack("4I", 0, 0, 2048, 8).ljust(length, b"\0"))
            one.close()


def filters_of_raw_packets():
    one = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    one.settimeout(20)
    # Echo replies, of which the headers and four bytes.
    attach(one, [(0x30, 0, 0, 20), (0x15, 0, 1, 0), (6, 0, 0, 32), (6, 0, 0, 0)])
    request = struct.pack('!BBHHH', 8, 0, 0, 7, 1) + b'four and more'
    total = sum(struct.unpack(f'!{len(request) // 2}H', request[:len(request) // 2 * 2])) + (request[-1] << 8) * (len(request) % 2)
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    one.sendto(request[:2] + struct.pack('!H', total ^ 0xffff) + request[4:], ('127.0.0.1', 0))
    packet = one.recv(99)
    assert (len(packet), packet[20], packet[28:]) == (32, 0, b'four'), packet
    six = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_UDP)
    six.settimeout(20)
    # What it carries comes first; the network header stands before.
    attach(six, [(0x28, 0, 0, 2), (0x15, 0, 3, PORT), (0x30, 0, 0, 0xfff00007), (0x15, 1, 0, 0), (6, 0, 0, 10), (6, 0, 0, 0)])
    sink = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    sink.bind(('::1', PORT))
    socket.socket(socket.AF_INET6, socket.SOCK_DGRAM).sendto(b'two and more', ('::1', PORT))
    assert six.recv(99)[8:] == b'tw'


class Ring:
    """A ring of 8 blocks of 16 KiB, or of 64 slots."""

    def __init__(self, version):
        self.version, self.at, self.v3 = version, 0, version == 2
        self.socket = opened(0, name=None)
        self.socket.setsockopt(SOL_PACKET, 10, version)
        for wrong in ((4096, 2, 2048, 5), (4095, 2, 2048, 4), (4096, 2, 40, 4), (4096, 2, 2040, 4), (4096, 0, 2048, 4)):
            refused(22, self.ask, *wrong)
        self.ask(16384, 8, 2048, 64)
        refused(16, self.ask, 16384, 8, 2048, 64)
        refused(16, self.socket.setsockopt, SOL_PACKET, 10, version)
        length = 8 * 16384
        for wrong, offset in ((length - 4096, 0), (length, 4096)):
            refused(22, self.map, wrong, offset)
        self.memory = self.map(length, 0)
        filter_for_datagrams(self.socket)
        self.socket.bind(('veth0', ETH_P_ALL))

    def ask(self, *numbers):
        rest = (50, 0, 0) if self.v3 else ()
        self.socket.setsockopt(SOL_PACKET, 5, struct.pack(f'{len(numbers) + len(rest)}I', *numbers, *rest))

    def map(self, length, offset):
        return mmap.mmap(self.socket.fileno(), length, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE, offset=offset)

    def waits(self, seconds):
        poll = select.poll()
        poll.register(self.socket, select.POLLIN)
        return bool(poll.poll(seconds * 1000))

    def take(self):
        """Lengths of the frames that are there."""
        return self.take_blocks() if self.v3 else self.take_slots()

    def take_slots(self):
        got = []
        while struct.unpack_from('I', self.memory, self.at * 2048)[0] & 1:
            at = self.at * 2048
            length, kept, mac, net = struct.unpack_from('IIHH', self.memory, at + (8 if self.version == 0 else 4))
            family, _, _, hardware, kind, size = struct.unpack_from('=HHiHBB', self.memory, at + 32)
            assert (kept, mac, net, family, hardware, kind, size) == (100, 66, 80, AF_PACKET, 1, OUTGOING, 6)
            assert self.memory[at + mac + 12:at + mac + 14] == struct.pack('!H', KIND)
            got.append(length)
            struct.pack_into('I', self.memory, at, 0)
            self.at = (self.at + 1) % 64
        return got

    def take_blocks(self):
        got = []
        while True:
            block = self.at * 16384
            status, count, first = struct.unpack_from('III', self.memory, block + 8)
            if not status & 1:
                return got
            at = block + first
            for number in range(count):
                following, seconds, _, kept, length, _, mac, net = struct.unpack_from('IIIIIIHH', self.memory, at)
                assert (kept, mac, net) == (100, 82, 96) and abs(time.time() - seconds) < 60
                assert self.memory[at + mac + 12:at + mac + 14] == struct.pack('!H', KIND)
                assert (following == 0) == (number == count - 1)
                got.append(length)
                at += following
            struct.pack_into('I', self.memory, block + 8, 0)
            self.at = (self.at + 1) % 8


def rings():
    for version in range(3):
        ring = Ring(version)
        assert not ring.waits(0)
        total = 0
        for burst in (1, 3, 40, 1, 50):
            send_datagrams(burst)
            got = []
            while len(got) < burst:
                assert ring.waits(20), (version, burst, len(got))
                got += ring.take()
            assert got == [LENGTH] * burst, (version, got)
            total += burst
        # What was read does not poll readable any more: a wake-up too many is allowed, two are not.
        assert not (ring.waits(0) and ring.waits(0) and ring.waits(0)), version
        packets, drops = struct.unpack('II', ring.socket.getsockopt(SOL_PACKET, 6, 12)[:8])
        assert (packets, drops) == (total, 0), (packets, drops)
        ring.socket.setblocking(False)
        refused(11, ring.socket.recv, 100)
        # A program that does not read: what is too much is dropped and counted, and then all goes on.
        sent = 400 if version < 2 else 3000
        send_datagrams(sent)
        deadline = time.monotonic() + 20
        packets, drops = 0, 0
        while packets < sent and time.monotonic() < deadline:
            passed, lost = struct.unpack('II', ring.socket.getsockopt(SOL_PACKET, 6, 12)[:8])
            packets, drops = packets + passed, drops + lost
        assert packets == sent and drops, (version, packets, drops)
        kept = 0
        while kept < sent - drops:
            assert ring.waits(20), (version, kept, sent, drops)
            kept += len(ring.take())
        assert kept == sent - drops, (version, kept, sent, drops)
        send_datagrams(1)
        assert ring.waits(20), version
        # The descriptor that was mapped is closed, and a duplicate is what is waited on.
        old = ring.socket
        ring.socket = old.dup()
        old.close()
        ring.take()
        assert not (ring.waits(0) and ring.waits(0) and ring.waits(0)), version
        send_datagrams(1)
        assert ring.waits(20) and ring.take(), version


globals()[sys.argv[1]]()
