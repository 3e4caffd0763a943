"""Opens Temporal when it is first needed and keeps trying: a process lives on without it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from functools import cache, partial
from pathlib import Path

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client
from temporalio.runtime import Runtime, TelemetryConfig
from temporalio.service import RPCError, RPCStatusCode, TLSConfig

from modules.application.errors import ConfigurationError
from modules.application.event_loop_thread import told_if_cut
from modules.application.internals.grpc_service_client import (
    GrpcForkedError,
    GrpcServiceClient,
    connect_over_grpc,
)
from modules.application.internals.temporal_diagnosis import (
    TemporalUnavailableError,
    connect_failure,
    namespace_failure,
)
from modules.config.types import TemporalSettings, TemporalTlsSettings
from modules.logger.logger_service import get_logger

SEARCH_ATTRIBUTE_WAIT_SECONDS = 30.0
FAILURE_HOLDS_SECONDS = 1.0
_log = get_logger()
# What a server answers that manages search attributes elsewhere (Temporal Cloud) or forbids it to us.
_NOT_OURS_TO_ADD = (RPCStatusCode.PERMISSION_DENIED, RPCStatusCode.UNIMPLEMENTED)


@cache
def _runtime() -> Runtime:
    """The SDK's native part, which would print to standard output; what goes wrong is told by our errors."""
    return Runtime(telemetry=TelemetryConfig(logging=None))


ConnectedHook = Callable[[Client], Awaitable[None]]


class TemporalGateway:
    """The connection to Temporal of one event loop; `on_connected` hooks run once it stands.

    One task connects for everybody: a caller that gives up waiting leaves it to the others.
    """

    def __init__(
        self, settings: TemporalSettings, *, search_attributes: Sequence[str], in_forked_process: bool = False
    ) -> None:
        self._settings = settings
        self._in_forked_process = in_forked_process
        self._search_attributes = tuple(search_attributes)
        self._client: Client | None = None
        self._opening: asyncio.Task[Client] | None = None
        self._hooks: list[ConnectedHook] = []
        self._failure: TemporalUnavailableError | None = None
        self._failed_until = 0.0

    @property
    def can_serve(self) -> bool:
        """Whether workers can be served by the client: not in a forked process."""
        return not self._in_forked_process

    def on_connected(self, hook: ConnectedHook) -> None:
        """Have `hook` awaited with the client before that is handed out; again only when it failed.

        Call before the first `client()`.
        """
        self._hooks.append(hook)

    async def client(self, *, wait_seconds: float | None = None) -> Client:
        """The connected client; raises TemporalUnavailableError or ConfigurationError.

        Waits `wait_seconds` at most, without end if None; the connecting goes on. After a failure, callers
        that come within FAILURE_HOLDS_SECONDS get the same one: they do not queue up to wait for a silent
        server one after the other.
        """
        if self._client is not None:
            return self._client
        opening = self._opening
        if opening is None or opening.done():
            if self._failure is not None and time.monotonic() < self._failed_until:
                raise TemporalUnavailableError(self._failure.reason, field=self._failure.field)
            opening = self._opening = asyncio.create_task(self._open(), name="connect-temporal")
            opening.add_done_callback(_retrieve)
        # Unlike wait_for, wait leaves the task alone when time is up or the caller is cancelled.
        with told_if_cut(
            lambda: TemporalUnavailableError("the application was closed before it was connected")
        ):
            done, _ = await asyncio.wait({opening}, timeout=wait_seconds)
        if not done:
            raise TemporalUnavailableError(f"not connected within {wait_seconds:g} s")
        if opening.cancelled():
            raise TemporalUnavailableError("connecting was ended")
        return opening.result()

    async def renew(self, hook: ConnectedHook) -> None:
        """Connect anew; the new client is handed out in the old one's place once `hook` has used it.

        Raises TemporalUnavailableError, ConfigurationError, or what `hook` raises: then the old one stays.
        """
        client = await self._connect()
        await hook(client)
        self._client = client

    async def stop(self) -> None:
        """End a connecting that is under way; who waits for it gets TemporalUnavailableError."""
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.wait({self._opening})
        if self._client is not None and isinstance(self._client.service_client, GrpcServiceClient):
            self._client.service_client.close()

    async def _open(self) -> Client:
        try:
            client = await self._connect()
            await self._ensure_search_attributes(client)
            while self._hooks:
                await self._hooks[0](client)
                del self._hooks[0]
        except TemporalUnavailableError as error:
            self._failure = error
            self._failed_until = time.monotonic() + FAILURE_HOLDS_SECONDS
            raise
        self._client = client
        return client

    async def _connect(self) -> Client:
        settings = self._settings
        seconds = settings.connect_timeout_seconds
        connect = (
            connect_over_grpc if self._in_forked_process else partial(Client.connect, runtime=_runtime())
        )
        try:
            async with asyncio.timeout(seconds):
                client = await connect(
                    settings.address,
                    namespace=settings.namespace,
                    api_key=settings.api_key.get_secret_value() if settings.api_key else None,
                    tls=_tls(settings.tls),
                )
        except GrpcForkedError:
            raise TemporalUnavailableError("this process's parent was a forked one that used it") from None
        except TimeoutError:
            reason = f"no answer from {settings.address} in {seconds:g} s"
            raise TemporalUnavailableError(reason, field="temporal.address") from None
        except (RPCError, RuntimeError) as error:
            # The bridge reports a refused connection as RuntimeError.
            raise await connect_failure(error, settings) from error
        try:
            request = DescribeNamespaceRequest(namespace=settings.namespace)
            await client.workflow_service.describe_namespace(request, timeout=self._rpc_timeout())
        except RPCError as error:
            raise namespace_failure(error, settings) from error
        return client

    async def _ensure_search_attributes(self, client: Client) -> None:
        missing = set(self._search_attributes) - await self._known_attributes(client)
        if not missing:
            return
        keyword = IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD
        request = AddSearchAttributesRequest(
            namespace=client.namespace, search_attributes=dict.fromkeys(missing, keyword)
        )
        try:
            await client.operator_service.add_search_attributes(request, timeout=self._rpc_timeout())
        except RPCError as error:
            if error.status in _NOT_OURS_TO_ADD:
                names = ", ".join(sorted(missing))
                raise ConfigurationError(
                    code="search_attributes_missing",
                    field="temporal.namespace",
                    reason=f"add the Keyword search attributes {names} to the namespace",
                ) from error
            if error.status is not RPCStatusCode.ALREADY_EXISTS:
                raise TemporalUnavailableError("search attributes could not be added") from error
        # A new attribute is refused by starts until every cache of the server has seen it.
        try:
            async with asyncio.timeout(SEARCH_ATTRIBUTE_WAIT_SECONDS):
                while missing - await self._known_attributes(client):  # noqa: ASYNC110 - the server tells nobody
                    await asyncio.sleep(0.1)
        except TimeoutError:
            raise TemporalUnavailableError("search attributes did not appear") from None

    async def _known_attributes(self, client: Client) -> set[str]:
        request = ListSearchAttributesRequest(namespace=client.namespace)
        try:
            answer = await client.operator_service.list_search_attributes(
                request, timeout=self._rpc_timeout()
            )
        except RPCError as error:
            if error.status in _NOT_OURS_TO_ADD:
                return set(self._search_attributes)
            raise TemporalUnavailableError("search attributes could not be read") from error
        return set(answer.custom_attributes)

    def _rpc_timeout(self) -> timedelta:
        return timedelta(seconds=self._settings.connect_timeout_seconds)


def _retrieve(opening: asyncio.Task[Client]) -> None:
    # asyncio reports a failure that nobody has looked at, as when every caller has given up waiting.
    if not opening.cancelled():
        opening.exception()


def _tls(settings: TemporalTlsSettings) -> TLSConfig | bool:
    if not settings.enabled:
        return False
    return TLSConfig(
        server_root_ca_cert=_read(settings.ca_file, "ca_file"),
        domain=settings.server_name,
        client_cert=_read(settings.cert_file, "cert_file"),
        client_private_key=_read(settings.key_file, "key_file"),
    )


def _read(file: Path | None, name: str) -> bytes | None:
    try:
        return None if file is None else file.read_bytes()
    except OSError as error:
        raise ConfigurationError(
            code="temporal_tls_unreadable",
            field=f"temporal.tls.{name}",
            reason=f"cannot read {error.filename}: {error.strerror}",
        ) from error
