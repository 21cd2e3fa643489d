#!/usr/bin/env python3
"""gust's scheduler, channels, lock and timers against Go's.

How to read it.  bench/runtime.c and bench/peers/gobench do the same loops.
Each benchmark runs in a process of its own that prints the best of --runs runs;
gust and Go take turns, and the table shows the median turn with the extremes.
A process with N Ps has N CPUs.  Figures are nanoseconds per operation, of
parked_bytes bytes for each of a million goroutines that wait on a channel.

"x Go" is the median of the rounds' ratios: the figure to trust, because what disturbs
the machine disturbs both.  With two Ps the scatter is much larger than with
one: whether a second thread wakes up for a microsecond's work is a matter of
timing, and of who else uses the CPUs.

gust's stacks have guard pages and lie far apart, Go's are small and close.  Each
part of 2 MiB of addresses that is in use costs a page of page tables, hence the
second figure of parked."""

import os
import subprocess

from lib import output, peers, results, turns
from lib.errors import Failure
from lib.results import Figure, Goal, Result

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
FIGURES = {
    "gust": Figure("gust", "lower", ".1f", with_spread=True),
    "go": Figure("Go", format=".1f", with_spread=True),
    "x_go": Figure("x Go", "lower", ".2f"),
}


def goal_of(figure, procs):
    return SPAWN_GOALS.get(procs) if figure == "spawn" else GOALS.get(figure)


def find_programs():
    programs = {"gust": peers.built(peers.BUILD / "bench" / "runtime")}
    if peers.find_program("go"):
        programs["go"] = peers.build_go("gobench")
    else:
        print("not installed and left out: go")
    return programs


def usable_cpus():
    return sorted(os.sched_getaffinity(0))


def run_program(program, benchmark, procs, args):
    """One process: its figures by name."""
    cpus = usable_cpus()[:procs]
    env = os.environ | {"GUST_MAXPROCS": str(procs), "GOMAXPROCS": str(procs)}
    if args.netpoll:
        env["GUST_NETPOLL"] = args.netpoll
    try:
        done = subprocess.run([program, benchmark, str(args.runs)], env=env, capture_output=True,
                              text=True, check=False, timeout=TIMEOUT_S,
                              preexec_fn=lambda: os.sched_setaffinity(0, cpus))
    except subprocess.TimeoutExpired:
        raise Failure(f"{program} {benchmark}: not done after {TIMEOUT_S} s") from None
    if done.returncode:
        raise Failure(f"{program} {benchmark}: ended with {done.returncode}:"
                      f" {done.stderr[-2000:].strip()}")
    return {figure: float(value) for figure, value in map(str.split, done.stdout.splitlines())}


def measure(programs, benchmark, procs, args):
    """Rows by figure: a benchmark may print several."""
    rounds = 1 if benchmark in ONCE and not args.only else args.rounds
    samples = turns.take(programs, rounds, f"{benchmark}, {procs} P", lambda name, _turn:
                         run_program(programs[name], benchmark, procs, args))
    rows = {}
    for figure, ours in samples["gust"].items():
        of = {name: samples[name][figure] for name in programs if figure in samples[name]}
        if "go" in of:
            of["x_go"] = [gust / go for gust, go in zip(ours, of["go"])]
        rows[figure] = of
    return results.summarize(rows)


def goals(rows, procs):
    found = []
    for figure, row in rows.items():
        most = goal_of(figure, procs)
        if most and "x_go" in row:
            found.append(results.at_most(figure, "Go", row["x_go"].median, most))
        if figure in LIMITS:
            found.append(Goal(figure, f"<= {LIMITS[figure]}",
                              row["gust"].median <= LIMITS[figure]))
    return found


def chosen(args):
    return [name for name in args.only or BENCHMARKS if name not in args.without]


def measure_table(programs, procs, args):
    rows = {}
    for benchmark in chosen(args):
        rows |= measure(programs, benchmark, procs, args)
    chosen_by = [part for option in ("only", "without") for name in getattr(args, option)
                 for part in (f"--{option}", name)]
    netpoll = ["--netpoll", args.netpoll] if args.netpoll else []
    options = turns.options(args, "--procs", str(procs), *chosen_by, *netpoll,
                            "--runs", str(args.runs))
    without = [f"without-{name}" for name in args.without]
    workload = "-".join([*(args.only or ["all"]), *without, f"{procs}p"])
    return Result("runtime", workload, options, args.rounds, FIGURES, rows, goals(rows, procs))


def parse_args(argv=None):
    parser = turns.parser("runtime", __doc__)
    parser.add_argument("--only", action="append", default=[], choices=BENCHMARKS, metavar="NAME",
                        help="may be given several times; of: " + ", ".join(BENCHMARKS) +
                             f" (default: all, {', '.join(ONCE)} in one round)")
    parser.add_argument("--without", action="append", default=[], choices=BENCHMARKS,
                        metavar="NAME", help="may be given several times")
    parser.add_argument("--runs", type=turns.count, default=5,
                        help="in each turn, of which the best counts (5)")
    parser.add_argument("--procs", type=turns.counts, default=[1, 2][:len(usable_cpus())],
                        help="numbers of Ps, separated by commas (default: 1,2; 1 on one CPU)")
    parser.add_argument("--netpoll", choices=("uring", "epoll"),
                        help="what gust polls with (default: its own choice)")
    return parser.parse_args(argv)


def run(args):
    if max(args.procs) > len(usable_cpus()):
        raise Failure(f"{max(args.procs)} Ps need as many CPUs:"
                      f" --procs up to {len(usable_cpus())}")
    programs = find_programs()
    found = []
    for procs in args.procs:
        found.append(measure_table(programs, procs, args))
        output.show(found[-1])
    return found


if __name__ == "__main__":
    turns.main("runtime", parse_args, run)
