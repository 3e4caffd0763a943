"""Operations on a store that fail as the driver or the server would."""

from __future__ import annotations


class FailingFirst:
    """An operation that raises the given errors, one a call, and then succeeds."""

    def __init__(self, *errors: Exception) -> None:
        self._errors = list(errors)
        self.calls = 0

    async def __call__(self) -> str:
        self.calls += 1
        if self._errors:
            raise self._errors.pop(0)
        return "done"
