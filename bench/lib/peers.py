"""Ours, the limits and the programs of others: how each is started.

A command gets a Setup and returns an argument vector.  The configurations and sources of the
others are in bench/peers; in a configuration, @name@ stands for what is filled in here."""

import atexit
import functools
import os
import pathlib
import re
import resource
import shutil
import subprocess
import tempfile
import typing

from .errors import Absent, Failure

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("GUST_BUILD", ROOT / "build" / "release"))
PEERS = ROOT / "bench" / "peers"

HELLO = b"Hello, World!"
# How many paths a server tells apart, beside those that are asked for.
OTHER_ROUTES = 44
# What lies below files/, by name: bytes.
FILES = {"1k": 1 << 10, "100k": 100 << 10, "10m": 10 << 20}
# Descriptors of a server that are not connections.
FILES_RESERVE = 100
# Answers with the request's body; Debian's package libnginx-mod-http-echo.
NGINX_ECHO_MODULE = pathlib.Path("/usr/lib/nginx/modules/ngx_http_echo_module.so")


class Certificate(typing.NamedTuple):
    chain: pathlib.Path
    key: pathlib.Path


class Setup(typing.NamedTuple):
    """Where a server listens, the directory that it has for itself, how many Ps or threads or
    processes it has, its certificate if it speaks TLS, and for a proxy the origin's port."""

    port: int
    directory: pathlib.Path
    procs: int = 1
    cert: Certificate = None
    origin: int = 0

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"


# --- What is installed -------------------------------------------------------------


def find_program(name):
    """Its path, or None.  Some are where only root's PATH leads."""
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")


def need_program(name):
    path = find_program(name)
    if not path:
        raise Absent(f"{name} is not installed")
    return path


# What a server needs, and how it says which version it is.
VERSIONS = {
    "wrk": ("wrk", "-v"),
    "nginx": ("nginx", "-v"),
    "h2o": ("h2o", "-v"),
    "haproxy": ("haproxy", "-v"),
    "go": ("go", "version"),
    "node": ("node", "--version"),
}


def versions():
    """{program: the line with which it names itself, or None if it is not installed}."""
    found = {}
    for name, (program, option) in VERSIONS.items():
        path = find_program(program)
        if path:
            done = subprocess.run([path, option], capture_output=True, text=True, check=False)
            path = (done.stdout + done.stderr).partition("\n")[0].strip()
        found[name] = path
    return found


def built(path):
    if not path.exists():
        raise Failure(f"{path} is missing: build the release preset")
    return str(path)


# --- What they serve -----------------------------------------------------------------


@functools.cache
def files():
    """A folder with FILES, for as long as this process lives."""
    directory = tempfile.TemporaryDirectory(prefix="gust-bench-files-")
    atexit.register(directory.cleanup)
    folder = pathlib.Path(directory.name) / "files"
    folder.parent.chmod(0o755)  # nginx and h2o read as another user
    folder.mkdir()
    for name, size in FILES.items():
        (folder / name).write_bytes(os.urandom(size))
    (folder / "hello.txt").write_bytes(HELLO)
    return folder


def file_content(path):
    """What is below files/, by path."""
    return (files().parent / path).read_bytes()


@functools.cache
def certificate():
    """ECDSA on P-256, for as long as this process lives."""
    directory = tempfile.TemporaryDirectory(prefix="gust-bench-tls-")
    atexit.register(directory.cleanup)
    made = Certificate(*(pathlib.Path(directory.name) / name for name in ("cert.pem", "key.pem")))
    subprocess.run([need_program("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=localhost", "-days", "2",
                    "-out", made.chain, "-keyout", made.key], check=True, capture_output=True)
    return made


def fill(template, **values):
    """A file of bench/peers with its @names@ replaced."""
    text = (PEERS / template).read_text(encoding="utf-8")
    return re.sub(r"@(\w+)@", lambda match: str(values[match[1]]), text)


def write_config(setup, template, **values):
    """Fills it in and puts it into the server's directory; returns its path."""
    setup.directory.chmod(0o755)
    path = setup.directory / pathlib.Path(template).name
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    path.write_text(fill(template, port=setup.port, procs=setup.procs, files=limit, peers=PEERS,
                         connections=limit - FILES_RESERVE, root=files().parent, **values),
                    encoding="utf-8")
    return path


# --- Ours, and the limits ------------------------------------------------------------


def gust(setup):
    """Idle connections outlast the benchmark, as with the others."""
    tls = (["--tls-cert", str(setup.cert.chain), "--tls-key", str(setup.cert.key)]
           if setup.cert else [])
    return [built(BUILD / "examples" / "http_echo"), "--listen", setup.address,
            "--idle-timeout", "3600", "--debug-paths", *tls]


def gust_routes(setup):
    """The same work behind a router of 50 routes, and more."""
    return [built(BUILD / "bench" / "http"), setup.address, str(files())]


def gust_proxy(setup):
    return [built(BUILD / "examples" / "http_proxy"), "--listen", setup.address,
            "--upstream", f"http://127.0.0.1:{setup.origin}"]


def gust_echo(setup):
    return [built(BUILD / "examples" / "tcp_echo"), "--listen", setup.address]


def limit(mode, program="limit"):
    return lambda setup: [built(BUILD / "bench" / program), mode, str(setup.port)]


# --- Others ----------------------------------------------------------------------------


def nginx_can_echo():
    return NGINX_ECHO_MODULE.exists()


def _nginx(setup, template, **values):
    path = write_config(setup, template, **values)
    return [need_program("nginx"), "-e", "stderr", "-p", str(setup.directory), "-c", path.name]


def nginx(setup):
    tls = f"""ssl;
        ssl_certificate {setup.cert.chain};
        ssl_certificate_key {setup.cert.key}""" if setup.cert else ""
    echo = nginx_can_echo()
    others = [f"location /api/{i}/ {{ return 200 \"other\"; }}" for i in range(OTHER_ROUTES)]
    return _nginx(setup, "nginx/serve.conf", tls=tls, others="\n".join(others),
                  modules=f"load_module {NGINX_ECHO_MODULE};" if echo else "",
                  echo=f"include {PEERS}/nginx/echo.conf;" if echo else "")


def nginx_proxy(setup):
    return _nginx(setup, "nginx/proxy.conf", origin=setup.origin)


def _h2o(setup, template, **values):
    tls = (f"ssl: {{certificate-file: {setup.cert.chain}, key-file: {setup.cert.key}}}"
           if setup.cert else "")
    return [need_program("h2o"), "-c", str(write_config(setup, template, tls=tls, **values))]


def h2o(setup):
    others = "\n".join(f'      "/api/{i}": {{file.file: {files()}/hello.txt}}'
                       for i in range(OTHER_ROUTES))
    return _h2o(setup, "h2o/serve.yaml", others=others)


def h2o_proxy(setup):
    return _h2o(setup, "h2o/proxy.yaml", origin=setup.origin)


def haproxy_proxy(setup):
    path = write_config(setup, "haproxy/proxy.cfg", origin=setup.origin)
    return [need_program("haproxy"), "-db", "-q", "-f", str(path)]


@functools.cache
def build_go(peer):
    """The program of bench/peers/PEER."""
    binary = BUILD / "bench" / peer
    done = subprocess.run([need_program("go"), "build", "-buildvcs=false", "-o", str(binary), "."],
                          cwd=PEERS / peer, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failure(f"{peer} cannot be built: {done.stderr.strip()}")
    return str(binary)


def go(setup):
    return [build_go("gohttp"), setup.address, str(files()), *map(str, setup.cert or ())]


def go_proxy(setup):
    return [build_go("goproxy"), setup.address, f"http://127.0.0.1:{setup.origin}"]


def node(setup):
    return [need_program("node"), str(PEERS / "node" / "http.js"), str(setup.port),
            str(setup.procs), str(files()), *map(str, setup.cert or ())]
