"""The collection's validator and indexes: what MongoDB itself refuses, and what it can find quickly."""

from __future__ import annotations

from typing import Any

from pymongo import ASCENDING, DESCENDING, IndexModel

from modules.application.repository import SECONDS_PER_DAY
from modules.notification.internals.domain.lifecycle import FINAL_STATUSES, TRANSITIONS
from modules.notification.internals.store.push_notification_model import SCHEMA_VERSION
from modules.notification.types import OutcomePolicy, Priority, Status

COLLECTION_NAME = "push_notifications"
MESSAGE_INDEX = "message"

_DATE_OR_NULL = {"bsonType": ["date", "null"]}

_SCHEMA: dict[str, Any] = {
    "bsonType": "object",
    "required": [
        "schema_version",
        "account_id",
        "status",
        "priority",
        "retry_count",
        "max_retries",
        "fence",
        "last_transition",
        "created_at",
        "updated_at",
        "active",
    ],
    # A campaign's row has its content there (docs/decisions/0012).
    "anyOf": [
        {
            "required": [
                "title",
                "body",
                "data",
                "category",
                "outcome_policy",
                "provider",
                "content_fingerprint",
            ]
        },
        {"required": ["campaign"]},
    ],
    # What decides about sending and what indexes count on. The rest is the writer's alone to get right: each
    # further property is looked for in every write of every row (docs/performance.md).
    "properties": {
        "schema_version": {"enum": [SCHEMA_VERSION]},
        "account_id": {"bsonType": "string", "minLength": 1},
        "status": {"enum": [status.value for status in Status]},
        "priority": {"enum": [priority.value for priority in Priority]},
        # null: a silent push, which has neither.
        "title": {"bsonType": ["string", "null"], "minLength": 1},
        "body": {"bsonType": ["string", "null"], "minLength": 1},
        "data": {"bsonType": "object", "additionalProperties": {"bsonType": "string"}},
        "outcome_policy": {"enum": [policy.value for policy in OutcomePolicy]},
        "retry_count": {"bsonType": "int", "minimum": 0},
        "max_retries": {"bsonType": "int", "minimum": 0},
        "next_retry_at": _DATE_OR_NULL,
        "expires_at": _DATE_OR_NULL,
        "campaign": {
            "bsonType": "object",
            "required": ["id", "page"],
            "additionalProperties": False,
            "properties": {"id": {"bsonType": "objectId"}, "page": {"bsonType": "int", "minimum": 0}},
        },
        "fence": {"bsonType": "int", "minimum": 0},
        "due_at": {"bsonType": "date"},
        "created_at": {"bsonType": "date"},
        "updated_at": {"bsonType": "date"},
        "finished_at": {"bsonType": "date"},
        "active": {"bsonType": "bool"},
    },
}


def _allowed_pairs() -> list[list[str | None]]:
    pairs: list[list[str | None]] = [[None, Status.PENDING.value]]
    for source, targets in TRANSITIONS.items():
        pairs += [[source.value, target.value] for target in sorted(targets)]
    return pairs


def validator() -> dict[str, Any]:
    """The JSON schema, and the lifecycle: the recorded transition is allowed and ends in `status`.

    A final row has `finished_at` and is not due, so a plain `$set` of `status` cannot revive it. A campaign's
    row is never due: its campaign delivers it.
    """
    # In one order in every process: a start compares what is there with what it would write.
    finals = sorted(status.value for status in FINAL_STATUSES)
    is_final = {"$in": ["$status", finals]}
    is_due = {"$ne": [{"$type": "$due_at"}, "missing"]}
    is_finished = {"$ne": [{"$type": "$finished_at"}, "missing"]}
    is_of_campaign = {"$eq": [{"$type": "$campaign"}, "object"]}
    lifecycle = {
        "$and": [
            {"$eq": ["$last_transition.target", "$status"]},
            {"$in": [["$last_transition.source", "$last_transition.target"], _allowed_pairs()]},
            {"$eq": [{"$or": [is_final, {"$not": "$active"}]}, is_finished]},
            {"$cond": [is_of_campaign, {"$not": is_due}, {"$ne": [is_due, is_finished]}]},
        ]
    }
    return {"$and": [{"$jsonSchema": _SCHEMA}, {"$expr": lifecycle}]}


def indexes(retention_days: float) -> list[IndexModel]:
    """Every index; docs/operating.md names the query each serves."""
    return [
        # Rows change their status several times, most without ever being able to expire.
        IndexModel(
            [("status", ASCENDING), ("expires_at", ASCENDING), ("next_retry_at", ASCENDING)],
            name="status_expiry_retry",
            partialFilterExpression={"expires_at": {"$exists": True}},
        ),
        IndexModel([("account_id", ASCENDING), ("created_at", DESCENDING)], name="account_newest"),
        IndexModel(
            [("due_at", ASCENDING), ("_id", ASCENDING)],
            name="due",
            partialFilterExpression={"due_at": {"$exists": True}},
        ),
        IndexModel(
            [("account_id", ASCENDING), ("idempotency_key", ASCENDING)],
            name="idempotency",
            unique=True,
            partialFilterExpression={"idempotency_key": {"$exists": True}},
        ),
        IndexModel(
            [("provider_message_ids", ASCENDING)],
            name=MESSAGE_INDEX,
            partialFilterExpression={"provider_message_ids.0": {"$exists": True}},
        ),
        IndexModel(
            [("finished_at", ASCENDING)],
            name="retention",
            partialFilterExpression={"finished_at": {"$exists": True}},
            expireAfterSeconds=int(retention_days * SECONDS_PER_DAY),
        ),
    ]
