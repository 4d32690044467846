# A name server for one zone. Arguments: own address. Names: web.lab is the server itself, many.lab has three addresses,
# both.lab is the server itself and 10.9.0.1, big.lab comes truncated by datagram and whole by stream, silent.lab gets no answer, all others do not exist.
import ipaddress, socket, struct, sys, threading

own = sys.argv[1]
A, PTR, AAAA = 1, 12, 28
IPV6 = ":" in own
FAMILY, ADDRESS = (socket.AF_INET6, AAAA) if IPV6 else (socket.AF_INET, A)
addresses = {
    b"web.lab": [own],
    b"many.lab": ["fd09::11", "fd09::12", "fd09::13"] if IPV6 else ["10.9.0.11", "10.9.0.12", "10.9.0.13"],
    b"big.lab": [f"fd09::{number}" if IPV6 else f"10.9.{number // 250}.{number % 250}" for number in range(120)],
}


def encode(name):
    return b"".join(bytes([len(label)]) + label for label in name.split(b".")) + b"\0"


def answer(question, by_stream):
    ident, flags, _, _, _, _ = struct.unpack("!6H", question[:12])
    labels, at = [], 12
    while length := question[at]:
        labels.append(question[at + 1 : at + 1 + length])
        at += 1 + length
    at += 1
    kind, _ = struct.unpack("!HH", question[at : at + 4])
    name = b".".join(labels).lower()
    if name == b"silent.lab":
        return None
    reverse = ipaddress.ip_address(own).reverse_pointer.encode()
    records, code = [], 0
    if name in addresses:
        records = [socket.inet_pton(FAMILY, address) for address in addresses[name]] if kind == ADDRESS else []
    elif name == b"both.lab":
        records = {A: [socket.inet_aton("10.9.0.1")], AAAA: [socket.inet_pton(socket.AF_INET6, own)]}.get(kind, [])
    elif name == reverse:
        records = [encode(b"web.lab")] if kind == PTR else []
    else:
        code = 3
    truncated = not by_stream and len(records) > 20
    if truncated:
        records = []
    head = struct.pack("!6H", ident, 0x8180 | (flags & 0x0100) | truncated << 9 | code, 1, len(records), 0, 0)
    body = b"".join(b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, 60, len(record)) + record for record in records)
    return head + question[12 : at + 4] + body


def streams():
    listener = socket.create_server((own, 53), family=FAMILY)
    while True:
        connection, _ = listener.accept()
        with connection:
            stream = connection.makefile("rwb")
            while head := stream.read(2):
                reply = answer(stream.read(struct.unpack("!H", head)[0]), True)
                if reply:
                    stream.write(struct.pack("!H", len(reply)) + reply)
                    stream.flush()


threading.Thread(target=streams, daemon=True).start()
datagrams = socket.socket(FAMILY, socket.SOCK_DGRAM)
datagrams.bind((own, 53))
while True:
    question, sender = datagrams.recvfrom(4096)
    reply = answer(question, False)
    if reply:
        datagrams.sendto(reply, sender)
