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

import statistics

from lib import load, machine, output, servers, turns


class Workload:
    """What is asked for.  goals: {(server, against): the most that a request may cost, in
    times of what it costs there}."""

    def __init__(self, connections, path, depth=1, body=0, goals=None):
        self.connections, self.path, self.depth, self.body = connections, path, depth, body
        self.goals = goals or {}
        self.limit_can = "users" in path  # the only answer that the limit gives


GUSTS = ("gust-uring", "gust-epoll")
NO_MORE_THAN_NGINX = {(gust, "nginx"): 1.0 for gust in GUSTS}
GET_GOALS = NO_MORE_THAN_NGINX | {(gust, "go"): 0.5 for gust in GUSTS}
WORKLOADS = {
    "get-64": Workload(64, "users/42", goals=GET_GOALS | {("gust-uring", "limit"): 1.10,
                                                          ("gust-epoll", "limit"): 1.35}),
    "get-1": Workload(1, "users/42"),
    "pipeline16-64": Workload(64, "users/42", depth=16,
                              goals={(gust, "limit"): 1.6 for gust in GUSTS}),
    "post-1k": Workload(64, "echo", body=1 << 10, goals=NO_MORE_THAN_NGINX),
    "post-64k": Workload(64, "echo", body=64 << 10, goals=NO_MORE_THAN_NGINX),
    "file-1k": Workload(64, "files/1k", goals=NO_MORE_THAN_NGINX),
    "file-100k": Workload(64, "files/100k", goals=NO_MORE_THAN_NGINX),
    "file-10m": Workload(16, "files/10m", goals=NO_MORE_THAN_NGINX),
}
WARM_UP_S = 1
FIGURES = ("cpu_us", "rps", "p50_us", "p99_us", "others")


def measure(name, kind, workload, seconds):
    """One turn: the figures by name."""
    of = WORKLOADS[workload]
    server_cpu, client_cpu = servers.cpus()
    ask = {"cpus": {client_cpu}, "depth": of.depth, "path": of.path, "body": of.body}
    with servers.Server(name, kind, {server_cpu}, procs=1) as server:
        warm_up = load.run(server, of.connections, WARM_UP_S, **ask)
        watch = servers.CpuWatch(server, server_cpu)
        result = load.run(server, of.connections, seconds, **ask)
        cpu_s, others = watch.own(), watch.others()
    trouble = warm_up.trouble() or result.trouble()
    if trouble:
        raise servers.Failure(f"{name}, {workload}: {trouble}")
    return {"cpu_us": cpu_s * 1e6 / result.requests, "rps": result.rps, "p50_us": result.p50_us,
            "p99_us": result.p99_us, "others": others}


def can(name, workload):
    """Whether a server does that job."""
    if WORKLOADS[workload].body and name == "nginx":
        return servers.nginx_can_echo()
    return WORKLOADS[workload].limit_can or not name.startswith("limit")


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
        row["goals"] = {against: [ratio(summary, name, against), most] for (server, against), most
                        in WORKLOADS[workload].goals.items()
                        if server == name and (against in summary or "x_limit" in row)}
    return summary


def ratio(summary, name, against):
    row = summary[name]
    return row["x_limit"] if against == "limit" else row["cpu_us"] / summary[against]["cpu_us"]


def verdicts(row):
    return "  ".join(f"{against} {times:.2f} <= {most:.2f} {'met' if times <= most else 'MISSED'}"
                     for against, (times, most) in row["goals"].items())


def print_table(workload, summary, rounds, seconds):
    print(f"\n{workload}: median of {rounds} rounds of {seconds} s")
    print(f"{'':14} {'CPU us/request':>14} {'min - max':>15} {'x limit':>8}"
          f" {'req/s':>8} {'p50 us':>7} {'p99 us':>7} {'others':>7}  goals")
    for name, row in summary.items():
        times = f"{row['x_limit']:.2f}" if "x_limit" in row else ""
        spread = f"{row['cpu_us_min']:.2f} - {row['cpu_us_max']:.2f}"
        print(f"{name:14} {row['cpu_us']:14.2f} {spread:>15} {times:>8}"
              f" {row['rps']:8.0f} {row['p50_us']:7.0f} {row['p99_us']:7.0f} {row['others']:7.0%}"
              f"  {verdicts(row)}")


def parse_args():
    parser = turns.parser("http", __doc__)
    parser.add_argument("--workload", action="append", choices=WORKLOADS,
                        help="may be given several times (default: all)")
    parser.add_argument("--servers", type=turns.names,
                        help=f"separated by commas, of: {', '.join(servers.KINDS)};"
                             f" if asked for also {', '.join(servers.EXTRA_KINDS)}")
    return parser.parse_args()


def main():
    args = parse_args()
    servers.raise_file_limit()
    kinds = servers.find(args.servers, servers.ROUTED_KINDS)
    where = machine.describe()
    print(", ".join(f"{name} {value}" for name, value in where.items()))
    lines = []
    for workload in args.workload or WORKLOADS:
        able = {name: kind for name, kind in kinds.items() if can(name, workload)}
        samples = turns.take(
            able, args.rounds, workload,
            lambda name, _turn, of=workload: measure(name, kinds[name], of, args.seconds))
        summary = summarize(samples, kinds, workload)
        print_table(workload, summary, args.rounds, args.seconds)
        lines.append(where | {"workload": workload, "rounds": args.rounds,
                              "seconds": args.seconds, "servers": summary})
    output.keep(lines, args.json)


if __name__ == "__main__":
    servers.run_benchmark("http", main)
