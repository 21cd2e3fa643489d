#!/usr/bin/env python3
"""What 100 000 idle keep-alive connections cost, and whether the active ones notice.

A server with one P on one CPU first answers 64 active connections; then the idle
ones are opened by bench/clients/conns.c on another CPU, as fast as both can, from
several loopback addresses: each makes one request and falls silent.  Then 64 active
ones are served again, and at last each idle one makes its second request.  That is a
round; the server starts afresh for each, and the table shows medians.

"bytes each" is how much the server's share of resident memory (PSS) grew, by
connection; "tables" is how much its page tables did.  The kernel's own memory for
sockets is in neither, and what a server allocated in advance shows only as far as it
is now used.

"opened/s" counts connections with their first answer, and "CPU us" is the server's
CPU time for one of them.  If the server was not busy all the time, the client was what
limited the rate; "could" is the rate at which the server would have been.

A process may have too few descriptors for all of them (ulimit -Hn).  Then several
servers of the kind share the connections, on the same CPU; the active ones are served
by the first of them, which also gives the opening rate.  Each has served before it is
weighed, so that what a process costs once is not counted for its connections."""

import contextlib
import json
import math
import os
import subprocess
import time

from lib import load, output, peers, results, servers, turns
from lib.errors import Failure
from lib.results import Figure, Goal, Result

ACTIVE = 64
SETTLE_S = 0.5
WARM_UP_S = 0.4
# Descriptors of a server or client beside the idle connections.
RESERVE = 2 * ACTIVE + 200
BYTES_GOAL = 512
P99_GOAL = 1.5
RATE_GOAL = 20000
USUAL = ("gust-uring", "gust-epoll")
FIGURES = {
    "bytes": Figure("bytes each", "lower", with_spread=True),
    "table_bytes": Figure("tables"),
    "rate": Figure("opened/s"),
    "cpu_us": Figure("CPU us", "lower", ".1f"),
    "could": Figure("could"),
    "p50_alone": Figure("p50 us alone"),
    "p99_alone": Figure("p99 us alone"),
    "rps_alone": Figure("req/s alone"),
    "p50_among": Figure("p50 us among"),
    "p99_among": Figure("p99 us among"),
    "rps_among": Figure("req/s among"),
    "x_p99": Figure("x p99", format=".2f"),
}


class Idle:
    """The idle connections of one server, in a process of their own."""

    def __init__(self, stack, server, count, cpus):
        command = [peers.built(peers.BUILD / "bench" / "clients" / "conns"),
                   str(server.port), str(count)]
        watch = servers.CpuWatch(server)
        self.server = server
        self.process = stack.enter_context(subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, preexec_fn=lambda: os.sched_setaffinity(0, cpus)))
        stack.callback(self.process.kill)
        self.opened = self._report()
        self.cpu_us = watch.own() * 1e6 / count
        self.rate = count / self.opened["duration_us"] * 1e6
        self._complain(self.opened)

    def _report(self):
        line = self.process.stdout.readline()
        self.server.check_alive()
        if not line:
            raise Failure(f"{self.server.name}: the idle connections:"
                          f" {self.process.stderr.read().strip()}")
        return json.loads(line)

    def _complain(self, report):
        if report["broken"]:
            raise Failure(f"{self.server.name}: {report['broken']} of"
                          f" {report['connections']} idle connections are broken")

    def ask_again(self):
        """The second request of each: all of them must still be good."""
        print("again", file=self.process.stdin, flush=True)
        self._complain(self._report())

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def shares(connections, files):
    """How many connections each server gets."""
    count = math.ceil(connections / (files - RESERVE))
    return [connections // count + (i < connections % count) for i in range(count)]


def settled_memory(running):
    """Bytes: of themselves, of their page tables."""
    time.sleep(SETTLE_S)
    return sum(s.pss_bytes() for s in running), sum(s.page_table_bytes() for s in running)


def measure(name, kind, split, seconds):
    """One round: the figures by name."""
    server_cpus, client_cpus = servers.cpus()
    connections = sum(split)
    with contextlib.ExitStack() as stack:
        running = [stack.enter_context(servers.Server(name, kind, server_cpus, procs=1))
                   for _ in split]
        for server in running[1:]:
            load.checked(server, ACTIVE, WARM_UP_S, client_cpus)
        alone = load.checked(running[0], ACTIVE, seconds, client_cpus)
        before = settled_memory(running)
        idle = [Idle(stack, server, count, client_cpus) for server, count in zip(running, split)]
        after = settled_memory(running)
        among = load.checked(running[0], ACTIVE, seconds, client_cpus)
        for group in idle:
            group.ask_again()
        for group in idle:
            group.close()
    return {"bytes": (after[0] - before[0]) / connections,
            "table_bytes": (after[1] - before[1]) / connections,
            "rate": idle[0].rate, "cpu_us": idle[0].cpu_us, "could": 1e6 / idle[0].cpu_us,
            "p50_alone": alone.p50_us, "p99_alone": alone.p99_us, "rps_alone": alone.rps,
            "p50_among": among.p50_us, "p99_among": among.p99_us, "rps_among": among.rps,
            # Of each round by itself: what disturbs the machine comes and goes.
            "x_p99": among.p99_us / alone.p99_us}


def goals(name, row):
    """Those of ours."""
    # A client that is slower than the goal says nothing about the server.
    rate = max(row["rate"].median, row["could"].median)
    return [Goal(name, f"at most {BYTES_GOAL} bytes each", row["bytes"].median <= BYTES_GOAL),
            Goal(name, f"at least {RATE_GOAL} opened/s", rate >= RATE_GOAL),
            Goal(name, f"p99 at most {P99_GOAL} times the empty server's",
                 row["x_p99"].median <= P99_GOAL)]


def parse_args(argv=None):
    parser = turns.parser("conns", __doc__, seconds=3, rounds=3)
    parser.add_argument("--servers", type=turns.names,
                        help=f"separated by commas ({','.join(USUAL)}); also nginx,h2o,go,node")
    parser.add_argument("--connections", type=turns.count, default=100000,
                        help="idle ones (100000)")
    return parser.parse_args(argv)


def run(args):
    files = servers.raise_file_limit(args.connections + RESERVE)
    if files <= RESERVE:
        raise Failure(f"{files} open files are too few: raise the hard limit (ulimit -Hn)")
    split = shares(args.connections, files)
    if len(split) > 1:
        print(f"a process may open only {files} files: {len(split)} servers of a kind share them")
    kinds = servers.find(args.servers, servers.KINDS, USUAL)
    samples = turns.take(kinds, args.rounds, f"{args.connections} connections",
                         lambda name, _turn: measure(name, kinds[name], split, args.seconds))
    rows = results.summarize(samples)
    options = turns.options(args, "--connections", str(args.connections),
                            "--servers", ",".join(kinds))
    result = Result("conns", f"idle-{args.connections}", options, args.rounds, FIGURES, rows,
                    [goal for name in rows if name.startswith("gust")
                     for goal in goals(name, rows[name])])
    output.show(result)
    return [result]


if __name__ == "__main__":
    turns.main("conns", parse_args, run)
