# Which of our addresses the peer's options_peer.py sees, by what a socket prefers. Arguments: the peer's address of IPv4, where to, a temporary and
# a stable address of ours.
import socket, struct, sys

peer, to, temporary, stable = sys.argv[1:]
IPV6_ADDR_PREFERENCES, TEMPORARY, PUBLIC = 72, 1, 2
talk = socket.create_connection((peer, 7000)).makefile("rw")
for preference, source in [(None, temporary), (PUBLIC, stable), (TEMPORARY, temporary)]:
    s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    if preference:
        s.setsockopt(socket.IPPROTO_IPV6, IPV6_ADDR_PREFERENCES, struct.pack("I", preference))
    s.bind(("", 0))
    print("watch", s.getsockname()[1], file=talk, flush=True)
    talk.readline()
    s.sendto(b"who?", (to, 9))
    print("seen", s.getsockname()[1], file=talk, flush=True)
    seen = talk.readline()
    assert seen.rstrip().endswith("from " + source), (preference, seen, source)
