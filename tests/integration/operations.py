#!/usr/bin/env python3
"""Drives the examples about operations: graceful and upload.

    operations.py BUILD_DIR

GUST_NETPOLL, GUST_MAXPROCS and the like pass through to them."""
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "harness"))

from example import Example  # pylint: disable=wrong-import-position

BUILD = ""
WAIT_S = Example.WAIT_S


class Server(Example):
    def __init__(self, name, *args):
        super().__init__(BUILD, name, *args)

    def ask(self, path, method="GET", body=None):
        """Status and body."""
        response, answer = super().ask(method, path, body)
        return response.status, answer


def fails(name, *args):
    """What it says on stderr, when it cannot start."""
    result = subprocess.run([os.path.join(BUILD, "examples", name), *args], capture_output=True,
                            text=True, timeout=WAIT_S, check=False)
    assert (result.returncode, result.stdout) == (1, ""), result
    return result.stderr


def await_true(condition):
    end = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


class Graceful(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.TemporaryDirectory()
        self.addCleanup(self.dir.cleanup)
        self.log = os.path.join(self.dir.name, "log")

    def read_log(self, name="log"):
        with open(os.path.join(self.dir.name, name), encoding="ascii") as log:
            return log.read()

    def test_the_end_loses_no_request(self):
        with Server("graceful", "--log", self.log, "--lame-duck", "3") as server:
            self.assertEqual(server.ask("/"), (200, b"hello\n"))
            self.assertEqual(server.ask("/readyz"), (200, b"ok\n"))
            answers = []
            # It is at work when the duck becomes lame, and yet when that has ended.
            slow = threading.Thread(target=lambda: answers.append(server.ask("/slow?6")))
            slow.start()
            server.process.send_signal(signal.SIGTERM)
            await_true(lambda: server.ask("/readyz") == (503, b"shutting down\n"))
            self.assertEqual(server.ask("/"), (200, b"hello\n"))
            self.assertEqual(server.ask("/healthz"), (200, b"ok\n"))
            out, err = server.process.communicate(timeout=WAIT_S)
            slow.join()
            self.assertEqual((server.process.returncode, out, err), (0, "", ""))
            self.assertEqual(answers, [(200, b"hello\n")])
        log = self.read_log()  # lines of different CPUs are in any order
        self.assertRegex(log, r'(?m)^127\.0\.0\.1 - - \[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d '
                              r'[+-]\d{4}\] "GET / HTTP/1\.1" 200 6 "-" "-"$')
        self.assertIn('"GET /slow?6 HTTP/1.1" 200 6', log)

    def test_the_log_is_opened_anew(self):
        with Server("graceful", "--log", self.log) as server:
            server.ask("/")
            os.rename(self.log, self.log + ".1")
            server.process.send_signal(signal.SIGUSR1)
            await_true(lambda: os.path.exists(self.log))
            self.assertEqual(server.ask("/healthz")[0], 200)
            self.assertEqual(server.stop(), (0, ""))
        self.assertIn('"GET / HTTP/1.1" 200 ', self.read_log("log.1"))
        self.assertIn('"GET /healthz HTTP/1.1" 200 ', self.read_log())

    def test_lines_are_written_while_it_runs(self):
        with Server("graceful", "--log", self.log) as server:
            server.ask("/\"?\\")
            await_true(lambda: '"GET /\\x22?\\x5C HTTP/1.1" 404' in self.read_log())

    def test_errors_are_said(self):
        with Server("graceful", "--log", self.log) as server:
            self.assertEqual(server.ask("/", "BREW")[0], 501)
            status, said = server.stop()
        self.assertEqual(status, 0)
        self.assertRegex(said, r"^graceful: 127\.0\.0\.1:\d+: unsupported request \n$")


    def test_a_log_that_cannot_be_opened_is_named(self):
        log = os.path.join(self.dir.name, "none", "log")
        self.assertEqual(fails("graceful", "--log", log),
                         f"graceful: {log}: No such file or directory\n")


class Upload(unittest.TestCase):
    def test_a_directory_that_is_not_there_is_named(self):
        self.assertEqual(fails("upload", "--dir", "/nowhere"),
                         "upload: /nowhere: No such file or directory\n")

    def test_files_are_streamed_to_the_directory(self):
        if not shutil.which("curl"):
            self.skipTest("there is no curl here")
        with tempfile.TemporaryDirectory() as tmp:
            target = os.path.join(tmp, "target")
            source = os.path.join(tmp, "source")
            os.mkdir(target)
            contents = [os.urandom(3_000_000), b"", b"small"]
            form = []
            for i, content in enumerate(contents):
                with open(f"{source}{i}", "wb") as file:
                    file.write(content)
                form += ["-F", f"files=@{source}{i}"]
            with Server("upload", "--dir", target) as server:
                self.assertIn(b"<form", server.ask("/")[1])
                url = "http://%s:%d/upload" % server.address
                said = subprocess.run(["curl", "-sS", "-m", str(WAIT_S), *form, "-F", "text=x", url],
                                      capture_output=True, check=True).stdout
                self.assertEqual(said, b"3 files, 3000005 bytes\n")
                self.assertEqual(server.ask("/upload", "POST", b"x")[0], 415)
                statuses = [server.ask("/upload", "POST", b"x")[0] for _ in range(10)]
                self.assertEqual(statuses[-1], 429)
                self.assertEqual(server.stop(), (0, ""))
            saved = sorted(os.listdir(target))
            self.assertEqual(len(saved), 3)
            for name, content in zip(saved, contents):
                with open(os.path.join(target, name), "rb") as file:
                    self.assertEqual(file.read() == content, True)


if __name__ == "__main__":
    BUILD = sys.argv.pop(1)
    unittest.main()
