"""Follows a campaign until it is over: a progress bar for people, a document a change for programs."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from modules.campaign.types import Campaign
from modules.cli.output import wants_json

if TYPE_CHECKING:
    from rich.progress import Progress

POLL_SECONDS = 1.0
# Accounts that something is still to be done for.
OPEN_COUNTS = frozenset({"waiting", "pending", "processing"})


def watch(read: Callable[[], Campaign], show_campaign: Callable[[Campaign], None]) -> None:
    """Return when the campaign is final, and shown as such; raises KeyboardInterrupt at Ctrl-C."""
    if wants_json():
        _show_changes(read, show_campaign)
    else:
        show_campaign(_draw(read))


def done_accounts(campaign: Campaign) -> int:
    """For how many accounts nothing is left to be done."""
    return sum(count for word, count in campaign.counts.items() if word not in OPEN_COUNTS)


def _show_changes(read: Callable[[], Campaign], show_campaign: Callable[[Campaign], None]) -> None:
    shown: Campaign | None = None
    while shown is None or shown.finished_at is None:
        if shown is not None:
            time.sleep(POLL_SECONDS)
        campaign = read()
        if campaign != shown:
            show_campaign(campaign)
            shown = campaign


def _draw(read: Callable[[], Campaign]) -> Campaign:
    with _bar() as progress:
        campaign = read()
        task = progress.add_task(
            described(campaign), total=campaign.accounts, completed=done_accounts(campaign)
        )
        while campaign.finished_at is None:
            time.sleep(POLL_SECONDS)
            campaign = read()
            progress.update(
                task,
                description=described(campaign),
                total=campaign.accounts,
                completed=done_accounts(campaign),
            )
    return campaign


def described(campaign: Campaign) -> str:
    """Where it stands in a few words, and what it is to be where that was asked for."""
    state = campaign.state.value
    return state if campaign.wish is None else f"{state}, to be {campaign.wish.value}"


def _bar() -> Progress:
    from rich.console import Console  # noqa: PLC0415 - slow to import
    from rich.progress import (  # noqa: PLC0415 - slow to import
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        Task,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text  # noqa: PLC0415 - slow to import

    class RateColumn(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text("-/s" if task.speed is None else f"{task.speed:,.0f}/s")

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        RateColumn(),
        TimeRemainingColumn(),
        console=Console(highlight=False, markup=False, emoji=False),
    )
