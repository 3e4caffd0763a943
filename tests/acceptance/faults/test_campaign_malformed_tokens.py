"""A campaign whose message some refuse: their fault while others take it, the message's when nobody does."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bootstrap import Role
from local_stack.local_stack_service import LocalStack
from modules.campaign.types import CampaignState, Rollout
from modules.device_token.device_token_service import DeviceTokenService
from modules.device_token.types import DeviceState
from tests.support.campaign_room import CampaignRoom

ACCOUNTS = 1_000
# 6 %, evenly spread, the first account among them.
MALFORMED_EVERY = 16
ROLLOUT = Rollout(steps=(1, 10, 50, 100), max_error_rate=0.05, max_p95_ms=60_000)


@pytest.fixture
def room(stack: LocalStack) -> Iterator[CampaignRoom]:
    with CampaignRoom.opened(stack) as opened:
        yield opened


@pytest.mark.parametrize("refusal", ["400", "INVALID_ARGUMENT"], ids=["unclear", "named"])
def test_six_percent_of_malformed_tokens_halt_no_rollout(room: CampaignRoom, refusal: str) -> None:
    """Whether FCM names the token or only calls the request invalid: the others took the same message."""
    room.become(Role.WORKER)
    audience = room.audience(ACCOUNTS)
    malformed = audience[::MALFORMED_EVERY]
    devices = room.collection("devices")
    for account_id in malformed:
        address = f"{room.address_mark}-{account_id}:sim-{refusal}-"
        devices.update_one({"account_id": account_id}, {"$set": {"address": address}})

    campaign_id = room.start_campaign(audience, rollout=ROLLOUT)
    campaign = room.wait_for_end(campaign_id)

    assert campaign.state is CampaignState.COMPLETED
    assert dict(campaign.counts) == {"sent": ACCOUNTS - len(malformed), "failed": len(malformed)}
    quarantined = {each["account_id"] for each in devices.find({"state": "quarantined"})}
    assert quarantined == set(malformed)
    assert devices.count_documents({"state": "active"}) == ACCOUNTS - len(malformed)

    [device] = devices.find({"account_id": malformed[0]})
    assert device["state_reason"] == "INVALID_ARGUMENT"
    restored = DeviceTokenService.reinstate_device(device_id=str(device["_id"]))
    assert restored.state is DeviceState.ACTIVE
    room.assert_invariant()


def test_a_message_that_everybody_refuses_halts_and_costs_nobody(room: CampaignRoom) -> None:
    room.become(Role.WORKER)
    room.simulator.add_rule(http_status=400)
    campaign_id = room.start_campaign(room.audience(ACCOUNTS), rollout=ROLLOUT)

    room.wait_until(lambda: room.campaign(campaign_id).state is CampaignState.HALTED)

    campaign = room.campaign(campaign_id)
    assert campaign.reason is not None
    assert "attempts failed (100.0%)" in campaign.reason
    assert room.collection("devices").count_documents({"state": "active"}) == ACCOUNTS
    assert room.accepted() == 0
