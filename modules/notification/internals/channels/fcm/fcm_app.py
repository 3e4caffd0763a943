"""One Firebase project as we use it: its account, its token and its connections, opened when first needed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress

from prometheus_client import Gauge

from modules.application.errors import ServiceError
from modules.config.types import FcmAppSettings, FcmSettings
from modules.logger.logger_service import get_logger
from modules.notification.internals.channels.fcm.access_token_source import Access, AccessTokenSource
from modules.notification.internals.channels.fcm.answer import FailureKind, FcmAnswer, SendFailure
from modules.notification.internals.channels.fcm.error_body import refuses_access_token
from modules.notification.internals.channels.fcm.token_endpoint import TokenEndpoint
from modules.notification.internals.channels.fcm.transport import FcmTransport

CREDENTIAL_USABLE = Gauge(
    "push_credential_usable", "1 while an access token can be had for the app, 0 while none can.", ["app_id"]
)
_NOT_LET_OUT = SendFailure(kind=FailureKind.NOT_LET_OUT)


class FcmApp:
    """Sends bodies for one app id. Lives on one event loop.

    What keeps it from sending is its own trouble: it is reported, and looked at again by the next send.
    """

    def __init__(
        self, *, app_id: str, app: FcmAppSettings, settings: FcmSettings, max_concurrent_requests: int
    ) -> None:
        self._app_id = app_id
        self._settings = settings
        self.max_concurrent_requests = max_concurrent_requests
        self._slots = asyncio.Semaphore(max_concurrent_requests)
        is_default = app.credentials_path == settings.credentials_path
        self._tokens = AccessTokenSource(
            credentials_path=app.credentials_path,
            project_id=app.project_id,
            settings_field="fcm.credentials_path" if is_default else f"fcm.apps.{app_id}.credentials_path",
            endpoint=TokenEndpoint(
                ca_file=settings.ca_file, timeout_seconds=settings.request_timeout_seconds
            ),
            timeout_seconds=settings.request_timeout_seconds,
        )
        self._transport: FcmTransport | None = None
        self._trusted: bytes | None = None
        self._left: list[FcmTransport] = []
        self._reported: ServiceError | None = None

    async def ensure_access(self) -> None:
        """Have what sending needs; raises a ServiceError that says what an operator has to mend.

        ProviderConfigurationError and ProviderRefusedError stay; ProviderUnavailableError may pass.
        """
        try:
            self._opened()
            await self._tokens.access()
        except ServiceError:
            CREDENTIAL_USABLE.labels(app_id=self._app_id).set(0)
            raise
        CREDENTIAL_USABLE.labels(app_id=self._app_id).set(1)
        self._tell_of_recovery()

    def slot(self) -> AbstractAsyncContextManager[None]:
        """One of `max_concurrent_requests`: room for one request at a time, while the block lasts."""
        return self._slots

    async def post(self, body: bytes, may_send: Callable[[], bool] = lambda: True) -> FcmAnswer:
        """Send one body, for who holds a slot.

        `may_send` is asked right before each request: a refused access token is replaced once, as FCM did not
        read the message then. Raises as `ensure_access` does, when a token cannot be had.
        """
        used = await self._tokens.access()
        answer = await self._post(body, used, may_send)
        if not refuses_access_token(answer) or await self._tokens.replacement(used) is None:
            return answer
        used = await self._tokens.access()
        answer = await self._post(body, used, may_send)
        if refuses_access_token(answer) and self._tokens.has_run_out(used):
            # It says nothing of the credential.
            return SendFailure(kind=FailureKind.TOKEN_RAN_OUT, latency_ms=answer.latency_ms)
        return answer

    def report(self, error: ServiceError) -> None:
        """Tell the operator why there is no access: once, however many sends met the same failure."""
        if error is self._reported:
            return
        self._reported = error
        get_logger().error(
            "no access token",
            action="fcm.no_access",
            app_id=self._app_id,
            code=error.code,
            reason=error.reason,
        )

    def _tell_of_recovery(self) -> None:
        if self._reported is not None:
            self._reported = None
            get_logger().info("access token granted again", action="fcm.access_regained", app_id=self._app_id)

    async def close(self) -> None:
        await self._tokens.close()
        for transport in (*self._left, self._transport):
            if transport is not None:
                await transport.close()

    async def _post(self, body: bytes, access: Access, may_send: Callable[[], bool]) -> FcmAnswer:
        if not may_send():
            return _NOT_LET_OUT
        transport = self._opened()
        answer = await transport.post(body=body, access=access)
        if isinstance(answer, SendFailure) and answer.kind is FailureKind.SERVER_UNTRUSTED:
            self._leave_if_mended(transport)
            if self._transport is not transport:
                # The handshake may have taken a while.
                if not may_send():
                    return _NOT_LET_OUT
                answer = await self._opened().post(body=body, access=access)
        return answer

    def _leave_if_mended(self, transport: FcmTransport) -> None:
        """Have new connections opened if `ca_file` is another one by now; those in use end by themselves."""
        if transport is self._transport and self._authorities() != self._trusted:
            self._left.append(transport)
            self._transport = None

    def _authorities(self) -> bytes | None:
        """What `ca_file` holds now; None without one, or when it cannot be read."""
        ca_file = self._settings.ca_file
        with suppress(OSError):
            return None if ca_file is None else ca_file.read_bytes()
        return None

    def _opened(self) -> FcmTransport:
        if self._transport is None:
            self._trusted = self._authorities()
            self._transport = FcmTransport(
                endpoint=self._settings.endpoint,
                ca_file=self._settings.ca_file,
                connect_timeout_seconds=self._settings.connect_timeout_seconds,
                request_timeout_seconds=self._settings.request_timeout_seconds,
                max_concurrent_requests=self.max_concurrent_requests,
            )
        return self._transport
