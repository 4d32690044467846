# Addresses of a link. Arguments: own address, the peer's (which echoes as ipv6_peer.py does), the link's index.
import errno, select, socket, sys

own, peer, scope = sys.argv[1], sys.argv[2], int(sys.argv[3])


def refused(number, call):
    try:
        call()
    except OSError as error:
        assert error.errno == number, error
    else:
        raise AssertionError(f"no {errno.errorcode[number]}")


for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
    def fresh():
        return socket.socket(socket.AF_INET6, kind)

    refused(errno.EINVAL, lambda: fresh().connect((peer, 7000)))
    refused(errno.ENETUNREACH, lambda: fresh().connect((peer, 7000, 0, 77)))
    refused(errno.EINVAL, lambda: fresh().bind((own, 0)))
    refused(errno.ENODEV, lambda: fresh().bind((own, 0, 0, 77)))
    refused(errno.EADDRNOTAVAIL, lambda: fresh().bind((own, 0, 0, 1)))
    refused(errno.EINVAL, lambda: fresh().bind(("ff02::9", 0)))
    with fresh() as s:
        s.bind((own, 0, 0, scope))
        assert s.getsockname()[0::3] == (own, scope), s.getsockname()

with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as s:
    s.settimeout(30)
    s.connect((peer, 7000, 0, scope))
    assert s.getpeername() == (peer, 7000, 0, scope), s.getpeername()
    assert s.getsockname()[0::3] == (own, scope), s.getsockname()
    s.sendall(b"link")
    assert s.recv(100) == b"link"

with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as s:
    s.settimeout(30)
    # One that is not connected need not say which, where there is but one.
    for to in ((peer, 7001, 0, scope), (peer, 7001)):
        s.sendto(b"link", to)
        assert s.recvfrom(100) == (b"link", (peer, 7001, 0, scope))
    refused(errno.ENETUNREACH, lambda: s.sendto(b"link", (peer, 7001, 0, 77)))

# A group of a link is one of some link, too; and no stream's.
group = ("ff02::9", 7002, 0, scope)
refused(errno.EINVAL, lambda: socket.socket(socket.AF_INET6, socket.SOCK_STREAM).bind(group))
refused(errno.ENETUNREACH, lambda: socket.socket(socket.AF_INET6, socket.SOCK_STREAM).connect(group))
for kind, protocol in ((socket.SOCK_DGRAM, 0), (socket.SOCK_RAW, 253)):
    for to in (group[:2], (peer, 7001)):
        with socket.socket(socket.AF_INET6, kind, protocol) as s:
            refused(errno.EINVAL, lambda: s.connect(to))
    for to in (group, (peer, 7001, 0, scope)):
        with socket.socket(socket.AF_INET6, kind, protocol) as s:
            s.connect(to)
            assert s.getpeername() == to and s.getsockname()[0::3] == (own, scope), (s.getpeername(), s.getsockname())
    with socket.socket(socket.AF_INET6, kind, protocol) as s:
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, scope)
        s.connect(group[:2])
        assert s.getpeername() == group, s.getpeername()
with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as s:
    s.bind(group)
    assert s.getsockname() == group, s.getsockname()

# What a host sends to an address of its own comes by the link that has it, and is heard by who is bound to that.
def on(place, kind):
    s = socket.socket(socket.AF_INET6, kind)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, place.encode())
    s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
    s.bind(("::", 0))
    s.settimeout(30)
    return s

name = socket.if_indextoname(scope)
with on(name, socket.SOCK_DGRAM) as s, socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as other:
    other.bind((own, 0, 0, scope))
    other.sendto(b"own", (own, s.getsockname()[1], 0, scope))
    data, info, _, who = s.recvmsg(100, 100)
    assert (data, who) == (b"own", other.getsockname()), (data, who)
    assert [int.from_bytes(value[16:], sys.byteorder) for _, _, value in info] == [scope], info
with on(name, socket.SOCK_STREAM) as s, socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as other:
    s.listen()
    other.settimeout(30)
    other.connect((own, s.getsockname()[1], 0, scope))
    accepted, who = s.accept()
    assert who == other.getsockname() and who[0::3] == (own, scope), (who, other.getsockname())
    accepted.close()
for family, inside in ((socket.AF_INET6, "::1"), (socket.AF_INET, "127.0.0.9")):
    with socket.socket(family, socket.SOCK_DGRAM) as s:
        s.settimeout(30)
        s.connect((inside, 9))
        assert s.getsockname()[0] == inside.replace("127.0.0.9", "127.0.0.1"), s.getsockname()
        # Errors that a host tells itself are not counted.
        for _ in range(40):
            s.send(b"nobody")
            refused(errno.ECONNREFUSED, lambda: s.recv(1))

# An error names the link, too.
with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as s:
    s.setsockopt(socket.IPPROTO_IPV6, 25, 1)
    waiting = select.poll()
    waiting.register(s, 0)
    for _ in range(10):
        s.sendto(b"nobody", (peer, 9, 0, scope))
        if waiting.poll(3000):
            break
    assert s.recvmsg(100, 100, socket.MSG_ERRQUEUE)[3] == (peer, 9, 0, scope)
