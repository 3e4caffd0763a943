"""The campaign service on real servers, with a stand-in where Temporal is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from bson import ObjectId
from pymongo import MongoClient
from pymongo.collection import Collection

from local_stack.local_stack_service import LocalStack
from modules.account.account_service import AccountService
from modules.application.errors import ServiceError
from modules.application.mongo_database import MongoDatabase
from modules.application.worker import RunState
from modules.campaign.campaign_service import CampaignService
from modules.campaign.run_types import (
    CampaignParams,
    CampaignRunParams,
    Collected,
    CollectParams,
    RecordStateParams,
    SliceParams,
    SliceReport,
)
from modules.campaign.types import AccountList, Audience, Campaign
from modules.notification.bulk_service import BulkService
from modules.notification.internals.store.rows.bulk_rows import bulk_row_id, new_bulk_row
from modules.notification.types import SendPushParams
from tests.support.push_rows import Document
from tests.support.push_service import PushService, make_params, push_service, settings_for


@dataclass
class Runs:
    """Stands where Temporal is: remembers what was started and told, or fails as told.

    `looks` are the campaigns whose run was told to read its record, unless `away`; `states` how their newest
    runs are.
    """

    failure: ServiceError | None = None
    refusals: list[ServiceError] = field(default_factory=list)
    started: list[CampaignRunParams] = field(default_factory=list)
    told: list[tuple[str, str, float | None]] = field(default_factory=list)
    away: ServiceError | None = None
    looks: list[str] = field(default_factory=list)
    states: dict[str, RunState] = field(default_factory=dict)
    on_told: Callable[[], object] = lambda: None
    on_open: Callable[[], object] = lambda: None

    async def run(self, *, params: CampaignRunParams) -> bool:
        if self.failure is not None:
            raise self.failure
        self.started.append(params)
        return True

    async def control(self, *, campaign_id: str, update: str, argument: float | None) -> None:
        self.told.append((campaign_id, update, argument))
        self.on_told()
        if self.refusals:
            raise self.refusals.pop(0)

    async def tell(self, *, campaign_id: str) -> None:
        if self.away is not None:
            raise self.away
        self.looks.append(campaign_id)

    async def state_of(self, *, campaign_id: str) -> RunState | None:
        return self.states.get(campaign_id)


@dataclass(frozen=True)
class CampaignRoom:
    """Everything a campaign test does goes through here."""

    push: PushService
    runs: Runs
    campaigns: Collection[Document]
    pages: Collection[Document]
    rows: Collection[Document]
    devices: Collection[Document]

    def send(self, audience: Audience | None = None, key: str = "key", **over: Any) -> str:
        """Accept a campaign; what belongs to the content goes into its params."""
        content = {name: over.pop(name) for name in list(over) if name in SendPushParams.__dataclass_fields__}
        return CampaignService.send_push_to_audience(
            audience=audience if audience is not None else AccountList(account_ids=["a", "b"]),
            params=make_params(**content),
            campaign_key=key,
            **over,
        )

    def read(self, campaign_id: str) -> Campaign:
        return CampaignService.get_campaign(campaign_id=campaign_id)

    def collect(self, campaign_id: str, first_page: int = 0) -> Collected:
        params = CollectParams(campaign_id=campaign_id, first_page=first_page)
        return self.push.loop_thread.run(CampaignService.collect_audience_async(params=params))

    def record(self, campaign_id: str, state: str, reason: str | None = None) -> None:
        params = RecordStateParams(campaign_id=campaign_id, state=state, reason=reason)
        self.push.loop_thread.run(CampaignService.record_state_async(params=params))

    def cancel_rest(self, campaign_id: str) -> dict[str, int]:
        params = CampaignParams(campaign_id=campaign_id)
        return self.push.loop_thread.run(CampaignService.cancel_rest_async(params=params))

    def counts(self, campaign_id: str) -> dict[str, int]:
        return self.push.loop_thread.run(CampaignService.counts_async(campaign_id=campaign_id))

    def plan(self, campaign_id: str) -> Campaign:
        params = CampaignParams(campaign_id=campaign_id)
        self.push.loop_thread.run(CampaignService.plan_async(params=params))
        return self.read(campaign_id)

    def unfinished(self) -> list[str]:
        return self.push.loop_thread.run(CampaignService.unfinished_async())

    def deliver(self, campaign_id: str, start: int, end: int, page: int = 0) -> SliceReport:
        """Deliver one slice of a page, as fast as it goes."""
        params = SliceParams(campaign_id=campaign_id, page=page, start=start, end=end, rate_per_second=None)
        work = CampaignService.deliver_slice_async(params=params, stopped=asyncio.Event())
        return self.push.loop_thread.run(work)

    def stored_pages(self, campaign_id: str) -> list[list[str]]:
        found = self.pages.find({"campaign_id": ObjectId(campaign_id)}).sort("number", 1)
        return [page["account_ids"] for page in found]

    def write_row(self, campaign_id: str, account_id: str, page: int = 0, **over: Any) -> None:
        """A row of the campaign as a delivery would leave it."""
        of = ObjectId(campaign_id)
        row_id = bulk_row_id(of, account_id)
        row = new_bulk_row(row_id, of, page, account_id, expires_at=None, now=datetime.now(UTC))
        self.rows.insert_one({**row, **over})

    def register_many(self, account_ids: list[str], **over: Any) -> None:
        """One active device for each account, past the service: a thousand at once."""
        now = datetime.now(UTC)
        device: Document = {
            "app_id": "default",
            "platform": "android",
            "kind": "token",
            "state": "active",
            "state_reason": None,
            "state_changed_at": now,
            "registered_at": now,
            "last_seen_at": now,
            "version": 1,
            **over,
        }
        self.devices.insert_many(
            {**device, "account_id": account_id, "address": f"{self.push.token()}-{account_id}"}
            for account_id in account_ids
        )


@contextmanager
def campaign_room(stack: LocalStack, database_name: str, **over: str) -> Iterator[CampaignRoom]:
    """The services of campaigns, bound to the loop of a PushService; `over` are variables."""
    settings = settings_for(stack, database_name, over)
    runs = Runs()
    with (
        push_service(stack, database_name, **over) as push,
        MongoClient[Document](stack.mongodb_uri) as client,
        pytest.MonkeyPatch.context() as patch,
    ):
        database = MongoDatabase(settings.mongodb)
        wait_open = BulkService.wait_open_async

        async def opened(**asked: Any) -> None:
            await wait_open(**asked)
            runs.on_open()

        patch.setattr(BulkService, "wait_open_async", opened)

        async def start() -> None:
            await AccountService.start(database=database, loop_thread=push.loop_thread)
            await CampaignService.start(
                database=database,
                loop_thread=push.loop_thread,
                settings=settings,
                run=runs.run,
                runs=runs,
            )

        try:
            push.loop_thread.run(start())
            mongo = client[database_name]
            yield CampaignRoom(
                push,
                runs,
                mongo["campaigns"],
                mongo["campaign_pages"],
                mongo["push_notifications"],
                mongo["devices"],
            )
            push.loop_thread.run(database.close())
        finally:
            CampaignService.unbind()
            AccountService.unbind()
