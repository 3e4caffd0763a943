"""Runs several writes as one: all of them are there afterwards, or none."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import PyMongoError, ServerSelectionTimeoutError
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from modules.application.repository import Document

PATIENCE_SECONDS = 20.0
LONGEST_PAUSE_SECONDS = 0.1
# Labels of the transactions specification of MongoDB's drivers.
_REPEATABLE = ("TransientTransactionError", "UnknownTransactionCommitResult")

ResultT = TypeVar("ResultT")


async def in_transaction(
    database: AsyncDatabase[Document], work: Callable[[AsyncClientSession], Awaitable[ResultT]]
) -> ResultT:
    """Run `work` in a transaction, again while others write the same, and return what it returned.

    What `work` raises undoes its writes. It has to be right to repeat: a commit that was not confirmed is.
    Raises what the driver does. Not the driver's `with_transaction`, which tries for two minutes while no
    server answers.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    async with database.client.start_session() as session:
        while True:
            try:
                async with await session.start_transaction(
                    read_concern=ReadConcern("snapshot"), write_concern=WriteConcern("majority")
                ):
                    return await work(session)
            except PyMongoError as error:
                if time.monotonic() > deadline or not _may_repeat(error):
                    raise
            # Jitter needs no cryptographic randomness.
            await asyncio.sleep(random.uniform(0, LONGEST_PAUSE_SECONDS))  # noqa: S311


def _may_repeat(error: PyMongoError) -> bool:
    if isinstance(error, ServerSelectionTimeoutError):
        return False
    return any(error.has_error_label(label) for label in _REPEATABLE)
