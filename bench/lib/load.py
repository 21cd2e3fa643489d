"""Load from wrk on given CPUs, and what came of it."""

import json
import os
import pathlib
import subprocess

from .servers import Failure

LIB = pathlib.Path(__file__).parent


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
    runs wrk; script: another one of this folder, to which all that does not matter."""
    command = [*prefix, "wrk", f"-t{threads}", f"-c{connections}", f"-d{seconds}s", "-s",
               str(LIB / script), server.url + path, "--", str(depth), str(body)]
    done = subprocess.run(command, capture_output=True, text=True, check=False,
                          preexec_fn=lambda: os.sched_setaffinity(0, cpus))
    server.check_alive()
    if done.returncode != 0:
        raise Failure(f"{server.name}: wrk: {(done.stderr or done.stdout).strip()}")
    return Load(done.stdout.splitlines()[-1])
