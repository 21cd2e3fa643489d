#!/usr/bin/env python3
"""Whether handlers that block or burn CPU stall the other connections.

The server is http_echo --debug-paths, whose /block calls plain usleep and whose
/spin burns CPU: neither tells gust about it.

  quiet     2 Ps, 62 connections ask for / as fast as they can; for comparison
  block-2   the same, while 2 connections ask for /block?ms=50 in a loop
  block-4   the same with 4
  percent   1 P, 64 connections, a fixed rate: one request in 100 blocks for 50 ms
  spin      1 P, 16 connections, while one asks for /spin?ms=2000

For the blocked ones the 99th percentile of the others' latency has a goal; in the
last one the others must have progressed in every tenth of a second.  The load takes
all the CPU that is left, as an attacker's would; so the percentile of "quiet" is the
machine's own.

"percent" has an open loop, whose client has a CPU of its own and counts latency from when
a request falls due.  It compares with Go, whose handler makes the same system call, and
Node, where nothing else runs meanwhile.  nginx and h2o have no handlers of one's own that
could block."""

import os
import socket
import threading
import time

from lib import load, output, peers, results, servers, turns
from lib.errors import Failure
from lib.results import LATENCY_FIGURES, Figure, Goal, Result
from lib.servers import Kind

P99_GOAL_US = 5000
OTHERS = 62
BLOCKERS = {"quiet": 0, "block-2": 2, "block-4": 4}
# So few that Node keeps up, too: 10 times 50 ms in a second.
RATE, RATE_CONNECTIONS, ONE_IN = 1000, 64, 100
BLOCK_PATH = "/block?ms=50"
SPIN_MS = 2000
SLOT_S = 0.1
WARM_UP_MS = 300
TIMEOUT_S = 30
POLLERS = ("uring", "epoll")

GUSTS = {f"gust-{poller}": Kind(peers.gust, {"GUST_NETPOLL": poller}) for poller in POLLERS}
BLOCK_FIGURES = {
    "p50_us": Figure("p50 us"),
    "p99_us": Figure("p99 us", "lower", with_spread=True),
    "blocked": Figure("blocked requests"),
}
SPIN_FIGURES = {
    "spun_s": Figure("spun s", format=".2f"),
    "answers": Figure("answers meanwhile"),
    "fewest": Figure(f"fewest in {SLOT_S:g} s", "higher"),
}


# --- Clients of our own -----------------------------------------------------------------


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
            raise Failure(f"a client of {client.path}: {client.failure}")


# --- Workloads ----------------------------------------------------------------------------


def block(name, blockers, seconds):
    """The latency of the others, and how many blocked requests there were."""
    cpus = os.sched_getaffinity(0)
    with servers.Server(name, GUSTS[name], cpus, procs=2) as server:
        clients = run_clients([Client(server, BLOCK_PATH) for _ in range(blockers)])
        try:
            result = load.checked(server, OTHERS, seconds, cpus)
        finally:
            stop_clients(clients)
    return {"p50_us": result.p50_us, "p99_us": result.p99_us,
            "blocked": sum(len(client.times) for client in clients)}


def block_result(args):
    kinds = servers.find(args.servers, GUSTS)
    subjects = {f"{name} {how}": (name, blockers) for name in kinds
                for how, blockers in BLOCKERS.items()}
    samples = turns.take(subjects, args.rounds, "block", lambda subject, _turn: block(
        *subjects[subject], args.seconds))
    rows = results.summarize(samples)
    goals = [Goal(subject, f"p99 {row['p99_us'].median:.0f} <= {P99_GOAL_US} us",
                  row["p99_us"].median <= P99_GOAL_US)
             for subject, row in rows.items() if subjects[subject][1]]
    return Result("stall", "block", turns.options(args, "--workload", "block"), args.rounds,
                  BLOCK_FIGURES, rows, goals)


def percent(name, kind, seconds, seed):
    """The latency of the 99 of 100 that do not block."""
    server_cpus, client_cpus = servers.cpus()
    with servers.Server(name, kind, server_cpus, procs=1) as server:
        found = load.run_client(
            server, "http", "--rate", RATE, "--seed", seed, "--slow", BLOCK_PATH,
            "--one-in", ONE_IN, server.port, "/", RATE_CONNECTIONS, WARM_UP_MS,
            round(seconds * 1000), *server.pids(), cpus=client_cpus)
    return {figure: found[figure] for figure in LATENCY_FIGURES}


def percent_kinds():
    return GUSTS | {name: servers.OTHERS[name] for name in ("go", "node")}


def percent_result(args):
    kinds = servers.find(args.servers, percent_kinds())
    samples = turns.take(kinds, args.rounds, "percent", lambda name, turn: percent(
        name, kinds[name], args.seconds, turn + 1))
    return Result("stall", "percent", turns.options(args, "--workload", "percent"), args.rounds,
                  LATENCY_FIGURES, results.summarize(samples))


def spin(name):
    """How many answers the others got while the CPU burnt, and the fewest in a slot."""
    with servers.Server(name, GUSTS[name], os.sched_getaffinity(0), procs=1) as server:
        clients = run_clients([Client(server, "/") for _ in range(16)])
        began = time.monotonic()
        with connect(server) as s:
            if not servers.get(s, f"/spin?ms={SPIN_MS}"):
                raise Failure("/spin: the answer is not a 200")
        ended = time.monotonic()
        stop_clients(clients)
    slots = [0] * int((ended - began) / SLOT_S)
    for client in clients:
        for at in client.times:
            slot = int((at - began) / SLOT_S)
            if 0 <= slot < len(slots):
                slots[slot] += 1
    return {"spun_s": ended - began, "answers": sum(slots), "fewest": min(slots)}


def spin_result(args):
    kinds = servers.find(args.servers, GUSTS)
    samples = turns.take(kinds, 1, "spin", lambda name, _turn: spin(name))
    rows = results.summarize(samples)
    goals = [Goal(name, "others go on", row["fewest"].median > 0) for name, row in rows.items()]
    return Result("stall", "spin", ["--workload", "spin"], 1, SPIN_FIGURES, rows, goals)


RESULTS = {"block": block_result, "percent": percent_result, "spin": spin_result}


def parse_args(argv=None):
    parser = turns.parser("stall", __doc__, seconds=5)
    parser.add_argument("--workload", action="append", choices=RESULTS,
                        help="may be given several times (default: all)")
    parser.add_argument("--netpoll", choices=POLLERS, action="append",
                        help="gust alone, with one poller only")
    args = parser.parse_args(argv)
    args.servers = [f"gust-{poller}" for poller in args.netpoll or ()]
    return args


def run(args):
    servers.raise_file_limit()
    found = []
    for workload in args.workload or RESULTS:
        found.append(RESULTS[workload](args))
        output.show(found[-1])
    return found


if __name__ == "__main__":
    turns.main("stall", parse_args, run)
