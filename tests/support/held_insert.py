"""Makes inserts under one unique key wait in MongoDB for as long as a test wants."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from bson import ObjectId
from pymongo import MongoClient

from tests.support.push_rows import Document


class HeldInsert:
    """A transaction that has inserted a document and is not ended: who inserts under `key` waits for it.

    The document is a copy of any of the collection's, which has to have one.
    """

    def __init__(self, uri: str, database: str, collection: str, key: Document) -> None:
        self._client: MongoClient[Document] = MongoClient(uri)
        self._collection = self._client[database][collection]
        self._key = key
        self._session = self._client.start_session()

    def __enter__(self) -> Self:
        some = self._collection.find_one()
        assert some is not None
        self._session.start_transaction()
        self._collection.insert_one({**some, "_id": ObjectId(), **self._key}, session=self._session)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
        self._client.close()

    def is_waited_for(self) -> bool:
        """Whether an insert into the collection is under way."""
        wanted = {"ns": self._collection.full_name, "active": True, "command.insert": {"$exists": True}}
        return bool(list(self._client.admin.aggregate([{"$currentOp": {}}, {"$match": wanted}])))

    def release(self) -> None:
        """Leave the key to who waits for it."""
        if self._session.in_transaction:
            self._session.abort_transaction()

    def stored(self) -> list[Document]:
        return list(self._collection.find(self._key))
