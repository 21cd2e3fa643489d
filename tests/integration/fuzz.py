#!/usr/bin/env python3
"""A short run of every fuzz target, from its corpus and its regressions.

    fuzz.py BUILD_DIR

The targets are in a build of their own beside BUILD_DIR, which ./dev test makes where there
is a clang with libFuzzer; `./dev fuzz` runs them for longer."""

import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
RUN_S = 3
TIMEOUT_S = 60


def run(program, seeds, new):
    """False if it found something, which it has said then."""
    command = [program, f"-max_total_time={RUN_S}", "-timeout=20", "-max_len=4096",
               f"-artifact_prefix={new}/", new, *seeds]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace",
                          timeout=TIMEOUT_S, check=False)
    if done.returncode != 0:
        print(f"{program.name} ended with {done.returncode}:\n{done.stderr[-4000:]}")
    return done.returncode == 0


def main():
    programs = pathlib.Path(sys.argv[1]).resolve().parent / "fuzz" / "tests" / "fuzz"
    corpora = sorted((ROOT / "tests" / "fuzz" / "corpus").iterdir())
    if not programs.is_dir():
        print(f"0 passed, 0 failed, {len(corpora)} skipped")
        return 0
    passed = 0
    for corpus in corpora:
        regressions = ROOT / "tests" / "fuzz" / "regressions" / corpus.name
        seeds = [path for path in (corpus, regressions) if path.is_dir()]
        with tempfile.TemporaryDirectory() as new:
            passed += run(programs / corpus.name, seeds, new)
    print(f"{passed} passed, {len(corpora) - passed} failed")
    return passed != len(corpora)


if __name__ == "__main__":
    sys.exit(main())
