"""Completes rows of a bulk: their content is kept once, by the campaign they are of, and never changes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, Final

from bson import ObjectId
from pymongo.asynchronous.database import AsyncDatabase

from modules.application.repository import Document
from modules.application.store_patience import StorePatience
from modules.notification.internals.store.push_notification_model import PushNotificationModel

KEPT_CONTENTS = 256
# Whoever has a bulk sent keeps its content there, under the bulk's id.
CONTENT_COLLECTION, CONTENT_FIELD = "campaigns", "content"
# What the rows of a bulk have from its content.
CONTENT_FIELDS: Final = frozenset(
    {
        "title",
        "body",
        "data",
        "image_url",
        "click_action",
        "category",
        "app_id",
        "options",
        "outcome_policy",
        "provider",
        "content_fingerprint",
        "broadcast",
    }
)


class SharedContents:
    """The contents that were met last. Lives on one event loop."""

    def __init__(self, database: AsyncDatabase[Document]) -> None:
        self._collection = database[CONTENT_COLLECTION]
        self._patience = StorePatience(database)
        self._kept: OrderedDict[ObjectId, Mapping[str, Any]] = OrderedDict()

    async def complete(self, documents: Sequence[Document]) -> list[Document]:
        """The row documents, those of a bulk with its content; raises UnavailableError.

        A row whose bulk is gone stays as it is, and cannot be read.
        """
        wanted = {document["campaign"]["id"] for document in documents if "campaign" in document}
        if not wanted:
            return list(documents)
        contents = await self._contents_of(wanted)
        return [
            {**contents.get(document["campaign"]["id"], {}), **document}
            if "campaign" in document
            else document
            for document in documents
        ]

    async def _contents_of(self, wanted: set[ObjectId]) -> dict[ObjectId, Mapping[str, Any]]:
        missing = [bulk_id for bulk_id in wanted if bulk_id not in self._kept]
        found = {each: self._kept[each] for each in wanted if each in self._kept}
        if missing:
            documents = await self._patience.repeated(
                lambda: self._collection.find({"_id": {"$in": missing}}, {CONTENT_FIELD: 1}).to_list()
            )
            found |= {document["_id"]: document[CONTENT_FIELD] for document in documents}
        for bulk_id, content in found.items():
            self._kept[bulk_id] = content
            self._kept.move_to_end(bulk_id)
        while len(self._kept) > KEPT_CONTENTS:
            self._kept.popitem(last=False)
        return found


def content_of(row: PushNotificationModel) -> dict[str, Any]:
    """What every row of a bulk has in common with `row`."""
    content = row.model_dump(include=set(CONTENT_FIELDS))
    if content["broadcast"] is None:
        del content["broadcast"]
    return content
