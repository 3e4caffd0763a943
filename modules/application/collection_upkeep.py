"""Looks at a collection before it is changed: who may only read and write can start where all is prepared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pymongo import IndexModel
from pymongo.asynchronous.database import AsyncDatabase

from modules.application.errors import ConfigurationError

# What the server adds to an index by itself (createIndexes, "Options for all index types").
_ADDED_BY_SERVER = ("v", "ns", "background")
_STRICT = "strict"
_STAMP = "notification-service, version "


class CollectionNotPreparedError(ConfigurationError):
    """A collection has to be created or changed, and the user of `mongodb.uri` may not do that."""

    def __init__(self, collection: str, missing: str) -> None:
        super().__init__(
            code="database_not_prepared",
            field="mongodb.uri",
            reason=(
                f"the collection {collection} has to {missing}, which this user may not do: "
                "run `notifications bootstrap` once as a user that has dbAdmin on the database"
            ),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Upkeep:
    """What is to be done to a collection, in this order."""

    create: bool
    change_validator: bool
    indexes: tuple[IndexModel, ...]

    def missing(self) -> str:
        """What has to happen, for who may not do it."""
        if self.create:
            return "be created"
        words = ["another validator"] if self.change_validator else []
        words += [f"the index {index.document['name']}" for index in self.indexes]
        return f"get {', '.join(words)}"


def stamped(validator: Mapping[str, Any], version: int) -> dict[str, Any]:
    """The validator with its version, which MongoDB keeps and does not look at."""
    return {"$comment": f"{_STAMP}{version}", **validator}


def version_of(validator: Mapping[str, Any]) -> int:
    """The version that a stored validator was stamped with; 0 for one without."""
    stamp = str(validator.get("$comment", ""))
    number = stamp.removeprefix(_STAMP)
    return int(number) if stamp.startswith(_STAMP) and number.isdecimal() else 0


async def needed_upkeep(
    database: AsyncDatabase[dict[str, Any]],
    collection: str,
    *,
    validator: Mapping[str, Any],
    version: int,
    indexes: Sequence[IndexModel],
) -> Upkeep:
    """Compare the collection with what it has to be; changes nothing.

    What a later version has made of it stays: only indexes that are not there at all are wanting then.
    """
    found = await (await database.list_collections(filter={"name": collection})).to_list()
    if not found:
        return Upkeep(create=True, change_validator=False, indexes=tuple(indexes))
    options = found[0].get("options", {})
    current = options.get("validator", {})
    existing = {index["name"]: index async for index in await database[collection].list_indexes()}
    if version_of(current) > version:
        missing = [index for index in indexes if index.document["name"] not in existing]
        return Upkeep(create=False, change_validator=False, indexes=tuple(missing))
    valid = current == stamped(validator, version) and options.get("validationLevel", _STRICT) == _STRICT
    wanting = [index for index in indexes if not _is_there(index, existing)]
    return Upkeep(create=False, change_validator=not valid, indexes=tuple(wanting))


def _is_there(index: IndexModel, existing: Mapping[str, Mapping[str, Any]]) -> bool:
    wanted = index.document
    found = existing.get(wanted["name"])
    return found is not None and _comparable(found) == _comparable(wanted)


def _comparable(index: Mapping[str, Any]) -> dict[str, Any]:
    # The order of an index's keys counts, which two mappings do not compare.
    return {
        name: list(value.items()) if name == "key" else value
        for name, value in index.items()
        if name not in _ADDED_BY_SERVER
    }
