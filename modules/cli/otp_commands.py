"""`notifications otp`: one-time passwords by hand."""

# ruff: noqa: PLC0415 - what is slow to import waits until a command needs it

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from modules.cli.device_commands import AccountOption
from modules.cli.output import JsonOption, show_fields
from modules.cli.session import application

app = typer.Typer(help="One-time passwords, sent as immediate push.")

PurposeOption = Annotated[str, typer.Option(help="What the code is good for.")]


@app.command()
def send(account: AccountOption, purpose: PurposeOption = "login", _json: JsonOption = False) -> None:
    """Send a new code; the former one is void."""
    with application("caller"):
        from modules.authentication.authentication_service import AuthenticationService

        ticket = AuthenticationService.send_one_time_password(account_id=account, purpose=purpose)
    show_fields(asdict(ticket))


@app.command()
def verify(
    code: Annotated[str, typer.Argument(help="The digits the person typed.")],
    account: AccountOption,
    purpose: PurposeOption = "login",
    _json: JsonOption = False,
) -> None:
    """Accept a code, once."""
    with application():
        from modules.authentication.authentication_service import AuthenticationService

        AuthenticationService.verify_one_time_password(account_id=account, code=code, purpose=purpose)
    show_fields({"verified": True})
