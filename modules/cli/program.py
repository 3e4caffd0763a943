"""Runs a command line as a process: prints every error, owns the exit code and the process's end."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import typer

from modules.application.errors import ServiceError
from modules.cli import output
from modules.cli.exit_codes import ExitCode, exit_code_for


def run(app: typer.Typer, name: str, arguments: Sequence[str]) -> int:
    """Run one command and return its exit code; every error is printed, none is raised."""
    output.begin()
    try:
        return _run(app, name, arguments)
    except ServiceError as error:
        output.show_error(error)
        return exit_code_for(error)
    except (typer.Abort, KeyboardInterrupt):
        return ExitCode.INTERRUPTED
    except typer.TyperException as error:
        output.choose_json("--json" in arguments)
        output.show_problems(code="usage", reason=_usage_reason(error, name))
        return ExitCode.USAGE
    except (BrokenPipeError, SystemExit):
        # What reads our output has gone, which rich answers with SystemExit; there is nobody to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.BROKEN_PIPE
    except Exception as error:  # noqa: BLE001  its message may hold a token or a body and is not shown
        output.show_problems(code="unexpected", reason=f"unexpected {type(error).__name__}")
        return ExitCode.UNEXPECTED


def run_process(app: typer.Typer, name: str) -> NoReturn:
    """Run the process's command line and end it with the command's own exit code."""
    code = run(app, name, sys.argv[1:])
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            code = code or ExitCode.BROKEN_PIPE
    # temporalio and pyreqwest now and then abort (134) while the interpreter ends; it does not get to.
    os._exit(code)


def _run(app: typer.Typer, name: str, arguments: Sequence[str]) -> int:
    result: Any = typer.main.get_command(app).main(list(arguments), prog_name=name, standalone_mode=False)
    return result if isinstance(result, int) else ExitCode.OK


def _usage_reason(error: typer.TyperException, name: str) -> str:
    message = getattr(error, "format_message", lambda: str(error))()
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else name
    return f"{' '.join(message.split())} See `{path} --help`."
