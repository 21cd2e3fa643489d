#!/usr/bin/env python3
"""Whether gust stays well under load: 256 connections for a minute on two Ps.

Fails on any error, on an answer that is not 2xx, and if descriptors are left
open once the load is gone.  Memory is reported 10 s into the load and at its
end: in between it should stand still."""

import argparse
import os
import threading
import time

from lib import load, servers

CONNECTIONS = 256
PROCS = 2
FIRST_LOOK_S = 10
SETTLE_S = 5


class Load(threading.Thread):
    """wrk beside a look at the server; join before its result is used."""

    def __init__(self, server, seconds):
        super().__init__()
        self.server, self.seconds = server, seconds
        self.result, self.failure = None, None

    def run(self):
        try:
            self.result = load.run(self.server, CONNECTIONS, self.seconds, os.sched_getaffinity(0),
                                   threads=2)
        except servers.Failure as failure:
            self.failure = failure


def wait_for_fds(server, expected):
    """The descriptors still open when all connections should be closed."""
    end = time.monotonic() + SETTLE_S
    while server.fds() > expected and time.monotonic() < end:
        time.sleep(0.05)
    return server.fds()


def soak(name, kind, seconds):
    with servers.Server(name, kind, os.sched_getaffinity(0), PROCS) as server:
        # One answer was given: what the first connection opens is open.
        fds_before = server.fds()
        driver = Load(server, seconds)
        driver.start()
        first_look_s = min(FIRST_LOOK_S, seconds / 2)
        time.sleep(first_look_s)
        rss_early = server.rss_bytes()
        time.sleep(seconds - first_look_s - 0.5)
        rss_late, fds_late = server.rss_bytes(), server.fds()
        driver.join()
        if driver.failure:
            raise driver.failure
        fds_after = wait_for_fds(server, fds_before)
    result = driver.result
    print(f"{name}: {result.requests} requests, {result.rps:.0f}/s, p99 {result.p99_us} us;"
          f" errors {result.errors}, not 2xx {result.non_2xx};"
          f" RSS {rss_early >> 10} KiB after {first_look_s:.0f} s, {rss_late >> 10} KiB at the end;"
          f" descriptors {fds_before} before, {fds_late} under load, {fds_after} after")
    if fds_after > fds_before:
        print(f"{name}: {fds_after - fds_before} descriptors are still open")
    return not result.trouble() and fds_after <= fds_before


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
    kinds = servers.find(args.servers)
    good = [soak(name, kind, args.seconds) for name, kind in kinds.items()]
    return 0 if all(good) else 1


if __name__ == "__main__":
    servers.run_benchmark("soak", main)
