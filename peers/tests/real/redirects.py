# Sends to hosts beyond a router, again and again, until one of them answers; it tells by which way it was reached.
# Arguments: the interface, their addresses.
import socket, sys

interface, *hosts = sys.argv[1:]
for far in hosts:
    s = socket.socket(socket.AF_INET6 if ":" in far else socket.AF_INET, socket.SOCK_DGRAM)
    # Linux looks for the router in use by the interface that the socket is bound to (ip6_sk_redirect).
    s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
    s.settimeout(0.1)
    for number in range(300):
        try:
            s.sendto(b"which way?", (far, 7000))
            print(far, s.recv(100).decode())
            break
        except TimeoutError:
            pass
        except OSError as error:
            # There is no way before the router of IPv6 was heard.
            print(far, error, file=sys.stderr)
            try:
                s.recv(1)
            except TimeoutError:
                pass
    else:
        sys.exit(f"{far} has not answered")
