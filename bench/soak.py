#!/usr/bin/env python3
"""Whether gust stays well under full load: 256 connections on two Ps, that ask for all that
bench/http.c serves, beside clients that are slow, broken or gone (lib/rude.py).

Fails on any error or answer that is not 2xx of the well-behaved, on a rude client that got
what it must not get, on descriptors and goroutines that are left once the load is gone, and
on memory that grows.  What is kept for the next requests is bounded, but may be full only
after minutes: 2 MiB of buffers for files, and less of others.  So the median of the last
quarter of the time may be 4 MiB above that of the second.  In ten minutes, with 15 000 acts
of rude clients in half of them, that finds 300 bytes lost at each of those."""

import argparse
import os
import statistics
import threading
import time

from lib import load, rude, servers, turns
from lib.errors import Failure

CONNECTIONS = 256
RUDE = 16
PROCS = 2
LOOK_S = 1
SETTLE_S = 20
GROWTH_MAX = 4 << 20


class Load(threading.Thread):
    """wrk beside a look at the server; join before its result is used."""

    def __init__(self, server, seconds):
        super().__init__()
        self.server, self.seconds = server, seconds
        self.result, self.failure = None, None

    def run(self):
        try:
            self.result = load.run(self.server, CONNECTIONS, self.seconds, os.sched_getaffinity(0),
                                   threads=2, script="mix.lua")
        except Failure as failure:
            self.failure = failure


def wait_for_fds(server, expected):
    """The descriptors still open when all connections should be closed."""
    end = time.monotonic() + SETTLE_S
    while server.fds() > expected and time.monotonic() < end:
        time.sleep(0.05)
    return server.fds()


def watch(server, seconds):
    """Resident bytes, second by second."""
    end = time.monotonic() + seconds
    sizes = []
    while time.monotonic() < end:
        time.sleep(LOOK_S)
        server.check_alive()
        sizes.append(server.rss_bytes())
    return sizes


def quarter_median(sizes, quarter):
    size = max(1, len(sizes) // 4)
    return round(statistics.median(sizes[quarter * size:(quarter + 1) * size]))


def loaded(server, seconds):
    """Loads it.  What wrk says, resident bytes, the most descriptors, acts, complaints."""
    driver = Load(server, seconds)
    crowd = rude.Crowd(server.port, RUDE)
    driver.start()
    try:
        sizes = watch(server, seconds - LOOK_S)
        fds = server.fds()
    finally:
        driver.join()
        acts, complaints = crowd.stop()
    if driver.failure:
        raise driver.failure
    return driver.result, sizes, fds, acts, complaints


def soak(name, kind, seconds):
    with servers.Server(name, kind, os.sched_getaffinity(0), PROCS) as server:
        # One answer was given: what the first connection opens is open.
        fds_before = server.fds()
        result, sizes, fds_late, acts, complaints = loaded(server, seconds)
        fds_after = wait_for_fds(server, fds_before)
        rss_after = server.rss_bytes()
    if result.trouble():
        complaints.append(result.trouble())
    if fds_after > fds_before:
        complaints.append(f"{fds_after - fds_before} descriptors are still open")
    if quarter_median(sizes, 3) > quarter_median(sizes, 1) + GROWTH_MAX:
        complaints.append("its memory grows")
    if server.status != 0 or server.said:
        complaints.append(f"it ended with {server.status}: {server.said}")
    report(name, result, acts)
    print(f"  RSS, median of each quarter:"
          f" {', '.join(f'{quarter_median(sizes, i) >> 10} KiB' for i in range(4))};"
          f" {rss_after >> 10} KiB after the load;"
          f" descriptors: {fds_before} before, {fds_late} under load, {fds_after} after;"
          f" goroutines left: {'none' if server.status == 0 else 'see below'}")
    for complaint in complaints[:20]:
        print(f"  {complaint}")
    return not complaints


def report(name, result, acts):
    print(f"{name}: {result.requests} requests, {result.rps:.0f}/s, p99 {result.p99_us} us;"
          f" errors {result.errors}, not 2xx {result.non_2xx}; {acts} acts of rude clients")


def parse_args():
    parser = argparse.ArgumentParser(prog="bench soak", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--servers", type=lambda text: text.split(","),
                        default=["gust-uring", "gust-epoll"],
                        help="separated by commas (default: gust-uring,gust-epoll)")
    parser.add_argument("--seconds", type=int, default=60)
    return parser.parse_args()


def main():
    args = parse_args()
    servers.raise_file_limit()
    kinds = servers.find(args.servers, servers.ROUTED_KINDS)
    good = [soak(name, kind, args.seconds) for name, kind in kinds.items()]
    return 0 if all(good) else 1


if __name__ == "__main__":
    turns.end_with("soak", main)
