"""Where and of what a result was measured."""

import datetime
import json
import os
import re
import subprocess

from .peers import BUILD, ROOT

# A file whose flags are those of the whole library.
A_SOURCE = "http/server.c"


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


def flags():
    """Of the compiler: what changes the code, not what warns or where files are."""
    try:
        commands = json.loads((BUILD / "compile_commands.json").read_text())
    except (OSError, ValueError):
        return ""
    for entry in commands:
        if entry["file"].endswith("/" + A_SOURCE):
            return " ".join(re.findall(r"(?<= )-(?:O|f|m|std=)[^\s/]+(?= )", entry["command"]))
    return ""


def describe():
    compiler = find_in(BUILD / "CMakeCache.txt", r"^CMAKE_C_COMPILER:\w+=(.*)$") or "cc"
    return {
        "commit": first_line("git", "describe", "--always", "--dirty") or "unknown",
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "cpu": cpu(),
        "kernel": os.uname().release,
        "compiler": first_line(compiler, "--version") or "unknown",
        "flags": flags() or "unknown",
    }
