#!/usr/bin/env python3
"""Drives the HTTP examples hello, json_api and events as a stranger would, and looks at what
all of them say of a wrong command line.

    http_examples.py BUILD_DIR

GUST_NETPOLL, GUST_MAXPROCS and the like pass through to the examples.
"""

import http.client
import json
import os
import pathlib
import signal
import subprocess
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "harness"))

from example import Example  # pylint: disable=wrong-import-position

BUILD = ""
WAIT_S = Example.WAIT_S


class Server(Example):
    def __init__(self, name):
        super().__init__(BUILD, name)

    def ask(self, method, path, body=None, content_type=None):
        return super().ask(method, path, body,
                           {"Content-Type": content_type} if content_type else {})


def run(name, *args):
    return subprocess.run([os.path.join(BUILD, "examples", name), *args], capture_output=True, text=True,
                          timeout=WAIT_S, check=False)


class Common(unittest.TestCase):
    NAMES = ("json_api", "events", "static_site", "upload", "graceful", "http_echo")
    NEEDED = {"static_site": ["--root", "."]}

    def test_bad_arguments_show_the_usage(self):
        wrong = {
            ("--listen",): "--listen needs ADDR:PORT",
            ("--listen", "nonsense"): "--listen cannot be nonsense",
            ("--port", "1"): "--port is no option",
            ("surplus",): "surplus is no option",
            ("--listen=127.0.0.1:0",): "--listen=127.0.0.1:0 is no option",
            ("--tls-cert", "x"): "--tls-cert goes together with --tls-key",
            ("--tls-key", "x"): "--tls-key goes together with --tls-cert",
        }
        for name in self.NAMES:
            for args, said in wrong.items():
                with self.subTest(name=name, args=args):
                    result = run(name, *self.NEEDED.get(name, []), *args)
                    self.assertEqual((result.returncode, result.stdout), (2, ""))
                    self.assertTrue(result.stderr.startswith(f"{name}: {said}\nusage: {name}"),
                                    result.stderr)

    def test_help_is_no_error(self):
        for name in self.NAMES:
            with self.subTest(name=name):
                result = run(name, "--help")
                self.assertEqual((result.returncode, result.stderr), (0, ""))
                self.assertTrue(result.stdout.startswith(f"usage: {name}"), result.stdout)
                self.assertIn("\n  --tls-cert FILE ", result.stdout)

    def test_what_is_needed_is_asked_for(self):
        result = run("static_site", "--listen", "127.0.0.1:0")
        self.assertEqual(result.returncode, 2)
        self.assertIn("static_site: --root is missing\nusage: static_site --root DIRECTORY",
                      result.stderr)

    def test_a_taken_port_is_named(self):
        with Server("events") as server:
            address = "127.0.0.1:%d" % server.address[1]
            for name in self.NAMES:
                with self.subTest(name=name):
                    result = run(name, *self.NEEDED.get(name, []), "--listen", address)
                    self.assertEqual((result.returncode, result.stdout, result.stderr),
                                     (1, "", f"{name}: {address}: Address already in use\n"))
            self.assertEqual(server.stop(), (0, ""))

    def test_they_are_short(self):
        for source in (ROOT / "examples").glob("*.c"):
            # The first is for tests and benchmarks, the second for users.
            if source.name not in ("http_echo.c", "http_proxy.c"):
                self.assertLess(len(source.read_text().splitlines()), 100, source)


class Hello(unittest.TestCase):
    def test_it_says_hello(self):
        with Server("hello") as server:
            for path in ("/", "/any"):
                response, body = server.ask("GET", path)
                self.assertEqual((response.status, body), (200, b"Hello, World!\n"))
            address = "127.0.0.1:%d" % server.address[1]
            taken = run("hello", address)
            self.assertEqual(taken.returncode, 1)
            self.assertIn(f"cannot listen on {address}\n", taken.stderr)
            self.assertEqual(server.stop(), (-signal.SIGTERM, ""))

    def test_it_is_very_short(self):
        lines = (ROOT / "examples" / "hello.c").read_text().splitlines()
        self.assertLess(len(lines), 30)


class JsonApi(unittest.TestCase):
    def test_notes_come_and_go(self):
        with Server("json_api") as server:
            self.assertEqual(json.loads(server.ask("GET", "/notes")[1]), {})
            note = {"text": "caf\u00e9 \U0001f600", "tags": [1, 2.5, None, True]}
            response, body = server.ask("POST", "/notes", json.dumps(note), "application/json")
            self.assertEqual((response.status, json.loads(body)), (201, note))
            self.assertEqual(response.getheader("Content-Type"), "application/json")
            path = response.getheader("Location")
            self.assertEqual(path, "/notes/1")
            self.assertEqual(json.loads(server.ask("GET", path)[1]), note)
            self.assertEqual(json.loads(server.ask("GET", "/notes")[1]), {"1": note})
            self.assertEqual(server.ask("DELETE", path)[0].status, 204)
            self.assertEqual(server.ask("DELETE", path)[0].status, 404)
            response, body = server.ask("GET", path)
            self.assertEqual(response.status, 404)
            self.assertEqual(response.getheader("Content-Type"), "application/problem+json")
            self.assertEqual(json.loads(body)["detail"], "there is no note 1")
            self.assertEqual(server.stop(), (0, ""))

    def test_errors_say_what_is_wrong(self):
        with Server("json_api") as server:
            for body, content_type, status, detail in (
                ("{}", "application/json", 422, 'a note needs a "text"'),
                ("[1,", "application/json", 400, "line 1, column 3"),
                ("{}", "text/plain", 415, "application/json"),
                ('"' + "x" * 65536 + '"', "application/json", 413, "65536 bytes"),
            ):
                with self.subTest(status=status):
                    response, answer = server.ask("POST", "/notes", body, content_type)
                    self.assertEqual(response.status, status)
                    self.assertIn(detail, json.loads(answer)["detail"])
            response, _ = server.ask("PUT", "/notes")
            self.assertEqual((response.status, response.getheader("Allow")),
                             (405, "GET, HEAD, POST"))
            self.assertEqual(server.stop(), (0, ""))


class Stream:
    """What comes of GET /events, event by event."""

    def __init__(self, server, last_id=None):
        self.client = http.client.HTTPConnection(*server.address, timeout=WAIT_S)
        self.client.request("GET", "/events",
                            headers={"Last-Event-ID": last_id} if last_id else {})
        self.response = self.client.getresponse()

    def event(self):
        """Its fields; {} at the end of the stream."""
        fields = {}
        while (line := self.response.readline().decode()) not in ("\n", ""):
            name, _, value = line.rstrip("\n").partition(": ")
            fields[name] = fields[name] + "\n" + value if name in fields else value
        return fields

    def close(self):
        self.response.close()
        self.client.close()

    def note(self):
        while (event := self.event()).get("event") == "tick":
            pass
        return event


class Events(unittest.TestCase):
    def follow(self, server, last_id=None):
        stream = Stream(server, last_id)
        self.addCleanup(stream.close)
        return stream

    def test_the_page_is_there(self):
        with Server("events") as server:
            response, body = server.ask("GET", "/")
            self.assertEqual(response.getheader("Content-Type"), "text/html; charset=utf-8")
            self.assertIn(b"new EventSource('/events')", body)
            self.assertEqual(server.stop(), (0, ""))

    def test_notes_reach_all_who_listen(self):
        with Server("events") as server:
            streams = [self.follow(server) for _ in range(5)]
            self.assertEqual(streams[0].response.getheader("Content-Type"), "text/event-stream")
            for number in (1, 2):
                text = f"line {number}\nand another"
                self.assertEqual(server.ask("POST", "/notes", text)[0].status, 204)
                for stream in streams:
                    self.assertEqual(stream.note(),
                                     {"id": str(number), "event": "note", "data": text})
            # Who comes back gets what is new; who has it all waits.
            self.assertEqual(self.follow(server, "1").note()["id"], "2")
            self.assertEqual(self.follow(server, "2").event()["event"], "tick")
            self.assertEqual(server.ask("POST", "/notes", "x" * 1001)[0].status, 413)
            self.assertEqual(server.stop(), (0, ""))

    def test_the_clock_ticks(self):
        with Server("events") as server:
            stream = self.follow(server)
            for number in (1, 2):
                self.assertEqual(stream.event(), {"event": "tick", "data": str(number)})
            self.assertEqual(server.stop(), (0, ""))

    def test_a_signal_ends_the_streams_in_good_order(self):
        with Server("events") as server:
            stream = self.follow(server)
            self.assertEqual(stream.event()["event"], "tick")
            server.process.send_signal(signal.SIGTERM)
            while stream.event():
                pass
            out, err = server.process.communicate(timeout=WAIT_S)
            self.assertEqual((server.process.returncode, out + err), (0, ""))


def main():
    global BUILD
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    BUILD = sys.argv.pop(1)
    unittest.main()


if __name__ == "__main__":
    main()
