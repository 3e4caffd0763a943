"""Reads a service account file so that whatever is wrong with it is said plainly and none of it is shown."""

from __future__ import annotations

import json
import os
import re
import stat
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

from firebase_admin import credentials

from modules.notification.errors import ProviderConfigurationError

MAX_FILE_BYTES = 65_536

_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_PROJECT_ID = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9.:-]{0,127}")


class ServiceAccount:
    """A usable service account: firebase-admin's certificate and the project it sends for."""

    def __init__(self, certificate: credentials.Certificate, project_id: str) -> None:
        self.certificate = certificate
        self.project_id = project_id


def load_service_account(path: Path, *, project_id: str | None, field: str) -> ServiceAccount:
    """Read and check a service account file; `project_id` replaces the file's own.

    Raises ProviderConfigurationError with a one-line reason when the file is missing, open to others, no
    service account, or names no project. `field` is the setting that names the file.
    """
    document = _read_document(path, field)
    problem, certificate = _certificate(document)
    project = project_id or document.get("project_id")
    # A traceback shows the locals of every frame: the key is gone before anything is raised.
    document.clear()
    if certificate is None:
        _refuse("fcm_credentials_invalid", field, f"{path}: {problem}")
    if not isinstance(project, str) or not _PROJECT_ID.fullmatch(project):
        _refuse("fcm_project_missing", field, f"{path}: names no valid project_id; set fcm.project_id")
    return ServiceAccount(certificate, project)


def _read_document(path: Path, field: str) -> dict[str, Any]:
    content = _read_private(path, field)
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        document = None
    content = b""
    if not isinstance(document, dict):
        _refuse("fcm_credentials_invalid", field, f"{path}: is not a JSON object")
    return document


def _read_private(path: Path, field: str) -> bytes:
    try:
        # Non-blocking, so that a named pipe is refused and not waited for.
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
            mode, content = os.fstat(file.fileno()).st_mode, b""
            if stat.S_ISREG(mode) and not mode & _OTHERS:
                content = file.read(MAX_FILE_BYTES)
    except OSError as error:
        reason = f"{path}: cannot be read ({os.strerror(error.errno or 0)})"
        _refuse("fcm_credentials_missing", field, reason)
    if not stat.S_ISREG(mode):
        _refuse("fcm_credentials_missing", field, f"{path}: is not a file")
    if mode & _OTHERS:
        reason = f"{path}: group or others have access to it; run: chmod 600 {path}"
        _refuse("fcm_credentials_exposed", field, reason)
    return content


def _certificate(document: dict[str, Any]) -> tuple[str, credentials.Certificate | None]:
    if document.get("type") != "service_account":
        return 'is not a service account (its "type" is not "service_account")', None
    names = ("client_email", "private_key", "token_uri")
    missing = [name for name in names if not isinstance(document.get(name), str) or not document[name]]
    if missing:
        return f"lacks {', '.join(missing)}", None
    if not _is_https(document["token_uri"]):
        return "its token_uri is not an https address", None
    try:
        return "", credentials.Certificate(document)
    except (ValueError, TypeError):
        # What the parser says about a key can repeat parts of it.
        return "its private_key is not a usable PEM key", None


def _is_https(address: str) -> bool:
    try:
        parts = urlsplit(address)
        return parts.scheme == "https" and bool(parts.hostname)
    except ValueError:
        return False


def _refuse(code: str, field: str, reason: str) -> NoReturn:
    raise ProviderConfigurationError(code=code, field=field, reason=reason) from None
