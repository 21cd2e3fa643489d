"""tcp_echo and http_echo between two hosts, over networks that lose, delay, double and
reorder packets, over links that go down, and with peers that vanish.

    netns.py BUILD_DIR

The hosts are network namespaces (tests/harness/netns.py): root is needed, else it is
skipped.  The clients are Python's sockets, and tests/net/peer.c, which is built on gust.
Over a bad network everything must arrive all the same, once and in order; what cannot
arrive must end in the right error."""

import contextlib
import http.client
import os
import pathlib
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "harness"))

import netns  # pylint: disable=wrong-import-position
from program import Program  # pylint: disable=wrong-import-position

WAIT_S = netns.WAIT_S
LONG_MS = WAIT_S * 1000
CHECK_S = 3 * WAIT_S  # bounds what has no bound of its own, as a peer told to wait for ever
LINE = re.compile(r"\w+: (?:listening on |http://)\S*:(\d+)(?: \(.*\))?\n")
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close by RST

PROFILES = (
    netns.Profile("loss", delay_ms=2, loss_percent=3),
    netns.Profile("reordering", delay_ms=6, jitter_ms=5, reorder_percent=25),
    netns.Profile("duplication", delay_ms=1, jitter_ms=1, duplicate_percent=20),
    netns.Profile("all at once", delay_ms=4, jitter_ms=3, loss_percent=1, duplicate_percent=5,
                  reorder_percent=10),
)

BUILD = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "build/dev").resolve()


# --- Waiting ------------------------------------------------------------------------


def await_state(reached, complaint):
    end = time.monotonic() + WAIT_S
    while not reached():
        assert time.monotonic() < end, complaint
        time.sleep(0.01)


def unread(host, port):
    """How many bytes the sockets of a server hold that it has not read."""
    rows = host.run("ss", "-tnH", "state", "established", f"sport = :{port}").splitlines()
    return sum(int(row.split()[0]) for row in rows)


# --- Programs on hosts -------------------------------------------------------------


def environment():
    # They are ended with goroutines at work; what those hold is no leak.  And there are
    # many of them, of which ThreadSanitizer would have each sleep a second at its end.
    extra = {"ASAN_OPTIONS": ":detect_leaks=0", "TSAN_OPTIONS": ":atexit_sleep_ms=50"}
    return os.environ | {name: os.environ.get(name, "") + more for name, more in extra.items()}


class Server(Program):
    """An example on a host, on a port that the kernel picked."""

    def __init__(self, host, example, family=socket.AF_INET):
        self.host = host
        super().__init__(
            [str(BUILD / "examples" / example), "--listen", host.address(0, family)], LINE,
            popen=host.popen, env=environment())
        self.port = int(self.match[1])

    def kill(self):
        self.process.kill()
        self.process.wait(WAIT_S)

    def freeze(self):
        """Returns when none of its threads runs any more."""
        self.process.send_signal(signal.SIGSTOP)
        tasks = pathlib.Path(f"/proc/{self.process.pid}/task")
        await_state(lambda: all(stat.read_text().rpartition(")")[2].split()[0] == "T"
                                for stat in tasks.glob("*/stat")), "it does not stop")

    def stop(self):
        """It must end by itself, and have nothing to say."""
        status, said = self.finish(signal.SIGTERM, WAIT_S)
        assert status == 0 and said == "", (status, said)


class Peer:
    """tests/net/peer.c on a host, told by lines what to do."""

    def __init__(self, host, address, dial_ms=LONG_MS):
        self.process = host.popen(
            [str(BUILD / "tests" / "net" / "peer"), "talk", address, str(dial_ms)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=environment())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()

    def tell(self, line):
        print(line, file=self.process.stdin, flush=True)

    def heard(self, *expected):
        """Its next answer, which must be one of those expected."""
        answer = self.process.stdout.readline().rstrip("\n")
        assert answer in expected, (answer, expected, self.process.poll())
        return answer

    def does(self, line, *expected):
        self.tell(line)
        return self.heard(*expected or ("ok",))


def stream(client, server, family=socket.AF_INET, size=65536, connections=4):
    """The peer's stream, there and back, byte by byte."""
    process = client.popen(
        [str(BUILD / "tests" / "net" / "peer"), "stream",
         server.host.address(server.port, family), str(size), str(connections)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment())
    with contextlib.ExitStack() as stack:
        stack.callback(process.kill)
        said = process.communicate(timeout=3 * WAIT_S)
    assert process.returncode == 0 and said == ("", ""), (process.returncode, said)


# --- Python's clients --------------------------------------------------------------


def pattern(size):
    return (b"".join(i.to_bytes(4, "big") for i in range(4096)) * (size // 16384 + 1))[:size]


def recv_exactly(sock, count):
    data = b""
    while len(data) < count:
        piece = sock.recv(count - len(data))
        assert piece, f"the stream ends after {len(data)} of {count} bytes"
        data += piece
    return data


def echo(sock, data):
    sock.sendall(data)
    assert recv_exactly(sock, len(data)) == data, "other bytes came back"


def half_close(client, server, size):
    """Python sends and shuts down, while it reads: the end comes after all of it."""
    data = pattern(size)
    with client.connect(server.host.v4, server.port) as sock:
        sender = threading.Thread(target=lambda: (sock.sendall(data),
                                                  sock.shutdown(socket.SHUT_WR)))
        sender.start()
        assert recv_exactly(sock, size) == data, "other bytes came back"
        sender.join(WAIT_S)
        assert sock.recv(1) == b"", "there is more than was sent"


def ask(client, server, size):
    """GETs and chunked POSTs on one connection."""
    body = pattern(size)
    with client.connect(server.host.v4, server.port) as sock:
        connection = http.client.HTTPConnection("test")
        connection.sock = sock
        for _ in range(3):
            connection.request("GET", "/")
            assert connection.getresponse().read() == b"Hello, World!"
            connection.request("POST", "/echo", body=iter([body[:1], body[1:999], body[999:]]),
                               encode_chunked=True, headers={"Transfer-Encoding": "chunked"})
            assert connection.getresponse().read() == body, "another body came back"


# --- Checks: bad networks ------------------------------------------------------------


def counters(host):
    """What the host's TCP has counted, by name."""
    lines = host.run("cat", "/proc/net/snmp", "/proc/net/netstat").splitlines()
    return {f"{names.split()[0]}{name}": int(value)
            for names, values in zip(lines[::2], lines[1::2])
            for name, value in zip(names.split()[1:], values.split()[1:])}


def everything_arrives(profile, relayed):
    with netns.Net(profile, relayed) as net:
        with Server(net.right, "tcp_echo") as tcp, Server(net.right, "http_echo") as web:
            half_close(net.left, tcp, 50000)
            ask(net.left, web, 20000)
            stream(net.left, tcp)
            tcp.stop()
            web.stop()
        # The other way round, and by the other protocol.
        with Server(net.left, "tcp_echo", socket.AF_INET6) as server:
            stream(net.right, server, socket.AF_INET6)
            server.stop()
        counted = [counters(host) for host in (net.left, net.right)]
    for name in profile.marks():
        assert sum(each[name] for each in counted) > 0, f"the network was not bad: no {name}"


def resets_hurt_nobody_else(profile, relayed):
    with netns.Net(profile, relayed) as net, Server(net.right, "tcp_echo") as server:
        with net.left.connect(net.right.v4, server.port) as good:
            for _ in range(3):
                bad = net.left.connect(net.right.v4, server.port)
                bad.sendall(b"x" * 20000)
                bad.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                bad.close()
                echo(good, b"still here")
        server.stop()


def small_mtu(net):
    # The least that each protocol must live with; below 1280 there is no IPv6 any more.
    for mtu, family in ((1280, socket.AF_INET6), (576, socket.AF_INET)):
        net.left.mtu(mtu)
        net.right.mtu(mtu)
        with Server(net.right, "tcp_echo", family) as server:
            stream(net.left, server, family, size=300000, connections=2)
            server.stop()


# --- Checks: what cannot arrive --------------------------------------------------------


def dial_errors(net):
    with net.right.listen() as listener:
        closed_port = listener.getsockname()[1]
    with Peer(net.left, net.right.address(closed_port)) as peer:
        peer.heard("ECONNREFUSED")
    with Peer(net.left, "192.0.2.1:80") as peer:  # there is no route
        peer.heard("ENETUNREACH")
    net.left.ip("route", "add", "unreachable", "198.51.100.0/24")
    with Peer(net.left, "198.51.100.1:80") as peer:
        peer.heard("EHOSTUNREACH")


def resets_are_reported(net):
    with net.right.listen() as listener:
        with Peer(net.left, net.right.address(listener.getsockname()[1])) as peer:
            peer.heard("ok")
            conn, _ = listener.accept()
            conn.settimeout(WAIT_S)
            peer.does("send 1000 0")
            recv_exactly(conn, 1000)
            conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            conn.close()
            peer.does("recv 1000 0", "ECONNRESET")
            peer.does("send 1000 0", "EPIPE", "ECONNRESET")


def half_close_by_the_server(net):
    """The server's end is an end, and the client may go on writing."""
    with net.right.listen() as listener:
        with Peer(net.left, net.right.address(listener.getsockname()[1])) as peer:
            peer.heard("ok")
            conn, _ = listener.accept()
            with conn:
                conn.settimeout(WAIT_S)
                conn.shutdown(socket.SHUT_WR)
                peer.does("end 0", "EOF")
                peer.does("send 5000 0")
                peer.does("shut 0")
                recv_exactly(conn, 5000)
                assert conn.recv(1) == b""


def link_down_for_a_moment(net):
    """A deadline passes meanwhile; afterwards the stream goes on where it was."""
    with Server(net.right, "tcp_echo") as server:
        with Peer(net.left, net.right.address(server.port)) as peer, \
                net.left.connect(net.right.v4, server.port) as sock:
            peer.heard("ok")
            peer.does("send 1000 0")
            peer.does("recv 1000 0")
            echo(sock, b"before")
            net.right.link("down")
            peer.does("send 2000 0")  # the kernel takes it
            peer.does("recv 2000 100", "ETIMEDOUT")
            sock.sendall(b"meanwhile")
            net.right.link("up")
            peer.does("recv 2000 0")
            assert recv_exactly(sock, 9) == b"meanwhile"
            peer.does("send 50000 0")
            peer.does("recv 50000 0")
            peer.does("shut 0")
            peer.does("end 0", "EOF")
        server.stop()


def silent_peer(net):
    """Nobody answers any more: deadlines pass, and the kernel gives up at last."""
    net.left.sysctl(tcp_syn_retries=1, tcp_retries2=2)
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(Server(net.right, "tcp_echo"))
        address = net.right.address(server.port)
        cut_off = stack.enter_context(Peer(net.left, address))
        cut_off.heard("ok")
        cut_off.does("send 10 0")
        cut_off.does("recv 10 0")
        net.right.link("down")
        impatient = stack.enter_context(Peer(net.left, address, 100))
        # Zero is no deadline at all.
        patient = stack.enter_context(Peer(net.left, address, 0))
        cut_off.does("send 10 0")
        cut_off.tell("recv 10 0")
        impatient.heard("ETIMEDOUT")
        # The kernel's own words: of a neighbour that does not answer, or of a peer, which
        # is a reset once there was a connection: it had no deadline.
        cut_off.heard("ECONNRESET", "EHOSTUNREACH")
        patient.heard("ETIMEDOUT", "EHOSTUNREACH")
        cut_off.does("send 10 0", "EPIPE", "ECONNRESET", "EHOSTUNREACH")


def own_link_down(net):
    """Without a link there is no route: dialling fails, what is open waits."""
    with Server(net.right, "tcp_echo") as server:
        address = net.right.address(server.port)
        with Peer(net.left, address) as peer:
            peer.heard("ok")
            net.left.link("down")
            with Peer(net.left, address) as other:
                other.heard("ENETUNREACH")
            peer.does("send 100 0")
            peer.does("recv 100 50", "ETIMEDOUT")
            net.left.link("up")
            peer.does("recv 100 0")
        server.stop()


def is_refused(host, address):
    with Peer(host, address) as peer:
        return peer.heard("ECONNREFUSED", "ECONNRESET", "ok") == "ECONNREFUSED"


def server_killed(net):
    """With bytes that it has not read: a reset.  With none: an end.  With SQPOLL a thread
    of the kernel goes on reading for a server that is stopped: then either."""
    reads_on = os.environ.get("GUST_NETPOLL") == "sqpoll"
    with Server(net.right, "tcp_echo") as server:
        address = net.right.address(server.port)
        with Peer(net.left, address) as busy, Peer(net.left, address) as idle:
            for peer in (busy, idle):
                peer.heard("ok")
                peer.does("send 1000 0")
                peer.does("recv 1000 0")
            server.freeze()
            busy.does("send 1000 0")
            if not reads_on:
                await_state(lambda: unread(net.right, server.port) == 1000, "nothing arrives")
            server.kill()
            busy.does("recv 1000 0", "ECONNRESET", *(["EOF"] if reads_on else []))
            idle.does("recv 1000 0", "EOF")
            await_state(lambda: is_refused(net.left, address), "somebody still listens")


def server_killed_while_the_link_is_down(net):
    with Server(net.right, "tcp_echo") as server:
        with Peer(net.left, net.right.address(server.port)) as peer:
            peer.heard("ok")
            peer.does("send 1000 0")
            peer.does("recv 1000 0")
            net.right.link("down")
            server.kill()
            peer.does("send 1000 0")
            net.right.link("up")
            # Its kernel's FIN may come before the answer to our bytes, which is a reset.
            if peer.does("recv 1000 0", "ECONNRESET", "EOF") == "EOF":
                peer.does("send 1000 0", "ok", "EPIPE", "ECONNRESET")


def web_server_killed(net):
    """In the middle of an answer: no client takes what it has for all of it."""
    with Server(net.right, "http_echo") as server:
        with net.left.connect(net.right.v4, server.port) as sock:
            connection = http.client.HTTPConnection("test")
            connection.sock = sock
            connection.putrequest("POST", "/echo")
            connection.putheader("Content-Length", "200000")
            # More than the server keeps back for the next write.
            connection.endheaders(b"x" * 100000)
            response = connection.getresponse()
            assert response.read(50000) == b"x" * 50000
            server.kill()
            try:
                response.read()
                raise AssertionError("half an answer was taken for a whole one")
            except (http.client.IncompleteRead, ConnectionResetError):
                pass


# --- All of them -----------------------------------------------------------------------

OVER_A_BAD_NETWORK = (everything_arrives, resets_hurt_nobody_else)
ON_A_GOOD_LINK = (small_mtu, dial_errors, resets_are_reported, half_close_by_the_server,
                  link_down_for_a_moment, silent_peer, own_link_down, server_killed,
                  server_killed_while_the_link_is_down, web_server_killed)


def nothing_is_left_behind():
    """Killed at its worst moment, it takes its processes with it."""
    reading, writing = os.pipe()

    def main():
        os.set_inheritable(writing, True)
        with netns.Net() as net:
            net.left.popen(["sleep", "1000"], close_fds=False)
            os.write(writing, b"x")
            signal.pause()

    pid = netns.fork_isolated(main)
    os.close(writing)
    assert os.read(reading, 1) == b"x"
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    # The end of the pipe: whoever had it, sleep included, is gone.
    assert os.read(reading, 1) == b""
    os.close(reading)


def on_a_good_link(check):
    with netns.Net() as net:
        check(net)


def check_all():
    refusal = netns.netem_refusal()
    if refusal:
        print(f"no netem here ({refusal}): tests/harness/wire.py does its work")
    for check in OVER_A_BAD_NETWORK:
        for profile in PROFILES:
            reported(f"{check.__name__}: {profile.name}", check, profile, bool(refusal))
    for check in ON_A_GOOD_LINK:
        reported(check.__name__, on_a_good_link, check)
    return 0


def too_long(*_):
    raise AssertionError(f"no end after {CHECK_S} s")


def reported(name, check, *args):
    began = time.monotonic()
    signal.signal(signal.SIGALRM, too_long)
    signal.alarm(CHECK_S)
    check(*args)
    signal.alarm(0)
    print(f"ok {name} ({time.monotonic() - began:.1f} s)", flush=True)


def main():
    status = netns.isolated(check_all)
    if status == netns.SKIPPED:
        print("0 passed, 0 failed, 1 skipped")
        return
    if status:
        sys.exit(status)
    reported(nothing_is_left_behind.__name__, nothing_is_left_behind)
    count = len(OVER_A_BAD_NETWORK) * len(PROFILES) + len(ON_A_GOOD_LINK) + 1
    print(f"{count} passed, 0 failed")


if __name__ == "__main__":
    main()
