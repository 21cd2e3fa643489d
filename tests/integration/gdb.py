"""tools/gust-gdb.py under gdb, live and on a core file, with debug information
and without.  gdb.py BUILD_DIR"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

TIMEOUT_S = 120
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SCRIPT = os.path.join(ROOT, "tools", "gust-gdb.py")
# Ids depend on which P started a goroutine.
ONE = ('python gdb.execute("goroutine %d bt" % '
       '[g.id for g in goroutines() if g.name == "receiver"][0])')
LOOK = ["info goroutines", "goroutine all bt", ONE, "goroutine 9999 bt",
        "goroutine", "thread"]


def gdb(program, *commands, core=None):
    args = ["gdb", "-q", "-nx", "-batch", "-iex", "set debuginfod enabled off"]
    for command in ("set disable-randomization off", "set confirm off", "set width 0",
                    "handle SIGURG nostop noprint pass", f"source {SCRIPT}", *commands):
        args += ["-ex", command]
    # generate-core-file cannot read guards that are not mappings of their own, and
    # leaves out all stacks for them.
    env = {**os.environ, "DEBUGINFOD_URLS": "", "GUST_STACK_GUARD": "mprotect"}
    result = subprocess.run([*args, program, *([core] if core else [])], capture_output=True,
                            text=True, timeout=TIMEOUT_S, env=env)
    return result.stdout + result.stderr


def backtrace_of(text, name):
    """What `goroutine all bt` said of it."""
    found = re.search(rf'^goroutine \d+ \("{name}"\) \[[^]]*\]:\n((?:.+\n)*)', text, re.M)
    assert found, f"no backtrace of {name} in:\n{text}"
    return found[0]


def check_view(text, with_lines):
    lines = {}
    for line in re.findall(r'^[* ] goroutine \d+ .*', text, re.M):
        lines[re.search(r'\("(\w+)"\)', line)[1]] = line
    assert sorted(lines) == ["burner", "main", "receiver", "sleeper"], text
    assert re.match(r'  goroutine \d+ \("receiver"\) \[chan receive, \d+\.\d s\] in wait_for_a_message'
                    r' \(\)', lines["receiver"]), lines
    assert re.match(r'  goroutine \d+ \("sleeper"\) \[sleep, \d+\.\d s\] in sleep_for_long \(\)',
                    lines["sleeper"]), lines
    assert re.match(r'\* goroutine \d+ \("main"\) \[running\] on thread \d+', lines["main"]), lines
    assert re.match(r'\* goroutine \d+ \("burner"\) \[running\] on thread \d+', lines["burner"]), lines

    order = ["gust__park", "gust_chan_recv", "wait_for_a_message", "receiver"]
    receiver = backtrace_of(text, "receiver")
    places = [receiver.find(f" in {name} (") for name in order]
    assert -1 not in places and places == sorted(places), receiver
    assert "runs receiver, started in " in receiver, receiver
    assert " in sleep_for_long (" in backtrace_of(text, "sleeper"), text
    assert "burn_in_circles (" in backtrace_of(text, "burner"), text
    assert "everything_is_in_place (" in backtrace_of(text, "main"), text
    assert bool(re.search(r"wait_for_a_message \(\) at \S*gdb_target\.c:\d+", text)) == with_lines, text
    assert text.count(' ("receiver") [chan receive') == 3, text
    assert "no goroutine 9999" in text and "usage: goroutine N bt" in text, text


def check_program(program, folder, with_lines):
    core = os.path.join(folder, "core")
    live = gdb(program, "break everything_is_in_place", "run", *LOOK, f"generate-core-file {core}",
               "kill")
    check_view(live, with_lines)
    assert re.search(r"Current thread is (\d+)", live), live
    check_view(gdb(program, *LOOK, core=core), with_lines)


def with_debug_information(program, folder):
    check_program(program, folder, True)


def without_debug_information(program, folder):
    stripped = os.path.join(folder, "stripped")
    subprocess.run(["objcopy", "--strip-debug", program, stripped], check=True)
    check_program(stripped, folder, False)


def before_the_start_it_says_so(program, folder):
    del folder
    assert "Error" in gdb(program, "info goroutines") or "goroutine" not in gdb(
        program, "info goroutines")
    assert "no gust in it" in gdb("/bin/true", "info goroutines")


def skip_reason(build):
    with open(os.path.join(build, "CMakeCache.txt"), encoding="utf-8") as cache:
        sanitizer = re.search(r"^GUST_SANITIZE:\w+=(\w+)", cache.read(), re.M)
    if sanitizer and sanitizer[1] != "none":
        return "a sanitizer and gdb are in each other's way"
    return None if shutil.which("gdb") else "gdb is not installed"


def main():
    build = sys.argv[1]
    reason = skip_reason(build)
    if reason:
        print(f"skipped: {reason}\n0 passed, 0 failed, 1 skipped")
        return
    program = os.path.join(build, "tests", "harness", "gdb_target")
    checks = (with_debug_information, without_debug_information, before_the_start_it_says_so)
    for check in checks:
        with tempfile.TemporaryDirectory() as folder:
            check(program, folder)
        print(f"ok {check.__name__}")
    print(f"{len(checks)} passed, 0 failed")


if __name__ == "__main__":
    main()
