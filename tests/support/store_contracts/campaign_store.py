"""What holds of stored campaigns over any database: inserted once, read back whole, and listed."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from bson import ObjectId

from modules.application.errors import UnreadableRecordError
from modules.campaign.errors import CampaignNotFoundError
from modules.campaign.internals.store.campaign_model import (
    AudienceKind,
    AudienceModel,
    CampaignModel,
    FailedRunsModel,
    PlanModel,
    RolloutModel,
    WishModel,
)
from modules.campaign.internals.store.campaign_repository import CampaignRepository
from modules.campaign.run_types import FINAL_STATES
from modules.campaign.types import CampaignState
from modules.device_token.types import Platform
from tests.support.process_logs import capture_logs
from tests.support.store_contracts.databases import RECENTLY, Database, Prepare, put, put_unchecked

MINUTE = timedelta(minutes=1)


def make_campaign(key: str = "key", **over: Any) -> CampaignModel:
    content = {"title": "Sale", "body": "Today", "category": "general", "content_fingerprint": "0"}
    fields: dict[str, Any] = {
        "id": ObjectId(),
        "campaign_key": key,
        "fingerprint": "1",
        "audience": AudienceModel(kind=AudienceKind.LIST),
        "content": content,
        "expires_at": None,
        "rate_per_second": None,
        "rollout": None,
        "dry_run": False,
        "created_at": RECENTLY,
        "updated_at": RECENTLY,
        **over,
    }
    if fields.get("state") in FINAL_STATES:
        fields.setdefault("finished_at", RECENTLY)
    return CampaignModel(**fields)


def full_campaign() -> CampaignModel:
    """One under way in which every field says something."""
    return make_campaign(
        state=CampaignState.HALTED,
        reason="error rate",
        audience=AudienceModel(
            kind=AudienceKind.QUERY,
            platforms=[Platform.IOS, Platform.WEB],
            app_id="shop",
            locales=["en"],
            tags=["beta"],
            last_seen_after=RECENTLY - timedelta(days=30),
            last_seen_before=RECENTLY,
        ),
        expires_at=RECENTLY + timedelta(days=1),
        rate_per_second=12.5,
        rollout=RolloutModel(steps=[0.01, 1.0], max_error_rate=0.05, max_p95_ms=900.0),
        accounts=2_500,
        pages=3,
        wish=WishModel(kind=CampaignState.RUNNING, at=RECENTLY, reason="mended"),
        failed_runs=FailedRunsModel(count=1, run_id="run-1", code="database_unavailable"),
        rate_untold=True,
    )


def planned_campaign() -> CampaignModel:
    return make_campaign(
        state=CampaignState.PLANNED,
        dry_run=True,
        accounts=2,
        plan=PlanModel(
            accounts=2,
            devices=3,
            platforms={"ios": 3},
            locales={"pt-BR": 2},
            suppressed={"opted_out": 1},
            payload_bytes=412,
            sample={"accepted": 1},
        ),
    )


class CampaignStoreContract:
    @pytest.fixture
    async def campaigns(self, database: Database, prepare: Prepare) -> CampaignRepository:
        campaigns = CampaignRepository(database, retention_days=90)
        await prepare(campaigns)
        return campaigns

    @pytest.mark.parametrize(
        "campaign",
        [make_campaign(), full_campaign(), planned_campaign()],
        ids=["new", "under_way", "planned"],
    )
    async def test_a_campaign_comes_back_as_it_was_inserted(
        self, campaigns: CampaignRepository, campaign: CampaignModel
    ) -> None:
        assert await campaigns.insert(campaign)
        assert await campaigns.get(campaign.id) == campaign

    async def test_a_key_is_taken_once(self, campaigns: CampaignRepository) -> None:
        first, second, other = make_campaign(), make_campaign(dry_run=True), make_campaign("other")
        assert [await campaigns.insert(each) for each in (first, second, other)] == [True, False, True]
        assert await campaigns.find_by_key("key") == first
        assert await campaigns.find_by_key("other") == other
        assert await campaigns.find_by_key("nobodys") is None

    async def test_a_campaign_that_is_there_is_confirmed(self, campaigns: CampaignRepository) -> None:
        campaign = make_campaign()
        await campaigns.insert(campaign)
        assert [await campaigns.confirm(each) for each in (campaign.id, ObjectId())] == [True, False]
        assert await campaigns.get(campaign.id) == campaign

    @pytest.mark.parametrize("slow_answer_seconds", [60.0, -1.0], ids=["quick", "slow"])
    async def test_the_latest_is_the_campaign_however_long_the_answer_took(
        self, campaigns: CampaignRepository, database: Database, slow_answer_seconds: float
    ) -> None:
        campaign = make_campaign()
        await campaigns.insert(campaign)
        asked = CampaignRepository(database, retention_days=90, slow_answer_seconds=slow_answer_seconds)
        assert await asked.get_latest(campaign.id) == campaign

    async def test_an_unknown_campaign_is_an_error(self, campaigns: CampaignRepository) -> None:
        await campaigns.insert(make_campaign())
        for read in (campaigns.get, campaigns.get_latest):
            with pytest.raises(CampaignNotFoundError):
                await read(ObjectId())

    async def test_what_cannot_be_read_is_an_error_and_left_out_of_listings(
        self, database: Database, campaigns: CampaignRepository
    ) -> None:
        readable, other = make_campaign("one"), make_campaign("two")
        added = {**other.to_document(), "added": "a secret"}
        await put_unchecked(database, campaigns, readable.to_document(), added)
        with pytest.raises(UnreadableRecordError) as refused:
            await campaigns.get(other.id)
        assert refused.value.fields == ("added",)
        with capture_logs() as logs:
            assert await campaigns.newest(limit=10, before=None) == [readable]
        [entry] = logs
        assert (entry["action"], entry["id"]) == ("campaign.unreadable", str(other.id))

    async def test_campaigns_are_listed_newest_first_page_by_page(
        self, database: Database, campaigns: CampaignRepository
    ) -> None:
        stored = [
            make_campaign(f"key-{number}", created_at=RECENTLY + number * MINUTE) for number in (2, 0, 3, 1)
        ]
        await put(database, campaigns, *(campaign.to_document() for campaign in stored))
        newest_first = sorted(stored, key=lambda campaign: campaign.created_at, reverse=True)
        assert await campaigns.newest(limit=10, before=None) == newest_first
        first = await campaigns.newest(limit=2, before=None)
        assert first == newest_first[:2]
        assert await campaigns.newest(limit=10, before=first[-1].created_at) == newest_first[2:]

    async def test_unfinished_are_those_in_no_final_state(
        self, database: Database, campaigns: CampaignRepository
    ) -> None:
        stored = {state: make_campaign(state.value, state=state) for state in CampaignState}
        await put(database, campaigns, *(campaign.to_document() for campaign in stored.values()))
        unfinished = {campaign.id for state, campaign in stored.items() if state not in FINAL_STATES}
        found = await campaigns.unfinished(limit=10)
        assert len(found) == len(unfinished)
        assert set(found) == unfinished
        some = await campaigns.unfinished(limit=2)
        assert len(some) == 2
        assert set(some) < unfinished
