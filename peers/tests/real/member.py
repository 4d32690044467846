# A program that joins and leaves groups as it is told at 7300. The argument: its address of IPv4.
import socket, struct, sys
from socket import AF_INET, AF_INET6, IPPROTO_IP, IPPROTO_IPV6, SOCK_DGRAM

own = sys.argv[1]
orders = socket.socket(AF_INET, SOCK_DGRAM)
orders.bind((own, 7300))
members = {"4": socket.socket(AF_INET, SOCK_DGRAM), "6": socket.socket(AF_INET6, SOCK_DGRAM)}
JOIN, BLOCK, LEAVE, JOIN_SOURCE, LEAVE_SOURCE = 42, 43, 45, 46, 47


def link():
    """The index of the only link, where the program can ask for it; a node counts from the loopback."""
    try:
        return socket.if_nametoindex("veth0")
    except OSError:
        return 2


def storage(address):
    if ":" in address:
        return struct.pack("HHI16sI", AF_INET6, 0, 0, socket.inet_pton(AF_INET6, address), 0).ljust(128, b"\0")
    return struct.pack("HH4s", AF_INET, 0, socket.inet_aton(address)).ljust(128, b"\0")


while True:
    data, sender = orders.recvfrom(1000)
    verb, *addresses = data.decode().split()
    name = {"join": JOIN, "block": BLOCK, "leave": LEAVE, "source": JOIN_SOURCE, "unsource": LEAVE_SOURCE}[verb]
    v6 = ":" in addresses[0]
    value = struct.pack("Q", link()) + b"".join(map(storage, addresses))
    members["6" if v6 else "4"].setsockopt(IPPROTO_IPV6 if v6 else IPPROTO_IP, name, value)
    orders.sendto(b"done", sender)
