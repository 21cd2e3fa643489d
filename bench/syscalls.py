#!/usr/bin/env python3
"""How many system calls the server makes per request, by poller.

http_echo with one P answers keep-alive GETs from wrk, one at a time on each
connection unless --depth says otherwise.  Counted over the whole of a run under load,
connections opened included, after a warm-up: by perf's raw_syscalls tracepoint, which
costs next to nothing, or by strace, which slows the server down and so changes what it
counts.

"calls/request" are those of the threads that run goroutines, "of sysmon" those of the
runtime's watchdog, which come by the clock and not by request.  With SQPOLL a thread
of the kernel makes the requests of the ring: that is a CPU of its own, so the server
may use both CPUs, and wrk shares one of them.  "CPU us" is the
server's CPU time per request, the kernel's thread included.

With SQPOLL the calls that remain are sleeps, of a server that had nothing to do for
50 us.  How often that is depends on the client: --depth has it ask for more at a time,
so that it is the server that cannot keep up."""

import os
import re
import shutil
import signal
import subprocess
import tempfile

from lib import load, output, results, servers, turns
from lib.errors import Absent
from lib.results import Figure, Result

MODES = ("uring", "sqpoll", "epoll")
WARM_UP_S = 0.4
FIGURES = {
    "serving": Figure("calls/request", "lower", ".4f", with_spread=True),
    "sysmon": Figure("of sysmon", format=".4f"),
    "cpu_us": Figure("CPU us", format=".1f"),
    "rps": Figure("req/s"),
}
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


def measure(name, kind, args, count):
    """One turn: the figures by name."""
    server_cpus, client_cpus = servers.cpus(roams=kind.roams)
    with servers.Server(name, kind, server_cpus, procs=1) as server:
        load.checked(server, args.connections, WARM_UP_S, client_cpus, depth=args.depth)
        cpu_s = server.cpu_s()
        result, counts = count(server, lambda prefix: load.checked(
            server, args.connections, args.seconds, client_cpus, depth=args.depth, prefix=prefix))
        cpu_s = server.cpu_s() - cpu_s
        sysmon = counts.pop(server.process.pid, 0)
    return {"serving": sum(counts.values()) / result.requests,
            "sysmon": sysmon / result.requests,
            "cpu_us": cpu_s * 1e6 / result.requests, "rps": result.rps}


def find_counter():
    if perf_works():
        return count_by_perf
    if shutil.which("strace"):
        return count_by_strace
    raise Absent("needs perf or strace")


def parse_args(argv=None):
    parser = turns.parser("syscalls", __doc__, seconds=5, rounds=1)
    parser.add_argument("--connections", type=turns.count, default=64)
    parser.add_argument("--depth", type=turns.count, default=1, help="requests under way on each")
    parser.add_argument("--modes", type=turns.names, default=MODES)
    return parser.parse_args(argv)


def run(args):
    count = find_counter()
    print(f"{args.connections} connections, {args.depth} requests at a time on each;"
          f" system calls for each request, counted by {count.__name__.removeprefix('count_by_')}")
    kinds = servers.find([f"gust-{mode}" for mode in args.modes], servers.KINDS)
    samples = turns.take(kinds, args.rounds, "system calls",
                         lambda name, _turn: measure(name, kinds[name], args, count))
    options = turns.options(args, "--connections", str(args.connections),
                            "--depth", str(args.depth), "--modes", ",".join(args.modes))
    result = Result("syscalls", f"get-{args.connections}-{args.depth}", options, args.rounds,
                    FIGURES, results.summarize(samples))
    output.show(result)
    return [result]


if __name__ == "__main__":
    turns.main("syscalls", parse_args, run)
