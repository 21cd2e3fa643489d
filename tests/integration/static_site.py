#!/usr/bin/env python3
"""Drives examples/static_site as browsers and curl would: static_site.py BUILD_DIR

A site in a directory of its own, over HTTP and HTTPS, to several clients at once.
"""
import gzip
import http.client
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "harness"))

from certificate import Certificate  # pylint: disable=wrong-import-position
from program import Program  # pylint: disable=wrong-import-position

TIMEOUT_S = 30
LINE = re.compile(r"static_site: (https?)://(\S+):(\d+)\n")
LARGE = bytes(range(256)) * 40000
STYLE = b"body { color: black }\n" * 200


class Server(Program):
    """A running static_site."""

    def __init__(self, program, root, *args, leaks=False):
        super().__init__([program, "--root", root, "--listen", "127.0.0.1:0", *args], LINE,
                         leaks=leaks)
        self.scheme, self.port = self.match[1], int(self.match[3])

    def connect(self, context=None):
        if self.scheme == "https":
            return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=TIMEOUT_S,
                                               context=context)
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT_S)


def make_site(root):
    os.mkdir(os.path.join(root, "docs"))
    for name, content in (("index.html", b"<h1>root</h1>"), ("docs/index.html", b"<h1>docs</h1>"),
                          ("large.bin", LARGE), ("style.css", STYLE), (".secret", b"no"),
                          ("style.css.gz", gzip.compress(STYLE))):
        with open(os.path.join(root, name), "wb") as file:
            file.write(content)
    os.symlink("/etc/passwd", os.path.join(root, "passwd"))


def ask(connection, path, method="GET", **fields):
    headers = {name.replace("_", "-"): value for name, value in fields.items()}
    connection.request(method, path, headers=headers)
    response = connection.getresponse()
    return response, response.read()


def a_site_is_browsed(program, root, *args, context=None):
    """All on one connection.  With TLS a goroutine waits for SIGHUP to the end."""
    with Server(program, root, *args, leaks=not args) as server:
        connection = server.connect(context)
        response, body = ask(connection, "/")
        assert (response.status, body) == (200, b"<h1>root</h1>"), body
        assert response.getheader("Content-Type") == "text/html; charset=utf-8"
        response, body = ask(connection, "/docs")
        assert (response.status, response.getheader("Location")) == (301, "/docs/")
        response, body = ask(connection, "/docs/")
        assert body == b"<h1>docs</h1>", body
        response, body = ask(connection, "/large.bin")
        assert body == LARGE
        etag = response.getheader("ETag")
        response, body = ask(connection, "/large.bin", If_None_Match=etag)
        assert (response.status, body) == (304, b"")
        response, body = ask(connection, "/large.bin", Range="bytes=1000000-1999999")
        assert response.status == 206 and body == LARGE[1000000:2000000]
        response, body = ask(connection, "/large.bin", "HEAD")
        assert response.getheader("Content-Length") == str(len(LARGE)) and body == b""
        response, body = ask(connection, "/style.css", Accept_Encoding="gzip, deflate, br")
        assert response.getheader("Content-Encoding") == "gzip"
        assert gzip.decompress(body) == STYLE
        for path in ("/passwd", "/.secret", "/../../etc/passwd", "/none"):
            response, body = ask(connection, path)
            assert response.status == 404, path
        connection.close()
        status, said = server.finish(signal.SIGTERM, TIMEOUT_S)
        assert (status, said) == (0, ""), said


def over_http(program, root):
    a_site_is_browsed(program, root)


def over_https(program, root):
    with tempfile.TemporaryDirectory(prefix="gust-site-") as keys:
        certificate = Certificate(keys)
        a_site_is_browsed(program, root, *certificate.args, context=certificate.context())


def many_at_once(program, root):
    failures = []

    def load(server):
        try:
            connection = server.connect()
            for _ in range(3):
                assert ask(connection, "/large.bin")[1] == LARGE
                assert ask(connection, "/style.css")[1] == STYLE
            connection.close()
        except Exception as error:  # pylint: disable=broad-except
            failures.append(error)

    with Server(program, root) as server:
        threads = [threading.Thread(target=load, args=(server,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(TIMEOUT_S)
        assert not failures, failures


def curl_resumes(program, root):
    """As after a download that was cut off."""
    with Server(program, root) as server, tempfile.TemporaryDirectory() as folder:
        to = os.path.join(folder, "large")
        with open(to, "wb") as file:
            file.write(LARGE[:123456])
        subprocess.run(["curl", "-sSf", "-C", "-", "-o", to,
                        f"http://127.0.0.1:{server.port}/large.bin"], check=True,
                       timeout=TIMEOUT_S)
        with open(to, "rb") as file:
            assert file.read() == LARGE


def wrong_arguments_are_named(program, root):
    for args in ([], ["--root"], ["--port", "1"], ["--root", root, "extra"],
                 ["--root", root, "--tls-key", "x"]):
        result = subprocess.run([program, *args], capture_output=True, text=True,
                                timeout=TIMEOUT_S, check=False)
        assert result.returncode == 2 and "usage: static_site" in result.stderr, (args, result)
    result = subprocess.run([program, "--root", root + "/none"], capture_output=True, text=True,
                            timeout=TIMEOUT_S, check=False)
    assert result.returncode == 1 and "No such file or directory" in result.stderr, result


def main():
    program = os.path.join(sys.argv[1], "examples", "static_site")
    checks = (over_http, over_https, many_at_once, curl_resumes, wrong_arguments_are_named)
    with tempfile.TemporaryDirectory(prefix="gust-site-") as root:
        make_site(root)
        for check in checks:
            check(program, root)
            print(f"ok {check.__name__}", flush=True)
    print(f"{len(checks)} passed, 0 failed")


if __name__ == "__main__":
    main()
