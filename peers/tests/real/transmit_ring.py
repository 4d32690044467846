"""Frames sent from a ring (PACKET_TX_RING). Arguments: a function's name; the peer's side of all is transmit_ring_peer.py."""

import ctypes
import errno
import mmap
import random
import select
import socket
import struct
import sys

AF_PACKET, SOL_PACKET = 17, 263
RX_RING, VERSION, TX_RING, LOSS, VNET_HDR, TX_HAS_OFF, QDISC_BYPASS, RESERVE = 5, 10, 13, 14, 15, 19, 20, 12
AVAILABLE, REQUEST, SENDING, WRONG = 0, 1, 2, 4
# For local experiments, by IEEE 802.
PROTOCOL = 0x88b5
HEADER = b'\xff' * 6 + b'\x02\x00\x00\x00\x00\x07' + struct.pack('!H', PROTOCOL)
LIBC = ctypes.CDLL(None, use_errno=True)


def refused(number, call, *arguments):
    try:
        got = call(*arguments)
    except OSError as error:
        assert error.errno == number, (error, errno.errorcode[number])
    else:
        raise AssertionError(f'was not refused, but {got}')


class Ring:
    """A ring for frames to send, `slots` of `size` bytes, perhaps behind one for what arrives."""

    def __init__(self, version, slots=8, size=2048, receive=False, kind=socket.SOCK_RAW, bind=True, options=()):
        self.version, self.slots, self.size, self.at = version, slots, size, 0
        self.socket = socket.socket(AF_PACKET, kind, 0)
        self.socket.setsockopt(SOL_PACKET, VERSION, version)
        for name, value in options:
            self.socket.setsockopt(SOL_PACKET, name, value)
        self.begin = 0
        if receive:
            self.ask(RX_RING, 4096, 4, 2048, 8)
            self.begin = 4 * 4096
        block = max(4096, size)
        self.ask(TX_RING, block, slots * size // block, size, slots)
        self.length = self.begin + slots * size
        self.memory = mmap.mmap(self.socket.fileno(), self.length, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
        if bind:
            self.socket.bind(('veth0', 0))
        # The words of a slot: status, length, where the frame stands (link, network).
        self.words = [(0, 8, 16), (0, 4, 12), (20, 16, 24)][version]
        self.data = 48 if version == 2 else 32

    def ask(self, name, *numbers):
        rest = (0, 0, 0) if self.version == 2 else ()
        self.socket.setsockopt(SOL_PACKET, name, struct.pack(f'{len(numbers) + len(rest)}I', *numbers, *rest))

    def slot(self, at):
        return self.begin + at % self.slots * self.size

    def status(self, at):
        return struct.unpack_from('I', self.memory, self.slot(at) + self.words[0])[0]

    def put(self, frame, length=None, offset=None, status=REQUEST, at=None):
        """Into the next slot, or into `at`."""
        if at is None:
            at = self.at
            self.at += 1
        slot = self.slot(at)
        begin = slot + (self.data if offset is None else offset)
        self.memory[begin:begin + len(frame)] = frame
        struct.pack_into('I', self.memory, slot + self.words[1], len(frame) if length is None else length)
        if offset is not None:
            struct.pack_into('HH', self.memory, slot + self.words[2], offset, offset)
        struct.pack_into('I', self.memory, slot + self.words[0], status)
        return at

    def go(self, flags=0, to=None):
        """Says that there is something to send. How many bytes were."""
        return self.socket.sendto(b'', flags, to) if to else self.socket.send(b'', flags)


def frame(number, length=60):
    """One that the peer tells the number and the length of, and whether it came whole."""
    assert length >= 22
    body = bytes((number + at) % 256 for at in range(length - 22))
    return HEADER + struct.pack('!II', number, length) + body


def tell_end():
    """The peer tells what came, and that this was all."""
    last = socket.socket(AF_PACKET, socket.SOCK_RAW, 0)
    last.bind(('veth0', 0))
    last.send(frame(0xffffffff))


def geometries():
    """What is refused, and how: told, for somebody to compare with what the kernel has told."""
    numbers = random.Random(4)
    sizes = [0, 1, 16, 31, 32, 48, 52, 64, 68, 80, 100, 1024, 2032, 2048, 2040, 4080, 4096, 8192, 65536]
    for _ in range(220):
        version, receive = numbers.randrange(3), numbers.random() < 0.4
        block = numbers.choice([0, 1, 4095, 4096, 4096, 4096, 8192, 12288, 65536, 1 << 31, (1 << 32) - 4096])
        blocks = numbers.choice([0, 1, 1, 2, 3, 7])
        size = numbers.choice(sizes)
        fitting = block // size * blocks if size else numbers.randrange(3)
        frames = fitting + numbers.choice([0, 0, 0, 0, 0, 1, -1])
        rest = [numbers.choice([0, 0, 0, 0, 1, 48, 3900, 4000, 1 << 31, (1 << 32) - 1]) for _ in range(3)]
        reserve = numbers.choice([0, 0, 0, 16, 1000, 2000, 4096])
        one = socket.socket(AF_PACKET, socket.SOCK_RAW, 0)
        one.setsockopt(SOL_PACKET, VERSION, version)
        one.setsockopt(SOL_PACKET, RESERVE, reserve)
        asked = [block, blocks, size, frames % (1 << 32)] + (rest if version == 2 else [])
        try:
            one.setsockopt(SOL_PACKET, RX_RING if receive else TX_RING, struct.pack(f'{len(asked)}I', *asked))
            result = 'done'
        except OSError as error:
            result = errno.errorcode[error.errno]
        print(version, receive, reserve, *asked, result)


def in_all_versions():
    number = 0
    for version in range(3):
        for receive in (False, True):
            ring = Ring(version, receive=receive)
            assert ring.go() == 0
            # Three times around, an odd number of frames at a time.
            for _ in range(8):
                sizes = (60, 22, 1514)
                places = [ring.put(frame(number + at, size)) for at, size in enumerate(sizes)]
                number += 3
                assert ring.go() == sum(sizes), version
                assert [ring.status(at) for at in places] == [AVAILABLE] * 3
    tell_end()


def beside_what_has_arrived():
    """A ring is added to one that has frames, which stay there; not to one that is mapped."""
    one = socket.socket(AF_PACKET, socket.SOCK_RAW, 0)
    one.setsockopt(SOL_PACKET, VERSION, 1)
    rings = struct.pack('4I', 4096, 8, 2048, 16)
    one.setsockopt(SOL_PACKET, RX_RING, rings)
    one.bind(('veth0', 3))
    other = socket.socket(AF_PACKET, socket.SOCK_RAW, 0)
    other.bind(('veth0', 0))
    for number in range(3):
        other.send(frame(number))
    watched = select.poll()
    watched.register(one, select.POLLIN)
    assert watched.poll(10_000)
    for _ in range(2):
        one.setsockopt(SOL_PACKET, TX_RING, rings)
        one.setsockopt(SOL_PACKET, TX_RING, bytes(16))
    one.setsockopt(SOL_PACKET, TX_RING, rings)
    memory = mmap.mmap(one.fileno(), 2 * 32768, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
    assert memory[32768:] == bytes(32768)
    found, slot = [], 0
    while len(found) < 3:
        status, _, length, mac = struct.unpack_from('IIIH', memory, slot)
        if not status & 1:
            assert watched.poll(10_000)
            continue
        came = memory[slot + mac:slot + mac + length]
        if came[12:14] == HEADER[12:14]:
            found.append(came)
        struct.pack_into('I', memory, slot, 0)
        slot += 2048
    assert found == [frame(number) for number in range(3)], found
    sent = frame(3)
    memory[32768 + 32:32768 + 32 + len(sent)] = sent
    struct.pack_into('II', memory, 32768, REQUEST, len(sent))
    assert one.send(b'') == len(sent)
    mapped = socket.socket(AF_PACKET, socket.SOCK_RAW, 0)
    mapped.setsockopt(SOL_PACKET, RX_RING, rings)
    memory = mmap.mmap(mapped.fileno(), 32768, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
    refused(errno.EBUSY, mapped.setsockopt, SOL_PACKET, TX_RING, rings)
    tell_end()


def what_cannot_be_sent():
    for version in range(3):
        for length, number in ((13, errno.EINVAL), (0, errno.EINVAL), (1519, errno.EMSGSIZE), (3000, errno.EMSGSIZE)):
            ring = Ring(version, slots=4)
            ring.put(frame(1))
            ring.put(frame(2), length)
            ring.put(frame(3))
            refused(number, ring.go)
            # There it stands, until the program has mended it.
            assert [ring.status(at) for at in range(4)] == [AVAILABLE, WRONG, REQUEST, AVAILABLE], (version, length)
            assert ring.go() == 0
            ring.put(frame(4), at=1)
            assert ring.go() == 120
            assert [ring.status(at) for at in range(4)] == [AVAILABLE] * 4
        # What is lost on purpose.
        ring = Ring(version, slots=4, options=[(LOSS, 1)])
        ring.put(frame(5))
        ring.put(frame(6), 3000)
        ring.put(frame(7), 5)
        ring.put(frame(8))
        assert ring.go() == 120
        assert [ring.status(at) for at in range(4)] == [AVAILABLE] * 4
        # A word that means nothing is nobody's.
        ring.put(frame(9), status=REQUEST | SENDING)
        assert ring.go() == 0
        refused(errno.EBUSY, ring.socket.setsockopt, SOL_PACKET, VERSION, version)
        refused(errno.EBUSY, ring.ask, TX_RING, 4096, 1, 2048, 2)
        ring.memory.close()
        ring.ask(TX_RING, 0, 0, 0, 0)
        assert ring.socket.send(frame(10)) == 60
        unbound = Ring(version, slots=4, bind=False)
        unbound.put(frame(11))
        refused(errno.ENXIO, unbound.go)
        assert unbound.status(0) == REQUEST
        assert unbound.go(to=('veth0', PROTOCOL)) == 60
        assert unbound.status(0) == AVAILABLE
        # Whatever is given besides, it is the ring that is sent.
        unbound.socket.bind(('veth0', 0))
        unbound.put(frame(12))
        assert unbound.socket.send(frame(13)) == 60
    tell_end()


def offsets():
    for version in range(3):
        ring = Ring(version, slots=4, options=[(TX_HAS_OFF, 1)])
        assert ring.socket.getsockopt(SOL_PACKET, TX_HAS_OFF) == 1
        least = ring.data
        for offset in (least, least + 1, 200, 2048 - 60):
            ring.put(frame(1), offset=offset)
            assert ring.go() == 60, offset
        for offset in (0, least - 1, 2048 - 59, 65535):
            ring = Ring(version, slots=4, options=[(TX_HAS_OFF, 1)])
            ring.put(frame(2), offset=least)
            struct.pack_into('HH', ring.memory, ring.slot(0) + ring.words[2], offset, offset)
            refused(errno.EINVAL, ring.go)
            assert ring.status(0) == WRONG
    tell_end()


def without_link_header():
    for version in range(3):
        ring = Ring(version, slots=4, kind=socket.SOCK_DGRAM)
        ring.put(frame(1)[14:])
        refused(errno.EINVAL, ring.go)
        assert ring.status(0) == WRONG
        ring.put(frame(2)[14:], at=0)
        everybody = ('veth0', PROTOCOL, 0, 1, b'\xff' * 6)
        assert ring.go(to=everybody) == 46
        ring.put(frame(3, 1514)[14:])
        assert ring.go(to=everybody) == 1500
        ring.put(frame(4, 1515)[14:])
        refused(errno.EMSGSIZE, ring.go, 0, everybody)
    tell_end()


def virtual_headers():
    """A checksum that is still to be computed, and a frame that is still to be cut."""
    def packet(payload):
        udp = struct.pack('!HHHH', 7, PROTOCOL & 0x7fff, 8 + len(payload), 0)
        length = 20 + len(udp) + len(payload)
        ip = struct.pack('!BBHHHBBH4s4s', 0x45, 0, length, 1, 0, 64, 17, 0, bytes([10, 9, 0, 1]), bytes([10, 9, 0, 2]))
        total = sum(struct.unpack('!10H', ip))
        total = (total >> 16) + (total & 0xffff)
        ip = ip[:10] + struct.pack('!H', total ^ 0xffff) + ip[12:]
        pseudo = sum(struct.unpack('!4H', ip[12:20])) + 17 + 8 + len(payload)
        pseudo = (pseudo >> 16) + (pseudo & 0xffff)
        udp = udp[:6] + struct.pack('!H', pseudo)
        return HEADER[:12] + b'\x08\x00' + ip + udp + payload

    def packet6(payload):
        length = 8 + len(payload)
        ends = socket.inet_pton(socket.AF_INET6, 'fd09::2') + socket.inet_pton(socket.AF_INET6, 'fd09::1')
        pseudo = sum(struct.unpack('!16H', ends)) + 17 + length
        pseudo = (pseudo >> 16) + (pseudo & 0xffff)
        udp = struct.pack('!HHHH', 7, PROTOCOL & 0x7fff, length, pseudo)
        return HEADER[:12] + b'\x86\xdd' + struct.pack('!IHBB', 6 << 28, length, 17, 64) + ends + udp + payload

    for version in range(3):
        ring = Ring(version, slots=4, options=[(VNET_HDR, 1)])
        # NEEDS_CSUM, no cut.
        ring.put(struct.pack('BBHHHH', 1, 0, 42, 0, 34, 6) + packet(bytes(range(100))))
        assert ring.go() == 142
        ring.put(struct.pack('BBHHHH', 1, 0, 62, 0, 54, 6) + packet6(bytes(range(100))))
        assert ring.go() == 162
        # Longer headers than there is frame; shorter than any header of virtio.
        ring.put(struct.pack('BBHHHH', 0, 0, 200, 0, 0, 0) + frame(1))
        refused(errno.EINVAL, ring.go)
        ring.put(frame(2), 9, at=2)
        refused(errno.EINVAL, ring.go)
        ring.put(struct.pack('BBHHHH', 0, 0, 0, 0, 0, 0) + frame(3), at=2)
        assert ring.go() == 60
    tell_end()


def many():
    """More than any send buffer holds, in one call that waits, and in calls that do not."""
    number = 0
    for version in range(3):
        ring = Ring(version, slots=1024)
        for at in range(1024):
            ring.put(frame(number + at, 1000))
        number += 1024
        assert ring.go() == 1024 * 1000
        assert not any(ring.status(at) for at in range(1024))
        for at in range(1024):
            ring.put(frame(number + at, 1000))
        number += 1024
        sent = 0
        poll = select.poll()
        poll.register(ring.socket, select.POLLOUT)
        while sent < 1024 * 1000:
            assert poll.poll(20_000) == [(ring.socket.fileno(), select.POLLOUT)]
            try:
                sent += ring.go(socket.MSG_DONTWAIT)
            except BlockingIOError:
                pass
        assert not any(ring.status(at) for at in range(1024))
    tell_end()


globals()[sys.argv[1]]()
