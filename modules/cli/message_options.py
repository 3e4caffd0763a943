"""The options that say what a message is, the same for one account and for an audience."""

from __future__ import annotations

from typing import Annotated

import typer

from modules.notification.types import OutcomePolicy

TitleOption = Annotated[str, typer.Option("--title")]
BodyOption = Annotated[str, typer.Option("--body")]
DataOption = Annotated[list[str] | None, typer.Option("--data", metavar="KEY=VALUE", help="May be repeated.")]
CategoryOption = Annotated[str, typer.Option("--category", help="What preferences speak about.")]
ImageUrlOption = Annotated[str | None, typer.Option("--image-url", help="The https address of a picture.")]
ClickActionOption = Annotated[str | None, typer.Option("--click-action", help="What a tap opens.")]
PolicyOption = Annotated[
    OutcomePolicy, typer.Option("--policy", help="When nobody can know whether the provider took it.")
]
ExpiresInOption = Annotated[
    str | None, typer.Option("--expires-in", help="Not later than this: 90s, 10m, 2h.")
]
