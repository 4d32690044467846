# The peer of ipv6.py: echoes streams (7000) and datagrams (7001) of both families.
import socket, threading


def echo(connection):
    with connection:
        try:
            while piece := connection.recv(65536):
                connection.sendall(piece)
        except OSError:
            pass


def datagrams():
    s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    s.bind(("::", 7001))
    while True:
        data, sender = s.recvfrom(65536)
        s.sendto(data, sender)


threading.Thread(target=datagrams, daemon=True).start()
listener = socket.create_server(("::", 7000), family=socket.AF_INET6, dualstack_ipv6=True)
while True:
    connection, _ = listener.accept()
    threading.Thread(target=echo, args=(connection,), daemon=True).start()
