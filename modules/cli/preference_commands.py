"""`notifications preference`: whether an account wants to be told something."""

# ruff: noqa: PLC0415 - what is slow to import waits until a command needs it

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from modules.cli.device_commands import AccountOption
from modules.cli.output import JsonOption, show_fields
from modules.cli.session import application

if TYPE_CHECKING:
    from modules.preference.types import Preferences

app = typer.Typer(help="Preferences: whether an account wants to be told something.")


class Choice(StrEnum):
    ALLOW = "allow"
    DENY = "deny"


@app.command("set")
def set_(
    choice: Annotated[Choice, typer.Argument(help="Whether to send.")],
    account: AccountOption,
    category: Annotated[
        str | None, typer.Option(help="Only this category; without it, all that have no word of their own.")
    ] = None,
    _json: JsonOption = False,
) -> None:
    """Opt an account in or out."""
    with application():
        from modules.preference.preference_service import PreferenceService

        preferences = PreferenceService.set_preference(
            account_id=account, category=category, allowed=choice is Choice.ALLOW
        )
    show_fields(_document(preferences))


@app.command("show")
def show_(account: AccountOption, _json: JsonOption = False) -> None:
    """What the account has said."""
    with application():
        from modules.preference.preference_service import PreferenceService

        preferences = PreferenceService.get_preferences(account_id=account)
    show_fields(_document(preferences))


def _document(preferences: Preferences) -> dict[str, object]:
    return {
        "account_id": preferences.account_id,
        "default_allowed": preferences.default_allowed,
        "categories": dict(preferences.categories),
        "updated_at": preferences.updated_at,
    }
