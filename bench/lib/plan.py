"""What the suite runs: its parts, how long each takes, and how its plot is drawn."""

import dataclasses
import typing

from . import plots

ROUNDS = 5
# Short turns, so that all of it fits into a quarter of an hour.
TURN_S, QUICK_TURN_S = 0.6, 0.3
GUSTS = "gust-uring,gust-epoll"


@dataclasses.dataclass(frozen=True)
class Step:
    """A command.  turns: of how many servers, each round; turn_s: how long one takes, or what
    it takes beside the time that is measured."""

    bench: str
    options: str
    turns: int
    turn_s: float
    measured_s: float = TURN_S  # 0: the benchmark's own

    def _rounds(self, quick):
        """How many, and how long is measured in each."""
        return (1, min(QUICK_TURN_S, self.measured_s)) if quick else (ROUNDS, self.measured_s)

    def seconds(self, quick):
        rounds, measured_s = self._rounds(quick)
        return self.turns * rounds * (self.turn_s + measured_s)

    def arguments(self, quick):
        rounds, measured_s = self._rounds(quick)
        return [*self.options.split(), "--rounds", str(rounds),
                *(["--seconds", str(measured_s)] if measured_s else [])]


@dataclasses.dataclass(frozen=True)
class Part:
    """A chapter of the page.  plot(path, results) draws, and is false if there is nothing to
    draw."""

    name: str
    title: str
    text: str
    steps: tuple
    plot: typing.Callable

    def seconds(self, quick):
        return sum(step.seconds(quick) for step in self.steps)


# --- Plots --------------------------------------------------------------------------


def _values(result, figure):
    return {subject: row[figure] for subject, row in result.rows.items() if figure in row}


def bars_of(figure, reference=None):
    """A panel for each result that has the figure."""
    def draw(path, results):
        panels = [(f"{result.bench} {result.workload}", result.figures[figure].label,
                   result.figures[figure].format, _values(result, figure))
                  for result in results if figure in result.figures and _values(result, figure)]
        if panels:
            plots.bars(path, panels, reference)
        return bool(panels)
    return draw


def percentiles(path, results):
    """A line for each server, from the median to the worst."""
    figures = {name: figure for name, figure in results[0].figures.items()
               if name in ("p50_us", "p90_us", "p99_us", "p99_9_us", "max_us")}
    series = {subject: [(figure.label.removesuffix(" us"), row[name])
                        for name, figure in figures.items()]
              for subject, row in results[0].rows.items()}
    plots.lines(path, f"{results[0].bench} {results[0].workload}", "", "latency, us", series)
    return True


def by_connections(path, results):
    """The cost with one P, by the number of connections: what scale calls get-N-1p."""
    series = {}
    for result in results:
        _get, connections, procs = result.workload.split("-")
        for subject, row in result.rows.items() if procs == "1p" else ():
            series.setdefault(subject, []).append((int(connections), row["cpu_us"]))
    if series:
        plots.lines(path, "a GET, one P", "connections", "CPU us/request", series)
    return bool(series)


def memory(path, results):
    """Of connections, and of goroutines: runtime has a column for each language."""
    panels = []
    for result in results:
        if "bytes" in result.figures:
            panels.append(("an idle connection", "bytes", ".0f", _values(result, "bytes")))
        elif "parked_bytes" in result.rows:
            row = result.rows["parked_bytes"]
            panels.append(("a parked goroutine", "bytes", ".0f",
                           {name: row[name] for name in ("gust", "go") if name in row}))
    if panels:
        plots.bars(path, panels)
    return bool(panels)


# --- The plan -----------------------------------------------------------------------

HTTP_ALL = f"limit-coop,limit-coop-ms,limit-epoll,{GUSTS},gust-sqpoll,nginx,h2o,go,node"
HTTP_POST = f"{GUSTS},nginx,go,node"
HTTP_FILES = f"{GUSTS},nginx,h2o,go,node"
TLS_ALL = f"nginx,{GUSTS},h2o,go,node"

PARTS = (
    Part("http", "HTTP",
         "The CPU time that an answer costs the server, which has one P or thread on a CPU of its"
         " own; wrk has another. The limits are loops that parse nothing.",
         (Step("http", f"--workload get-64 --servers {HTTP_ALL}", 10, 0.57),
          Step("http", f"--workload pipeline16-64 --servers {HTTP_ALL}", 10, 0.57),
          Step("http", f"--workload post-1k --servers {HTTP_POST}", 5, 0.57),
          Step("http", f"--workload file-1k --servers {HTTP_FILES}", 6, 0.57),
          Step("http", f"--workload file-100k --servers {HTTP_FILES}", 6, 0.57)),
         bars_of("cpu_us")),
    Part("tls", "TLS",
         "The same over TLS 1.3 with one ECDSA certificate, and what a full handshake with one"
         " request costs.",
         (Step("tls", f"--workload get-64 --servers {TLS_ALL}", 6, 0.57),
          Step("tls", f"--workload full-1.3 --servers {TLS_ALL}", 6, 0.57)),
         bars_of("cpu_us")),
    Part("proxy", "Reverse proxy",
         "The CPU time of the proxy for each request that it passes on. Client and origin share"
         " the other CPU.",
         (Step("proxy", "--workload get-64", 6, 0.6),
          Step("proxy", "--workload file-100k", 6, 0.6)),
         bars_of("cpu_us")),
    Part("tcp", "TCP echo",
         "64 connections send a message and wait for it to come back. The loops are hand-written,"
         " and have neither goroutines nor deadlines.",
         (Step("tcp", "--conns 64 --size 64", 4, 0.4),
          Step("tcp", "--conns 64 --size 65536", 4, 0.4)),
         bars_of("cpu_us")),
    Part("scale", "Connections",
         "The cost of a GET with 1 to 10 000 connections, all of which ask all the time.",
         (Step("scale", f"--conns 1,8,64,512,4096,10000 --servers {GUSTS},nginx", 18, 0.55),),
         by_connections),
    Part("procs", "Ps",
         "The same on 256 connections with one P (thread, process) and with two. On a machine with"
         " two CPUs the client shares them with two Ps: then only the CPU time compares.",
         (Step("scale", f"--conns 256 --procs 1,2 --servers {GUSTS},nginx,go,node", 10, 0.45),),
         bars_of("cpu_us")),
    Part("latency", "Latency",
         "Requests fall due at random moments at half the rate of which the slowest of gust, nginx"
         " and h2o is capable, and latency counts from then: an open loop.",
         (Step("latency", f"--servers {GUSTS},nginx,h2o,go", 6, 0.6),),
         percentiles),
    Part("stall", "Handlers that block",
         "One request in 100 blocks its thread for 50 ms, without telling the runtime; the latency"
         " is that of the other 99, in an open loop, on one P.",
         (Step("stall", "--workload percent", 4, 0.5, measured_s=1.5),),
         percentiles),
    Part("runtime", "The runtime against Go",
         "Nanoseconds for each operation, by the same loops in both. The plot shows the ratio:"
         " left of the line gust takes less.",
         (Step("runtime", "--procs 1 --without parked --runs 2", 2, 4.5, measured_s=0),
          Step("runtime", "--procs 2 --without parked --runs 2", 2, 4.5, measured_s=0)),
         bars_of("x_go", reference=1)),
    Part("memory", "Memory",
         "Resident bytes for each of 10 000 idle keep-alive connections, and for each of a million"
         " goroutines that wait on a channel.",
         (Step("conns", f"--connections 10000 --servers {GUSTS},nginx,go", 4, 3.0),
          Step("runtime", "--procs 1 --only parked", 2, 2.5, measured_s=0)),
         memory),
    Part("syscalls", "System calls",
         "System calls for each request, by poller.",
         (Step("syscalls", "--connections 64", 3, 0.9),),
         bars_of("serving")),
)
