# Builds packets with scapy, one a line: its name, and all of it in hexadecimal from the IP header on.
import logging

logging.getLogger("scapy").setLevel(logging.CRITICAL)
from scapy.all import *
from scapy.contrib.igmp import IGMP
from scapy.contrib.igmpv3 import IGMPv3, IGMPv3gr, IGMPv3mq, IGMPv3mr
from scapy.layers.ipsec import AH, ESP

SRC, DST, MAC = "fe80::1", "fe80::2", "02:00:00:00:00:01"
GROUP, SOURCES = "ff05::99", ["fd00:9::1", "fd00:9::2"]
GROUP4, SOURCES4 = "239.1.2.3", ["10.9.0.1", "10.9.0.2"]

# In Linux's order.
syn = TCP(sport=1024, dport=80, seq=7, flags="S", window=65535,
          options=[("MSS", 1440), ("SAckOK", b""), ("Timestamp", (1, 2)), ("NOP", None), ("WScale", 7)])
original = IPv6(src=DST, dst=SRC, hlim=63) / UDP(sport=9, dport=53)
alert = IPv6ExtHdrHopByHop(options=[RouterAlert()])


def discovery(message, *options):
    packet = IPv6(src=SRC, dst=DST, hlim=255) / message
    for option in options:
        packet /= option
    return packet


def v6(*layers, **fields):
    packet = IPv6(src=SRC, dst=DST, **fields)
    for layer in layers:
        packet /= layer
    return packet


def v4(layer):
    return IP(src="10.9.0.1", dst="224.0.0.22", ttl=1, id=1, options=[IPOption_Router_Alert()]) / layer


packets = {
    "tcp": v6(syn),
    "class and flow": v6(UDP(sport=1, dport=2), b"hello", tc=0xb9, fl=0x12345),
    "no next header": v6(b"whatever", nh=59),
    "esp": v6(ESP(spi=256, seq=1, data=b"opaque bytes")),
    "ah": v6(AH(nh=59, payloadlen=4, spi=256, seq=1, icv=b"123456789012"), b"whatever"),
    "first fragment": v6(IPv6ExtHdrFragment(m=1, id=7), UDP(sport=1, dport=2, len=1000), b"x" * 8),
    "last fragment": v6(IPv6ExtHdrFragment(offset=100, id=7, nh=17), b"the rest"),
    "atomic fragment": v6(IPv6ExtHdrFragment(id=0xffffffff), syn),
    "routing 0": v6(IPv6ExtHdrRouting(addresses=SOURCES), syn),
    "routing 2": v6(IPv6ExtHdrRouting(type=2, addresses=["fd00:9::7"]), syn),
    "segment routing": v6(IPv6ExtHdrSegmentRouting(addresses=SOURCES, segleft=0, lastentry=1), syn),
    "home address": v6(IPv6ExtHdrDestOpt(options=[HAO(hoa="fd00:9::7")]), UDP(sport=1, dport=2)),
    "unknown option": v6(IPv6ExtHdrDestOpt(options=[HBHOptUnknown(otype=0x9e, optdata=b"abc")]), UDP(sport=1, dport=2)),
    "echo request": v6(ICMPv6EchoRequest(id=1, seq=2, data=b"abcdefg")),
    "echo reply": v6(ICMPv6EchoReply(id=1, seq=2, data=b"abcdefg")),
    "unreachable": v6(ICMPv6DestUnreach(code=4), original),
    "too big": v6(ICMPv6PacketTooBig(mtu=1280), original),
    "time exceeded": v6(ICMPv6TimeExceeded(code=1), original),
    "parameter problem": v6(ICMPv6ParamProblem(code=2, ptr=42), original),
    "router solicitation": discovery(ICMPv6ND_RS(), ICMPv6NDOptSrcLLAddr(lladdr=MAC)),
    "router advertisement": discovery(
        ICMPv6ND_RA(chlim=64, M=1, O=1, H=0, prf=3, routerlifetime=1800, reachabletime=30000, retranstimer=1000),
        ICMPv6NDOptSrcLLAddr(lladdr=MAC),
        ICMPv6NDOptMTU(mtu=1480),
        ICMPv6NDOptPrefixInfo(prefix="fd00:9::", prefixlen=64, L=1, A=1, R=0, validlifetime=86400, preferredlifetime=1),
        ICMPv6NDOptRouteInfo(prefix="2001:db8::", plen=96, prf=1, rtlifetime=600),
        ICMPv6NDOptRDNSS(dns=SOURCES, lifetime=600),
        ICMPv6NDOptDNSSL(searchlist=["example.org", "lab"], lifetime=600),
    ),
    "neighbor solicitation": discovery(ICMPv6ND_NS(tgt=DST), ICMPv6NDOptSrcLLAddr(lladdr=MAC)),
    "neighbor advertisement": discovery(ICMPv6ND_NA(R=1, S=0, O=1, tgt=SRC), ICMPv6NDOptDstLLAddr(lladdr=MAC)),
    "redirect": discovery(
        ICMPv6ND_Redirect(tgt="fe80::9", dst="2001:db8::1"),
        ICMPv6NDOptDstLLAddr(lladdr=MAC),
        ICMPv6NDOptRedirectedHdr(pkt=original),
    ),
    "mld query": v6(alert, ICMPv6MLQuery(mrd=10000), hlim=1),
    "mld report": v6(alert, ICMPv6MLReport(mladdr=GROUP), hlim=1),
    "mld done": v6(alert, ICMPv6MLDone(mladdr=GROUP), hlim=1),
    "mld query of version 2": v6(
        alert, ICMPv6MLQuery2(mrd=0x9001, mladdr=GROUP, S=1, QRV=2, QQIC=0x8f, sources=SOURCES), hlim=1),
    "mld report of version 2": v6(alert, ICMPv6MLReport2(records=[
        ICMPv6MLDMultAddrRec(rtype=4, dst=GROUP),
        ICMPv6MLDMultAddrRec(rtype=6, dst=GROUP, sources=SOURCES, auxdata=b"abcd", auxdata_len=1),
    ]), hlim=1),
    "igmp query": v4(IGMP(type=0x11, mrcode=100, gaddr="0.0.0.0")),
    "igmp report of version 1": v4(IGMP(type=0x12, mrcode=0, gaddr=GROUP4)),
    "igmp report": v4(IGMP(type=0x16, mrcode=0, gaddr=GROUP4)),
    "igmp leave": v4(IGMP(type=0x17, mrcode=0, gaddr=GROUP4)),
    "igmp query of version 3": v4(
        IGMPv3(type=0x11, mrcode=0x8f) / IGMPv3mq(gaddr=GROUP4, s=1, qrv=2, qqic=125, srcaddrs=SOURCES4)),
    "igmp report of version 3": v4(IGMPv3(type=0x22) / IGMPv3mr(records=[
        IGMPv3gr(rtype=4, maddr=GROUP4),
        IGMPv3gr(rtype=5, maddr=GROUP4, srcaddrs=SOURCES4),
    ])),
}

for name, packet in packets.items():
    print(f"{name}\t{bytes(packet).hex()}")
