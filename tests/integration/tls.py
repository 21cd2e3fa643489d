#!/usr/bin/env python3
"""TLS against others: curl, openssl's s_client and s_server, and Python's ssl.

    tls.py BUILD_DIR

GUST_NETPOLL, GUST_MAXPROCS and the like pass through.  All certificates are made here.
"""
import contextlib
import os
import pathlib
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "harness"))

from program import Program  # pylint: disable=wrong-import-position

BUILD = ""
DIR = ""
WAIT_S = 60  # bounds every wait; nothing takes that long unless it hangs


def path(name):
    return os.path.join(DIR, name)


def openssl(*args, **kwargs):
    return subprocess.run(["openssl", *args], check=True, capture_output=True, timeout=WAIT_S,
                          **kwargs)


def make_authority(name):
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-keyout", path(name + ".key"), "-out", path(name + ".crt"), "-days", "2",
            "-subj", "/CN=" + name)


def make_leaf(name, names, authority="ca"):
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-keyout", path(name + ".key"), "-out", path(name + ".csr"), "-subj", "/CN=" + name)
    with open(path(name + ".ext"), "w", encoding="ascii") as ext:
        ext.write(f"subjectAltName={names}\n")
    openssl("x509", "-req", "-in", path(name + ".csr"), "-CA", path(authority + ".crt"),
            "-CAkey", path(authority + ".key"), "-CAcreateserial", "-days", "2",
            "-extfile", path(name + ".ext"), "-out", path(name + ".crt"))


def identity(name):
    return [f"cert={path(name + '.crt')}", f"key={path(name + '.key')}"]


class Process(Program):
    """A program whose first line says that it listens."""

    def __init__(self, args, pattern):
        super().__init__(args, re.compile(f".*{pattern}.*\n"))
        self.port = int(self.match[1])

    def next_line(self):
        return self.process.stdout.readline().rstrip()


def http_echo(cert="server"):
    return Process([os.path.join(BUILD, "examples", "http_echo"), "--listen", "127.0.0.1:0",
                    "--tls-cert", path(cert + ".crt"), "--tls-key", path(cert + ".key")],
                   r"https://127\.0\.0\.1:(\d+)")


def serve(*options):
    return Process([os.path.join(BUILD, "tests", "harness", "tls_peer"), "serve", "0", *options],
                   r"port (\d+)")


def dial(port, *options, **env):
    result = subprocess.run([os.path.join(BUILD, "tests", "harness", "tls_peer"), "dial",
                             str(port), *options], capture_output=True, text=True, timeout=WAIT_S,
                            env={**os.environ, **env}, check=False)
    assert result.returncode == 0, result
    return result.stdout


def context(**kwargs):
    c = ssl.create_default_context(cafile=path("ca.crt"))
    for name, value in kwargs.items():
        setattr(c, name, value)
    return c


def connect(port, c, host="localhost", **kwargs):
    sock = socket.create_connection(("127.0.0.1", port), timeout=WAIT_S)
    return contextlib.closing(c.wrap_socket(sock, server_hostname=host, **kwargs))


def exchange(sock, data=b"hello"):
    sock.sendall(data)
    got = b""
    while len(got) < len(data):
        piece = sock.recv(65536)
        assert piece, "the stream ended"
        got += piece
    assert got == data


@unittest.skipUnless(shutil.which("curl"), "curl is not installed")
class Curl(unittest.TestCase):
    def curl(self, port, *args):
        return subprocess.run(["curl", "--silent", "--show-error", "--noproxy", "*", "--max-time",
                               str(WAIT_S), *args, f"https://localhost:{port}/"],
                              capture_output=True, text=True, check=False)

    def test_versions_and_verification(self):
        with http_echo() as server:
            for version in (["--tls-max", "1.2"], ["--tlsv1.3"]):
                result = self.curl(server.port, "--cacert", path("ca.crt"), *version)
                self.assertEqual((result.returncode, result.stdout), (0, "Hello, World!"), result)
            self.assertEqual(self.curl(server.port).returncode, 60)
            old = self.curl(server.port, "--cacert", path("ca.crt"), "--tls-max", "1.1")
            self.assertNotEqual(old.returncode, 0)

    def test_a_large_body_is_byte_exact(self):
        body = os.urandom(4_000_000)
        with http_echo() as server:
            with open(path("body"), "wb") as file:
                file.write(body)
            result = subprocess.run(
                ["curl", "--silent", "--noproxy", "*", "--max-time", str(WAIT_S), "--cacert",
                 path("ca.crt"), "--data-binary", "@" + path("body"), "--output", path("echoed"),
                 f"https://localhost:{server.port}/echo"], check=False)
            self.assertEqual(result.returncode, 0)
            with open(path("echoed"), "rb") as file:
                self.assertTrue(file.read() == body)


class Python(unittest.TestCase):
    def test_sni_chooses_the_certificate(self):
        with serve(*identity("server"), *identity("wild")) as server:
            for host, subject in (("localhost", "server"), ("a.wild.test", "wild")):
                with connect(server.port, context(), host) as sock:
                    self.assertEqual(sock.getpeercert()["subject"][0][0], ("commonName", subject))
                    exchange(sock)
            with self.assertRaises(ssl.SSLCertVerificationError):
                connect(server.port, context(), "b.a.wild.test")

    def test_alpn(self):
        with serve(*identity("server"), "alpn=h2", "alpn=http/1.1") as server:
            for offered, chosen in ((["http/1.1", "h2"], "h2"), (["http/1.1"], "http/1.1"),
                                    ([], None)):
                c = context()
                if offered:
                    c.set_alpn_protocols(offered)
                with connect(server.port, c) as sock:
                    self.assertEqual(sock.selected_alpn_protocol(), chosen)
                    exchange(sock)

    def test_resumption(self):
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            with serve(*identity("server")) as server:
                c = context(maximum_version=version)
                with connect(server.port, c) as sock:
                    exchange(sock)
                    self.assertFalse(sock.session_reused)
                    session = sock.session
                with connect(server.port, c, session=session) as sock:
                    exchange(sock)
                    self.assertTrue(sock.session_reused)

    def test_client_certificates(self):
        with serve(*identity("server"), f"ca={path('ca.crt')}", "auth=require") as server:
            c = context()
            c.load_cert_chain(path("client.crt"), path("client.key"))
            with connect(server.port, c) as sock:
                exchange(sock)
            self.assertIn("verified=1 subject=CN=client", server.next_line())
            self.assertEqual(server.next_line(), "end ECONNABORTED")
            with self.assertRaises(OSError):
                with connect(server.port, context()) as sock:
                    exchange(sock)
            self.assertRegex(server.next_line(), "^end EKEYREJECTED ")

    def test_both_ends_of_a_stream(self):
        with serve(*identity("server")) as server:
            with connect(server.port, context()) as sock:
                exchange(sock)
                server.next_line()
                # Says that it is done, and waits for the answer.
                sock.unwrap().close()
            self.assertEqual(server.next_line(), "end clean")
            with connect(server.port, context()) as sock:
                exchange(sock)
                server.next_line()
            self.assertEqual(server.next_line(), "end ECONNABORTED")

    def test_bad_hellos(self):
        with serve(*identity("server")) as server:
            for sent, end in ((b"GET / HTTP/1.1\r\n\r\n" * 10, "EPROTO"),
                              (os.urandom(1000).replace(b"\x16", b"?"), "EPROTO"),
                              (b"\x16\x03", "ECONNABORTED"), (b"", "ECONNABORTED")):
                with socket.create_connection(("127.0.0.1", server.port), WAIT_S) as sock:
                    sock.sendall(sent)
                    sock.shutdown(socket.SHUT_WR)
                    self.assertRegex(server.next_line(), f"^end {end} ")
            with connect(server.port, context()) as sock:
                exchange(sock)

    def test_slow_hellos(self):
        with serve(*identity("server"), "timeout_ms=100") as server:
            for sent in (b"\x16\x03\x01\x02\x00\x01", b""):
                with socket.create_connection(("127.0.0.1", server.port), WAIT_S) as sock:
                    sock.sendall(sent)
                    self.assertRegex(server.next_line(), "^end ETIMEDOUT ")

    def test_we_are_a_client(self):
        ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        ours.load_cert_chain(path("server.crt"), path("server.key"))
        ours.load_verify_locations(path("ca.crt"))
        ours.verify_mode = ssl.CERT_REQUIRED
        ours.set_alpn_protocols(["two"])
        with socket.create_server(("127.0.0.1", 0)) as listener:
            def answer():
                for _ in range(2):
                    sock, _ = listener.accept()
                    with ours.wrap_socket(sock, server_side=True) as tls:
                        tls.sendall(tls.recv(100))
                        tls.recv(100)

            thread = threading.Thread(target=answer)
            thread.start()
            said = dial(listener.getsockname()[1], f"ca={path('ca.crt')}", "host=localhost",
                        "alpn=one", "alpn=two", *identity("client"), TLS_PEER_TWICE="1")
            thread.join(WAIT_S)
        self.assertEqual(said.count("got hello"), 2, said)
        self.assertEqual(said.count("alpn=two"), 2, said)
        self.assertEqual(said.count("verified=1 subject=CN=server"), 2, said)
        self.assertIn("resumed=1", said)


class OpenSSL(unittest.TestCase):
    def test_s_client(self):
        with serve(*identity("server")) as server:
            for version in ("-tls1_2", "-tls1_3"):
                result = subprocess.run(
                    ["openssl", "s_client", "-connect", f"127.0.0.1:{server.port}", "-CAfile",
                     path("ca.crt"), "-verify_return_error", "-verify_hostname", "localhost",
                     "-servername", "localhost", "-quiet", "-no_ign_eof", version],
                    input=b"", capture_output=True, timeout=WAIT_S, check=False)
                self.assertEqual(result.returncode, 0, result)
                self.assertRegex(server.next_line(), "^info version=30[34] .* name=localhost ")
                self.assertRegex(server.next_line(), "^end ")

    def test_renegotiation_is_refused(self):
        with serve(*identity("server"), "max=1.2") as server:
            client = subprocess.Popen(
                ["openssl", "s_client", "-connect", f"127.0.0.1:{server.port}", "-CAfile",
                 path("ca.crt"), "-tls1_2"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT)
            try:
                client.stdin.write(b"R\n")
                client.stdin.flush()
                self.assertRegex(server.next_line(), "^info version=303 ")
                # It ends without a second handshake.
                self.assertRegex(server.next_line(), "^end ")
            finally:
                client.kill()
                client.communicate()

    def test_s_server(self):
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        server = subprocess.Popen(
            ["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-cert", path("server.crt"),
             "-key", path("server.key"), "-rev", "-alpn", "x"], stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT)
        try:
            while b"ACCEPT" not in server.stdout.readline():
                self.assertIsNone(server.poll())
            said = dial(port, f"ca={path('ca.crt')}", "host=localhost", "say=abc\n", "alpn=x")
            self.assertIn("got cba", said)
            self.assertIn("alpn=x", said)
            self.assertEqual(dial(port, f"ca={path('ca.crt')}", "host=wrong.test"),
                             "end EKEYREJECTED\n")
        finally:
            server.kill()
            server.communicate()


class Examples(unittest.TestCase):
    def test_arguments_go_together(self):
        for example in ("http_echo", "tcp_echo"):
            program = os.path.join(BUILD, "examples", example)
            for args, said in ((["--tls-cert", "x"], "--tls-cert goes together with --tls-key"),
                               (["--tls-key", "x"], "--tls-key goes together with --tls-cert"),
                               (["--tls-cert"], "--tls-cert needs FILE")):
                result = subprocess.run([program, *args], capture_output=True, text=True,
                                        timeout=WAIT_S, check=False)
                self.assertEqual(result.returncode, 2)
                self.assertIn(said, result.stderr)
                self.assertIn("usage: " + example, result.stderr)
            result = subprocess.run(
                [program, "--listen", "127.0.0.1:0", "--tls-cert", path("missing"), "--tls-key",
                 path("server.key")], capture_output=True, text=True, timeout=WAIT_S, check=False)
            self.assertEqual(result.returncode, 1)
            self.assertEqual(result.stderr, f"gust: tls: {path('missing')}: "
                                            "No such file or directory\n")

    def test_tcp_echo(self):
        program = os.path.join(BUILD, "examples", "tcp_echo")
        with Process([program, "--listen", "127.0.0.1:0", "--tls-cert", path("server.crt"),
                      "--tls-key", path("server.key")], r"127\.0\.0\.1:(\d+) ") as server:
            with connect(server.port, context()) as sock:
                exchange(sock, os.urandom(3000))

    def test_hup_reloads_under_load(self):
        """Connections that are open go on; new ones see the new certificate."""
        shutil.copy(path("server.crt"), path("live.crt"))
        shutil.copy(path("server.key"), path("live.key"))
        request = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
        stop, failures = threading.Event(), []

        def ask(sock):
            sock.sendall(request)
            answer = b""
            while not answer.endswith(b"Hello, World!"):
                piece = sock.recv(4096)
                assert piece, "the stream ended"
                answer += piece

        def load(port):
            try:
                while not stop.is_set():
                    with connect(port, context()) as sock:
                        for _ in range(5):
                            ask(sock)
            except Exception as error:  # pylint: disable=broad-except
                failures.append(error)

        with http_echo("live") as server, connect(server.port, context()) as old:
            threads = [threading.Thread(target=load, args=(server.port,)) for _ in range(4)]
            for thread in threads:
                thread.start()
            for name in ("other", "server", "broken", "other"):
                if name == "broken":
                    with open(path("live.crt"), "w", encoding="ascii") as file:
                        file.write("no certificate\n")
                else:
                    shutil.copy(path(name + ".key"), path("live.key"))
                    shutil.copy(path(name + ".crt"), path("live.crt"))
                server.process.send_signal(signal.SIGHUP)
                said = server.process.stderr.readline()
                self.assertIn("live.crt" if name == "broken" else "reloaded", said)
                if name != "broken":
                    with connect(server.port, context()) as sock:
                        self.assertEqual(sock.getpeercert()["subject"][0][0],
                                         ("commonName", name))
                ask(old)
            stop.set()
            for thread in threads:
                thread.join(WAIT_S)
        self.assertEqual(failures, [])


def main():
    global BUILD, DIR  # pylint: disable=global-statement
    BUILD = sys.argv.pop(1)
    with tempfile.TemporaryDirectory(prefix="gust-tls-") as DIR:
        make_authority("ca")
        for name, names in (("server", "DNS:localhost,IP:127.0.0.1"), ("wild", "DNS:*.wild.test"),
                            ("other", "DNS:localhost"), ("client", "DNS:client")):
            make_leaf(name, names)
        result = unittest.main(exit=False, verbosity=0).result
        skipped = len(result.skipped)
        failed = len(result.failures) + len(result.errors)
    print(f"{result.testsRun - skipped - failed} passed, {failed} failed, {skipped} skipped")
    sys.exit(failed != 0)


if __name__ == "__main__":
    main()
