#!/usr/bin/env python3
"""What TLS costs gust's HTTP server, against others with the same certificate: nginx and h2o,
which use OpenSSL as gust does, Go and Node.

The servers take turns, each alone on one CPU, the client on another; the figure is the
CPU time of the server's threads, and "x nginx" the median of its ratios to nginx's turn
of the same round.

get-64        one request after the other on each of 64 connections, from wrk
full-1.3      handshakes with no session to resume, each on a new connection with one
full-1.2      request, from bench/clients/handshakes.c
resumed-1.3   the same, with a ticket of the server's
resumed-1.2

The certificate is made for the occasion: ECDSA on P-256.  The key exchange is what both
sides like best, X25519.  One client cannot make as many handshakes as a server can take:
then the rates say nothing of the servers, but the CPU time does."""

import functools

from lib import load, output, peers, results, servers, turns
from lib.results import Figure, Result

CONNECTIONS = 64
WARM_UP_S = 0.4
PEER = "nginx"
# The most that it may cost, in times of nginx.
GOALS = {"get-64": 0.95, "full-1.3": 1.0, "full-1.2": 1.0, "resumed-1.3": None,
         "resumed-1.2": None}
FIGURES = {
    "cpu_us": Figure("CPU us each", "lower", ".2f", with_spread=True),
    "x_nginx": Figure("x nginx", "lower", ".3f", with_spread=True),
    "rate": Figure("/s"),
    "others": Figure("others", format=".0%"),
}
USUAL = ("nginx", "gust-uring", "gust-epoll")


def kinds_with_tls():
    return servers.with_tls({name: kind for name, kind in servers.KINDS.items()
                             if not name.startswith("limit")})


def run_wrk(server, seconds, cpus):
    result = load.checked(server, CONNECTIONS, seconds, cpus)
    return result.requests, result.rps


def run_handshakes(kind, version, server, seconds, cpus):
    counted = load.run_client(server, "handshakes", server.port, kind, version,
                              round(seconds * 1000), cpus=cpus)
    return counted["handshakes"], counted["handshakes"] / counted["duration_us"] * 1e6


def client_of(workload):
    kind, version = workload.split("-")
    return run_wrk if kind == "get" else functools.partial(run_handshakes, kind, version)


def measure(name, kind, workload, seconds):
    """One turn: the figures by name."""
    server_cpus, client_cpus = servers.cpus(roams=kind.roams)
    client = client_of(workload)
    with servers.Server(name, kind, server_cpus, procs=1) as server:
        servers.check_answer(server, "", peers.HELLO)
        client(server, WARM_UP_S, client_cpus)
        watch = servers.CpuWatch(server)
        count, rate = client(server, seconds, client_cpus)
        return {"cpu_us": watch.own() * 1e6 / count, "rate": rate, "others": watch.others()}


def goals(rows, workload):
    if not GOALS[workload]:
        return []
    return [results.at_most(name, PEER, row["x_nginx"].median, GOALS[workload])
            for name, row in rows.items() if name.startswith("gust") and "x_nginx" in row]


def measure_workload(workload, kinds, args):
    samples = turns.take(kinds, args.rounds, workload, lambda name, _turn: measure(
        name, kinds[name], workload, args.seconds))
    for name, of in samples.items() if PEER in samples else ():
        of["x_nginx"] = results.ratios(samples, name, PEER, "cpu_us")
    rows = results.summarize(samples)
    options = ["--workload", workload,
               *(["--servers", ",".join(args.servers)] if args.servers else [])]
    return Result("tls", workload, turns.options(args, *options), args.rounds, FIGURES, rows,
                  goals(rows, workload))


def parse_args(argv=None):
    parser = turns.parser("tls", __doc__, seconds=3)
    parser.add_argument("--workload", action="append", choices=GOALS,
                        help="may be given several times (default: all)")
    parser.add_argument("--servers", type=turns.names,
                        help=f"separated by commas ({','.join(USUAL)}); also"
                             " gust-sqpoll,h2o,go,node")
    return parser.parse_args(argv)


def run(args):
    servers.raise_file_limit()
    kinds = servers.find(args.servers, kinds_with_tls(), USUAL)
    found = []
    for workload in args.workload or GOALS:
        found.append(measure_workload(workload, kinds, args))
        output.show(found[-1])
    return found


if __name__ == "__main__":
    turns.main("tls", parse_args, run)
