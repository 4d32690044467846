# Two routers, made by hand: the first one says, to whoever sends to a host beyond, that the second is a shorter way, or that the host is on
# the link; before that it says, and others say, what must not be believed. A host beyond answers what comes by the way that it
# should, and what comes by a way that was a lie. Arguments: interface, the first and the second router's address of IPv4.
import collections, socket, sys

from scapy.all import ARP, ICMP, IP, UDP, Ether, IPv6, Raw
from scapy.layers.inet6 import (
    ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6ND_RA, ICMPv6ND_Redirect, ICMPv6ND_RS, ICMPv6NDOptDstLLAddr, ICMPv6NDOptRedirectedHdr, ICMPv6NDOptSrcLLAddr,
)

interface, first, second = sys.argv[1:]
FIRST, SECOND, LIAR, HOST = (f"02:00:00:00:77:{n:02x}" for n in range(4))
STATIONS = {first: FIRST, second: SECOND, "fe80::77:1": FIRST, "fe80::77:2": SECOND, "fe80::77:3": LIAR, "10.9.0.99": LIAR}
# What the host is reached by in the end.
GATEWAY, NEIGHBOUR = "10.9.7.7", "10.9.7.8"
GATEWAY6, NEIGHBOUR6 = "fd09:7::7", "fd09:7::8"
STATIONS.update({NEIGHBOUR6: HOST})
wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
wire.bind((interface, 0))
asked = collections.Counter()


def send(frame):
    wire.send(bytes(frame))


def advertise(mac):
    send(Ether(src=FIRST, dst=mac) / IPv6(src="fe80::77:1", dst="ff02::1", hlim=255) / ICMPv6ND_RA(routerlifetime=600) / ICMPv6NDOptSrcLLAddr(lladdr=FIRST))


def redirect4(frame, packet, source, gateway, mac=FIRST, quoted=None):
    send(Ether(src=mac, dst=frame.src) / IP(src=source, dst=packet.src) / ICMP(type=5, code=1, gw=gateway) / (quoted or bytes(packet)[:28]))


def redirect6(frame, packet, source, target, mac=FIRST, hlim=255, more=()):
    message = IPv6(src=source, dst=packet.src, hlim=hlim) / ICMPv6ND_Redirect(tgt=target, dst=packet.dst)
    for option in (*more, ICMPv6NDOptRedirectedHdr(pkt=bytes(packet)[:56])):
        message /= option
    send(Ether(src=mac, dst=frame.src) / message)


def lies(frame, packet):
    """What no host may believe."""
    if packet.version == 4:
        # From somebody who is not the router in use; to where is no link of ours; about a packet that is another's.
        redirect4(frame, packet, "10.9.0.99", "10.9.0.99", LIAR)
        redirect4(frame, packet, first, "192.0.2.1")
        redirect4(frame, packet, first, "10.9.0.99", quoted=bytes(IP(src="192.0.2.9", dst=packet.dst) / UDP(sport=1, dport=2)))
        return
    to_liar = [ICMPv6NDOptDstLLAddr(lladdr=LIAR)]
    redirect6(frame, packet, "fe80::77:3", "fe80::77:3", LIAR, more=to_liar)
    redirect6(frame, packet, "fe80::77:1", "fe80::77:3", hlim=254, more=to_liar)
    redirect6(frame, packet, "fd09::77", "fe80::77:3", more=to_liar)
    redirect6(frame, packet, "fe80::77:1", "fd09::99", more=to_liar)


def truth(frame, packet):
    if packet.dst == GATEWAY:
        redirect4(frame, packet, first, second)
    elif packet.dst == GATEWAY6:
        redirect6(frame, packet, "fe80::77:1", "fe80::77:2")
    else:
        redirect6(frame, packet, "fe80::77:1", NEIGHBOUR6, more=[ICMPv6NDOptDstLLAddr(lladdr=HOST)])


def answer(frame, packet, text):
    upper = packet[UDP]
    send(Ether(src=frame.dst, dst=frame.src) / type(packet)(src=packet.dst, dst=packet.src) / UDP(sport=7000, dport=upper.sport) / Raw(text))


# Who is there already asks no more.
advertise("33:33:00:00:00:01")
print("ready", flush=True)
WAYS = {FIRST: "the first router", SECOND: "the second router", HOST: "the link", LIAR: "a lie"}

while True:
    frame, (_, _, direction, *_) = wire.recvfrom(2000)
    if direction == socket.PACKET_OUTGOING:
        continue
    frame = Ether(frame)
    if ARP in frame and frame[ARP].op == 1 and frame[ARP].pdst in STATIONS:
        question, mac = frame[ARP], STATIONS[frame[ARP].pdst]
        send(Ether(src=mac, dst=frame.src) / ARP(op=2, hwsrc=mac, psrc=question.pdst, hwdst=question.hwsrc, pdst=question.psrc))
    elif ICMPv6ND_RS in frame:
        advertise(frame.src)
    elif ICMPv6ND_NS in frame and frame[ICMPv6ND_NS].tgt in STATIONS:
        target, source = frame[ICMPv6ND_NS].tgt, frame[IPv6].src
        if source == "::":
            continue
        said = ICMPv6ND_NA(tgt=target, R=int(target.startswith("fe80")), S=1, O=1) / ICMPv6NDOptDstLLAddr(lladdr=STATIONS[target])
        send(Ether(src=STATIONS[target], dst=frame.src) / IPv6(src=target, dst=source, hlim=255) / said)
    elif UDP in frame and frame[UDP].dport == 7000:
        packet = frame.payload
        asked[packet.dst] += 1
        if frame.dst != FIRST:
            answer(frame, packet, WAYS[frame.dst])
        elif asked[packet.dst] < 4:
            lies(frame, packet)
        else:
            truth(frame, packet)
