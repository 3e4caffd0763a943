"""Requests as clients make them, and what the core answers, without a socket."""

from __future__ import annotations

import functools
import json
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import jwt
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from simulator.exchange import Answer, Request
from simulator.fcm_simulator import FcmSimulator
from simulator.service_accounts import PROJECTS
from simulator.token_endpoint import GRANT_TYPE

ENDPOINT = "https://127.0.0.1:1"
PROJECT, SECOND_PROJECT = PROJECTS
SCOPE = "https://www.googleapis.com/auth/firebase.messaging"


def make_message(**over: Any) -> dict[str, Any]:
    """A message that is accepted; `token=None` leaves the target to `over`."""
    message = {"token": "phone-1", "notification": {"title": "Hello", "body": "World"}, **over}
    return {name: value for name, value in message.items() if value is not None}


def make_request(method: str, path: str, body: bytes = b"", **headers: str) -> Request:
    return Request(method, path, headers, body, "HTTP/2", "127.0.0.1")


@functools.cache
def load_key(pem: str) -> Any:
    """Loading a key from its text takes longer than any test."""
    return load_pem_private_key(pem.encode(), password=None)


def make_assertion(folder: Path, *, project: str = PROJECT, key: Any = None, **over: Any) -> str:
    """A signed assertion for the token endpoint; a claim that is None is left out."""
    account = json.loads((folder / PROJECTS[project]).read_text())
    now = int(time.time())
    claims = {
        "iss": account["client_email"],
        "aud": account["token_uri"],
        "iat": now,
        "exp": now + 3600,
        "scope": SCOPE,
        **over,
    }
    given = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(given, key or load_key(account["private_key"]), algorithm="RS256")


def ask_token(simulator: FcmSimulator, **form: str) -> Answer:
    body = urlencode({"grant_type": GRANT_TYPE, **form}).encode()
    return simulator.answer(make_request("POST", "/token", body))


def get_token(simulator: FcmSimulator, folder: Path, project: str = PROJECT) -> str:
    answer = ask_token(simulator, assertion=make_assertion(folder, project=project))
    assert answer.status == 200, answer.body
    token = json.loads(answer.body)["access_token"]
    assert isinstance(token, str)
    return token


class Sender:
    """A client with a valid access token."""

    def __init__(self, simulator: FcmSimulator, folder: Path, project: str = PROJECT) -> None:
        self._simulator = simulator
        self._project = project
        self.token = get_token(simulator, folder, project)

    def send(self, *, validate_only: bool = False, **message: Any) -> Answer:
        body: dict[str, Any] = {"message": make_message(**message)}
        if validate_only:
            body["validate_only"] = True
        return self.send_body(json.dumps(body).encode())

    def send_body(self, body: bytes) -> Answer:
        path = f"/v1/projects/{self._project}/messages:send"
        return self._simulator.answer(make_request("POST", path, body, authorization=f"Bearer {self.token}"))


class Control:
    """Calls of the control endpoint, without a socket."""

    def __init__(self, simulator: FcmSimulator) -> None:
        self._simulator = simulator

    def call(self, method: str, path: str, content: object = None) -> Answer:
        body = b"" if content is None else json.dumps(content).encode()
        return self._simulator.answer(make_request(method, f"/control/{path}", body))

    def get(self, path: str) -> Any:
        answer = self.call("GET", path)
        assert answer.status == 200, answer.body
        return json.loads(answer.body)

    def post(self, path: str, content: object) -> Any:
        answer = self.call("POST", path, content)
        assert answer.status == 200, answer.body
        return json.loads(answer.body)


def error_of(answer: Answer) -> dict[str, Any]:
    error = json.loads(answer.body)["error"]
    assert isinstance(error, dict)
    return error


def detail_of(answer: Answer, type_name: str) -> dict[str, Any] | None:
    """The detail whose `@type` ends so, if there is one."""
    for detail in error_of(answer).get("details", []):
        if detail["@type"].endswith(type_name):
            assert isinstance(detail, dict)
            return detail
    return None
