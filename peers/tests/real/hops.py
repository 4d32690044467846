# How far datagrams go, as the peer's options_peer.py sees it. Arguments: the peer's address of IPv4, where to, how many hops.
import socket, sys

peer, to, hops = sys.argv[1:]
talk = socket.create_connection((peer, 7000)).makefile("rw")
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
s.bind(("", 0))
print("watch", s.getsockname()[1], file=talk, flush=True)
talk.readline()
s.sendto(b"how far?", (to, 9))
print("seen", s.getsockname()[1], file=talk, flush=True)
assert talk.readline().startswith(f"hops {hops} "), hops
