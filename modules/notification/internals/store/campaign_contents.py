"""Completes campaign rows: their content is kept once, in the campaign, and never changes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

from bson import ObjectId
from pymongo.asynchronous.database import AsyncDatabase

from modules.application.repository import Document

KEPT_CAMPAIGNS = 256


class CampaignContents:
    """The contents of the campaigns that were met last. Lives on one event loop."""

    def __init__(self, database: AsyncDatabase[Document]) -> None:
        self._campaigns = database["campaigns"]
        self._kept: OrderedDict[ObjectId, Mapping[str, Any]] = OrderedDict()

    async def complete(self, documents: Sequence[Document]) -> list[Document]:
        """The row documents, those of campaigns with their campaign's content; raises what the driver does.

        A row whose campaign is gone stays as it is, and cannot be read.
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
        missing = [campaign_id for campaign_id in wanted if campaign_id not in self._kept]
        found = {each: self._kept[each] for each in wanted if each in self._kept}
        if missing:
            cursor = self._campaigns.find({"_id": {"$in": missing}}, {"content": 1})
            async for campaign in cursor:
                found[campaign["_id"]] = campaign["content"]
        for campaign_id, content in found.items():
            self._kept[campaign_id] = content
            self._kept.move_to_end(campaign_id)
        while len(self._kept) > KEPT_CAMPAIGNS:
            self._kept.popitem(last=False)
        return found
