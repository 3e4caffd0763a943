"""When a signal interrupts the demo, and when it only ends it."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from demo.interruption import SIGNALS, Interruption


@pytest.fixture
def interruption() -> Iterator[Interruption]:
    before = {number: signal.getsignal(number) for number in SIGNALS}
    interruption = Interruption()
    interruption.install()
    yield interruption
    for number, handler in before.items():
        signal.signal(number, handler)


def send(number: int) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_first_signal_interrupts_and_later_ones_change_nothing(
    interruption: Interruption, number: int, code: int
) -> None:
    assert interruption.exit_code is None
    with pytest.raises(KeyboardInterrupt):
        send(number)
    send(signal.SIGINT)
    send(signal.SIGTERM)

    assert interruption.exit_code == code


def test_a_held_signal_interrupts_nothing_and_is_there_for_who_waits_later(
    interruption: Interruption,
) -> None:
    interruption.hold()
    send(signal.SIGINT)

    interruption.wait()

    assert interruption.exit_code == 130


def test_waiting_ends_at_the_signal(interruption: Interruption) -> None:
    interruption.hold()
    sender = threading.Timer(0.05, send, [signal.SIGTERM])
    sender.start()

    interruption.wait()

    sender.join()
    assert interruption.exit_code == 143
