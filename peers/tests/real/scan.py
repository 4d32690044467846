# A scan of the link by a program of the host's own: 20,000 neighbours that are not there are spoken to, by datagrams and by raw packets, and all the while one
# that is there answers. Argument: its address, where ipv6_peer.py echoes.
import collections, errno, socket, sys

from common import exactly

peer = sys.argv[1]
stream = socket.create_connection((peer, 7000), timeout=40)
datagrams = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
datagrams.settimeout(1)
scanners = [socket.socket(socket.AF_INET6, socket.SOCK_DGRAM), socket.socket(socket.AF_INET6, socket.SOCK_RAW, 253)]
errors = collections.Counter()


def echoes():
    stream.sendall(b"well?")
    assert exactly(stream, 5) == b"well?"
    for _ in range(40):
        datagrams.sendto(b"well?", (peer, 7001))
        try:
            if datagrams.recv(100) == b"well?":
                return
        except TimeoutError:
            pass
    sys.exit("the known neighbour is silent")


for number in range(20_000):
    try:
        scanners[number % 2].sendto(b"scan", socket.MSG_DONTWAIT, (f"fd09::7:{number >> 16:x}:{number & 0xFFFF:x}", 9 if number % 2 == 0 else 0))
    except OSError as error:
        errors[errno.errorcode[error.errno]] += 1
    if number % 1_000 == 0:
        echoes()
echoes()
# What cannot be asked for may be said so; nothing else happens.
assert set(errors) <= {"ENOBUFS", "EHOSTUNREACH", "EAGAIN", "ENOMEM"}, errors
print(dict(errors))
