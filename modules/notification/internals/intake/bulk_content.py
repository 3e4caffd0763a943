"""Checks and makes the content that the rows of a bulk share."""

from __future__ import annotations

from datetime import datetime, timedelta

from modules.application.mongo_database import DatabaseClock
from modules.application.param_rules import ProblemList
from modules.notification.bulk_types import Broadcast, Content, ContentCheck
from modules.notification.internals.channels.fcm.topic_grammar import condition_problem, is_topic
from modules.notification.internals.domain.expiry import resolve_expiry
from modules.notification.internals.fcm_params import FCMParams
from modules.notification.internals.push_notification_writer import NewPush, new_row
from modules.notification.internals.store.push_notification_model import BroadcastModel
from modules.notification.internals.store.rows.shared_contents import content_of
from modules.notification.types import BroadcastKind, Priority, SendPushParams


class BulkContent:
    """Lives on one event loop."""

    def __init__(self, clock: DatabaseClock, *, link_base: str | None) -> None:
        self._clock = clock
        self._link_base = link_base

    async def check(
        self,
        params: SendPushParams,
        *,
        expires_at: datetime | None,
        expires_in: timedelta | None,
        is_broadcast: bool,
    ) -> ContentCheck:
        """See BulkService.check_async."""
        now = await self._clock.now()
        checked = FCMParams(
            params=params,
            expires_at=expires_at,
            expires_in=expires_in,
            now=now,
            broadcast=is_broadcast,
            link_base=self._link_base,
        )
        moment = resolve_expiry(expires_at, expires_in, now=now, problems=ProblemList())
        return ContentCheck(problems=tuple(checked.problems()), checked_at=now, expires_at=moment)


def make_content(params: SendPushParams, broadcast: Broadcast | None, *, made_at: datetime) -> Content:
    """See BulkService.make_content."""
    row = new_row(NewPush(account_id="", params=params, priority=Priority.NORMAL), made_at)
    if broadcast is not None:
        row.broadcast = BroadcastModel(
            kind=broadcast.kind, address=broadcast.address, app_id=broadcast.app_id
        )
    return content_of(row)


def address_problem(kind: BroadcastKind, address: object) -> str | None:
    """What is wrong with a topic's name, or with a condition; None where nothing is."""
    if kind is BroadcastKind.CONDITION:
        return condition_problem(address)
    return None if is_topic(address) else "must be a topic's name: a-z, A-Z, 0-9 and - _ . ~ %"
