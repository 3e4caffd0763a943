"""What signals do to a command that serves, before and after it is ready."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading

import pytest

from modules.application.errors import UnavailableError
from modules.cli.serving import WorkerEndedError, wait_until_stopped
from modules.cli.stop_signals import StopRequested, StopSignals

STOPPING = [signal.SIGTERM, signal.SIGINT]


@pytest.mark.parametrize("number", STOPPING)
def test_a_signal_unwinds_a_start(number: signal.Signals) -> None:
    with StopSignals(), pytest.raises(StopRequested):
        signal.raise_signal(number)


@pytest.mark.parametrize("number", STOPPING)
def test_a_signal_ends_the_wait_once_ready(number: signal.Signals) -> None:
    with StopSignals() as signals:
        signals.ready()
        signal.raise_signal(number)
        wait_until_stopped(signals)


def test_the_handlers_are_given_back() -> None:
    before = [signal.getsignal(number) for number in STOPPING]
    with StopSignals():
        assert [signal.getsignal(number) for number in STOPPING] != before
    assert [signal.getsignal(number) for number in STOPPING] == before


def test_what_ends_by_itself_ends_the_wait_with_an_error() -> None:
    with StopSignals() as signals:
        signals.ready()
        failing = threading.Thread(target=signals.failed, args=(WorkerEndedError(RuntimeError("secret")),))
        failing.start()
        with pytest.raises(WorkerEndedError) as caught:
            wait_until_stopped(signals)
        failing.join()
    assert "RuntimeError" in caught.value.reason
    assert "secret" not in caught.value.reason


def test_what_is_looked_at_may_end_the_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modules.cli.serving.LOOK_EVERY_SECONDS", 0.01)
    looks: list[None] = []

    def look() -> None:
        looks.append(None)
        if len(looks) == 3:
            raise UnavailableError(code="local_server_ended", reason="gone")

    with StopSignals() as signals, pytest.raises(UnavailableError):
        wait_until_stopped(signals, look)


@pytest.mark.parametrize("number", STOPPING)
def test_the_second_signal_ends_the_process_with_its_own_code(number: signal.Signals) -> None:
    script = (
        "import signal, sys; from modules.cli.stop_signals import StopSignals\n"
        f"with StopSignals() as s:\n s.ready()\n signal.raise_signal({int(number)})\n"
        f" signal.raise_signal({int(number)})\nsys.exit(1)"
    )
    done = subprocess.run([sys.executable, "-c", script], timeout=60, check=False)
    assert done.returncode == 128 + number
