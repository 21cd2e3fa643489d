#!/usr/bin/env python3
"""Drives gust-load against good, bad and slow servers: load.py BUILD_DIR

GUST_NETPOLL, GUST_MAXPROCS and the like pass through to it."""
import csv
import html.parser
import io
import json
import os
import pathlib
import pty
import re
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "harness"))

from answers import Answers, Echo  # pylint: disable=wrong-import-position
from example import Example  # pylint: disable=wrong-import-position
from program import Program  # pylint: disable=wrong-import-position

BUILD = ""
WAIT_S = Example.WAIT_S
HELLO_LEN = len("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")


def run(*args, **kwargs):
    return subprocess.run([os.path.join(BUILD, "bench", "gust-load"), *map(str, args)],
                          capture_output=True, text=True, timeout=WAIT_S, check=False, **kwargs)


def load(*args, status=0):
    """The object that --json writes."""
    done = run("--json", "-", *args)
    assert done.returncode == status, done
    return json.loads(done.stdout)


def fails(*args, **kwargs):
    """The only line that it says when it cannot begin."""
    done = run(*args, **kwargs)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done
    return done.stderr


def await_true(condition):
    end = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


class Folder(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.TemporaryDirectory()
        self.addCleanup(self.dir.cleanup)

    def path(self, name):
        return os.path.join(self.dir.name, name)

    def write(self, name, content):
        with open(self.path(name), "wb") as file:
            file.write(content)
        return self.path(name)

    def read(self, name):
        with open(self.path(name), encoding="utf-8") as file:
            return file.read()


class Results(Folder):
    def check_times(self, times, count):
        ordered = [times[key] for key in ("p50", "p75", "p90", "p99", "p99_9", "p99_99", "max")]
        self.assertEqual(ordered, sorted(ordered))
        self.assertGreater(ordered[0], 0)
        self.assertTrue(0 < times["mean"] <= times["max"])
        self.assertEqual(times["count"], count)

    def test_a_number_of_requests_is_made_and_adds_up(self):
        with Answers() as server:
            result = load("-n", 1000, "-c", 7, server.url)
            request = f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n\r\n"
            self.assertEqual(server.heads, [request[:-4]] * 1000)
            self.assertEqual(len(server.connected), 1 + 7)  # one was to try
        self.assertEqual((result["requests"], result["errors"], result["ok"]), (1000, 0, True))
        self.assertEqual((result["statuses"], result["errors_by_kind"]), ({"200": 1000}, {}))
        self.assertEqual(result["sent_bytes"], 1000 * len(request))
        self.assertEqual(result["received_bytes"], 1000 * HELLO_LEN)
        self.assertAlmostEqual(result["rps"] * result["duration_s"], 1000, delta=5)
        self.assertEqual(sum(second["answers"] for second in result["seconds"]), 1000)
        self.check_times(result["latency_us"], 1000)
        self.check_times(result["connect_us"], 7)
        self.assertEqual((result["loop"], result["connections"]), ("closed", 7))

    def test_the_examples_server_is_loaded_for_a_time(self):
        with Example(BUILD, "http_echo", leaks=False) as server:
            result = load("-d", "1s", "-c", 20, server.url + "/")
        self.assertEqual((result["errors"], list(result["statuses"])), (0, ["200"]))
        self.assertGreaterEqual(result["duration_s"], 1)
        self.assertGreater(result["requests"], 20)

    def test_answers_are_framed_in_every_way(self):
        for path, connections in (("/chunked", 1), ("/last", 50), ("/to-end", 50)):
            with Answers() as server:
                result = load("-n", 50, "-c", 1, "--expect-length", 5, server.url + path)
                self.assertEqual(result["errors"], 0)
                self.assertEqual(len(server.connected), 1 + connections)

    def test_head_has_no_body(self):
        with Example(BUILD, "http_echo", leaks=False) as server:
            result = load("-n", 20, "-m", "HEAD", "--expect-length", 0, server.url + "/")
        self.assertEqual(result["errors"], 0)

    def test_a_body_is_sent_from_a_file_however_large(self):
        for size in (0, 1, 100, 3_000_000):
            file = self.write("body", os.urandom(size))
            with Example(BUILD, "http_echo", leaks=False) as server:
                result = load("-n", 8, "-c", 4, "-m", "POST", "-b", file, "--expect-length", size,
                              server.url + "/echo")
            self.assertEqual((result["requests"], result["errors"]), (8, 0))
            self.assertGreaterEqual(result["sent_bytes"], 8 * size)

    def test_a_body_has_a_bound(self):
        limit = 64 << 20
        with Answers() as server:
            for size, status in ((limit, 1), (limit + 1, 2)):
                with open(self.path("body"), "wb") as file:
                    file.truncate(size)
                # The server need not read all of it.
                done = run("-n", 1, "-c", 1, "-q", "-b", self.path("body"), server.url + "/close")
                self.assertEqual(done.returncode, status, done)

    def test_fields_are_sent(self):
        with Answers() as server:
            load("-n", 1, "-H", "X-Y: z", "-H", "Host: other", server.url + "/a?b")
            self.assertEqual(server.heads, ["GET /a?b HTTP/1.1\r\nX-Y: z\r\nHost: other"])

    def test_urls_are_asked_for_by_weight(self):
        with Answers() as server:
            result = load("-n", 4000, "-c", 3, f"3@{server.url}/a", server.url + "/b")
            count = server.paths().count("/a")
        self.assertEqual(result["requests"], 4000)
        # More than seven times the standard deviation.
        self.assertTrue(2800 < count < 3200, count)

    def test_requests_are_sent_in_a_pipeline(self):
        with Answers() as server:
            result = load("-n", 1001, "-c", 2, "-p", 16, server.url + "/chunked")
            self.assertEqual((result["requests"], result["errors"]), (1001, 0))
            self.assertEqual(len(server.heads), 1001)

    def test_without_keepalive_each_request_has_a_connection(self):
        with Answers() as server:
            result = load("-n", 30, "-c", 3, "--no-keepalive", server.url)
            self.assertEqual(result["errors"], 0)
            self.assertEqual(len(server.connected), 31)  # one was to try
            self.assertTrue(all("Connection: close" in head for head in server.heads))

    def test_connections_open_one_after_the_other(self):
        with Answers() as server:
            result = load("-n", 50, "-c", 11, "--ramp", "1s", server.url)
            self.assertEqual((result["requests"], result["errors"]), (50, 0))
            # After the one to try they come 1/11 s apart.
            self.assertGreater(server.connected[11] - server.connected[1], 0.8)

    def test_the_warm_up_is_not_counted(self):
        with Answers() as server:
            result = load("-n", 20, "-c", 2, "-w", "300ms", server.url)
            self.assertEqual(result["requests"], 20)
            self.assertGreater(len(server.heads), 20)

    def test_unix_sockets_are_loaded(self):
        path = self.path("socket")
        line = re.compile(r"http_echo: unix:.*\n")
        with Program([os.path.join(BUILD, "examples", "http_echo"), "--listen", "unix:" + path],
                     line):
            result = load("-n", 100, "--unix", path, "http://name/")
        self.assertEqual((result["requests"], result["errors"]), (100, 0))


class Echoes(unittest.TestCase):
    def test_messages_come_back_whatever_their_size(self):
        line = re.compile(r"tcp_echo: listening on (\S+) .*\n")
        with Program([os.path.join(BUILD, "examples", "tcp_echo"), "--listen", "127.0.0.1:0"],
                     line) as server:
            # The last is more than the kernel's buffers of both directions take.
            for size, depth, count in ((1, 1, 40), (64, 10, 40), (65536, 1, 40), (65537, 1, 40),
                                       (200_000, 2, 40), (32 << 20, 1, 2)):
                result = load("-n", count, "-c", 4, "-p", depth, "--size", size,
                              "tcp://" + server.match[1])
                self.assertEqual((result["requests"], result["errors"]), (count, 0), size)
                self.assertEqual(result["sent_bytes"], count * size)
                self.assertEqual(result["received_bytes"], count * size)

    def test_other_bytes_are_an_error(self):
        with Answers(Echo, spoils=True) as server:
            result = load("-n", 5, "-c", 1, f"tcp://127.0.0.1:{server.port}", status=1)
        self.assertEqual(result["errors_by_kind"]["echo"]["count"], 5)


class OpenLoop(unittest.TestCase):
    def test_requests_begin_when_they_are_due(self):
        with Answers() as server:
            result = load("-r", 100, "--arrivals", "constant", "-d", "2s", "-c", 8, server.url)
            self.assertEqual((result["requests"], result["errors"]), (200, 0))
            self.assertEqual((result["loop"], result["rate"]), ("open", 100))
            result = load("-r", 100, "-d", "2s", "-w", "300ms", server.url)
            # 200 are expected, with a deviation of 14.
            self.assertTrue(100 < result["requests"] < 300, result["requests"])
            result = load("-r", 200, "-n", 50, "-p", 4, server.url)
            self.assertEqual((result["requests"], result["errors"]), (50, 0))

    def pause_shows(self, *args):
        """p99 and the longest, in seconds, of a run in which the server stands still for 2 s."""
        with Answers(pause=(1, 2)) as server:
            times = load("-d", "6s", *args, server.url)["latency_us"]
        return times["p99"] / 1e6, times["max"] / 1e6

    def test_a_pause_shows_in_the_open_loop_and_hides_in_the_closed_one(self):
        """A third of the time in which requests fall due is the pause; those of a closed loop
        wait for it to end, all of them but one."""
        for threads in (1, 2):
            p99, longest = self.pause_shows("-c", 4, "-r", 100, "-t", threads)
            self.assertGreater(p99, 1.5)
            self.assertGreaterEqual(longest, p99)
            p99, longest = self.pause_shows("-c", 1, "-t", threads)
            self.assertGreater(longest, 1.9)
            self.assertLess(p99, 1)

    def test_what_cannot_be_sent_is_told(self):
        """The server needs 20 ms for each of the requests that fall due 4 ms apart."""
        with Answers() as server:
            result = load("-r", 250, "-d", "1s", "-c", 2, server.url + "/slow/20", status=1)
        self.assertGreater(result["errors_by_kind"]["unsent"]["count"], 50)
        self.assertGreater(result["waited"], 0)
        self.assertIn("fell due and were not sent", " ".join(result["warnings"]))
        # The last that were sent had waited, nearly a second at least.
        self.assertGreater(result["latency_us"]["max"], 500_000)

    def test_a_connection_that_the_server_has_closed_is_replaced(self):
        with Example(BUILD, "http_echo", "--idle-timeout", "0.3", leaks=False) as server:
            result = load("-r", 0.5, "--arrivals", "constant", "-n", 3, "-c", 1, server.url + "/")
        self.assertEqual((result["requests"], result["errors"]), (3, 0))
        self.assertGreater(result["connect_us"]["count"], 1)

    def test_the_highest_rate_is_searched_for(self):
        """A request takes the server 10 ms, so more than 100 a second are not answered."""
        with Answers() as server:
            done = run("--sweep", 20, "-d", "1s", "--arrivals", "constant", "--json", "-",
                       server.url + "/slow/10")
            result = json.loads(done.stdout)
        steps = result["sweep"]
        self.assertEqual(steps[0]["rate"], 20)
        kept_up = [step["rate"] for step in steps if step["kept_up"]]
        self.assertEqual(result["saturation_rps"], max(kept_up, default=0))
        self.assertEqual(done.returncode, 0 if kept_up else 1)
        self.assertLess(result["saturation_rps"], 110)
        self.assertFalse(all(step["kept_up"] for step in steps))
        if kept_up:
            self.assertEqual(result["rate"], max(kept_up))


class Errors(Folder):
    def kind_of(self, server, path, *args, count=4):
        result = load("-n", count, "-c", 1, *args, server.url + path, status=1)
        self.assertEqual((result["requests"], result["errors"]), (count, count))
        self.assertEqual((result["ok"], len(result["errors_by_kind"])), (False, 1))
        (kind, told), = result["errors_by_kind"].items()
        self.assertEqual(told["count"], count)
        return kind, told["first"]

    def test_each_kind_is_told(self):
        with Answers() as server:
            for path, kind in (
                    ("/status/404", ("status", "404")),
                    ("/close", ("closed", "the connection ended before an answer")),
                    ("/half", ("closed", "the connection ended within an answer")),
                    ("/garbage", ("malformed", "not HTTP/1.x"))):
                self.assertEqual(self.kind_of(server, path), kind)
            self.assertEqual(self.kind_of(server, "/", "--expect-length", 4),
                             ("length", "5 bytes"))
            self.assertEqual(self.kind_of(server, "/", "--expect-status", "204,3xx"),
                             ("status", "200"))
            self.assertEqual(self.kind_of(server, "/hang", "--timeout", "100ms", count=2)[0],
                             "timeout")

    def test_what_is_expected_is_no_error(self):
        with Answers() as server:
            for args in (["--expect-status", "404"], ["--expect-status", "4xx"]):
                self.assertEqual(load("-n", 3, *args, server.url + "/status/404")["errors"], 0)

    def test_a_timeout_counts_as_long_as_it_took(self):
        with Answers() as server:
            result = load("-n", 2, "-c", 1, "--timeout", "300ms", server.url + "/hang", status=1)
        self.assertGreaterEqual(result["latency_us"]["p50"], 300_000)

    def test_what_was_in_the_pipeline_is_lost_with_the_connection(self):
        with Answers() as server:
            result = load("-n", 4, "-c", 1, "-p", 4, server.url + "/last", status=1)
        self.assertEqual(result["requests"], 4)
        self.assertEqual(result["errors_by_kind"]["closed"]["count"], 3)

    def test_a_body_is_broken_off_once_the_answer_is_of_no_use(self):
        with open(self.path("body"), "wb") as file:
            file.truncate(32 << 20)
        with Answers() as server:
            kind, _ = self.kind_of(server, "/deaf", "-b", self.path("body"), "--timeout", "1h",
                                   count=1)
        self.assertEqual(kind, "malformed")

    def test_a_server_that_goes_away_is_told(self):
        with Answers(only_one=True) as server:
            result = load("-n", 3, "-c", 1, "--no-keepalive", server.url, status=1)
        self.assertEqual(result["errors_by_kind"],
                         {"connect": {"count": 2, "first": "Connection refused"}})

    def test_a_server_that_is_gone_is_not_asked_all_the_time(self):
        with Answers(only_one=True) as server:
            result = load("-d", "1s", "-c", 1, "--no-keepalive", server.url, status=1)
        # Each time a tenth of a second is waited.
        self.assertLessEqual(result["errors"], 11)

    def test_bad_urls_are_refused(self):
        self.assertEqual(fails("ftp://a/"), "gust-load: bad URL ftp://a/: the scheme is none of "
                                            "http, https and tcp\n")
        self.assertIn("bad URL nonsense", fails("nonsense"))
        self.assertIn("there is no URL;", fails())
        self.assertIn("one server", fails("http://a/", "http://b/"))

    def test_bad_options_are_refused(self):
        self.assertIn("--nonsense is no option", fails("--nonsense", "http://a/"))
        self.assertIn("load: -x is no option", fails("-xq", "http://a/"))
        self.assertIn("load: -c needs a value", fails("http://a/", "-c"))
        self.assertIn("load: --rate needs a value", fails("http://a/", "--rate"))
        self.assertIn("--connections cannot be '0'", fails("-c", 0, "http://a/"))

    def test_a_server_that_is_not_there_is_told(self):
        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))
            port = nobody.getsockname()[1]
            self.assertEqual(fails(f"http://127.0.0.1:{port}/"),
                             f"gust-load: cannot connect to 127.0.0.1 port {port}: "
                             "Connection refused\n")
        self.assertIn("cannot connect to host.invalid port 80: ", fails("http://host.invalid/"))
        path = self.path("none")
        self.assertEqual(fails("--unix", path, "http://a/"),
                         f"gust-load: cannot connect to {path}: No such file or directory\n")
        self.assertIn("too long", fails("--unix", "x" * 200, "http://a/"))

    def test_files_that_are_not_there_are_named(self):
        path = self.path("none")
        self.assertEqual(fails("-b", path, "http://a/"),
                         f"gust-load: cannot read {path}: No such file or directory\n")
        with Answers() as server:
            for form in ("--json", "--csv", "--html"):
                self.assertEqual(fails("-q", "-n", 1, form, path + "/x", server.url),
                                 f"gust-load: cannot write {path}/x: No such file or directory\n")

    def test_a_limit_of_descriptors_is_told(self):
        def limited():
            resource.setrlimit(resource.RLIMIT_NOFILE, (100, 200))
        with Answers() as server:
            self.assertEqual(fails("-c", 137, server.url, preexec_fn=limited),
                             "gust-load: 137 connections need 201 descriptors, and this process "
                             "may have 200 (ulimit -n)\n")
            done = run("-c", 136, "-n", 500, server.url, preexec_fn=limited)
            self.assertEqual((done.returncode, done.stderr), (0, ""), done)


class Tls(Folder):
    def setUp(self):
        super().setUp()
        self.cert, self.key = self.path("crt"), self.path("key")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=test",
                        "-addext", "subjectAltName=IP:127.0.0.1", "-out", self.cert, "-keyout",
                        self.key], check=True, capture_output=True, timeout=WAIT_S)

    def server(self):
        return Example(BUILD, "http_echo", "--tls-cert", self.cert, "--tls-key", self.key,
                       leaks=False)

    def test_certificates_are_verified_unless_told_otherwise(self):
        with self.server() as server:
            url = server.url + "/"
            self.assertRegex(fails(url), r"no TLS with 127\.0\.0\.1 port \d+: .*certificate")
            for args in (["--ca-file", self.cert], ["--insecure"],
                         ["--ca-file", self.cert, "--no-keepalive"],
                         ["--ca-file", self.cert, "--no-keepalive", "--no-resumption"]):
                result = load("-n", 30, "-c", 3, *args, url)
                self.assertEqual((result["requests"], result["errors"]), (30, 0))
            # It is for the address, and not for this name.
            self.assertIn("no TLS with localhost",
                          fails("--ca-file", self.cert, url.replace("127.0.0.1", "localhost")))

    def test_a_server_without_tls_is_told(self):
        with Answers() as server:
            self.assertIn("no TLS with", fails(server.url.replace("http", "https")))

    def test_a_store_that_is_none_is_told(self):
        done = run("--ca-file", self.path("none"), "https://127.0.0.1/")
        self.assertEqual((done.returncode, done.stderr.count("\n")), (2, 1), done)
        self.assertIn(self.path("none"), done.stderr)


class Page(html.parser.HTMLParser):
    """The elements of a page and its text."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.data, self.open = [], "", []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, tag

    def handle_data(self, data):
        self.data += data


class Reports(Folder):
    def test_people_get_a_table_and_a_histogram(self):
        with Answers() as server:
            done = run("-n", 200, "-c", 4, server.url, server.url + "/status/500")
        self.assertEqual((done.returncode, done.stderr), (1, ""), done)
        for pattern in (r"^http://127\.0\.0\.1:\d+ and others  closed loop, 4 connections, ",
                        r"^  requests +200 +\d+\.\d/s$", r"^  errors +\d+ +\d+\.\d\d %$",
                        r"^    status +\d+   500$", r"^  status 200 +\d+$",
                        r"^  latency +p50 +p75 +p90 +p99 +p99\.9 +p99\.99 +max +mean$",
                        r"^  up to +\S+ [mun]?s +\|#+ *\| +\d+\.\d\d %$"):
            self.assertRegex(done.stdout, re.compile(pattern, re.M))
        shares = re.findall(r"\| +([\d.]+) %", done.stdout)
        self.assertAlmostEqual(sum(map(float, shares)), 100, delta=0.1)

    def test_all_forms_are_written(self):
        with Answers() as server:
            done = run("-r", 200, "-d", "2s", "--json", self.path("json"), "--csv",
                       self.path("csv"), "--html", self.path("html"), server.url + "/?a=1&b=<i>")
        self.assertEqual((done.returncode, done.stderr), (0, ""), done)
        self.assertIn("open loop, 200 requests/s, Poisson arrivals", done.stdout)
        result = json.loads(self.read("json"))
        rows = list(csv.DictReader(io.StringIO(self.read("csv"))))
        self.assertEqual(sum(int(row["answers"]) for row in rows),
                         sum(second["answers"] for second in result["seconds"]))
        self.assertEqual(len(rows), 2)
        self.assertGreater(float(rows[0]["p99_us"]), 0)
        text = self.read("html")
        page = Page(text)
        self.assertEqual(page.open, [])
        tags = [tag for tag, _ in page.tags]
        self.assertEqual(tags.count("svg"), 4)
        self.assertFalse({"script", "link", "img", "iframe", "i"} & set(tags))
        self.assertNotIn("src=", text)
        self.assertIn("/?a=1&b=<i>", page.data)
        self.assertIn("p99.99", page.data)
        self.assertGreater(tags.count("rect"), 3)

    def test_a_search_is_drawn(self):
        with Answers() as server:
            done = run("--sweep", 20, "-d", "200ms", "--html", self.path("html"),
                       server.url + "/slow/10")
        self.assertIn(done.returncode, (0, 1))
        self.assertIn("too much", done.stdout)
        self.assertIn("Latency by rate", self.read("html"))

    def test_standard_output_has_one_thing(self):
        with Answers() as server:
            for form, start in (("--json", "{"), ("--csv", "at_s,"), ("--html", "<!DOCTYPE html>")):
                done = run("-n", 5, form, "-", server.url)
                self.assertTrue(done.stdout.startswith(start), done)
            self.assertEqual(run("-n", 5, "-q", server.url).stdout, "")

    def test_what_cannot_be_written_is_told(self):
        with Answers() as server, open("/dev/full", "w", encoding="ascii") as full:
            done = subprocess.run([os.path.join(BUILD, "bench", "gust-load"), "-n", "1", server.url],
                                  stdout=full, stderr=subprocess.PIPE, text=True, timeout=WAIT_S,
                                  check=False)
        self.assertEqual((done.returncode, done.stderr), (
            2, "gust-load: cannot write standard output: No space left on device\n"))

    def test_help_is_asked_for(self):
        for option in ("-h", "--help"):
            done = run(option)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertIn("Examples:", done.stdout)

    def test_a_terminal_shows_how_it_goes(self):
        ours, theirs = pty.openpty()
        with Answers() as server, os.fdopen(ours, "rb", buffering=0) as terminal:
            with subprocess.Popen([os.path.join(BUILD, "bench", "gust-load"), "-d", "2s", "-w",
                                   "100ms", server.url], stdout=subprocess.DEVNULL,
                                  stderr=theirs) as process:
                os.close(theirs)
                shown = b""
                try:
                    while piece := terminal.read(4096):
                        shown += piece
                except OSError:  # the other end is closed
                    pass
                self.assertEqual(process.wait(WAIT_S), 0)
        for pattern in (rb"opening 64 connections", rb"warming up",
                        rb"1 s  \d+ requests/s  p50 .*  p99 .*  errors 0"):
            self.assertRegex(shown, pattern)
        self.assertTrue(shown.endswith(b"\r\x1b[K"), shown)

    def test_an_interrupt_ends_it_with_what_there_is(self):
        for signo in (signal.SIGINT, signal.SIGTERM):
            with Answers() as server:
                with subprocess.Popen([os.path.join(BUILD, "bench", "gust-load"), "-d", "1h",
                                       "-c", "3", "--json", "-", server.url, server.url + "/hang"],
                                      stdout=subprocess.PIPE, text=True) as process:
                    try:
                        await_true(lambda: len(server.heads) > 5)  # pylint: disable=W0640
                        process.send_signal(signo)
                        result = json.loads(process.communicate(timeout=WAIT_S)[0])
                    finally:
                        process.kill()
            self.assertTrue(result["interrupted"])
            self.assertEqual((process.returncode, result["errors"]), (0, 0), result)
            self.assertGreater(result["requests"], 0)


if __name__ == "__main__":
    BUILD = sys.argv.pop(1)
    unittest.main()
