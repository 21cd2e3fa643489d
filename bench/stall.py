#!/usr/bin/env python3
"""Whether handlers that block or burn CPU stall the other connections.

The server is http_echo --debug-paths, whose /block calls plain usleep and whose
/spin burns CPU: neither tells gust about it.

  quiet     2 Ps, 62 connections ask for /; for comparison
  block-2   the same, while 2 connections ask for /block?ms=50 in a loop
  block-4   the same with 4
  spin      1 P, 16 connections, while one asks for /spin?ms=2000

For the first three the 99th percentile of the others' latency has a goal; in the
last one the others must have progressed in every tenth of a second.  The load
takes all the CPU that is left, as an attacker's would; so the percentile of
"quiet" is the machine's own."""

import argparse
import os
import socket
import statistics
import threading
import time

from lib import load, output, servers

P99_GOAL_US = 5000
OTHERS = 62
SPIN_MS = 2000
SLOT_S = 0.1
TIMEOUT_S = 30


def debug_server(poller):
    def command(port, _directory):
        return [servers.program(servers.BUILD / "examples" / "http_echo"),
                "--listen", f"127.0.0.1:{port}", "--debug-paths"]
    return servers.Kind(command, {"GUST_NETPOLL": poller})


def connect(server):
    return socket.create_connection(("127.0.0.1", server.port), timeout=TIMEOUT_S)


class Client(threading.Thread):
    """Asks for one path over and over on one connection, until told to stop."""

    def __init__(self, server, path):
        super().__init__(daemon=True)
        self.server, self.path = server, path
        self.stop, self.times, self.failure = threading.Event(), [], None

    def run(self):
        try:
            with connect(self.server) as s:
                while not self.stop.is_set():
                    if not servers.get(s, self.path):
                        raise OSError("the answer is not a 200")
                    self.times.append(time.monotonic())
        except OSError as failure:
            self.failure = failure


def run_clients(clients):
    for client in clients:
        client.start()
    return clients


def stop_clients(clients):
    for client in clients:
        client.stop.set()
    for client in clients:
        client.join()
        if client.failure:
            raise servers.Failure(f"a client of {client.path}: {client.failure}")


def block(poller, blockers, seconds):
    """The latency of the others, and how many blocked requests there were."""
    cpus = os.sched_getaffinity(0)
    with servers.Server("http_echo", debug_server(poller), cpus, procs=2) as server:
        clients = run_clients([Client(server, "/block?ms=50") for _ in range(blockers)])
        result = load.run(server, OTHERS, seconds, cpus)
        stop_clients(clients)
    if result.trouble():
        raise servers.Failure(f"block-{blockers}: {result.trouble()}")
    return {"p50_us": result.p50_us, "p99_us": result.p99_us,
            "blocked": sum(len(client.times) for client in clients)}


def spin(poller):
    """The fewest answers that the others got in a slot while the CPU burnt."""
    with servers.Server("http_echo", debug_server(poller), os.sched_getaffinity(0),
                        procs=1) as server:
        clients = run_clients([Client(server, "/") for _ in range(16)])
        began = time.monotonic()
        with connect(server) as s:
            if not servers.get(s, f"/spin?ms={SPIN_MS}"):
                raise servers.Failure("/spin: the answer is not a 200")
        ended = time.monotonic()
        stop_clients(clients)
    slots = [0] * int((ended - began) / SLOT_S)
    for client in clients:
        for at in client.times:
            slot = int((at - began) / SLOT_S)
            if 0 <= slot < len(slots):
                slots[slot] += 1
    return {"spun_s": ended - began, "answers": sum(slots), "fewest": min(slots)}


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=5, help="of load for each turn (5)")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each kind (5)")
    parser.add_argument("--netpoll", choices=("uring", "epoll"), action="append",
                        help="one poller only (both)")
    args = parser.parse_args()
    met = True
    for poller in args.netpoll or ("uring", "epoll"):
        samples = {0: [], 2: [], 4: []}
        for turn in range(args.rounds):
            for blockers, rows in samples.items():
                output.progress(f"{poller}: round {turn + 1} of {args.rounds}: {blockers} blockers")
                rows.append(block(poller, blockers, args.seconds))
        output.progress("")
        for blockers, rows in samples.items():
            p99s = [row["p99_us"] for row in rows]
            p99 = statistics.median(p99s)
            name = f"block-{blockers}" if blockers else "quiet"
            verdict = "ok" if p99 <= P99_GOAL_US else "short"
            met &= p99 <= P99_GOAL_US or not blockers
            print(f"{poller:5}  {name:7}  p50 {statistics.median(r['p50_us'] for r in rows):6.0f} us"
                  f"  p99 {p99:6.0f} us ({min(p99s)}-{max(p99s)})"
                  f"  blocked requests {sum(r['blocked'] for r in rows):5}"
                  f"  {'goal ' + str(P99_GOAL_US) + ' us: ' + verdict if blockers else ''}")
        result = spin(poller)
        verdict = "ok" if result["fewest"] > 0 else "short"
        met &= result["fewest"] > 0
        print(f"{poller:5}  spin     {result['spun_s']:.2f} s, the others got {result['answers']}"
              f" answers, at least {result['fewest']} in each {SLOT_S:g} s: {verdict}")
    return 0 if met else 1


if __name__ == "__main__":
    servers.run_benchmark("stall", main)
