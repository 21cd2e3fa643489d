"""What those scripts of tests/integration share that run other people's programs."""

import os
import subprocess
import sys
import unittest

from example import Example

WAIT_S = Example.WAIT_S


def run(*command, env=None, given=None):
    """What it says on stdout; it must not fail.  given: its stdin."""
    result = subprocess.run(command, capture_output=True, timeout=WAIT_S, check=False,
                            input=given, env=os.environ | (env or {}))
    assert result.returncode == 0, (command, result.returncode, result.stdout[-2000:],
                                    result.stderr[-2000:])
    return result.stdout


def main():
    """Runs the tests; its last line is the one that matrix.sh reads."""
    result = unittest.main(exit=False, verbosity=2).result
    skipped = len(result.skipped)
    failed = len(result.failures) + len(result.errors)
    print(f"{result.testsRun - skipped - failed} passed, {failed} failed, {skipped} skipped")
    sys.exit(failed != 0)
