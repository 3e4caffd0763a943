"""Reads stored documents as models; what this version cannot read is a typed error that quotes no value."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from modules.application.errors import UnreadableRecordError
from modules.logger.logger_service import get_logger

ModelT = TypeVar("ModelT", bound=BaseModel)


def read_record(model: type[ModelT], document: Mapping[str, Any] | None) -> ModelT:
    """The document as the model; raises UnreadableRecordError, as after going back to an older version."""
    try:
        return model.model_validate(document)
    except ValidationError as error:
        fields = {".".join(map(str, each["loc"])) for each in error.errors(include_input=False)}
        raise UnreadableRecordError(sorted(fields)) from None


def readable_records(
    model: type[ModelT], documents: Iterable[Mapping[str, Any]], *, action: str
) -> list[ModelT]:
    """Those that can be read, in order; the others are logged as `action` with their ids."""
    records = []
    for document in documents:
        try:
            records.append(read_record(model, document))
        except UnreadableRecordError as error:
            get_logger().error(
                "record cannot be read", action=action, id=str(document["_id"]), fields=error.fields
            )
    return records
