"""What a sending command says once something is accepted, whatever happens to the rest of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from modules.application.errors import UnavailableError
from modules.authentication.authentication_service import AuthenticationService
from modules.campaign.campaign_service import CampaignService
from modules.cli import campaign_commands, main, notification_commands, otp_commands
from modules.cli.exit_codes import ExitCode
from modules.notification.notification_service import NotificationService

AWAY = UnavailableError(code="database_unavailable", reason="MongoDB did not answer")
TEXT = ("--title", "a", "--body", "b")
SEND = ("send", "--account", "a", *TEXT)
CAMPAIGN = ("campaign", "send", "--key", "k", "--topic", "news", *TEXT)


def answer(value: object) -> Any:
    return classmethod(lambda _, **__: value)


def refuse(error: BaseException) -> Any:
    def refused(_: object, /, **__: object) -> None:
        raise error

    return classmethod(refused)


@pytest.fixture(autouse=True)
def opened(monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def application(*_: object) -> Iterator[SimpleNamespace]:
        yield SimpleNamespace(settings=SimpleNamespace(temporal=None))

    for commands in (campaign_commands, notification_commands, otp_commands):
        monkeypatch.setattr(commands, "application", application)


@pytest.mark.parametrize(
    ("command", "service", "method", "told"),
    [
        (
            SEND,
            NotificationService,
            "send_push_for_account",
            {"notification_id": "the-id", "status": None},
        ),
        (CAMPAIGN, CampaignService, "send_push_to_audience", {"campaign_id": "the-id", "state": None}),
    ],
)
def test_what_cannot_be_read_any_more_is_told_with_its_id(
    command: tuple[str, ...],
    service: type[object],
    method: str,
    told: dict[str, str | None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(service, method, answer("the-id"))
    monkeypatch.setattr(NotificationService, "get_push_notification", refuse(AWAY))
    monkeypatch.setattr(CampaignService, "get_campaign", refuse(AWAY))
    assert main.run([*command, "--json"]) == ExitCode.OK
    assert json.loads(capsys.readouterr().out) == {**told, "unseen": AWAY.reason}


@pytest.mark.parametrize(
    ("command", "service", "method"),
    [
        (SEND, NotificationService, "send_push_for_account"),
        (CAMPAIGN, CampaignService, "send_push_to_audience"),
        (("otp", "send", "--account", "a"), AuthenticationService, "send_one_time_password"),
    ],
)
def test_ctrl_c_while_it_is_sent_says_that_it_may_go_out(
    command: tuple[str, ...],
    service: type[object],
    method: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(service, method, refuse(KeyboardInterrupt()))
    assert main.run([*command, "--json"]) == ExitCode.INTERRUPTED
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["code"] == "interrupted"
    assert "may have been accepted" in error["reason"]
