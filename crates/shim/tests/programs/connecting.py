# connect: waiting and not, success and failure, and what poll and epoll say meanwhile.
import errno, os, select, signal, socket, struct, time

def name(e):
    return errno.errorcode.get(e.errno, e.errno)

def attempt(what, call):
    try:
        print(what, call())
    except OSError as e:
        print(what, name(e))

FLAGS = [("IN", select.POLLIN), ("OUT", select.POLLOUT), ("ERR", select.POLLERR), ("HUP", select.POLLHUP)]
def poll(s, events=select.POLLIN | select.POLLOUT, timeout=None):
    p = select.poll()
    p.register(s, events)
    return [n for _, got in p.poll(timeout) for n, f in FLAGS if got & f]

listener = socket.create_server(("127.0.0.1", 7200), backlog=8)

# Waiting.
s = socket.socket()
print("blocking", s.connect_ex(("127.0.0.1", 7200)))
attempt("twice", lambda: s.connect(("127.0.0.1", 7200)))
s = socket.socket()
attempt("refused", lambda: s.connect(("127.0.0.1", 7201)))
print("error is taken", s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
attempt("refused again", lambda: s.connect(("127.0.0.1", 7201)))
number = s.fileno()
attempt("the same socket elsewhere", lambda: s.connect(("127.0.0.1", 7200)))
s.send(b"works")
listener.accept()[0].close()
print("accepted", listener.accept()[0].recv(10), s.fileno() == number)
attempt("unreachable", lambda: socket.socket().connect(("192.0.2.1", 80)))

# Not waiting.
s = socket.socket(); s.setblocking(False)
print("started", errno.errorcode[s.connect_ex(("127.0.0.1", 7200))])
print("ready", poll(s))
print("established", s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), s.connect_ex(("127.0.0.1", 7200)))
attempt("once more", lambda: s.connect(("127.0.0.1", 7200)))
listener.accept()
s = socket.socket(); s.setblocking(False)
print("started", errno.errorcode[s.connect_ex(("127.0.0.1", 7201))])
print("failed", "ERR" in poll(s), "HUP" in poll(s), "OUT" in poll(s))
print("reason", errno.errorcode[s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)])
print("reason again", s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
s = socket.socket(); s.setblocking(False)
s.connect_ex(("127.0.0.1", 7201)); poll(s)
attempt("reason by reading", lambda: s.recv(1))
attempt("then", lambda: s.recv(1))
s = socket.socket(); s.setblocking(False)
s.connect_ex(("127.0.0.1", 7201)); poll(s)
attempt("reason by writing", lambda: s.send(b"x"))
s = socket.socket(); s.setblocking(False)
s.connect_ex(("127.0.0.1", 7201)); poll(s)
attempt("reason by connecting", lambda: s.connect(("127.0.0.1", 7200)))
attempt("anew", lambda: s.connect(("127.0.0.1", 7200)))
print("ready", poll(s), s.connect_ex(("127.0.0.1", 7200)))
listener.accept()

# Edge-triggered.
e = select.epoll()
s = socket.socket(); s.setblocking(False)
# Before the call: who asks while the connection comes to stand may be told twice, by the kernel too.
e.register(s, select.EPOLLOUT | select.EPOLLET)
e.poll(0)
s.connect_ex(("127.0.0.1", 7200))
print("edge", [f & select.EPOLLOUT for _, f in e.poll()])
# Once more it may be told, as the filler goes in two pieces; not for ever.
while e.poll(0):
    pass
listener.accept()

# A peer that does not answer: its backlog is full.
full = socket.create_server(("127.0.0.1", 7202), backlog=0)
first = socket.create_connection(("127.0.0.1", 7202))
s = socket.socket(); s.setblocking(False)
print("started", errno.errorcode[s.connect_ex(("127.0.0.1", 7202))])
print("not ready", poll(s, timeout=0), select.select([s], [s], [], 0)[:2] == ([], []))
attempt("already", lambda: s.connect(("127.0.0.1", 7202)))
attempt("peer", s.getpeername)
attempt("reads", lambda: s.recv(1))

timed = socket.socket()
timed.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", 0, 50000))
attempt("time is up", lambda: timed.connect(("127.0.0.1", 7202)))

class Interrupted(Exception): pass
def handler(*_): raise Interrupted
signal.signal(signal.SIGALRM, handler)
s = socket.socket()
try:
    # Whoever is busy may hear of it before the call.
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    s.connect(("127.0.0.1", 7202))
    print("connected")
except Interrupted:
    print("interrupted")
# The timer was also the one that ends a program that hangs.
signal.signal(signal.SIGALRM, signal.SIG_DFL); signal.alarm(60)

# Room in the backlog: the waiting ones connect.
waiting = socket.socket()
pid = os.fork()
if pid == 0:
    waiting.connect(("127.0.0.1", 7202))
    waiting.sendall(b"late")
    os._exit(0)
# Those that gave up may come, too, and say nothing.
open_ones, data = [full], b""
while not data:
    for s in select.select(open_ones, [], [])[0]:
        if s is full:
            open_ones.append(full.accept()[0])
            continue
        try: data = s.recv(10)
        except ConnectionError: pass
        if data: break
        open_ones.remove(s)
print("late", data, os.waitpid(pid, 0)[1])
print("done")
