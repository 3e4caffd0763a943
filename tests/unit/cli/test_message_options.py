"""A message is said the same way to one account and to an audience."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import timedelta
from unittest.mock import MagicMock

import pytest

from modules.campaign.campaign_service import CampaignService
from modules.cli import campaign_commands, main, notification_commands
from modules.cli.exit_codes import ExitCode
from modules.notification.notification_service import NotificationService
from modules.notification.types import AndroidOptions, ApnsOptions, OutcomePolicy, SendPushParams

TO_ACCOUNT = ("send", "--account", "a")
TO_AUDIENCE = ("campaign", "send", "--key", "k", "--topic", "news")
COMMANDS = pytest.mark.parametrize("command", [TO_ACCOUNT, TO_AUDIENCE], ids=["account", "audience"])


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> MagicMock:
    """What both commands call in place of the services; its `send` is given what they send."""
    opened = MagicMock()
    opened.settings.temporal.ui_url = None
    mock = MagicMock()
    for commands in (notification_commands, campaign_commands):
        monkeypatch.setattr(commands, "application", lambda *_: nullcontext(opened))
    monkeypatch.setattr(NotificationService, "send_push_for_account", mock.send)
    monkeypatch.setattr(CampaignService, "send_push_to_audience", mock.send)
    monkeypatch.setattr(NotificationService, "get_push_notification", mock.get)
    monkeypatch.setattr(CampaignService, "get_campaign", mock.get)
    return mock


@COMMANDS
def test_whatever_can_be_typed_arrives(command: tuple[str, ...], service: MagicMock) -> None:
    arguments = (
        *("--title", "Hello", "--body", "You", "--data", "k=v", "--category", "offers"),
        *(
            "--image-url",
            "https://example.com/a.png",
            "--click-action",
            "/offers",
            "--policy",
            "at_most_once",
        ),
        *("--expires-in", "10m", "--sound", "default", "--interruption-level", "time-sensitive"),
    )
    assert main.run([*command, *arguments, "--json"]) == ExitCode.OK
    sent = service.send.call_args.kwargs
    assert sent["params"] == SendPushParams(
        title="Hello",
        body="You",
        data={"k": "v"},
        category="offers",
        image_url="https://example.com/a.png",
        click_action="/offers",
        outcome_policy=OutcomePolicy.AT_MOST_ONCE,
        android=AndroidOptions(sound="default"),
        apns=ApnsOptions(sound="default", interruption_level="time-sensitive"),
    )
    assert sent["expires_in"] == timedelta(minutes=10)
    assert "expires_at" not in sent, "the service reckons it, on the database's clock"


@COMMANDS
def test_what_is_not_typed_is_the_services_default(command: tuple[str, ...], service: MagicMock) -> None:
    assert main.run([*command, "--title", "Hello", "--body", "You", "--json"]) == ExitCode.OK
    sent = service.send.call_args.kwargs
    assert sent["params"] == SendPushParams(title="Hello", body="You")
    assert sent["expires_in"] is None


@COMMANDS
def test_a_silent_message_has_data_and_no_text(command: tuple[str, ...], service: MagicMock) -> None:
    assert main.run([*command, "--silent", "--data", "type=sync", "--json"]) == ExitCode.OK
    sent = service.send.call_args.kwargs["params"]
    assert sent == SendPushParams(data={"type": "sync"})
    assert sent.is_silent


@COMMANDS
@pytest.mark.parametrize(
    "arguments",
    [
        ("--silent", "--title", "Hello", "--data", "type=sync"),
        ("--silent", "--body", "You", "--data", "type=sync"),
        ("--title", "Hello"),
        ("--body", "You"),
        ("--data", "type=sync"),
        ("--title", "Hello", "--body", "You", "--interruption-level", "loud"),
    ],
)
def test_half_a_message_is_wrong_usage(
    command: tuple[str, ...], arguments: tuple[str, ...], service: MagicMock
) -> None:
    assert main.run([*command, *arguments, "--json"]) == ExitCode.USAGE
    service.send.assert_not_called()


@COMMANDS
def test_each_platform_may_have_a_sound_of_its_own(command: tuple[str, ...], service: MagicMock) -> None:
    text = ("--title", "Hello", "--body", "You")
    arguments = (*text, "--android-sound", "bell", "--apns-sound", "bell.aiff")
    assert main.run([*command, *arguments, "--json"]) == ExitCode.OK
    sent = service.send.call_args.kwargs["params"]
    assert (sent.android.sound, sent.apns.sound) == ("bell", "bell.aiff")
    assert main.run([*command, *text, "--sound", "default", "--apns-sound", "bell.aiff", "--json"]) == 0
    sent = service.send.call_args.kwargs["params"]
    assert (sent.android.sound, sent.apns.sound) == ("default", "bell.aiff")


@COMMANDS
def test_a_policy_that_does_not_exist_is_wrong_usage(command: tuple[str, ...], service: MagicMock) -> None:
    arguments = ("--title", "Hello", "--body", "You", "--policy", "perhaps")
    assert main.run([*command, *arguments, "--json"]) == ExitCode.USAGE
    service.send.assert_not_called()
