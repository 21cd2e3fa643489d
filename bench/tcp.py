#!/usr/bin/env python3
"""examples/tcp_echo against the least that an echo costs on this machine.

The least is the better of two hand-written loops in bench/tcp.c, one on epoll and
one on io_uring.  Each server runs alone with one P on one CPU, the client
(bench/clients/tcp.c) on another, a few seconds at a time, in turns; every turn
starts the server afresh.  Each of the client's connections sends a message, reads
it back, compares every byte, and sends the next.

"CPU us/msg" is the CPU time of the server's process, in the kernel and out of it,
per message: the figure to trust.  Messages per second depend on the client, and on
who else uses the machine.  "x better" is the ratio to the better loop, whose figure
is the lower median for CPU time, the higher one for messages.

"others" is what else ran on the server's CPU, the worst round: much more than a few
percent spoils caches and queues."""

import json
import os
import socket
import statistics
import subprocess

from lib import machine, output, servers, turns

CONNECTIONS = (1, 64, 1000)
SIZES = (64, 65536)
LOOPS = {"loop-epoll": "epoll", "loop-uring": "coop"}
POLLERS = ("uring", "epoll")
CPU_GOAL = 1.1
# Only for messages that are large enough to be about bytes.
RATE_GOAL, RATE_GOAL_SIZE = 0.95, 65536
WARM_UP_MS = 300


def echoes(s):
    """The probe of a new server: does it send back what it gets?"""
    s.sendall(b"ping")
    return s.recv(4, socket.MSG_WAITALL) == b"ping"


def loop(mode):
    def command(port, _directory):
        return [servers.program(servers.BUILD / "bench" / "tcp"), mode, str(port)]
    return servers.Kind(command, probe=echoes)


def gust(poller):
    def command(port, _directory):
        return [servers.program(servers.BUILD / "examples" / "tcp_echo"),
                "--listen", f"127.0.0.1:{port}"]
    return servers.Kind(command, {"GUST_NETPOLL": poller}, probe=echoes)


def find(pollers):
    return ({name: loop(mode) for name, mode in LOOPS.items()} |
            {f"gust-{poller}": gust(poller) for poller in pollers})


def run_client(server, connections, size, seconds, cpu):
    """What bench/clients/tcp.c counted."""
    command = [servers.program(servers.BUILD / "bench" / "clients" / "tcp"), str(server.port),
               str(connections), str(size), str(WARM_UP_MS), str(round(seconds * 1000)),
               str(server.process.pid)]
    done = subprocess.run(command, capture_output=True, text=True, check=False,
                          preexec_fn=lambda: os.sched_setaffinity(0, {cpu}))
    server.check_alive()
    if done.returncode != 0:
        raise servers.Failure(f"{server.name}: the client: {done.stderr.strip()}")
    counted = json.loads(done.stdout)
    if not counted["messages"]:
        raise servers.Failure(f"{server.name}: no message came back in {seconds} s")
    return counted


def measure(name, kind, connections, size, seconds):
    """One turn: the figures by name."""
    server_cpu, client_cpu = servers.cpus()
    with servers.Server(name, kind, {server_cpu}, procs=1) as server:
        watch = servers.CpuWatch(server, server_cpu)
        counted = run_client(server, connections, size, seconds, client_cpu)
        others = watch.others()
    return {"cpu_us": counted["server_cpu_us"] / counted["messages"],
            "rate": counted["messages"] / counted["duration_us"] * 1e6, "others": others}


def summarize(samples, size):
    """What is printed and kept of each server, by its name."""
    summary = {}
    for name, of in samples.items():
        summary[name] = {"cpu_us": round(statistics.median(of["cpu_us"]), 3),
                         "cpu_us_min": round(min(of["cpu_us"]), 3),
                         "cpu_us_max": round(max(of["cpu_us"]), 3),
                         "rate": round(statistics.median(of["rate"])),
                         "others": round(max(of["others"]), 2)}
    best_cpu_us = min(summary[name]["cpu_us"] for name in LOOPS)
    best_rate = max(summary[name]["rate"] for name in LOOPS)
    for name, row in summary.items():
        row["x_cpu"] = round(row["cpu_us"] / best_cpu_us, 2)
        row["x_rate"] = round(row["rate"] / best_rate, 2)
        if name not in LOOPS:
            row["cpu_ok"] = row["x_cpu"] <= CPU_GOAL
            if size == RATE_GOAL_SIZE:
                row["rate_ok"] = row["x_rate"] >= RATE_GOAL
    return summary


def verdict(row, figure, goal):
    if figure not in row:
        return ""
    return f"{goal} {'ok' if row[figure] else 'short'}"


def print_table(connections, size, summary):
    print(f"\n{connections} connection{'s' * (connections > 1)}, {size} B")
    print(f"{'':12} {'CPU us/msg':>10} {'min - max':>16} {'x better':>8} {'goal':14}"
          f" {'msg/s':>8} {'MB/s':>7} {'x better':>8} {'goal':14} {'others':>6}")
    for name, row in summary.items():
        spread = f"{row['cpu_us_min']:.2f} - {row['cpu_us_max']:.2f}"
        # Each byte goes both ways; it is counted once.
        print(f"{name:12} {row['cpu_us']:10.2f} {spread:>16} {row['x_cpu']:8.2f}"
              f" {verdict(row, 'cpu_ok', f'<= {CPU_GOAL}'):14} {row['rate']:8.0f}"
              f" {row['rate'] * size / 1e6:7.1f} {row['x_rate']:8.2f}"
              f" {verdict(row, 'rate_ok', f'>= {RATE_GOAL}'):14} {row['others']:6.0%}")


def parse_args():
    parser = turns.parser("tcp", __doc__, seconds=2, number=float)
    parser.add_argument("--conns", type=int, action="append",
                        help="connections; may be given several times (1, 64 and 1000)")
    parser.add_argument("--size", type=int, action="append",
                        help="bytes of a message; may be given several times (64 and 65536)")
    parser.add_argument("--netpoll", choices=POLLERS, action="append",
                        help="gust's, one only (both)")
    args = parser.parse_args()
    if min(args.rounds, args.seconds, *args.conns or (1,), *args.size or (1,)) <= 0:
        parser.error("numbers are greater than 0")
    return args


def main():
    args = parse_args()
    connections_list, sizes = args.conns or CONNECTIONS, args.size or SIZES
    servers.raise_file_limit(max(connections_list) + 100)
    kinds = find(args.netpoll or POLLERS)
    where = machine.describe()
    print(", ".join(f"{name} {value}" for name, value in where.items()))
    print(f"medians of {args.rounds} rounds of {args.seconds:g} s")
    lines, short = [], 0
    for connections in connections_list:
        for size in sizes:
            samples = turns.take(
                kinds, args.rounds, f"{connections} connections, {size} B",
                lambda name, _turn, of=(connections, size): measure(name, kinds[name], *of,
                                                                    args.seconds))
            summary = summarize(samples, size)
            print_table(connections, size, summary)
            short += sum(row.get(goal) is False for row in summary.values()
                         for goal in ("cpu_ok", "rate_ok"))
            lines.append(where | {"workload": f"echo-{connections}-{size}",
                                  "rounds": args.rounds, "seconds": args.seconds,
                                  "servers": summary})
    output.keep(lines, args.json)
    print(f"\n{short} short of their goal" if short else "\nall goals met")
    return 1 if short else 0


if __name__ == "__main__":
    servers.run_benchmark("tcp", main)
