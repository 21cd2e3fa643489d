#!/usr/bin/env python3
"""How many system calls the server makes per request, by poller.

http_echo with one P answers keep-alive GETs from wrk, one at a time on each
connection unless --depth says otherwise.  Counted over the whole of a run under load,
connections opened included, after a warm-up: by perf's raw_syscalls tracepoint, which
costs next to nothing, or by strace, which slows the server down and so changes what it
counts.

"serving" are the calls of the threads that run goroutines, "sysmon" those of the
runtime's watchdog, which come by the clock and not by request.  With SQPOLL a thread
of the kernel makes the requests of the ring: that is a CPU of its own, so the server
may use both CPUs, and wrk shares one of them.  "CPU us" is the
server's CPU time per request, the kernel's thread included.

With SQPOLL the calls that remain are sleeps, of a server that had nothing to do for
50 us.  How often that is depends on the client: --depth has it ask for more at a time,
so that it is the server that cannot keep up."""

import argparse
import os
import re
import shutil
import signal
import subprocess
import tempfile

from lib import load, servers

MODES = ("uring", "sqpoll", "epoll")
WARM_UP_S = 1
PERF = ("perf", "stat", "-x,", "-e", "raw_syscalls:sys_enter", "--per-thread")


def perf_works():
    return shutil.which("perf") and not subprocess.run(
        [*PERF, "-p", str(os.getpid()), "--", "true"], capture_output=True, check=False).returncode


def count_by_perf(server, run):
    """What `run` returns, and system calls by thread id."""
    with tempfile.NamedTemporaryFile("r") as report:
        result = run((*PERF, "-o", report.name, "-p", str(server.process.pid), "--"))
        rows = re.findall(r"^.*-(\d+),(\d+),", report.read(), re.MULTILINE)
    return result, {int(tid): int(count) for tid, count in rows}


def count_by_strace(server, run):
    with tempfile.TemporaryDirectory() as directory:
        tracer = subprocess.Popen(
            ["strace", "-ff", "-qq", "-o", f"{directory}/calls", "-p", str(server.process.pid)])
        try:
            result = run(())
        finally:
            tracer.send_signal(signal.SIGINT)
            tracer.wait()
        counts = {}
        for name in os.listdir(directory):
            with open(f"{directory}/{name}", encoding="utf-8", errors="replace") as calls:
                counts[int(name.rpartition(".")[2])] = sum(1 for line in calls if "(" in line)
    return result, counts


def measure(mode, args, count):
    server_cpu, client_cpu = servers.cpus()
    cpus = {server_cpu, client_cpu} if mode == "sqpoll" else {server_cpu}
    kind = servers.Kind(servers.gust, {"GUST_NETPOLL": mode})
    with servers.Server(f"gust-{mode}", kind, cpus, procs=1) as server:
        load.run(server, args.connections, WARM_UP_S, {client_cpu}, depth=args.depth)
        cpu_s = server.cpu_s()
        result, counts = count(server, lambda prefix: load.run(
            server, args.connections, args.seconds, {client_cpu}, depth=args.depth,
            prefix=prefix))
        cpu_s = server.cpu_s() - cpu_s
        sysmon = counts.pop(server.process.pid, 0)
    if result.trouble():
        raise servers.Failure(f"{mode}: {result.trouble()}")
    each = sum(counts.values()) / result.requests
    print(f"{mode:7} {result.requests:9} {each:10.4f} {sysmon / result.requests:10.4f}"
          f" {cpu_s * 1e6 / result.requests:8.1f} {result.rps:10.0f}", flush=True)
    return each


def main():
    parser = argparse.ArgumentParser(prog="bench syscalls", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=5, help="of load, for each poller")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--depth", type=int, default=1, help="requests under way on each")
    parser.add_argument("--modes", type=lambda text: text.split(","), default=MODES)
    args = parser.parse_args()
    if perf_works():
        count = count_by_perf
    elif shutil.which("strace"):
        count = count_by_strace
    else:
        raise servers.Failure("needs perf or strace")
    print(f"{args.connections} connections, {args.depth} requests at a time on each;"
          f" system calls counted by {count.__name__.removeprefix('count_by_')}")
    print(f"{'':7} {'':9} {'calls per request':^21}")
    print(f"{'':7} {'requests':>9} {'serving':>10} {'sysmon':>10} {'CPU us':>8} {'req/s':>10}")
    for mode in args.modes:
        measure(mode, args, count)
    return 0


if __name__ == "__main__":
    servers.run_benchmark("syscalls", main)
