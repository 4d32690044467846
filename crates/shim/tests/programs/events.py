# Event loops of the standard library, many connections at once, both kinds.
import asyncio, hashlib, socket, select, threading

async def echo(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()

async def client(number):
    reader, writer = await asyncio.open_connection("127.0.0.1", 7700)
    sent = bytes([number % 256]) * (1000 + 7919 * number)
    writer.write(sent)
    writer.write_eof()
    received = await reader.read()
    writer.close()
    return received == sent

class Upper(asyncio.DatagramProtocol):
    def connection_made(self, transport): self.transport = transport
    def datagram_received(self, data, address): self.transport.sendto(data.upper(), address)

class Answer(asyncio.DatagramProtocol):
    def __init__(self): self.answer = asyncio.get_running_loop().create_future()
    def datagram_received(self, data, address): self.answer.set_result((data, address))
    def error_received(self, error): self.answer.set_result(error)

async def main():
    server = await asyncio.start_server(echo, "127.0.0.1", 7700, backlog=200)
    print("streams", all(await asyncio.gather(*(client(n) for n in range(60)))))
    loop = asyncio.get_running_loop()
    await loop.create_datagram_endpoint(Upper, ("127.0.0.1", 7701))
    transport, protocol = await loop.create_datagram_endpoint(Answer, remote_addr=("127.0.0.1", 7701))
    transport.sendto(b"quiet")
    print("datagrams", await protocol.answer)
    transport, protocol = await loop.create_datagram_endpoint(Answer, remote_addr=("127.0.0.1", 7709))
    transport.sendto(b"quiet")
    print("refused", type(await protocol.answer).__name__)
    try: await asyncio.open_connection("127.0.0.1", 7709)
    except OSError as e: print("refused", type(e).__name__)
    server.close()

asyncio.run(main())

# select and threads.
listener = socket.create_server(("127.0.0.1", 7702), backlog=20)
def work(into):
    with socket.create_connection(("127.0.0.1", 7702)) as s:
        with s.makefile("rwb") as f:
            f.write(b"line one\nline two\n"); f.flush()
            s.shutdown(socket.SHUT_WR)
            into.append(f.read())
answers = []
threads = [threading.Thread(target=work, args=(answers,)) for _ in range(8)]
for t in threads: t.start()
open_ones, done = [listener], 0
while done < 8:
    for s in select.select(open_ones, [], [])[0]:
        if s is listener:
            open_ones.append(listener.accept()[0])
        elif data := s.recv(5):
            s.sendall(data)
        else:
            open_ones.remove(s); s.close(); done += 1
for t in threads: t.join()
print("threads", set(answers), len(answers))

import http.server, urllib.request
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b"page " * 100000)
    def log_message(self, *_): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 7703), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
pages = [urllib.request.urlopen("http://127.0.0.1:7703/").read() for _ in range(5)]
print("http", {hashlib.sha256(p).hexdigest()[:8] for p in pages})
print("done")
