# Addresses of a link. Arguments: own address, the peer's (which echoes as ipv6_peer.py does), the link's index.
import errno, socket, sys

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
