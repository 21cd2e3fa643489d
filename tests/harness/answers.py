"""A server in a thread that answers as the path says, well or badly, for the scripts of
tests/integration.

    /           hello                    /status/N   hello, with this status
    /chunked    hello, in chunks         /last       hello, and closes the connection
    /to-end     hello, without a length  /close      closes it without an answer
    /half       half of hello, and closes it
    /garbage    what is no HTTP          /hang       nothing
    /deaf       what is no HTTP, and reads no more
    /slow/MS    hello, after so long, one after the other
"""

import asyncio
import threading
import time

HELLO = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
ANSWERS = {
    "/": HELLO,
    "/chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
    "/last": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello",
    "/to-end": b"HTTP/1.1 200 OK\r\n\r\nhello",
    "/close": b"",
    "/half": HELLO[:-3],
    "/garbage": b"220 smtp ready\r\n",
    "/deaf": b"220 smtp ready\r\n",
}
CLOSING = ("/last", "/to-end", "/close", "/half")


class Client(asyncio.Protocol):
    """One connection."""

    def __init__(self, answers):
        self.answers, self.unread, self.transport = answers, b"", None

    def connection_made(self, transport):
        self.transport = transport
        self.answers.connected.append(time.monotonic())
        self.answers.transports.append(transport)

    def data_received(self, data):
        self.unread += data
        while b"\r\n\r\n" in self.unread:
            head, _, self.unread = self.unread.partition(b"\r\n\r\n")
            self.answer(head.decode())

    def answer(self, head):
        path = head.split(" ")[1].partition("?")[0]
        self.answers.heads.append(head)
        if self.answers.only_one:
            self.answers.server.close()
        self.answers.pause_in_time()
        first, _, rest = path[1:].partition("/")
        if first == "slow":
            time.sleep(int(rest) / 1000)
        answer = ANSWERS.get(path, HELLO if first != "hang" else b"")
        if first == "status":
            answer = answer.replace(b"200", rest.encode())
        self.transport.write(answer)
        if path in CLOSING:
            self.transport.close()
        if path == "/deaf":
            self.transport.pause_reading()


class Echo(asyncio.Protocol):
    """Sends back what it gets, or that with its first byte changed."""

    def __init__(self, answers):
        self.answers, self.transport = answers, None

    def connection_made(self, transport):
        self.transport = transport
        self.answers.transports.append(transport)

    def data_received(self, data):
        if self.answers.spoils:
            data = bytes([data[0] ^ 1]) + data[1:]
        self.transport.write(data)


class Answers:
    """The server.  port: where.  heads: what it was asked.  connected: when connections came.

    pause: (after, for) in seconds: so long after the first request it stands still once.
    only_one: it stops listening before it answers the first request.  spoils: an echo
    changes what it sends back."""

    def __init__(self, protocol=Client, *, pause=None, only_one=False, spoils=False):
        self.protocol, self.pause, self.only_one, self.spoils = protocol, pause, only_one, spoils
        self.heads, self.connected, self.transports, self.began = [], [], [], None
        self.loop, self.server = asyncio.new_event_loop(), None
        listening = threading.Event()
        self.thread = threading.Thread(target=self.serve, args=[listening])
        self.thread.start()
        listening.wait()
        self.port = self.server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def serve(self, listening):
        asyncio.set_event_loop(self.loop)
        self.server = self.loop.run_until_complete(
            self.loop.create_server(lambda: self.protocol(self), "127.0.0.1", 0, backlog=1024))
        listening.set()
        self.loop.run_forever()
        for transport in self.transports:
            transport.abort()
        self.server.close()
        self.loop.run_until_complete(self.server.wait_closed())
        self.loop.close()

    def pause_in_time(self):
        now = time.monotonic()
        self.began = self.began or now
        if self.pause and now - self.began >= self.pause[0]:
            pause, self.pause = self.pause[1], None
            time.sleep(pause)

    def paths(self):
        return [head.split(" ")[1] for head in self.heads]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
