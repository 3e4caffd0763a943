"""Lets registrations of one account, or of one installation, take turns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Any, ClassVar

from pymongo import ASCENDING, IndexModel, UpdateOne
from pymongo.asynchronous.client_session import AsyncClientSession

from modules.application.repository import Repository

# Longer than any transaction lasts.
_KEEP_SECONDS = 3_600


class DeviceLocks(Repository):
    """The collection `device_locks`. A document is written by every transaction that takes it: of those that
    run at once MongoDB lets one commit, and aborts the others, which try again.
    """

    collection_name = "device_locks"
    indexes: ClassVar[Sequence[IndexModel]] = (
        IndexModel([("taken_at", ASCENDING)], name="taken", expireAfterSeconds=_KEEP_SECONDS),
    )
    validator: ClassVar[Mapping[str, Any]] = {
        "$jsonSchema": {
            "bsonType": "object",
            "required": ["_id", "taken", "taken_at"],
            "additionalProperties": False,
            "properties": {
                "_id": {"bsonType": "string"},
                "taken": {"bsonType": ["int", "long"]},
                "taken_at": {"bsonType": "date"},
            },
        }
    }

    async def take(self, names: Iterable[tuple[str, ...]], session: AsyncClientSession) -> None:
        """Hold these until the session's transaction ends; raises what the driver does when another does."""
        # A date alone could be the one that is there, and a write that changes nothing holds nothing.
        change = {"$inc": {"taken": 1}, "$currentDate": {"taken_at": True}}
        locks = [UpdateOne({"_id": _key(name)}, change, upsert=True) for name in names]
        await self._collection.bulk_write(locks, session=session)


def _key(name: tuple[str, ...]) -> str:
    # Ids of people and of their phones are not kept here.
    return blake2b("\n".join(name).encode(), digest_size=16).hexdigest()
