#!/usr/bin/env python3
"""What an idle keep-alive connection costs, and whether the active ones notice.

A server on one CPU first answers 64 active connections; then 10 000 others
make one request each and fall silent; then 64 active ones are served again,
and at last each idle one makes its second request.

"bytes each" is how much the server's share of resident memory and its page
tables grew, by connection.  The kernel's own memory for sockets is not in it,
and what a server allocated in advance shows only as far as it is now used."""

import argparse
import contextlib
import socket
import time

from lib import load, servers

ACTIVE = 64
SETTLE_S = 0.5
TIMEOUT_S = 10
# So many connections per source address leave enough ephemeral ports.
PER_ADDRESS = 10000


def open_idle(stack, server, count):
    """Connections that have had one answer each."""
    idle = []
    for i in range(count):
        source = (f"127.0.1.{1 + i // PER_ADDRESS}", 0)
        s = stack.enter_context(socket.create_connection(("127.0.0.1", server.port), TIMEOUT_S,
                                                         source))
        if not servers.get(s):
            raise servers.Failure(f"{server.name}: idle connection {i}: no good answer")
        idle.append(s)
    return idle


def count_broken(idle):
    """How many of them do not answer a second request."""
    broken = 0
    for s in idle:
        try:
            broken += not servers.get(s)
        except OSError:
            broken += 1
    return broken


def settled_memory(server):
    time.sleep(SETTLE_S)
    return server.memory_bytes()


def measure(name, kind, connections, seconds):
    server_cpu, client_cpu = servers.cpus()
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(servers.Server(name, kind, {server_cpu}, procs=1))
        alone = load.run(server, ACTIVE, seconds, {client_cpu})
        before = settled_memory(server)
        idle = open_idle(stack, server, connections)
        each = (settled_memory(server) - before) / connections
        among = load.run(server, ACTIVE, seconds, {client_cpu})
        broken = count_broken(idle)
    print(f"{name:14} {each:10.0f} {alone.p50_us:8} {alone.p99_us:7} {among.p50_us:8}"
          f" {among.p99_us:7} {alone.rps:9.0f} {among.rps:9.0f}  ", end="")
    trouble = [text for text in (alone.trouble(), among.trouble()) if text]
    if broken:
        trouble.append(f"{broken} idle connections broken")
    print("; ".join(trouble) or "none")
    return not trouble


def parse_args():
    parser = argparse.ArgumentParser(prog="bench idle", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--servers", type=lambda text: text.split(","),
                        default=["gust-uring", "gust-epoll", "nginx", "go"],
                        help="separated by commas (default: gust-uring,gust-epoll,nginx,go)")
    parser.add_argument("--connections", type=int, default=10000, help="the idle ones")
    parser.add_argument("--seconds", type=int, default=3, help="of load, without them and with")
    return parser.parse_args()


def main():
    args = parse_args()
    needed = args.connections + 2 * ACTIVE + 200
    if servers.raise_file_limit() < needed:
        raise servers.Failure(f"needs {needed} open files: raise the hard limit (ulimit -Hn)")
    kinds = servers.find(args.servers)
    print(f"{args.connections} idle connections, {ACTIVE} active")
    print(f"{'':14} {'':>10} {'without them':>16} {'with them':>16} {'without':>9} {'with':>9}")
    print(f"{'':14} {'bytes each':>10} {'p50 us':>8} {'p99 us':>7} {'p50 us':>8} {'p99 us':>7}"
          f" {'req/s':>9} {'req/s':>9}  errors")
    good = [measure(name, kind, args.connections, args.seconds) for name, kind in kinds.items()]
    return 0 if all(good) else 1


if __name__ == "__main__":
    servers.run_benchmark("idle", main)
