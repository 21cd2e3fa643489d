"""Clients that no server wants: slow, broken, gone.  Each act is over in a second or two."""

import contextlib
import random
import socket
import struct
import threading
import time

HOST = b"Host: bench\r\n"
GET = b"GET /users/42 HTTP/1.1\r\n" + HOST + b"\r\n"
TIMEOUT_S = 30
# How fast slow is.
STEP_S = 0.02
STEPS = 50


class Wrong(Exception):
    """The server did what it must not."""


def status(s):
    """Of the answer that comes; None if the connection ends without one."""
    answer = b""
    while b"\r\n" not in answer:
        piece = s.recv(4096)
        if not piece:
            return None
        answer += piece
    return int(answer.split(b" ", 2)[1])


def reset(s):
    """The close that follows sends an RST."""
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def refused(s, request, *expected):
    s.sendall(request)
    got = status(s)
    if got not in expected:
        raise Wrong(f"{request[:60]} was answered with {got}")


# --- The acts: each gets a connection ------------------------------------------


def slow_header(s):
    for byte in GET[:STEPS]:
        s.sendall(bytes([byte]))
        time.sleep(STEP_S)


def slow_but_honest(s):
    for byte in GET:
        s.sendall(bytes([byte]))
        time.sleep(STEP_S)
    if status(s) != 200:
        raise Wrong("a slow request was not answered")


def half_a_request(s):
    s.sendall(GET[:20])


def reset_in_a_head(s):
    s.sendall(GET[:20])
    reset(s)


def half_a_body(s):
    s.sendall(b"POST /echo HTTP/1.1\r\n" + HOST + b"Content-Length: 100000\r\n\r\n" + b"x" * 5000)


def reset_in_a_body(s):
    half_a_body(s)
    reset(s)


def slow_reader(s):
    s.sendall(GET.replace(b"/users/42", b"/files/10m"))
    for _ in range(STEPS):
        s.recv(4096)
        time.sleep(STEP_S)


def gone_in_a_download(s):
    s.sendall(GET.replace(b"/users/42", b"/files/10m"))
    s.recv(100000)
    reset(s)


def gone_before_the_answer(s):
    s.sendall(GET.replace(b"/users/42", b"/slow") * 20)
    reset(s)


def pipelines_and_reads_nothing(s):
    with contextlib.suppress(BlockingIOError):
        s.setblocking(False)
        for _ in range(100):
            s.sendall(GET.replace(b"/users/42", b"/chunked") * 10)
    time.sleep(STEP_S * STEPS)


def garbage(s):
    refused(s, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400)


def two_lengths(s):
    refused(s, b"POST /echo HTTP/1.1\r\n" + HOST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nx",
            400)


def bad_chunk(s):
    s.sendall(b"POST /echo HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n")
    status(s)


def huge_header(s):
    refused(s, b"GET /users/42 HTTP/1.1\r\n" + HOST + b"X: " + b"y" * 100000 + b"\r\n\r\n", 431, None)


def sends_nothing(_s):
    time.sleep(STEP_S * STEPS)


ACTS = (slow_header, slow_but_honest, half_a_request, reset_in_a_head, half_a_body, reset_in_a_body,
        slow_reader, gone_in_a_download, gone_before_the_answer, pipelines_and_reads_nothing,
        garbage, two_lengths, bad_chunk, huge_header, sends_nothing)


class Crowd:
    """So many threads of such clients, each with a random sequence of acts of its own."""

    def __init__(self, port, threads):
        self.port = port
        self.done = {act.__name__: 0 for act in ACTS}
        self.wrongs = []
        self.lock = threading.Lock()
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self._run, args=(seed,)) for seed in range(threads)]
        for thread in self.threads:
            thread.start()

    def _run(self, seed):
        choice = random.Random(seed)
        while not self.stopping.is_set():
            self._act(choice.choice(ACTS))

    def _act(self, act):
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=TIMEOUT_S) as s:
                act(s)
        except (ConnectionResetError, BrokenPipeError):
            pass  # it may
        except (Wrong, OSError) as wrong:
            with self.lock:
                self.wrongs.append(f"{act.__name__}: {wrong}")
        with self.lock:
            self.done[act.__name__] += 1

    def stop(self):
        """Ends them; returns how many acts there were, and what was wrong."""
        self.stopping.set()
        for thread in self.threads:
            thread.join()
        return sum(self.done.values()), self.wrongs
