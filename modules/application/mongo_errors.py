"""Sorts MongoDB's refusals by what they mean; the only place that knows the server's error codes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from bson.errors import InvalidDocument
from pymongo.errors import (
    BulkWriteError,
    ConfigurationError,
    ConnectionFailure,
    NotPrimaryError,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
    WriteConcernError,
    WriteError,
)

from modules.application import errors


class Sort(StrEnum):
    """What a refusal means for the one who asked."""

    PASSING = "passing"
    UNKNOWN = "unknown"
    REFUSED = "refused"
    CREDENTIALS = "credentials"
    SETTING = "setting"


@dataclass(frozen=True, slots=True)
class ServerCode:
    """An error code of the server, by its name in src/mongo/base/error_codes.yml, and why it is sorted so."""

    number: int
    name: str
    sort: Sort
    why: str


UNAUTHORIZED = 13
DUPLICATE_KEY = 11000
DOCUMENT_VALIDATION_FAILURE = 121
INDEX_NOT_FOUND = 27
NAMESPACE_EXISTS = 48
INDEX_OPTIONS_CONFLICT = 85
INDEX_KEY_SPECS_CONFLICT = 86
OBJECT_TOO_LARGE = 10334

_TABLE = (
    ServerCode(189, "PrimarySteppedDown", Sort.PASSING, "an election follows"),
    ServerCode(10107, "NotWritablePrimary", Sort.PASSING, "asked a node that is not primary any more"),
    ServerCode(10058, "LegacyNotPrimary", Sort.PASSING, "the same, as older nodes say it"),
    ServerCode(13435, "NotPrimaryNoSecondaryOk", Sort.PASSING, "a read that only the primary answers"),
    ServerCode(13436, "NotPrimaryOrSecondary", Sort.PASSING, "the node is starting or recovering"),
    ServerCode(11600, "InterruptedAtShutdown", Sort.PASSING, "the node is stopping; another takes over"),
    ServerCode(11602, "InterruptedDueToReplStateChange", Sort.PASSING, "the node changed its role"),
    ServerCode(91, "ShutdownInProgress", Sort.PASSING, "the node is stopping; another takes over"),
    ServerCode(11601, "Interrupted", Sort.PASSING, "an operator killed the operation"),
    ServerCode(237, "CursorKilled", Sort.PASSING, "an operator, or a stopping node, killed the cursor"),
    ServerCode(43, "CursorNotFound", Sort.PASSING, "the cursor was left on the former primary"),
    ServerCode(175, "QueryPlanKilled", Sort.PASSING, "an index or the role changed in the middle of it"),
    ServerCode(6, "HostUnreachable", Sort.PASSING, "a router or node cannot reach another now"),
    ServerCode(7, "HostNotFound", Sort.PASSING, "a router or node cannot resolve another now"),
    ServerCode(89, "NetworkTimeout", Sort.PASSING, "between nodes of the cluster"),
    ServerCode(9001, "SocketException", Sort.PASSING, "between nodes of the cluster"),
    ServerCode(133, "FailedToSatisfyReadPreference", Sort.PASSING, "a router finds no primary now"),
    ServerCode(134, "ReadConcernMajorityNotAvailableYet", Sort.PASSING, "no majority since the start"),
    ServerCode(246, "SnapshotUnavailable", Sort.PASSING, "the snapshot is not there yet"),
    ServerCode(239, "SnapshotTooOld", Sort.PASSING, "a read took longer than its snapshot is kept"),
    ServerCode(262, "ExceededTimeLimit", Sort.PASSING, "the node's own limit on an operation"),
    ServerCode(50, "MaxTimeMSExpired", Sort.PASSING, "the time given with the operation was too short"),
    ServerCode(24, "LockTimeout", Sort.PASSING, "an operation on the whole collection holds the lock"),
    ServerCode(46, "LockBusy", Sort.PASSING, "an operation on the whole collection holds the lock"),
    ServerCode(112, "WriteConflict", Sort.PASSING, "another write of the same document won"),
    ServerCode(117, "ConflictingOperationInProgress", Sort.PASSING, "another command is changing the same"),
    ServerCode(384, "ConnectionError", Sort.PASSING, "a node refuses connections that it cannot serve"),
    ServerCode(462, "IngressRequestRateLimitExceeded", Sort.PASSING, "the node is asked too much now"),
    ServerCode(13388, "StaleConfig", Sort.PASSING, "a router's map of the shards is out of date"),
    ServerCode(63, "StaleShardVersion", Sort.PASSING, "a router's map of the shards is out of date"),
    ServerCode(150, "StaleEpoch", Sort.PASSING, "a router's map of the shards is out of date"),
    ServerCode(234, "RetryChangeStream", Sort.PASSING, "the server asks for another try"),
    ServerCode(64, "WriteConcernFailed", Sort.UNKNOWN, "written, not confirmed by a majority in time"),
    ServerCode(100, "UnsatisfiableWriteConcern", Sort.UNKNOWN, "written, and a majority is not there"),
    ServerCode(DUPLICATE_KEY, "DuplicateKey", Sort.REFUSED, "where one is expected it is caught inside"),
    ServerCode(DOCUMENT_VALIDATION_FAILURE, "DocumentValidationFailure", Sort.REFUSED, "the validator"),
    ServerCode(OBJECT_TOO_LARGE, "BSONObjectTooLarge", Sort.REFUSED, "a document has at most 16 MB"),
    ServerCode(17280, "KeyTooLong", Sort.REFUSED, "an index does not take it"),
    ServerCode(17419, "DocumentTooLarge", Sort.REFUSED, "an update made it larger than 16 MB"),
    ServerCode(17420, "DocumentTooLarge", Sort.REFUSED, "a replacement is larger than 16 MB"),
    ServerCode(14031, "OutOfDiskSpace", Sort.REFUSED, "an operator has to make room"),
    ServerCode(18, "AuthenticationFailed", Sort.CREDENTIALS, "unknown user or wrong password"),
    ServerCode(UNAUTHORIZED, "Unauthorized", Sort.CREDENTIALS, "the user may not do this"),
    ServerCode(73, "InvalidNamespace", Sort.SETTING, "the database's name is none"),
)
CODES: Mapping[int, ServerCode] = MappingProxyType({code.number: code for code in _TABLE})

# Certain to have left nothing behind, whatever the code (MongoDB, "Retryable Writes").
_NO_WRITES = "NoWritesPerformed"
# The server's own word that the same may succeed a moment later.
_LABELS_OF_PASSING = ("RetryableWriteError", "TransientTransactionError", "RetryableError")
DRIVER_ERRORS = (PyMongoError, InvalidDocument)


def service_error(error: Exception) -> errors.ServiceError:
    """The error of `DRIVER_ERRORS` as one of our own; the driver's text holds addresses and values.

    UnavailableError for what passes, marked where a write may have been applied all the same; StoreError for
    what is refused for good, and for what no row of the table names; ConfigurationError for what an operator
    has to mend.
    """
    match error:
        case ConnectionFailure():
            # Not one that found no connection: the driver raises that also where it repeats what was lost.
            nothing_done = (ServerSelectionTimeoutError, NotPrimaryError)
            return _unavailable(error, may_have_happened=not isinstance(error, nothing_done))
        case ConfigurationError():
            return errors.ConfigurationError(
                code="database_misconfigured", field="mongodb.uri", reason="the MongoDB URI cannot be used"
            )
        case InvalidDocument():
            return errors.StoreError(OBJECT_TOO_LARGE)
        case OperationFailure():
            return _of_refusal(error)
        case _:
            return errors.StoreError(None)


def _of_refusal(error: OperationFailure) -> errors.ServiceError:
    sort, code = _sorted(error)
    match sort:
        case Sort.PASSING:
            partly = isinstance(error, BulkWriteError | WriteError) and not error.has_error_label(_NO_WRITES)
            return _unavailable(error, may_have_happened=partly)
        case Sort.UNKNOWN:
            return _unavailable(error, may_have_happened=True)
        case Sort.CREDENTIALS:
            return errors.ConfigurationError(
                code="database_refused", field="mongodb.uri", reason="MongoDB refused the credentials"
            )
        case Sort.SETTING:
            return errors.ConfigurationError(
                code="database_misconfigured",
                field="mongodb.database",
                reason="MongoDB does not take this name of a database",
            )
        case _:
            return errors.StoreError(code)


def _sorted(error: OperationFailure) -> tuple[Sort, int | None]:
    """The refusal's sort, and the code that decided: of a bulk, what is refused for good goes first."""
    if isinstance(error, WriteConcernError):
        # Applied on the primary, whatever kept the majority from saying so: also that it steps down.
        return Sort.UNKNOWN, error.code
    if any(error.has_error_label(label) for label in _LABELS_OF_PASSING):
        return Sort.PASSING, error.code
    if isinstance(error, BulkWriteError):
        return _sorted_bulk(error)
    return _sort_of(error.code), error.code


def _sorted_bulk(error: BulkWriteError) -> tuple[Sort, int | None]:
    problems = list(_sorts_in(error.details or {}))
    # A repeated insert meets what landed before: what else is wrong decides.
    found = dict([each for each in problems if each[1] != DUPLICATE_KEY] or problems)
    for sort in (Sort.CREDENTIALS, Sort.SETTING, Sort.REFUSED, Sort.UNKNOWN, Sort.PASSING):
        if sort in found:
            return sort, found[sort]
    return Sort.REFUSED, error.code


def _sorts_in(details: Mapping[str, Any]) -> Iterator[tuple[Sort, int | None]]:
    for problem in details.get("writeErrors", ()):
        if "code" in problem:
            yield _sort_of(problem["code"]), problem["code"]
    for problem in details.get("writeConcernErrors", ()):
        yield Sort.UNKNOWN, problem.get("code")


def _sort_of(code: int | None) -> Sort:
    known = None if code is None else CODES.get(code)
    return Sort.REFUSED if known is None else known.sort


def _unavailable(error: Exception, *, may_have_happened: bool) -> errors.UnavailableError:
    return errors.UnavailableError(
        code="database_unavailable",
        reason=f"MongoDB did not answer ({type(error).__name__})",
        may_have_happened=may_have_happened,
    )
