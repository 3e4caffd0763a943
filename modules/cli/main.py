"""The `notifications` command: puts the commands together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

import typer

from modules.cli import (
    account_commands,
    campaign_commands,
    device_commands,
    doctor_command,
    notification_commands,
    otp_commands,
    preference_commands,
    program,
    server_commands,
)
from modules.cli.output import JsonOption

PROGRAM = "notifications"
app = typer.Typer(
    add_completion=False,
    help="Durable notifications: send, look, operate.",
    epilog=(
        "Exit codes: 0 done, 1 refused, 2 wrong usage, 3 server out of reach, 70 a fault, "
        "78 a setting to mend, 130 Ctrl-C."
    ),
)


@app.callback()
def root(_json: JsonOption = False) -> None:
    """Durable notifications: send, look, operate."""


app.command("bootstrap")(server_commands.bootstrap_command)
app.command("worker")(server_commands.worker)
app.add_typer(account_commands.app, name="account")
app.add_typer(device_commands.app, name="device")
app.add_typer(preference_commands.app, name="preference")
app.command("send")(notification_commands.send)
app.command("show")(notification_commands.show_notification)
app.command("list")(notification_commands.list_notifications)
app.command("cancel")(notification_commands.cancel)
app.command("scan")(notification_commands.scan)
app.add_typer(campaign_commands.app, name="campaign")
app.add_typer(otp_commands.app, name="otp")
app.command("doctor")(doctor_command.doctor)


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code; every error is printed, none is raised."""
    return program.run(app, PROGRAM, arguments)


def main() -> NoReturn:
    """Run the command line and end the process with the command's own exit code."""
    program.run_process(app, PROGRAM)


if __name__ == "__main__":
    main()
