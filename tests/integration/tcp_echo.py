#!/usr/bin/env python3
"""Drives examples/tcp_echo as a stranger would: tcp_echo.py BUILD_DIR

Arguments, the line it prints, echoing, many clients at once, half-close,
signals, exit codes, a port that is taken.  Standard library only.
"""
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "harness"))

from program import Program  # pylint: disable=wrong-import-position

TIMEOUT_S = 20
LINE = re.compile(r"tcp_echo: listening on (\S+):(\d+) \((io_uring|sqpoll|epoll), (\d+) Ps\)\n")


class Server(Program):
    """A running tcp_echo."""

    def __init__(self, program, listen="127.0.0.1:0", **env):
        super().__init__([program, "--listen", listen], LINE, env=env)
        self.host, self.port = self.match[1].strip("[]"), int(self.match[2])
        self.backend, self.procs = self.match[3], int(self.match[4])

    def connect(self):
        return socket.create_connection((self.host, self.port), timeout=TIMEOUT_S)

    def stop(self, signo):
        status, said = self.finish(signo, TIMEOUT_S)
        assert said == "", said
        return status


def recv_exactly(sock, count):
    data = b""
    while len(data) < count:
        piece = sock.recv(count - len(data))
        assert piece, f"end of stream after {len(data)} of {count} bytes"
        data += piece
    return data


def echo(sock, data):
    sock.sendall(data)
    assert recv_exactly(sock, len(data)) == data


def run(program, *args):
    return subprocess.run([program, *args], capture_output=True, text=True, timeout=TIMEOUT_S)


def bad_arguments_show_usage(program):
    for args in (["--listen"], ["--listen", "nonsense"], ["--listen", "127.0.0.1:70000"],
                 ["--port", "1"], ["extra"], ["--listen", "127.0.0.1:0", "extra"]):
        result = run(program, *args)
        assert result.returncode == 2, (args, result)
        assert result.stdout == "" and "\nusage: tcp_echo" in result.stderr, result


def taken_port_is_named(program):
    with Server(program) as server:
        result = run(program, "--listen", f"127.0.0.1:{server.port}")
        assert result.returncode == 1, result
        assert f"127.0.0.1:{server.port}" in result.stderr, result
        assert "Address already in use" in result.stderr, result
        assert result.stdout == "", result
        echo(server.connect(), b"the first one goes on")


def environment_is_obeyed(program):
    for backend, name in (("epoll", "epoll"), (os.environ.get("GUST_NETPOLL", "auto"), None)):
        with Server(program, GUST_NETPOLL=backend, GUST_MAXPROCS="3") as server:
            assert server.procs == 3, server.line
            assert name in (None, server.backend), server.line
            echo(server.connect(), b"hello")
    result = subprocess.run([program, "--listen", "127.0.0.1:0"], capture_output=True, text=True,
                            timeout=TIMEOUT_S, env={**os.environ, "GUST_NETPOLL": "nonsense"})
    assert result.returncode == 1 and "nonsense" in result.stderr, result


def bytes_come_back(program):
    with Server(program) as server, server.connect() as sock:
        for size in (1, 2, 4095, 4096, 4097, 65536):
            echo(sock, os.urandom(size))
        sock.sendall(b"last words")
        sock.shutdown(socket.SHUT_WR)
        assert recv_exactly(sock, 10) == b"last words"
        assert sock.recv(1) == b""


def many_clients_at_once(program):
    with Server(program) as server:
        socks = [server.connect() for _ in range(300)]
        for i, sock in enumerate(socks):
            sock.sendall(b"client %d" % i)
        for i, sock in reversed(list(enumerate(socks))):
            assert recv_exactly(sock, len(b"client %d" % i)) == b"client %d" % i
            sock.close()
        echo(server.connect(), b"still here")


def reset_hurts_nobody_else(program):
    with Server(program) as server:
        for _ in range(20):
            sock = server.connect()
            sock.sendall(b"x" * 10000)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            sock.close()
        echo(server.connect(), b"still here")


def signals_end_it_with_0(program):
    for signo in (signal.SIGTERM, signal.SIGINT):
        with Server(program) as server, server.connect() as sock:
            echo(sock, b"hello")
            assert server.stop(signo) == 0, signo
            assert sock.recv(1) == b""
            try:
                server.connect()
                raise AssertionError("it still listens")
            except ConnectionRefusedError:
                pass


def wildcard_takes_both_families(program):
    with Server(program, listen=":0") as server:
        with socket.create_connection(("127.0.0.1", server.port), timeout=TIMEOUT_S) as sock:
            echo(sock, b"over IPv4")


def main():
    program = os.path.join(sys.argv[1], "examples", "tcp_echo")
    for check in (bad_arguments_show_usage, taken_port_is_named, environment_is_obeyed,
                  bytes_come_back, many_clients_at_once, reset_hurts_nobody_else,
                  signals_end_it_with_0, wildcard_takes_both_families):
        check(program)
        print(f"ok {check.__name__}")


if __name__ == "__main__":
    main()
