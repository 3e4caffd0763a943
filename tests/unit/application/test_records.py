"""Stored documents as models: what cannot be read is told by its fields, never by their values."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict

from modules.application.errors import UnreadableRecordError
from modules.application.records import read_record, readable_records
from tests.support.process_logs import capture_logs

SECRET = "a secret"


class Colour(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str
    parts: list[int]


def test_a_record_is_read_as_its_model() -> None:
    assert read_record(Colour, {"name": "red", "parts": [1]}) == Colour(name="red", parts=[1])


@pytest.mark.parametrize(
    ("document", "fields"),
    [
        ({"name": "red", "parts": [], "added_later": SECRET}, ("added_later",)),
        ({"parts": [1, SECRET], "name": 7}, ("name", "parts.1")),
        ({}, ("name", "parts")),
        (None, ("",)),
    ],
)
def test_what_cannot_be_read_names_its_fields_and_no_value(
    document: dict[str, Any] | None, fields: tuple[str, ...]
) -> None:
    with pytest.raises(UnreadableRecordError) as refused:
        read_record(Colour, document)
    assert (refused.value.code, refused.value.fields) == ("record_unreadable", fields)
    assert SECRET not in str(refused.value)
    assert refused.value.__suppress_context__


def test_of_many_the_readable_ones_are_returned_and_the_others_logged() -> None:
    documents: list[dict[str, Any]] = [{"_id": 1, "name": SECRET}, {"name": "red", "parts": []}, {"_id": 2}]
    with capture_logs() as logs:
        assert readable_records(Colour, documents, action="colour.unreadable") == [
            Colour(name="red", parts=[])
        ]
    assert [(each["action"], each["id"]) for each in logs] == [
        ("colour.unreadable", "1"),
        ("colour.unreadable", "2"),
    ]
    assert SECRET not in str(logs)
