"""The servers that are measured: how each is started alone, watched and ended."""

import contextlib
import functools
import os
import pathlib
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("GUST_BUILD", ROOT / "build" / "release"))
START_S = 10
STOP_S = 15

NGINX_CONF = """
{modules}
daemon off;
worker_processes 1;
worker_rlimit_nofile {files};
pid nginx.pid;
error_log stderr;
events {{ worker_connections {connections}; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush off; # on, large files cost three times as much over loopback
    keepalive_requests 1000000000;
    keepalive_timeout 3600;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    {http}
    server {{
        listen 127.0.0.1:{port} backlog=4096{tls};
        default_type text/plain;
        {locations}
    }}
}}
"""
NGINX_LOCATIONS = """
        location / { return 200 "Hello, World!"; }
        location /files/ { root .; }"""


NGINX_TLS = """ ssl;
        ssl_protocols TLSv1.2 TLSv1.3;
        ssl_certificate {chain};
        ssl_certificate_key {key}"""


# Answers with the request's body, all of which it holds in memory first; Debian's package
# libnginx-mod-http-echo.
NGINX_ECHO_MODULE = pathlib.Path("/usr/lib/nginx/modules/ngx_http_echo_module.so")
NGINX_ECHO = """
        location = /echo {
            client_body_buffer_size 128k;
            client_body_in_single_buffer on;
            echo_read_request_body;
            echo_request_body;
        }"""

# How many paths a server tells apart, beside those that are asked for.
OTHER_ROUTES = 44
# What lies below files/, by name: bytes.
FILES = {"1k": 1 << 10, "100k": 100 << 10, "10m": 10 << 20}


class Failure(Exception):
    """What ends a benchmark with a message and status 1."""


# --- The commands -------------------------------------------------------------
# Each gets the port and a directory of its own, and returns its argument vector,
# or None if it is not installed.


def program(path):
    if not path.exists():
        raise Failure(f"{path} is missing: build the release preset")
    return str(path)


def gust(port, _directory, cert=None):
    # As with nginx below, idle connections outlast the benchmark.
    tls = ["--tls-cert", str(cert.chain), "--tls-key", str(cert.key)] if cert else []
    return [program(BUILD / "examples" / "http_echo"), "--listen", f"127.0.0.1:{port}",
            "--idle-timeout", "3600", *tls]


def make_files(directory):
    """A folder "files" in the directory; returns its path."""
    folder = directory / "files"
    directory.chmod(0o755)  # nginx reads as another user
    folder.mkdir(exist_ok=True)
    for name, size in FILES.items():
        (folder / name).write_bytes(os.urandom(size))
    return folder


def gust_routes(port, directory):
    """The same work behind a router of 50 routes, and more."""
    return [program(BUILD / "bench" / "http"), f"127.0.0.1:{port}", str(make_files(directory))]


def limit(mode):
    return lambda port, _directory: [program(BUILD / "bench" / "limit"), mode, str(port)]


def nginx_can_echo():
    return NGINX_ECHO_MODULE.exists()


def nginx_path():
    """None if it is not installed."""
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")


def nginx_command(port, directory, locations, http="", modules="", tls=""):
    """With so much more in its configuration; None if it is not installed."""
    path = nginx_path()
    if not path:
        return None
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    conf = NGINX_CONF.format(port=port, files=files, connections=files - 100, tls=tls, http=http,
                             modules=modules, locations=locations)
    (directory / "nginx.conf").write_text(conf)
    return [path, "-e", "stderr", "-p", str(directory), "-c", "nginx.conf"]


def nginx(port, directory, cert=None):
    tls = NGINX_TLS.format(chain=cert.chain, key=cert.key) if cert else ""
    modules = f"load_module {NGINX_ECHO_MODULE};" if nginx_can_echo() else ""
    locations = [NGINX_LOCATIONS, NGINX_ECHO if nginx_can_echo() else ""]
    locations += [f"location /api/{i}/ {{ return 200 \"other\"; }}" for i in range(OTHER_ROUTES)]
    make_files(directory)
    return nginx_command(port, directory, "\n".join(locations), modules=modules, tls=tls)


@functools.cache
def build_go(peer):
    """The program of bench/peers/PEER, built; None if Go is not installed."""
    if not shutil.which("go"):
        return None
    binary = BUILD / "bench" / peer
    subprocess.run(["go", "build", "-buildvcs=false", "-o", str(binary), "."],
                   cwd=ROOT / "bench" / "peers" / peer, check=True)
    return str(binary)


def go(port, directory):
    binary = build_go("gohttp")
    return [binary, f"127.0.0.1:{port}", str(make_files(directory))] if binary else None


def get(s, path="/"):
    """One request on an open connection; false if the answer is not a 200."""
    s.sendall(f"GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n".encode())
    answer = b""
    while not answer.endswith(b"Hello, World!"):
        piece = s.recv(4096)
        if not piece:
            return False
        answer += piece
    return answer.startswith(b"HTTP/1.1 200 ")


def get_user(s):
    return get(s, "/users/42")


class Kind:
    """A server by name.  `limit` names the servers that set the mark for it; `probe`
    says of an open connection whether the server at its end answers well."""

    def __init__(self, command, env=None, limit=(), probe=get, scheme="http"):
        self.command = command
        self.scheme = scheme
        self.env = env or {}
        self.limit = limit
        self.probe = probe


RING_LIMITS = ("limit-coop", "limit-coop-ms")
EPOLL_LIMIT = ("limit-epoll",)
KINDS = {
    "limit-coop": Kind(limit("coop")),
    "limit-coop-ms": Kind(limit("coop-ms")),
    "limit-epoll": Kind(limit("epoll")),
    "gust-uring": Kind(gust, {"GUST_NETPOLL": "uring"}, RING_LIMITS),
    "gust-epoll": Kind(gust, {"GUST_NETPOLL": "epoll"}, EPOLL_LIMIT),
    "nginx": Kind(nginx, None, EPOLL_LIMIT),
    "go": Kind(go, None, EPOLL_LIMIT),
}
# As those, but gust with a router and all that bench/http.c serves.
ROUTED_KINDS = KINDS | {
    "gust-uring": Kind(gust_routes, {"GUST_NETPOLL": "uring"}, RING_LIMITS, get_user),
    "gust-epoll": Kind(gust_routes, {"GUST_NETPOLL": "epoll"}, EPOLL_LIMIT, get_user),
}
# Known, but measured only when asked for.
EXTRA_KINDS = {f"limit-{mode}": Kind(limit(mode))
               for mode in ("plain", "defer", "plain-ms", "defer-ms", "sqpoll")}


def find(names, kinds=None):
    """The named ones of the kinds (default: KINDS) and of EXTRA_KINDS, or all of the former;
    those that are not installed are left out."""
    kinds = kinds or KINDS
    known = kinds | EXTRA_KINDS
    unknown = set(names or ()) - known.keys()
    if unknown:
        raise Failure(f"no server {', '.join(sorted(unknown))}; there are: {', '.join(known)}")
    with tempfile.TemporaryDirectory() as directory:
        return {name: known[name] for name in names or kinds
                if known[name].command(1, pathlib.Path(directory))}


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
        self.procs = str(procs)
        # Once it has ended: its exit status, and the end of what it wrote to stderr.
        self.status, self.said = None, None

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="gust-bench-"))
            self.stderr = stack.enter_context(tempfile.TemporaryFile())
            self.port = free_port()
            self.url = f"{self.kind.scheme}://127.0.0.1:{self.port}/"
            self.process = subprocess.Popen(
                self.kind.command(self.port, pathlib.Path(directory)),
                env=os.environ | {"GUST_MAXPROCS": self.procs, "GOMAXPROCS": self.procs}
                | self.kind.env,
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


def cpus():
    """The server's CPU and the client's."""
    usable = sorted(os.sched_getaffinity(0))
    return usable[0], usable[1 % len(usable)]


def cpu_busy_s(cpu):
    """For how long a CPU has worked, for whomever, in ticks of 10 ms."""
    for line in pathlib.Path("/proc/stat").read_text().splitlines():
        name, *ticks = line.split()
        if name == f"cpu{cpu}":
            user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, ticks[:8])
            return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")
    raise Failure(f"/proc/stat knows no CPU {cpu}")


class CpuWatch:
    """What a server's CPU does from now on."""

    def __init__(self, server, cpu):
        self.server, self.cpu = server, cpu
        self.began_s, self.busy_s, self.own_s = self._read()

    def _read(self):
        return time.monotonic(), cpu_busy_s(self.cpu), self.server.cpu_s()

    def own(self):
        """The CPU time of the server since then."""
        return self.server.cpu_s() - self.own_s

    def others(self):
        """The share of the time in which somebody else had the CPU."""
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


def run_benchmark(name, main):
    """Ends with main's status or failure; on SIGTERM as on Ctrl-C, after the servers."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        sys.exit(main())
    except Failure as failure:
        sys.exit(f"bench {name}: {failure}")
    except KeyboardInterrupt:
        sys.exit(130)
