"""Starts a program of the build, for the scripts of tests/integration."""

import os
import subprocess


class Program:
    """A program whose first line matches `pattern` as a whole; killed at the end,
    whatever happened.

    match: the match of its first line.  leaks: LeakSanitizer looks at its end; one that
    a signal ends has goroutines at work, and what those hold is no leak.  env: more of
    the environment."""

    def __init__(self, command, pattern, *, leaks=False, popen=subprocess.Popen, env=None,
                 **kwargs):
        env = os.environ | (env or {})
        if not leaks:
            env["ASAN_OPTIONS"] = env.get("ASAN_OPTIONS", "") + ":detect_leaks=0"
        self.process = popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                             env=env, **kwargs)
        self.line = self.process.stdout.readline()
        self.match = pattern.fullmatch(self.line)
        if not self.match:
            self.process.kill()
            raise AssertionError(f"first line: {self.line!r}; {self.process.communicate()[1]!r}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()

    def finish(self, signo, timeout_s):
        """Returns the exit status after that signal, and what was said meanwhile."""
        self.process.send_signal(signo)
        out, err = self.process.communicate(timeout=timeout_s)
        return self.process.returncode, out + err
