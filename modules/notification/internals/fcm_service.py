"""Delivers one payload to many devices through FCM; the channel that speaks HTTP v1."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from firebase_admin import exceptions, messaging

from modules.application.app_ids import DEFAULT_APP_ID
from modules.application.errors import ServiceError
from modules.config.types import FcmSettings
from modules.notification.errors import (
    ProviderConfigurationError,
    ProviderRefusedError,
    ProviderUnavailableError,
)
from modules.notification.internals.channels.fcm.access_token_source import Access
from modules.notification.internals.channels.fcm.answer import FailureKind, FcmAnswer, SendFailure
from modules.notification.internals.channels.fcm.fcm_app import FcmApp
from modules.notification.internals.channels.fcm.firebase_errors import firebase_error_for, service_error_for
from modules.notification.internals.channels.fcm.message_builder import build_message
from modules.notification.internals.channels.fcm.message_encoder import ANY_TARGET, EncodedMessage
from modules.notification.internals.channels.fcm.message_templates import MessageTemplates
from modules.notification.internals.channels.fcm.param_rules import ProblemList
from modules.notification.internals.error_classifier import ACCEPTED, ErrorClassifier, accepted_message_id
from modules.notification.internals.fcm_params import MAX_MESSAGE_BYTES, check_target_count
from modules.notification.types import (
    BroadcastKind,
    Push,
    PushPayload,
    PushTarget,
    SendPushResult,
    TargetResult,
)

CHECK_TOPIC = "notification-service-check"


@dataclass(slots=True)
class Letter:
    """One message to one target, and what came of it; encoded when it is sent."""

    target: PushTarget
    message: EncodedMessage | SendFailure
    message_id: str
    answer: FcmAnswer | None = None


class FCMService:
    """The FCM channel (a PushChannel). Lives on one event loop.

    `max_concurrent_requests` bounds each app of this instance, the setting's value unless given: callers keep
    urgent traffic apart by giving it an instance of its own. Opens nothing before the first call.
    """

    def __init__(
        self,
        *,
        settings: FcmSettings,
        classifier: ErrorClassifier | None = None,
        max_concurrent_requests: int | None = None,
    ) -> None:
        self._classifier = classifier or ErrorClassifier()
        self._templates = MessageTemplates()
        self._apps = {
            app_id: FcmApp(
                app_id=app_id,
                app=app,
                settings=settings,
                max_concurrent_requests=max_concurrent_requests or settings.max_concurrent_requests,
            )
            for app_id, app in settings.all_apps().items()
        }

    async def send_push(self, targets: Sequence[PushTarget], payload: PushPayload) -> SendPushResult:
        """Make one attempt at every target; returns one result each, in order.

        Raises InvalidInputError for no target or more than 500, and nothing for what FCM or the network does.
        """
        problems = ProblemList()
        check_target_count(len(targets), problems)
        problems.refuse()
        [result] = await self.send_each([Push(targets=targets, payload=payload)], may_send=lambda: True)
        return result

    async def send_each(
        self, pushes: Sequence[Push], *, may_send: Callable[[], bool]
    ) -> list[SendPushResult]:
        """See PushChannel: one attempt at every target of every push, all side by side."""
        letters: list[Letter] = []
        for push in pushes:
            message = _encoded(push.payload, self._templates.encoded)
            letters += [Letter(target, message, push.payload.notification_id) for target in push.targets]
        await self._send_all(letters, may_send)
        answered = iter(letters)
        return [
            SendPushResult(results=tuple(self._result(next(answered)) for _ in push.targets))
            for push in pushes
        ]

    async def validate_push(self, targets: Sequence[PushTarget], payload: PushPayload) -> SendPushResult:
        """See PushChannel; FCM's `validate_only`."""
        message = _encoded(payload, _validating)
        letters = [Letter(target, message, payload.notification_id) for target in targets]
        await self._send_all(letters, lambda: True)
        return SendPushResult(results=tuple(self._result(letter) for letter in letters))

    async def check_credentials(self, app_id: str = DEFAULT_APP_ID) -> None:
        """Read the app's credentials and get an access token; for use at start.

        Raises ProviderConfigurationError, ProviderRefusedError or ProviderUnavailableError, in one line each.
        """
        await self._app(app_id).access()

    async def warm_up(self) -> None:
        """See PushChannel: the credentials of every app, at start."""
        for app in self._apps.values():
            try:
                await app.access()
            except (ProviderRefusedError, ProviderUnavailableError) as error:
                app.report(error)

    async def check_provider(self, app_id: str = DEFAULT_APP_ID) -> None:
        """Have FCM validate a message and not send it (`validate_only`); raises as `check_credentials`."""
        app = self._app(app_id)
        probe = messaging.Message(notification=messaging.Notification(title="check"), fid=ANY_TARGET)
        body = EncodedMessage(probe, validate_only=True).body_for(BroadcastKind.TOPIC, CHECK_TOPIC)
        answer = await app.post(body, await app.access())
        if accepted_message_id(answer) is not None:
            return
        try:
            raise firebase_error_for(answer)
        except exceptions.FirebaseError as error:
            raise service_error_for(error, reason=self._classifier.classify(answer).reason) from None

    async def close(self) -> None:
        for app in self._apps.values():
            await app.close()

    def _app(self, app_id: str) -> FcmApp:
        if app_id not in self._apps:
            reason = "no credentials are configured for this app; set fcm.credentials_path or fcm.apps"
            raise ProviderConfigurationError(
                code="fcm_app_unknown", field=f"fcm.apps.{app_id}", reason=reason
            )
        return self._apps[app_id]

    async def _send_all(self, letters: Sequence[Letter], may_send: Callable[[], bool]) -> None:
        by_app: dict[str, list[Letter]] = {}
        for letter in letters:
            by_app.setdefault(letter.target.app_id, []).append(letter)
        await _together([self._send_for_app(app_id, batch, may_send) for app_id, batch in by_app.items()])

    async def _send_for_app(self, app_id: str, batch: Sequence[Letter], may_send: Callable[[], bool]) -> None:
        if app_id not in self._apps:
            _answer_all(batch, SendFailure(kind=FailureKind.APP_UNKNOWN))
            return
        app = self._apps[app_id]
        try:
            access = await app.access()
        except ServiceError as error:
            _answer_all(batch, _no_access(app, error))
            return
        waiting = iter(batch)
        senders = min(len(batch), app.max_concurrent_requests)
        await _together([_drain(waiting, app, access, may_send) for _ in range(senders)])

    def _result(self, letter: Letter) -> TargetResult:
        answer = letter.answer
        assert answer is not None
        message_id = accepted_message_id(answer)
        return TargetResult(
            device_id=letter.target.device_id,
            classification=self._classifier.classify(answer) if message_id is None else ACCEPTED,
            message_id=message_id,
            latency_ms=answer.latency_ms,
        )


def _encoded(
    payload: PushPayload, encode: Callable[[PushPayload], EncodedMessage]
) -> EncodedMessage | SendFailure:
    try:
        message = encode(payload)
        if message.is_surely_within(MAX_MESSAGE_BYTES):
            return message
        size = message.size_bytes()
    except (ValueError, TypeError, AttributeError) as error:
        # A row that FCMParams would not admit; firebase-admin's words can repeat its content.
        return SendFailure(kind=FailureKind.PAYLOAD_INVALID, detail=type(error).__name__)
    if size > MAX_MESSAGE_BYTES:
        detail = f"{size} bytes, FCM takes at most {MAX_MESSAGE_BYTES}"
        return SendFailure(kind=FailureKind.PAYLOAD_INVALID, detail=detail)
    return message


def _validating(payload: PushPayload) -> EncodedMessage:
    return EncodedMessage(build_message(payload), validate_only=True)


async def _drain(
    waiting: Iterator[Letter], app: FcmApp, access: Access, may_send: Callable[[], bool]
) -> None:
    for letter in waiting:
        letter.answer = await _attempt(letter, app, access, may_send)


async def _attempt(letter: Letter, app: FcmApp, access: Access, may_send: Callable[[], bool]) -> FcmAnswer:
    message = letter.message
    if isinstance(message, SendFailure):
        return message
    try:
        body = message.body_for(letter.target.kind, letter.target.address, letter.message_id)
        return await app.post(body, access, may_send)
    except ServiceError as error:
        return _no_access(app, error)
    except Exception as error:  # noqa: BLE001 - what the other targets were answered must not be lost
        structlog.get_logger().error("sending failed", action="fcm.send_failed", error=type(error).__name__)
        return SendFailure(kind=FailureKind.UNEXPECTED, detail=type(error).__name__)


def _answer_all(batch: Sequence[Letter], answer: FcmAnswer) -> None:
    for letter in batch:
        letter.answer = answer


def _no_access(app: FcmApp, error: ServiceError) -> SendFailure:
    app.report(error)
    unreachable = isinstance(error, ProviderUnavailableError)
    kind = FailureKind.TOKEN_SERVER_UNREACHABLE if unreachable else FailureKind.CREDENTIALS_UNUSABLE
    # The answer is kept with the row; the reason may name a file of this machine.
    return SendFailure(kind=kind, detail=error.code)


async def _together(coroutines: Sequence[Coroutine[Any, Any, None]]) -> None:
    """Run all to their end; a task each only where there is more than one."""
    if len(coroutines) == 1:
        await coroutines[0]
        return
    async with asyncio.TaskGroup() as group:
        for coroutine in coroutines:
            group.create_task(coroutine)
