#!/usr/bin/env python3
"""Drives the http_echo example as a stranger would.

    http_echo.py BUILD_DIR

GUST_NETPOLL, GUST_MAXPROCS and the like pass through to the example.
"""

import contextlib
import http.client
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "harness"))

from program import Program  # pylint: disable=wrong-import-position

EXAMPLE = ""
WAIT_S = 30  # bounds every wait; nothing takes that long unless it hangs

LINE = re.compile(r"http_echo: http://(127\.0\.0\.1):(\d+)\n")


class Server(Program):
    """http_echo on a port that the kernel picked."""

    def __init__(self, *args):
        super().__init__([EXAMPLE, "--listen", "127.0.0.1:0", *args], LINE, leaks=True)
        self.address = (self.match[1], int(self.match[2]))
        self.url = f"http://{self.match[1]}:{self.match[2]}"

    def connect(self):
        return contextlib.closing(socket.create_connection(self.address, timeout=WAIT_S))

    def client(self):
        return contextlib.closing(http.client.HTTPConnection(*self.address, timeout=WAIT_S))

    def stop(self, signo=signal.SIGTERM):
        """Returns the exit status and what was said meanwhile."""
        return self.finish(signo, WAIT_S)


def run(*args):
    return subprocess.run([EXAMPLE, *args], capture_output=True, text=True, timeout=WAIT_S)


def read_all(conn):
    """Everything until the server closes."""
    pieces = []
    while piece := conn.recv(65536):
        pieces.append(piece)
    return b"".join(pieces)


def pattern(size):
    return (b"".join(i.to_bytes(4, "big") for i in range(4096)) * (size // 16384 + 1))[:size]


class Arguments(unittest.TestCase):
    def test_bad_arguments_show_the_usage(self):
        for args in (
            ["--listen"],
            ["--listen", "nonsense"],
            ["--listen", "127.0.0.1"],
            ["--listen", "127.0.0.1:65536"],
            ["--header-timeout", "0"],
            ["--header-timeout", "1e-12"],
            ["--header-timeout", "-1"],
            ["--idle-timeout", "soon"],
            ["--idle-timeout", "1x"],
            ["--unknown"],
            ["surplus"],
        ):
            with self.subTest(args=args):
                result = run(*args)
                self.assertEqual(result.returncode, 2)
                self.assertIn("usage: http_echo", result.stderr)
                self.assertEqual(result.stdout, "")

    def test_a_taken_port_is_named(self):
        with Server() as server:
            address = "127.0.0.1:%d" % server.address[1]
            result = run("--listen", address)
            self.assertEqual(result.returncode, 1)
            self.assertIn(address, result.stderr)
            self.assertIn("Address already in use", result.stderr)
            self.assertEqual(result.stdout, "")


class Paths(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server()

    @classmethod
    def tearDownClass(cls):
        status, said = cls.server.stop()
        assert (status, said) == (0, ""), (status, said)

    def ask(self, method, path, body=None, headers=None):
        with self.server.client() as client:
            client.request(method, path, body=body, headers=headers or {})
            response = client.getresponse()
            return response, response.read()

    def test_hello(self):
        response, body = self.ask("GET", "/")
        self.assertEqual((response.status, body), (200, b"Hello, World!"))
        self.assertEqual(response.getheader("Content-Length"), "13")
        self.assertEqual(response.getheader("Content-Type"), "text/plain")
        self.assertRegex(
            response.getheader("Date"), r"^[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT$"
        )

    def test_head(self):
        response, body = self.ask("HEAD", "/")
        self.assertEqual((response.status, body), (200, b""))
        self.assertEqual(response.getheader("Content-Length"), "13")

    def test_query_is_no_part_of_the_path(self):
        self.assertEqual(self.ask("GET", "/?a=b")[0].status, 200)

    def test_not_found(self):
        for path in ("/x", "/echo/", "//", "/ECHO"):
            self.assertEqual(self.ask("GET", path)[0].status, 404)

    def test_wrong_method(self):
        response, _ = self.ask("DELETE", "/")
        self.assertEqual((response.status, response.getheader("Allow")), (405, "GET, HEAD"))
        response, _ = self.ask("GET", "/echo")
        self.assertEqual((response.status, response.getheader("Allow")), (405, "POST"))

    def test_echo_keeps_type_and_length(self):
        response, body = self.ask("POST", "/echo", b"abc", {"Content-Type": "text/x-test"})
        self.assertEqual((response.status, body), (200, b"abc"))
        self.assertEqual(response.getheader("Content-Type"), "text/x-test")
        self.assertEqual(response.getheader("Content-Length"), "3")

    def test_echo_of_nothing(self):
        response, body = self.ask("POST", "/echo", b"")
        self.assertEqual((response.status, body), (200, b""))

    def test_chunked_upload(self):
        pieces = [b"x" * n for n in (1, 10, 1000, 100000)]
        with self.server.client() as client:
            client.request("POST", "/echo", body=iter(pieces), encode_chunked=True,
                           headers={"Transfer-Encoding": "chunked"})
            response = client.getresponse()
            self.assertEqual(response.read(), b"".join(pieces))
            self.assertEqual(response.getheader("Transfer-Encoding"), "chunked")

    def test_large_post_is_byte_exact(self):
        body = pattern(20_000_000)
        with self.server.connect() as conn:
            head = f"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
            # The echo streams: whoever does not read while sending comes to a halt.
            sender = threading.Thread(target=conn.sendall, args=(head.encode() + body,))
            sender.start()
            answer = read_all(conn)
            sender.join()
        head, _, echoed = answer.partition(b"\r\n\r\n")
        self.assertTrue(head.startswith(b"HTTP/1.1 200 OK\r\n"))
        self.assertEqual(echoed == body, True)

    def test_keep_alive_serves_many_requests(self):
        with self.server.client() as client:
            client.connect()
            first = client.sock
            for i in range(200):
                client.request("POST", "/echo", body=b"%d" % i)
                self.assertEqual(client.getresponse().read(), b"%d" % i)
            self.assertIs(client.sock, first)

    def test_pipelined_requests_are_answered_in_order(self):
        with self.server.connect() as conn:
            bodies = [b"%03d" % i for i in range(100)]
            for body in bodies:
                conn.sendall(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n" + body)
            conn.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            answer = read_all(conn)
        self.assertEqual(re.findall(rb"\r\n\r\n(\d{3})", answer), bodies)
        self.assertTrue(answer.endswith(b"Hello, World!"))

    def test_malformed_request_is_refused(self):
        with self.server.connect() as conn:
            conn.sendall(b"GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")
            answer = read_all(conn)
        self.assertTrue(answer.startswith(b"HTTP/1.1 400 Bad Request\r\n"))
        self.assertEqual(answer.count(b"HTTP/1.1"), 1)

    def test_64_clients_at_once(self):
        failures = []

        def client(number):
            try:
                with self.server.client() as conn:
                    for i in range(20):
                        body = b"%d %d " % (number, i) * 1000
                        conn.request("POST", "/echo", body=body)
                        if conn.getresponse().read() != body:
                            failures.append(number)
            except Exception as error:  # pylint: disable=broad-except
                failures.append((number, error))

        threads = [threading.Thread(target=client, args=(n,)) for n in range(64)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(WAIT_S)
        self.assertEqual(failures, [])

    @unittest.skipUnless(shutil.which("curl"), "there is no curl here")
    def test_curl(self):
        def curl(*args, stdin=b""):
            result = subprocess.run(["curl", "-sS", "-m", str(WAIT_S), *args], input=stdin,
                                    capture_output=True, check=True)
            return result.stdout

        url = self.server.url
        self.assertEqual(curl(url), b"Hello, World!")
        self.assertIn(b"Content-Length: 13\r\n", curl("-I", url))
        self.assertEqual(curl("-0", url), b"Hello, World!")
        self.assertEqual(curl("-d", "a=b", url + "/echo"), b"a=b")
        self.assertEqual(curl("-o", "/dev/null", "-w", "%{http_code}", url + "/x"), b"404")
        body = pattern(3_000_000)
        # curl sends "Expect: 100-continue" with a body of this size.
        self.assertEqual(curl("--data-binary", "@-", url + "/echo", stdin=body), body)
        self.assertEqual(
            curl("-H", "Transfer-Encoding: chunked", "-T", "-", "-X", "POST", url + "/echo",
                 stdin=body), body)
        self.assertEqual(curl(url, url, "-o", "/dev/null", "-o", "/dev/null", "-w", "%{num_connects}"),
                         b"10")


class Time(unittest.TestCase):
    def test_a_slow_header_is_cut_while_others_are_served(self):
        with Server("--header-timeout", "1") as server, contextlib.ExitStack() as stack:
            slow = [stack.enter_context(server.connect()) for _ in range(20)]
            start = time.monotonic()
            for conn in slow:
                conn.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nX: ")
                conn.settimeout(0.02)
            answers = [b""] * len(slow)
            closed = 0
            while closed < len(slow):
                self.assertLess(time.monotonic() - start, WAIT_S)
                closed = 0
                for i, conn in enumerate(slow):
                    with contextlib.suppress(OSError):
                        conn.sendall(b"x")
                    try:
                        piece = conn.recv(65536)
                        answers[i] += piece
                        closed += not piece
                    except TimeoutError:
                        pass
                    except ConnectionError:
                        closed += 1
                with server.client() as client:
                    client.request("GET", "/")
                    self.assertEqual(client.getresponse().read(), b"Hello, World!")
            self.assertGreaterEqual(time.monotonic() - start, 0.9)
            for answer in answers:
                self.assertTrue(answer.startswith(b"HTTP/1.1 408 "), answer)
            self.assertEqual(server.stop(), (0, ""))

    def test_an_idle_connection_is_closed_silently(self):
        with Server("--idle-timeout", "0.2") as server, server.connect() as conn:
            conn.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            answer = read_all(conn)
            self.assertTrue(answer.endswith(b"Hello, World!"))
            self.assertEqual(server.stop(), (0, ""))


class Signals(unittest.TestCase):
    def test_both_signals_end_it(self):
        for signo in (signal.SIGTERM, signal.SIGINT):
            with self.subTest(signo=signo), Server() as server:
                self.assertEqual(server.stop(signo), (0, ""))

    def test_a_second_signal_ends_it_at_once(self):
        with Server() as server, server.connect() as active, server.connect() as idle:
            active.sendall(b"POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
                           b"Content-Length: 5\r\n\r\n")
            self.assertTrue(active.recv(100).startswith(b"HTTP/1.1 100 "))
            server.process.send_signal(signal.SIGINT)
            self.assertEqual(idle.recv(100), b"")
            self.assertEqual(server.stop(signal.SIGINT), (-signal.SIGINT, ""))

    def test_a_request_in_flight_finishes(self):
        with Server() as server, server.connect() as active, server.connect() as idle:
            active.sendall(b"POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
                           b"Content-Length: 5\r\n\r\n")
            self.assertTrue(active.recv(100).startswith(b"HTTP/1.1 100 "))
            active.sendall(b"he")
            server.process.send_signal(signal.SIGTERM)
            self.assertEqual(idle.recv(100), b"")
            with self.assertRaises(ConnectionRefusedError):
                socket.create_connection(server.address, timeout=WAIT_S)
            active.sendall(b"llo")
            answer = read_all(active)
            self.assertIn(b"Connection: close\r\n", answer)
            self.assertTrue(answer.endswith(b"\r\n\r\nhello"))
            active.close()
            out, err = server.process.communicate(timeout=WAIT_S)
            self.assertEqual((server.process.returncode, out + err), (0, ""))


def main():
    global EXAMPLE
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    EXAMPLE = os.path.join(sys.argv.pop(1), "examples", "http_echo")
    unittest.main()


if __name__ == "__main__":
    main()
