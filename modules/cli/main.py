"""The `notifications` command: puts the commands together and owns the exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import typer

from modules.application.errors import ServiceError
from modules.cli import (
    account_commands,
    campaign_commands,
    device_commands,
    doctor_command,
    notification_commands,
    otp_commands,
    output,
    preference_commands,
    server_commands,
    up_command,
)
from modules.cli.exit_codes import ExitCode, exit_code_for
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
app.command("up")(up_command.up)
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
    output.begin()
    try:
        return _run(arguments)
    except ServiceError as error:
        output.show_error(error)
        return exit_code_for(error)
    except (typer.Abort, KeyboardInterrupt):
        return ExitCode.INTERRUPTED
    except typer.TyperException as error:
        output.choose_json("--json" in arguments)
        output.show_problems(code="usage", reason=_usage_reason(error))
        return ExitCode.USAGE
    except (BrokenPipeError, SystemExit):
        # What reads our output has gone, which rich answers with SystemExit; there is nobody to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.BROKEN_PIPE
    except Exception as error:  # noqa: BLE001  its message may hold a token or a body and is not shown
        output.show_problems(code="unexpected", reason=f"unexpected {type(error).__name__}")
        return ExitCode.UNEXPECTED


def _run(arguments: Sequence[str]) -> int:
    result: Any = typer.main.get_command(app).main(list(arguments), prog_name=PROGRAM, standalone_mode=False)
    return result if isinstance(result, int) else ExitCode.OK


def _usage_reason(error: typer.TyperException) -> str:
    message = getattr(error, "format_message", lambda: str(error))()
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else PROGRAM
    return f"{' '.join(message.split())} See `{path} --help`."


def main() -> NoReturn:
    """Run the command line and end the process with the command's own exit code."""
    code = run(sys.argv[1:])
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            code = code or ExitCode.BROKEN_PIPE
    # temporalio and pyreqwest now and then abort (134) while the interpreter ends; it does not get to.
    os._exit(code)


if __name__ == "__main__":
    main()
