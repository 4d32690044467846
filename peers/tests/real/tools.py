"""scapy on a link. Arguments: a function's name, the peer's address, an address of its family that nobody has."""

import sys
import threading

from scapy.all import *

PEER, NOBODY = sys.argv[2:4]
V6 = ':' in PEER
Internet = IPv6 if V6 else IP
conf.verb = 0


def sniffer(**what):
    """One that listens already."""
    ready = threading.Event()
    made = AsyncSniffer(iface='veth0', started_callback=ready.set, **what)
    made.start()
    assert ready.wait(20)
    return made


def scapy_asks_and_sniffs():
    route = conf.route6.route(PEER) if V6 else conf.route.route(PEER)
    assert route[0] == 'veth0', (conf.route, conf.route6)
    assert {'lo', 'veth0'} <= set(get_if_list()), conf.ifaces
    assert conf.ifaces.dev_from_name('veth0').mac == get_if_hwaddr('veth0')
    if V6:
        request = IPv6(dst=PEER) / ICMPv6EchoRequest(id=7, seq=3, data=b'hello')
        listening = sniffer(filter='icmp6 and (ip6[40] == 128 or ip6[40] == 129)', count=2)
        told = [(ICMPv6EchoRequest, 7, 3, b'hello'), (ICMPv6EchoReply, 7, 3, b'hello')]
    else:
        request = IP(dst=PEER) / ICMP(id=7, seq=3) / b'hello'
        listening = sniffer(filter='icmp', count=2)
        told = [(8, 7, 3, b'hello'), (0, 7, 3, b'hello')]

    def what(packet):
        if not V6:
            return packet[ICMP].type, packet[ICMP].id, packet[ICMP].seq, bytes(packet[Raw].load)
        echo = packet[IPv6].payload
        return type(echo), echo.id, echo.seq, bytes(echo.data)

    answer = sr1(request, timeout=20)
    assert what(answer) == told[1], answer
    listening.join(20)
    assert [what(packet) for packet in listening.results] == told, listening.results


def scapy_asks_for_stations():
    answer = srp1(Ether(dst='ff:ff:ff:ff:ff:ff') / ARP(pdst=PEER), iface='veth0', timeout=20)
    assert answer[ARP].op == 2 and answer[ARP].psrc == PEER and answer[ARP].hwsrc == answer.src, answer


def scapy_makes_a_connection():
    # From an address of nobody's: the stack below would refuse what it knows nothing of.
    ends = Internet(src=NOBODY, dst=PEER) / TCP(sport=4000, dport=8000)

    def segment(flags, seq, ack=0):
        made = ends.copy()
        made[TCP].flags, made[TCP].seq, made[TCP].ack = flags, seq, ack
        return made

    accepted = sr1(segment('S', 100), timeout=20)[TCP]
    assert accepted.flags == 'SA' and accepted.ack == 101, accepted
    start = accepted.seq + 1
    listening = sniffer(filter='tcp and src port 8000', stop_filter=lambda packet: 'F' in packet[TCP].flags)
    send(segment('A', 101, start))
    request = b'GET / HTTP/1.0\r\n\r\n'
    send(segment('PA', 101, start) / request)
    listening.join(20)
    # What is not acknowledged for a while comes again, perhaps cut otherwise.
    page = bytearray()
    for packet in sorted((packet for packet in listening.results if Raw in packet), key=lambda packet: packet[TCP].seq):
        at, piece = packet[TCP].seq - start, bytes(packet[TCP].payload)
        assert at <= len(page), (at, len(page))
        page[at:at + len(piece)] = piece
    assert page.startswith(b'HTTP/1.0 200 OK\r\n') and page.endswith(b'\r\n\r\nmade by hand\n'), page
    last = listening.results[-1][TCP]
    end = start + len(page) + 1
    assert last.ack == 101 + len(request), last
    # The last segment may come once more before it is known that it has come.
    closing = sniffer(filter='tcp and src port 8000', stop_filter=lambda packet: packet[TCP].ack == last.ack + 1)
    send(segment('FA', 101 + len(request), end))
    closing.join(20)
    closed = closing.results[-1][TCP]
    assert closed.flags == 'A' and closed.ack == last.ack + 1, closed


globals()[sys.argv[1]]()
