"""The document of one push notification: the delivery row of the push channel."""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime
from typing import Annotated, Any, Final, Literal

from bson import ObjectId
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from modules.notification.types import (
    AndroidOptions,
    ApnsOptions,
    BroadcastKind,
    Outcome,
    OutcomePolicy,
    Priority,
    SendPushParams,
    Status,
    WebPushOptions,
)

SCHEMA_VERSION: Final = 1
DEFAULT_MAX_RETRIES = 4
DEFAULT_MAX_LOST_CLAIMS = 5
DEFAULT_PROVIDER = "fcm"


class _Part(BaseModel):
    # A validation error must not quote a title or a token.
    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid", hide_input_in_errors=True)


class ClaimModel(_Part):
    """Who delivers the row, until when, on the database's clock.

    `recovered` says that the claim before this one ran out without a word. `dispatched` lists the devices a
    message may have been handed to the provider for, written before sending under `at_most_once`.
    """

    id: str
    owner: str
    claimed_at: datetime
    lease_expires_at: datetime
    recovered: bool
    dispatched: list[str] = Field(default_factory=list)


class DeviceRecordModel(_Part):
    """Where delivery to one device stands. `not_before` is set while it is to be tried again."""

    device_id: str
    app_id: str
    outcome: Outcome
    code: str
    reason: str
    attempts: int
    retries: int = 0
    unknown_attempts: int
    message_id: str | None
    last_attempt_at: datetime
    not_before: datetime | None
    unreached_since: datetime | None = None


class EventModel(_Part):
    at: datetime
    event: str
    detail: str


class TransitionModel(_Part):
    """The last change of status; MongoDB checks it against the lifecycle."""

    source: Status | None
    target: Status


def _option_of(kind: type[Any]) -> StringConstraints:
    """The names that this version knows: an option that it does not may forbid what it would send."""
    return StringConstraints(pattern=f"^({'|'.join(field.name for field in fields(kind))})$")


class PlatformOptionsModel(_Part):
    """What the caller chose for one platform only, as FCM names it."""

    android: dict[Annotated[str, _option_of(AndroidOptions)], Any] = Field(default_factory=dict)
    apns: dict[Annotated[str, _option_of(ApnsOptions)], Any] = Field(default_factory=dict)
    webpush: dict[Annotated[str, _option_of(WebPushOptions)], Any] = Field(default_factory=dict)
    analytics_label: str | None = None


class CampaignRefModel(_Part):
    """The campaign a row belongs to, and the page of its audience that counts the row."""

    id: ObjectId
    page: int


class BroadcastModel(_Part):
    """An FCM topic or condition that is the target instead of an account's devices."""

    kind: BroadcastKind
    address: str
    app_id: str


class PushNotificationModel(_Part):
    """A row of `push_notifications`. All times are aware, UTC, and the database's."""

    model_config = ConfigDict(
        arbitrary_types_allowed=True, extra="forbid", hide_input_in_errors=True, populate_by_name=True
    )

    id: ObjectId = Field(alias="_id")
    # Stored in this order: MongoDB looks for what the validator names from the front, in every write.
    schema_version: Literal[1] = SCHEMA_VERSION
    status: Status = Status.PENDING
    active: bool = True
    fence: int = 0
    last_transition: TransitionModel
    due_at: datetime | None = None
    retry_count: int = 0
    max_retries: int = DEFAULT_MAX_RETRIES
    next_retry_at: datetime | None = None
    expires_at: datetime | None = None
    account_id: str
    priority: Priority = Priority.NORMAL
    created_at: datetime
    updated_at: datetime
    finished_at: datetime | None = None
    campaign: CampaignRefModel | None = None
    title: str | None
    body: str | None
    data: dict[str, str] = Field(default_factory=dict)
    category: str = "general"
    outcome_policy: OutcomePolicy = OutcomePolicy.AT_LEAST_ONCE
    provider: str = DEFAULT_PROVIDER
    content_fingerprint: str
    image_url: str | None = None
    click_action: str | None = None
    app_id: str | None = None
    options: PlatformOptionsModel = PlatformOptionsModel()
    broadcast: BroadcastModel | None = None
    idempotency_key: str | None = None
    correlation_id: str | None = None
    claim: ClaimModel | None = None
    # What the claim that was let go had from the one before; the next claim takes it over.
    dispatched: list[str] = Field(default_factory=list)
    lost_claims: int = 0
    devices: list[DeviceRecordModel] = Field(default_factory=list)
    provider_message_ids: list[str] = Field(default_factory=list)
    device_tokens_used: list[str] = Field(default_factory=list)
    invalid_tokens: list[str] = Field(default_factory=list)
    error_type: str | None = None
    error_message: str | None = None
    sent_at: datetime | None = None
    delivered_at: datetime | None = None
    events: list[EventModel] = Field(default_factory=list)

    def to_document(self) -> dict[str, Any]:
        """The document to store; absent optional fields stay absent where an index counts on it."""
        document = self.model_dump(by_alias=True)
        for field in ("due_at", "expires_at", "finished_at", "idempotency_key", "campaign", "broadcast"):
            if document[field] is None:
                del document[field]
        if not document["dispatched"]:
            del document["dispatched"]
        return document

    def to_params(self) -> SendPushParams:
        """What the caller asked to be told, as the channels take it."""
        return SendPushParams(
            title=self.title,
            body=self.body,
            data=self.data,
            image_url=self.image_url,
            click_action=self.click_action,
            category=self.category,
            app_id=self.app_id,
            outcome_policy=self.outcome_policy,
            android=AndroidOptions(**self.options.android),
            apns=ApnsOptions(**self.options.apns),
            webpush=WebPushOptions(**self.options.webpush),
            analytics_label=self.options.analytics_label,
        )
