# Names from the node, numbers and services from libc.
import ctypes, socket

def attempt(what, call):
    try:
        print(what, call())
    except (socket.gaierror, socket.herror) as e:
        print(what, type(e).__name__, e.args[0])
    except OSError as e:
        print(what, "OSError", e.args[0])

INET, STREAM = socket.AF_INET, socket.SOCK_STREAM
show = lambda *a, **k: [(f.name, getattr(t, "name", t), p, c, s) for f, t, p, c, s in socket.getaddrinfo(*a, **k)]
attempt("two", lambda: show("two.test", 80, type=STREAM))
attempt("all kinds", lambda: show("two.test", "http"))
attempt("canonical", lambda: show("two.test", None, type=STREAM, flags=socket.AI_CANONNAME))
attempt("own", lambda: show("localhost", None, type=STREAM, flags=socket.AI_CANONNAME))
attempt("six", lambda: show("two.test", 80, socket.AF_INET6, STREAM))
attempt("mapped", lambda: show("two.test", 80, socket.AF_INET6, STREAM, flags=socket.AI_V4MAPPED))
attempt("numbers", lambda: show("192.0.2.9", 80, type=STREAM))
attempt("numbers six", lambda: show("2001:db8::1", 80, type=STREAM))
attempt("numeric only", lambda: show("two.test", 80, flags=socket.AI_NUMERICHOST))
attempt("passive", lambda: show(None, 80, INET, STREAM, flags=socket.AI_PASSIVE))
attempt("service", lambda: show("two.test", "no-such-service"))
attempt("service first", lambda: show("later.test", "no-such-service"))
attempt("service in numbers", lambda: show("192.0.2.9", "http", flags=socket.AI_NUMERICSERV))
attempt("service of a name", lambda: show("later.test", "http", flags=socket.AI_NUMERICSERV))
for name in ("nowhere.test", "empty.test", "later.test", "broken.test", "", "x." * 150):
    attempt("name " + name[:20], lambda: show(name, 80, INET, STREAM))
attempt("by name", lambda: socket.gethostbyname("two.test"))
attempt("by name", lambda: socket.gethostbyname_ex("two.test"))
attempt("by name in numbers", lambda: socket.gethostbyname_ex("192.0.2.7"))
attempt("by name, unknown", lambda: socket.gethostbyname_ex("nowhere.test"))
attempt("by name, later", lambda: socket.gethostbyname_ex("later.test"))
attempt("by address", lambda: socket.gethostbyaddr("127.0.0.1"))
attempt("by address, unknown", lambda: socket.gethostbyaddr("192.0.2.1"))
attempt("info", lambda: socket.getnameinfo(("127.0.0.1", 80), 0))
attempt("info in numbers", lambda: socket.getnameinfo(("127.0.0.1", 80), socket.NI_NUMERICHOST | socket.NI_NUMERICSERV))
attempt("info, unknown", lambda: socket.getnameinfo(("192.0.2.1", 80), socket.NI_NUMERICSERV))
attempt("info, required", lambda: socket.getnameinfo(("192.0.2.1", 80), socket.NI_NAMEREQD))

libc = ctypes.CDLL(None)
libc.gethostbyname.restype = ctypes.c_void_p
class hostent(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("aliases", ctypes.c_void_p), ("type", ctypes.c_int), ("length", ctypes.c_int), ("list", ctypes.POINTER(ctypes.c_void_p))]
entry = hostent.from_address(libc.gethostbyname(b"two.test"))
addresses = []
while entry.list[len(addresses)]:
    addresses.append(socket.inet_ntoa(ctypes.string_at(entry.list[len(addresses)], 4)))
print("gethostbyname", entry.name, entry.type, entry.length, addresses)
entry, result, error = hostent(), ctypes.c_void_p(), ctypes.c_int()
for size in (10, 40, 60, 100):
    buffer = ctypes.create_string_buffer(size)
    print("room", size, libc.gethostbyname_r(b"two.test", ctypes.byref(entry), buffer, ctypes.c_size_t(size), ctypes.byref(result), ctypes.byref(error)), bool(result.value))
host = ctypes.create_string_buffer(5)
address = ctypes.create_string_buffer(bytes([2, 0, 0, 80, 127, 0, 0, 1]) + bytes(8), 16)
print("overflow", libc.getnameinfo(address, 16, host, 5, None, 0, 0))
print("done")
