#!/usr/bin/env python3
"""gust's scheduler, channels, lock and timers against Go's.

How to read it.  bench/runtime.c and bench/peers/gobench do the same loops.
Each benchmark runs in a process of its own that prints the best of five runs;
gust and Go take turns, and the table shows the median turn with the extremes.
A process with N Ps has N CPUs.  Figures are nanoseconds per operation, of
parked_bytes bytes for each of a million goroutines that wait on a channel.

"x Go" is the ratio of the medians: the figure to trust, because what disturbs
the machine disturbs both.  With two Ps the scatter is much larger than with
one: whether a second thread wakes up for a microsecond's work is a matter of
timing, and of who else uses the CPUs.

gust's stacks have guard pages and lie far apart, Go's are small and close.  Each
part of 2 MiB of addresses that is in use costs a page of page tables, hence the
second figure of parked."""

import argparse
import os
import statistics
import subprocess

from lib import machine, output, servers

# The name that the programs know, and what they print under it.
BENCHMARKS = {
    "yield": "yield",
    "spawn": "spawn",
    "chan_unbuf": "chan_unbuf",
    "chan_buf128": "chan_buf128",
    "select4": "select4",
    "mutex": "mutex",
    "timer": "timer_startstop",
    "skynet": "skynet1m",
    "parked": "parked_bytes",
}
# The most that a figure may be, in times of Go's.
GOALS = {
    "yield": 0.4,
    "chan_unbuf": 0.4,
    "chan_buf128": 0.5,
    "select4": 0.4,
    "mutex": 1.0,
    "timer_startstop": 0.25,
    "skynet1m": 0.35,
}
SPAWN_GOALS = {1: 0.3, 2: 0.6}  # by the number of Ps
# The most that a figure may be in itself.
LIMITS = {"parked_bytes_with_page_tables": 4600}
# It takes long and hardly varies.
ONCE = {"parked"}
TIMEOUT_S = 300


def goal_of(figure, procs):
    return SPAWN_GOALS.get(procs) if figure == "spawn" else GOALS.get(figure)


def find_programs():
    programs = {"gust": servers.program(servers.BUILD / "bench" / "runtime"),
                "go": servers.build_go("gobench")}
    if not programs["go"]:
        print("Go is not installed: gust alone")
        del programs["go"]
    return programs


def usable_cpus():
    return sorted(os.sched_getaffinity(0))


def run(program, benchmark, procs, netpoll):
    """One process: its figures by name."""
    cpus = usable_cpus()[:procs]
    env = os.environ | {"GUST_MAXPROCS": str(procs), "GOMAXPROCS": str(procs)}
    if netpoll:
        env["GUST_NETPOLL"] = netpoll
    try:
        done = subprocess.run([program, benchmark], env=env, capture_output=True, text=True,
                              check=False, timeout=TIMEOUT_S,
                              preexec_fn=lambda: os.sched_setaffinity(0, cpus))
    except subprocess.TimeoutExpired:
        raise servers.Failure(f"{program} {benchmark}: not done after {TIMEOUT_S} s") from None
    if done.returncode:
        raise servers.Failure(f"{program} {benchmark}: ended with {done.returncode}:"
                              f" {done.stderr[-2000:].strip()}")
    return {figure: float(value) for figure, value in map(str.split, done.stdout.splitlines())}


def alternate(programs, benchmark, rounds, procs, netpoll):
    """The turns of both: {figure: {"gust": [one per round], "go": [...]}}."""
    samples = {}
    for turn in range(rounds):
        for name, program in programs.items():
            output.progress(f"{benchmark}, {procs} P: round {turn + 1} of {rounds}: {name}")
            for figure, value in run(program, benchmark, procs, netpoll).items():
                samples.setdefault(figure, {}).setdefault(name, []).append(value)
    output.progress("")
    return samples


def summarize(figure, samples, procs):
    """What is printed and kept of one figure."""
    row = {}
    for name, values in samples.items():
        row |= {name: round(statistics.median(values), 1), f"{name}_min": min(values),
                f"{name}_max": max(values)}
    if "go" in row:
        row["x_go"] = round(row["gust"] / row["go"], 2)
        if goal_of(figure, procs):
            row["goal"] = goal_of(figure, procs)
    if figure in LIMITS:
        row["limit"] = LIMITS[figure]
    return row


def spread(row, name):
    if name not in row:
        return ""
    return f"{row[name]:.1f} ({row[f'{name}_min']:.1f} - {row[f'{name}_max']:.1f})"


def verdict(row):
    if "goal" in row:
        return f"<= {row['goal']:.2f} {'ok' if row['x_go'] <= row['goal'] else 'short'}"
    if "limit" in row:
        return f"<= {row['limit']} {'ok' if row['gust'] <= row['limit'] else 'short'}"
    return ""


def print_row(figure, row):
    ratio = f"{row['x_go']:.2f}" if "x_go" in row else ""
    print(f"{figure:30}{spread(row, 'gust'):>26}{spread(row, 'go'):>26}{ratio:>7}  "
          f"{verdict(row)}".rstrip(), flush=True)


def measure_table(programs, procs, args):
    """Prints the table for so many Ps; returns its rows by figure."""
    print(f"\n{procs} P, median (min - max) of {args.rounds} rounds")
    print(f"{'':30}{'gust':>26}{'Go':>26}{'x Go':>7}  goal")
    table = {}
    for benchmark in args.only or BENCHMARKS:
        rounds = 1 if benchmark in ONCE and not args.only else args.rounds
        samples = alternate(programs, benchmark, rounds, procs, args.netpoll)
        for figure, values in samples.items():
            table[figure] = summarize(figure, values, procs)
            print_row(figure, table[figure])
    return table


def procs_default():
    return [1, 2][:len(usable_cpus())]


def procs_list(text):
    counts = [int(part) for part in text.split(",")]
    if min(counts) < 1:
        raise ValueError
    return counts


def parse_args():
    parser = argparse.ArgumentParser(prog="bench runtime", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", choices=BENCHMARKS, metavar="NAME",
                        help="may be given several times; of: " + ", ".join(BENCHMARKS) +
                             f" (default: all, {', '.join(ONCE)} in one round)")
    parser.add_argument("--procs", type=procs_list, default=procs_default(),
                        help="numbers of Ps, separated by commas (default: 1,2; 1 on one CPU)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--netpoll", choices=("uring", "epoll"),
                        help="what gust polls with (default: its own choice)")
    parser.add_argument("--json", metavar="FILE",
                        help="append the results to FILE, a line for each number of Ps")
    return parser.parse_args()


def main():
    args = parse_args()
    if max(args.procs) > len(usable_cpus()):
        raise servers.Failure(f"{max(args.procs)} Ps need as many CPUs:"
                              f" --procs up to {len(usable_cpus())}")
    where = machine.describe()
    print(", ".join(f"{name} {value}" for name, value in where.items()))
    programs = find_programs()
    results = []
    for procs in args.procs:
        table = measure_table(programs, procs, args)
        results.append(where | {"workload": "runtime", "procs": procs, "rounds": args.rounds,
                                "netpoll": args.netpoll or "auto", "figures": table})
    output.keep(results, args.json)


if __name__ == "__main__":
    servers.run_benchmark("runtime", main)
