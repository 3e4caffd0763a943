"""What `make up` runs: a command line of its own, which keeps to the exit codes of all commands."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from local_stack.__main__ import PROGRAM, app
from modules.cli.exit_codes import ExitCode
from modules.cli.program import run


def test_it_takes_a_folder_and_json() -> None:
    result = CliRunner().invoke(app, ["--help"])
    assert result.exit_code == 0
    assert all(option in result.output for option in ("--folder", "--json"))


def test_a_wrong_option_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(app, PROGRAM, ["--nowhere", "--json"]) == ExitCode.USAGE
    assert PROGRAM in capsys.readouterr().out
