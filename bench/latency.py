#!/usr/bin/env python3
"""How long do answers take while a server is half busy, against nginx?

Requests fall due at random moments, whatever the answers do, and their latency
counts from then: a server that stands still for a moment is charged for all that
came meanwhile.  First every server is loaded as far as it goes (wrk, a closed
loop); then all get the same rate, half of what the slowest of them could.

They take turns, afresh each time; the same turn has the same random moments.  The
table has the median turn.  Latencies of a shared machine hang on its worst
moments: "late us" is by how much the client itself was behind, the worst turn."""

import json
import os
import statistics
import subprocess

from lib import load, machine, output, servers, turns

CONNECTIONS = 64
PATH = "users/42"
WARM_UP_S = 1
PERCENTILES = ("p50_us", "p90_us", "p99_us", "p99_9_us", "max_us")
FIGURES = (*PERCENTILES, "late_us")
# Where a server of ours has to be no worse than nginx.
GOALS = ("p99_us", "p99_9_us")


def saturation(name, kind, seconds):
    """Requests per second that it can answer."""
    server_cpu, client_cpu = servers.cpus()
    with servers.Server(name, kind, {server_cpu}, procs=1) as server:
        return load.run(server, CONNECTIONS, seconds, {client_cpu}, path=PATH).rps


def measure(name, kind, rate, seconds, seed):
    """One turn: the figures by name."""
    server_cpu, client_cpu = servers.cpus()
    with servers.Server(name, kind, {server_cpu}, procs=1) as server:
        command = [servers.program(servers.BUILD / "bench" / "clients" / "open_loop"),
                   str(server.port), f"/{PATH}", str(CONNECTIONS), str(rate),
                   str(WARM_UP_S * 1000), str(seconds * 1000), str(seed)]
        done = subprocess.run(command, capture_output=True, text=True, check=False,
                              preexec_fn=lambda: os.sched_setaffinity(0, {client_cpu}))
        server.check_alive()
    if done.returncode != 0:
        raise servers.Failure(f"{name}: {done.stderr.strip()}")
    return json.loads(done.stdout)


def summarize(samples):
    summary = {}
    for name, of in samples.items():
        summary[name] = {figure: round(statistics.median(of[figure]), 1) for figure in FIGURES}
        summary[name]["late_us"] = max(of["late_us"])
        for figure in GOALS:
            summary[name] |= {f"{figure}_min": min(of[figure]), f"{figure}_max": max(of[figure])}
    return summary


def verdict(summary, name):
    """"ok" or "short" for each goal; empty where there is none."""
    if not name.startswith("gust") or "nginx" not in summary:
        return ""
    return ", ".join(
        f"{figure.removesuffix('_us')} {summary[name][figure] / summary['nginx'][figure]:.2f}"
        f" of nginx {'ok' if summary[name][figure] <= summary['nginx'][figure] else 'short'}"
        for figure in GOALS)


def print_table(summary, rate, rounds, seconds):
    print(f"\n{rate}/s on {CONNECTIONS} connections: median of {rounds} rounds of {seconds} s")
    print(f"{'':12}" + "".join(f"{figure.removesuffix('_us') + ' us':>10}" for figure in FIGURES)
          + f"{'p99 min-max':>16}{'p99.9 min-max':>18}")
    for name, row in summary.items():
        print(f"{name:12}" + "".join(f"{row[figure]:10.0f}" for figure in FIGURES)
              + "".join(f"{row[f'{figure}_min']:>{width}.0f} - {row[f'{figure}_max']:.0f}"
                        for figure, width in zip(GOALS, (10, 12)))
              + f"  {verdict(summary, name)}")


def parse_args():
    parser = turns.parser("latency", __doc__, seconds=5)
    parser.add_argument("--servers", type=turns.names,
                        default=["gust-uring", "gust-epoll", "nginx", "go"],
                        help="separated by commas (default: gust-uring,gust-epoll,nginx,go)")
    parser.add_argument("--rate", type=int, help="requests per second (default: half of what the"
                                                 " slowest but Go can)")
    return parser.parse_args()


def main():
    args = parse_args()
    kinds = servers.find(args.servers, servers.ROUTED_KINDS)
    where = machine.describe()
    print(", ".join(f"{name} {value}" for name, value in where.items()))
    rate = args.rate
    if not rate:
        can = {name: saturation(name, kind, args.seconds) for name, kind in kinds.items()}
        print("saturated: " + ", ".join(f"{name} {rps:.0f}/s" for name, rps in can.items()))
        rate = int(min(rps for name, rps in can.items() if name != "go" or len(can) == 1) / 2)
    summary = summarize(turns.take(kinds, args.rounds, f"{rate}/s", lambda name, turn: measure(
        name, kinds[name], rate, args.seconds, turn + 1)))
    print_table(summary, rate, args.rounds, args.seconds)
    output.keep([where | {"workload": "latency", "rate": rate, "rounds": args.rounds,
                          "seconds": args.seconds, "servers": summary}], args.json)


if __name__ == "__main__":
    servers.run_benchmark("latency", main)
