#!/usr/bin/env python3
"""What examples/http_proxy holds of a body whose reader does not read: little, in either
direction, however framed, with and without TLS.  proxy_memory.py BUILD_DIR"""
import hashlib
import os
import pathlib
import socket
import ssl
import sys
import tempfile
import threading
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "harness"))

import suite  # pylint: disable=wrong-import-position
from certificate import Certificate  # pylint: disable=wrong-import-position
from example import Example  # pylint: disable=wrong-import-position
from suite import WAIT_S  # pylint: disable=wrong-import-position

BUILD = ""
CERTIFICATE = None
MIB = 1 << 20
PIECE = bytes(range(256)) * 256
PIECES = 1024
BODY_LEN = len(PIECE) * PIECES
# Four socket buffers of the largest size that Linux gives by itself, and some.
ON_THE_WAY_MAX = 40 * MIB
GROWTH_MAX = 4 * MIB
STUCK_S = 0.5  # without a piece sent; more would only wait longer for the same


def memory_of(pid, key):
    """In bytes."""
    for line in pathlib.Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1]) * 1024
    raise KeyError(key)


class Writer(threading.Thread):
    """Sends the body."""

    def __init__(self, conn, chunked):
        super().__init__()
        self.conn, self.chunked = conn, chunked
        self.sent, self.moved = 0, threading.Event()

    def run(self):
        for _ in range(PIECES):
            self.conn.sendall(b"%x\r\n%s\r\n" % (len(PIECE), PIECE) if self.chunked else PIECE)
            self.sent += len(PIECE)
            self.moved.set()
        if self.chunked:
            self.conn.sendall(b"0\r\n\r\n")

    def await_stuck(self):
        """Until nobody takes any more, or it has sent everything."""
        while self.is_alive() and self.moved.wait(STUCK_S):
            self.moved.clear()


def read_head(reader):
    """Its first line."""
    first = reader.readline()
    while reader.readline() not in (b"\r\n", b""):
        pass
    return first


def read_body(reader, chunked):
    """Its length and checksum."""
    seen, total = hashlib.sha256(), 0
    while left := int(reader.readline(), 16) if chunked else BODY_LEN - total:
        while left and (piece := reader.read(min(left, len(PIECE)))):
            seen.update(piece)
            total, left = total + len(piece), left - len(piece)
        if left:
            break  # the connection has ended
        if chunked:
            reader.readline()
    if chunked:
        reader.readline()
    return total, seen.hexdigest()


WHOLE = BODY_LEN, hashlib.sha256(PIECE * PIECES).hexdigest()


def framing(chunked):
    return b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % BODY_LEN


class Bodies(unittest.TestCase):
    def start(self, tls):
        """The listener of an origin, and the proxy before it."""
        listener = socket.create_server(("127.0.0.1", 0))
        listener.settimeout(WAIT_S)
        self.addCleanup(listener.close)
        url = "http%s://127.0.0.1:%d" % ("s" if tls else "", listener.getsockname()[1])
        args = CERTIFICATE.args if tls else []
        proxy = Example(BUILD, "http_proxy", "--upstream", url, *args,
                        env={"SSL_CERT_FILE": CERTIFICATE.crt} if tls else None)
        self.addCleanup(proxy.__exit__)
        return listener, proxy

    def own(self, conn):
        reader = conn.makefile("rb")
        self.addCleanup(conn.close)
        self.addCleanup(reader.close)
        return conn, reader

    def accept(self, listener, tls):
        conn, _ = listener.accept()
        conn.settimeout(WAIT_S)
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(CERTIFICATE.crt, CERTIFICATE.key)
            conn = context.wrap_socket(conn, server_side=True)
        return self.own(conn)

    def dial(self, proxy, tls):
        conn = socket.create_connection(proxy.address, WAIT_S)
        if tls:
            conn = CERTIFICATE.context().wrap_socket(conn, server_hostname="127.0.0.1")
        return self.own(conn)

    def check(self, proxy, conn, chunked, find_reader):
        """Has the body sent by `conn`, and read once it cannot go on without."""
        before = memory_of(proxy.process.pid, "VmRSS")
        writer = Writer(conn, chunked)
        writer.start()
        reader = find_reader()
        writer.await_stuck()
        self.assertLess(writer.sent, ON_THE_WAY_MAX)
        self.assertEqual(read_body(reader, chunked), WHOLE)
        writer.join(WAIT_S)
        self.assertFalse(writer.is_alive())
        self.assertLess(memory_of(proxy.process.pid, "VmHWM") - before, GROWTH_MAX)

    def download(self, tls, chunked):
        listener, proxy = self.start(tls)
        client, client_reader = self.dial(proxy, tls)
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        origin, origin_reader = self.accept(listener, tls)
        read_head(origin_reader)
        origin.sendall(b"HTTP/1.1 200 OK\r\n%s\r\n\r\n" % framing(chunked))

        def find_reader():
            self.assertEqual(read_head(client_reader), b"HTTP/1.1 200 OK\r\n")
            return client_reader
        self.check(proxy, origin, chunked, find_reader)

    def upload(self, tls, chunked):
        listener, proxy = self.start(tls)
        client, client_reader = self.dial(proxy, tls)
        client.sendall(b"POST / HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n" % framing(chunked))
        origins = []

        def find_reader():  # the proxy asks once some of the body has come
            origins.append(self.accept(listener, tls))
            read_head(origins[0][1])
            return origins[0][1]
        self.check(proxy, client, chunked, find_reader)
        origins[0][0].sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
        self.assertEqual(read_head(client_reader), b"HTTP/1.1 204 No Content\r\n")

    def test_downloads(self):
        for tls in (False, True):
            for chunked in (False, True):
                with self.subTest(tls=tls, chunked=chunked):
                    self.download(tls, chunked)

    def test_uploads(self):
        for tls in (False, True):
            for chunked in (False, True):
                with self.subTest(tls=tls, chunked=chunked):
                    self.upload(tls, chunked)


def main():
    global BUILD, CERTIFICATE  # pylint: disable=global-statement
    BUILD = sys.argv.pop(1)
    with tempfile.TemporaryDirectory(prefix="gust-memory-") as directory:
        CERTIFICATE = Certificate(directory)
        suite.main()


if __name__ == "__main__":
    main()
