#!/usr/bin/env python3
"""Whether large bodies come through the reverse proxy whole, or as an error, but never as
something that looks whole and is not.

200 clients at a time ask examples/http_proxy for 32 MiB each, with a length or in chunks.
Its origin goes through a list of fates: most bodies it sends to the end, some after a pause;
others it stalls for longer than the proxy waits, ends early, or resets.  Of what arrives
whole the checksum is compared; what was not sent whole has to be an error.  In the end the
proxy must have no more descriptors than before, and end in good order."""

# First: it lets Python's own http come before bench/http.py.
from lib import peers, servers, turns

import argparse
import hashlib
import http.client
import http.server
import os
import random
import socket
import struct
import threading
import time

SIZE = 32 << 20
PIECE = 256 << 10
OFFSETS = 16
UPSTREAM_TIMEOUT_S = 10  # the origin, in Python, is slow to begin so many
PAUSE_S = UPSTREAM_TIMEOUT_S / 10
STALL_S = UPSTREAM_TIMEOUT_S * 2
CLIENT_TIMEOUT_S = 60
SETTLE_S = 20
INTACT = ("whole", "pause")
FATES = ["whole"] * 6 + ["pause", "stall", "end", "reset"]


class Bodies:
    """So many different ones, all pieces of one random text."""

    def __init__(self):
        self.text = memoryview(os.urandom(SIZE + OFFSETS))
        self.sums = [hashlib.sha256(self.body(i)).digest() for i in range(OFFSETS)]

    def body(self, i):
        return self.text[i:i + SIZE]


class Handler(http.server.BaseHTTPRequestHandler):
    """GET /OFFSET/FATE/AT/FRAMING: AT is where the fate strikes."""

    protocol_version = "HTTP/1.1"

    def log_message(self, format, *args):  # pylint: disable=redefined-builtin
        pass

    def send_body(self, piece, chunked):
        if chunked:
            self.wfile.write(b"%x\r\n" % len(piece))
        self.wfile.write(piece)
        if chunked:
            self.wfile.write(b"\r\n")

    def do_GET(self):
        offset, fate, at, framing = self.path[1:].split("/")
        body, at, chunked = self.server.bodies.body(int(offset)), int(at), framing == "chunked"
        self.send_response(200)
        self.send_header(*(("Transfer-Encoding", "chunked") if chunked else
                           ("Content-Length", str(SIZE))))
        self.end_headers()
        for start in range(0, SIZE, PIECE):
            if start <= at < start + PIECE and fate != "whole" and not self.strike(fate):
                return
            self.send_body(body[start:start + PIECE], chunked)
        if chunked:
            self.wfile.write(b"0\r\n\r\n")

    def strike(self, fate):
        """False if that is the end of it."""
        if fate == "pause":
            time.sleep(PAUSE_S)
            return True
        self.close_connection = True
        if fate == "stall":
            time.sleep(STALL_S)
        if fate == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                       struct.pack("ii", 1, 0))
            self.connection.close()
        return False


class Origin(http.server.ThreadingHTTPServer):
    request_queue_size = 1024
    daemon_threads = True

    def __init__(self, bodies):
        super().__init__(("127.0.0.1", 0), Handler)
        self.bodies = bodies

    def handle_error(self, *_):
        pass  # the proxy has gone; or we have


def ask(port, bodies, choice):
    """One stream: "whole", "error", or what is wrong."""
    offset, fate = choice.randrange(OFFSETS), choice.choice(FATES)
    framing = choice.choice(("length", "chunked"))
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=CLIENT_TIMEOUT_S)
    seen, length = hashlib.sha256(), 0
    try:
        client.request("GET", f"/{offset}/{fate}/{choice.randrange(SIZE)}/{framing}")
        response = client.getresponse()
        while piece := response.read(PIECE):
            seen.update(piece)
            length += len(piece)
        if response.status != 200:
            return "error" if fate not in INTACT else f"{fate}, {framing}: {response.status}"
        if response.length:  # read(n) does not complain of an end that comes too early
            raise http.client.IncompleteRead(b"")
    except (http.client.HTTPException, ConnectionError):
        return "error" if fate not in INTACT else f"{fate}, {framing}: broken"
    except TimeoutError:
        return f"{fate}, {framing}: nothing came for {CLIENT_TIMEOUT_S} s"
    finally:
        client.close()
    if fate not in INTACT:
        return f"{fate}, {framing}: {length} bytes look whole"
    return "whole" if seen.digest() == bodies.sums[offset] else f"{fate}, {framing}: other bytes"


def run_clients(port, bodies, streams, at_once):
    """What became of each stream: {outcome: how many}."""
    outcomes, lock, left = {}, threading.Lock(), iter(range(streams))

    def run(seed):
        choice = random.Random(seed)
        while True:
            with lock:
                if next(left, None) is None:
                    return
            outcome = ask(port, bodies, choice)
            with lock:
                outcomes[outcome] = outcomes.get(outcome, 0) + 1

    threads = [threading.Thread(target=run, args=(seed,)) for seed in range(at_once)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


def proxy_kind(poller, origin_port):
    def command(setup):
        return [peers.built(peers.BUILD / "examples" / "http_proxy"),
                "--listen", setup.address, "--upstream", f"http://127.0.0.1:{origin_port}",
                "--upstream-timeout", str(UPSTREAM_TIMEOUT_S)]
    return servers.Kind(command, {"GUST_NETPOLL": poller}, probe=lambda _s: True)


def run(poller, bodies, origin, args):
    kind = proxy_kind(poller, origin.server_port)
    with servers.Server(poller, kind, os.sched_getaffinity(0), 2) as proxy:
        fds_before = proxy.fds()
        began = time.monotonic()
        outcomes = run_clients(proxy.port, bodies, args.streams, args.at_once)
        seconds = time.monotonic() - began
        end = time.monotonic() + SETTLE_S
        # A connection to the origin may be kept for each that there was at once.
        while proxy.fds() > fds_before + args.at_once and time.monotonic() < end:
            time.sleep(0.05)
        fds_after, rss = proxy.fds(), proxy.rss_bytes()
    print(f"{poller}: {args.streams} streams of {SIZE >> 20} MiB, {args.at_once} at once,"
          f" {seconds:.0f} s: {outcomes.pop('whole', 0)} whole, {outcomes.pop('error', 0)} errors"
          f" that had to be; RSS {rss >> 10} KiB; descriptors {fds_before} before, {fds_after} after;"
          f" ended with {proxy.status} {proxy.said}")
    for outcome, count in outcomes.items():
        print(f"  {count} times {outcome}")
    return not outcomes and proxy.status == 0 and fds_after <= fds_before + args.at_once


def parse_args():
    parser = argparse.ArgumentParser(prog="bench streams", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=400)
    parser.add_argument("--at-once", type=int, default=200)
    parser.add_argument("--netpoll", choices=("uring", "epoll"), action="append",
                        help="one only (both)")
    return parser.parse_args()


def main():
    args = parse_args()
    servers.raise_file_limit()
    bodies = Bodies()
    origin = Origin(bodies)
    threading.Thread(target=origin.serve_forever, daemon=True).start()
    good = [run(poller, bodies, origin, args) for poller in args.netpoll or ("uring", "epoll")]
    origin.shutdown()
    return 0 if all(good) else 1


if __name__ == "__main__":
    turns.end_with("streams", main)
