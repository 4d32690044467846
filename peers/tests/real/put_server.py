# An HTTP/1.1 server that stores what is PUT, in the current directory. Arguments: address, port.
import http.server, socket, sys


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_PUT(self):
        left = int(self.headers["Content-Length"])
        with open("." + self.path, "wb") as out:
            while left > 0:
                piece = self.rfile.read(min(left, 1 << 16))
                if not piece:
                    raise EOFError(f"{left} bytes are missing")
                out.write(piece)
                left -= len(piece)
        self.send_response(201)
        self.send_header("Content-Length", "0")
        self.end_headers()


http.server.ThreadingHTTPServer.address_family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
http.server.ThreadingHTTPServer((sys.argv[1], int(sys.argv[2])), Handler).serve_forever()
