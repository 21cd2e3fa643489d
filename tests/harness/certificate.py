"""A certificate for 127.0.0.1 that signs itself, for the scripts of tests/integration."""

import base64
import hashlib
import os
import pathlib
import ssl

from suite import run


class Certificate:
    """crt and key: the paths, in `directory`.  args: those of an example that uses it."""

    def __init__(self, directory):
        self.crt, self.key = os.path.join(directory, "crt"), os.path.join(directory, "key")
        self.args = ["--tls-cert", self.crt, "--tls-key", self.key]
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
            "-nodes", "-keyout", self.key, "-out", self.crt, "-days", "2", "-subj", "/CN=localhost",
            "-addext", "subjectAltName=IP:127.0.0.1")

    def context(self):
        """Of a client that trusts it."""
        return ssl.create_default_context(cafile=self.crt)

    def spki(self):
        """Its key, as Chromium wants it."""
        der = ssl.PEM_cert_to_DER_cert(pathlib.Path(self.crt).read_text(encoding="ascii"))
        public = run("openssl", "x509", "-inform", "der", "-pubkey", "-noout", given=der)
        key = ssl.PEM_cert_to_DER_cert(public.decode().replace("PUBLIC KEY", "CERTIFICATE"))
        return base64.b64encode(hashlib.sha256(key).digest()).decode()
