"""Makes Ctrl-C and SIGTERM end the demo in order: once, and never in the middle of the clearing up."""

from __future__ import annotations

import signal
from contextlib import suppress
from queue import Empty, SimpleQueue
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)
LOOK_EVERY_SECONDS = 1.0


class Interruption:
    """The first signal raises KeyboardInterrupt in the main thread; later ones change nothing."""

    def __init__(self) -> None:
        self._signal_number: int | None = None
        self._held = False
        # The one queue whose put() may run in a signal handler:
        # https://docs.python.org/3/library/queue.html#simplequeue-objects
        self._arrived: SimpleQueue[int] = SimpleQueue()

    def install(self) -> None:
        for number in SIGNALS:
            signal.signal(number, self._on_signal)

    def hold(self) -> None:
        """From here on a signal no longer interrupts: what is left to do is stopping, and it is bounded."""
        self._held = True

    def wait(self) -> None:
        """Return at the first signal, at once when it came already."""
        while self._signal_number is None:
            # Signals that come together can be taken by another thread, which does not wake this one.
            with suppress(Empty):
                self._arrived.get(timeout=LOOK_EVERY_SECONDS)

    @property
    def exit_code(self) -> int | None:
        """What a shell calls a process that ended by the signal; None when there was none."""
        return None if self._signal_number is None else 128 + self._signal_number

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        if self._signal_number is not None:
            return
        self._signal_number = number
        self._arrived.put(number)
        if not self._held:
            raise KeyboardInterrupt
