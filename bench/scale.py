#!/usr/bin/env python3
"""What does a request cost with 1 to 10 000 connections, on one P and on more?

The client (bench/clients/http.c) has its connections open before it counts, and asks on
each as soon as the answer is there.  It has a CPU of its own, unless the server has as many
Ps as the machine has CPUs: then they share, the requests per second are those of both, and
only "CPU us/request" compares with fewer Ps.

The servers take turns, afresh each time."""

from lib import load, output, results, servers, turns
from lib.results import Figure, Result

CONNECTIONS = (1, 8, 64, 512, 4096, 10000)
# Descriptors of a process that are not connections.
RESERVE = 100
PATH = "users/42"
WARM_UP_MS = 300
USUAL = ("gust-uring", "gust-epoll", "nginx", "go")
FIGURES = {
    "cpu_us": Figure("CPU us/request", "lower", ".2f", with_spread=True),
    "rps": Figure("req/s"),
    "p50_us": Figure("p50 us"),
    "p99_us": Figure("p99 us"),
}


def measure(name, kind, connections, procs, seconds):
    """One turn: the figures by name."""
    server_cpus, client_cpus = servers.cpus(procs, kind.roams)
    with servers.Server(name, kind, server_cpus, procs) as server:
        found = load.run_client(server, "http", server.port, f"/{PATH}", connections, WARM_UP_MS,
                                round(seconds * 1000), *server.pids(), cpus=client_cpus)
    return {"cpu_us": found["server_cpu_us"] / found["requests"],
            "rps": found["requests"] / found["duration_us"] * 1e6,
            "p50_us": found["p50_us"], "p99_us": found["p99_us"]}


def measure_workload(kinds, connections, procs, args):
    able = {name: kind for name, kind in kinds.items() if procs == 1 or not kind.single}
    samples = turns.take(able, args.rounds, f"{connections} connections, {procs} P",
                         lambda name, _turn: measure(name, able[name], connections, procs,
                                                     args.seconds))
    options = turns.options(args, "--conns", str(connections), "--procs", str(procs),
                            "--servers", ",".join(able))
    return Result("scale", f"get-{connections}-{procs}p", options, args.rounds, FIGURES,
                  results.summarize(samples))


def parse_args(argv=None):
    parser = turns.parser("scale", __doc__, seconds=2)
    parser.add_argument("--conns", type=turns.counts, default=CONNECTIONS,
                        help="numbers of connections, separated by commas"
                             f" ({','.join(map(str, CONNECTIONS))})")
    parser.add_argument("--procs", type=turns.counts, default=[1],
                        help="numbers of Ps, separated by commas (1)")
    parser.add_argument("--servers", type=turns.names,
                        help=f"separated by commas (default: {','.join(USUAL)})")
    return parser.parse_args(argv)


def possible(connections, files):
    """Those that the file limit allows; a line says which it does not."""
    fewer = [count for count in connections if count + RESERVE <= files]
    if len(fewer) < len(connections):
        print(f"only {files} files may be open: no more than {files - RESERVE} connections")
    return fewer


def run(args):
    files = servers.raise_file_limit(max(args.conns) + RESERVE)
    kinds = servers.find(args.servers, servers.ROUTED_KINDS, USUAL)
    found = []
    for procs in args.procs:
        for connections in possible(args.conns, files):
            found.append(measure_workload(kinds, connections, procs, args))
            output.show(found[-1])
    return found


if __name__ == "__main__":
    turns.main("scale", parse_args, run)
