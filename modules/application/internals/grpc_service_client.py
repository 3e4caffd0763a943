"""Speaks to Temporal's services without the SDK's native part, which a forked process cannot use."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import grpc
from google.protobuf.message import Message
from temporalio.api.workflowservice.v1 import GetSystemInfoRequest
from temporalio.client import Client
from temporalio.service import (
    ConnectConfig,
    RPCError,
    RPCStatusCode,
    ServiceClient,
    TLSConfig,
    __version__,
)

from modules.application.errors import CannotServeHereError

_SERVICES = {
    "workflow": "temporal.api.workflowservice.v1.WorkflowService",
    "operator": "temporal.api.operatorservice.v1.OperatorService",
}
# As the SDK's native client has it for a long poll, which the server ends before.
_LONGEST_SECONDS = 70.0
_RETRIES = json.dumps(
    {
        "methodConfig": [
            {
                "name": [{}],
                "retryPolicy": {
                    "maxAttempts": 5,
                    "initialBackoff": "0.1s",
                    "maxBackoff": "2s",
                    "backoffMultiplier": 2,
                    "retryableStatusCodes": ["UNAVAILABLE"],
                },
            }
        ]
    }
)


class GrpcForkedError(Exception):
    """gRPC began in a process that this one was forked from; it would hang here."""


async def connect_over_grpc(
    address: str, *, namespace: str, api_key: str | None, tls: TLSConfig | bool
) -> Client:
    """A client as `Client.connect` gives it; raises RPCError when the server cannot be reached."""
    service_client = GrpcServiceClient(ConnectConfig(target_host=address, api_key=api_key, tls=tls))
    try:
        await service_client.workflow_service.get_system_info(GetSystemInfoRequest())
    except BaseException:
        service_client.close()
        raise
    return Client(service_client, namespace=namespace)


class _Began:
    in_process: int | None = None


class GrpcServiceClient(ServiceClient):
    """Temporal's services over grpcio's channel: everything a client asks, but no worker can be served by it.

    Lives on one event loop. Raises GrpcForkedError where gRPC cannot be used either.
    """

    def __init__(self, config: ConnectConfig) -> None:
        super().__init__(config)
        if _Began.in_process not in (None, os.getpid()):
            raise GrpcForkedError
        _Began.in_process = os.getpid()
        options = [("grpc.service_config", _RETRIES)]
        if isinstance(config.tls, TLSConfig):
            if config.tls.domain:
                options.append(("grpc.ssl_target_name_override", config.tls.domain))
            credentials = grpc.ssl_channel_credentials(
                config.tls.server_root_ca_cert, config.tls.client_private_key, config.tls.client_cert
            )
            self._channel = grpc.secure_channel(config.target_host, credentials, options)
        else:
            self._channel = grpc.insecure_channel(config.target_host, options)

    def close(self) -> None:
        """End the channel; what is under way ends as cancelled."""
        self._channel.close()

    @property
    def worker_service_client(self) -> Any:
        """Always raises CannotServeHereError: a worker needs the SDK's native client."""
        raise CannotServeHereError

    def update_rpc_metadata(self, metadata: Mapping[str, str | bytes]) -> None:
        self.config.rpc_metadata = metadata

    def update_api_key(self, api_key: str | None) -> None:
        self.config.api_key = api_key

    async def _rpc_call(
        self,
        rpc: str,
        req: Message,
        resp_type: type[Any],
        *,
        service: str,
        retry: bool,
        metadata: Mapping[str, str | bytes],
        timeout: timedelta | None,  # noqa: ASYNC109 - the SDK gives it
    ) -> Any:
        method = "".join(word.capitalize() for word in rpc.split("_"))
        ask = self._channel.unary_unary(
            f"/{_SERVICES[service]}/{method}",
            request_serializer=type(req).SerializeToString,
            response_deserializer=resp_type.FromString,
        )
        seconds = _LONGEST_SECONDS if timeout is None else timeout.total_seconds()
        call = ask.future(req, timeout=seconds, metadata=self._metadata(req, metadata))
        loop, ended = asyncio.get_running_loop(), asyncio.Event()

        def tell(_: object) -> None:
            # A loop that was closed meanwhile has nobody who waits.
            if not loop.is_closed():
                loop.call_soon_threadsafe(ended.set)

        call.add_done_callback(tell)
        try:
            await ended.wait()
            return call.result()
        except grpc.RpcError as error:
            raise _as_rpc_error(error) from None
        finally:
            call.cancel()

    def _metadata(self, req: Message, metadata: Mapping[str, str | bytes]) -> list[tuple[str, str | bytes]]:
        sent: dict[str, str | bytes] = {"client-name": "temporal-python", "client-version": __version__}
        # Temporal Cloud finds the namespace here (temporalio/sdk-core, client/src/lib.rs).
        if namespace := getattr(req, "namespace", ""):
            sent["temporal-namespace"] = namespace
        if self.config.api_key:
            sent["authorization"] = f"Bearer {self.config.api_key}"
        return [*{**sent, **self.config.rpc_metadata, **metadata}.items()]


def _as_rpc_error(error: Any) -> RPCError:
    details = next(
        (value for key, value in error.trailing_metadata() or () if key == "grpc-status-details-bin"), b""
    )
    return RPCError(error.details() or "", RPCStatusCode(error.code().value[0]), details)
