"""`notifications otp`: one-time passwords by hand."""

# ruff: noqa: PLC0415 - what is slow to import waits until a command needs it

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from modules.authentication.errors import OneTimePasswordDeferredError
from modules.authentication.types import OneTimePasswordText, OneTimePasswordTicket
from modules.cli.device_commands import AccountOption
from modules.cli.exit_codes import ExitCode
from modules.cli.output import JsonOption, show_fields, told_when_interrupted
from modules.cli.session import application

app = typer.Typer(help="One-time passwords, sent as immediate push.")

PurposeOption = Annotated[str, typer.Option(help="What the code is good for.")]


@app.command()
def send(
    account: AccountOption,
    purpose: PurposeOption = "login",
    title: Annotated[str | None, typer.Option(help="In place of our own words.")] = None,
    body: Annotated[str | None, typer.Option(help="The same; {code} stands where the code goes.")] = None,
    _json: JsonOption = False,
) -> None:
    """Send a new code; the former one is void. Prints the ticket that `otp verify` asks for."""
    text = None
    if title is not None or body is not None:
        text = OneTimePasswordText(title=title or "", body=body or "")
    with application("caller"):
        from modules.authentication.authentication_service import AuthenticationService

        try:
            with told_when_interrupted("the code"):
                ticket = AuthenticationService.send_one_time_password(
                    account_id=account, purpose=purpose, text=text
                )
        except OneTimePasswordDeferredError as error:
            # The person will have the code, and whoever typed this needs the ticket for it.
            _show(error.ticket, deferred=error.reason)
            raise typer.Exit(ExitCode.UNAVAILABLE) from None
    _show(ticket)


@app.command()
def verify(
    code: Annotated[str, typer.Argument(help="The digits the person typed.")],
    account: AccountOption,
    ticket: Annotated[str, typer.Option(help="What `otp send` printed.")],
    purpose: PurposeOption = "login",
    _json: JsonOption = False,
) -> None:
    """Accept a code, once."""
    with application():
        from modules.authentication.authentication_service import AuthenticationService

        AuthenticationService.verify_one_time_password(
            account_id=account, ticket_id=ticket, code=code, purpose=purpose
        )
    show_fields({"verified": True})


def _show(ticket: OneTimePasswordTicket, **also: str) -> None:
    fields = asdict(ticket)
    show_fields({"ticket": fields.pop("id"), **fields, **also})
