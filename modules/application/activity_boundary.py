"""What every activity needs at Temporal's edge: content is kept out of histories, heartbeats are kept up."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import TypeVar

from temporalio import activity
from temporalio.exceptions import ApplicationError

from modules.application.errors import ConflictError, InvalidInputError, NotFoundError, ServiceError
from modules.logger.logger_service import get_logger

ResultT = TypeVar("ResultT")

HEARTBEAT_SECONDS = 3.0


@asynccontextmanager
async def heartbeating() -> AsyncIterator[None]:
    """Tell Temporal every HEARTBEAT_SECONDS that this process lives, also while the work only waits."""
    beating = asyncio.create_task(_beat())
    try:
        yield
    finally:
        beating.cancel()


async def _beat() -> None:
    while True:
        activity.heartbeat()
        await asyncio.sleep(HEARTBEAT_SECONDS)


async def without_content(work: Awaitable[ResultT]) -> ResultT:
    """Let only codes reach Temporal's history: an exception's own text can hold content or addresses.

    What is refused for what was asked is not retried: the same question gets the same answer.
    """
    try:
        return await work
    except ServiceError as error:
        final = isinstance(error, (NotFoundError, InvalidInputError, ConflictError))
        raise ApplicationError(error.code, type=error.code, non_retryable=final) from None
    except Exception as error:  # noqa: BLE001 - raised again, without its text
        name = type(error).__name__
        get_logger().error("activity failed", action="activity.failed", error=name, frames=_frames(error))
        raise ApplicationError(name, type=name) from None


def _frames(error: BaseException) -> list[str]:
    return [f"{frame.name}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)]
