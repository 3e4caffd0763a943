"""Kinds of values that settings have; each refuses at load what would end in a strange place later."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from modules.config.internals.cron_expression import cron_problem

MAX_WORD_LENGTH = 200
# MongoDB, "Naming Restrictions": names of databases.
MAX_DATABASE_NAME_BYTES = 63
_NOT_IN_DATABASE_NAMES = '/\\. "$*<>:|?'
_DATABASES_OF_THE_SERVER = ("admin", "config", "local")
HIGHEST_PORT = 65_535

_WORD = re.compile(r"[!-~]+")
_HOST_PORT = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s:/@\[\]]+):(\d{1,5})")
_HTTPS_ORIGIN = re.compile(r"https://(\[[0-9A-Fa-f:.]+\]|[^/\s:@?#\[\]]+)(:\d{1,5})?")
_MONGODB_URI = re.compile(r"mongodb(\+srv)?://\S+")


class SettingProblemError(ValueError):
    """What is wrong with settings that do not go together; `setting` is the one to mend, in its section."""

    def __init__(self, setting: str, reason: str) -> None:
        super().__init__(reason)
        self.setting = setting


def _kind(check: Callable[[str], str | None]) -> AfterValidator:
    """`check` says what a text has to be, or None when it is that."""

    def validate(text: str) -> str:
        wrong = check(text)
        if wrong is not None:
            raise ValueError(wrong)
        return text

    return AfterValidator(validate)


def _secret_kind(check: Callable[[str], str | None]) -> AfterValidator:
    def validate(secret: SecretStr) -> SecretStr:
        wrong = check(secret.get_secret_value())
        if wrong is not None:
            raise ValueError(wrong)
        return secret

    return AfterValidator(validate)


def _word(text: str) -> str | None:
    if _WORD.fullmatch(text) and len(text) <= MAX_WORD_LENGTH:
        return None
    return f"must be 1 to {MAX_WORD_LENGTH} printable ASCII characters without spaces"


def _api_key(text: str) -> str | None:
    return None if _WORD.fullmatch(text) else "must be printable ASCII characters without spaces"


def _database_name(text: str) -> str | None:
    if text in _DATABASES_OF_THE_SERVER:
        return "must not be one of MongoDB's own databases"
    if (
        text.isprintable()
        and 1 <= len(text.encode()) <= MAX_DATABASE_NAME_BYTES
        and not any(each in text for each in _NOT_IN_DATABASE_NAMES)
    ):
        return None
    forbidden = " ".join(each for each in _NOT_IN_DATABASE_NAMES if each != " ")
    return f"must be 1 to {MAX_DATABASE_NAME_BYTES} bytes without spaces and {forbidden}"


def _host_port(text: str) -> str | None:
    match = _HOST_PORT.fullmatch(text)
    if match and 1 <= int(match[2]) <= HIGHEST_PORT:
        return None
    return "must be host:port, without a scheme"


def _mongodb_uri(text: str) -> str | None:
    if _MONGODB_URI.fullmatch(text):
        return None
    return "must be a connection string, mongodb://… or mongodb+srv://…, without spaces"


def _https_origin(text: str) -> str | None:
    match = _HTTPS_ORIGIN.fullmatch(text)
    if match and (match[2] is None or 1 <= int(match[2][1:]) <= HIGHEST_PORT):
        return None
    return "must be https://host or https://host:port, without a path"


def _web_address(text: str) -> str | None:
    try:
        parts = urlsplit(text)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    return None if usable and _WORD.fullmatch(text) else "must be an http or https address"


def _plain_path(path: Path) -> Path:
    if not str(path).isprintable():
        raise ValueError("must be a path of printable characters")
    return path


def _upper(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


Word = Annotated[str, _kind(_word)]
DatabaseName = Annotated[str, _kind(_database_name)]
HostPort = Annotated[str, _kind(_host_port)]
HttpsOrigin = Annotated[str, _kind(_https_origin)]
WebAddress = Annotated[str, _kind(_web_address)]
CronExpression = Annotated[str, _kind(cron_problem)]
MongodbUri = Annotated[SecretStr, _secret_kind(_mongodb_uri)]
ApiKey = Annotated[SecretStr, _secret_kind(_api_key)]
PlainPath = Annotated[Path, AfterValidator(_plain_path)]
InUpperCase = BeforeValidator(_upper)
InLowerCase = BeforeValidator(_lower)

# Neither nothing nor for ever: drivers round to milliseconds and take 0 for no bound.
PositiveSeconds = Annotated[float, Field(ge=0.001, le=604_800, allow_inf_nan=False)]
# A bound on one call or wait.
TimeoutSeconds = Annotated[float, Field(ge=0.001, le=3_600, allow_inf_nan=False)]
