#!/usr/bin/env python3
"""The clients that people use, against the HTTP examples: curl, wrk, h2load, ab, Python's
http.client, Node's fetch and Chromium.  clients.py BUILD_DIR

What they say is checked, not only how they end.  One that is not installed is skipped."""
import hashlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

HARNESS = pathlib.Path(__file__).resolve().parents[1] / "harness"
sys.path.insert(0, str(HARNESS))

import chromium  # pylint: disable=wrong-import-position
import suite  # pylint: disable=wrong-import-position
from certificate import Certificate  # pylint: disable=wrong-import-position
from example import Example  # pylint: disable=wrong-import-position
from suite import WAIT_S, run  # pylint: disable=wrong-import-position

BUILD = DIR = ""
CERTIFICATE = None
REQUESTS = 1000
HELLO = b"Hello, World!\n"
LARGE = bytes(range(256)) * 40000  # 10 MB
NOTE = {"text": "caf\u00e9 \U0001f600"}


def path(name):
    return os.path.join(DIR, name)


def make_files():
    """DIR: a site, and files to send."""
    os.mkdir(path("site"))
    for name, content in (("site/index.html", b"<h1>site</h1>"), ("site/large.bin", LARGE),
                          ("note.json", json.dumps(NOTE).encode()), ("small", b"small"),
                          ("empty", b"")):
        pathlib.Path(path(name)).write_bytes(content)


class Client(unittest.TestCase):
    """Tests of one client, the program `tool`."""

    tool = None

    def setUp(self):
        if self.tool and not shutil.which(self.tool):
            self.skipTest(f"{self.tool} is not installed")

    def serve(self, name, *args, tls=False):
        """An example, until the end of the test, when it has to end in good order."""
        tls_args = CERTIFICATE.args if tls else []
        # With TLS a goroutine waits for SIGHUP to the end.
        server = Example(BUILD, name, *args, *tls_args, leaks=not tls)
        self.addCleanup(server.__exit__)
        self.addCleanup(self.stop, server, name)
        return server

    def stop(self, server, name):
        if server.process.returncode is None:
            ended = -signal.SIGTERM if name == "hello" else 0
            self.assertEqual(server.stop(), (ended, ""))

    def site(self, **kwargs):
        return self.serve("static_site", "--root", path("site"), **kwargs)

    def upload(self):
        target = tempfile.mkdtemp(dir=DIR)
        return self.serve("upload", "--dir", target), target

    def assert_saved(self, target, *contents):
        saved = [pathlib.Path(target, name).read_bytes() for name in os.listdir(target)]
        self.assertEqual(sorted(map(len, saved)), sorted(map(len, contents)))
        self.assertEqual(sorted(saved) == sorted(contents), True)


class Curl(Client):
    tool = "curl"

    def curl(self, *args):
        return run("curl", "-sS", "-m", str(WAIT_S), *args)

    def test_hello(self):
        url = self.serve("hello").url
        self.assertEqual(self.curl(url), HELLO)
        self.assertEqual(self.curl("-0", url), HELLO)
        self.assertRegex(self.curl("-I", url), rb"^HTTP/1\.1 200 OK\r\n(?s:.*)Content-Length: 14\r\n")
        # Ten over one connection.
        self.assertEqual(self.curl(*[url] * 10, "-w", "%{num_connects}\n"),
                         HELLO + b"1\n" + (HELLO + b"0\n") * 9)

    def test_json(self):
        url = self.serve("json_api").url + "/notes"
        said = self.curl("--json", "@" + path("note.json"), "-w", "%{http_code} %header{location}",
                         url)
        self.assertEqual(said.partition(b"}")[2], b"201 /notes/1")
        self.assertEqual(json.loads(self.curl(url + "/1")), NOTE)
        self.assertEqual(self.curl("-X", "DELETE", "-w", "%{http_code}", url + "/1"), b"204")
        self.assertEqual(self.curl("-o", "/dev/null", "-w", "%{http_code} %{content_type}",
                                   url + "/1"), b"404 application/problem+json")

    def test_files(self):
        url = self.site().url
        self.assertEqual(self.curl(url), b"<h1>site</h1>")
        self.assertEqual(self.curl(url + "/large.bin") == LARGE, True)
        self.assertEqual(self.curl("-r", "1000-1999", url + "/large.bin"), LARGE[1000:2000])
        self.assertEqual(self.curl("-r", "-5", url + "/large.bin"), LARGE[-5:])
        said = self.curl("-r", "0-1,256-257", "-w", "%{http_code} %{content_type}",
                         url + "/large.bin")
        self.assertEqual(said.count(b"\x00\x01\r\n--"), 2)
        self.assertIn(b"206 multipart/byteranges", said)
        names = [path(f"got{i}") for i in range(4)]
        self.curl("-Z", *[arg for name in names for arg in ("-o", name, url + "/large.bin")])
        for name in names:
            self.assertEqual(pathlib.Path(name).read_bytes() == LARGE, True)

    def test_events(self):
        server = self.serve("events")
        with subprocess.Popen(["curl", "-sSN", "-m", str(WAIT_S), server.url + "/events"],
                              stdout=subprocess.PIPE, text=True) as curl:
            self.addCleanup(curl.kill)
            lines = [curl.stdout.readline() for _ in range(3)]
            self.assertEqual(lines, ["event: tick\n", "data: 1\n", "\n"])
            self.assertEqual(server.ask("POST", "/notes", "from afar")[0].status, 204)
            while (line := curl.stdout.readline()) != "data: from afar\n":
                self.assertTrue(line, "the stream ended")
            self.assertEqual(server.stop(), (0, ""))
            curl.communicate(timeout=WAIT_S)
            self.assertEqual(curl.returncode, 0)  # it saw the last chunk

    def test_upload(self):
        server, target = self.upload()
        form = ("-F", "files=@" + path("site/large.bin"), "-F", "files=@" + path("small"), "-F",
                "files=@" + path("empty"), "-F", "text=x")
        for more in ((), ("-H", "Transfer-Encoding: chunked")):
            said = self.curl(*form, *more, "-w", "%{http_code}", server.url + "/upload")
            self.assertEqual(said, b"3 files, %d bytes\n201" % (len(LARGE) + 5))
        self.assert_saved(target, *[LARGE, b"small", b""] * 2)

    def test_tls(self):
        url = self.site(tls=True).url
        self.assertTrue(url.startswith("https://"))
        for version in ("--tlsv1.3", "--tls-max=1.2"):
            args = version.split("=") if "=" in version else [version]
            self.assertEqual(self.curl("--cacert", CERTIFICATE.crt, *args, url + "/large.bin") == LARGE,
                             True)


class Wrk(Client):
    tool = "wrk"

    def wrk(self, url, *args):
        said = run("wrk", "-t", "1", "-c", "16", "-d", "1", "--timeout", f"{WAIT_S}s", *args,
                   url).decode()
        self.assertNotIn("Socket errors", said)
        self.assertNotIn("Non-2xx", said)
        requests = int(re.search(r"(\d+) requests in", said)[1])
        self.assertGreater(requests, 0, said)
        return requests

    def test_hello(self):
        self.wrk(self.serve("hello").url)

    def test_json(self):
        script = pathlib.Path(path("post.lua"))
        script.write_text("wrk.method, wrk.body = 'POST', '{\"text\": \"x\"}'\n"
                          "wrk.headers['Content-Type'] = 'application/json'\n", encoding="ascii")
        server = self.serve("json_api")
        requests = self.wrk(server.url + "/notes", "-s", str(script))
        self.assertEqual(server.ask("GET", f"/notes/{requests}")[0].status, 200)

    def test_tls(self):
        self.wrk(self.site(tls=True).url)


class H2load(Client):
    tool = "h2load"

    def load(self, url, *args, requests=REQUESTS):
        said = run("h2load", "--h1", "-n", str(requests), "-c", "10", *args, url).decode()
        self.assertIn(f"requests: {requests} total, {requests} started, {requests} done, "
                      f"{requests} succeeded, 0 failed, 0 errored, 0 timeout\n"
                      f"status codes: {requests} 2xx, 0 3xx, 0 4xx, 0 5xx\n", said)
        return said

    def test_hello(self):
        said = self.load(self.serve("hello").url)
        self.assertIn(f"({len(HELLO) * REQUESTS}) data", said)

    def test_json(self):
        server = self.serve("json_api")
        self.load(server.url + "/notes", "-d", path("note.json"), "-H",
                  "Content-Type: application/json", requests=200)
        self.assertEqual(len(json.loads(server.ask("GET", "/notes")[1])), 200)

    def test_large_files(self):
        said = self.load(self.site().url + "/large.bin", requests=20)
        self.assertIn(f"({len(LARGE) * 20}) data", said)

    def test_tls(self):
        self.load(self.site(tls=True).url)


class Ab(Client):
    tool = "ab"

    def ab(self, url, *args, requests=REQUESTS, length):
        said = run("ab", "-q", "-n", str(requests), "-c", "10", "-s", str(WAIT_S), *args, url).decode()
        self.assertRegex(said, rf"(?m)^Complete requests: +{requests}$")
        self.assertRegex(said, r"(?m)^Failed requests: +0$")
        self.assertNotIn("Non-2xx", said)
        self.assertRegex(said, rf"(?m)^HTML transferred: +{requests * length} bytes$")
        return said

    def test_hello(self):
        url = self.serve("hello").url + "/"
        self.ab(url, length=len(HELLO))
        said = self.ab(url, "-k", length=len(HELLO))
        self.assertRegex(said, rf"(?m)^Keep-Alive requests: +{REQUESTS}$")

    def test_json(self):
        server = self.serve("json_api")
        response, body = server.ask("POST", "/notes", json.dumps(NOTE),
                                    {"Content-Type": "application/json"})
        self.assertEqual(response.status, 201)
        self.ab(server.url + "/notes", "-p", path("note.json"), "-T", "application/json",
                requests=200, length=len(body))
        self.assertEqual(len(json.loads(server.ask("GET", "/notes")[1])), 201)

    def test_large_files(self):
        self.ab(self.site().url + "/large.bin", "-k", requests=20, length=len(LARGE))

    def test_tls(self):
        self.ab(self.site(tls=True).url + "/", "-k", length=len(b"<h1>site</h1>"))


class Python(Client):
    def test_hello(self):
        server = self.serve("hello")
        with server.client() as client:
            client.connect()
            first = client.sock
            for _ in range(100):
                client.request("GET", "/")
                self.assertEqual(client.getresponse().read(), HELLO)
            self.assertIs(client.sock, first)

    def test_json(self):
        server = self.serve("json_api")
        response, body = server.ask("POST", "/notes", json.dumps(NOTE),
                                    {"Content-Type": "application/json; charset=utf-8"})
        self.assertEqual((response.status, json.loads(body)), (201, NOTE))
        self.assertEqual(json.loads(server.ask("GET", response.getheader("Location"))[1]), NOTE)

    def test_files_over_tls(self):
        server, context = self.site(tls=True), CERTIFICATE.context()
        self.assertEqual(server.ask("GET", "/large.bin", context=context)[1] == LARGE, True)
        response, body = server.ask("GET", "/large.bin", headers={"Range": "bytes=1-3"},
                                    context=context)
        self.assertEqual((response.status, response.getheader("Content-Range"), body),
                         (206, f"bytes 1-3/{len(LARGE)}", LARGE[1:4]))


class Node(Client):
    """The scripts are in tests/harness/node_client.mjs."""

    tool = "node"

    def node(self, name, url, env=None):
        return json.loads(run("node", str(HARNESS / "node_client.mjs"), name, url, env=env))

    def test_hello(self):
        url = self.serve("hello").url
        self.assertEqual(self.node("hello", url), {"texts": [HELLO.decode()] * 50, "type": "text/plain"})

    def test_json(self):
        url = self.serve("json_api").url
        self.assertEqual(self.node("json", url), {"statuses": [201, 200, 204, 404, 415],
                                                  "location": "/notes/1", "same": True})

    def test_files(self):
        for tls in (False, True):
            with self.subTest(tls=tls):
                self.assertEqual(self.node("files", self.site(tls=tls).url,
                                           env={"NODE_EXTRA_CA_CERTS": CERTIFICATE.crt}),
                                 {"sha256": hashlib.sha256(LARGE).hexdigest(),
                                  "range": [206, f"bytes 100-109/{len(LARGE)}",
                                            list(LARGE[100:110])],
                                  "not modified": 304})

    def test_events(self):
        self.assertEqual(self.node("events", self.serve("events").url),
                         {"type": "text/event-stream", "ticks": ["1", "2"],
                          "note": "one\ntwo"})

    def test_upload(self):
        server, target = self.upload()
        said = self.node("upload", server.url)
        self.assertEqual(said, {"status": 201, "text": "2 files, 3000005 bytes\n"})
        self.assert_saved(target, b"\7" * 3_000_000, b"small")


class Browser(Client):
    """One Chromium for all of them: it takes a second to start."""

    browser = None

    @classmethod
    def setUpClass(cls):
        if chromium.find():
            cls.browser = chromium.Chromium(WAIT_S, CERTIFICATE.spki())
            cls.addClassCleanup(cls.browser.close)

    def setUp(self):
        if not self.browser:
            self.skipTest("chromium is not installed")

    def test_hello(self):
        self.browser.go(self.serve("hello").url)
        self.assertEqual(self.browser.text(), HELLO.decode())
        # More at once than the six connections it makes.
        texts = self.browser.run("return Promise.all([...Array(60)].map(async () =>"
                                 "(await fetch('/')).text()))")
        self.assertEqual(texts, [HELLO.decode()] * 60)

    def test_json(self):
        self.browser.go(self.serve("json_api").url + "/notes")
        self.assertEqual(json.loads(self.browser.text()), {})
        said = self.browser.run("""
            const made = await fetch('/notes', {method: 'POST', body: JSON.stringify(args[0]),
                headers: {'Content-Type': 'application/json'}});
            const path = made.headers.get('Location');
            const note = await (await fetch(path)).json();
            const gone = await fetch(path, {method: 'DELETE'});
            return [made.status, path, note, gone.status, await gone.text()];""", NOTE)
        self.assertEqual(said, [201, "/notes/1", NOTE, 204, ""])

    def test_files(self):
        for tls in (False, True):
            with self.subTest(tls=tls):
                self.browser.go(self.site(tls=tls).url)
                self.assertEqual(self.browser.text(), "site")
                said = self.browser.run("""
                    const all = await (await fetch('/large.bin')).arrayBuffer();
                    const hash = await crypto.subtle.digest('SHA-256', all);
                    const part = await fetch('/large.bin', {headers: {Range: 'bytes=7-9'}});
                    return [Array.from(new Uint8Array(hash)), part.status,
                            Array.from(new Uint8Array(await part.arrayBuffer()))];""")
                self.assertEqual(said, [list(hashlib.sha256(LARGE).digest()), 206, [7, 8, 9]])

    def test_events(self):
        """The page that the example itself serves."""
        server = self.serve("events")
        self.browser.go(server.url)
        wait = "while (!(%s)) await new Promise(done => setTimeout(done, 10));"
        self.browser.run(wait % "Number(tick.textContent) >= 1")
        self.browser.run("await fetch('/notes', {method: 'POST', body: 'from the page'})")
        self.assertEqual(server.ask("POST", "/notes", "from afar")[0].status, 204)
        self.browser.run(wait % "notes.textContent.includes('from afar')")
        # A note that the next one overtakes is not seen.
        self.assertIn(self.browser.run("return notes.textContent"),
                      ("from the page\nfrom afar\n", "from afar\n"))

    def test_upload(self):
        server, target = self.upload()
        self.browser.go(server.url)
        fill = """
            const files = new DataTransfer();
            files.items.add(new File([new Uint8Array(3000000).fill(7)], 'seven "7"'));
            files.items.add(new File(['small'], '../\\u00e9'));
            document.querySelector('input').files = files.files;
            document.querySelector('form').requestSubmit();"""
        self.browser.await_load(lambda: self.browser.run(fill))
        self.assertEqual(self.browser.text(), "2 files, 3000005 bytes\n")
        self.assert_saved(target, b"\7" * 3_000_000, b"small")


def main():
    global BUILD, CERTIFICATE, DIR  # pylint: disable=global-statement
    BUILD = sys.argv.pop(1)
    with tempfile.TemporaryDirectory(prefix="gust-clients-") as DIR:
        make_files()
        CERTIFICATE = Certificate(DIR)
        suite.main()


if __name__ == "__main__":
    main()
