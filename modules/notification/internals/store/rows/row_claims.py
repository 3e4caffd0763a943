"""How a row is claimed, kept and let go: the conditions and updates, all on the database's clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bson import ObjectId

from modules.notification.internals.domain.settlement import CLAIM_LOST_CODE, EXPIRED_CODE
from modules.notification.types import Outcome, Status

MAX_EVENTS = 100
LET_GO = "let_go"
# Of rows that are claimed together, one may be what kills whoever reads them: whose claim was lost before is
# claimed among few, and then alone.
FEW_ROWS = 20
_LOST_AMONG_MANY = 0
_LOST_AMONG_FEW = 1

HAS_ACCEPTED = {"$in": [Outcome.ACCEPTED.value, {"$ifNull": ["$devices.outcome", []]}]}
_PENDING = Status.PENDING.value
_PROCESSING = Status.PROCESSING.value


def event(at: Any, name: str, detail: Any) -> dict[str, Any]:
    return {"at": at, "event": name, "detail": detail}


def appended_events(*events: dict[str, Any]) -> dict[str, Any]:
    """A pipeline expression: the row's events with these added, the newest MAX_EVENTS kept."""
    return {"$slice": [{"$concatArrays": [{"$ifNull": ["$events", []]}, list(events)]}, -MAX_EVENTS]}


def _moment_in(seconds: float) -> dict[str, Any]:
    return {"$dateAdd": {"startDate": "$$NOW", "unit": "millisecond", "amount": int(seconds * 1000)}}


def _unless_of_campaign(due_at: dict[str, Any]) -> dict[str, Any]:
    """A campaign's rows are found by their page, never by the scan (docs/decisions/0012)."""
    return {"$cond": [{"$eq": [{"$type": "$campaign"}, "object"]}, "$$REMOVE", due_at]}


def claimable(ids: Sequence[ObjectId], *, max_lost_claims: int) -> dict[str, Any]:
    """Rows among `ids` that are due now: pending and ready, or processing with a lease that ran out.

    Not those whose claim is lost for the last time by that: they would be claimed and lost for ever. Nor
    those whose claim was lost too often to be claimed beside so many others: `suspects` finds them.
    """
    most_lost = _most_lost_beside(len(ids), max_lost_claims)
    ready = {"$lte": [{"$ifNull": ["$next_retry_at", "$$NOW"]}, "$$NOW"]}
    lease_over = {"$lte": ["$claim.lease_expires_at", "$$NOW"]}
    may_be_lost = {"$lte": ["$lost_claims", most_lost]}
    alive = {"$gt": [{"$ifNull": ["$expires_at", {"$add": ["$$NOW", 1]}]}, "$$NOW"]}
    return {
        "_id": {"$in": list(ids)},
        "active": True,
        "status": {"$in": [_PENDING, _PROCESSING]},
        "$expr": {
            "$and": [
                alive,
                {
                    "$or": [
                        {"$and": [{"$eq": ["$status", _PENDING]}, ready]},
                        {"$and": [{"$eq": ["$status", _PROCESSING]}, lease_over, may_be_lost]},
                    ]
                },
            ]
        },
    }


def _most_lost_beside(count: int, max_lost_claims: int) -> int:
    most = max_lost_claims - 2
    if count == 1:
        return most
    return min(most, _LOST_AMONG_FEW if count <= FEW_ROWS else _LOST_AMONG_MANY)


def suspects(ids: Sequence[ObjectId], *, max_lost_claims: int) -> dict[str, Any]:
    """Rows among `ids`, claimed in vain before, that `claimable` leaves out of a claim of all of them."""
    bounds = {"$gt": _most_lost_beside(len(ids), max_lost_claims), "$lte": max_lost_claims - 2}
    return {"_id": {"$in": list(ids)}, "active": True, **claim_is_lost(), "lost_claims": bounds}


def in_groups(lost_claims: Mapping[ObjectId, int]) -> list[list[ObjectId]]:
    """Suspects by id and how often each was lost before, as they may be claimed together."""
    few = [row_id for row_id, lost in lost_claims.items() if lost <= _LOST_AMONG_FEW]
    alone = [[row_id] for row_id, lost in lost_claims.items() if lost > _LOST_AMONG_FEW]
    return [few[start : start + FEW_ROWS] for start in range(0, len(few), FEW_ROWS)] + alone


def _claim_lost_event() -> dict[str, Any]:
    detail = {"$concat": ["claim ", {"$toString": "$fence"}, " ended without a word; its sends are unknown"]}
    return event("$$NOW", "claim_lost", detail)


def claim_update(*, claim_id: str, owner: str, lease_seconds: float) -> list[dict[str, Any]]:
    """Take the row: a higher fence, a new lease; a claim that ran out is recorded as lost."""
    recovered = {"$eq": ["$status", _PROCESSING]}
    lost = _claim_lost_event()
    claimed = event("$$NOW", "claimed", {"$concat": ["claim ", {"$toString": {"$add": ["$fence", 1]}}]})
    return [
        {
            "$set": {
                "last_transition": {"source": "$status", "target": _PROCESSING},
                "status": _PROCESSING,
                "fence": {"$add": ["$fence", 1]},
                "lost_claims": {"$add": ["$lost_claims", {"$cond": [recovered, 1, 0]}]},
                "claim": {
                    "id": {"$literal": claim_id},
                    "owner": {"$literal": owner},
                    "claimed_at": "$$NOW",
                    "lease_expires_at": _moment_in(lease_seconds),
                    "recovered": recovered,
                    "dispatched": {
                        "$cond": [recovered, "$claim.dispatched", {"$ifNull": ["$dispatched", []]}]
                    },
                },
                "dispatched": "$$REMOVE",
                "due_at": _unless_of_campaign(_moment_in(lease_seconds)),
                "updated_at": "$$NOW",
                "events": {"$cond": [recovered, appended_events(lost, claimed), appended_events(claimed)]},
            }
        }
    ]


def renewal(lease_seconds: float) -> list[dict[str, Any]]:
    end = _moment_in(lease_seconds)
    return [
        {
            "$set": {
                "claim.lease_expires_at": end,
                "due_at": _unless_of_campaign(end),
                "updated_at": "$$NOW",
            }
        }
    ]


def letting_go(*, seconds: float, reason: str) -> list[dict[str, Any]]:
    """Take a claimed row back to pending, due in `seconds`, as if it had not been claimed."""
    again = _moment_in(seconds)
    detail = f"{reason}; due again in {seconds:.0f} s"
    return [
        {
            "$set": {
                "last_transition": {"source": "$status", "target": _PENDING},
                "status": _PENDING,
                "next_retry_at": again,
                "due_at": _unless_of_campaign(again),
                "dispatched": {
                    "$cond": [{"$eq": ["$claim.dispatched", []]}, "$$REMOVE", "$claim.dispatched"]
                },
                "updated_at": "$$NOW",
                "events": appended_events(event("$$NOW", LET_GO, detail)),
            }
        },
        {"$unset": ["claim"]},
    ]


def overdue_unsettled() -> dict[str, Any]:
    """Rows past `expires_at` that nobody is delivering."""
    return {
        "active": True,
        "$expr": {
            "$or": [
                {"$eq": ["$status", _PENDING]},
                {"$lte": ["$claim.lease_expires_at", "$$NOW"]},
            ]
        },
    }


def ended_unanswered(otherwise: Status, changes: dict[str, Any]) -> list[dict[str, Any]]:
    """End a row that nobody is to deliver any more: `sent` when a device had accepted before, or `otherwise`.

    `changes` says why: the error, the event.
    """
    end = {"$cond": [HAS_ACCEPTED, Status.SENT.value, otherwise.value]}
    return [
        {
            "$set": {
                "last_transition": {"source": "$status", "target": end},
                "status": end,
                "sent_at": {"$cond": [HAS_ACCEPTED, {"$ifNull": ["$sent_at", "$$NOW"]}, "$sent_at"]},
                "next_retry_at": None,
                "finished_at": "$$NOW",
                "updated_at": "$$NOW",
                **changes,
            }
        },
        {"$unset": ["due_at", "claim"]},
    ]


def expiry_update() -> list[dict[str, Any]]:
    """End a row past `expires_at`. One that is still `processing` lost its worker: its sends are unknown."""
    lost = {"$eq": ["$status", _PROCESSING]}
    reason = {
        "$cond": [
            lost,
            "expires_at passed; the worker was lost while sending, the message may have been accepted",
            "expires_at passed before a device accepted",
        ]
    }
    expired = event("$$NOW", "expired", "expires_at passed; nothing more is sent")
    return ended_unanswered(
        Status.EXPIRED,
        {
            "error_type": {"$cond": [HAS_ACCEPTED, "$error_type", EXPIRED_CODE]},
            "error_message": {"$cond": [HAS_ACCEPTED, "$error_message", reason]},
            "lost_claims": {"$add": ["$lost_claims", {"$cond": [lost, 1, 0]}]},
            "events": {
                "$cond": [lost, appended_events(_claim_lost_event(), expired), appended_events(expired)]
            },
        },
    )


def claim_is_lost() -> dict[str, Any]:
    return {"status": _PROCESSING, "$expr": {"$lte": ["$claim.lease_expires_at", "$$NOW"]}}


def lost_ending(
    reason: str = "the worker was lost while sending; the message may have been accepted",
) -> list[dict[str, Any]]:
    """End a row whose worker was lost and that is not to be sent again: its sends are unknown."""
    lost = event("$$NOW", "claim_lost", "ended without a word; its sends are unknown, nothing more is sent")
    return ended_unanswered(
        Status.FAILED,
        {
            "lost_claims": {"$add": ["$lost_claims", 1]},
            "error_type": CLAIM_LOST_CODE,
            "error_message": reason,
            "events": appended_events(lost),
        },
    )


def delivery() -> list[dict[str, Any]]:
    """Take a sent row to `delivered`, as a receipt says."""
    return [
        {
            "$set": {
                "status": Status.DELIVERED.value,
                "last_transition": {"source": "$status", "target": Status.DELIVERED.value},
                "delivered_at": "$$NOW",
                "updated_at": "$$NOW",
                "events": appended_events(event("$$NOW", "delivered", "the provider reported delivery")),
            }
        }
    ]


def cancellation() -> list[dict[str, Any]]:
    return [
        {
            "$set": {
                "active": False,
                "next_retry_at": None,
                "finished_at": "$$NOW",
                "updated_at": "$$NOW",
                "events": appended_events(event("$$NOW", "cancelled", "cancelled before it was sent")),
            }
        },
        {"$unset": ["due_at", "claim"]},
    ]
