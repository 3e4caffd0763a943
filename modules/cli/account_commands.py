"""`notifications account`: whom the service knows."""

# ruff: noqa: PLC0415 - what is slow to import waits until a command needs it

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from modules.cli.device_commands import AccountOption
from modules.cli.exit_codes import ExitCode
from modules.cli.output import JsonOption, note, print_fields, show
from modules.cli.session import application

if TYPE_CHECKING:
    from rich.console import Console

    from modules.erasure.types import ErasureReport

QUESTION = "Erase devices, preferences, codes, record and the content of all notifications for good?"
app = typer.Typer(help="Accounts: whom the service knows.")


@app.callback()
def group() -> None:
    """Accounts: whom the service knows."""


@app.command()
def forget(
    account: AccountOption,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    _json: JsonOption = False,
) -> None:
    """Erase an account everywhere; its notifications stay as ids, statuses and counts."""
    if not yes and not typer.confirm(QUESTION, err=True):
        note("nothing was erased")
        raise typer.Exit(ExitCode.REFUSED)
    with application():
        from modules.erasure.erasure_service import ErasureService

        report = ErasureService.erase_account(account_id=account)
    show(_document(report), lambda console: _print(console, report))


def _document(report: ErasureReport) -> dict[str, object]:
    return {
        "account_id": report.account_id,
        "erased": dict(report.erased),
        "withdrawn": report.withdrawn,
        "interrupted": report.interrupted,
    }


def _print(console: Console, report: ErasureReport) -> None:
    print_fields(
        console,
        {
            "account_id": report.account_id,
            **{f"erased from {name}": count for name, count in report.erased.items()},
            "notifications withdrawn": report.withdrawn,
            "notifications interrupted": report.interrupted,
        },
    )
