# The kernel's side of heard.py: it opens connections and sends on them, with what it is told to set first. A word of each option: level:name:hex.
import socket, sys, threading

class Caller:
    def set(self, options):
        for option in options:
            level, name, value = option.split(":")
            self.s.setsockopt(int(level), int(name), bytes.fromhex(value))

    def call(self, to, port, *options):
        self.s = socket.socket(socket.AF_INET6 if ":" in to else socket.AF_INET, socket.SOCK_STREAM)
        self.s.settimeout(60)
        self.set(options)
        self.s.connect((to, int(port)))
        return "called"

    def answer(self, port, *options):
        # Somebody may connect.
        listener = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
        self.s = listener
        self.set(options)
        listener.bind(("::", int(port)))
        listener.listen()
        def accept():
            self.s = listener.accept()[0]
        self.thread = threading.Thread(target=accept, daemon=True)
        self.thread.start()
        return "listens"

    def answered(self):
        self.thread.join(60)
        return "answered"

    def says(self, text, *options):
        self.set(options)
        self.s.sendall(text.encode())
        return "said"

    def hears(self):
        return self.s.recv(100).decode()

control = socket.create_server(("0.0.0.0", 7000))
while True:
    lines = control.accept()[0].makefile("rw")
    caller = Caller()
    for line in lines:
        word, *rest = line.split()
        print(getattr(caller, word)(*rest), file=lines, flush=True)
