"""scapy on a link. Arguments: a function's name, the peer's addresses of both families, an address that nobody has."""

import sys
import threading

from scapy.all import *

PEER, PEER6, NOBODY = sys.argv[2:5]
conf.verb = 0


def sniffer(**what):
    """One that listens already."""
    ready = threading.Event()
    made = AsyncSniffer(iface='veth0', started_callback=ready.set, **what)
    made.start()
    assert ready.wait(20)
    return made


def scapy_asks_and_sniffs():
    assert conf.route.route(PEER)[0] == 'veth0', conf.route
    assert {'lo', 'veth0'} <= set(get_if_list()), conf.ifaces
    assert conf.ifaces.dev_from_name('veth0').mac == get_if_hwaddr('veth0')
    listening = sniffer(filter='icmp', count=2)
    answer = sr1(IP(dst=PEER) / ICMP(id=7, seq=3) / b'hello', timeout=20)
    assert answer[ICMP].type == 0 and answer[ICMP].id == 7 and answer[Raw].load == b'hello', answer
    listening.join(20)
    assert [(packet[ICMP].type, packet[ICMP].seq) for packet in listening.results] == [(8, 3), (0, 3)], listening.results
    answer = sr1(IPv6(dst=PEER6) / ICMPv6EchoRequest(id=8, data=b'hello'), timeout=20)
    assert answer[ICMPv6EchoReply].id == 8 and answer[ICMPv6EchoReply].data == b'hello', answer
    answer = srp1(Ether(dst='ff:ff:ff:ff:ff:ff') / ARP(pdst=PEER), iface='veth0', timeout=20)
    assert answer[ARP].op == 2 and answer[ARP].psrc == PEER and answer[ARP].hwsrc == answer.src, answer


def scapy_makes_a_connection():
    # From an address of nobody's: the stack below would refuse what it knows nothing of.
    ends = IP(src=NOBODY, dst=PEER) / TCP(sport=4000, dport=8000)

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
    pieces = {packet[TCP].seq: bytes(packet[TCP].payload) for packet in listening.results if Raw in packet}
    page = b''.join(pieces[seq] for seq in sorted(pieces))
    assert page.startswith(b'HTTP/1.0 200 OK\r\n') and page.endswith(b'\r\n\r\nmade by hand\n'), page
    last = listening.results[-1][TCP]
    end = start + len(page) + 1
    closed = sr1(segment('FA', 101 + len(request), end), timeout=20)[TCP]
    assert last.ack == 101 + len(request) and closed.flags == 'A' and closed.ack == last.ack + 1, (last, closed)


globals()[sys.argv[1]]()
