# Answers datagrams with their length and CRC. Argument: own address.
import socket, sys, zlib

s = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
s.bind((sys.argv[1], 7001))
while True:
    data, sender = s.recvfrom(1 << 16)
    s.sendto(b"%d %08x" % (len(data), zlib.crc32(data)), sender)
