#!/usr/bin/env python3
"""Runs without io_uring what otherwise runs with it: deny.py BUILD_DIR

Under tests/harness/deny a seccomp filter answers the ring's system calls as
containers do, or denies some of them only.  Then programs pass on epoll, the log says
once why, and to insist on io_uring is a clear error.  With GUST_NETPOLL=epoll not one
such call is made: the first would kill.  Here a few programs are to show that;
tests/harness/matrix.sh runs all.
"""
import os
import re
import select
import subprocess
import sys

TIMEOUT_S = 150
# Of each module those that use the poller most.
PROGRAMS = ("core/test_poller", "core/test_netpoll", "core/test_netpoll_tcp", "core/test_cancel",
            "core/test_run", "net/test_conn", "net/test_conn_write", "http/test_conn")
# What the log says, and who says it first: a filter may let some calls through.
MODES = {
    "eperm": "io_uring_setup: Operation not permitted",
    "enosys": "io_uring_setup: Function not implemented",
    "enter": "nop: Operation not permitted",
    "register": "provided buffers: Operation not permitted",
}
NO_FILTERS = 77


class Denied:
    def __init__(self, build):
        self.build = build
        self.deny = f"{build}/tests/harness/deny"
        self.echo = f"{build}/examples/tcp_echo"

    def run(self, mode, program, *args, **env):
        return subprocess.run([self.deny, mode, program, *args], capture_output=True, text=True,
                              timeout=TIMEOUT_S, env=os.environ | env, check=False)

    def programs_pass(self, mode, poller):
        for name in PROGRAMS:
            result = self.run(mode, f"{self.build}/tests/{name}", "--jobs", "1",
                              GUST_NETPOLL=poller)
            assert result.returncode == 0, f"{name}: {result.stdout[-2000:]}{result.stderr[-2000:]}"

    def serve(self, mode, poller):
        """The first line of tcp_echo, and what it says on stderr."""
        process = subprocess.Popen(
            [self.deny, mode, self.echo, "--listen", "127.0.0.1:0"], stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, env=os.environ | {"GUST_NETPOLL": poller})
        try:
            assert select.select([process.stdout], [], [], TIMEOUT_S)[0], "it says nothing"
            line = process.stdout.readline()
        finally:
            process.kill()
        return line, process.communicate(timeout=TIMEOUT_S)[1]

    def falls_back(self, mode):
        line, said = self.serve(mode, "auto")
        assert re.search(r"\(epoll, \d+ Ps?\)", line), (line, said)
        assert said.count("polling with epoll, not io_uring") == 1, said
        assert MODES[mode] in said and said.count("\n") == 1, said
        self.programs_pass(mode, "auto")

    def insisting_fails(self, mode):
        for poller, name in (("uring", "io_uring"), ("sqpoll", "sqpoll")):
            result = self.run(mode, self.echo, "--listen", "127.0.0.1:0", GUST_NETPOLL=poller)
            assert result.returncode == 1, result
            assert f"cannot poll with {name}: {MODES[mode]}" in result.stderr, result

    def epoll_makes_no_call(self):
        line, said = self.serve("kill", "epoll")
        assert "(epoll, " in line and said == "", (line, said)
        self.programs_pass("kill", "epoll")

    def kill_kills(self):
        result = self.run("kill", self.echo, "--listen", "127.0.0.1:0", GUST_NETPOLL="uring")
        assert result.returncode < 0, result


def checks(denied, poller):
    if poller == "epoll":
        yield "epoll_makes_no_call", denied.epoll_makes_no_call
        return
    yield "kill_kills", denied.kill_kills
    for mode in MODES:
        yield f"falls_back {mode}", lambda mode=mode: denied.falls_back(mode)
        yield f"insisting_fails {mode}", lambda mode=mode: denied.insisting_fails(mode)


def main():
    denied = Denied(sys.argv[1].rstrip("/"))
    poller, procs = os.environ.get("GUST_NETPOLL"), os.environ.get("GUST_MAXPROCS")
    if poller not in ("uring", "epoll") or procs != "2":
        print("0 passed, 0 failed, 1 skipped")
        return 0
    if denied.run("kill", "true").returncode == NO_FILTERS:
        print("no seccomp filters here\n0 passed, 0 failed, 1 skipped")
        return 0
    passed = failed = 0
    for name, check in checks(denied, poller):
        try:
            check()
            passed += 1
            print("ok", name, flush=True)
        except (AssertionError, subprocess.TimeoutExpired) as wrong:
            failed += 1
            print("FAILED", name, wrong, flush=True)
    print(f"{passed} passed, {failed} failed")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
