"""What an operator reads when a server did not start."""

from __future__ import annotations

from pathlib import Path

from local_stack.internals.server_log import MAX_QUOTE_CHARACTERS, quote_reason, rotate

MONGOD_LOG = """\
{"t":{"$date":"2026-01-01"},"s":"I","c":"CONTROL","msg":"Build Info"}
{"t":{"$date":"2026-01-01"},"s":"E","c":"NETWORK","msg":"Error setting up listener","attr":\
{"error":{"code":9001,"codeName":"SocketException","errmsg":"Address already in use"}}}
{"t":{"$date":"2026-01-01"},"s":"I","c":"CONTROL","msg":"Now exiting"}
"""


def test_quotes_the_error_of_mongod_and_not_the_shutdown_that_follows_it(tmp_path: Path) -> None:
    log = tmp_path / "mongodb.log"
    log.write_text(MONGOD_LOG)
    assert quote_reason(log).startswith("Error setting up listener")
    assert "Address already in use" in quote_reason(log)


def test_quotes_the_error_of_temporal(tmp_path: Path) -> None:
    log = tmp_path / "temporal.log"
    log.write_text(
        '{"time":"2026","level":"ERROR","msg":"Unable to start server.","error":"port is taken"}\n'
        '{"time":"2026","level":"WARN","msg":"stopping"}\n'
    )
    assert quote_reason(log) == "Unable to start server. port is taken"


def test_quotes_a_command_lines_error_before_the_help_it_prints(tmp_path: Path) -> None:
    log = tmp_path / "temporal.log"
    log.write_text("Error: unknown flag: --nonsense\nUsage:\n  temporal server start-dev [flags]\n")
    assert quote_reason(log) == "Error: unknown flag: --nonsense"


def test_quotes_the_last_line_when_none_is_marked_as_an_error(tmp_path: Path) -> None:
    log = tmp_path / "simulator.log"
    log.write_text("Traceback (most recent call last):\n  File x\nValueError: no such engine\n\n")
    assert quote_reason(log) == "ValueError: no such engine"


def test_a_quote_is_one_short_line(tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    log.write_text("a\tb " * 1000)
    assert len(quote_reason(log)) == MAX_QUOTE_CHARACTERS
    assert "\t" not in quote_reason(log)


def test_says_so_when_there_is_no_log_or_nothing_in_it(tmp_path: Path) -> None:
    (tmp_path / "empty.log").touch()
    assert quote_reason(tmp_path / "empty.log") == "the log is empty"
    assert quote_reason(tmp_path / "none.log") == "no log was written"


def test_lines_that_are_not_whole_json_objects_are_passed_over(tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    log.write_text('{"s":"E","msg":"cut of\n{"s":"F","msg":"disk full"}\n{broken\n')
    assert quote_reason(log).startswith("disk full")


def test_the_log_of_the_start_before_is_kept(tmp_path: Path) -> None:
    log = tmp_path / "mongodb.log"
    log.write_text("first")
    rotate(log)
    rotate(log)
    assert not log.exists()
    assert (tmp_path / "mongodb.previous.log").read_text() == "first"
