#!/usr/bin/env python3
"""examples/http_proxy between other people's servers (nginx, Node's and Python's http
modules) and clients (curl, Chromium, plain sockets).  proxy_interop.py BUILD_DIR

What is not installed is skipped."""
import hashlib
import http.client
import json
import os
import pathlib
import socket
import sys
import tempfile
import threading
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "harness"))

import chromium  # pylint: disable=wrong-import-position
import origins  # pylint: disable=wrong-import-position
import suite  # pylint: disable=wrong-import-position
from certificate import Certificate  # pylint: disable=wrong-import-position
from example import Example  # pylint: disable=wrong-import-position
from suite import WAIT_S, run  # pylint: disable=wrong-import-position

BUILD = DIR = ""
CERTIFICATE = None
LARGE = (bytes(range(251)) * 16711)[:4 << 20]  # as node_origin.mjs has it
SMALL = b"a small file\n" * 100


def sha256(body):
    return hashlib.sha256(body).hexdigest()


def path(name):
    return os.path.join(DIR, name)


def pieces(body):
    """With which http.client sends it chunked."""
    return (body[i:i + 100001] for i in range(0, len(body), 100001))


def make_files():
    os.mkdir(path("site"))
    for name, content in (("large.bin", LARGE), ("small.txt", SMALL), ("empty", b"")):
        pathlib.Path(path("site"), name).write_bytes(content)


class Proxied(unittest.TestCase):
    """Tests that need the programs `tools`."""

    tools = ()

    def setUp(self):
        for tool in self.tools:
            if not origins.find(tool):
                self.skipTest(f"{tool} is not installed")

    def origin(self, origin):
        """One until the end of the test."""
        self.addCleanup(origin.__exit__)
        return origin

    def proxy(self, origin, *args, tls=False):
        """One before `origin`; it has to end in good order."""
        proxy = Example(BUILD, "http_proxy", "--upstream", origin.url, *args,
                        *(CERTIFICATE.args if tls else []))
        self.addCleanup(proxy.__exit__)
        self.addCleanup(lambda: self.assertEqual(proxy.stop(), (0, "")))
        return proxy

    def before_nginx(self, **kwargs):
        directory = tempfile.mkdtemp(dir=DIR)
        os.symlink(path("site"), os.path.join(directory, "site"))
        return self.proxy(self.origin(origins.Nginx(directory)), **kwargs)

    def dial(self, proxy):
        conn = socket.create_connection(proxy.address, WAIT_S)
        if proxy.url.startswith("https:"):
            conn = CERTIFICATE.context().wrap_socket(conn, server_hostname="127.0.0.1")
        self.addCleanup(conn.close)
        reader = conn.makefile("rb")
        self.addCleanup(reader.close)
        return conn, reader

    @staticmethod
    def read_head(reader):
        """Status and fields."""
        status = int(reader.readline().split()[1])
        return status, http.client.parse_headers(reader)

    def read_reply(self, reader):
        """Status and body of one that has a length."""
        status, fields = self.read_head(reader)
        return status, reader.read(int(fields["Content-Length"]))

    @staticmethod
    def send_endless(conn, head, chunked):
        try:
            conn.sendall(head)
            while True:
                conn.sendall((b"%x\r\n%s\r\n" % (len(LARGE), LARGE)) if chunked else LARGE)
        except OSError:  # nobody reads it any more
            pass

    def answer_to_endless(self, proxy, method, target, chunked):
        """Status and body of the answer to an upload that goes on until it has come."""
        conn, reader = self.dial(proxy)
        framing = "Transfer-Encoding: chunked" if chunked else "Content-Length: 400000000000"
        head = f"{method} {target} HTTP/1.1\r\nHost: x\r\n{framing}\r\n\r\n".encode()
        sender = threading.Thread(target=self.send_endless, args=(conn, head, chunked))
        sender.start()
        reply = self.read_reply(reader)
        try:
            conn.shutdown(socket.SHUT_RDWR)
        except OSError:  # the other end was first
            pass
        sender.join()
        return reply

    def expect(self, proxy, method, target, *, status=200, body=None, headers=None, sends=None):
        """The response, whose body must be `body`."""
        response, got = proxy.ask(method, target, sends, headers)
        self.assertEqual(response.status, status, got[:200])
        if body is not None:
            self.assertEqual((len(got), sha256(got)), (len(body), sha256(body)))
        return response

    def expect_all_on_one(self, proxy, count, method="GET", target="/", sends=None):
        """So many requests over one connection are answered with 200."""
        with proxy.client() as client:
            for i in range(count):
                client.request(method, target, body=sends)
                response = client.getresponse()
                self.assertEqual((i, response.status), (i, 200), response.read())
                response.read()


# --- Origins -------------------------------------------------------------------------------


class Node(Proxied):
    """Its paths are in tests/harness/node_origin.mjs."""

    tools = ("node",)

    def start(self, *args):
        return self.proxy(self.origin(origins.Node(*args)))

    def seen(self, proxy, *args, **kwargs):
        return json.loads(proxy.ask(*args, **kwargs)[1])

    def test_responses_keep_their_framing(self):
        proxy = self.start()
        response = self.expect(proxy, "GET", "/large", body=LARGE)
        self.assertEqual(response.getheader("Content-Length"), str(len(LARGE)))
        response = self.expect(proxy, "GET", "/large/chunked", body=LARGE)
        self.assertEqual(response.getheader("Transfer-Encoding"), "chunked")
        response = self.expect(proxy, "HEAD", "/large", body=b"")
        self.assertEqual(response.getheader("Content-Length"), str(len(LARGE)))
        response = self.expect(proxy, "HEAD", "/large/chunked", body=b"")
        self.assertEqual(response.getheader("Content-Length"), None)
        self.expect(proxy, "GET", "/missing", status=404, body=b"nothing here")
        response = self.expect(proxy, "GET", "/moved", status=302, body=b"")
        self.assertEqual(response.getheader("Location"), "/seen")

    def test_requests_keep_their_framing(self):
        proxy = self.start()
        for body in (LARGE, SMALL, b""):
            for sends, framing in ((body, ("content-length", str(len(body)))),
                                   (pieces(body), ("transfer-encoding", "chunked"))):
                seen = self.seen(proxy, "POST", "/seen?a=b", sends, {"X-Same": "1"})
                self.assertEqual((seen["length"], seen["sha256"]), (len(body), sha256(body)))
                self.assertEqual(seen["headers"].get(framing[0]), framing[1], framing)
                self.assertEqual((seen["method"], seen["url"], seen["headers"]["x-same"]),
                                 ("POST", "/seen?a=b", "1"))
                self.assertEqual(seen["headers"]["x-forwarded-for"], "127.0.0.1")

    def test_trailers_go_both_ways(self):
        conn, reader = self.dial(self.start())
        request = (b"POST %s HTTP/1.1\r\nHost: x\r\nTE: trailers\r\nTrailer: X-Last\r\n"
                   b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Last: yes\r\n\r\n")
        conn.sendall(request % b"/trailers")
        status, fields = self.read_head(reader)
        self.assertEqual((status, fields["Trailer"]), (200, "X-Sum"))
        self.assertEqual([reader.readline() for _ in range(5)],
                         [b"3\r\n", b"abc\r\n", b"0\r\n",
                          b"X-Sum: %s\r\n" % sha256(b"abc").encode(), b"\r\n"])
        conn.sendall(request % b"/seen")
        seen = json.loads(self.read_reply(reader)[1])
        self.assertEqual(seen["trailers"], {"x-last": "yes"})

    def test_a_connection_serves_many_requests(self):
        proxy = self.start()
        self.expect_all_on_one(proxy, 20)
        self.expect_all_on_one(proxy, 20, "POST", sends=SMALL)
        self.assertEqual(self.seen(proxy, "GET", "/seen")["connections"], 1)

    def test_a_body_is_waited_for(self):
        conn, reader = self.dial(self.start())
        head = (b"POST /%s HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n"
                b"Expect: 100-continue\r\n\r\n")
        conn.sendall(head % b"seen")
        self.assertEqual(self.read_head(reader)[0], 100)
        conn.sendall(b"abc")
        status, seen = self.read_reply(reader)
        self.assertEqual((status, json.loads(seen)["sha256"]), (200, sha256(b"abc")))
        conn.sendall(head % b"refused")
        self.assertEqual(self.read_head(reader)[0], 403)

    def upgrade(self, proxy):
        conn, reader = self.dial(proxy)
        conn.sendall(b"GET /socket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n"
                     b"Upgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                     b"Sec-WebSocket-Version: 13\r\n\r\nearly ")
        status, fields = self.read_head(reader)
        self.assertEqual((status, fields["Upgrade"]), (101, "websocket"))
        self.assertEqual(reader.read(6), b"early ")
        return conn, reader

    def test_an_upgrade_is_a_tunnel(self):
        conn, reader = self.upgrade(self.start())
        sender = threading.Thread(target=conn.sendall, args=(LARGE,))
        sender.start()
        self.assertEqual(sha256(reader.read(len(LARGE))), sha256(LARGE))
        sender.join()
        conn.shutdown(socket.SHUT_WR)
        self.assertEqual(reader.read(), b"bye")

    def test_an_upgrade_is_a_tunnel_over_tls(self):
        conn, reader = self.upgrade(self.proxy(self.origin(origins.Node()), tls=True))
        for _ in range(20):
            conn.sendall(SMALL)
            self.assertEqual(reader.read(len(SMALL)), SMALL)

    def test_events_come_as_they_are_sent(self):
        proxy = self.start()
        with proxy.client() as client:
            client.request("GET", "/events")
            response = client.getresponse()
            self.assertEqual(response.readline(), b"data: first\n")
            # Nothing would end the response if the first event had waited for its end.
            self.assertEqual(proxy.ask("POST", "/next")[0].status, 204)
            self.assertEqual(response.read(), b"\ndata: second\n\n")

    def test_idle_connections_may_end_at_any_time(self):
        # Also while a request is on its way.
        proxy = self.start(1)
        self.expect_all_on_one(proxy, 300)
        self.expect_all_on_one(proxy, 100, "PUT", sends=SMALL)
        self.expect_all_on_one(self.start(), 200, target="/leave")

    def test_an_answer_need_not_wait_for_the_body(self):
        proxy = self.start()
        for chunked in (False, True):
            self.assertEqual(self.answer_to_endless(proxy, "POST", "/early", chunked),
                             (413, b"too long"))
        self.expect(proxy, "GET", "/large", body=LARGE)


class Nginx(Proxied):
    tools = ("nginx",)

    def test_files(self):
        proxy = self.before_nginx()
        response = self.expect(proxy, "GET", "/large.bin", body=LARGE)
        self.assertEqual(response.getheader("Content-Length"), str(len(LARGE)))
        unchanged = {"If-None-Match": response.getheader("ETag")}
        since = {"If-Modified-Since": response.getheader("Last-Modified")}
        for headers in (unchanged, since):
            again = self.expect(proxy, "GET", "/large.bin", status=304, body=b"", headers=headers)
            self.assertEqual(again.getheader("ETag"), response.getheader("ETag"))
        self.expect(proxy, "GET", "/empty", body=b"")
        self.expect(proxy, "GET", "/none", status=404)
        response = self.expect(proxy, "HEAD", "/large.bin", body=b"")
        self.assertEqual(response.getheader("Content-Length"), str(len(LARGE)))
        response = self.expect(proxy, "GET", "/moved", status=301)
        self.assertTrue(response.getheader("Location").endswith("/small.txt"))

    def test_ranges(self):
        proxy = self.before_nginx()
        response = self.expect(proxy, "GET", "/large.bin", status=206, body=LARGE[1000:3001000],
                               headers={"Range": "bytes=1000-3000999"})
        self.assertEqual(response.getheader("Content-Range"), f"bytes 1000-3000999/{len(LARGE)}")
        response = self.expect(proxy, "GET", "/large.bin", status=206,
                               headers={"Range": "bytes=0-1,-2"})
        self.assertIn("multipart/byteranges", response.getheader("Content-Type"))
        self.expect(proxy, "GET", "/large.bin", status=416,
                    headers={"Range": f"bytes={len(LARGE)}-"})

    def test_uploads(self):
        proxy = self.before_nginx()
        for name, sends in (("whole", LARGE), ("pieces", pieces(LARGE)), ("small", SMALL)):
            self.expect(proxy, "PUT", "/put/" + name, status=201, sends=sends)
        for name, body in (("whole", LARGE), ("pieces", LARGE), ("small", SMALL)):
            self.expect(proxy, "GET", "/put/" + name, body=body)
            self.expect(proxy, "DELETE", "/put/" + name, status=204, body=b"")

    def test_a_body_is_waited_for(self):
        conn, reader = self.dial(self.before_nginx())
        head = (b"PUT /%s/x HTTP/1.1\r\nHost: x\r\nContent-Length: 2000\r\n"
                b"Expect: 100-continue\r\n\r\n")
        conn.sendall(head % b"put")
        self.assertEqual(self.read_head(reader)[0], 100)
        conn.sendall(b"x" * 2000)
        self.assertEqual(self.read_reply(reader), (201, b""))
        conn.sendall(head % b"short")
        self.assertEqual(self.read_head(reader)[0], 413)

    def test_an_answer_need_not_wait_for_the_body(self):
        proxy = self.before_nginx()
        for chunked in (False, True):
            self.assertEqual(self.answer_to_endless(proxy, "PUT", "/short/x", chunked)[0], 413)
        self.expect(proxy, "PUT", "/short/x", status=201, sends=b"x" * 1024)

    def test_connections_may_be_for_few_requests(self):
        self.expect_all_on_one(self.before_nginx(), 50, target="/few/small.txt")


class Python(Proxied):
    def test_bodies_may_end_with_the_connection(self):
        proxy = self.proxy(self.origin(origins.Python(origins.Endless)))
        for _ in range(3):
            response = self.expect(proxy, "GET", "/", body=origins.Endless.BODY)
            self.assertEqual(response.getheader("Transfer-Encoding"), "chunked")
        self.expect(proxy, "HEAD", "/", body=b"")
        conn, reader = self.dial(proxy)
        conn.sendall(b"GET / HTTP/1.0\r\n\r\n")
        self.assertEqual(self.read_head(reader)[0], 200)
        self.assertEqual(sha256(reader.read()), sha256(origins.Endless.BODY))

    def test_files(self):
        for protocol in ("HTTP/1.0", "HTTP/1.1"):
            with self.subTest(protocol):
                proxy = self.proxy(self.origin(origins.PythonFiles(path("site"), protocol)))
                response = self.expect(proxy, "GET", "/large.bin", body=LARGE)
                self.assertEqual(response.getheader("Content-Length"), str(len(LARGE)))
                self.expect(proxy, "HEAD", "/large.bin", body=b"")
                self.expect(proxy, "GET", "/none", status=404)
                self.expect(proxy, "GET", "/large.bin", status=304, body=b"", headers={
                    "If-Modified-Since": response.getheader("Last-Modified")})
                self.expect(proxy, "POST", "/small.txt", status=501, sends=SMALL)
                self.expect_all_on_one(proxy, 20, target="/small.txt")

    def test_idle_connections_may_end_at_any_time(self):
        proxy = self.proxy(self.origin(origins.Python(origins.Forgetful)))
        self.expect_all_on_one(proxy, 300)


# --- Clients -------------------------------------------------------------------------------


class Curl(Proxied):
    tools = ("curl", "nginx")

    def curl(self, *args):
        return run("curl", "-sS", "-m", str(WAIT_S), "--expect100-timeout", str(WAIT_S),
                   "--cacert", CERTIFICATE.crt, *args)

    def check_downloads(self, url):
        for version in ("--http1.1", "--http1.0"):
            self.assertEqual(sha256(self.curl(version, url + "/large.bin")), sha256(LARGE))
            self.assertEqual(self.curl(version, "--compressed", "-H", "Via:", url + "/small.txt"),
                             SMALL)
        self.assertIn(b"Content-Encoding: gzip", self.curl("-I", "--compressed", url + "/small.txt"))
        self.assertEqual(self.curl("-L", url + "/moved"), SMALL)
        self.assertEqual(self.curl("-r", "5-9", url + "/large.bin"), LARGE[5:10])
        self.assertEqual(self.curl(*[url + "/small.txt"] * 5, "-w", "%{num_connects}\n"),
                         SMALL + b"1\n" + (SMALL + b"0\n") * 4)

    def check_uploads(self, url):
        # With -T it asks for a 100 unless told otherwise.
        file = ("-T", path("site/large.bin"))
        for args in (file, (*file, "-H", "Expect:"), (*file, "-H", "Transfer-Encoding: chunked"),
                     (*file, "--http1.0"), ("-X", "PUT", "--data-binary", "@" + file[1])):
            self.assertIn(self.curl(*args, "-w", "%{http_code}", url + "/put/x"), (b"201", b"204"))
            self.assertEqual(sha256(self.curl(url + "/put/x")), sha256(LARGE), args)
        said = self.curl(*file, "-o", "/dev/null", "-w", "%{http_code} %{size_upload}",
                         url + "/short/x")
        self.assertEqual(said, b"413 0")  # it was told before it sent anything

    def test_over_http(self):
        url = self.before_nginx().url
        self.check_downloads(url)
        self.check_uploads(url)

    def test_over_tls(self):
        url = self.before_nginx(tls=True).url
        self.assertTrue(url.startswith("https:"))
        self.check_downloads(url)
        self.check_uploads(url)


class Browser(Proxied):
    """A page of node_origin.mjs."""

    tools = ("node",)

    def setUp(self):
        super().setUp()
        if not chromium.find():
            self.skipTest("chromium is not installed")

    def look(self, browser, url):
        browser.go(url + "/page")
        self.assertIn("page", browser.text())
        return browser.run("""
            const sum = async (bytes) => Array.from(
                new Uint8Array(await crypto.subtle.digest('SHA-256', bytes)));
            const body = new Uint8Array(3000000).fill(7);
            const seen = await (await fetch('/seen', {method: 'POST', body})).json();
            const source = new EventSource('/events');
            const event = () => new Promise((resolve, reject) => {
                source.onmessage = (e) => resolve(e.data);
                source.onerror = reject;
            });
            const events = [await event()];
            const second = event();
            await fetch('/next', {method: 'POST'});
            events.push(await second);
            source.close();
            return {image: image.naturalWidth, title: document.title, sha256: seen.sha256,
                    large: await sum(await (await fetch('/large/chunked')).arrayBuffer()),
                    missing: (await fetch('/missing')).status, events};""")

    def test_a_page(self):
        browser = chromium.Chromium(WAIT_S, CERTIFICATE.spki())
        self.addCleanup(browser.close)
        for tls in (False, True):
            with self.subTest(tls=tls):
                proxy = self.proxy(self.origin(origins.Node()), tls=tls)
                self.assertEqual(self.look(browser, proxy.url), {
                    "image": 1, "title": "script ran", "sha256": sha256(b"\7" * 3000000),
                    "large": list(hashlib.sha256(LARGE).digest()), "missing": 404,
                    "events": ["first", "second"]})


def main():
    global BUILD, CERTIFICATE, DIR  # pylint: disable=global-statement
    BUILD = sys.argv.pop(1)
    with tempfile.TemporaryDirectory(prefix="gust-interop-") as DIR:
        make_files()
        CERTIFICATE = Certificate(DIR)
        suite.main()


if __name__ == "__main__":
    main()
