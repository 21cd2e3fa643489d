#!/usr/bin/env python3
"""What TLS costs gust's HTTP server, against nginx with the same certificate and OpenSSL.

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

import collections
import functools
import json
import os
import pathlib
import ssl
import statistics
import subprocess
import tempfile

from lib import load, machine, output, servers, turns

CONNECTIONS = 64
WARM_UP_S = 1
PEER = "nginx"
# The most that it may cost, in times of nginx.
GOALS = {"get-64": 0.95, "full-1.3": 1.0, "full-1.2": 1.0, "resumed-1.3": None,
         "resumed-1.2": None}

Certificate = collections.namedtuple("Certificate", "chain key")


def make_certificate(directory):
    made = Certificate(directory / "cert.pem", directory / "key.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=localhost", "-days", "2",
                    "-out", made.chain, "-keyout", made.key], check=True, capture_output=True)
    return made


def answers(s):
    """The probe of a new server."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with context.wrap_socket(s) as tls:
        return servers.get(tls)


def find(cert):
    nginx = functools.partial(servers.nginx, cert=cert)
    gust = functools.partial(servers.gust, cert=cert)
    kinds = {PEER: servers.Kind(nginx, probe=answers, scheme="https")}
    for poller in ("uring", "epoll"):
        kinds[f"gust-{poller}"] = servers.Kind(gust, {"GUST_NETPOLL": poller}, probe=answers,
                                               scheme="https")
    if not nginx(1, cert.key.parent):
        raise servers.Failure("nginx is not installed")
    return kinds


def run_wrk(server, seconds, cpu):
    result = load.run(server, CONNECTIONS, seconds, {cpu})
    if result.trouble():
        raise servers.Failure(f"{server.name}: {result.trouble()}")
    return result.requests, result.rps


def run_handshakes(kind, version, server, seconds, cpu):
    command = [servers.program(servers.BUILD / "bench" / "clients" / "handshakes"),
               str(server.port), kind, version, str(seconds * 1000)]
    done = subprocess.run(command, capture_output=True, text=True, check=False,
                          preexec_fn=lambda: os.sched_setaffinity(0, {cpu}))
    server.check_alive()
    if done.returncode != 0:
        raise servers.Failure(f"{server.name}: {done.stderr.strip()}")
    counted = json.loads(done.stdout)
    return counted["handshakes"], counted["handshakes"] / counted["duration_us"] * 1e6


def client_of(workload):
    kind, version = workload.split("-")
    return run_wrk if kind == "get" else functools.partial(run_handshakes, kind, version)


def measure(name, kind, workload, seconds):
    """One turn: the figures by name."""
    server_cpu, client_cpu = servers.cpus()
    run = client_of(workload)
    with servers.Server(name, kind, {server_cpu}, procs=1) as server:
        run(server, WARM_UP_S, client_cpu)
        watch = servers.CpuWatch(server, server_cpu)
        count, rate = run(server, seconds, client_cpu)
        return {"cpu_us": watch.own() * 1e6 / count, "rate": rate, "others": watch.others()}


def summarize(samples, workload):
    """What is printed and kept of each server, by its name."""
    summary = {}
    for name, of in samples.items():
        ratios = [own / peer for own, peer in zip(of["cpu_us"], samples[PEER]["cpu_us"])]
        row = {"cpu_us": round(statistics.median(of["cpu_us"]), 2),
               "rate": round(statistics.median(of["rate"])),
               "others": round(max(of["others"]), 2),
               "x_nginx": round(statistics.median(ratios), 3),
               "x_nginx_min": round(min(ratios), 3), "x_nginx_max": round(max(ratios), 3)}
        if name != PEER and GOALS[workload]:
            row["ok"] = row["x_nginx"] <= GOALS[workload]
        summary[name] = row
    return summary


def print_table(workload, summary):
    print(f"\n{workload}")
    print(f"{'':11} {'CPU us each':>11} {'x nginx':>8} {'min - max':>14} {'goal':15}"
          f" {'/s':>7} {'others':>7}")
    for name, row in summary.items():
        spread = f"{row['x_nginx_min']:.3f} - {row['x_nginx_max']:.3f}"
        goal = f"<= {GOALS[workload]} {'ok' if row['ok'] else 'short'}" if "ok" in row else ""
        print(f"{name:11} {row['cpu_us']:11.2f} {row['x_nginx']:8.3f} {spread:>14} {goal:15}"
              f" {row['rate']:7.0f} {row['others']:7.0%}")


def parse_args():
    parser = turns.parser("tls", __doc__)
    parser.add_argument("--workload", action="append", choices=GOALS,
                        help="may be given several times (default: all)")
    return parser.parse_args()


def main():
    args = parse_args()
    servers.raise_file_limit()
    where = machine.describe()
    print(", ".join(f"{name} {value}" for name, value in where.items()))
    print(f"medians of {args.rounds} rounds of {args.seconds} s")
    lines, short = [], 0
    with tempfile.TemporaryDirectory(prefix="gust-bench-") as directory:
        kinds = find(make_certificate(pathlib.Path(directory)))
        for workload in args.workload or GOALS:
            samples = turns.take(
                kinds, args.rounds, workload,
                lambda name, _turn, of=workload: measure(name, kinds[name], of, args.seconds))
            summary = summarize(samples, workload)
            print_table(workload, summary)
            short += sum(row.get("ok") is False for row in summary.values())
            lines.append(where | {"workload": f"tls-{workload}", "rounds": args.rounds,
                                  "seconds": args.seconds, "servers": summary})
    output.keep(lines, args.json)
    print(f"\n{short} short of their goal" if short else "\nall goals met")
    return 1 if short else 0


if __name__ == "__main__":
    servers.run_benchmark("tls", main)
