"""`make up`: local servers and a worker in the foreground, data kept."""

# ruff: noqa: PLC0415 - what is slow to import waits until a command needs it

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from modules.application.errors import UnavailableError
from modules.cli.output import JsonOption, note, print_fields, show
from modules.cli.serving import serving, wait_until_stopped
from modules.cli.stop_signals import StopRequested, StopSignals

if TYPE_CHECKING:
    from rich.console import Console

    from local_stack.local_stack_service import LocalStack

ENVIRONMENT_FILE = "environment"
CREDENTIALS_VARIABLE = "FCM_CREDENTIALS_PATH"


def up(
    folder: Annotated[Path, typer.Option(help="Where data, logs and the environment file are kept.")] = Path(
        ".local/up"
    ),
    _json: JsonOption = False,
) -> None:
    """Start MongoDB, Temporal, the FCM simulator and a worker; Ctrl-C stops all of it.

    Servers that MONGODB_URI and TEMPORAL_ADDRESS name are used as they are; there is no simulator when
    FCM_CREDENTIALS_PATH is set.
    """
    from local_stack.local_stack_service import LocalStackService
    from local_stack.types import STABLE_PORTS, LocalStackParams
    from modules.config.config_service import ConfigService

    if forgotten := LocalStackService.forget_sourced(os.environ):
        note(f"left aside, as an earlier start of this command set them: {', '.join(forgotten)}")
    params = LocalStackParams(
        folder=folder.resolve(),
        keep_data=True,
        simulator=None if os.environ.get(CREDENTIALS_VARIABLE) else "h2",
        ports=STABLE_PORTS,
        on_progress=note,
    )
    with StopSignals() as signals, suppress(StopRequested), LocalStackService.start(params) as stack:
        environment = stack.environment()
        settings = ConfigService.load({**os.environ, **environment})
        with serving(settings, signals):
            file = _write_script(stack.folder / ENVIRONMENT_FILE, stack.shell_script())
            signals.ready()
            try:
                _announce(environment, file)
                wait_until_stopped(signals, lambda: _require_running(stack))
            finally:
                file.unlink(missing_ok=True)


def _announce(environment: Mapping[str, str], file: Path) -> None:
    addresses = {
        "web_ui": environment.get("TEMPORAL_UI_URL"),
        "mongodb": environment.get("MONGODB_URI"),
        "temporal": environment.get("TEMPORAL_ADDRESS"),
        "fcm": environment.get("FCM_ENDPOINT"),
    }
    document = {
        "ready": True,
        "pid": os.getpid(),
        "addresses": addresses,
        "environment": dict(environment),
        "environment_file": str(file),
    }

    def for_people(console: Console) -> None:
        print_fields(console, {name: address for name, address in addresses.items() if address})
        console.print("\nIn another terminal, before other commands:\n")
        console.print(f"  source {shlex.quote(str(file))}\n", soft_wrap=True)
        console.print("ready; Ctrl-C stops all of it")

    show(document, for_people)


def _write_script(path: Path, script: str) -> Path:
    """The file to `source`; its owner's alone, an address can hold a password."""
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_text(script)
    return path


def _require_running(stack: LocalStack) -> None:
    for server in stack.servers.values():
        if not server.is_running:
            raise UnavailableError(
                code="local_server_ended", reason=f"{server.name} has ended; its log is {server.log_path}"
            )
