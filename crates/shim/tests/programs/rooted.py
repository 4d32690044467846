# A program that changes its root directory makes sockets still, and so do its children.
import os, socket, tempfile

empty = tempfile.mkdtemp()
def out(*what):
    print(*what, flush=True)

def talk(who):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        with socket.create_connection(listener.getsockname()) as client:
            server, peer = listener.accept()
            client.send(who.encode())
            out(server.recv(100), peer == client.getsockname())
            server.close()

def child(act):
    pid = os.fork()
    if pid == 0:
        act()
        os._exit(0)
    out(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))

def rooted():
    os.chroot(empty)
    os.chdir("/")
    out(os.listdir("/"))
    talk("behind")
    child(lambda: (talk("a child"), child(lambda: talk("a child's child"))))

talk("before")
# One that has asked before, and one that has not.
child(rooted)
child(lambda: (os.chroot(empty), child(lambda: talk("without a question before"))))
# Whoever closes what he does not know has the path, if it is there.
child(lambda: (os.chroot("/"), os.closerange(3, 4096), talk("all closed")))
try:
    os.chroot(empty + "/none")
except OSError as error:
    out(error.strerror)
os.rmdir(empty)
talk("after")
out("done")
