#!/usr/bin/env python3
"""What does a proxied request cost, against nginx and Go's ReverseProxy?

The proxy runs alone on one CPU; on the other are the client (wrk) and the origin: for GET
the limit program (bench/limit.c), for files nginx.  All keep their connections to the
origin alive.  "CPU us/request" is the CPU time of the proxy's threads per answer: the
figure to trust.  Requests per second say how fast the shared other CPU is.

The proxies take turns, afresh each time; the table has the median turn."""

import pathlib
import statistics
import tempfile

from lib import load, machine, output, servers, turns

WARM_UP_S = 1
FIGURES = ("cpu_us", "rps", "p50_us", "p99_us")
# Connections, path, who answers behind the proxy.
WORKLOADS = {
    "get-64": (64, "", "limit-epoll"),
    "file-100k": (64, "files/100k", "nginx"),
    "file-10m": (16, "files/10m", "nginx"),
}
# The most that a request may cost, in times of what it costs there.
GOALS = {("get-64", "nginx"): 0.75, ("get-64", "go"): 1 / 6}

NGINX_ORIGIN = """
    upstream origin {{
        server 127.0.0.1:{origin};
        keepalive 128;
        keepalive_requests 1000000000;
    }}"""
NGINX_PASS = """
        location / {
            proxy_pass http://origin;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header X-Forwarded-Host $http_host;
            proxy_buffering off;
        }"""


def gust(origin):
    return lambda port, _directory: [
        servers.program(servers.BUILD / "examples" / "http_proxy"), "--listen", f"127.0.0.1:{port}",
        "--upstream", f"http://127.0.0.1:{origin}"]


def nginx(origin):
    return lambda port, directory: servers.nginx_command(
        port, directory, NGINX_PASS, http=NGINX_ORIGIN.format(origin=origin))


def go(origin):
    def command(port, _directory):
        binary = servers.build_go("goproxy")
        return binary and [binary, f"127.0.0.1:{port}", f"http://127.0.0.1:{origin}"]
    return command


PROXIES = {
    "gust-uring": (gust, {"GUST_NETPOLL": "uring"}),
    "gust-epoll": (gust, {"GUST_NETPOLL": "epoll"}),
    "nginx": (nginx, {}),
    "go": (go, {}),
}


def find(names):
    """Those that are installed."""
    unknown = set(names or ()) - PROXIES.keys()
    if unknown:
        raise servers.Failure(f"no proxy {', '.join(sorted(unknown))};"
                              f" there are: {', '.join(PROXIES)}")
    with tempfile.TemporaryDirectory() as directory:
        return [name for name in names or PROXIES
                if PROXIES[name][0](1)(1, pathlib.Path(directory))]


def measure(name, workload, seconds):
    """One turn: the figures by name."""
    connections, path, origin_name = WORKLOADS[workload]
    proxy_cpu, other_cpu = servers.cpus()
    make, env = PROXIES[name]
    with servers.Server(origin_name, servers.KINDS[origin_name], {other_cpu}, procs=1) as origin:
        kind = servers.Kind(make(origin.port), env, probe=lambda s: servers.get(s, "/"))
        with servers.Server(name, kind, {proxy_cpu}, procs=1) as proxy:
            ask = {"cpus": {other_cpu}, "path": path}
            warm_up = load.run(proxy, connections, WARM_UP_S, **ask)
            watch = servers.CpuWatch(proxy, proxy_cpu)
            result = load.run(proxy, connections, seconds, **ask)
            cpu_s = watch.own()
    trouble = warm_up.trouble() or result.trouble()
    if trouble:
        raise servers.Failure(f"{name}, {workload}: {trouble}")
    return {"cpu_us": cpu_s * 1e6 / result.requests, "rps": result.rps, "p50_us": result.p50_us,
            "p99_us": result.p99_us}


def summarize(samples):
    summary = {}
    for name, of in samples.items():
        summary[name] = {figure: round(statistics.median(of[figure]), 2) for figure in FIGURES}
        summary[name] |= {"cpu_us_min": round(min(of["cpu_us"]), 2),
                          "cpu_us_max": round(max(of["cpu_us"]), 2)}
    return summary


def verdicts(summary, name, workload):
    if not name.startswith("gust"):
        return ""
    ratios = {other: summary[name]["cpu_us"] / summary[other]["cpu_us"]
              for other in ("nginx", "go") if other in summary}
    return "  ".join(
        f"{times:.2f} of {other}" + ("" if (workload, other) not in GOALS else
                                     f" <= {GOALS[workload, other]:.2f}"
                                     f" {'met' if times <= GOALS[workload, other] else 'MISSED'}")
        for other, times in ratios.items())


def print_table(workload, summary, rounds, seconds):
    print(f"\n{workload}: median of {rounds} rounds of {seconds} s")
    print(f"{'':12} {'CPU us/request':>14} {'min - max':>17} {'req/s':>8} {'p50 us':>7} {'p99 us':>7}")
    for name, row in summary.items():
        spread = f"{row['cpu_us_min']:.2f} - {row['cpu_us_max']:.2f}"
        print(f"{name:12} {row['cpu_us']:14.2f} {spread:>17} {row['rps']:8.0f} {row['p50_us']:7.0f}"
              f" {row['p99_us']:7.0f}  {verdicts(summary, name, workload)}")


def parse_args():
    parser = turns.parser("proxy", __doc__)
    parser.add_argument("--workload", action="append", choices=WORKLOADS,
                        help="may be given several times (default: all)")
    parser.add_argument("--servers", type=turns.names,
                        help=f"separated by commas, of: {', '.join(PROXIES)}")
    return parser.parse_args()


def main():
    args = parse_args()
    servers.raise_file_limit()
    names = find(args.servers)
    where = machine.describe()
    print(", ".join(f"{name} {value}" for name, value in where.items()))
    lines = []
    for workload in args.workload or WORKLOADS:
        summary = summarize(turns.take(
            names, args.rounds, workload,
            lambda name, _turn, of=workload: measure(name, of, args.seconds)))
        print_table(workload, summary, args.rounds, args.seconds)
        lines.append(where | {"workload": f"proxy-{workload}", "rounds": args.rounds,
                              "seconds": args.seconds, "servers": summary})
    output.keep(lines, args.json)


if __name__ == "__main__":
    servers.run_benchmark("proxy", main)
