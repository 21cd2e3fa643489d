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

import argparse
import contextlib
import json
import math
import os
import statistics
import subprocess
import time

from lib import load, machine, output, servers

ACTIVE = 64
SETTLE_S = 0.5
WARM_UP_S = 1
# Descriptors of a server or client beside the idle connections.
RESERVE = 2 * ACTIVE + 200
BYTES_GOAL = 512
P99_GOAL = 1.5
RATE_GOAL = 20000


class Idle:
    """The idle connections of one server, in a process of their own."""

    def __init__(self, stack, server, count, cpu):
        command = [servers.program(servers.BUILD / "bench" / "clients" / "conns"),
                   str(server.port), str(count)]
        watch = servers.CpuWatch(server, min(server.cpus))
        self.server = server
        self.process = stack.enter_context(subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, preexec_fn=lambda: os.sched_setaffinity(0, {cpu})))
        stack.callback(self.process.kill)
        self.opened = self._report()
        self.cpu_us = watch.own() * 1e6 / count
        self.rate = count / self.opened["duration_us"] * 1e6
        self._complain(self.opened)

    def _report(self):
        line = self.process.stdout.readline()
        self.server.check_alive()
        if not line:
            raise servers.Failure(f"{self.server.name}: the idle connections:"
                                  f" {self.process.stderr.read().strip()}")
        return json.loads(line)

    def _complain(self, report):
        if report["broken"]:
            raise servers.Failure(f"{self.server.name}: {report['broken']} of"
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


def load_active(server, seconds, cpu):
    result = load.run(server, ACTIVE, seconds, {cpu})
    if result.trouble():
        raise servers.Failure(f"{server.name}: {result.trouble()}")
    return result


def measure(name, kind, split, seconds):
    """One round: the figures by name."""
    server_cpu, client_cpu = servers.cpus()
    connections = sum(split)
    with contextlib.ExitStack() as stack:
        running = [stack.enter_context(servers.Server(name, kind, {server_cpu}, procs=1))
                   for _ in split]
        for server in running[1:]:
            load_active(server, WARM_UP_S, client_cpu)
        alone = load_active(running[0], seconds, client_cpu)
        before = settled_memory(running)
        idle = [Idle(stack, server, count, client_cpu) for server, count in zip(running, split)]
        after = settled_memory(running)
        among = load_active(running[0], seconds, client_cpu)
        for group in idle:
            group.ask_again()
        for group in idle:
            group.close()
    return {"bytes": (after[0] - before[0]) / connections,
            "table_bytes": (after[1] - before[1]) / connections,
            "rate": idle[0].rate, "cpu_us": idle[0].cpu_us,
            "p50_alone": alone.p50_us, "p99_alone": alone.p99_us, "rps_alone": alone.rps,
            "p50_among": among.p50_us, "p99_among": among.p99_us, "rps_among": among.rps}


def summarize(rounds):
    row = {figure: round(statistics.median(one[figure] for one in rounds), 1)
           for figure in rounds[0]}
    # Of each round by itself: what disturbs the machine comes and goes.
    row["x_p99"] = round(statistics.median(one["p99_among"] / one["p99_alone"]
                                           for one in rounds), 2)
    row["could"] = round(1e6 / row["cpu_us"])
    return row


def verdicts(row):
    """What each goal has come to, by its text."""
    # A client that is slower than the goal says nothing about the server.
    rate = max(row["rate"], row["could"])
    return {f"at most {BYTES_GOAL} bytes each": row["bytes"] <= BYTES_GOAL,
            f"at least {RATE_GOAL} opened/s": rate >= RATE_GOAL,
            f"p99 at most {P99_GOAL} times the empty server's": row["x_p99"] <= P99_GOAL}


def print_head():
    print(f"{'':12} {'':>10} {'':>7} {'opening':>24} {'64 alone':>21} {'64 among them':>21}")
    print(f"{'':12} {'bytes each':>10} {'tables':>7} {'opened/s':>8} {'CPU us':>7} {'could':>7}"
          f" {'p50 us':>6} {'p99':>6} {'req/s':>7} {'p50 us':>6} {'p99':>6} {'req/s':>7}"
          f" {'x p99':>6}")


def print_row(name, row):
    print(f"{name:12} {row['bytes']:10.0f} {row['table_bytes']:7.0f} {row['rate']:8.0f}"
          f" {row['cpu_us']:7.1f} {row['could']:7.0f} {row['p50_alone']:6.0f}"
          f" {row['p99_alone']:6.0f} {row['rps_alone']:7.0f} {row['p50_among']:6.0f}"
          f" {row['p99_among']:6.0f} {row['rps_among']:7.0f} {row['x_p99']:6.2f}")


def print_verdicts(rows):
    """The goals are gust's; true if all are met."""
    met = True
    for name, row in rows.items():
        if name.startswith("gust"):
            print(f"{name}: " + "; ".join(f"{text}: {'ok' if good else 'short'}"
                                          for text, good in verdicts(row).items()))
            met &= all(verdicts(row).values())
    return met


def parse_args():
    parser = argparse.ArgumentParser(prog="bench conns", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--servers", type=lambda text: text.split(","),
                        default=["gust-uring", "gust-epoll"],
                        help="separated by commas: gust-uring,gust-epoll (the default),nginx,go")
    parser.add_argument("--connections", type=int, default=100000, help="idle ones (100000)")
    parser.add_argument("--rounds", type=int, default=3, help="of each server (3)")
    parser.add_argument("--seconds", type=int, default=3,
                        help="of load, without the idle ones and with them (3)")
    parser.add_argument("--json", metavar="FILE", help="append the results to FILE")
    args = parser.parse_args()
    if min(args.connections, args.rounds, args.seconds) <= 0:
        parser.error("numbers are greater than 0")
    return args


def main():
    args = parse_args()
    files = servers.raise_file_limit(args.connections + RESERVE)
    if files <= RESERVE:
        raise servers.Failure(f"{files} open files are too few: raise the hard limit (ulimit -Hn)")
    split = shares(args.connections, files)
    where = machine.describe()
    print(", ".join(f"{name} {value}" for name, value in where.items()))
    print(f"{args.connections} idle connections, {ACTIVE} active,"
          f" medians of {args.rounds} rounds")
    if len(split) > 1:
        print(f"a process may open only {files} files: {len(split)} servers of a kind share them")
    print_head()
    rows = {}
    for name, kind in servers.find(args.servers).items():
        rounds = []
        for turn in range(args.rounds):
            output.progress(f"{name}: round {turn + 1} of {args.rounds}")
            rounds.append(measure(name, kind, split, args.seconds))
        output.progress("")
        rows[name] = summarize(rounds)
        print_row(name, rows[name])
    met = print_verdicts(rows)
    output.keep([where | {"workload": "conns", "connections": args.connections,
                          "processes": len(split), "rounds": args.rounds, "servers": rows}],
                args.json)
    return 0 if met else 1


if __name__ == "__main__":
    servers.run_benchmark("conns", main)
