"""Load from wrk on given CPUs, and what came of it."""

import json
import math
import os
import pathlib
import signal
import subprocess

from . import peers
from .errors import Failure

LIB = pathlib.Path(__file__).parent
# How long wrk may take to end when it is told to.
END_S = 30


class Load:
    """The figures of one run of wrk."""

    def __init__(self, line):
        self.__dict__.update(json.loads(line))

    @property
    def rps(self):
        return self.requests / self.duration_us * 1e6

    def trouble(self):
        """What makes the run worthless, or an empty text."""
        if self.errors or self.non_2xx:
            return f"{self.errors} socket errors, {self.non_2xx} answers that are not 2xx"
        return "" if self.requests else "no answers"


def run(server, connections, seconds, cpus, depth=1, threads=1, prefix=(), path="", body=0,
        script="load.lua"):
    """Loads a server for a while; depth is the number of pipelined requests, path is without
    its first slash, and a body of so many bytes makes it a POST.  prefix: a command that
    runs wrk; script: another one of this folder, to which all that does not matter.  Seconds
    may have a part."""
    wrk = peers.need_program("wrk")
    command = [*prefix, wrk, f"-t{threads}", f"-c{connections}", f"-d{math.ceil(seconds)}s", "-s",
               str(LIB / script), server.url + path, "--", str(depth), str(body)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          preexec_fn=lambda: os.sched_setaffinity(0, cpus)) as process:
        out, complaint = finish(process, seconds)
    server.check_alive()
    if process.returncode != 0:
        raise Failure(f"{server.name}: wrk: {(complaint or out).strip()}")
    return Load(out.splitlines()[-1])


def finish(process, seconds):
    """What wrk wrote.  It counts whole seconds; on SIGINT it ends early and reports."""
    if seconds != int(seconds):
        try:
            return process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)
    try:
        return process.communicate(timeout=seconds + END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        raise Failure("wrk does not end") from None


def checked(server, *args, **options):
    """The same; fails on any error."""
    result = run(server, *args, **options)
    if result.trouble():
        raise Failure(f"{server.name}: {result.trouble()}")
    return result


def run_client(server, name, *args, cpus):
    """One of bench/clients: what its line of JSON says."""
    command = [peers.built(peers.BUILD / "bench" / "clients" / name), *map(str, args)]
    done = subprocess.run(command, capture_output=True, text=True, check=False,
                          preexec_fn=lambda: os.sched_setaffinity(0, cpus))
    server.check_alive()
    if done.returncode != 0:
        raise Failure(f"{server.name}: the client: {done.stderr.strip()}")
    return json.loads(done.stdout)
