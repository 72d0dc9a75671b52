#!/usr/bin/python3
"""slow_server.py PORT SECONDS: an HTTP server on loopback whose every reply takes so long."""

import asyncio
import sys

REPLY = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n"


class Slow(asyncio.Protocol):
    def __init__(self, seconds):
        self.seconds = seconds
        self.seen = b""
        self.transport = None

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.seen += data
        if b"\r\n\r\n" in self.seen:
            self.seen = b""
            asyncio.get_running_loop().call_later(self.seconds, self.answer)

    def answer(self):
        if not self.transport.is_closing():
            self.transport.write(REPLY)
            self.transport.close()


async def main(port, seconds):
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Slow(seconds), "127.0.0.1", port, backlog=4096)
    await server.serve_forever()

asyncio.run(main(int(sys.argv[1]), float(sys.argv[2])))
