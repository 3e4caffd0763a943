"""A fault test's corner for campaigns: audiences by the thousand, what it started, and their invariant."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from bson import ObjectId
from pymongo.collection import Collection

from bootstrap import Role
from local_stack.local_stack_service import LocalStack
from modules.campaign.campaign_service import CampaignService
from modules.campaign.run_types import FINAL_STATES
from modules.campaign.types import AccountList, Campaign
from modules.device_token.types import Platform, TargetKind
from modules.notification.types import OutcomePolicy
from tests.support.campaign_invariant import campaign_problems_of, word_for
from tests.support.fault_room import FINISH_SECONDS, FaultRoom
from tests.support.invariant import Document
from tests.support.servers import eventually
from tests.support.temporal_probe import TemporalProbe

BATCH = 1_000
STORY_CHARACTERS = 2_000
_FINAL = sorted(state.value for state in FINAL_STATES)


class CampaignRoom(FaultRoom):
    """A FaultRoom that remembers its campaigns; `assert_invariant` checks them as well."""

    def __init__(self, stack: LocalStack, probe: TemporalProbe, **settings: object) -> None:
        # FCM's ramp of a minute is the rate governor's own test.
        super().__init__(stack, probe, **{"RATE_RAMP_SECONDS": 0, **settings})
        self._audiences: dict[str, list[str]] = {}

    def audience(self, count: int, prefix: str = "member") -> list[str]:
        """So many accounts with one active device each, registered past the service, a thousand at once."""
        self.become(Role.CALLER)
        account_ids = [f"{prefix}-{number:06d}" for number in range(count)]
        for start in range(0, count, BATCH):
            devices = [self._device(account_id) for account_id in account_ids[start : start + BATCH]]
            self.collection("devices").insert_many(devices)
        return account_ids

    def _device(self, account_id: str) -> Document:
        now = datetime.now(UTC)
        return {
            "account_id": account_id,
            "app_id": "default",
            "platform": Platform.ANDROID.value,
            "kind": TargetKind.TOKEN.value,
            "address": f"{self.address_mark}-{account_id}",
            "state": "active",
            "state_reason": None,
            "state_changed_at": now,
            "registered_at": now,
            "last_seen_at": now,
            "version": 1,
        }

    def start_campaign(
        self, audience: list[str], policy: OutcomePolicy = OutcomePolicy.AT_LEAST_ONCE, **options: Any
    ) -> str:
        """Send the room's message to the accounts; returns the campaign's id."""
        self.become(Role.CALLER)
        campaign_id = CampaignService.send_push_to_audience(
            audience=AccountList(account_ids=audience),
            params=self.params(policy),
            campaign_key=f"campaign-{len(self._audiences)}",
            **options,
        )
        self._audiences[campaign_id] = audience
        return campaign_id

    def forget(self, campaign_id: str) -> None:
        """Hold this campaign, which the test has broken, to no invariant."""
        del self._audiences[campaign_id]

    def campaign(self, campaign_id: str) -> Campaign:
        return CampaignService.get_campaign(campaign_id=campaign_id)

    def rows(self) -> list[Document]:
        """All rows; campaigns leave out what is the default, and the invariant reads it."""
        return [{"devices": [], **row} for row in super().rows()]

    def campaign_rows(self, campaign_id: str) -> list[Document]:
        return list(self._notifications.find({"campaign.id": ObjectId(campaign_id)}, {"events": 0}))

    def row_count(self, **wanted: object) -> int:
        """How many rows have these fields."""
        return self._notifications.count_documents(wanted)

    def accepted(self) -> int:
        """How many messages the simulator has accepted since the room was opened, whoever sent them."""
        return self.simulator.position() - self.since

    def wait_for_accepted(self, count: int, within_seconds: float = 30.0) -> None:
        eventually(lambda: self.accepted() >= count, within_seconds=within_seconds)

    def has_ended(self, campaign_id: str) -> bool:
        ended = {"_id": ObjectId(campaign_id), "state": {"$in": _FINAL}}
        return self.collection("campaigns").count_documents(ended) == 1

    def wait_for_end(self, campaign_id: str, within_seconds: float = FINISH_SECONDS) -> Campaign:
        """The campaign once it is over; an AssertionError that says how far it got when it is not in time."""
        try:
            eventually(lambda: self.has_ended(campaign_id), within_seconds=within_seconds)
        except AssertionError as error:
            raise AssertionError("\n".join([str(error), *self._where_it_stands(campaign_id)])) from None
        return self.campaign(campaign_id)

    def _where_it_stands(self, campaign_id: str) -> Iterator[str]:
        yield str(self.campaign(campaign_id))
        yield str(Counter(word_for(row) for row in self.campaign_rows(campaign_id)))
        yield self.probe.story(f"campaign/{campaign_id}")[-STORY_CHARACTERS:]

    def provider_pause_ends_at(self) -> datetime | None:
        """Until when all processes keep away from the provider; None when nobody was told to."""
        rate = self.collection("provider_rates").find_one({"pause_code": {"$ne": ""}})
        return None if rate is None else rate["paused_until"]

    def problems(self) -> list[str]:
        """Every breach of the invariant of faults.md, that of the campaigns included."""
        problems = super().problems()
        for campaign_id, audience in self._audiences.items():
            rows = self.campaign_rows(campaign_id)
            problems += campaign_problems_of(self.campaign(campaign_id), audience, rows)
            problems += self._run_problems(campaign_id, rows)
        return problems

    def _run_problems(self, campaign_id: str, rows: Sequence[Document]) -> list[str]:
        """What the run counted is what the rows are, however often it continued as new."""
        workflow_id = f"campaign/{campaign_id}"
        eventually(lambda: self.probe.is_completed(workflow_id))
        counts: dict[str, int] = self.probe.result(workflow_id)
        settled = Counter(word.partition(":")[0] for word, count in counts.items() for _ in range(count))
        expected = Counter(word_for(row) for row in rows)
        expected["cancelled"] += len(self._audiences[campaign_id]) - len(rows)
        if settled == +expected:
            return []
        return [f"the run of campaign {campaign_id} counted {dict(settled)}, the rows are {dict(+expected)}"]

    def collection(self, name: str) -> Collection[Document]:
        return self._mongodb[self.database][name]
