"""Drives Chromium, without a window, by its DevTools protocol over two pipes."""

import fcntl
import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time

# Nothing is asked for that a test did not ask for, and nothing beyond this machine.
OPTIONS = ("--headless", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
           "--disable-background-networking", "--disable-component-update", "--disable-sync",
           "--disable-default-apps", "--disable-extensions", "--disable-breakpad",
           "--no-default-browser-check", "--no-proxy-server", "--password-store=basic",
           "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--remote-debugging-pipe")


def find():
    return shutil.which("chromium") or shutil.which("chromium-browser")


class Chromium:
    """A browser with one page.  spki: the key of a certificate to accept, as the base64 text
    of its SHA-256.  Every wait ends after wait_s."""

    def __init__(self, wait_s, spki=None):
        self.wait_s, self.next_id, self.session = wait_s, 0, None
        self.unread, self.events = b"", []
        self.profile = tempfile.TemporaryDirectory(prefix="gust-chromium-",
                                                   ignore_cleanup_errors=True)
        self.start([find(), *OPTIONS, f"--user-data-dir={self.profile.name}",
                    *(["--no-sandbox"] if os.geteuid() == 0 else []),
                    *([f"--ignore-certificate-errors-spki-list={spki}"] if spki else []),
                    "about:blank"])
        try:
            target = self.call("Target.createTarget", url="about:blank")["targetId"]
            self.session = self.call("Target.attachToTarget", targetId=target,
                                     flatten=True)["sessionId"]
            self.call("Page.enable")
        except BaseException:
            self.close()
            raise

    def start(self, command):
        """It reads commands from descriptor 3 and answers on 4."""
        commands, self.to = os.pipe()
        self.source, answers = os.pipe()
        # Out of the way of 3 and 4.
        ends = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in (commands, answers)]
        self.process = subprocess.Popen(
            ["bash", "-c", f'exec "$@" 3<&{ends[0]} 4>&{ends[1]}', "chromium", *command],
            pass_fds=ends, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, start_new_session=True, env=os.environ | {
                "HOME": self.profile.name, "XDG_CONFIG_HOME": self.profile.name,
                "XDG_CACHE_HOME": self.profile.name})
        for end in (commands, answers, *ends):
            os.close(end)

    def message(self, end):
        while b"\0" not in self.unread:
            ready, _, _ = select.select([self.source], [], [], max(0, end - time.monotonic()))
            if not ready:
                raise TimeoutError("Chromium does not answer")
            piece = os.read(self.source, 1 << 20)
            if not piece:
                raise ConnectionError(f"Chromium is gone: {self.process.poll()}")
            self.unread += piece
        text, _, self.unread = self.unread.partition(b"\0")
        return json.loads(text)

    def call(self, method, **params):
        """Calls a method of the protocol and returns its result."""
        self.next_id += 1
        request = {"id": self.next_id, "method": method, "params": params}
        if self.session:
            request["sessionId"] = self.session
        os.write(self.to, json.dumps(request).encode() + b"\0")
        end = time.monotonic() + self.wait_s
        while (answer := self.message(end)).get("id") != self.next_id:
            self.events.append(answer.get("method"))
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return answer["result"]

    def await_load(self, act):
        """Does what makes the page go elsewhere, and waits until it is there."""
        self.events.clear()
        act()
        end = time.monotonic() + self.wait_s
        while "Page.loadEventFired" not in self.events:
            self.events.append(self.message(end).get("method"))

    def go(self, url):
        def navigate():
            failure = self.call("Page.navigate", url=url).get("errorText")
            assert not failure, f"{url}: {failure}"
        self.await_load(navigate)

    def run(self, script, *args):
        """What the body of an asynchronous function returns, in the page.  Its arguments are
        `args`."""
        expression = f"(async (args) => {{ {script} }})({json.dumps(args)})"
        answer = self.call("Runtime.evaluate", expression=expression, awaitPromise=True,
                           returnByValue=True, timeout=self.wait_s * 1000)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def text(self):
        return self.run("return document.body.textContent")

    def close(self):
        """Its helpers are of its process group, and go with it."""
        self.session = None
        try:
            self.call("Browser.close")
            end = time.monotonic() + self.wait_s
            while True:
                self.message(end)
        except (OSError, RuntimeError):  # it is gone
            pass
        os.killpg(self.process.pid, signal.SIGKILL)  # its leader has not been waited for
        self.process.wait(self.wait_s)
        os.close(self.to)
        os.close(self.source)
        self.profile.cleanup()
