"""Where and of what a result was measured."""

import datetime
import os
import re
import subprocess

from .servers import BUILD, ROOT


def first_line(*command):
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.partition("\n")[0]


def find_in(path, pattern):
    try:
        match = re.search(pattern, path.read_text(), re.MULTILINE)
    except OSError:
        return ""
    return match[1].strip() if match else ""


def cpu():
    out = subprocess.run(["lscpu"], capture_output=True, text=True, check=False).stdout
    match = re.search(r"^Model name:\s*(.*)$", out, re.MULTILINE)
    return f"{os.cpu_count()} x {match[1] if match else os.uname().machine}"


def describe():
    compiler = find_in(BUILD / "CMakeCache.txt", r"^CMAKE_C_COMPILER:\w+=(.*)$") or "cc"
    return {
        "commit": first_line("git", "describe", "--always", "--dirty") or "unknown",
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "cpu": cpu(),
        "kernel": os.uname().release,
        "compiler": first_line(compiler, "--version") or "unknown",
    }
