#!/usr/bin/env python3
"""The examples on Unix sockets and started by socket activation: unix.py BUILD_DIR

This file is also the service manager's part: unix.py --launch PROGRAM ARGS... passes the
descriptors that LAUNCH_FDS lists from 3 on, as systemd does.  Standard library only.
"""
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "harness"))

from program import Program  # pylint: disable=wrong-import-position

TIMEOUT_S = 20
TCP_ECHO, HTTP_ECHO = "tcp_echo", "http_echo"
LINE = {
    TCP_ECHO: re.compile(r"tcp_echo: listening on (\S+) \((io_uring|sqpoll|epoll), \d+ Ps\)\n"),
    HTTP_ECHO: re.compile(r"http_echo: (\S+)\n"),
}


def launch(program, *args):
    """Becomes the program, with the descriptors where it expects them."""
    fds = [int(fd) for fd in os.environ.pop("LAUNCH_FDS").split(",")]
    # Out of the way first: a source may be another's place.
    moved = [os.dup(fd) for fd in fds]
    high = [os.dup2(fd, 100 + i) for i, fd in enumerate(moved)]
    for i, fd in enumerate(high):
        os.dup2(fd, 3 + i, inheritable=True)
    os.closerange(3 + len(fds), 200)
    os.environ.update(LISTEN_FDS=str(len(fds)), LISTEN_PID=str(os.getpid()),
                      LISTEN_FDNAMES=":".join(["echo"] * len(fds)))
    os.execv(program, [program, *args])


class Server(Program):
    """A running example."""

    def __init__(self, build, name, *args, sockets=()):
        env = {}
        command = [os.path.join(build, "examples", name), *args]
        if sockets:
            env["LAUNCH_FDS"] = ",".join(str(sock.fileno()) for sock in sockets)
            command = [sys.executable, os.path.abspath(__file__), "--launch", *command]
        super().__init__(command, LINE[name], env=env,
                         pass_fds=[sock.fileno() for sock in sockets])
        self.where = self.match[1]

    def stop(self):
        status, said = self.finish(signal.SIGTERM, TIMEOUT_S)
        assert said == "", said
        return status


def connect_unix(path):
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(TIMEOUT_S)
    sock.connect(path)
    return sock


def await_refusal(path):
    """The kernel takes a killed process's io_uring apart at its leisure."""
    end = time.monotonic() + TIMEOUT_S
    while time.monotonic() < end:
        try:
            connect_unix(path).close()
        except ConnectionRefusedError:
            return
        except BlockingIOError:
            pass  # nobody accepts what waits already
    raise AssertionError("it still listens")


def talk(name, sock):
    """One exchange with either server."""
    request, answer = ((b"hello", b"hello") if name == TCP_ECHO else
                       (b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", b"HTTP/1.1 200"))
    data = b""
    with sock:
        sock.sendall(request)
        while len(data) < len(answer):
            piece = sock.recv(4096)
            assert piece, data
            data += piece
    assert data.startswith(answer), data


def listener(family, address):
    sock = socket.socket(family)
    sock.bind(address)
    sock.listen(16)
    return sock


def paths_are_listened_on(build, folder):
    path = os.path.join(folder, "socket")
    for name in (TCP_ECHO, HTTP_ECHO):
        with Server(build, name, "--listen", f"unix:{path}") as server:
            assert server.where == f"unix:{path}", server.line
            for _ in range(3):
                talk(name, connect_unix(path))
            result = subprocess.run([os.path.join(build, "examples", name), "--listen",
                                     f"unix:{path}"], capture_output=True, text=True,
                                    timeout=TIMEOUT_S)
            assert result.returncode == 1 and "Address already in use" in result.stderr, result
            talk(name, connect_unix(path))
            assert server.stop() == 0
        assert not os.path.exists(path)


def abstract_names_are_listened_on(build, _folder):
    for name in (TCP_ECHO, HTTP_ECHO):
        with Server(build, name, "--listen", f"unix:@gust-{os.getpid()}") as server:
            talk(name, connect_unix(f"\0gust-{os.getpid()}"))
            assert server.stop() == 0


def a_killed_servers_file_is_replaced(build, folder):
    path = os.path.join(folder, "socket")
    with Server(build, TCP_ECHO, "--listen", f"unix:{path}"):
        pass
    assert os.path.exists(path)
    await_refusal(path)
    with Server(build, TCP_ECHO, "--listen", f"unix:{path}") as server:
        talk(TCP_ECHO, connect_unix(path))
        assert server.stop() == 0


def sockets_are_passed(build, folder):
    path = os.path.join(folder, "socket")
    for name in (TCP_ECHO, HTTP_ECHO):
        with listener(socket.AF_INET, ("127.0.0.1", 0)) as passed, \
                socket.create_connection(passed.getsockname(), timeout=TIMEOUT_S) as waiting:
            port = passed.getsockname()[1]
            with Server(build, name, "--listen", "127.0.0.1:1", sockets=[passed]) as server:
                assert server.where.endswith(f"127.0.0.1:{port}"), server.line
                talk(name, waiting)  # it came before the server did
                talk(name, socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S))
                assert server.stop() == 0
        with listener(socket.AF_UNIX, path) as passed:
            for _ in range(2):  # the next one serves the same socket
                with Server(build, name, sockets=[passed]) as server:
                    assert server.where == f"unix:{path}", server.line
                    talk(name, connect_unix(path))
                    assert server.stop() == 0
                assert os.path.exists(path), "the file is the service manager's"
        os.unlink(path)


def what_does_not_listen_is_refused(build, _folder):
    with socket.socket() as idle, listener(socket.AF_INET, ("127.0.0.1", 0)) as good:
        for name in (TCP_ECHO, HTTP_ECHO):
            for passed in ([idle], [good, good]):
                fds = [sock.fileno() for sock in passed]
                result = subprocess.run(
                    [sys.executable, os.path.abspath(__file__), "--launch",
                     os.path.join(build, "examples", name)], capture_output=True, text=True,
                    pass_fds=fds, timeout=TIMEOUT_S,
                    env={**os.environ, "LAUNCH_FDS": ",".join(map(str, fds))})
                assert result.returncode == 1 and "Invalid argument" in result.stderr, result


def variables_for_another_are_ignored(build, _folder):
    os.environ.update(LISTEN_FDS="1", LISTEN_PID="1")
    try:
        with Server(build, TCP_ECHO, "--listen", "127.0.0.1:0") as server:
            port = int(server.where.rsplit(":", 1)[1])
            talk(TCP_ECHO, socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S))
            assert server.stop() == 0
    finally:
        del os.environ["LISTEN_FDS"], os.environ["LISTEN_PID"]


def usage_says_so(build, _folder):
    for name in (TCP_ECHO, HTTP_ECHO):
        result = subprocess.run([os.path.join(build, "examples", name), "--nonsense"],
                                capture_output=True, text=True, timeout=TIMEOUT_S)
        assert result.returncode == 2, result
        assert "unix:/PATH" in result.stderr and "LISTEN_FDS" in result.stderr, result


def main():
    if sys.argv[1] == "--launch":
        launch(*sys.argv[2:])
    for check in (paths_are_listened_on, abstract_names_are_listened_on,
                  a_killed_servers_file_is_replaced, sockets_are_passed,
                  what_does_not_listen_is_refused, variables_for_another_are_ignored,
                  usage_says_so):
        with tempfile.TemporaryDirectory() as folder:
            check(sys.argv[1], folder)
        print(f"ok {check.__name__}")


if __name__ == "__main__":
    main()
