"""Tries the content of a bulk out and delivers nothing: its size, and what the provider says to a sample."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime

from modules.application.mongo_database import DatabaseClock
from modules.device_token.types import Device
from modules.notification.bulk_types import Content, DryRunResult
from modules.notification.internals.delivery.row_outcome import broadcast_target, device_target, payload_of
from modules.notification.internals.fcm_params import message_size_bytes
from modules.notification.internals.store.rows.bulk_rows import sample_row
from modules.notification.types import PushPayload, PushTarget, SendPushResult

ValidatePush = Callable[[Sequence[PushTarget], PushPayload], Awaitable[SendPushResult]]


class ContentDryRun:
    """Lives on one event loop."""

    def __init__(self, validate: ValidatePush, clock: DatabaseClock, *, link_base: str | None) -> None:
        self._validate = validate
        self._clock = clock
        self._link_base = link_base

    async def run(
        self, content: Content, devices: Sequence[Device], *, expires_at: datetime | None
    ) -> DryRunResult:
        """See BulkService.dry_run_async."""
        now = await self._clock.now()
        row = sample_row(content, expires_at=expires_at, now=now)
        if row.broadcast is None:
            sample = [device_target(device) for device in devices]
        else:
            sample = [broadcast_target(row.broadcast)]
        codes: Counter[str] = Counter()
        if sample:
            said = await self._validate(sample, payload_of(row, now))
            codes.update(result.classification.code for result in said.results)
        size = message_size_bytes(
            row.to_params(), immediate=False, has_expiry=expires_at is not None, link_base=self._link_base
        )
        return DryRunResult(payload_bytes=size, codes=dict(codes))
