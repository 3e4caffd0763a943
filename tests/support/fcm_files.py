"""Makes what an FCM channel reads from disk: a certificate authority, a server's key, a service account."""

from __future__ import annotations

import ipaddress
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

LOOPBACK = "127.0.0.1"
PROJECT_ID = "demo-project"


@dataclass(frozen=True)
class TlsFiles:
    """PEM files of an authority and of a loopback server it vouches for."""

    ca_file: Path
    certificate_file: Path
    key_file: Path


def write_tls_files(folder: Path) -> TlsFiles:
    folder.mkdir(parents=True, exist_ok=True)
    authority_key, server_key = (
        ec.generate_private_key(ec.SECP256R1()),
        ec.generate_private_key(ec.SECP256R1()),
    )
    authority = _certificate("test authority", authority_key, None, authority_key)
    server = _certificate("localhost", server_key, authority, authority_key)
    files = TlsFiles(folder / "ca.pem", folder / "server.pem", folder / "server-key.pem")
    files.ca_file.write_bytes(authority.public_bytes(serialization.Encoding.PEM))
    files.certificate_file.write_bytes(server.public_bytes(serialization.Encoding.PEM))
    files.key_file.write_bytes(_pem(server_key))
    return files


def make_service_account(token_uri: str, **over: Any) -> dict[str, Any]:
    """The content of a service account file, its key made once a process."""
    return {
        "type": "service_account",
        "project_id": PROJECT_ID,
        "private_key_id": "key-1",
        "private_key": signing_key(),
        "client_email": f"sender@{PROJECT_ID}.iam.gserviceaccount.com",
        "client_id": "1",
        "token_uri": token_uri,
        **over,
    }


def write_service_account(path: Path, token_uri: str, **over: Any) -> Path:
    path.touch(mode=0o600)
    path.write_text(json.dumps(make_service_account(token_uri, **over)))
    return path


@cache
def signing_key() -> str:
    return _pem(rsa.generate_private_key(public_exponent=65537, key_size=2048)).decode()


def _pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: x509.Certificate | None,
    issuer_key: ec.EllipticCurvePrivateKey,
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if issuer is None else issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
    )
    if issuer is not None:
        names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address(LOOPBACK))]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
        return builder.add_extension(identifier, critical=False).sign(issuer_key, hashes.SHA256())
    identity = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    return builder.add_extension(identity, critical=False).sign(issuer_key, hashes.SHA256())
