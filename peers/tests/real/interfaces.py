# What programs see of interfaces, routes, neighbours and sockets: printed as JSON, for two subjects to be compared.
# What must differ is taken out: hardware addresses, inodes, the counts themselves (not their columns), link-local addresses.
import array, ctypes, errno, fcntl, glob, json, os, re, select, socket, struct, subprocess, sys

SUBJECT, PEER, SUBJECT6, PEER6 = sys.argv[2:6]
libc = ctypes.CDLL(None, use_errno=True)
if sys.argv[1] == "kernel":
    # The kernel's /sys shows the network of whoever mounted it.
    assert libc.unshare(0x20000) == 0 and libc.mount(b"none", b"/", None, 0x44000, None) == 0
    assert libc.mount(b"sysfs", b"/sys", b"sysfs", 0, None) == 0

seen = {}
mac = open("/sys/class/net/veth0/address").read().strip()
index = socket.if_nametoindex("veth0")


def clean(text):
    text = text.replace(mac, "MAC").replace(mac.replace(":", ""), "MAC")
    return "\n".join(line for line in text.split("\n") if "fe80" not in line)


def shape(text):
    """Numbers with the blanks before them, as wide as they are."""
    return re.sub(r"(?<=[ :]) *\d+(?= |$)", lambda m: "#".rjust(len(m.group())), text, flags=re.M)


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    return clean(done.stdout + done.stderr)


def read(path):
    with open(path) as file:
        return file.read()


def attempt(call):
    try:
        return call()
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error))


# Sockets to be seen.
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp6 = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
udp.bind((SUBJECT, 7201))
udp6.bind((SUBJECT6, 7202))
listener = socket.create_server(("0.0.0.0", 7203))
listener6 = socket.create_server(("::", 7204), family=socket.AF_INET6)
client = socket.create_connection((PEER, 7000), source_address=(SUBJECT, 7205))
client6 = socket.create_connection((PEER6, 7000), source_address=(SUBJECT6, 7206))
mapped = socket.socket(socket.AF_INET6)
mapped.bind(("::ffff:" + SUBJECT, 7207))
mapped.connect(("::ffff:" + PEER, 7000))

# By the C library.
seen["if_nameindex"] = [(1 if i == 1 else i - index, name) for i, name in socket.if_nameindex()]
seen["if_indextoname"] = [socket.if_indextoname(1), socket.if_indextoname(index), attempt(lambda: socket.if_indextoname(999))]
seen["if_nametoindex"] = attempt(lambda: socket.if_nametoindex("none"))

def zone(name, flags=0):
    try:
        rows = socket.getaddrinfo(name, 80, type=socket.SOCK_STREAM, flags=flags)
        return [(address[0], address[3] - index) for *_, address in rows]
    except socket.gaierror as error:
        return error.errno


numeric = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV
seen["zones"] = [zone("fe80::1%veth0"), zone(f"ff02::1%{index}"), zone("fe80::1%none"), zone("fd09::2%veth0")]
seen["zones in numbers"] = [zone(name, socket.AI_NUMERICHOST) for name in ("ff02::6%veth0", "fe80::1%none", "name")]
seen["zones by name"] = [socket.getnameinfo(("fe80::1", 80, 0, index), numeric), socket.getnameinfo(("fe80::1", 80, 0, 999), numeric),
                         socket.getnameinfo(("fd09::2", 80, 0, 0), numeric)]


class ifaddrs(ctypes.Structure):
    pass


ifaddrs._fields_ = [
    ("next", ctypes.POINTER(ifaddrs)), ("name", ctypes.c_char_p), ("flags", ctypes.c_uint), ("address", ctypes.c_void_p),
    ("mask", ctypes.c_void_p), ("other", ctypes.c_void_p), ("data", ctypes.c_void_p),
]


def address(at):
    if not at:
        return None
    family = struct.unpack("H", ctypes.string_at(at, 2))[0]
    if family == socket.AF_INET:
        return socket.inet_ntop(family, ctypes.string_at(at + 4, 4))
    if family == socket.AF_INET6:
        scope = struct.unpack("I", ctypes.string_at(at + 24, 4))[0]
        return socket.inet_ntop(family, ctypes.string_at(at + 8, 16)), scope
    number, kind, packet, size = struct.unpack("IHBB", ctypes.string_at(at + 4, 8))
    hardware = ctypes.string_at(at + 12, size).hex(":")
    return family, "own" if number == index else number, kind, packet, clean(hardware)


first = ctypes.POINTER(ifaddrs)()
assert libc.getifaddrs(ctypes.byref(first)) == 0
seen["getifaddrs"] = []
at = first
while at:
    one = at.contents
    row = [one.name.decode(), hex(one.flags), address(one.address), address(one.mask), address(one.other), bool(one.data)]
    if "fe80" not in str(row):
        seen["getifaddrs"].append(row)
    at = one.next
libc.freeifaddrs(first)

# By ioctl, on each kind of socket.
def ifreq(name, value=b""):
    return struct.pack("16s24s", name, value)


def ask(s, command, name, value=b""):
    def call():
        found = fcntl.ioctl(s, command, ifreq(name, value))[16:]
        if command == 0x8933:
            return struct.unpack("i", found[:4])[0] - (index if name != b"lo" else 0)
        return found.hex().replace(mac.replace(":", ""), "MAC")
    return attempt(call)


kinds = {"udp": udp, "udp6": udp6, "tcp": client, "unix": socket.socket(socket.AF_UNIX)}
asked = [0x8913, 0x8915, 0x8917, 0x8919, 0x891B, 0x891D, 0x8927, 0x8929, 0x8933, 0x8935, 0x8942, 0x8947, 0x8970, 0x8B01, 0x8921]
for kind, s in kinds.items():
    for name in [b"lo", b"veth0", b"veth0:1", b"none"]:
        for command in asked:
            if (name, command) not in [(b"lo", 0x8921)]:
                seen[f"ioctl {command:#x} of {name.decode()} on {kind}"] = ask(s, command, name)
    seen[f"SIOCGIFNAME on {kind}"] = [
        attempt(lambda: fcntl.ioctl(s, 0x8910, ifreq(b"", struct.pack("i", i)))[:16].hex()) for i in [0, 1, index, 999]
    ]
    room = array.array("B", bytes(400))
    answer = struct.unpack("iP", fcntl.ioctl(s, 0x8912, struct.pack("iP", 400, room.buffer_info()[0])))[0]
    seen[f"SIOCGIFCONF on {kind}"] = bytes(room[:answer]).hex()
    lengths = [struct.unpack("iP", fcntl.ioctl(s, 0x8912, struct.pack("iP", size, pointer)))[0]
               for size, pointer in [(0, 0), (79, room.buffer_info()[0]), (39, room.buffer_info()[0])]]
    seen[f"SIOCGIFCONF without room on {kind}"] = lengths
bad = lambda command: libc.ioctl(udp.fileno(), command, ctypes.c_void_p(8)) and errno.errorcode[ctypes.get_errno()]
seen["bad pointers"] = [bad(command) for command in [0x8912, 0x8913, 0x8927, 0x8946, 0x8954]]


def ethtool(command, size, name=b"veth0", then=0):
    value = array.array("B", struct.pack("II", command, then) + bytes(size - 8))
    def call():
        fcntl.ioctl(udp, 0x8946, ifreq(name, struct.pack("P", value.buffer_info()[0])))
        return bytes(value)
    return attempt(call)


seen["ethtool link"] = [ethtool(0xA, 8, name)[4] for name in [b"lo", b"veth0"]]
seen["ethtool of none"] = ethtool(0xA, 8, b"none")
seen["ethtool driver of lo"] = ethtool(3, 196, b"lo")
# A veth's own is unknown to the kernel.
seen["ethtool permanent address"] = len(ethtool(0x20, 14, then=6)), ethtool(0x20, 14, then=5)
words = ethtool(0x4C, 48)[15]
seen["ethtool words"] = (words > 128, len(ethtool(0x4C, 48 + 12 * (256 - words))))


def arp(device, host=PEER):
    request = struct.pack("H2x4s8x16s4x16s16s", socket.AF_INET, socket.inet_aton(host), b"", b"", device)
    def call():
        found = fcntl.ioctl(udp, 0x8954, request)
        return found[:18].hex(), len(found[18:24]), found[32:36].hex(), found[52:].hex()
    return attempt(call)


seen["SIOCGARP"] = [arp(b"veth0"), arp(b"none"), arp(b"veth0", "10.9.0.99"), arp(b"")]

# Files. The kernel's order of IPv6 addresses and neighbours is its own.
seen["dev"] = shape(clean(read("/proc/net/dev")))
seen["route"] = clean(read("/proc/net/route"))
seen["arp"] = re.sub(r"(?<=  )([0-9a-f]{2}:){5}[0-9a-f]{2}", "MAC", read("/proc/net/arp"))
plain6 = lambda text: text.replace(f" {index:02x} ", " own ", )
seen["if_inet6"] = sorted(re.sub(r" 8[02] ( *\w+)$", r" 80 \1", line) for line in plain6(clean(read("/proc/net/if_inet6"))).split("\n"))
seen["ipv6_route"] = [
    re.sub(r"^(.{72}\w{32} \w{8}) \w{8} \w{8} ", r"\1 # # ", line) for line in clean(read("/proc/net/ipv6_route")).split("\n")
    # The kernel has the end of a table once for each lookup; its unused entries are its own affair.
    if "ffffffff" not in line
]
solicited = "".join(f"{byte:02x}" for byte in socket.inet_pton(socket.AF_INET6, SUBJECT6)[-3:])
own6 = lambda line: "01ff" not in line and "3333ff" not in line or solicited in line
by_index = lambda text: [re.sub(rf"^{index}(\s)", r"2\1", line) for line in text.split("\n")]
seen["igmp"] = [line for line in by_index(read("/proc/net/igmp"))]
seen["igmp6"] = sorted(line for line in by_index(read("/proc/net/igmp6")) if own6(line) and " ff01" not in line)
seen["dev_mcast"] = sorted(line for line in by_index(read("/proc/net/dev_mcast")) if own6(line))


def sockets(text):
    """The first line, and of each other what is told by place: up to the time of the timer; and how long it is if it is filled."""
    lines = text.split("\n")
    rows = [re.sub(r"^ *\d+:", "", line) for line in lines[1:]]
    def row(line):
        words = line.split()
        filled = len(line) if line.endswith("   ") else None
        # tx_queue, rx_queue; tr, tm->when; retrnsmt; uid; timeout; inode
        return words[:3], len(" ".join(words[3:6])), words[6:8], words[8].isdigit(), len(words), filled
    return lines[0], sorted(map(str, (row(line) for line in rows if ":1C" in line)))


for name in ["tcp", "tcp6", "udp", "udp6"]:
    seen[f"/proc/net/{name}"] = sockets(read(f"/proc/net/{name}"))
for name in ["raw", "raw6", "udplite", "icmp", "icmp6", "packet"]:
    seen[f"/proc/net/{name}"] = read(f"/proc/net/{name}").split("\n")[0]
names = lambda text: [line.split()[0:1] + line.split()[1:] for line in text.split("\n")[::2] if line.split()[:1] not in [["Icmp:"], ["IcmpMsg:"], []]]
snmp = names("\n".join(line for line in read("/proc/net/snmp").split("\n") if not line.startswith("IcmpMsg")))
seen["snmp"] = [[row[0], row[1:6]] for row in snmp]
same = [read(path) for path in ["/proc/net/route", "/proc/self/net/route", "/proc/thread-self/net/route", f"/proc/{os.getpid()}/net/route", "/proc//./net/route"]]
seen["one file by all its names"] = len(set(same))
seen["opened to be written"] = attempt(lambda: open("/proc/net/route", "r+")) in ("EACCES", None) or "as root on the kernel"

# A file is found by whoever holds the socket.
inodes = {os.stat(f"/proc/self/fd/{s.fileno()}").st_ino for s in (listener, client, udp, listener6, client6, udp6)}
listed = {int(line.split()[9]) for name in ["tcp", "tcp6", "udp", "udp6"] for line in read(f"/proc/net/{name}").split("\n")[1:] if line}
seen["inodes"] = inodes <= listed

# /sys/class/net.
seen["ls"] = sorted(os.listdir("/sys/class/net"))
seen["links"] = [os.path.islink("/sys/class/net/lo"), os.readlink("/sys/class/net/veth0"), os.path.realpath("/sys/class/net/lo")]
kept = ["address", "addr_len", "broadcast", "carrier", "dev_id", "dev_port", "dormant", "flags", "ifalias", "link_mode", "mtu",
        "netdev_group", "operstate", "proto_down", "tx_queue_len", "type", "statistics/tx_errors", "statistics/collisions"]
for name in ["lo", "veth0"]:
    for attribute in kept:
        if (name, attribute) != ("lo", "mtu"):
            seen[f"{name}/{attribute}"] = clean(read(f"/sys/class/net/{name}/{attribute}"))
seen["statistics"] = sorted(os.listdir("/sys/class/net/veth0/statistics"))
queues = "/sys/class/net/{}/queues".format
seen["queues"] = {queue: sorted(os.listdir(queues("veth0") + "/" + queue)) for queue in sorted(os.listdir(queues("veth0")))}
# Of a veth pair there could be more.
seen["one queue"] = {f"{queue}/{file}": attempt(lambda: read(queues("lo") + "/" + queue + "/" + file)) for queue in os.listdir(queues("lo")) for file in os.listdir(queues("lo") + "/" + queue)}
seen["counted"] = all(int(read(f"/sys/class/net/veth0/statistics/{way}_bytes")) > 0 for way in ["rx", "tx"])
seen["own"] = [int(read("/sys/class/net/veth0/ifindex")) - index, read("/sys/class/net/lo/uevent")]
seen["not there"] = [attempt(lambda: open("/sys/class/net/none/mtu")), os.path.exists("/sys/class/net/veth0/wireless"),
                     attempt(lambda: open("/sys/class/net/veth0/none")), attempt(lambda: os.listdir("/sys/class/net/none")),
                     attempt(lambda: read("/sys/class/net/lo/speed")), attempt(lambda: os.readlink("/sys/class/net/veth0/mtu"))]
seen["kinds"] = [os.path.isdir("/sys/class/net/veth0"), os.path.isdir("/sys/class/net/veth0/"), os.path.isfile("/sys/class/net/veth0/mtu"),
                 oct(os.stat("/sys/class/net/veth0/address").st_mode), oct(os.lstat("/sys/class/net/veth0").st_mode),
                 os.access("/sys/class/net/veth0/address", os.R_OK), os.access("/sys/class/net/none", os.F_OK)]
directory = os.open("/sys/class/net", os.O_RDONLY | os.O_DIRECTORY)
seen["through a directory"] = os.open in os.supports_dir_fd and clean(os.read(os.open("veth0/address", os.O_RDONLY, dir_fd=directory), 99).decode())
seen["as a directory"] = attempt(lambda: os.open("/sys/class/net/lo/mtu", os.O_RDONLY | os.O_DIRECTORY))
seen["other files"] = [read("/proc/self/comm"), os.path.isdir("/sys/class"), attempt(lambda: open("/proc/none")), attempt(lambda: open("/sys/none"))]

# By programs.
def ifconfig(text):
    text = re.sub(r"(packets|bytes|errors|dropped|overruns|frame|carrier|collisions) \d+( \(.*\))?", r"\1", text)
    # The loopback's MTU is one byte less than the kernel's. Its first queue is ever the same.
    return text.replace("mtu 65536", "mtu 65535")


seen["ifconfig"] = ifconfig(run("ifconfig", "-a"))
seen["route -n"] = run("route", "-n")
seen["arp -n"] = re.sub(r"([0-9a-f]{2}:){5}[0-9a-f]{2}", "MAC", run("arp", "-n"))
seen["netstat -rn"] = run("netstat", "-rn")
seen["netstat -tunap"] = sorted(
    re.sub(r"\d+/[\w.]+", "PID/NAME", line).rstrip() for line in run("netstat", "-tunap").split("\n") if re.search(r":72\d\d", line)
)
# In files, ss finds neither a listener's backlog nor that a socket of IPv6 wants no IPv4.
seen["ss"] = sorted(str([word.replace("[::]:", "*:") for word in line.split()[:2] + line.split()[4:6]])
                    for line in run("ss", "-Htuan").split("\n") if re.search(r":72\d\d", line))
seen["netstat -i"] = re.sub(r" +\d+(?= )", " #", run("netstat", "-i").replace(" BMRU", "  BMRU"))
seen["ls -l"] = sorted(line.split(" ", 1)[0] + line[line.rindex(" ", 0, line.index(" -> ")):] for line in run("ls", "-l", "/sys/class/net").split("\n") if "->" in line)
seen["tcpdump -D"] = re.findall(r"\d\.(lo|veth0|any) .*", run("tcpdump", "-D")), run("tcpdump", "-D").count("veth0 [Up, Running, Connected]")

try:
    import psutil
except ImportError:
    sys.exit("needs python3-psutil")
known = lambda rows: sorted(str((row.family, clean(str(row.address)), row.netmask, clean(str(row.broadcast)), row.ptp)) for row in rows if "fe80" not in row.address)
seen["psutil addresses"] = {name: known(rows) for name, rows in psutil.net_if_addrs().items()}
seen["psutil interfaces"] = {name: (one.isup, one.mtu if name != "lo" else None, one.flags) for name, one in psutil.net_if_stats().items()}
seen["psutil counters"] = sorted(psutil.net_io_counters(pernic=True))
seen["psutil connections"] = sorted(
    str((one.family, one.type, tuple(one.laddr), tuple(one.raddr), one.status)) for one in psutil.Process().connections() if one.laddr and one.laddr.port > 7200
)

# Counts: of sockets of each kind, of who listens to groups, and of messages by their types.
members = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
group = socket.inet_aton("239.1.2.3") + socket.inet_aton(SUBJECT)
for member, option, source in zip(members, [39, 38], ["10.1.1.1", "10.1.1.2"]):
    if option == 38:
        # IP_BLOCK_SOURCE is for members.
        member.setsockopt(0, socket.IP_ADD_MEMBERSHIP, group)
    member.setsockopt(0, option, group + socket.inet_aton(source))
storage = lambda host: struct.pack("=HHI16s104x", socket.AF_INET6, 0, 0, socket.inet_pton(socket.AF_INET6, host))
members.append(socket.socket(socket.AF_INET6, socket.SOCK_DGRAM))
members[2].setsockopt(41, 46, struct.pack("=Ixxxx", index) + storage("ff15::7") + storage("2001:db8::5"))
kept_open = [socket.socket(family, kind, protocol) for family in (socket.AF_INET, socket.AF_INET6)
             for kind, protocol in [(socket.SOCK_RAW, 253), (socket.SOCK_RAW, 254), (socket.SOCK_STREAM, 0)]]
lites = [socket.socket(family, socket.SOCK_DGRAM, 136) for family in (socket.AF_INET, socket.AF_INET6)]
for lite, host in zip(lites, [SUBJECT, SUBJECT6]):
    lite.bind((host, 7208))
mine = lambda text: sorted(re.sub(rf"^ *{index} ", "own ", line) for line in text.split("\n"))
seen["mcfilter"] = [mine(read("/proc/net/mcfilter")), mine(read("/proc/net/mcfilter6"))]
seen["users of groups"] = re.findall(r"(030201EF|ff150000000000000000000000000007) +(\d+)", read("/proc/net/igmp") + read("/proc/net/igmp6"))
seen["sockstat"] = re.findall(r"^\w+: inuse \d+", read("/proc/net/sockstat") + read("/proc/net/sockstat6"), flags=re.M)


def counters():
    lines = [line.split() for line in read("/proc/net/snmp").split("\n") if line]
    counted = {names[0] + name: int(value) for names, values in zip(lines[::2], lines[1::2]) for name, value in zip(names[1:], values[1:])}
    counted.update({line.split()[0]: int(line.split()[1]) for line in read("/proc/net/snmp6").split("\n") if line})
    # Neighbours are asked for in between.
    return {name: count for name, count in counted.items() if re.match("Icmp:Out|IcmpMsg:Out|Icmp6Out(Echos|Type128)|Udp6?:?(In|Out)D", name)}


def ask(s, question, to):
    """How often it was asked until there was an answer: who is busy loses some, but takes no longer than this."""
    s.settimeout(10)
    for tries in range(1, 5):
        s.sendto(question, to)
        try:
            s.recv(99)
            return tries
        except TimeoutError:
            pass
    sys.exit(f"no answer from {to}")


before, asked = counters(), {}
for family, peer, protocol, request, echoes, datagrams in [
    (socket.AF_INET, PEER, 1, "0800f7fd00010001", ["Icmp:OutMsgs", "Icmp:OutEchos", "IcmpMsg:OutType8"], "Udp:OutDatagrams"),
    (socket.AF_INET6, PEER6, 58, "8000000000010001", ["Icmp6OutEchos", "Icmp6OutType128"], "Udp6OutDatagrams"),
]:
    # Not all kernels find room for an answer at once; it is the question that is counted.
    echo = socket.socket(family, socket.SOCK_RAW, protocol)
    echo.sendto(bytes.fromhex(request), (peer, 0))
    asked.update(dict.fromkeys(echoes, 1))
    asked[datagrams] = ask(socket.socket(family, socket.SOCK_DGRAM), b"counted", (peer, 7001))
differences = {name: count - before.get(name, 0) for name, count in counters().items()}
seen["counted by type"] = sorted((name, count - asked.get(name, 1)) for name, count in differences.items() if count)
print(json.dumps(seen))
