#!/usr/bin/env python3
"""Drives examples/http_proxy with origins that die, stall and reset: proxy.py BUILD_DIR"""
import hashlib
import http.client
import http.server
import json
import os
import pathlib
import re
import signal
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "harness"))

from certificate import Certificate  # pylint: disable=wrong-import-position
from program import Program  # pylint: disable=wrong-import-position

TIMEOUT_S = 30
LINE = re.compile(r"http_proxy: (https?)://(\S+):(\d+)\n")
LARGE = bytes(range(256)) * 16384


class Proxy(Program):
    """A running http_proxy."""

    def __init__(self, program, *args, leaks=False, env=None):
        super().__init__([program, "--listen", "127.0.0.1:0", *args], LINE, leaks=leaks, env=env)
        self.port = int(self.match[3])

    def connect(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT_S)

    def ask(self, path="/", method="GET", body=None, headers=None):
        connection = self.connect()
        try:
            connection.request(method, path, body=body, headers=headers or {})
            response = connection.getresponse()
            return response, response.read()
        finally:
            connection.close()


class Handler(http.server.BaseHTTPRequestHandler):
    """An origin that does what the path says."""

    protocol_version = "HTTP/1.1"

    def log_message(self, format, *args):  # pylint: disable=redefined-builtin
        pass

    def answer(self, body, status=200):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.server.requests += 1
        if self.path == "/die":
            self.close_connection = True
        elif self.path == "/stall":
            self.server.over.wait(TIMEOUT_S)
            self.close_connection = True
        elif self.path.startswith("/cut/"):
            self.cut(self.path[5:])
        elif self.path == "/large":
            self.answer(LARGE)
        elif self.path == "/slow":
            self.server.slow.set()
            self.server.go.wait(TIMEOUT_S)
            self.answer(b"slow")
        else:
            self.answer(f"{self.server.name} {self.headers.get('X-Forwarded-For')}".encode())

    def cut(self, how):
        """Ends in the middle of a body."""
        self.send_response(200)
        if how == "chunked":
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"10000\r\n" + LARGE[:30000])
        else:
            self.send_header("Content-Length", "1000000")
            self.end_headers()
            self.wfile.write(LARGE[:30000])
        self.wfile.flush()
        if how == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                       struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close() if how == "reset" else self.connection.shutdown(socket.SHUT_RDWR)

    def do_POST(self):
        body = b""
        if self.headers.get("Transfer-Encoding") == "chunked":
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.answer(hashlib.sha256(body).hexdigest().encode())


class Origin:
    """One in this process, on a port that stays its own while it is away."""

    def __init__(self, name, port=0, tls=None):
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        if tls:
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True)
        self.server.handle_error = lambda *_: None
        self.server.name, self.server.requests = name, 0
        self.server.over, self.server.slow, self.server.go = (threading.Event() for _ in range(3))
        self.port = self.server.server_port
        self.url = f"http://127.0.0.1:{self.port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.over.set()
        self.server.go.set()
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


def dead_url():
    """Of a port where nobody listens: bound, and so nobody else's."""
    holder = socket.socket()
    holder.bind(("127.0.0.1", 0))
    return holder, f"http://127.0.0.1:{holder.getsockname()[1]}"


# --- Faults -----------------------------------------------------------------------------


def what_is_not_there_is_502(program):
    holder, url = dead_url()
    with holder, Proxy(program, "--upstream", url) as proxy:
        response, _ = proxy.ask()
        assert response.status == 502, response.status
        response, _ = proxy.ask(method="POST", body=b"x" * 1000)
        assert response.status == 502, response.status
        status, said = proxy.finish(signal.SIGTERM, TIMEOUT_S)
        assert status == 0, (status, said)


def what_does_not_answer_is_504(program):
    with Origin("a") as a, Proxy(program, "--upstream", a.url, "--upstream-timeout", "0.1") as proxy:
        response, _ = proxy.ask("/stall")
        assert response.status == 504, response.status


def what_dies_is_502(program):
    with Origin("a") as a, Proxy(program, "--upstream", a.url) as proxy:
        response, _ = proxy.ask("/die")
        assert response.status == 502, response.status
        assert a.server.requests == 3, a.server.requests  # GET may be sent again


def what_breaks_off_is_broken(program):
    with Origin("a") as a, Proxy(program, "--upstream", a.url) as proxy:
        for how in ("length", "chunked", "reset"):
            try:
                _, body = proxy.ask("/cut/" + how)
            except (http.client.IncompleteRead, ConnectionError):
                continue
            raise AssertionError(f"{how}: {len(body)} bytes look complete")
        response, body = proxy.ask("/large")  # it serves on
        assert (response.status, body) == (200, LARGE)


def an_upstream_that_is_away_is_gone_round(program):
    holder, url = dead_url()
    with holder, Origin("b") as b, Proxy(program, "--upstream", url, "--upstream", b.url) as proxy:
        for _ in range(20):
            response, body = proxy.ask()
            assert (response.status, body) == (200, b"b 127.0.0.1"), (response.status, body)


# --- Who the client is ---------------------------------------------------------------------


def a_proxy_in_front_names_the_client(program):
    with Origin("a") as a, Proxy(program, "--upstream", a.url, "--accept-proxy") as proxy:
        with socket.create_connection(("127.0.0.1", proxy.port), TIMEOUT_S) as s:
            s.sendall(b"PROXY TCP4 192.0.2.7 127.0.0.1 4000 80\r\n"
                      b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            answer = s.makefile("rb").read()
        assert answer.endswith(b"\r\n\r\na 192.0.2.7"), answer


def both_sides_may_be_tls(program, directory):
    certificate = Certificate(directory)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate.crt, certificate.key)
    with Origin("a", tls=tls) as a:
        args = ["--upstream", a.url.replace("http", "https"), *certificate.args]
        for trusted, want in ((certificate.crt, (200, b"a 127.0.0.1")), ("/dev/null", (502, None))):
            with Proxy(program, *args, env={"SSL_CERT_FILE": trusted}) as proxy:
                assert proxy.match[1] == "https", proxy.line
                url = f"https://127.0.0.1:{proxy.port}/"
                context = certificate.context()
                try:
                    with urllib.request.urlopen(url, timeout=TIMEOUT_S, context=context) as answer:
                        got = answer.status, answer.read()
                except urllib.error.HTTPError as error:
                    got = error.code, None
                assert got == want, (trusted, got)


# --- Bodies ------------------------------------------------------------------------------


def bodies_arrive(program):
    want = hashlib.sha256(LARGE).hexdigest().encode()
    pieces = (LARGE[i:i + 100001] for i in range(0, len(LARGE), 100001))
    with Origin("a") as a, Proxy(program, "--upstream", a.url) as proxy:
        for body in (LARGE, pieces):
            response, got = proxy.ask(method="POST", body=body)
            assert (response.status, got) == (200, want), (response.status, got)


# --- A tunnel -----------------------------------------------------------------------------


def upgrade_once(listener):
    conn, _ = listener.accept()
    with conn, conn.makefile("rb") as lines:
        while lines.readline() not in (b"\r\n", b""):
            pass
        conn.sendall(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"
                     b"Upgrade: echo\r\n\r\nhello ")
        said = lines.read()  # until the client's end
        conn.sendall(said + b" bye")


def an_upgrade_is_a_tunnel(program):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=upgrade_once, args=(listener,))
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with Proxy(program, "--upstream", url) as proxy, \
                socket.create_connection(("127.0.0.1", proxy.port), TIMEOUT_S) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n"
                           b"\r\none")
            client.sendall(b" two")
            client.shutdown(socket.SHUT_WR)
            with client.makefile("rb") as got:
                text = got.read()
            assert text.startswith(b"HTTP/1.1 101 "), text
            assert text.endswith(b"hello one two bye"), text
        thread.join()


# --- Signals -------------------------------------------------------------------------------


def write_config(path, *origins, **keys):
    with open(path, "w", encoding="utf-8") as file:
        for name, value in keys.items():
            file.write(f"{name}: {value}\n")
        file.write("upstreams:\n" + "".join(f"  - url: {o.url}\n" for o in origins))


def await_said(proxy, text):
    line = proxy.process.stderr.readline()
    assert text in line, line


def a_reload_drops_nothing(program, directory):
    path = os.path.join(directory, "proxy.yaml")
    with Origin("a") as a, Origin("b") as b:
        write_config(path, a, stats="/-/proxy")
        with Proxy(program, "--config", path, leaks=True) as proxy:
            slow = []
            asker = threading.Thread(target=lambda: slow.append(proxy.ask("/slow")))
            asker.start()
            assert a.server.slow.wait(TIMEOUT_S)
            write_config(path, b)
            proxy.process.send_signal(signal.SIGHUP)
            await_said(proxy, "reloaded")
            assert proxy.ask()[1].startswith(b"b ")
            stats = json.loads(proxy.ask("/-/proxy.json")[1])
            assert [u["url"] for u in stats["upstreams"]] == [b.url], stats
            assert b"<table>" in proxy.ask("/-/proxy")[1]
            with open(path, "w", encoding="utf-8") as file:
                file.write("upstreams: none\n")
            proxy.process.send_signal(signal.SIGHUP)
            await_said(proxy, f"{path}:1: upstreams: expected a list")
            assert proxy.ask()[1].startswith(b"b ")
            a.server.go.set()
            asker.join()
            assert slow[0][1] == b"slow", slow
            status, said = proxy.finish(signal.SIGTERM, TIMEOUT_S)
            assert status == 0, (status, said)


def a_drain_answers_what_it_has(program):
    with Origin("a") as a, Proxy(program, "--upstream", a.url, leaks=True) as proxy:
        slow = []
        asker = threading.Thread(target=lambda: slow.append(proxy.ask("/slow")))
        asker.start()
        assert a.server.slow.wait(TIMEOUT_S)
        proxy.process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + TIMEOUT_S
        while time.monotonic() < deadline:  # until it takes no more
            try:
                socket.create_connection(("127.0.0.1", proxy.port), TIMEOUT_S).close()
            except (ConnectionRefusedError, ConnectionResetError):
                break  # a reset: it waited to be accepted
        a.server.go.set()
        asker.join()
        assert slow[0][1] == b"slow", slow
        out, err = proxy.process.communicate(timeout=TIMEOUT_S)
        assert proxy.process.returncode == 0, (proxy.process.returncode, out, err)


class Load:
    """Asks from several threads, until the end of the block; all has to be answered."""

    def __init__(self, proxy):
        self.proxy, self.answered, self.wrong = proxy, 0, []
        self.stop = threading.Event()
        self.threads = [threading.Thread(target=self.run) for _ in range(4)]

    def run(self):
        while not self.stop.is_set():
            try:
                response, body = self.proxy.ask()
                if response.status != 200:
                    self.wrong.append((response.status, body))
            except (OSError, http.client.HTTPException) as error:
                self.wrong.append(error)
            self.answered += 1

    def await_more(self, count):
        """Until so many more have been answered, give or take what threads lose in counting."""
        end, deadline = self.answered + count, time.monotonic() + TIMEOUT_S
        while self.answered < end:
            assert time.monotonic() < deadline and not self.wrong, self.wrong[:3]
            time.sleep(0.001)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        for thread in self.threads:
            thread.join()
        assert not self.wrong, self.wrong[:3]


def a_rolling_restart_fails_nothing(program):
    origins = [Origin(name) for name in "abc"]
    ports = [o.port for o in origins]
    args = [arg for o in origins for arg in ("--upstream", o.url)]
    with Proxy(program, *args) as proxy, Load(proxy) as load:
        for i, port in enumerate(ports):
            origins[i].__exit__()
            load.await_more(50)
            origins[i] = Origin("abc"[i], port)
    for origin in origins:
        origin.__exit__()


def reloads_under_load_drop_nothing(program, directory):
    path = os.path.join(directory, "proxy.yaml")
    with Origin("a") as a, Origin("b") as b:
        write_config(path, a)
        with Proxy(program, "--config", path, leaks=True) as proxy:
            with Load(proxy) as load:
                for origins in ((a, b), (b,), (b, a), (a,)) * 5:
                    write_config(path, *origins, balance="least_connections")
                    proxy.process.send_signal(signal.SIGHUP)
                    await_said(proxy, "reloaded")
                    load.await_more(10)
            status, said = proxy.finish(signal.SIGTERM, TIMEOUT_S)
            assert status == 0, (status, said)


# --- The log ------------------------------------------------------------------------------


def the_log_says_who_was_asked(program, directory):
    path = os.path.join(directory, "access.log")
    holder, url = dead_url()
    with holder, Origin("a") as a, \
            Proxy(program, "--upstream", url, "--upstream", a.url, "--access-log", path) as proxy:
        proxy.ask("/1")
        proxy.ask("/2")
        status, said = proxy.finish(signal.SIGTERM, TIMEOUT_S)
        assert status == 0, (status, said)
        with open(path, encoding="ascii") as file:
            lines = [json.loads(line) for line in file]
        assert [line["upstream"] for line in lines] == [a.url] * 2, lines
        assert [line["upstream_status"] for line in lines] == ["200"] * 2, lines
        assert lines[0]["retries"] == "1", lines  # the dead one comes first
        assert all(0 < float(line["upstream_seconds"]) < TIMEOUT_S for line in lines), lines


def the_log_says_that_nobody_answered(program, directory):
    path = os.path.join(directory, "access.log")
    holder, url = dead_url()
    with holder, Proxy(program, "--upstream", url, "--access-log", path) as proxy:
        proxy.ask("/1")
        status, said = proxy.finish(signal.SIGTERM, TIMEOUT_S)
        assert status == 0, (status, said)
    with open(path, encoding="ascii") as file:
        line = json.loads(file.read())
    assert (line["status"], line["upstream"], line["upstream_status"], line["retries"]) == \
        (502, url, "0", "2"), line


# --- The command line -------------------------------------------------------------------------


def misuse_is_told(program, directory):
    path = os.path.join(directory, "wrong.yaml")
    write_config(path, Nowhere, speed="fast")
    for args, status, text in (([], 2, "usage: http_proxy"),
                               (["--upstream", "ftp://x"], 1, "Invalid argument"),
                               (["--upstream", "http://x", "--connect-timeout", "0"], 2, "usage"),
                               (["--upstream", "http://x", "--config", path], 2, "usage"),
                               (["--config", path], 1, f"{path}:1: unknown key \"speed\"")):
        result = subprocess.run([program, *args], capture_output=True, text=True, check=False,
                                timeout=TIMEOUT_S)
        assert result.returncode == status and text in result.stderr, (args, result)


class Nowhere:  # pylint: disable=too-few-public-methods
    url = "http://127.0.0.1:1"


def main():
    program = os.path.join(sys.argv[1], "examples", "http_proxy")
    checks = [what_is_not_there_is_502, what_does_not_answer_is_504, what_dies_is_502,
              what_breaks_off_is_broken, an_upstream_that_is_away_is_gone_round,
              a_proxy_in_front_names_the_client, bodies_arrive, an_upgrade_is_a_tunnel,
              a_drain_answers_what_it_has, a_rolling_restart_fails_nothing]
    with_directory = [both_sides_may_be_tls, a_reload_drops_nothing, reloads_under_load_drop_nothing,
                      the_log_says_who_was_asked, the_log_says_that_nobody_answered,
                      misuse_is_told]
    for check in checks:
        check(program)
        print(f"ok {check.__name__}", flush=True)
    for check in with_directory:
        with tempfile.TemporaryDirectory() as directory:
            check(program, directory)
        print(f"ok {check.__name__}", flush=True)
    print(f"{len(checks) + len(with_directory)} passed, 0 failed")


if __name__ == "__main__":
    main()
