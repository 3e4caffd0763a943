"""A test's database as the service opens it; whoever opens it closes it, on the loop it was used on."""

from __future__ import annotations

from pydantic import SecretStr

from modules.application.mongo_database import MongoDatabase
from modules.config.types import MongoSettings


def opened_database(uri: str, name: str, *, operation_timeout_seconds: float = 20) -> MongoDatabase:
    return MongoDatabase(
        MongoSettings(
            uri=SecretStr(uri),
            database=name,
            server_selection_timeout_seconds=5,
            operation_timeout_seconds=operation_timeout_seconds,
        )
    )
