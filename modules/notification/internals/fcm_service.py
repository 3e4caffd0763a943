"""Delivers one payload to many devices through FCM; the channel that speaks HTTP v1."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import islice

from firebase_admin import exceptions, messaging

from modules.application.app_ids import DEFAULT_APP_ID
from modules.application.errors import ServiceError
from modules.application.param_rules import ProblemList
from modules.config.types import FcmSettings
from modules.notification.errors import ProviderConfigurationError
from modules.notification.internals.channels.fcm.answer import FailureKind, SendFailure
from modules.notification.internals.channels.fcm.fcm_app import FcmApp
from modules.notification.internals.channels.fcm.fcm_batch import FCMBatch, TargetMessage, run_concurrently
from modules.notification.internals.channels.fcm.firebase_errors import firebase_error_for, service_error_for
from modules.notification.internals.channels.fcm.message_builder import build_message
from modules.notification.internals.channels.fcm.message_encoder import ANY_TARGET, EncodedMessage
from modules.notification.internals.channels.fcm.message_templates import MessageTemplates
from modules.notification.internals.channels.port import UNGUARDED, SendGuard
from modules.notification.internals.error_classifier import ErrorClassifier, accepted_message_id
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

Encode = Callable[[PushPayload, str | None], EncodedMessage]


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
        self.app_ids: Collection[str] = frozenset(self._apps)
        self._link_bases = {app_id: app.link_base for app_id, app in settings.all_apps().items()}

    async def send_push(self, targets: Sequence[PushTarget], payload: PushPayload) -> SendPushResult:
        """Make one attempt at every target; returns one result each, in order.

        Raises InvalidInputError for no target or more than 500, and nothing for what FCM or the network does.
        """
        problems = ProblemList()
        check_target_count(len(targets), problems)
        problems.refuse()
        [result] = await self.send_each([Push(targets=targets, payload=payload)], guard=UNGUARDED)
        return result

    async def send_each(self, pushes: Sequence[Push], *, guard: SendGuard) -> list[SendPushResult]:
        """See PushChannel: one attempt at every target of every push, all side by side."""
        messages: list[TargetMessage] = []
        for push in pushes:
            messages += self._messages_for(push, self._templates.encoded)
        results = await self._send_all(messages, guard)
        return [SendPushResult(results=tuple(islice(results, len(push.targets)))) for push in pushes]

    async def validate_push(self, targets: Sequence[PushTarget], payload: PushPayload) -> SendPushResult:
        """See PushChannel; FCM's `validate_only`."""
        messages = self._messages_for(Push(targets=targets, payload=payload), _validating)
        return SendPushResult(results=tuple(await self._send_all(messages, UNGUARDED)))

    async def check_credentials(self, app_id: str = DEFAULT_APP_ID) -> None:
        """Read the app's credentials and get an access token; for use at start.

        Raises ProviderConfigurationError, ProviderRefusedError or ProviderUnavailableError, in one line each.
        """
        await self._app(app_id).ensure_access()

    async def warm_up(self) -> None:
        """See PushChannel: the credentials of every app, at start."""
        await run_concurrently([_warm_up(app) for app in self._apps.values()])

    async def check_provider(self, app_id: str = DEFAULT_APP_ID) -> None:
        """Have FCM validate a message and not send it (`validate_only`); raises as `check_credentials`."""
        app = self._app(app_id)
        probe = messaging.Message(notification=messaging.Notification(title="check"), fid=ANY_TARGET)
        body = EncodedMessage(probe, validate_only=True).body_for(BroadcastKind.TOPIC, CHECK_TOPIC)
        await app.ensure_access()
        async with app.slot():
            answer = await app.post(body)
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

    def _messages_for(self, push: Push, encode: Encode) -> list[TargetMessage]:
        """One for each target; apps whose browsers open the same address share what is encoded."""
        encoded: dict[str | None, EncodedMessage | SendFailure] = {}
        messages = []
        for target in push.targets:
            link_base = self._link_bases.get(target.app_id)
            if link_base not in encoded:
                encoded[link_base] = _encoded(push.payload, link_base, encode)
            messages.append(TargetMessage(push, target, encoded[link_base]))
        return messages

    async def _send_all(self, messages: Sequence[TargetMessage], guard: SendGuard) -> Iterator[TargetResult]:
        """Send each; returns the results in order."""
        by_app: dict[str, list[TargetMessage]] = {}
        for each in messages:
            by_app.setdefault(each.target.app_id, []).append(each)
        await run_concurrently([self._send_for_app(app_id, batch, guard) for app_id, batch in by_app.items()])
        return map(_result_of, messages)

    async def _send_for_app(self, app_id: str, messages: Sequence[TargetMessage], guard: SendGuard) -> None:
        batch = FCMBatch(messages, self._classifier, guard)
        if app_id in self._apps:
            await batch.send(self._apps[app_id])
        else:
            batch.refuse(SendFailure(kind=FailureKind.APP_UNKNOWN))


async def _warm_up(app: FcmApp) -> None:
    try:
        await app.ensure_access()
    except ServiceError as error:
        app.report(error)


def _result_of(message: TargetMessage) -> TargetResult:
    assert message.result is not None
    return message.result


def _encoded(payload: PushPayload, link_base: str | None, encode: Encode) -> EncodedMessage | SendFailure:
    try:
        message = encode(payload, link_base)
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


def _validating(payload: PushPayload, link_base: str | None) -> EncodedMessage:
    return EncodedMessage(build_message(payload, link_base=link_base), validate_only=True)
