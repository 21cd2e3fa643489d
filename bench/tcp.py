#!/usr/bin/env python3
"""examples/tcp_echo against the least that an echo costs on this machine.

The least is the better of two hand-written loops in bench/tcp.c, one on epoll and
one on io_uring.  Each server runs alone with one P on one CPU, the client
(bench/clients/tcp.c) on another, a few seconds at a time, in turns; every turn
starts the server afresh.  Each of the client's connections sends a message, reads
it back, compares every byte, and sends the next.

"CPU us/msg" is the CPU time of the server's process, in the kernel and out of it,
per message: the figure to trust.  Messages per second depend on the client, and on
who else uses the machine.  "x CPU" and "x msg/s" are the medians of the rounds'
ratios to the better loop, whose figure is the lower median for CPU time, the higher
one for messages.

"others" is what else ran on the server's CPU: much more than a few percent spoils
caches and queues."""

import socket
import statistics

from lib import load, output, peers, results, servers, turns
from lib.errors import Failure
from lib.results import Figure, Goal, Result
from lib.servers import Kind

CONNECTIONS = (1, 64, 1000)
SIZES = (64, 65536)
LOOPS = {"loop-epoll": "epoll", "loop-uring": "coop"}
POLLERS = ("uring", "epoll")
CPU_GOAL = 1.1
# Only for messages that are large enough to be about bytes.
RATE_GOAL, RATE_GOAL_SIZE = 0.95, 65536
WARM_UP_MS = 300
FIGURES = {
    "cpu_us": Figure("CPU us/msg", "lower", ".2f", with_spread=True),
    "x_cpu": Figure("x CPU", "lower", ".2f"),
    "rate": Figure("msg/s"),
    "mb_s": Figure("MB/s", format=".1f"),
    "x_rate": Figure("x msg/s", "higher", ".2f"),
    "others": Figure("others", format=".0%"),
}


def echoes(s):
    """The probe of a new server: does it send back what it gets?"""
    s.sendall(b"ping")
    return s.recv(4, socket.MSG_WAITALL) == b"ping"


def find(pollers):
    return ({name: Kind(peers.limit(mode, "tcp"), probe=echoes) for name, mode in LOOPS.items()} |
            {f"gust-{poller}": Kind(peers.gust_echo, {"GUST_NETPOLL": poller}, probe=echoes)
             for poller in pollers})


def measure(name, kind, connections, size, seconds):
    """One turn: the figures by name."""
    server_cpus, client_cpus = servers.cpus()
    with servers.Server(name, kind, server_cpus, procs=1) as server:
        watch = servers.CpuWatch(server)
        counted = load.run_client(server, "tcp", server.port, connections, size, WARM_UP_MS,
                                  round(seconds * 1000), server.process.pid, cpus=client_cpus)
        others = watch.others()
    if not counted["messages"]:
        raise Failure(f"{name}: no message came back in {seconds} s")
    rate = counted["messages"] / counted["duration_us"] * 1e6
    # Each byte goes both ways; it is counted once.
    return {"cpu_us": counted["server_cpu_us"] / counted["messages"], "rate": rate,
            "mb_s": rate * size / 1e6, "others": others}


def add_ratios(samples):
    cheapest = min(LOOPS, key=lambda loop: statistics.median(samples[loop]["cpu_us"]))
    fastest = max(LOOPS, key=lambda loop: statistics.median(samples[loop]["rate"]))
    for name, of in samples.items():
        of["x_cpu"] = results.ratios(samples, name, cheapest, "cpu_us")
        of["x_rate"] = results.ratios(samples, name, fastest, "rate")


def goals(rows, size):
    found = []
    for name, row in rows.items():
        if name in LOOPS:
            continue
        found.append(results.at_most(name, "the loop's CPU", row["x_cpu"].median, CPU_GOAL))
        if size == RATE_GOAL_SIZE:
            times = row["x_rate"].median
            found.append(Goal(name, f"{times:.2f} of its rate >= {RATE_GOAL}", times >= RATE_GOAL))
    return found


def measure_workload(kinds, connections, size, args):
    samples = turns.take(
        kinds, args.rounds, f"{connections} connections, {size} B",
        lambda name, _turn: measure(name, kinds[name], connections, size, args.seconds))
    add_ratios(samples)
    rows = results.summarize(samples)
    options = turns.options(args, "--conns", str(connections), "--size", str(size))
    return Result("tcp", f"echo-{connections}-{size}", options, args.rounds, FIGURES, rows,
                  goals(rows, size))


def parse_args(argv=None):
    parser = turns.parser("tcp", __doc__, seconds=2)
    parser.add_argument("--conns", type=turns.count, action="append",
                        help="connections; may be given several times (1, 64 and 1000)")
    parser.add_argument("--size", type=turns.count, action="append",
                        help="bytes of a message; may be given several times (64 and 65536)")
    parser.add_argument("--netpoll", choices=POLLERS, action="append",
                        help="gust's, one only (both)")
    return parser.parse_args(argv)


def run(args):
    connections_list, sizes = args.conns or CONNECTIONS, args.size or SIZES
    servers.raise_file_limit(max(connections_list) + 100)
    kinds = find(args.netpoll or POLLERS)
    found = []
    for connections in connections_list:
        for size in sizes:
            found.append(measure_workload(kinds, connections, size, args))
            output.show(found[-1])
    return found


if __name__ == "__main__":
    turns.main("tcp", parse_args, run)
