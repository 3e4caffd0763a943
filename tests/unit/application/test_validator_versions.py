"""A validator that changes gets a version of its own, or two releases take it from each other."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import bootstrap  # noqa: F401  imports every repository there is
from modules.application.collection_upkeep import stamped, version_of
from modules.application.repository import Repository

# By collection: the version, and what the validator of that version is.
KNOWN = {
    "accounts": (1, "e2a32ddcc5fc4ad8"),
    "campaign_pages": (1, "15c6a2c978c61620"),
    "campaigns": (1, "fca096b0598dad26"),
    "device_locks": (1, "505a8038a9ae92d2"),
    "devices": (1, "37960b37c38e6223"),
    "one_time_passwords": (1, "4fe9ef4bc72d82e1"),
    "preferences": (1, "d6cecf2fd58a5d7a"),
    "provider_rates": (1, "bce25b73b10f10cf"),
    "push_notifications": (2, "3627020164d0c1e0"),
    "receipts": (1, "fad819ec6aa26fd7"),
}


def digest(validator: Any) -> str:
    return hashlib.sha256(json.dumps(validator, sort_keys=True).encode()).hexdigest()[:16]


def test_a_validator_that_changed_has_a_higher_version() -> None:
    """After a change: count `validator_version` up in the repository, and write both down here."""
    repositories = [each for each in Repository.__subclasses__() if each.__module__.startswith("modules.")]
    found = {each.collection_name: (each.validator_version, digest(each.validator)) for each in repositories}
    assert found == KNOWN


def test_a_version_is_read_back_as_it_was_stamped() -> None:
    assert version_of(stamped({"name": {"$type": "string"}}, 12)) == 12
    for foreign in ({}, {"$comment": "by hand"}, {"$comment": "notification-service, version x"}):
        assert version_of(foreign) == 0
