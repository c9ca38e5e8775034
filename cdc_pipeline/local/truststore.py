"""The machine's certificates in the form that Java reads.

Java from the cache has none: on a machine a script of the package ca-certificates-java makes them. Java's old format
(JKS) is plain: a header, the certificates, and a hash of both, which keeps nothing secret.
"""

from __future__ import annotations

import hashlib
import os
import re
import ssl
import struct
from collections.abc import Iterable
from pathlib import Path

# Where systems keep all certificates in one file; $SSL_CERT_FILE and OpenSSL's own default come before.
_BUNDLES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")
_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----")
_MAGIC, _VERSION, _TRUSTED = 0xFEEDFEED, 2, 2
_WHITENER = b"Mighty Aphrodite"
PASSWORD = "changeit"  # nothing is secret here; Java asks for one to check the hash


def machines_certificates(or_those_of: Path | None = None) -> list[bytes]:
    """The certificates of authorities that this machine trusts; else those in the files of a folder."""
    default = ssl.get_default_verify_paths()
    for name in (default.cafile, os.environ.get("SSL_CERT_FILE"), default.openssl_cafile, *_BUNDLES):
        if name and Path(name).is_file() and (found := _certificates([Path(name)])):
            return found
    return _certificates(sorted(or_those_of.rglob("*.crt"))) if or_those_of else []


def write_truststore(path: Path, certificates: Iterable[bytes]) -> None:
    """Write certificates (DER) as a file for -Djavax.net.ssl.trustStore."""
    certificates = list(dict.fromkeys(certificates))
    content = struct.pack(">III", _MAGIC, _VERSION, len(certificates))
    for number, certificate in enumerate(certificates):
        content += struct.pack(">I", _TRUSTED) + _text(f"authority{number}") + struct.pack(">Q", 0)
        content += _text("X.509") + struct.pack(">I", len(certificate)) + certificate
    digest = hashlib.sha1(PASSWORD.encode("utf-16-be") + _WHITENER + content, usedforsecurity=False).digest()
    path.write_bytes(content + digest)


def _text(text: str) -> bytes:
    return struct.pack(">H", len(text)) + text.encode("ascii")


def _certificates(files: Iterable[Path]) -> list[bytes]:
    texts = (file.read_text(encoding="utf-8", errors="replace") for file in files)
    return [ssl.PEM_cert_to_DER_cert(found) for text in texts for found in _CERTIFICATE.findall(text)]
