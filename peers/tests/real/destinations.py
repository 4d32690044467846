# The addresses of names in the order in which glibc, or the node, would have them tried, with and without AI_ADDRCONFIG.
import socket
for name in ("near", "mixed", "far", "local", "tunnels"):
    for family in ("UNSPEC", "INET", "INET6"):
        for flags in (0, socket.AI_ADDRCONFIG):
            try:
                found = [a[4][0] for a in socket.getaddrinfo(name, 80, getattr(socket, "AF_" + family), socket.SOCK_STREAM, 0, flags)]
            except socket.gaierror as error:
                found = next(n for n in dir(socket) if n.startswith("EAI_") and getattr(socket, n) == error.errno)
            print(name, family, "configured" if flags else "any", found)
