# Options that are set so often that they are only told, and what is read of them.
import os, socket

NODELAY, CORK = (socket.IPPROTO_TCP, socket.TCP_NODELAY), (socket.IPPROTO_TCP, socket.TCP_CORK)
sockets = [socket.socket() for _ in range(3)]
for turn in range(150):
    s = sockets[turn % 3]
    s.setsockopt(*CORK, 1)
    s.setsockopt(*NODELAY, turn & 1)
    s.setsockopt(*CORK, turn // 3 & 1)
    if turn % 5 == 0:
        print(turn, s.getsockopt(*NODELAY), s.getsockopt(*CORK))
    if turn in (70, 100):
        # A child says it on its own account.
        child = os.fork()
        if child == 0:
            for _ in range(turn):
                s.setsockopt(*NODELAY, 0)
                s.setsockopt(*NODELAY, 1)
            os._exit(s.getsockopt(*NODELAY))
        print("child", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), s.getsockopt(*NODELAY))
print("done")
