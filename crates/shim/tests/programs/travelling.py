# One socket in many hands: dup, fork, exec, SCM_RIGHTS.
import array, os, socket, subprocess, sys

listener = socket.create_server(("127.0.0.1", 7500), backlog=8)
def pair():
    client = socket.create_connection(("127.0.0.1", 7500))
    return client, listener.accept()[0]

def out(*what):
    print(*what, flush=True)

# dup: all know their name; the connection lives until the last.
client, server = pair()
copies = [socket.socket(fileno=os.dup(client.fileno())) for _ in range(3)]
out("dup", all(copy.getpeername() == ("127.0.0.1", 7500) for copy in copies))
client.close()
copies[0].send(b"from a copy")
out("copy", server.recv(100))
fd = os.dup2(copies[1].fileno(), 50)
for copy in copies: copy.close()
server.setblocking(False)
try: out("open", server.recv(1))
except BlockingIOError: out("still open")
os.close(fd)
server.setblocking(True)
out("closed", server.recv(1))

# fork: parent and child use the same.
client, server = pair()
pid = os.fork()
if pid == 0:
    client.send(b"child " + b"%d" % client.getpeername()[1])
    os._exit(0)
os.waitpid(pid, 0)
out("fork", server.recv(100))

# exec: the program that follows finds out for itself.
code = "import socket, sys; s = socket.socket(fileno=int(sys.argv[1])); print(s.family.name, s.type.name, s.getpeername()); s.send(b'after exec')"
subprocess.run([sys.executable, "-I", "-c", code, str(client.fileno())], pass_fds=[client.fileno()], check=True)
out("exec", server.recv(100))

# As standard input and output of a program that knows nothing of sockets; subprocess uses vfork.
child = subprocess.Popen(["tr", "a-z", "A-Z"], stdin=client, stdout=client)
client.close()
server.sendall(b"shout"); server.shutdown(socket.SHUT_WR)
answer = b""
while piece := server.recv(100): answer += piece
out("tr", answer, child.wait())

# A listener travels, too.
code = "import socket, sys; s = socket.socket(fileno=int(sys.argv[1])); c = s.accept()[0]; c.send(b'accepted elsewhere')"
child = subprocess.Popen([sys.executable, "-I", "-c", code, str(listener.fileno())], pass_fds=[listener.fileno()])
client = socket.create_connection(("127.0.0.1", 7500))
out("listener", client.recv(100), client.recv(100), child.wait())

# Over a Unix socket to a process that was there before and has no datagram socket of its own.
for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
    here, there = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        here.close()
        data, fds, flags, address = socket.recv_fds(there, 100, 4)
        s = socket.socket(fileno=fds[0])
        os.write(1, b"received %s %s\n" % (data, s.type.name.encode()))
        # Plain reading and writing: no header must show.
        os.write(1, b"read " + os.read(s.fileno(), 100) + b"\n")
        os.write(s.fileno(), b"answer from afar")
        there.close()
        os._exit(0)
    there.close()
    if kind == socket.SOCK_STREAM:
        mine, other = pair()
    else:
        mine = socket.socket(socket.AF_INET, kind); mine.bind(("127.0.0.1", 7501))
        other = socket.socket(socket.AF_INET, kind); other.bind(("127.0.0.1", 7502))
        mine.connect(("127.0.0.1", 7502)); other.connect(("127.0.0.1", 7501))
    socket.send_fds(here, [b"take this"], [other.fileno()])
    other.close()
    mine.send(b"question")
    out("answer", mine.recv(100))
    out("child", os.waitpid(pid, 0)[1])
    here.close()

# A datagram socket over exec, as inetd starts programs: reading and writing standard input and output.
a = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); a.bind(("127.0.0.1", 7503))
b = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); b.bind(("127.0.0.1", 7504)); b.connect(("127.0.0.1", 7503)); a.connect(("127.0.0.1", 7504))
a.send(b"to a program")
subprocess.run([sys.executable, "-I", "-c", "import os; os.write(1, b'got ' + os.read(0, 100))"], stdin=b, stdout=b, check=True)
out("inetd", a.recv(100))
out("done")
