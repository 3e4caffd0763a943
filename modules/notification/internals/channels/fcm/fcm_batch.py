"""Sends the messages of one call that go to one app, side by side; ends early when all of them must wait."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from modules.application.errors import ServiceError
from modules.logger.logger_service import get_logger
from modules.notification.errors import ProviderUnavailableError
from modules.notification.internals.channels.fcm.answer import FailureKind, FcmAnswer, SendFailure
from modules.notification.internals.channels.fcm.fcm_app import FcmApp
from modules.notification.internals.channels.fcm.message_encoder import EncodedMessage
from modules.notification.internals.channels.port import SendGuard
from modules.notification.internals.error_classifier import ACCEPTED, ErrorClassifier, accepted_message_id
from modules.notification.types import Push, PushTarget, TargetResult, ThrottleScope


@dataclass(slots=True)
class TargetMessage:
    """One message to one target, and what came of it; encoded when it is sent."""

    push: Push
    target: PushTarget
    encoded: EncodedMessage | SendFailure
    result: TargetResult | None = None


class FCMBatch:
    """Messages to one app. `send` gives every one its result and raises nothing for what FCM answers."""

    def __init__(
        self, messages: Sequence[TargetMessage], classifier: ErrorClassifier, guard: SendGuard
    ) -> None:
        self._messages = messages
        self._classifier = classifier
        self._guard = guard
        # Says that the project's quota is used up, once an answer has said so.
        self._ended: SendFailure | None = None

    async def send(self, app: FcmApp) -> None:
        try:
            await app.ensure_access()
        except ServiceError as error:
            self._fail_all(app, error)
            return
        waiting = iter(self._messages)

        async def drain() -> None:
            # Held throughout: a turn for each message would cost each the wait behind other batches'.
            async with app.slot():
                for message in waiting:
                    await self._send_one(message, app)

        await run_concurrently(
            [drain() for _ in range(min(len(self._messages), app.max_concurrent_requests))]
        )

    def refuse(self, failure: SendFailure) -> None:
        """Nothing is sent: every message gets the same answer."""
        for message in self._messages:
            self._classified(message, failure)

    def _fail_all(self, app: FcmApp, error: ServiceError) -> None:
        """Without access nothing can be sent; what would have been let out is told of it."""
        failure = _no_access(app, error)
        for message in self._messages:
            refused = self._guard.refusal(message.push, message.target)
            if refused is None:
                self._answer(message, failure)
            else:
                message.result = TargetResult(device_id=message.target.device_id, classification=refused)

    async def _send_one(self, message: TargetMessage, app: FcmApp) -> None:
        encoded = self._ended or message.encoded
        if isinstance(encoded, SendFailure):
            self._classified(message, encoded)
            return
        admitted = False

        def may_send() -> bool:
            nonlocal admitted
            # Asked again before the same message goes out with another access token, which may take a while.
            refused = self._guard.refusal(message.push, message.target)
            admitted = refused is None
            if refused is not None:
                message.result = TargetResult(device_id=message.target.device_id, classification=refused)
            return admitted

        target, notification_id = message.target, message.push.payload.notification_id
        try:
            answer = await app.post(encoded.body_for(target.kind, target.address, notification_id), may_send)
        except ServiceError as error:
            answer = _no_access(app, error)
        except Exception as error:  # noqa: BLE001 - what the other targets were answered must not be lost
            get_logger().error("sending failed", action="fcm.send_failed", error=type(error).__name__)
            answer = SendFailure(kind=FailureKind.UNEXPECTED, detail=type(error).__name__)
        # What failed before there was room to ask is asked now, so that the guard hears of it too.
        if message.result is None and (admitted or may_send()):
            self._answer(message, answer)

    def _answer(self, message: TargetMessage, answer: FcmAnswer) -> None:
        """Take the answer to a message that the guard let out."""
        result = self._classified(message, answer)
        self._guard.answered(message.push, message.target, result)
        verdict = result.classification
        if verdict.attempted and verdict.scope is ThrottleScope.PROJECT:
            seconds = verdict.retry_after_seconds or verdict.min_backoff_seconds
            self._ended = SendFailure(kind=FailureKind.QUOTA_REACHED, retry_after_seconds=seconds)

    def _classified(self, message: TargetMessage, answer: FcmAnswer) -> TargetResult:
        message_id = accepted_message_id(answer)
        verdict = self._classifier.classify(answer) if message_id is None else ACCEPTED
        message.result = TargetResult(
            device_id=message.target.device_id,
            classification=verdict,
            message_id=message_id,
            latency_ms=answer.latency_ms,
        )
        return message.result


def _no_access(app: FcmApp, error: ServiceError) -> SendFailure:
    app.report(error)
    unreachable = isinstance(error, ProviderUnavailableError)
    kind = FailureKind.TOKEN_SERVER_UNREACHABLE if unreachable else FailureKind.CREDENTIALS_UNUSABLE
    # The answer is kept with the row; the reason may name a file of this machine.
    return SendFailure(kind=kind, detail=error.code)


async def run_concurrently(coroutines: Sequence[Coroutine[Any, Any, None]]) -> None:
    """Run all to their end; a task each only where there is more than one."""
    if len(coroutines) == 1:
        await coroutines[0]
        return
    async with asyncio.TaskGroup() as group:
        for coroutine in coroutines:
            group.create_task(coroutine)
