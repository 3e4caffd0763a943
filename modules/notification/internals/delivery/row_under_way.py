"""One row on its way: whom messages still have to go to, what came of the others, what is left to record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial

from modules.notification.internals.channels.port import MAX_TARGETS
from modules.notification.internals.delivery.row_outcome import Ending, Round, failed, settled_by
from modules.notification.internals.domain.deferrals import GONE, NEWCOMER, RATE_WAIT, STOPPED, UNREADABLE
from modules.notification.internals.domain.settlement import Fold
from modules.notification.internals.push_notification_writer import SettledRow
from modules.notification.types import (
    Classification,
    OutcomePolicy,
    PushTarget,
    TargetResult,
)

_WAITS = frozenset({RATE_WAIT, STOPPED, UNREADABLE})


@dataclass(slots=True, eq=False)
class RowUnderWay:
    """A row whose messages are going out: `parts` of it are still waiting, `results` are in.

    `known_at` is steady time: how fresh what is known of its targets is.
    """

    round: Round
    known_at: float
    parts: int = 0
    results: list[tuple[PushTarget, TargetResult]] = field(default_factory=list)
    # Why nobody is left to be sent to, as found on a second look.
    ending: Ending | None = None
    # Whether a second look found what only another version can read.
    is_unreadable: bool = False
    is_lost: bool = False
    _found: Sequence[PushTarget] = ()
    _reachable: frozenset[tuple[str, str]] | None = None

    def put_off(self, targets: Sequence[PushTarget], why: Classification) -> None:
        for target in targets:
            self.results.append((target, TargetResult(device_id=target.device_id, classification=why)))

    def take_over(self, found: Round | Ending | None) -> None:
        """Go by what a second look found: the round as it is now, why there is none, None for unreadable."""
        self.is_unreadable = found is None
        if found is None:
            return
        if isinstance(found, Ending):
            self.ending, self._found = found, ()
        else:
            self.ending, self._found = None, found.targets
            devices = {**self.round.devices, **found.devices}
            self.round = replace(self.round, devices=devices, active_ids=found.active_ids)
        self._reachable = frozenset((each.device_id, each.address) for each in self._found)

    def fail(self, error: Exception) -> None:
        """Nothing can be made of it that could be sent."""
        self.take_over(Ending(self.round.row, self.round.progress, partial(failed, error=error)))

    def reachable(self, targets: list[PushTarget]) -> list[PushTarget]:
        """Those of `targets` that the last look found; all of them before there was one."""
        found = self._reachable
        if found is None:
            return targets
        return [target for target in targets if (target.device_id, target.address) in found]

    def keep_reachable(self, targets: list[PushTarget]) -> list[PushTarget]:
        """Those that a message may still go to. An outcome takes back the marks of others, or the ending."""
        found, left = self._reachable, self.reachable(targets)
        if found is not None and self.is_marked and self.ending is None:
            gone = [target for target in targets if (target.device_id, target.address) not in found]
            self.put_off(gone, GONE)
        return left

    def await_newcomers(self) -> None:
        """Where all that came of it is that its devices left, have it wait for who came in their place."""
        if self._found and all(result.classification is GONE for _, result in self.results):
            left = {target.device_id for target, _ in self.results}
            self.put_off([target for target in self._found if target.device_id not in left], NEWCOMER)

    @property
    def is_marked(self) -> bool:
        """Whether its claim says whom messages may have gone out to: only an outcome takes that back."""
        return self.round.row.outcome_policy is OutcomePolicy.AT_MOST_ONCE

    def may_go_back(self) -> bool:
        """Whether nothing at all came of it, so that it can be given back as it was."""
        if self.is_marked:
            return False
        # Asked first: to hash a classification costs more than all the rest of this.
        return all(
            not result.classification.attempted and result.classification in _WAITS
            for _, result in self.results
        )


@dataclass(slots=True, eq=False)
class Part:
    """The targets of one row in one app that no message went out to yet."""

    row: RowUnderWay
    targets: list[PushTarget]

    def take(self, most: int) -> list[PushTarget]:
        taken, self.targets = self.targets[:most], self.targets[most:]
        return taken


# What of a part goes out now.
Piece = tuple[Part, list[PushTarget]]


def portion_of(waiting: Sequence[Part], most: int) -> list[Piece]:
    """The first `most` targets that wait, taken out of their parts; 1 to 500 of one row at a time."""
    portion: list[Piece] = []
    for part in waiting:
        while most and part.targets:
            taken = part.take(min(most, MAX_TARGETS))
            portion.append((part, taken))
            most -= len(taken)
    return portion


def settled_row(row: RowUnderWay, fold: Fold, now: datetime) -> SettledRow:
    """What is written about a row of which something came, or that has an ending."""
    if row.ending is not None and not row.results:
        return row.ending.settled()
    row.await_newcomers()
    round_ = row.round
    try:
        settlement = fold.settle(
            round_.progress,
            [result for _, result in row.results],
            apps={target.device_id: target.app_id for target, _ in row.results},
            active_ids=round_.active_ids,
            now=now,
        )
        settled = settled_by(round_, row.results, settlement)
        return settled if row.ending is None else row.ending.settled_after(settled)
    except Exception as error:  # noqa: BLE001 - recorded on the row; its text can hold content
        return failed(round_.row, round_.progress, error)
