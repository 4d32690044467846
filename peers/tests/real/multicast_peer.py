# The peer of multicast.py. At 7100 it takes orders: `SOURCE TO PORT DATA` is a datagram to send, by its only link. At 7101 it
# listens to the groups 239.9.9.9 and ff15::9, and tells who sends there with which time to live his data came.
import socket, struct
from socket import IPPROTO_IP, IPPROTO_IPV6

link = socket.if_nametoindex("veth0")
orders = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
orders.bind(("::", 7100))
hearers = []
for family, group in ((socket.AF_INET, "239.9.9.9"), (socket.AF_INET6, "ff15::9")):
    s = socket.socket(family, socket.SOCK_DGRAM)
    s.bind((group, 7101))
    packed = socket.inet_pton(family, group)
    if family == socket.AF_INET:
        s.setsockopt(IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, struct.pack("4s4si", packed, bytes(4), link))
        s.setsockopt(IPPROTO_IP, 12, 1)  # IP_RECVTTL
    else:
        s.setsockopt(IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, struct.pack("16si", packed, link))
        s.setsockopt(IPPROTO_IPV6, socket.IPV6_RECVHOPLIMIT, 1)
    hearers.append(s)
print("ready", flush=True)


def obey(order):
    source, to, port, data = order.split(" ", 3)
    v6 = ":" in to
    s = socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, socket.SOCK_DGRAM)
    s.bind((source, 0))
    if v6:
        s.setsockopt(IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, link)
    else:
        s.setsockopt(IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(source))
    s.sendto(data.encode(), (to, int(port)))


import select
while True:
    for s in select.select([orders, *hearers], [], [])[0]:
        data, control, _, sender = s.recvmsg(2000, 1000)
        if s is orders:
            obey(data.decode())
        else:
            ttl = struct.unpack("i", control[0][2][:4])[0]
            s.sendto(f"{ttl} {data.decode()}".encode(), sender)
