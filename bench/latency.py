#!/usr/bin/env python3
"""How long do answers take while a server is half busy, against nginx?

Requests fall due at random moments, whatever the answers do, and their latency
counts from then: a server that stands still for a moment is charged for all that
came meanwhile.  First every server is loaded as far as it goes (wrk, a closed
loop); then all get the same rate, half of what the slowest of them could; Go and
Node do not count for that.

They take turns, afresh each time; the same turn has the same random moments.  The
table has the median turn.  Latencies of a shared machine hang on its worst
moments: "late us" is by how much the client itself was behind."""

from lib import load, output, results, servers, turns
from lib.results import LATENCY_FIGURES, Figure, Goal, Result

CONNECTIONS = 64
PATH = "users/42"
WARM_UP_S = 0.4
FIGURES = LATENCY_FIGURES | {"late_us": Figure("late us")}
# Where a server of ours has to be no worse than nginx.
GOALS = ("p99_us", "p99_9_us")
USUAL = ("gust-uring", "gust-epoll", "nginx", "go")
SLOW = ("go", "node")


def saturation(name, kind, seconds):
    """Requests per second that it can answer."""
    server_cpus, client_cpus = servers.cpus(roams=kind.roams)
    with servers.Server(name, kind, server_cpus, procs=1) as server:
        return load.checked(server, CONNECTIONS, seconds, client_cpus, path=PATH).rps


def half_rate(kinds, seconds):
    """Half of what the slowest can, of those that count."""
    can = {name: saturation(name, kind, seconds) for name, kind in kinds.items()
           if name not in SLOW or kinds.keys() <= set(SLOW)}
    print("saturated: " + ", ".join(f"{name} {rps:.0f}/s" for name, rps in can.items()))
    return int(min(can.values()) / 2)


def measure(name, kind, rate, seconds, seed):
    """One turn: the figures by name."""
    server_cpus, client_cpus = servers.cpus(roams=kind.roams)
    with servers.Server(name, kind, server_cpus, procs=1) as server:
        found = load.run_client(server, "http", "--rate", rate, "--seed", seed, server.port,
                                f"/{PATH}", CONNECTIONS, round(WARM_UP_S * 1000),
                                round(seconds * 1000), *server.pids(), cpus=client_cpus)
    return {figure: found[figure] for figure in FIGURES}


def goals(rows):
    return [Goal(name, f"{figure.removesuffix('_us')} {times:.2f} of nginx", times <= 1)
            for name in rows if name.startswith("gust") and "nginx" in rows
            for figure in GOALS
            for times in [rows[name][figure].median / rows["nginx"][figure].median]]


def parse_args(argv=None):
    parser = turns.parser("latency", __doc__, seconds=5)
    parser.add_argument("--servers", type=turns.names,
                        help=f"separated by commas (default: {','.join(USUAL)})")
    parser.add_argument("--rate", type=turns.count,
                        help="requests per second (default: half of what the slowest can)")
    return parser.parse_args(argv)


def run(args):
    servers.raise_file_limit()
    kinds = servers.find(args.servers, servers.ROUTED_KINDS, USUAL)
    rate = args.rate or half_rate(kinds, args.seconds)
    samples = turns.take(kinds, args.rounds, f"{rate}/s", lambda name, turn: measure(
        name, kinds[name], rate, args.seconds, turn + 1))
    rows = results.summarize(samples)
    options = turns.options(args, "--servers", ",".join(kinds), "--rate", str(rate))
    result = Result("latency", "open-64", options, args.rounds, FIGURES, rows, goals(rows))
    print(f"{rate}/s on {CONNECTIONS} connections")
    output.show(result)
    return [result]


if __name__ == "__main__":
    turns.main("latency", parse_args, run)
