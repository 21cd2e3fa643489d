"""Other people's servers, for the proxy to stand before.  Each is on a port that the kernel
picked, and is gone at the end."""

import http.server
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading

from program import Program
from suite import WAIT_S

URL = re.compile(r"(?:.*\()?(http://127\.0\.0\.1:\d+)/?(?:\).*)?\n")
NODE = pathlib.Path(__file__).with_name("node_origin.mjs")


def find(program):
    """Its path; not everybody's PATH has those of the administrator."""
    return shutil.which(program) or shutil.which("/usr/sbin/" + program)


class Node(Program):
    """node_origin.mjs.  It ends idle connections after keep_alive_ms."""

    def __init__(self, keep_alive_ms=None):
        super().__init__(["node", str(NODE), *([str(keep_alive_ms)] if keep_alive_ms else [])], URL)
        self.url = self.match[1]


class PythonFiles(Program):
    """`python -m http.server`, which speaks HTTP/1.0 unless told otherwise."""

    def __init__(self, directory, protocol="HTTP/1.0"):
        super().__init__([sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1",
                          "--directory", directory, "--protocol", protocol], URL)
        self.url = self.match[1]


class Quiet(http.server.BaseHTTPRequestHandler):
    def log_message(self, format, *args):  # pylint: disable=redefined-builtin
        pass


class Endless(Quiet):
    """Bodies that end with the connection, in HTTP/1.0."""

    BODY = bytes(range(253)) * 4096

    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.BODY)

    def do_HEAD(self):
        self.send_response(200)
        self.end_headers()


class Forgetful(Quiet):
    """Closes each connection after its third response, of which it says nothing before."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def setup(self):
        super().setup()
        self.answered = 0

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"hello")
        self.answered += 1
        self.close_connection = self.answered == 3


class Python:
    """A http.server in this process."""

    def __init__(self, handler):
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    def __exit__(self, *_):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


NGINX_CONF = """
daemon off; worker_processes 1; user root; pid {directory}/pid; error_log {directory}/error.log;
events {{ }}
http {{
    access_log off;
    client_body_temp_path {directory}/tmp; proxy_temp_path {directory}/tmp;
    fastcgi_temp_path {directory}/tmp; uwsgi_temp_path {directory}/tmp;
    scgi_temp_path {directory}/tmp;
    types {{ text/html html; text/plain txt; }}
    default_type application/octet-stream;
    gzip on; gzip_proxied any; gzip_types text/plain;
    client_max_body_size 0;
    server {{
        listen {address};
        root {directory}/site;
        location /moved {{ return 301 /small.txt; }}
        location /put/ {{ alias {directory}/put/; dav_methods PUT DELETE; }}
        location /short/ {{ alias {directory}/put/; dav_methods PUT; client_max_body_size 1k; }}
        location /few/ {{ alias {directory}/site/; keepalive_requests 3; }}
    }}
}}
"""


class Nginx:
    """With the files of directory/site, and those that are put.  nginx cannot say which port
    it was given; so it is given one that is listened on already, as by its predecessor in an
    upgrade."""

    def __init__(self, directory):
        for name in ("put", "tmp"):
            os.makedirs(os.path.join(directory, name), exist_ok=True)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            address = "127.0.0.1:%d" % listener.getsockname()[1]
            conf = os.path.join(directory, "nginx.conf")
            pathlib.Path(conf).write_text(NGINX_CONF.format(directory=directory, address=address),
                                          encoding="ascii")
            self.process = subprocess.Popen(
                [find("nginx"), "-e", directory + "/error.log", "-c", conf],
                env=os.environ | {"NGINX": f"{listener.fileno()};"}, pass_fds=[listener.fileno()],
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.url = "http://" + address

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(WAIT_S)
