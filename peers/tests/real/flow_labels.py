# IPV6_FLOWLABEL_MGR: what leases of flow labels there may be, who may send what, and the file that tells of them. What it prints is the same on each stack
# that does as Linux does.
import ctypes, errno, os, re, socket, struct, time

IPV6, SENDS, MANAGER, FLOWINFO = 41, 33, 32, 11
GET, PUT, RENEW = 0, 1, 2
CREATE, FRESH, REFLECT, REMOTE = 1, 2, 4, 8
NONE, EXCLUSIVE, PROCESS, USER, ANY = 0, 1, 2, 3, 255
NOBODY = 65534
libc = ctypes.CDLL(None, use_errno=True)

def attempt(call):
    try:
        return "ok" if call() is not None else "done"
    except OSError as e:
        return errno.errorcode[e.errno]

def request(to="fd09::9", label=0, action=GET, share=ANY, flags=CREATE, expires=60, linger=30):
    return socket.inet_pton(socket.AF_INET6, to) + struct.pack("!I", label) + struct.pack("=BBHHHI", action, share, flags, expires, linger, 0)

def manage(s, more=b"", length=None, **wanted):
    whole = (request(**wanted) + more)[:length]
    value = ctypes.create_string_buffer(whole, max(len(whole), 32))
    if libc.setsockopt(s.fileno(), IPV6, MANAGER, value, len(whole)):
        return errno.errorcode[ctypes.get_errno()]
    label, = struct.unpack("!I", value.raw[16:20])
    assert value.raw[:16] + value.raw[20:len(whole)] == whole[:16] + whole[20:]
    return "ok" if label == wanted.get("label", 0) else "some" if 0 < label < 1 << 20 else label

def ask(s, length=32, **wanted):
    value, given = ctypes.create_string_buffer(request(label=7, **wanted), 64), ctypes.c_int(length)
    if libc.getsockopt(s.fileno(), IPV6, MANAGER, value, ctypes.byref(given)):
        return errno.errorcode[ctypes.get_errno()]
    # For how long yet is a matter of the moment.
    return given.value, value.raw[:24].hex(), value.raw[26:given.value].hex()

def make(kind=socket.SOCK_DGRAM, protocol=0):
    s = socket.socket(socket.AF_INET6, kind, protocol)
    s.setsockopt(IPV6, SENDS, 1)
    return s

def leases():
    with open("/proc/net/ip6_flowlabel") as file:
        header, *rows = file.read().split("\n")
    def clean(row):
        assert re.fullmatch(r"[0-9A-F]{5} \d+ [\d -]{6} [\d -]{6} [\d -]{6} [\d -]{8} [0-9a-f]{32} 0   ", row), row
        columns = row.replace(str(os.getpid()).ljust(6), "PID   ").split()
        assert 0 <= int(columns[5]) <= 150, row
        return " ".join(columns[:5] + columns[6:])
    assert rows.pop() == ""
    # A label that was chosen has a place by chance.
    return [header] + [clean(row) for row in rows]

sink = make()
sink.bind(("::1", 0))
port = sink.getsockname()[1]

def sends(s, label, **more):
    return attempt(lambda: s.sendto(b"x", ("::1", port, label)))

def attaches(s, label):
    return attempt(lambda: s.sendmsg([b"x"], [(IPV6, FLOWINFO, struct.pack("!I", label))], 0, ("::1", port)))

one, other = make(), make()
print("for all", manage(one, label=5), manage(other, label=5), manage(other, label=5), manage(other, label=9, flags=0), manage(other, label=5, flags=CREATE | FRESH))
print("anybody sends", sends(one, 0x777), attaches(one, 0x777), *leases(), sep="\n")
print("for one", manage(one, label=6, share=EXCLUSIVE), *(manage(s, label=6, share=share, flags=flags) for s in (one, other) for share in (EXCLUSIVE, ANY) for flags in (0, 1)))
print("for all not one", manage(other, label=5, share=EXCLUSIVE), manage(other, label=5, share=USER))
print("who has it sends", *(sends(s, label) for s in (one, other) for label in (0, 5, 6, 0x777)))
print("who has it attaches", *(attaches(s, label) for s in (one, other) for label in (0, 5, 6, 0x777)))
stranger = make()
print("connected", attempt(lambda: stranger.connect(("::1", port, 6))), attempt(lambda: other.connect(("::1", port, 5))), ask(other), ask(stranger), attempt(lambda: other.send(b"x")))
print("put back", *(manage(other, label=5, action=PUT) for _ in range(3)), manage(other, label=5, action=PUT), ask(other), manage(other, label=0x55, action=PUT), sends(other, 5), attempt(lambda: other.send(b"x")))
print(*leases(), sep="\n")
print("process", manage(one, label=0x30, share=PROCESS), manage(other, label=0x30, share=PROCESS), "user", manage(one, label=0x31, share=USER), manage(other, label=0x31, share=USER), flush=True)
told, tell = os.pipe()
if os.fork() == 0:
    os.close(told)
    child = make()
    of_root = ["child", manage(child, label=0x30, share=PROCESS), manage(child, label=0x31, share=USER)]
    os.seteuid(NOBODY)
    nobody = make()
    terms = [dict(linger=150), dict(linger=151), dict(expires=151), dict(action=RENEW, linger=151), dict(action=RENEW, expires=150), dict(action=RENEW, linger=20)]
    of_nobody = ["nobody", manage(nobody, label=0x31, share=USER), manage(nobody, label=0x32, share=USER), *(manage(nobody, label=0x33, **term) for term in terms),
                 manage(nobody, label=5, action=RENEW, share=NONE), *(manage(nobody, label=0x200 + n, share=ANY) for n in range(40))]
    os.write(tell, " ".join(map(str, of_root + of_nobody)).encode())
    os._exit(0)
os.close(tell)
os.wait()
print(os.read(told, 4096).decode())
print("wrong", manage(one, label=1 << 20), manage(one, label=0x40, share=NONE), manage(one, label=0x40, share=4), manage(one, label=0x40, to="::"),
      manage(one, label=0x40, to="::ffff:1.2.3.4"), manage(one, label=0x40, to="ff02::1"), manage(one, action=3), *(manage(one, label=0x41, length=n) for n in (0, 20, 31)),
      manage(one, bytes(8), label=0x42), manage(one, bytes(16), label=0x43))
print("terms", manage(one, label=0x44, linger=0, expires=0))
print("renewed", manage(one, label=0x44, action=RENEW, linger=20, expires=3), manage(other, label=0x44, action=RENEW, linger=40, expires=3),
      manage(other, label=0x44, action=RENEW, share=NONE, linger=25, expires=3), manage(other, label=0x999, action=RENEW, share=NONE))
print("chosen", manage(other), manage(other, share=EXCLUSIVE), manage(other, flags=0))
print("reflected", *(manage(s, action=action, flags=REFLECT) for s in (one, make(socket.SOCK_STREAM)) for action in (GET, PUT)))
# A stream, and what its server hears of it.
listener = make(socket.SOCK_STREAM)
listener.bind(("::1", 0))
listener.listen()
client = make(socket.SOCK_STREAM)
at = ("::1", listener.getsockname()[1])
print("stream", manage(client, label=0x50, share=EXCLUSIVE), attempt(lambda: client.connect((*at, 6))), attempt(lambda: client.connect((*at, 0x50))), ask(client), ask(client, flags=REMOTE))
server, _ = listener.accept()
print("accepted", ask(server), ask(server, flags=REMOTE), ask(server, length=64, flags=REMOTE), ask(server, action=PUT), ask(server, length=31))
raw = make(socket.SOCK_RAW, 253)
print("raw", attempt(lambda: raw.sendto(b"x", ("::1", 0, 6))), manage(raw, label=0x60), attempt(lambda: raw.sendto(b"x", ("::1", 0, 0x60))),
      attempt(lambda: raw.connect(("::1", 0, 0x61))), attempt(lambda: raw.connect(("::1", 0, 0x60))), ask(raw))
four = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
print("of IPv4", manage(four, label=1), ask(four))
mine = [row for row in leases() if not row.startswith("00033") and row[:5] < "00100"]
print(*mine, sep="\n")
for s in (one, other, stranger, client, raw):
    s.close()
# The kernel takes its time to let go.
end = time.monotonic() + 30
while (held := [row for row in leases()[1:] if row.split()[3] != "0"]) and time.monotonic() < end:
    time.sleep(0.05)
print("held", held)
