#!/usr/bin/env python3
"""gust's HTTP server against the limit of this machine, nginx and Go.

How to read it.  Each server runs alone on one CPU, wrk on another, a few
seconds at a time, in turns: what disturbs the machine disturbs all of them
alike.  Every turn starts the server afresh, so that no result hangs on one
lucky layout of memory.

"CPU us/request" is the CPU time of the server's threads, in the kernel and
out of it, per answer: the figure to trust.  Requests per second depend on
where wrk, on its own CPU, stops keeping up, and on who else uses the machine;
what a request costs the server does so much less.  Even so, compare numbers of
one run only: a server that is not kept busy sleeps between requests, and then
pays a wake-up where a busy one finds the next request waiting.

"x limit" is that cost over the cost of bench/limit.c, a loop that answers
without parsing, with the same kernel interface: for io_uring the better of its
two ways to receive, for all others epoll.

"others" is what else ran on the server's CPU, the worst round.  Much more than
a few percent spoils caches and queues: measure again when it is quiet."""

import argparse
import statistics

from lib import load, machine, output, servers

# Connections, requests written at once.
WORKLOADS = {"get-64": (64, 1), "get-1": (1, 1), "pipeline16-64": (64, 16)}
# The most that a request may cost, in times of the limit.
GOALS = {
    ("get-64", "gust-uring"): 1.15,
    ("get-64", "gust-epoll"): 1.35,
    ("pipeline16-64", "gust-uring"): 2.0,
    ("pipeline16-64", "gust-epoll"): 2.0,
}
WARM_UP_S = 1
FIGURES = ("cpu_us", "rps", "p50_us", "p99_us", "others")


def measure(name, kind, workload, seconds):
    """One turn: the figures by name."""
    connections, depth = WORKLOADS[workload]
    server_cpu, client_cpu = servers.cpus()
    with servers.Server(name, kind, {server_cpu}, procs=1) as server:
        warm_up = load.run(server, connections, WARM_UP_S, {client_cpu}, depth)
        watch = servers.CpuWatch(server, server_cpu)
        result = load.run(server, connections, seconds, {client_cpu}, depth)
        cpu_s, others = watch.own(), watch.others()
    trouble = warm_up.trouble() or result.trouble()
    if trouble:
        raise servers.Failure(f"{name}, {workload}: {trouble}")
    return {"cpu_us": cpu_s * 1e6 / result.requests, "rps": result.rps, "p50_us": result.p50_us,
            "p99_us": result.p99_us, "others": others}


def alternate(kinds, workload, rounds, seconds):
    """The turns of every server: {name: {figure: [one per round]}}."""
    samples = {name: {figure: [] for figure in FIGURES} for name in kinds}
    for turn in range(rounds):
        for name, kind in kinds.items():
            output.progress(f"{workload}: round {turn + 1} of {rounds}: {name}")
            for figure, value in measure(name, kind, workload, seconds).items():
                samples[name][figure].append(value)
    output.progress("")
    return samples


def summarize(samples, kinds, workload):
    """What is printed and kept of each server, by its name."""
    summary = {}
    for name, of in samples.items():
        summary[name] = {figure: round(statistics.median(of[figure]), 2) for figure in FIGURES}
        summary[name] |= {"cpu_us_min": round(min(of["cpu_us"]), 2),
                          "cpu_us_max": round(max(of["cpu_us"]), 2),
                          "others": round(max(of["others"]), 2)}
    for name, row in summary.items():
        limits = [summary[limit]["cpu_us"] for limit in kinds[name].limit if limit in summary]
        if limits:
            row["x_limit"] = round(row["cpu_us"] / min(limits), 2)
        if limits and (workload, name) in GOALS:
            row["goal"] = GOALS[workload, name]
    return summary


def against_limit(row):
    """Two columns: times the limit, and the goal."""
    if "goal" in row:
        verdict = "met" if row["x_limit"] <= row["goal"] else "MISSED"
        return f"{row['x_limit']:.2f}", f"<= {row['goal']:.2f} {verdict}"
    return (f"{row['x_limit']:.2f}" if "x_limit" in row else ""), ""


def print_table(workload, summary, rounds, seconds):
    print(f"\n{workload}: median of {rounds} rounds of {seconds} s")
    print(f"{'':14} {'CPU us/request':>14} {'min - max':>15} {'x limit':>8} {'goal':14}"
          f" {'req/s':>8} {'p50 us':>7} {'p99 us':>7} {'others':>7}")
    for name, row in summary.items():
        ratio, goal = against_limit(row)
        spread = f"{row['cpu_us_min']:.2f} - {row['cpu_us_max']:.2f}"
        print(f"{name:14} {row['cpu_us']:14.2f} {spread:>15} {ratio:>8} {goal:14}"
              f" {row['rps']:8.0f} {row['p50_us']:7.0f} {row['p99_us']:7.0f} {row['others']:7.0%}")


def parse_args():
    parser = argparse.ArgumentParser(prog="bench http", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workload", action="append", choices=WORKLOADS,
                        help="may be given several times (default: all)")
    parser.add_argument("--servers", type=lambda text: text.split(","),
                        help=f"separated by commas, of: {', '.join(servers.KINDS)};"
                             f" if asked for also {', '.join(servers.EXTRA_KINDS)}")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3, help="of each turn")
    parser.add_argument("--json", metavar="FILE",
                        help="append the results to FILE, a line for each workload")
    return parser.parse_args()


def main():
    args = parse_args()
    servers.raise_file_limit()
    kinds = servers.find(args.servers)
    where = machine.describe()
    print(", ".join(f"{name} {value}" for name, value in where.items()))
    lines = []
    for workload in args.workload or WORKLOADS:
        samples = alternate(kinds, workload, args.rounds, args.seconds)
        summary = summarize(samples, kinds, workload)
        print_table(workload, summary, args.rounds, args.seconds)
        lines.append(where | {"workload": workload, "rounds": args.rounds,
                              "seconds": args.seconds, "servers": summary})
    output.keep(lines, args.json)


if __name__ == "__main__":
    servers.run_benchmark("http", main)
