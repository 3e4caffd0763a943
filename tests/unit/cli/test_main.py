"""Exit codes and errors of the command line, as far as no server is needed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable

import pytest
import typer
from typer.testing import CliRunner

from modules.application.errors import ConfigurationError, ConflictError, ServiceError, UnavailableError
from modules.cli import main, notification_commands
from modules.cli.exit_codes import ExitCode

SECRET = "a-token-that-must-not-be-shown"
COMMANDS = {
    *("bootstrap", "worker", "device", "preference", "send", "show", "list", "scan", "cancel", "otp"),
    *("doctor", "campaign"),
}


def _raising(error: BaseException) -> Callable[..., None]:
    def application(*_: object) -> None:
        raise error

    return application


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ServiceError(code="c", reason="r"), ExitCode.REFUSED),
        (ConflictError(code="c", reason="r"), ExitCode.REFUSED),
        (ConfigurationError(code="c", reason="r"), ExitCode.MISCONFIGURED),
        (UnavailableError(code="c", reason="r"), ExitCode.UNAVAILABLE),
        (KeyboardInterrupt(), ExitCode.INTERRUPTED),
        (typer.Abort(), ExitCode.INTERRUPTED),
        (RuntimeError(SECRET), ExitCode.UNEXPECTED),
    ],
)
@pytest.mark.parametrize("flag", [[], ["--json"]])
def test_every_error_has_its_exit_code_and_no_traceback(
    error: BaseException,
    code: ExitCode,
    flag: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(notification_commands, "application", _raising(error))
    assert main.run(["show", "id", *flag]) == code
    printed = capsys.readouterr()
    assert SECRET not in printed.out + printed.err
    assert "Traceback" not in printed.err
    if code is not ExitCode.INTERRUPTED:
        assert len((printed.out + printed.err).splitlines()) == 1
    if flag and code is not ExitCode.INTERRUPTED:
        assert set(json.loads(printed.out)["error"]) == {"code", "field", "reason", "problems"}


def test_an_unexpected_error_shows_its_type_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(notification_commands, "application", _raising(RuntimeError(SECRET)))
    main.run(["cancel", "id"])
    assert capsys.readouterr().err == "error: unexpected RuntimeError (unexpected)\n"


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nonsense"],
        ["send", "--title", "t"],
        ["send", "--acount", "a"],
        ["show"],
        ["device", "add", "--account", "a", "--platform", "toaster", "--token", "t"],
        ["list", "--account", "a", "--limit", "many"],
        ["worker", "--processes", "0"],
        ["campaign", "send", "--title", "t", "--body", "b"],
        ["campaign", "rate", "id"],
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(arguments) == ExitCode.USAGE
    printed = capsys.readouterr()
    assert printed.out == ""
    assert len(printed.err.splitlines()) == 1
    assert "--help`" in printed.err


@pytest.mark.parametrize("arguments", [["--json", "send"], ["send", "--json"], ["send", "--jso", "--json"]])
def test_wrong_usage_is_a_document_too(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(arguments) == ExitCode.USAGE
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "usage"


def test_what_cannot_be_read_is_told_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [
        "send",
        "--account",
        "",
        "--title",
        "t",
        "--body",
        "b",
        "--data",
        "x",
        "--expires-in",
        "soon",
    ]
    assert main.run([*arguments, "--json"]) == ExitCode.USAGE
    problems = json.loads(capsys.readouterr().out)["error"]["problems"]
    assert [problem["field"] for problem in problems] == ["account_id", "data[0]", "expires_in"]


def test_the_mode_of_one_command_is_not_the_next_ones(capsys: pytest.CaptureFixture[str]) -> None:
    main.run(["show", "--json"])
    capsys.readouterr()
    main.run(["show"])
    assert capsys.readouterr().out == ""


def test_help_names_every_command() -> None:
    result = CliRunner().invoke(main.app, ["--help"])
    assert result.exit_code == 0
    assert all(f" {command} " in result.output for command in COMMANDS)


@pytest.mark.parametrize(
    "path",
    [
        *(["bootstrap"], ["worker"], ["send"], ["show"], ["list"], ["scan"], ["cancel"], ["doctor"]),
        *(["device", "add"], ["device", "list"], ["device", "remove"], ["otp", "send"], ["otp", "verify"]),
        *(["preference", "set"], ["preference", "show"], []),
        *(["campaign", name] for name in ("send", "show", "list", "pause", "resume", "cancel", "rate")),
    ],
)
def test_every_command_takes_json(path: list[str]) -> None:
    result = CliRunner().invoke(main.app, [*path, "--help"])
    assert result.exit_code == 0
    assert "--json" in result.output


def test_help_loads_nothing_heavy() -> None:
    """`--help` answers at once: no driver, no SDK, no Firebase before a command needs them."""
    script = (
        "import sys; from modules.cli import main; main.run(['--help'])\n"
        "heavy = {'pymongo', 'temporalio', 'firebase_admin', 'pyreqwest', 'pydantic', 'bootstrap'}\n"
        "sys.exit(' '.join(heavy & set(sys.modules)) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
