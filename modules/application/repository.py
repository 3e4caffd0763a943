"""The generic repository: one collection, its validator and its indexes; the base of every store."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, ClassVar

from pymongo import IndexModel
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import DuplicateKeyError, OperationFailure

from modules.application.collection_upkeep import CollectionNotPreparedError, Upkeep, needed_upkeep, stamped
from modules.application.mongo_errors import (
    DRIVER_ERRORS,
    INDEX_KEY_SPECS_CONFLICT,
    INDEX_NOT_FOUND,
    INDEX_OPTIONS_CONFLICT,
    NAMESPACE_EXISTS,
    UNAUTHORIZED,
    service_error,
)
from modules.application.store_patience import StorePatience

Document = dict[str, Any]

SECONDS_PER_DAY = 86_400


@asynccontextmanager
async def database_errors() -> AsyncIterator[None]:
    """Translate the driver's failures into ServiceError, as `service_error` sorts them, without a repeat.

    An error that is expected is caught inside.
    """
    try:
        yield
    except DRIVER_ERRORS as error:
        raise service_error(error) from None


def one_batch(most: int) -> int:
    """The `batch_size` with which a query for at most so many documents needs no second request."""
    # One more than there can be: at the size itself the server cannot tell that nothing is left.
    return most + 1


async def insert_once(collection: AsyncCollection[Document], document: Document) -> bool:
    """Insert under the document's own `_id`, durable on a majority; False when another unique key is taken.

    Safe to repeat: a try whose answer was lost is found again. Raises what the driver does.
    """
    try:
        await collection.insert_one(document)
    except DuplicateKeyError as error:
        if "_id" not in (error.details or {}).get("keyPattern", {}):
            return False
        # The refusal hides whether a majority has the former try by now.
        if not await confirm_majority(collection, document["_id"]):
            return await insert_once(collection, document)
    return True


async def confirm_majority(collection: AsyncCollection[Document], document_id: object) -> bool:
    """Whether the document is there; returns once a majority has it, raises what the driver does."""
    # A write that changes nothing waits for all before it (MongoDB, "Write Concern").
    nothing = {"$setOnInsert": {"_id": document_id}}
    result = await collection.update_one({"_id": document_id}, nothing)
    return result.matched_count == 1


class Repository:
    """One collection. Subclasses name it, list its indexes, and give its validator.

    `validator_version` counts up with each change of the validator, or of an index that was there: a process
    of a release before does not take back what one of a later release has set.
    """

    collection_name: ClassVar[str]
    indexes: ClassVar[Sequence[IndexModel]] = ()
    validator: ClassVar[Mapping[str, Any]] = {}
    validator_version: ClassVar[int] = 1

    def __init__(self, database: AsyncDatabase[Document]) -> None:
        self._database = database
        self._collection: AsyncCollection[Document] = database[self.collection_name]
        self._patience = StorePatience(database)

    def index_models(self) -> Sequence[IndexModel]:
        """The indexes this collection needs; override where a setting decides about one."""
        return self.indexes

    async def ensure(self) -> None:
        """Create the collection, its validator and its indexes, or bring them up to date; safe to repeat.

        It looks first and changes only what differs. Raises CollectionNotPreparedError when something has to
        be changed and the user may not.
        """
        async with database_errors():
            upkeep = await needed_upkeep(
                self._database,
                self.collection_name,
                validator=self.validator,
                version=self.validator_version,
                indexes=self.index_models(),
            )
            try:
                await self._carry_out(upkeep)
            except OperationFailure as error:
                if error.code != UNAUTHORIZED:
                    raise
                raise CollectionNotPreparedError(self.collection_name, upkeep.missing()) from None

    async def _carry_out(self, upkeep: Upkeep) -> None:
        if upkeep.create:
            await self._create()
        elif upkeep.change_validator:
            await self._set_validator()
        for index in upkeep.indexes:
            await self._ensure_index(index)

    async def _create(self) -> None:
        try:
            # The driver's own existence check would raise before the server can say NamespaceExists.
            await self._database.create_collection(
                self.collection_name, check_exists=False, validator=self._stamped_validator()
            )
        except OperationFailure as error:
            if error.code != NAMESPACE_EXISTS:
                raise
            await self._set_validator()

    async def _set_validator(self) -> None:
        await self._database.command(
            "collMod",
            self.collection_name,
            validator=self._stamped_validator(),
            validationLevel="strict",
        )

    def _stamped_validator(self) -> Document:
        return stamped(self.validator, self.validator_version)

    async def _ensure_index(self, index: IndexModel) -> None:
        try:
            await self._collection.create_indexes([index])
        except OperationFailure as error:
            name, seconds = index.document["name"], index.document.get("expireAfterSeconds")
            if error.code == INDEX_KEY_SPECS_CONFLICT and await self._may_be_replaced(index):
                await self._replace_index(index)
            elif error.code == INDEX_OPTIONS_CONFLICT and seconds is not None:
                await self._database.command(
                    "collMod", self.collection_name, index={"name": name, "expireAfterSeconds": seconds}
                )
            else:
                raise

    async def _may_be_replaced(self, index: IndexModel) -> bool:
        """Whether only which documents it holds has changed, and nobody counts on it without a break.

        Until it is there again its queries are slow, and what it removes is kept.
        """
        wanted, existing = index.document, await self._collection.index_information()
        keys = existing.get(wanted["name"], {}).get("key")
        return keys in (None, list(wanted["key"].items())) and not wanted.get("unique")

    async def _replace_index(self, index: IndexModel) -> None:
        try:
            await self._collection.drop_index(index.document["name"])
        except OperationFailure as error:
            # Another process that starts now may have done so.
            if error.code != INDEX_NOT_FOUND:
                raise
        await self._collection.create_indexes([index])
