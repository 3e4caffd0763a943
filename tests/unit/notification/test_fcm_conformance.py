"""Holds encoding and errors to firebase-admin's own; here, and only here, its private parts are looked at."""

from __future__ import annotations

import json
import warnings
from typing import Any

import pytest
import requests
from firebase_admin import _utils, exceptions, messaging
from hypothesis import given, settings
from hypothesis import strategies as st

from modules.device_token.types import TargetKind
from modules.notification.errors import ProviderRefusedError, ProviderUnavailableError
from modules.notification.internals.channels.fcm import firebase_errors
from modules.notification.internals.channels.fcm.answer import FailureKind, FcmResponse, SendFailure
from modules.notification.internals.channels.fcm.firebase_errors import firebase_error_for, service_error_for
from modules.notification.internals.channels.fcm.message_encoder import ANY_TARGET, EncodedMessage
from tests.support.fcm_messages import addresses, message_arguments

SDK = messaging._MessagingService


@settings(max_examples=300)
@given(
    arguments=message_arguments,
    address=addresses,
    kind=st.sampled_from(TargetKind),
    validate_only=st.booleans(),
)
def test_a_body_equals_that_of_firebase_admin(
    arguments: dict[str, Any], address: str, kind: TargetKind, validate_only: bool
) -> None:
    message = EncodedMessage(messaging.Message(**arguments, fid=ANY_TARGET), validate_only=validate_only)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        theirs = SDK.encode_message(messaging.Message(**arguments, **{kind.value: address}))
    expected = {"message": theirs, "validate_only": True} if validate_only else {"message": theirs}
    assert json.loads(message.body_for(kind, address)) == json.loads(json.dumps(expected))


@settings(max_examples=100)
@given(
    arguments=message_arguments, tokens=st.lists(addresses, max_size=3), fids=st.lists(addresses, max_size=3)
)
def test_one_encoding_serves_a_multicast(
    arguments: dict[str, Any], tokens: list[str], fids: list[str]
) -> None:
    message = EncodedMessage(messaging.Message(**arguments, fid=ANY_TARGET))
    ours = [message.body_for(TargetKind.TOKEN, token) for token in tokens]
    ours += [message.body_for(TargetKind.FID, fid) for fid in fids]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        multicast = messaging.MulticastMessage(tokens=tokens, fids=fids, **arguments)
    theirs = [
        {"message": SDK.encode_message(message)}
        for message in messaging._get_messages_from_multicast(multicast)
    ]
    assert [json.loads(body) for body in ours] == json.loads(json.dumps(theirs))


def test_the_tables_of_errors_are_those_of_firebase_admin() -> None:
    assert dict(firebase_errors._FCM_ERRORS) == SDK.FCM_ERROR_TYPES
    assert dict(firebase_errors._PLATFORM_ERRORS) == _utils._ERROR_CODE_TO_EXCEPTION_TYPE
    assert dict(firebase_errors._STATUS_CODES) == _utils._HTTP_STATUS_TO_ERROR_CODE


def theirs_for(status: int, body: bytes) -> exceptions.FirebaseError | None:
    """What firebase-admin makes of an error response; None where it trips over it."""
    response = requests.Response()
    response.status_code, response._content = status, body
    error = requests.exceptions.HTTPError(response=response)
    try:
        return _utils.handle_platform_error_from_requests(error, SDK._build_fcm_error_requests)
    except (AttributeError, TypeError, UnicodeDecodeError):
        return None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda children: (
        st.lists(children, max_size=2) | st.dictionaries(st.text(max_size=4), children, max_size=2)
    ),
    max_leaves=4,
)
fcm_codes = st.sampled_from([*SDK.FCM_ERROR_TYPES, "INVALID_ARGUMENT", "UNSPECIFIED_ERROR", "NEW", ""])
platform_codes = st.sampled_from([*_utils._ERROR_CODE_TO_EXCEPTION_TYPE, "NEW", ""])
details = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "@type": st.just("type.googleapis.com/google.firebase.fcm.v1.FcmError") | st.text(max_size=5),
            "errorCode": fcm_codes,
        },
    ),
    max_size=3,
)
errors = st.fixed_dictionaries(
    {},
    optional={
        "status": platform_codes,
        "details": details,
        "message": st.text(max_size=8),
        "code": json_values,
    },
)
documents = st.fixed_dictionaries({}, optional={"error": errors}) | json_values
bodies = documents.map(lambda document: json.dumps(document).encode()) | st.text(max_size=30).map(str.encode)


@settings(max_examples=500)
@given(status=st.integers(400, 599), body=bodies)
def test_any_error_response_becomes_the_error_of_firebase_admin(status: int, body: bytes) -> None:
    ours = firebase_error_for(FcmResponse(status=status, body=body))
    theirs = theirs_for(status, body)
    if theirs is not None:
        assert (type(ours), ours.code) == (type(theirs), theirs.code)


@settings(max_examples=200)
@given(status=st.integers(100, 599), body=st.binary(max_size=60) | bodies)
def test_what_firebase_admin_trips_over_is_an_error_all_the_same(status: int, body: bytes) -> None:
    ours = firebase_error_for(FcmResponse(status=status, body=body))
    assert isinstance(ours, exceptions.FirebaseError)
    assert str(ours).startswith(f"FCM answered HTTP {status}")


@pytest.mark.parametrize(
    ("cause", "kind"),
    [
        (requests.exceptions.ReadTimeout(), FailureKind.TIMEOUT),
        (requests.exceptions.ConnectionError(), FailureKind.CONNECT_FAILED),
        (requests.exceptions.ConnectionError(), FailureKind.CONNECTION_LOST),
    ],
)
def test_a_failure_of_the_network_becomes_the_error_of_firebase_admin(
    cause: requests.exceptions.RequestException, kind: FailureKind
) -> None:
    theirs = _utils.handle_platform_error_from_requests(cause, SDK._build_fcm_error_requests)
    ours = firebase_error_for(SendFailure(kind=kind))
    assert (type(ours), ours.code) == (type(theirs), theirs.code)


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        (messaging.ThirdPartyAuthError("m"), ProviderRefusedError, "fcm_unauthenticated"),
        (messaging.UnregisteredError("m"), ProviderRefusedError, "fcm_not_found"),
        (exceptions.PermissionDeniedError("m"), ProviderRefusedError, "fcm_permission_denied"),
        (exceptions.InvalidArgumentError("m"), ProviderRefusedError, "fcm_invalid_argument"),
        (messaging.QuotaExceededError("m"), ProviderUnavailableError, "fcm_resource_exhausted"),
        (exceptions.UnavailableError("m"), ProviderUnavailableError, "fcm_unavailable"),
        (exceptions.UnknownError("m"), ProviderUnavailableError, "fcm_unknown"),
    ],
)
def test_an_error_of_firebase_admin_becomes_one_of_ours(
    error: exceptions.FirebaseError, kind: type[Exception], code: str
) -> None:
    ours = service_error_for(error, reason="why")
    assert (type(ours), ours.code, ours.reason) == (kind, code, "why")
