# What the node or the shim refuses, or does otherwise than the kernel, for reasons that the documentation has.
import errno, socket

def attempt(what, call):
    try:
        print(what, call())
    except OSError as e:
        print(what, errno.errorcode[e.errno])

attempt("IPv6", lambda: socket.socket(socket.AF_INET6))
attempt("raw", lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP))
attempt("packet", lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW))
attempt("fast open", lambda: socket.socket().sendto(b"x", socket.MSG_FASTOPEN, ("127.0.0.1", 1)))
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
attempt("too many pieces", lambda: udp.sendmsg([b""] * 1024, [], 0, ("127.0.0.1", 1)))
import fcntl
attempt("interfaces", lambda: fcntl.ioctl(udp, 0x8915, b"lo" + bytes(38)))
print("done")
