"""Tells of the frames that transmit_ring.py sends: runs of numbers, with their lengths, until the last one has come."""

import socket
import struct
import sys

PROTOCOL = 0x88b5
LAST = 0xffffffff
one = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
one.setsockopt(socket.SOL_SOCKET, 33, 1 << 26)
one.setsockopt(263, 8, 1)
one.bind(('veth0', 3))
print('ready', flush=True)


def checksum(data):
    total = sum(struct.unpack(f'!{len(data) // 2}H', data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return total


while True:
    frame, control, _, (_, protocol, kind, *_) = one.recvmsg(70000, 100)
    if kind == 4:
        continue
    addresses = None
    if protocol == 0x800 and frame[23] == 17 and frame[26:28] == b'\x0a\x09':
        addresses, udp = frame[26:34], frame[34:]
    if protocol == 0x86dd and frame[20] == 17 and frame[22:24] == b'\xfd\x09':
        addresses, udp = frame[22:54], frame[54:]
    if addresses:
        # On some wires the sum is left to whoever takes the frame from there: then that of the addresses stands in its place.
        pseudo = addresses + b'\x00\x11' + udp[4:6]
        left = struct.unpack_from('I', control[0][2])[0] & 8
        right = udp[6:8] == struct.pack('!H', checksum(pseudo)) if left else checksum(pseudo + udp) == 0xffff
        print('datagram', len(frame), 'right' if right else 'wrong')
    if protocol != PROTOCOL:
        continue
    number, length = struct.unpack_from('!II', frame, 14)
    if number == LAST:
        break
    body = bytes((number + at) % 256 for at in range(length - 22))
    # Short ones are filled up on some wires.
    whole = frame[22:22 + len(body)] == body and len(frame) in (length, max(length, 60))
    print(number, length, 'whole' if whole else 'broken')
