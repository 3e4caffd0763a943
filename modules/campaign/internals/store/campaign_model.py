"""The document of one campaign: its audience, its content, and where it stands."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Literal

from bson import ObjectId
from pydantic import BaseModel, ConfigDict, Field

from modules.application.app_ids import DEFAULT_APP_ID
from modules.campaign.run_types import ENDED_STATES, FINAL_STATES, SILENT_STATES
from modules.campaign.types import CampaignState
from modules.device_token.types import Platform

CAMPAIGN_SCHEMA_VERSION: Final = 1
_ABSENT_UNTIL_SET = ("finished_at", "wish", "failed_runs", "rate_untold")


class AudienceKind(StrEnum):
    LIST = "list"
    QUERY = "query"
    BROADCAST = "broadcast"


class _Part(BaseModel):
    # A validation error must not quote a title or an account id.
    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid", hide_input_in_errors=True)


class AudienceModel(_Part):
    """Whom a campaign is for; a list stands in its pages, a broadcast in the content."""

    kind: AudienceKind
    platforms: list[Platform] = []
    app_id: str | None = None
    locales: list[str] = []
    tags: list[str] = []
    last_seen_after: datetime | None = None
    last_seen_before: datetime | None = None


class RolloutModel(_Part):
    steps: list[float]
    max_error_rate: float
    max_p95_ms: float


class PlanModel(_Part):
    """What a dry run found; see CampaignPlan."""

    accounts: int
    devices: int
    platforms: dict[str, int]
    locales: dict[str, int]
    suppressed: dict[str, int]
    payload_bytes: int
    sample: dict[str, int]


class WishModel(_Part):
    """The state that was asked for and is not recorded yet; kept until it is."""

    kind: CampaignState
    at: datetime
    reason: str | None = None


class FailedRunsModel(_Part):
    """How many of a campaign's runs could not go on, which was the last one, and what it failed with."""

    count: int
    run_id: str
    code: str


class CampaignModel(_Part):
    """A document of `campaigns`. `accounts` and `pages` are set once, when the whole audience is stored.

    `rate_untold`: the rate was changed and the run has not heard of it yet. This, `wish` and `failed_runs`
    are absent while there is nothing to say.
    """

    model_config = ConfigDict(
        arbitrary_types_allowed=True, extra="forbid", hide_input_in_errors=True, populate_by_name=True
    )

    id: ObjectId = Field(alias="_id")
    schema_version: Literal[1] = CAMPAIGN_SCHEMA_VERSION
    campaign_key: str
    fingerprint: str
    state: CampaignState = CampaignState.COLLECTING
    reason: str | None = None
    audience: AudienceModel
    content: dict[str, Any] = Field(repr=False)
    expires_at: datetime | None
    rate_per_second: float | None
    rollout: RolloutModel | None
    dry_run: bool
    accounts: int | None = None
    pages: int | None = None
    plan: PlanModel | None = None
    created_at: datetime
    updated_at: datetime
    finished_at: datetime | None = None
    wish: WishModel | None = None
    failed_runs: FailedRunsModel | None = None
    rate_untold: bool = False

    @property
    def app_id(self) -> str:
        """The app whose credential the campaign is sent with, the default one where it goes to all apps."""
        broadcast = self.content.get("broadcast")
        app_id = broadcast["app_id"] if broadcast else self.content["app_id"]
        return app_id or DEFAULT_APP_ID

    @property
    def is_final(self) -> bool:
        return self.state in FINAL_STATES

    @property
    def is_silent(self) -> bool:
        """Whether nothing more of it is to be sent, as far as the record knows."""
        return self.state in SILENT_STATES or (self.wish is not None and self.wish.kind in SILENT_STATES)

    @property
    def is_ended(self) -> bool:
        """Whether what is left of it is taken out of delivery, or is to be."""
        return self.state in ENDED_STATES or (self.wish is not None and self.wish.kind in ENDED_STATES)

    @property
    def has_news(self) -> bool:
        """Whether the record says something that the run may not have heard of."""
        return self.wish is not None or self.rate_untold

    def to_document(self) -> dict[str, Any]:
        """The document to store; what is absent until it is set stays so: retention counts on it."""
        document = self.model_dump(by_alias=True)
        for name in _ABSENT_UNTIL_SET:
            if not document[name]:
                del document[name]
        return document
