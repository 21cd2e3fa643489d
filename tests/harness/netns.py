"""Hosts in network namespaces, and links between them that can be as bad as wanted.

isolated(main) runs a function as the first process of namespaces of its own, for
networks, processes and mounts.  However it ends, the kernel then ends every process
in there, and with the last one go hosts, links and addresses: nothing has a name
outside, so nothing can be left behind."""

import contextlib
import ctypes
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import typing

WIRE = pathlib.Path(__file__).with_name("wire.py")
SKIPPED = 77  # the exit status for "not possible here"
WAIT_S = 30  # bounds every wait; nothing takes that long unless it hangs

CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWNET = 0x00020000, 0x20000000, 0x40000000
MS_REC, MS_PRIVATE = 0x4000, 0x40000
PR_SET_PDEATHSIG = 1

# Where some systems keep ip and tc, and where not everybody's PATH leads.
os.environ["PATH"] = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"

libc = ctypes.CDLL(None, use_errno=True)


class Unavailable(Exception):
    """Why this machine cannot do it."""


def call(name, *args):
    """A function of libc that returns -1 and sets errno."""
    if getattr(libc, name)(*args) < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")


# --- Isolation ------------------------------------------------------------------


def _die_with_parent():
    call("prctl", PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _leave_everything():
    if os.geteuid() != 0:
        raise Unavailable("network namespaces need root")
    for program in ("ip", "tc", "ss"):
        if not shutil.which(program):
            raise Unavailable(f"{program} is not installed (package iproute2)")
    try:
        call("unshare", CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWPID)
        # What is mounted from here on nobody else sees.
        call("mount", b"none", b"/", None, MS_REC | MS_PRIVATE, None)
    except OSError as error:
        raise Unavailable(f"no namespaces here: {error.strerror}") from None


def _first_process(main):
    _die_with_parent()
    try:
        call("mount", b"proc", b"/proc", b"proc", 0, None)
        # Where ip(8) keeps the names of namespaces.
        call("mount", b"tmpfs", b"/run", b"tmpfs", 0, None)
        run("ip", "link", "set", "lo", "up")
        run("ip", "netns", "add", "probe")
        run("ip", "netns", "exec", "probe", "true")
        run("ip", "netns", "del", "probe")
    except (OSError, RuntimeError) as error:
        raise Unavailable(f"no namespaces here: {error}") from None
    return main()


def _fork(run_child):
    """The pid of a process that does nothing else, and exits with what it returns."""
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        status = run_child()
    except Unavailable as reason:
        print(f"skipped: {reason}")
        status = SKIPPED
    except BaseException:  # pylint: disable=broad-except
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def fork_isolated(main):
    """The pid of a process that exits with what main() returns, or with SKIPPED once it
    has said why this machine cannot do it.  To kill it is to end all that main started."""

    def parent():
        # It cannot enter the namespace of processes that it makes; its child is the first.
        _die_with_parent()
        _leave_everything()
        child = _fork(lambda: _first_process(main))
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    return _fork(parent)


def isolated(main):
    """The same, and waits for it.  SIGTERM and SIGINT end it."""
    pid = fork_isolated(main)

    def end(signo, _frame):
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os._exit(128 + signo)

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    return status


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=WAIT_S, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


# --- Hosts ------------------------------------------------------------------------


class Host:
    """A namespace with one interface, eth0, that has an address of each family."""

    def __init__(self, name, number):
        self.name = name
        self.v4, self.v6 = f"10.77.0.{number}", f"fd77::{number}"
        run("ip", "netns", "add", name)
        self.ip("link", "set", "lo", "up")

    def ip(self, *args):
        return run("ip", "-n", self.name, *args)

    def tc(self, *args):
        return run("tc", "-n", self.name, *args)

    def run(self, *command):
        return run("ip", "netns", "exec", self.name, *command)

    def popen(self, command, **options):
        return subprocess.Popen(["ip", "netns", "exec", self.name, *command], **options)

    def sysctl(self, **values):
        """Of net.ipv4; they hold for this host only."""
        settings = [f"echo {value} > /proc/sys/net/ipv4/{name}" for name, value in values.items()]
        self.run("sh", "-ec", "; ".join(settings))

    def address(self, port, family=socket.AF_INET):
        return f"[{self.v6}]:{port}" if family == socket.AF_INET6 else f"{self.v4}:{port}"

    @contextlib.contextmanager
    def entered(self):
        """The calling thread is on this host meanwhile: sockets that it makes stay there."""
        with open("/proc/thread-self/ns/net", "rb") as before:
            with open(f"/run/netns/{self.name}", "rb") as ours:
                call("setns", ours.fileno(), CLONE_NEWNET)
            try:
                yield
            finally:
                call("setns", before.fileno(), CLONE_NEWNET)

    def connect(self, host, port):
        with self.entered():
            return socket.create_connection((host, port), timeout=WAIT_S)

    def listen(self):
        with self.entered():
            listener = socket.create_server((self.v4, 0))
        listener.settimeout(WAIT_S)
        return listener

    def link(self, state):
        self.ip("link", "set", "eth0", state)

    def mtu(self, size):
        self.ip("link", "set", "eth0", "mtu", str(size))

    def configure(self):
        self.ip("address", "add", f"{self.v4}/24", "dev", "eth0")
        self.ip("address", "add", f"{self.v6}/64", "dev", "eth0", "nodad")
        self.link("up")


# --- Links --------------------------------------------------------------------------


class Profile(typing.NamedTuple):
    """What happens to a packet on its way; each direction the same."""

    name: str
    delay_ms: int = 0
    jitter_ms: int = 0
    loss_percent: int = 0
    duplicate_percent: int = 0
    reorder_percent: int = 0  # so many are not delayed, and overtake the others

    def netem(self):
        args = ["delay", f"{self.delay_ms}ms", f"{self.jitter_ms}ms"]
        for what in ("loss", "duplicate", "reorder"):
            percent = getattr(self, what + "_percent")
            args += [what, f"{percent}%"] if percent else []
        return args

    def marks(self):
        """What the TCP of one of two hosts has counted if they have talked over it."""
        of = {"loss_percent": "Tcp:RetransSegs", "duplicate_percent": "TcpExt:TCPDSACKOldSent",
              "reorder_percent": "TcpExt:TCPOFOQueue"}
        return [mark for field, mark in of.items() if getattr(self, field)]


def _veth(host, peer_name, peer_host):
    run("ip", "link", "add", "eth0", "netns", host.name, "type", "veth",
        "peer", "name", peer_name, "netns", peer_host.name)


def netem_refusal():
    """None if the kernel has netem, else what it says.  (tc could load the module.)"""
    try:
        run("tc", "qdisc", "add", "dev", "lo", "root", "netem", "delay", "0ms")
        run("tc", "qdisc", "del", "dev", "lo", "root")
    except RuntimeError as error:
        return re.sub(r"^.*?: ", "", str(error))
    return None


class Net:
    """Two hosts, left and right, joined by a veth pair.

    With a profile, netem does to the packets what it says.  On a kernel without netem a
    third namespace is between the two, and in it tests/harness/wire.py, a relay that
    does the same from a fixed seed."""

    def __init__(self, profile=None, relayed=False):
        self.profile = profile
        self.relayed = relayed and profile is not None
        self.relay = None

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            self.left = stack.enter_context(self._host("left", 1))
            self.right = stack.enter_context(self._host("right", 2))
            if self.relayed:
                self._join_by_relay(stack)
            else:
                _veth(self.left, "eth0", self.right)
            for host in (self.left, self.right):
                host.configure()
                if self.profile:
                    # Packets, not trains of them: it is packets that get lost and overtake.
                    host.ip("link", "set", "eth0", "gso_max_segs", "1")
                if self.profile and not self.relayed:
                    host.tc("qdisc", "add", "dev", "eth0", "root", "netem", *self.profile.netem())
            if self.relayed:
                self._start_relay(stack)
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *_):
        self.stack.close()

    @contextlib.contextmanager
    def _host(self, name, number):
        host = Host(name, number)
        try:
            yield host
        finally:
            run("ip", "netns", "del", name)

    def _join_by_relay(self, stack):
        self.middle = stack.enter_context(self._host("middle", 3))
        for host in (self.left, self.right):
            _veth(host, host.name, self.middle)
            self.middle.ip("link", "set", host.name, "up")

    def _start_relay(self, stack):
        p = self.profile
        values = (p.delay_ms, p.jitter_ms, p.loss_percent, p.duplicate_percent, p.reorder_percent)
        self.relay = self.middle.popen([sys.executable, str(WIRE), *map(str, values)],
                                       stdout=subprocess.PIPE, text=True)
        stack.callback(self._end_relay)
        if self.relay.stdout.readline() != "ready\n":
            raise RuntimeError("the relay does not start")

    def _end_relay(self):
        self.relay.kill()
        self.relay.communicate()
