"""How SIGTERM and Ctrl-C end a command that serves: the first asks, the second does not wait."""

from __future__ import annotations

import os
import signal
import threading
from queue import Empty, SimpleQueue
from types import FrameType, TracebackType
from typing import Self

from modules.cli.output import note

_SIGNAL_EXIT_BASE = 128
_ASKED_TO_STOP = None


class StopRequested(BaseException):
    """A signal came while the command was still starting."""


class StopSignals:
    """Handles SIGTERM and SIGINT while entered. Main thread only.

    The first signal raises StopRequested, or after `ready()` ends `wait()`; the second ends the process at
    once with 128 plus its number.
    """

    def __init__(self) -> None:
        self._events: SimpleQueue[BaseException | None] = SimpleQueue()
        self._starting = True
        self._asked = False

    def __enter__(self) -> Self:
        self._former = {each: signal.signal(each, self._handle) for each in (signal.SIGTERM, signal.SIGINT)}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)

    def ready(self) -> None:
        """From now on the first signal ends `wait()` instead of raising."""
        self._starting = False

    def failed(self, error: BaseException) -> None:
        """Have `wait()` raise this error; from any thread."""
        self._events.put(error)

    def wait(self, seconds: float) -> bool:
        """True when a signal asked to stop, False after `seconds`; raises what `failed` was given.

        Signals that come together may be noticed at its end only, so wait a short time, again and again:
        all can be taken by one other thread, which does not wake this one (Linux, `complete_signal`).
        """
        try:
            event = self._events.get(timeout=seconds)
        except Empty:
            return False
        if event is not None:
            raise event
        return True

    def _handle(self, number: int, _: FrameType | None) -> None:
        if self._asked:
            os._exit(_SIGNAL_EXIT_BASE + number)
        self._asked = True
        if self._starting:
            raise StopRequested
        self._events.put(_ASKED_TO_STOP)


def end_after(seconds: float, code: int) -> threading.Timer:
    """End the process with `code` unless the timer is cancelled in time."""

    def end() -> None:
        note(f"error: not stopped within {seconds:g} s, ending now (stop_timeout)")
        os._exit(code)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    return timer
