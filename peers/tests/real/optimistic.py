# The neighbour of a host that uses an address while it still asks for it (RFC 4429). It hears the question, asks for the address and for nothing
# else, is a neighbour that the host asks for, and in the end has had the address all along. What it saw goes into a file.
# Arguments: interface, the address, a neighbour that is not there, another address of the host's, the file.
import socket, sys, time

from scapy.all import UDP, Ether, IPv6, wrpcap
from scapy.layers.inet6 import ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6NDOptDstLLAddr, ICMPv6NDOptSrcLLAddr

interface, wanted, neighbour, other, file = sys.argv[1:]
OWN, PEER, OWNER = "02:00:00:00:66:01", "fd09::66", "02:00:00:00:66:02"
wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
wire.bind((interface, 0))
# Frames to stations that are not there are for us.
wire.setsockopt(263, 1, socket.if_nametoindex(interface).to_bytes(4, sys.byteorder) + b"\1\0" + bytes(10))
seen = []


def until(what, say=lambda: None, frame_is=lambda frame: False):
    """The first frame that is as it should be; until it comes, our part is said again and again."""
    end = time.monotonic() + 30
    say()
    wire.settimeout(1)
    while time.monotonic() < end:
        try:
            data, (_, _, direction, *_) = wire.recvfrom(2000)
        except TimeoutError:
            say()
            continue
        frame = Ether(data)
        if direction == socket.PACKET_OUTGOING or IPv6 not in frame:
            continue
        seen.append(frame)
        if frame_is(frame):
            return frame
    sys.exit(f"no {what}")


def send(source, to, message, mac=OWN, dst="33:33:00:00:00:01"):
    wire.send(bytes(Ether(src=mac, dst=dst) / IPv6(src=source, dst=to, hlim=255) / message))


def group(address):
    low = socket.inet_pton(socket.AF_INET6, address)[13:]
    return "ff02::1:ff" + low[:1].hex() + ":" + low[1:].hex(), "33:33:ff:" + ":".join(f"{byte:02x}" for byte in low)


def asks(target):
    to, dst = group(target)
    return lambda: send(PEER, to, ICMPv6ND_NS(tgt=target) / ICMPv6NDOptSrcLLAddr(lladdr=OWN), dst=dst)


def has(target):
    return lambda frame: ICMPv6ND_NA in frame and frame[ICMPv6ND_NA].tgt == target and frame.dst == OWN


print("ready", flush=True)
question = until("question", frame_is=lambda frame: ICMPv6ND_NS in frame and frame[ICMPv6ND_NS].tgt == wanted)
assert question[IPv6].src == "::" and ICMPv6NDOptSrcLLAddr not in question, question.show(dump=True)
answer = until("answer", asks(wanted), has(wanted))
assert answer[IPv6].src == wanted and ICMPv6NDOptDstLLAddr in answer, answer.show(dump=True)
assert (answer[ICMPv6ND_NA].S, answer[ICMPv6ND_NA].O) == (1, 0), "an answer for it overrides nothing"
print("answered", flush=True)

# The host has something to say from there to somebody whom it must ask for.
question = until("question for a neighbour", frame_is=lambda frame: ICMPv6ND_NS in frame and frame[ICMPv6ND_NS].tgt == neighbour)
said = ICMPv6ND_NA(tgt=neighbour, S=1, O=1) / ICMPv6NDOptDstLLAddr(lladdr=OWN)
source = question[IPv6].src
until("datagram", lambda: send(neighbour, source, said, dst=question.src), lambda frame: UDP in frame and frame[IPv6].src == wanted and frame.dst == OWN)
print("heard", flush=True)

input()
claim = ICMPv6ND_NA(tgt=wanted, S=0, O=1) / ICMPv6NDOptDstLLAddr(lladdr=OWNER)
send(wanted, "ff02::1", claim, OWNER)
print("claimed", flush=True)

input()
# It is nobody's of the host's any more: of two questions the second one is answered.
given_up = len(seen)
asks(wanted)()
until("answer", asks(other), has(other))
assert not any(has(wanted)(frame) for frame in seen[given_up:])
wrpcap(file, seen)
