"""What TLS takes on both sides: a certificate for the servers, and a context for clients."""

import functools
import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path

# `default`: shown to clients too that name no host.
TLS_TOML = """
[[tls]]
cert = "{cert}"
key = "{key}"
default = true
"""


class CertificateError(Exception):
    """openssl could not make one; the message holds what it said."""


@dataclass
class Certificate:
    """For every host that a bench asks. Nothing trusts it."""

    cert: Path
    key: Path

    def toml(self) -> str:
        return TLS_TOML.format(cert=self.cert, key=self.key)


def certificate(folder: Path) -> Certificate:
    """Makes one in `folder`, with a key of the kind that authorities have signed most by now: ECDSA over P-256."""
    made = Certificate(folder / "cert.pem", folder / "key.pem")
    run = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
         "-subj", "/CN=bench", "-addext", "subjectAltName=DNS:*.localhost",
         "-keyout", str(made.key), "-out", str(made.cert)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=30)
    if run.returncode != 0:
        raise CertificateError(f"openssl ended with {run.returncode}:\n{run.stdout}")
    return made


@functools.cache
def context(protocol: str = "http/1.1") -> ssl.SSLContext:
    """For clients that believe every certificate: what checking it takes is theirs. A session is resumed only by who passes
    it, and nobody does."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    made.set_alpn_protocols([protocol])
    return made
