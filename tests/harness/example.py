"""The HTTP examples as servers, for the scripts of tests/integration."""

import contextlib
import http.client
import os
import re
import signal

from program import Program


class Example(Program):
    """An HTTP example on a port that the kernel picked, and clients of it.

    address: host and port.  url: where it is, without a slash at the end."""

    WAIT_S = 60  # bounds every wait; nothing takes that long unless it hangs

    def __init__(self, build, name, *args, leaks=True, env=None):
        line = re.compile(name + r": (https?://(127\.0\.0\.1):(\d+))\n")
        # hello is too small for options.
        where = ["127.0.0.1:0"] if name == "hello" else ["--listen", "127.0.0.1:0"]
        super().__init__([os.path.join(build, "examples", name), *where, *args], line,
                         leaks=leaks and name != "hello", env=env)
        self.url, self.address = self.match[1], (self.match[2], int(self.match[3]))

    def client(self, context=None):
        connection = (http.client.HTTPSConnection(*self.address, timeout=self.WAIT_S,
                                                  context=context) if context else
                      http.client.HTTPConnection(*self.address, timeout=self.WAIT_S))
        return contextlib.closing(connection)

    def ask(self, method, path, body=None, headers=None, context=None):
        """The response, which has been read to its end, and the body."""
        with self.client(context) as client:
            client.request(method, path, body=body, headers=headers or {})
            response = client.getresponse()
            return response, response.read()

    def stop(self):
        """Returns the exit status and what was said meanwhile."""
        return self.finish(signal.SIGTERM, self.WAIT_S)
