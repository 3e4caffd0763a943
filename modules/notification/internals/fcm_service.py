"""Delivers one payload to many devices through FCM; the channel that speaks HTTP v1."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Iterator, Sequence
from typing import Any

import structlog
from firebase_admin import exceptions, messaging

from modules.application.errors import ServiceError
from modules.config.types import DEFAULT_APP_ID, FcmSettings
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
from modules.notification.internals.channels.fcm.message_encoder import ANY_TARGET, TOPIC, EncodedMessage
from modules.notification.internals.channels.fcm.param_rules import ProblemList
from modules.notification.internals.error_classifier import ACCEPTED, ErrorClassifier, accepted_message_id
from modules.notification.internals.fcm_params import MAX_MESSAGE_BYTES, check_target_count
from modules.notification.types import PushPayload, PushTarget, SendPushResult, TargetResult

CHECK_TOPIC = "notification-service-check"

_Results = dict[int, TargetResult]


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
        self._apps = {
            app_id: FcmApp(
                app_id=app_id,
                app=app,
                settings=settings,
                max_concurrent_requests=max_concurrent_requests or settings.max_concurrent_requests,
            )
            for app_id, app in settings.all_apps().items()
        }

    @property
    def app_ids(self) -> tuple[str, ...]:
        """The apps that are configured."""
        return tuple(self._apps)

    async def send_push(self, targets: Sequence[PushTarget], payload: PushPayload) -> SendPushResult:
        """Make one attempt at every target; returns one result each, in order.

        Raises InvalidInputError for no target or more than 500, and nothing for what FCM or the network does.
        """
        problems = ProblemList()
        check_target_count(len(targets), problems)
        problems.refuse()
        message = _encode(payload)
        results: dict[int, TargetResult] = {}
        if isinstance(message, SendFailure):
            self._record_all(enumerate(targets), message, results)
        else:
            await self._send(targets, message, results)
        return SendPushResult(results=tuple(results[position] for position in range(len(targets))))

    async def check_credentials(self, app_id: str = DEFAULT_APP_ID) -> None:
        """Read the app's credentials and get an access token; for use at start.

        Raises ProviderConfigurationError, ProviderRefusedError or ProviderUnavailableError, in one line each.
        """
        await self._app(app_id).access()

    async def warm_up(self) -> None:
        """See PushChannel: the credentials of every app, at start."""
        for app_id in self._apps:
            try:
                await self.check_credentials(app_id)
            except (ProviderRefusedError, ProviderUnavailableError) as error:
                structlog.get_logger().error(
                    "no access token",
                    action="fcm.no_access",
                    app_id=app_id,
                    code=error.code,
                    reason=error.reason,
                )

    async def check_provider(self, app_id: str = DEFAULT_APP_ID) -> None:
        """Have FCM validate a message and not send it (`validate_only`); raises as `check_credentials`."""
        app = self._app(app_id)
        probe = messaging.Message(notification=messaging.Notification(title="check"), fid=ANY_TARGET)
        body = EncodedMessage(probe, validate_only=True).body_for(TOPIC, CHECK_TOPIC)
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

    async def _send(self, targets: Sequence[PushTarget], message: EncodedMessage, results: _Results) -> None:
        by_app: dict[str, list[tuple[int, PushTarget]]] = {}
        for position, target in enumerate(targets):
            by_app.setdefault(target.app_id, []).append((position, target))
        await _together(
            [self._send_for_app(app_id, batch, message, results) for app_id, batch in by_app.items()]
        )

    async def _send_for_app(
        self, app_id: str, batch: list[tuple[int, PushTarget]], message: EncodedMessage, results: _Results
    ) -> None:
        if app_id not in self._apps:
            self._record_all(batch, SendFailure(kind=FailureKind.APP_UNKNOWN), results)
            return
        app = self._apps[app_id]
        try:
            access = await app.access()
        except ServiceError as error:
            self._record_all(batch, _no_access(error), results)
            return
        waiting = iter(batch)
        senders = min(len(batch), app.max_concurrent_requests)
        await _together([self._drain(waiting, app, access, message, results) for _ in range(senders)])

    async def _drain(
        self,
        waiting: Iterator[tuple[int, PushTarget]],
        app: FcmApp,
        access: Access,
        message: EncodedMessage,
        results: _Results,
    ) -> None:
        for position, target in waiting:
            results[position] = self._result(target, await _attempt(app, message, target, access))

    def _record_all(
        self, batch: Iterable[tuple[int, PushTarget]], answer: FcmAnswer, results: _Results
    ) -> None:
        for position, target in batch:
            results[position] = self._result(target, answer)

    def _result(self, target: PushTarget, answer: FcmAnswer) -> TargetResult:
        message_id = accepted_message_id(answer)
        return TargetResult(
            device_id=target.device_id,
            classification=self._classifier.classify(answer) if message_id is None else ACCEPTED,
            message_id=message_id,
            latency_ms=answer.latency_ms,
        )


def _encode(payload: PushPayload) -> EncodedMessage | SendFailure:
    try:
        message = EncodedMessage(build_message(payload))
        if message.is_surely_within(MAX_MESSAGE_BYTES):
            return message
        size = message.size_bytes()
    except (ValueError, TypeError, AttributeError) as error:
        # A row written by other code than FCMParams admits; firebase-admin's words can repeat its content.
        return SendFailure(kind=FailureKind.PAYLOAD_INVALID, detail=type(error).__name__)
    if size > MAX_MESSAGE_BYTES:
        detail = f"{size} bytes, FCM takes at most {MAX_MESSAGE_BYTES}"
        return SendFailure(kind=FailureKind.PAYLOAD_INVALID, detail=detail)
    return message


async def _attempt(app: FcmApp, message: EncodedMessage, target: PushTarget, access: Access) -> FcmAnswer:
    try:
        return await app.post(message.body_for(target.kind, target.address), access)
    except ServiceError as error:
        return _no_access(error)
    except Exception as error:  # noqa: BLE001 - what the other targets were answered must not be lost
        structlog.get_logger().error("sending failed", action="fcm.send_failed", error=type(error).__name__)
        return SendFailure(kind=FailureKind.UNEXPECTED, detail=type(error).__name__)


def _no_access(error: ServiceError) -> SendFailure:
    unreachable = isinstance(error, ProviderUnavailableError)
    kind = FailureKind.TOKEN_SERVER_UNREACHABLE if unreachable else FailureKind.CREDENTIALS_UNUSABLE
    return SendFailure(kind=kind, detail=error.reason)


async def _together(coroutines: Sequence[Coroutine[Any, Any, None]]) -> None:
    """Run all to their end; a task each only where there is more than one."""
    if len(coroutines) == 1:
        await coroutines[0]
        return
    async with asyncio.TaskGroup() as group:
        for coroutine in coroutines:
            group.create_task(coroutine)
