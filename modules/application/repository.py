"""The generic repository: one collection, its validator and its indexes; the base of every store."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, ClassVar

from pymongo import IndexModel
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import ConfigurationError as MongoConfigurationError
from pymongo.errors import (
    ConnectionFailure,
    ExecutionTimeout,
    OperationFailure,
    PyMongoError,
    WriteConcernError,
    WTimeoutError,
)

from modules.application.collection_upkeep import CollectionNotPreparedError, Upkeep, needed_upkeep
from modules.application.errors import ConfigurationError, StoreError, UnavailableError

Document = dict[str, Any]

# Error codes of the MongoDB server (src/mongo/base/error_codes.yml).
_NAMESPACE_EXISTS = 48
_INDEX_OPTIONS_CONFLICT = 85
_INDEX_KEY_SPECS_CONFLICT = 86
_AUTHENTICATION_FAILED = 18
_UNAUTHORIZED = 13


@asynccontextmanager
async def database_errors() -> AsyncIterator[None]:
    """Translate the driver's failures into ServiceError; the driver's text can hold addresses and is dropped.

    Raises UnavailableError when MongoDB cannot be reached or did not answer in time, ConfigurationError when
    it refuses the credentials, StoreError for any other refusal: one that is expected is caught inside.
    """
    try:
        yield
    except (ConnectionFailure, ExecutionTimeout, WTimeoutError) as error:
        raise _unavailable(error) from None
    except MongoConfigurationError:
        raise ConfigurationError(
            code="database_misconfigured", field="mongodb.uri", reason="the MongoDB URI cannot be used"
        ) from None
    except OperationFailure as error:
        if error.code in (_AUTHENTICATION_FAILED, _UNAUTHORIZED):
            raise ConfigurationError(
                code="database_refused", field="mongodb.uri", reason="MongoDB refused the credentials"
            ) from None
        # A write that a changing primary did not confirm may be tried again.
        if isinstance(error, WriteConcernError) or error.has_error_label("RetryableWriteError"):
            raise _unavailable(error) from None
        raise StoreError(error.code) from None


def _unavailable(error: PyMongoError) -> UnavailableError:
    return UnavailableError(
        code="database_unavailable", reason=f"MongoDB did not answer ({type(error).__name__})"
    )


class Repository:
    """One collection. Subclasses name it, list its indexes, and give its validator."""

    collection_name: ClassVar[str]
    indexes: ClassVar[Sequence[IndexModel]] = ()
    validator: ClassVar[Mapping[str, Any]] = {}

    def __init__(self, database: AsyncDatabase[Document]) -> None:
        self._database = database
        self._collection: AsyncCollection[Document] = database[self.collection_name]

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
                indexes=self.index_models(),
            )
            try:
                await self._carry_out(upkeep)
            except OperationFailure as error:
                if error.code != _UNAUTHORIZED:
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
                self.collection_name, check_exists=False, validator=dict(self.validator)
            )
        except OperationFailure as error:
            if error.code != _NAMESPACE_EXISTS:
                raise
            await self._set_validator()

    async def _set_validator(self) -> None:
        await self._database.command(
            "collMod", self.collection_name, validator=dict(self.validator), validationLevel="strict"
        )

    async def _ensure_index(self, index: IndexModel) -> None:
        try:
            await self._collection.create_indexes([index])
        except OperationFailure as error:
            wanted = index.document.get("expireAfterSeconds")
            if wanted is None or error.code not in (_INDEX_OPTIONS_CONFLICT, _INDEX_KEY_SPECS_CONFLICT):
                raise
            if error.code == _INDEX_KEY_SPECS_CONFLICT:
                # Which documents it holds has changed. Without it, nothing is worse than kept too long.
                await self._collection.drop_index(index.document["name"])
                await self._collection.create_indexes([index])
                return
            await self._database.command(
                "collMod",
                self.collection_name,
                index={"name": index.document["name"], "expireAfterSeconds": wanted},
            )
