"""Compares a request's JSON with the schema, as Google's JSON reader does before FCM sees it."""

from __future__ import annotations

import json
import re
from typing import Any

from simulator.fcm_errors import FieldViolation
from simulator.message_schema import SEND_REQUEST, Enumeration, FieldType, Record, Repeated, Scalar

_DURATION = re.compile(r"-?[0-9]{1,12}(\.[0-9]{1,9})?s")
_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)")
_INTEGER = re.compile(r"-?[0-9]{1,10}")
_INT32 = range(-(2**31), 2**31)

_TYPE_NAMES = {
    Scalar.STRING: "TYPE_STRING",
    Scalar.BOOLEAN: "TYPE_BOOL",
    Scalar.INTEGER: "TYPE_INT32",
    Scalar.NUMBER: "TYPE_FLOAT",
    Scalar.DURATION: "type.googleapis.com/google.protobuf.Duration",
    Scalar.TIMESTAMP: "type.googleapis.com/google.protobuf.Timestamp",
    Scalar.OBJECT: "type.googleapis.com/google.protobuf.Struct",
    Scalar.STRING_MAP: "Map",
}


def find_violations(request: object) -> list[FieldViolation]:
    """Every unknown field and every value of the wrong type, in the order of the request."""
    found: list[FieldViolation] = []
    _check_record(SEND_REQUEST, request, "", found)
    return found


def _check(kind: FieldType, value: object, path: str, found: list[FieldViolation]) -> None:
    if isinstance(kind, Record):
        _check_record(kind, value, path, found)
    elif kind is Scalar.STRING_MAP:
        _check_string_map(value, path, found)
    elif isinstance(kind, Repeated):
        if isinstance(value, list):
            for index, item in enumerate(value):
                _check(kind.of, item, f"{path}[{index}]", found)
        else:
            found.append(_invalid(path, _TYPE_NAMES[kind.of], value))
    elif isinstance(kind, Enumeration):
        if not isinstance(value, str) or value.upper() not in kind.values:
            found.append(_invalid(path, kind.type_name, value))
    elif not _is_scalar(kind, value):
        found.append(_invalid(path, _TYPE_NAMES[kind], value))


def _check_record(kind: Record, value: object, path: str, found: list[FieldViolation]) -> None:
    if not isinstance(value, dict):
        found.append(_invalid(path, "type.googleapis.com/google.firebase.fcm.v1", value))
        return
    for name, content in value.items():
        field = kind.fields.get(name)
        where = f"{path}.{name}" if path else name
        if field is None:
            at = f" at '{path}'" if path else ""
            text = f'Invalid JSON payload received. Unknown name "{name}"{at}: Cannot find field.'
            found.append(FieldViolation(path, text))
        elif content is not None:  # proto3's JSON takes null for a field that is not set.
            _check(field, content, where, found)


def _check_string_map(value: object, path: str, found: list[FieldViolation]) -> None:
    if not isinstance(value, dict):
        found.append(_invalid(path, _TYPE_NAMES[Scalar.STRING_MAP], value))
        return
    for index, content in enumerate(value.values()):
        if not isinstance(content, str):
            found.append(_invalid(f"{path}[{index}].value", _TYPE_NAMES[Scalar.STRING], content))


def _is_scalar(kind: Scalar, value: Any) -> bool:
    if kind is Scalar.STRING:
        return isinstance(value, str)
    if kind is Scalar.BOOLEAN:
        return isinstance(value, bool)
    if kind is Scalar.INTEGER:
        return _is_int32(value)
    if kind is Scalar.NUMBER:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if kind is Scalar.DURATION:
        return isinstance(value, str) and _DURATION.fullmatch(value) is not None
    if kind is Scalar.TIMESTAMP:
        return isinstance(value, str) and _TIMESTAMP.fullmatch(value) is not None
    return isinstance(value, dict)


def _is_int32(value: Any) -> bool:
    if isinstance(value, str):
        return _INTEGER.fullmatch(value) is not None and int(value) in _INT32
    if isinstance(value, float):
        return value.is_integer() and int(value) in _INT32
    return isinstance(value, int) and not isinstance(value, bool) and value in _INT32


def _invalid(path: str, type_name: str, value: object) -> FieldViolation:
    return FieldViolation(path, f"Invalid value at '{path}' ({type_name}), {json.dumps(value)}")
