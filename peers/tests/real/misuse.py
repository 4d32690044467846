"""A program that misuses its sockets: calls with wild lengths and values, more of everything than there may be, and nothing is ever read.
Nothing waits, and what is refused is refused with an errno; the arguments are the subject's address and the peer's, of IPv4 and of IPv6."""

import ctypes
import os
import random
import socket
import struct
import sys

SUBJECT, PEER, SUBJECT6, PEER6 = sys.argv[1:5]
LIBC = ctypes.CDLL(None, use_errno=True)
chance = random.Random(6)
# Family, kind, protocol, and the levels of options that it knows.
KINDS = [(2, 1, 0, (1, 0, 6)), (2, 2, 0, (1, 0, 17)), (2, 3, 255, (1, 0)), (10, 1, 0, (1, 41, 6)), (10, 2, 0, (1, 41, 17)),
         (10, 3, 58, (1, 41, 58)), (2, 2, 136, (1, 0, 136)), (17, 3, 0, (1, 263)), (16, 3, 0, (1, 270))]
# What reads: SIOCGIF*, FIONREAD, SIOCOUTQ, SIOCGSTAMP and their like.
SIOCGIFCONF, SIOCETHTOOL = 0x8912, 0x8946
IOCTLS = [0x8910, SIOCGIFCONF, 0x8913, 0x8915, 0x8917, 0x8919, 0x891b, 0x891d, 0x8921, 0x8927, 0x8933, 0x8938, 0x8942, SIOCETHTOOL, 0x8954,
          0x8970, 0x541b, 0x5411, 0x8903, 0x8904, 0x8905, 0x8906, 0x8907, 0x8b01, 0x89f0, 0xffffffff]
kept = []


def made(family, kind, protocol):
    one = socket.socket(family, kind, protocol)
    one.setblocking(False)
    return one


def junk(most):
    return bytes(chance.choice([0, 1, 255, chance.randrange(256)]) for _ in range(chance.randrange(most + 1)))


def options():
    for _ in range(250):
        *kind, levels = chance.choice(KINDS)
        with made(*kind) as one:
            for _ in range(30):
                value = junk(chance.choice([4, 16, 40, 300]))
                length = chance.choice([len(value), len(value), len(value), 0, len(value) // 2])
                level, name = chance.choice(levels), chance.randrange(64)
                if chance.random() < 0.6:
                    LIBC.setsockopt(one.fileno(), level, name, value, ctypes.c_uint(length))
                else:
                    room, length = ctypes.create_string_buffer(4096), ctypes.c_uint(chance.choice([0, 1, 4, 100, 4096, 1 << 31]))
                    LIBC.getsockopt(one.fileno(), level, name, room, ctypes.byref(length))
            for code in chance.sample(IOCTLS, 8):
                room = ctypes.create_string_buffer(junk(40), 4096)
                inside = ctypes.addressof(room) + 64
                if code == SIOCGIFCONF:
                    struct.pack_into('i4xP', room, 0, chance.choice([-1, 0, 39, 4000]), inside)
                elif code == SIOCETHTOOL:
                    struct.pack_into('P', room, 16, inside)
                LIBC.ioctl(one.fileno(), ctypes.c_ulong(code), room)


def attached():
    addresses = [(SUBJECT, 9), (PEER, 9), ('255.255.255.255', 9), ('0.0.0.0', 0)]
    addresses6 = ['::ffff:' + PEER, SUBJECT6, PEER6, 'ff02::1', 'fe80::1', '::']
    for _ in range(250):
        family, kind, protocol, levels = chance.choice(KINDS)
        if kind == 1:
            continue
        with made(family, kind, protocol) as one:
            for _ in range(8):
                list = [(chance.choice(levels), chance.randrange(120), junk(chance.choice([0, 4, 8, 20, 40, 200]))) for _ in range(chance.randrange(6))]
                to = {2: chance.choice(addresses), 10: (chance.choice(addresses6), 9, chance.randrange(1 << 20), chance.randrange(3))}.get(family)
                try:
                    one.sendmsg([junk(30)], list, chance.choice([0, 0x8000, 0x40, 0x800]) | socket.MSG_DONTWAIT, *([to] if to else []))
                except OSError:
                    pass


def as_many_as_there_may_be():
    """Groups, sources, rings and sockets, until one is refused, or there are plenty."""
    def until_refused(most, act):
        for number in range(most):
            try:
                act(number)
            except OSError:
                return
    for _ in range(20):
        one, six = made(2, 2, 0), made(10, 2, 0)
        local = socket.inet_aton(SUBJECT)
        until_refused(300, lambda at: one.setsockopt(0, 35, struct.pack('!I4s', 0xef010000 + at + len(kept) * 300, local)))
        until_refused(300, lambda at: one.setsockopt(0, 39, struct.pack('!4s4sI', b'\xe8\1\1\1', local, 0x0a090000 + at)))
        until_refused(300, lambda at: six.setsockopt(41, 20, socket.inet_pton(10, f'ff15::{len(kept):x}:{at:x}') + bytes(4)))
        kept.append((one, six))
    for version in range(12):
        one = made(17, 3, 0)
        one.setsockopt(263, 10, version % 3)
        rest = 3 if version % 3 == 2 else 0
        for name in (5, 13):
            until_refused(1, lambda _: one.setsockopt(263, name, struct.pack(f'{4 + rest}I', 1 << 16, 16, 2048, 512, *[0] * rest)))
        kept.append(one)
    until_refused(500, lambda at: kept.append(made(*((2, 1), (2, 2), (10, 1), (10, 2))[at % 4], 0)))


def never_read():
    for family, own in ((2, SUBJECT), (10, SUBJECT6)):
        receivers = [made(family, 2, 0) for _ in range(10)]
        sender = made(family, 2, 0)
        for one in receivers:
            one.bind((own, 0))
            one.setsockopt(1, socket.SO_RCVBUF, (1 << 31) - 1)
        for number in range(1_000):
            try:
                sender.sendto(bytes(60_000), receivers[number % 10].getsockname())
            except BlockingIOError:
                pass
        kept.extend(receivers)


def passed_around():
    here, there = socket.socketpair()
    for number in range(500):
        one = made(2, 1 + number % 2, 0)
        socket.send_fds(here, [b'x'], [one.fileno()] * 3)
        one.close()
        for descriptor in socket.recv_fds(there, 10, 3)[1]:
            os.close(descriptor)


for part in (options, attached, as_many_as_there_may_be, never_read, passed_around):
    part()
    print(part.__name__, 'done', flush=True)
