"""Makes the service-account files that clients sign with, and points them at this simulator's port."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

PROJECTS = {"demo-project": "service-account.json", "demo-project-second": "service-account-second.json"}

_FIELDS = ("project_id", "private_key", "client_email")


@dataclass(frozen=True, slots=True)
class ServiceAccount:
    """Who may ask for tokens, for which project, and the key that its assertions are checked with."""

    project: str
    email: str
    public_key: rsa.RSAPublicKey


def provide_service_accounts(folder: Path, token_uri: str) -> list[ServiceAccount]:
    """Reuse the files in the folder or make them (mode 0600); a `token_uri` that differs is rewritten."""
    return [_provide(folder / name, project, token_uri) for project, name in PROJECTS.items()]


def write_private(path: Path, content: bytes) -> None:
    """Replace the file in one step by one that only its owner can read."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    temporary.replace(path)


def _provide(path: Path, project: str, token_uri: str) -> ServiceAccount:
    content = _read(path) or _make(project)
    public_key = _public_key_of(content, path)
    if content.get("token_uri") != token_uri or path.stat().st_mode & 0o077:
        content = {**content, "token_uri": token_uri}
        write_private(path, json.dumps(content, indent=2).encode() + b"\n")
    return ServiceAccount(content["project_id"], content["client_email"], public_key)


def _read(path: Path) -> Mapping[str, str] | None:
    try:
        content = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except ValueError:
        raise ValueError(_unusable(path)) from None
    if not isinstance(content, dict) or any(not isinstance(content.get(name), str) for name in _FIELDS):
        raise ValueError(_unusable(path))
    return content


def _public_key_of(content: Mapping[str, str], path: Path) -> rsa.RSAPublicKey:
    try:
        # Validating a key takes longer than all the rest of a start.
        key = serialization.load_pem_private_key(
            content["private_key"].encode(), password=None, unsafe_skip_rsa_key_validation=True
        )
    except (ValueError, TypeError):
        raise ValueError(_unusable(path)) from None
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ValueError(_unusable(path))  # noqa: TRY004
    return key.public_key()


def _unusable(path: Path) -> str:
    return f"{path} is not a service-account file: delete it to get a new one"


def _make(project: str) -> Mapping[str, str]:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    email = f"firebase-adminsdk-sim@{project}.iam.gserviceaccount.com"
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    certificate_url = f"https://www.googleapis.com/robot/v1/metadata/x509/{email.replace('@', '%40')}"
    return {
        "type": "service_account",
        "project_id": project,
        "private_key_id": secrets.token_hex(20),
        "private_key": pem.decode(),
        "client_email": email,
        "client_id": str(secrets.randbelow(10**21)).zfill(21),
        "auth_uri": "https://accounts.google.com/o/oauth2/auth",
        "auth_provider_x509_cert_url": "https://www.googleapis.com/oauth2/v1/certs",
        "client_x509_cert_url": certificate_url,
        "universe_domain": "googleapis.com",
    }
