# What names there are for who asks for addresses of families that the host has itself.
import socket

for family, names in (
    ("INET", ("web.lab", "localhost", "10.9.0.9", None)),
    ("INET6", ("web.lab", "localhost")),
    ("UNSPEC", ("web.lab", "localhost", "10.9.0.9")),
):
    for name in names:
        try:
            flags = socket.AI_ADDRCONFIG | (0 if name else socket.AI_PASSIVE)
            found = socket.getaddrinfo(name, 80, getattr(socket, "AF_" + family), socket.SOCK_STREAM, 0, flags)
            print(family, name, [address[0] for *_, address in found])
        except socket.gaierror as error:
            print(family, name, "EAI_NONAME" if error.errno == socket.EAI_NONAME else error)
