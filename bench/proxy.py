#!/usr/bin/env python3
"""What does a proxied request cost, against nginx, h2o, HAProxy and Go's ReverseProxy?

The proxy runs alone on one CPU; on the other are the client (wrk) and the origin: for GET
the limit program (bench/limit.c), for files nginx.  All keep their connections to the
origin alive.  "CPU us/request" is the CPU time of the proxy's threads per answer: the
figure to trust.  Requests per second say how fast the shared other CPU is.

The proxies take turns, afresh each time; the table has the median turn."""

import dataclasses
import statistics

from lib import load, output, peers, results, servers, turns
from lib.results import Figure, Result
from lib.servers import Kind

WARM_UP_S = 0.4
FIGURES = {
    "cpu_us": Figure("CPU us/request", "lower", ".2f", with_spread=True),
    "rps": Figure("req/s"),
    "p50_us": Figure("p50 us"),
    "p99_us": Figure("p99 us"),
}
# Connections, path, who answers behind the proxy.
WORKLOADS = {
    "get-64": (64, "", "limit-epoll"),
    "file-100k": (64, "files/100k", "nginx"),
    "file-10m": (16, "files/10m", "nginx"),
}
# The most that a request may cost, in times of what it costs there.
GOALS = {("get-64", "nginx"): 0.75, ("get-64", "go"): 1 / 6}
PROXIES = {
    "gust-uring": Kind(peers.gust_proxy, {"GUST_NETPOLL": "uring"}),
    "gust-epoll": Kind(peers.gust_proxy, {"GUST_NETPOLL": "epoll"}),
    "nginx": Kind(peers.nginx_proxy, needs="nginx"),
    "h2o": Kind(peers.h2o_proxy, needs="h2o"),
    "haproxy": Kind(peers.haproxy_proxy, needs="haproxy"),
    "go": Kind(peers.go_proxy, needs="go"),
}


def measure(kind, name, workload, seconds):
    """One turn: the figures by name."""
    connections, path, origin_name = WORKLOADS[workload]
    proxy_cpus, other_cpus = servers.cpus()
    with servers.Server(origin_name, servers.KINDS[origin_name], other_cpus, procs=1) as origin:
        kind = dataclasses.replace(kind, origin=origin.port)
        with servers.Server(name, kind, proxy_cpus, procs=1) as proxy:
            servers.check_answer(proxy, path, peers.file_content(path) if path else peers.HELLO)
            load.checked(proxy, connections, WARM_UP_S, other_cpus, path=path)
            watch = servers.CpuWatch(proxy)
            result = load.checked(proxy, connections, seconds, other_cpus, path=path)
            cpu_s = watch.own()
    return {"cpu_us": cpu_s * 1e6 / result.requests, "rps": result.rps, "p50_us": result.p50_us,
            "p99_us": result.p99_us}


def goals(samples, workload):
    found = []
    for (of, against), most in GOALS.items():
        for name in samples if of == workload and against in samples else ():
            if name.startswith("gust"):
                times = statistics.median(results.ratios(samples, name, against, "cpu_us"))
                found.append(results.at_most(name, against, times, most))
    return found


def measure_workload(workload, kinds, args):
    samples = turns.take(kinds, args.rounds, workload, lambda name, _turn: measure(
        kinds[name], name, workload, args.seconds))
    options = ["--workload", workload,
               *(["--servers", ",".join(args.servers)] if args.servers else [])]
    return Result("proxy", workload, turns.options(args, *options), args.rounds, FIGURES,
                  results.summarize(samples), goals(samples, workload))


def parse_args(argv=None):
    parser = turns.parser("proxy", __doc__, seconds=3)
    parser.add_argument("--workload", action="append", choices=WORKLOADS,
                        help="may be given several times (default: all)")
    parser.add_argument("--servers", type=turns.names,
                        help=f"separated by commas, of: {', '.join(PROXIES)}")
    return parser.parse_args(argv)


def can(workload):
    return WORKLOADS[workload][2] != "nginx" or peers.find_program("nginx")


def run(args):
    servers.raise_file_limit()
    kinds = servers.find(args.servers, PROXIES)
    found = []
    for workload in args.workload or WORKLOADS:
        if not can(workload):
            print(f"{workload} is left out: its origin, nginx, is not installed")
            continue
        found.append(measure_workload(workload, kinds, args))
        output.show(found[-1])
    return found


if __name__ == "__main__":
    turns.main("proxy", parse_args, run)
