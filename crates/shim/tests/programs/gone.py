# The node stops while the program runs: errors, and no call that hangs.
import ctypes, errno, os, select, socket

def attempt(what, call):
    try:
        print(what, call())
    except socket.gaierror as e:
        print(what, "gaierror", e.args[0])
    except OSError as e:
        print(what, errno.errorcode[e.errno])

listener = socket.create_server(("127.0.0.1", 7800), backlog=8)
client = socket.create_connection(("127.0.0.1", 7800))
server = listener.accept()[0]
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); udp.bind(("127.0.0.1", 7801))
client.send(b"last words")
server.recv(1, socket.MSG_PEEK)

# Ask the node to stop, in the protocol's own words.
control = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
control.connect(os.environ["SOCKEYE_CONTROL"])
control.send(bytes([1, 15, 0, 0]))
print("stopped", control.recv(100)[:2] == bytes([1, 128]))
poll = select.poll()
for s in (client, server, listener, udp): poll.register(s, select.POLLIN)
while len(poll.poll()) < 4: pass
print("all ready")

print("what came is there", server.recv(100))
attempt("then", lambda: server.recv(100))
attempt("read", lambda: os.read(client.fileno(), 100))
attempt("send", lambda: client.send(b"x"))
attempt("accept", listener.accept)
attempt("recv", lambda: udp.recv(100))
attempt("sendto", lambda: udp.sendto(b"x", ("127.0.0.1", 1)))
attempt("socket", socket.socket)
attempt("connect", lambda: client.connect(("127.0.0.1", 7800)))
attempt("bind", lambda: udp.bind(("127.0.0.1", 7800)))
attempt("listen", listener.listen)
attempt("getsockname", client.getsockname)
attempt("getpeername", client.getpeername)
attempt("getsockopt", lambda: client.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))
attempt("type", lambda: client.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE))
attempt("setsockopt", lambda: client.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1))
attempt("shutdown", lambda: client.shutdown(socket.SHUT_WR))
attempt("getaddrinfo", lambda: socket.getaddrinfo("localhost", 80))
attempt("numbers", lambda: socket.getaddrinfo("127.0.0.1", 80, socket.AF_INET, socket.SOCK_STREAM)[0][4])
left, right = socket.socketpair()
print("unix", left.send(b"works"), right.recv(10))
client.close(); server.close(); listener.close(); udp.close()
print("done")
