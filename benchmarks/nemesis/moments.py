"""When a message went out, as far as a sender could know: what was on its way, and who had been stopped."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.nemesis.records import StandStill

# A message is looked at, written to a socket, and dated by a provider that reads it a moment later.
ON_THE_WAY_SECONDS = 0.3
# What a stopped process had handed to its sockets or was about to goes out once it is continued.
RESUMING_SECONDS = 1.0


class Moments:
    """Excuses a message that its sender had let go before it was stopped, and counts what it excuses.

    Nobody can look again between the last look and the wire. So of the messages that arrive right after a
    sender was continued, as many as one process has under way (`in_flight`) count as sent before it stopped.
    """

    def __init__(self, stand_stills: Sequence[StandStill], *, in_flight: int) -> None:
        self._left = dict.fromkeys(stand_stills, in_flight)
        self.excused = 0

    def is_after(self, at: float, limit: float) -> bool:
        """Whether a message that arrived at `at` went out after `limit`."""
        if at <= limit:
            return False
        for stand_still, left in self._left.items():
            since = at - stand_still.ended_at
            if left and stand_still.began_at <= limit and 0 <= since <= RESUMING_SECONDS:
                self._left[stand_still] -= 1
                self.excused += 1
                return False
        return True
