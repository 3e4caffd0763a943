"""An address is a secret wherever a device is shown."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from bson import ObjectId
from pydantic import ValidationError

from modules.device_token.internals.store.device_model import DeviceModel

ADDRESS = "the-secret-address"
NOW = datetime(2025, 1, 1, tzinfo=UTC)


def make_document(**over: Any) -> dict[str, Any]:
    document = {
        "_id": ObjectId(),
        "account_id": "acc-1",
        "app_id": "default",
        "platform": "android",
        "kind": "token",
        "address": ADDRESS,
        "state": "active",
        "state_reason": None,
        "state_changed_at": NOW,
        "registered_at": NOW,
        "last_seen_at": NOW,
        "version": 1,
    }
    return {**document, **over}


def test_neither_device_nor_document_shows_it() -> None:
    model = DeviceModel.model_validate(make_document())
    device = model.to_device()
    assert device.address == ADDRESS
    assert ADDRESS not in f"{model!r} {model} {device!r} {device}"


def test_a_broken_document_does_not_show_it() -> None:
    with pytest.raises(ValidationError) as broken:
        DeviceModel.model_validate(make_document(address=[ADDRESS], unknown=ADDRESS))
    assert ADDRESS not in str(broken.value)
