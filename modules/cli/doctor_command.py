"""`notifications doctor`: what is wrong, and what to do about it."""

# ruff: noqa: PLC0415 - what is slow to import waits until a command needs it

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from modules.cli.exit_codes import ExitCode
from modules.cli.output import JsonOption, plain, show

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from modules.cli.doctor_checks import Finding


def doctor(_json: JsonOption = False) -> None:
    """Check MongoDB, clocks, Temporal, the schedule and FCM; ends with 1 when anything is wrong."""
    from modules.cli.doctor_checks import examine

    findings = examine()
    healthy = all(finding.ok for finding in findings)
    show(
        {"ok": healthy, "checks": [asdict(finding) for finding in findings]},
        lambda console: _print(console, findings),
    )
    if not healthy:
        raise typer.Exit(ExitCode.REFUSED)


def _print(console: Console, findings: Sequence[Finding]) -> None:
    for finding in findings:
        console.print(
            "ok   " if finding.ok else "WRONG", style="green" if finding.ok else "bold red", end=" "
        )
        console.print(plain(f"{finding.check}: {finding.detail}"), soft_wrap=True)
        if finding.remedy:
            console.print(plain(f"      → {finding.remedy}"), soft_wrap=True)
