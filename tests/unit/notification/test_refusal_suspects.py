"""Whom FCM can mean when it refuses a request as invalid."""

from __future__ import annotations

import json
from typing import Any

import pytest

from modules.notification.internals.channels.fcm.answer import FcmResponse
from modules.notification.internals.error_classifier import ErrorClassifier
from modules.notification.types import Classification, Suspect
from tests.support.fcm_errors import bad_request, fcm_error


def classify(status: int, body: dict[str, Any] | bytes) -> Classification:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return ErrorClassifier().classify(FcmResponse(status=status, body=content))


@pytest.mark.parametrize(
    ("fields", "suspect"),
    [
        ([], Suspect.MESSAGE_OR_TARGET),
        (["message.token"], Suspect.TARGET),
        (["message.fid", "message.token"], Suspect.TARGET),
        (["message.data"], None),
        (["message.token", "message.data"], None),
        (["something else"], None),
    ],
)
def test_a_refusal_may_be_the_targets_fault_unless_the_message_is_named(
    fields: list[str], suspect: Suspect | None
) -> None:
    for code in ("INVALID_ARGUMENT", ""):
        body = fcm_error(400, "INVALID_ARGUMENT", code, *([bad_request(*fields)] if fields else []))
        assert classify(400, body).suspect is suspect


def test_only_a_400_that_says_invalid_argument_is_a_refusal_to_judge() -> None:
    answers: list[tuple[int, dict[str, Any] | bytes]] = [
        (400, b"<html>"),
        (400, fcm_error(400, "FAILED_PRECONDITION")),
        (413, fcm_error(413, "INVALID_ARGUMENT")),
        (503, fcm_error(503, "INVALID_ARGUMENT", "INVALID_ARGUMENT")),
        (404, fcm_error(404, "NOT_FOUND", "UNREGISTERED")),
    ]
    for status, body in answers:
        assert classify(status, body).suspect is None
