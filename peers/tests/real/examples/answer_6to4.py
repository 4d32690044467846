# Answers echo requests of IPv6 that come inside of packets of IPv4, as a host of 6to4 does: ADDRESS INNER, its own.
import socket
import struct
import sys

own = socket.inet_pton(socket.AF_INET6, sys.argv[2])
raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_IPV6)
raw.bind((sys.argv[1], 0))
print("answering", flush=True)
while True:
    packet, (sender, _) = raw.recvfrom(65535)
    inner = bytearray(packet[(packet[0] & 15) * 4 :])
    if inner[24:40] != own or inner[6] != socket.IPPROTO_ICMPV6 or inner[40] != 128:
        continue
    inner[8:24], inner[24:40] = inner[24:40], inner[8:24]
    inner[40] = 129
    # The type is one more in the upper byte, so its complement is one less (RFC 1624).
    (checksum,) = struct.unpack_from("!H", inner, 42)
    checksum -= 0x0100
    struct.pack_into("!H", inner, 42, checksum if checksum > 0 else checksum + 0xFFFF)
    raw.sendto(inner, (sender, 0))
