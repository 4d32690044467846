# A router that forwards nothing, and complains of each packet as the port says that it is sent to (see complaints.py). Then it answers in
# the name of the destination. Where the port's highest bit is set, it lets a connection open, and complains of data. Arguments: interface, own addresses of both families.
import socket, sys

from scapy.all import ICMP, IP, TCP, UDP, Ether, IPv6, Raw
from scapy.layers.inet6 import ICMPv6DestUnreach, ICMPv6PacketTooBig, ICMPv6ParamProblem, ICMPv6TimeExceeded

interface, own, own6 = sys.argv[1:]
wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
wire.bind((interface, 0))
print("ready", flush=True)

OPEN = 0x8000
ERRORS6 = {1: ICMPv6DestUnreach, 2: ICMPv6PacketTooBig, 3: ICMPv6TimeExceeded, 4: ICMPv6ParamProblem}


def complaint(packet, kind, code):
    if packet.version == 6:
        more = {"mtu": 1400} if kind == 2 else {}
        return IPv6(src=own6, dst=packet.src) / ERRORS6[kind](code=code, **more) / bytes(packet)[:1200]
    more = {"nexthopmtu": 1400} if (kind, code) == (3, 4) else {}
    return IP(src=own, dst=packet.src) / ICMP(type=kind, code=code, **more) / bytes(packet)[:500]


while True:
    frame, (_, _, direction, *_) = wire.recvfrom(2000)
    if direction == socket.PACKET_OUTGOING:
        continue
    frame = Ether(frame)
    packet = frame.payload
    upper = packet.getlayer(UDP) or packet.getlayer(TCP)
    if not isinstance(packet, (IP, IPv6)) or upper is None or packet.dst in (own, own6):
        continue
    back = Ether(src=frame.dst, dst=frame.src)
    answer = type(packet)(src=packet.dst, dst=packet.src)
    if isinstance(upper, UDP):
        answer /= UDP(sport=upper.dport, dport=upper.sport) / Raw(b"answer")
    elif upper.dport & OPEN == 0:
        answer /= TCP(sport=upper.dport, dport=upper.sport, flags="RA", ack=upper.seq + 1)
    elif upper.flags.S:
        wire.send(bytes(back / answer / TCP(sport=upper.dport, dport=upper.sport, flags="SA", ack=upper.seq + 1)))
        continue
    elif upper.flags.P and bytes(upper.payload) == b"complain":
        after = upper.seq + len(upper.payload)
        answer /= TCP(sport=upper.dport, dport=upper.sport, flags="PA", seq=1, ack=after) / Raw(b"answer")
    else:
        continue
    for told in (complaint(packet, upper.dport >> 8 & 0x7F, upper.dport & 255), answer):
        wire.send(bytes(back / told))
