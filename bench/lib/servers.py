"""The servers that are measured: how each is started alone, watched and ended."""

import contextlib
import dataclasses
import os
import pathlib
import resource
import signal
import socket
import ssl
import subprocess
import tempfile
import time
import typing
import urllib.request

from . import peers
from .errors import Failure

START_S = 10
STOP_S = 15


# --- Questions to a server ------------------------------------------------------------


def get(s, path="/"):
    """One request on an open connection; false if the answer is not a 200."""
    s.sendall(f"GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n".encode())
    answer = b""
    while not answer.endswith(peers.HELLO):
        piece = s.recv(4096)
        if not piece:
            return False
        answer += piece
    return answer.startswith(b"HTTP/1.1 200 ")


def get_user(s):
    return get(s, "/users/42")


def insecure():
    """Our certificate is made for the occasion."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def get_tls(s):
    with insecure().wrap_socket(s) as tls:
        return get(tls)


def check_answer(server, path, expected, body=None):
    """Fails unless the answer to a GET, or a POST of the body, is a 200 with those bytes."""
    url = urllib.request.Request(server.url + path, data=body)
    context = insecure() if server.url.startswith("https") else None
    try:
        with urllib.request.urlopen(url, timeout=START_S, context=context) as answer:
            good = answer.status == 200 and answer.read() == expected
    except OSError as error:
        raise Failure(f"{server.name}: /{path}: {error}") from None
    if not good:
        raise Failure(f"{server.name}: the answer to /{path} is wrong")


# --- Kinds of servers --------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Kind:
    """A server by name.  `needs` is the program without which it cannot run; `limit` names the
    servers that set the mark for it; `probe` says of an open connection whether the server at
    its end answers well; `cert` and `origin` go into its Setup.  A roaming one has a thread of
    the kernel that takes a CPU of its own."""

    command: typing.Callable
    env: dict = dataclasses.field(default_factory=dict)
    limit: tuple = ()
    probe: typing.Callable = get
    needs: str = ""
    cert: peers.Certificate = None
    origin: int = 0
    roams: bool = False
    single: bool = False  # has one thread, whatever it is told

    @property
    def scheme(self):
        return "https" if self.cert else "http"


RING_LIMITS = ("limit-coop", "limit-coop-ms")
EPOLL_LIMIT = ("limit-epoll",)
POLLERS = ("uring", "epoll", "sqpoll")


def gusts(command, **more):
    """Ours with each poller."""
    return {f"gust-{poller}": Kind(command, {"GUST_NETPOLL": poller},
                                   EPOLL_LIMIT if poller == "epoll" else RING_LIMITS,
                                   roams=poller == "sqpoll", **more)
            for poller in POLLERS}


def limits(*modes):
    return {f"limit-{mode}": Kind(peers.limit(mode), single=True) for mode in modes}


OTHERS = {
    "nginx": Kind(peers.nginx, limit=EPOLL_LIMIT, needs="nginx"),
    "h2o": Kind(peers.h2o, limit=EPOLL_LIMIT, needs="h2o"),
    "go": Kind(peers.go, limit=EPOLL_LIMIT, needs="go"),
    "node": Kind(peers.node, {"NODE_ENV": "production"}, EPOLL_LIMIT, needs="node"),
}
KINDS = limits("coop", "coop-ms", "epoll") | gusts(peers.gust) | OTHERS
# As those, but gust with a router and all that bench/http.c serves.
ROUTED_KINDS = KINDS | gusts(peers.gust_routes, probe=get_user)
# Other ways to use a ring.
EXTRA_KINDS = limits("plain", "defer", "plain-ms", "defer-ms", "sqpoll")


def with_tls(kinds):
    """Those with a certificate; none of them has a limit."""
    return {name: dataclasses.replace(kind, cert=peers.certificate(), limit=(), probe=get_tls)
            for name, kind in kinds.items()}


def find(names, kinds, usual=None):
    """The named ones of the kinds, or the usual ones (default: all); those that are not
    installed are left out, and a line says so."""
    unknown = set(names or ()) - kinds.keys()
    if unknown:
        raise Failure(f"no server {', '.join(sorted(unknown))}; there are: {', '.join(kinds)}")
    found = {name: kinds[name] for name in names or usual or kinds}
    absent = [name for name, kind in found.items()
              if kind.needs and not peers.find_program(kind.needs)]
    if absent:
        print(f"not installed and left out: {', '.join(absent)}")
    return {name: kind for name, kind in found.items() if name not in absent}


# --- One running server ---------------------------------------------------------


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    """Started on the given CPUs, ready for requests; a context manager.

    Nothing else of the benchmark runs on those CPUs, so the figures taken from
    it are the server's alone."""

    def __init__(self, name, kind, cpus, procs):
        self.name = name
        self.kind = kind
        self.cpus = cpus
        self.procs = procs
        # Once it has ended: its exit status, and the end of what it wrote to stderr.
        self.status, self.said = None, None

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="gust-bench-"))
            self.stderr = stack.enter_context(tempfile.TemporaryFile())
            self.port = free_port()
            setup = peers.Setup(self.port, pathlib.Path(directory), self.procs, self.kind.cert,
                                self.kind.origin)
            procs = str(self.procs)
            self.url = f"{self.kind.scheme}://127.0.0.1:{self.port}/"
            self.process = subprocess.Popen(
                self.kind.command(setup),
                env=os.environ | {"GUST_MAXPROCS": procs, "GOMAXPROCS": procs} | self.kind.env,
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self.stderr,
                preexec_fn=lambda: os.sched_setaffinity(0, self.cpus))
            stack.callback(self._stop)
            self._wait_ready()
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *_):
        self.stack.close()

    def _wait_ready(self):
        end = time.monotonic() + START_S
        while True:
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=START_S) as s:
                    if not self.kind.probe(s):
                        raise Failure(f"{self.name}: the first answer is wrong")
                    return
            except ConnectionRefusedError:
                self.check_alive()
                if time.monotonic() > end:
                    raise Failure(f"{self.name}: does not listen after {START_S} s") from None
                time.sleep(0.01)

    def check_alive(self):
        if self.process.poll() is not None:
            raise Failure(f"{self.name}: ended with {self.process.returncode}: {self._complaint()}")

    def _complaint(self):
        self.stderr.seek(0)
        return self.stderr.read()[-2000:].decode(errors="replace").strip()

    def _stop(self):
        pids = self.pids()
        self.process.terminate()
        try:
            self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
            self.process.wait()
            raise Failure(f"{self.name}: does not end {STOP_S} s after SIGTERM") from None
        self.status, self.said = self.process.returncode, self._complaint()

    # --- What the kernel says of it ---

    def pids(self):
        """The process and its descendants."""
        found = [self.process.pid]
        for pid in found:
            for children in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
                found += map(int, children.read_text().split())
        return found

    def cpu_s(self):
        """CPU time of all threads, those that ended included.

        The CPU clocks of other processes (clock_getcpuclockid) count nanoseconds;
        /proc/PID/stat counts 10 ms ticks."""
        return sum(time.clock_gettime(~pid << 3 | 2) for pid in self.pids())

    def _proc_kib(self, file, field):
        total = 0
        for pid in self.pids():
            for line in pathlib.Path(f"/proc/{pid}/{file}").read_text().splitlines():
                if line.startswith(field + ":"):
                    total += int(line.split()[1])
        return total

    def rss_bytes(self):
        return self._proc_kib("status", "VmRSS") * 1024

    def pss_bytes(self):
        """Its share of resident memory."""
        return self._proc_kib("smaps_rollup", "Pss") * 1024

    def page_table_bytes(self):
        return self._proc_kib("status", "VmPTE") * 1024

    def fds(self):
        return sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in self.pids())


def cpus(procs=1, roams=False):
    """The CPUs of a server and of its client: apart, if there are so many."""
    usable = sorted(os.sched_getaffinity(0))
    if procs > len(usable):
        raise Failure(f"{procs} Ps need as many CPUs; there are {len(usable)}")
    servers = usable[:procs + roams]
    return set(servers), {usable[-1] if servers == usable else usable[len(servers)]}


def cpu_busy_s(cpus_read):
    """For how long these CPUs have worked, for whomever, in ticks of 10 ms."""
    total = 0
    for line in pathlib.Path("/proc/stat").read_text().splitlines():
        name, *ticks = line.split()
        if name[:3] == "cpu" and name[3:] and int(name[3:]) in cpus_read:
            user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, ticks[:8])
            total += user + nice + system + irq + softirq + steal
    return total / os.sysconf("SC_CLK_TCK")


class CpuWatch:
    """What a server's CPUs do from now on."""

    def __init__(self, server):
        self.server = server
        self.began_s, self.busy_s, self.own_s = self._read()

    def _read(self):
        return time.monotonic(), cpu_busy_s(self.server.cpus), self.server.cpu_s()

    def own(self):
        """The CPU time of the server since then."""
        return self.server.cpu_s() - self.own_s

    def others(self):
        """The share of the time in which somebody else had the CPUs."""
        now_s, busy_s, own_s = self._read()
        others_s = busy_s - self.busy_s - (own_s - self.own_s)
        return max(0, others_s) / (now_s - self.began_s)


def raise_file_limit(needed=0):
    """For this process and the servers it starts, as far as it may; returns the limit."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard < needed:
        with contextlib.suppress(ValueError, PermissionError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (needed, needed))
            return needed
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard
