# The peer of calls.py. On the control connection (port 7002) it takes orders, a line each, and answers with a line.
# Arguments: own address, the subject's address. Ports: 7000 echoes a stream, 7001 echoes datagrams, 7002 takes orders.
import socket, struct, sys, threading

own, subject = sys.argv[1:3]
FAMILY = socket.AF_INET6 if ":" in own else socket.AF_INET


def echo(connection):
    with connection:
        try:
            while piece := connection.recv(65536):
                connection.sendall(piece)
        except OSError:
            pass


def serve(port, work):
    listener = socket.create_server((own, port), family=FAMILY, backlog=1024)
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=work, args=(connection,), daemon=True).start()


def datagrams():
    s = socket.socket(FAMILY, socket.SOCK_DGRAM)
    s.bind((own, 7001))
    while True:
        data, sender = s.recvfrom(65536)
        s.sendto(data, sender)


def orders(connection):
    made = []
    lines = connection.makefile("rw", buffering=1)
    for line in lines:
        verb, *words = line.split()
        answer = "done"
        try:
            if verb == "connect":  # to a port of the subject's; says hello there and what it is known by
                made.append(socket.create_connection((subject, int(words[0])), timeout=20))
                made[-1].sendall(b"hello")
                answer = str(made[-1].getsockname()[1])
            elif verb == "hear":  # what comes on the last connection, until its end or an error
                heard = b""
                try:
                    while piece := made[-1].recv(65536):
                        heard += piece
                    answer = f"end {len(heard)}"
                except ConnectionResetError:
                    answer = f"reset {len(heard)}"
            elif verb == "say":
                made[-1].sendall(b"x" * int(words[0]))
            elif verb == "urgent":
                made[-1].send(b"!", socket.MSG_OOB)
            elif verb == "finish":
                made[-1].shutdown(socket.SHUT_WR)
            elif verb == "reset":
                made[-1].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                made[-1].close()
            elif verb == "datagram":  # to a port of the subject's
                with socket.socket(FAMILY, socket.SOCK_DGRAM) as s:
                    s.sendto(b"x" * int(words[1]), (subject, int(words[0])))
        except OSError as error:
            answer = f"failed {error}"
        lines.write(answer + "\n")


threading.Thread(target=serve, args=(7000, echo), daemon=True).start()
threading.Thread(target=datagrams, daemon=True).start()
serve(7002, orders)
