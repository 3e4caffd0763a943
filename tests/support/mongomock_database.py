"""A database without a server: mongomock behind the async face of pymongo's, for the contracts of stores.

What the face lacks, or mongomock refuses, belongs to the real MongoDB: server-side expressions, validators,
transactions, and the indexes that a hint names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, Self

import bson
import mongomock
from bson import ObjectId
from bson.codec_options import CodecOptions
from pymongo import IndexModel, MongoClient
from pymongo.collection import Collection
from pymongo.command_cursor import CommandCursor
from pymongo.cursor import Cursor
from pymongo.results import DeleteResult, InsertManyResult, InsertOneResult, UpdateResult

from modules.application.repository import Document

# How a server is to go about it; mongomock has nothing to go about, and refuses some of them.
_FOR_A_SERVER = frozenset({"hint", "session", "batch_size", "batchSize", "bypass_document_validation"})
_AWARE: CodecOptions[Document] = CodecOptions(tz_aware=True)


class MongomockCursor:
    """Yields copies, as a cursor of a server does."""

    def __init__(self, cursor: Cursor[Document] | CommandCursor[Document]) -> None:
        self._cursor = cursor

    async def to_list(self) -> list[Document]:
        return list(self._cursor)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Document:
        for document in self._cursor:
            return document
        raise StopAsyncIteration


class MongomockQuery(MongomockCursor):
    """A cursor that can still be told its order and its end."""

    def __init__(self, cursor: Cursor[Document]) -> None:
        super().__init__(cursor)
        self._query = cursor

    def sort(self, key: str | Sequence[tuple[str, int]], direction: int | None = None) -> Self:
        self._query.sort(key, direction)
        return self

    def limit(self, most: int) -> Self:
        self._query.limit(most)
        return self


class MongomockCollection:
    def __init__(self, collection: Collection[Document]) -> None:
        self._collection = collection

    def with_options(self, **_: Any) -> Self:
        """The collection itself: where there is one node, nothing is read from before."""
        return self

    def find(
        self, wanted: Document, fields: Mapping[str, Any] | None = None, **options: Any
    ) -> MongomockQuery:
        return MongomockQuery(self._collection.find(wanted, _own(fields), **_kept(options)))

    async def find_one(
        self, wanted: Document, fields: Mapping[str, Any] | None = None, **options: Any
    ) -> Document | None:
        return self._collection.find_one(wanted, _own(fields), **_kept(options))

    async def count_documents(self, wanted: Document, **options: Any) -> int:
        return self._collection.count_documents(wanted, **_kept(options))

    async def aggregate(self, pipeline: Sequence[Document], **options: Any) -> MongomockCursor:
        return MongomockCursor(self._collection.aggregate(pipeline, **_kept(options)))

    async def insert_one(self, document: Document, **options: Any) -> InsertOneResult:
        return self._collection.insert_one(_as_bson(document), **_kept(options))

    async def insert_many(self, documents: Sequence[Document], **options: Any) -> InsertManyResult:
        return self._collection.insert_many([_as_bson(each) for each in documents], **_kept(options))

    async def update_one(self, wanted: Document, change: Document, **options: Any) -> UpdateResult:
        return self._collection.update_one(wanted, change, **_kept(options))

    async def update_many(self, wanted: Document, change: Document, **options: Any) -> UpdateResult:
        return self._collection.update_many(wanted, change, **_kept(options))

    async def delete_one(self, wanted: Document, **options: Any) -> DeleteResult:
        return self._collection.delete_one(wanted, **_kept(options))

    async def delete_many(self, wanted: Document, **options: Any) -> DeleteResult:
        return self._collection.delete_many(wanted, **_kept(options))

    async def create_indexes(self, indexes: Sequence[IndexModel]) -> None:
        for index in indexes:
            options = dict(index.document)
            # mongomock's own create_indexes drops what makes an index partial.
            self._collection.create_index(list(options.pop("key").items()), **options)


class MongomockDatabase:
    """Collections that live as long as it does; `client` says what stores ask of a client."""

    def __init__(self) -> None:
        client: MongoClient[Document] = mongomock.MongoClient(tz_aware=True)
        self._database = client["contract"]
        pool_options = SimpleNamespace(socket_timeout=None)
        self.client = SimpleNamespace(
            options=SimpleNamespace(pool_options=pool_options), admin=SimpleNamespace(command=_command)
        )

    def __getitem__(self, name: str) -> MongomockCollection:
        return MongomockCollection(self._database[name])


async def _command(name: str) -> Document:
    assert name == "hello"
    return {"localTime": datetime.now(UTC)}


def _kept(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name not in _FOR_A_SERVER}


def _own(fields: Mapping[str, Any] | None) -> dict[str, Any] | None:
    # mongomock writes into the projection that it is given.
    return None if fields is None else dict(fields)


def _as_bson(document: Document) -> Document:
    """The document as it comes back from the wire: enums as text, tuples as lists, times in milliseconds."""
    document.setdefault("_id", ObjectId())
    return bson.decode(bson.encode(document), _AWARE)
