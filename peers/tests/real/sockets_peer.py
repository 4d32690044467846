# The peer of sockets.py: on port 7100 it does what it is told, an expression or statements a line (JSON), and answers with a line.
# Arguments: own address, the subject's address.
import json, select, socket, struct, sys, time

own, subject = sys.argv[1:3]
IPV6 = ":" in own
FAMILY = socket.AF_INET6 if IPV6 else socket.AF_INET


def at(address, port):
    return (address, port, 0, 0) if IPV6 else (address, port)


def wait_for(condition):
    while not condition():
        time.sleep(0.005)


def retransmitted(s):
    """How many segments went out again (tcpi_total_retrans)."""
    return struct.unpack_from("I", s.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104), 100)[0]


def connecting(port, to):
    """A connection in the making, from a port."""
    s = socket.socket(FAMILY)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(at(own, port))
    s.setblocking(False)
    s.connect_ex(at(subject, to))
    return s


def checksum(*parts):
    data = b"".join(parts)
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def pseudo(protocol, length):
    there, here = (socket.inet_pton(FAMILY, address) for address in (subject, own))
    return here + there + (struct.pack("!IHBB", length, 0, 0, protocol) if IPV6 else struct.pack("!BBH", 0, protocol, length))


listener = socket.create_server((own, 7100), family=FAMILY)
lines = listener.accept()[0].makefile("rw", buffering=1)
known = globals()
for line in lines:
    code = json.loads(line)
    try:
        try:
            answer = eval(code, known)
        except SyntaxError:
            answer = exec(code, known)
        if isinstance(answer, bytes):
            answer = {"hex": answer.hex()}
        lines.write(json.dumps(answer if isinstance(answer, (dict, int, str, list)) else None) + "\n")
    except Exception as error:
        lines.write(json.dumps({"error": f"{code}: {error!r}"}) + "\n")
