"""The options that say what a message is, the same for one account and for an audience."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import typer

from modules.application.errors import Problem
from modules.cli.option_parsing import parse_data
from modules.notification.types import AndroidOptions, ApnsOptions, OutcomePolicy, SendPushParams

InterruptionLevel = Literal["passive", "active", "time-sensitive", "critical"]

TitleOption = Annotated[str | None, typer.Option("--title")]
BodyOption = Annotated[str | None, typer.Option("--body")]
SilentOption = Annotated[bool, typer.Option("--silent", help="Data for the app, nothing to see or hear.")]
DataOption = Annotated[list[str] | None, typer.Option("--data", metavar="KEY=VALUE", help="May be repeated.")]
CategoryOption = Annotated[str, typer.Option("--category", help="What preferences speak about.")]
ImageUrlOption = Annotated[str | None, typer.Option("--image-url", help="The https address of a picture.")]
ClickActionOption = Annotated[
    str | None, typer.Option("--click-action", help="What a tap opens: /path, https://…, or scheme://….")
]
SoundOption = Annotated[str | None, typer.Option("--sound", metavar="NAME", help="default: the phone's own.")]
AndroidSoundOption = Annotated[
    str | None, typer.Option("--android-sound", metavar="NAME", help="Instead of --sound, on Android.")
]
ApnsSoundOption = Annotated[
    str | None, typer.Option("--apns-sound", metavar="NAME", help="Instead of --sound, on iOS.")
]
InterruptionLevelOption = Annotated[
    InterruptionLevel | None, typer.Option("--interruption-level", help="How much iOS interrupts.")
]
PolicyOption = Annotated[
    OutcomePolicy, typer.Option("--policy", help="When nobody can know whether the provider took it.")
]
ExpiresInOption = Annotated[
    str | None, typer.Option("--expires-in", help="Not later than this: 90s, 10m, 2h.")
]


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageOptions:
    """What a message is to say, as it was typed."""

    title: str | None
    body: str | None
    silent: bool
    data: list[str] | None
    category: str
    image_url: str | None
    click_action: str | None
    policy: OutcomePolicy
    sound: str | None
    android_sound: str | None
    apns_sound: str | None
    interruption_level: InterruptionLevel | None

    def to_params(self, *, app_id: str | None, problems: list[Problem]) -> SendPushParams:
        """The message these options describe; notes whatever is wrong with them together."""
        for name in ("title", "body"):
            given = getattr(self, name) is not None
            if self.silent and given:
                problems.append(Problem("conflict", name, "says something, and --silent says nothing"))
            elif not self.silent and not given:
                problems.append(Problem("required", name, f"give --{name}, or --silent with --data"))
        return SendPushParams(
            title=self.title,
            body=self.body,
            data=parse_data(self.data or (), "data", problems),
            image_url=self.image_url,
            click_action=self.click_action,
            category=self.category,
            app_id=app_id,
            outcome_policy=self.policy,
            android=AndroidOptions(sound=self.android_sound or self.sound),
            apns=ApnsOptions(sound=self.apns_sound or self.sound, interruption_level=self.interruption_level),
        )
