#!/usr/bin/env python3
"""gust's HTTP server against the limit of this machine, nginx, h2o, Go and Node.

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
two ways to receive, for all others epoll; the median of the rounds' ratios.

"others" is what else ran on the server's CPU.  Much more than a few percent
spoils caches and queues: measure again when it is quiet.  It is empty where the
client shares the CPUs: with SQPOLL, whose thread of the kernel takes one."""

import statistics

from lib import load, output, peers, results, servers, turns
from lib.results import Figure, Result


class Workload:
    """What is asked for.  goals: {(server, against): the most that a request may cost, in
    times of what it costs there}."""

    def __init__(self, connections, path, depth=1, body=0, goals=None):
        self.connections, self.path, self.depth, self.body = connections, path, depth, body
        self.goals = goals or {}
        self.limit_can = "users" in path  # the only answer that the limit gives
        self.h2o_can = not body

    def expected(self):
        """The one right answer."""
        if self.body:
            return b"x" * self.body
        return peers.file_content(self.path) if "files" in self.path else peers.HELLO


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
FIGURES = {
    "cpu_us": Figure("CPU us/request", "lower", ".2f", with_spread=True),
    "x_limit": Figure("x limit", "lower", ".2f"),
    "rps": Figure("req/s"),
    "p50_us": Figure("p50 us"),
    "p99_us": Figure("p99 us"),
    "others": Figure("others", format=".0%"),
}
# Enough for what is allocated or compiled on the way; Node takes longest.
WARM_UP_S = 0.4


def measure(name, kind, of, seconds):
    """One turn: the figures by name."""
    server_cpus, client_cpus = servers.cpus(roams=kind.roams)
    ask = {"cpus": client_cpus, "depth": of.depth, "path": of.path, "body": of.body}
    with servers.Server(name, kind, server_cpus, procs=1) as server:
        servers.check_answer(server, of.path, of.expected(), b"x" * of.body or None)
        load.checked(server, of.connections, WARM_UP_S, **ask)
        watch = servers.CpuWatch(server)
        result = load.checked(server, of.connections, seconds, **ask)
        cpu_s, others = watch.own(), watch.others()
    figures = {"cpu_us": cpu_s * 1e6 / result.requests, "rps": result.rps,
               "p50_us": result.p50_us, "p99_us": result.p99_us}
    return figures | ({} if server_cpus & client_cpus else {"others": others})


def can(name, workload):
    """Whether a server does that job."""
    of = WORKLOADS[workload]
    if of.body and name == "nginx":
        return peers.nginx_can_echo()
    if name == "h2o":
        return of.h2o_can
    return of.limit_can or not name.startswith("limit")


def add_limits(samples, kinds):
    """To the samples of those that have a limit: how many times that it is."""
    for name, of in samples.items():
        marks = [limit for limit in kinds[name].limit if limit in samples]
        if marks:
            best = min(marks, key=lambda mark: statistics.median(samples[mark]["cpu_us"]))
            of["x_limit"] = results.ratios(samples, name, best, "cpu_us")


def goals(samples, of):
    """What has come of those whose both servers were there."""
    found = []
    for (name, against), most in of.goals.items():
        if against == "limit":
            times = samples.get(name, {}).get("x_limit")
        elif name in samples and against in samples:
            times = results.ratios(samples, name, against, "cpu_us")
        else:
            times = None
        if times:
            found.append(results.at_most(name, against, statistics.median(times), most))
    return found


def measure_workload(workload, kinds, args):
    of = WORKLOADS[workload]
    able = {name: kind for name, kind in kinds.items() if can(name, workload)}
    samples = turns.take(able, args.rounds, workload,
                         lambda name, _turn: measure(name, able[name], of, args.seconds))
    add_limits(samples, able)
    options = ["--workload", workload, *(["--servers", ",".join(able)] if args.servers else [])]
    return Result("http", workload, turns.options(args, *options), args.rounds, FIGURES,
                  results.summarize(samples), goals(samples, of))


def parse_args(argv=None):
    parser = turns.parser("http", __doc__, seconds=3)
    parser.add_argument("--workload", action="append", choices=WORKLOADS,
                        help="may be given several times (default: all)")
    parser.add_argument("--servers", type=turns.names,
                        help=f"separated by commas, of: {', '.join(servers.KINDS)};"
                             f" if asked for also {', '.join(servers.EXTRA_KINDS)}")
    return parser.parse_args(argv)


def run(args):
    servers.raise_file_limit()
    kinds = servers.find(args.servers, servers.ROUTED_KINDS | servers.EXTRA_KINDS,
                         servers.ROUTED_KINDS)
    found = []
    for workload in args.workload or WORKLOADS:
        found.append(measure_workload(workload, kinds, args))
        output.show(found[-1])
    return found


if __name__ == "__main__":
    turns.main("http", parse_args, run)
