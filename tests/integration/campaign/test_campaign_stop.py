"""Whether a slice may still send, asked of the record on a real MongoDB."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest
from bson import ObjectId
from pydantic import SecretStr

from modules.application.errors import UnavailableError, UnreadableRecordError
from modules.application.mongo_database import MongoDatabase
from modules.campaign.internals.campaign_stop import CampaignStop
from modules.campaign.internals.store.campaign_model import AudienceKind, AudienceModel, CampaignModel
from modules.campaign.internals.store.campaign_repository import CampaignRepository
from modules.campaign.types import CampaignState
from modules.config.types import MongoSettings

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
async def campaigns(database: MongoDatabase) -> CampaignRepository:
    repository = CampaignRepository(database.database, retention_days=90)
    await repository.ensure()
    return repository


@pytest.fixture
async def campaign_id(campaigns: CampaignRepository) -> ObjectId:
    campaign = CampaignModel(
        id=ObjectId(),
        campaign_key="key",
        fingerprint="f",
        state=CampaignState.RUNNING,
        audience=AudienceModel(kind=AudienceKind.LIST),
        content={"title": "t", "body": "b", "category": "general", "content_fingerprint": "c"},
        expires_at=None,
        rate_per_second=None,
        rollout=None,
        dry_run=False,
        created_at=NOW,
        updated_at=NOW,
    )
    await campaigns.insert(campaign)
    return campaign.id


@pytest.fixture
def stop(campaigns: CampaignRepository, campaign_id: ObjectId) -> CampaignStop:
    return CampaignStop(campaigns, campaign_id, asyncio.Event())


async def test_a_campaign_that_runs_may_send(stop: CampaignStop) -> None:
    await stop.begin()
    assert (await stop.look(), stop.is_set(), stop.by_record) == (False, False, False)


@pytest.mark.parametrize("kind", [CampaignState.PAUSED, CampaignState.CANCELLED, CampaignState.FAILED])
async def test_a_wish_is_found_by_a_look_and_known_without_one(
    stop: CampaignStop, campaigns: CampaignRepository, campaign_id: ObjectId, kind: CampaignState
) -> None:
    await stop.begin()
    await campaigns.wish(campaign_id, kind)
    assert not stop.is_set()
    assert await stop.look()
    assert (stop.is_set(), stop.by_record) == (True, True)


@pytest.mark.parametrize("state", [CampaignState.HALTED, CampaignState.PAUSED, CampaignState.COMPLETED])
async def test_a_state_in_which_nothing_is_sent_is_one(
    stop: CampaignStop, campaigns: CampaignRepository, campaign_id: ObjectId, state: CampaignState
) -> None:
    await campaigns.record_state(campaign_id, state, reason=None)
    assert await stop.look()


async def test_a_stop_stays_one_until_the_next_chunk_begins(
    stop: CampaignStop, campaigns: CampaignRepository, campaign_id: ObjectId
) -> None:
    await campaigns.wish(campaign_id, CampaignState.PAUSED)
    await stop.look()
    await campaigns.wish(campaign_id, CampaignState.RUNNING)
    assert (await stop.look(), stop.is_set()) == (True, True)
    await stop.begin()
    assert not stop.is_set()


async def test_an_activity_that_is_told_to_end_needs_no_look(stop: CampaignStop) -> None:
    stop.told.set()
    assert (stop.is_set(), stop.by_record) == (True, False)


async def test_a_slow_answer_is_asked_for_again(
    campaigns: CampaignRepository, campaign_id: ObjectId, database: MongoDatabase
) -> None:
    patient = CampaignRepository(database.database, retention_days=90, slow_answer_seconds=0.0)
    stop = CampaignStop(patient, campaign_id, asyncio.Event())
    await database.database.command("profile", 2)
    await campaigns.wish(campaign_id, CampaignState.CANCELLED)
    assert await stop.look()
    await database.database.command("profile", 0)
    seen = database.database["system.profile"].find({"op": "query", "ns": {"$regex": "campaigns$"}})
    asked = [entry["command"]["readConcern"]["level"] async for entry in seen]
    assert asked == ["local", "linearizable"]


async def test_nothing_is_sent_where_the_record_is_of_another_version(
    stop: CampaignStop, database: MongoDatabase, campaign_id: ObjectId
) -> None:
    await stop.begin()
    await database.database["campaigns"].update_one({"_id": campaign_id}, {"$set": {"added_later": 1}})
    assert await stop.look()
    assert not stop.by_record, "it may have nothing against being sent"
    with pytest.raises(UnreadableRecordError):
        await stop.begin()


async def test_a_database_that_does_not_answer_is_said(campaign_id: ObjectId) -> None:
    settings = MongoSettings(
        uri=SecretStr("mongodb://127.0.0.1:1"),
        database="test",
        server_selection_timeout_seconds=0.2,
        operation_timeout_seconds=1,
    )
    away = MongoDatabase(settings)
    stop = CampaignStop(CampaignRepository(away.database, retention_days=90), campaign_id, asyncio.Event())
    with pytest.raises(UnavailableError):
        await stop.look()
    await away.close()
