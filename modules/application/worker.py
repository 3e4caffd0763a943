"""What the application knows of a worker class: a Temporal workflow that says how a run of it is started."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


class Lane(StrEnum):
    """A task queue: what waits in one never delays what is in another."""

    IMMEDIATE = "immediate"
    NORMAL = "normal"
    MASTER = "master"
    BULK = "bulk"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerStart:
    """How one run is started. All text is shown in Temporal's Web UI: ids and counts only, never content.

    `attributes` are search attributes of type Keyword; `details` is Markdown. Temporal ends a run after
    `run_timeout_seconds`, so that one that is stuck does not keep its id for ever.
    """

    workflow_id: str
    lane: Lane
    summary: str
    details: str
    run_timeout_seconds: float | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)
    memo: Mapping[str, str] = field(default_factory=dict)


# A workflow class with `run(params)` and static `describe(params) -> WorkerStart`; one that is scheduled has
# static `default_params()` too. Temporal's decorator leaves no type to hold on to.
WorkerClass = type[Any]


@dataclass(frozen=True, slots=True)
class CronSchedule:
    """A worker class that runs by itself, on a cron expression in UTC.

    `update`: a schedule that is there already gets this expression too; otherwise it is left alone.
    """

    worker: WorkerClass
    cron: str
    update: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleState:
    """What Temporal says about a schedule; `next_run_at` is aware and UTC, None when it will not run."""

    paused: bool
    next_run_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunState:
    """The newest run of a worker under its id: under way, or how it ended."""

    run_id: str
    is_open: bool
    has_failed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerPlan:
    """What a process serves: worker classes, their activities and schedules, and its lanes with their slots.

    `local_only`: workflow tasks with their local activities, nothing else. `lasting`: what ends by itself is
    logged and served again; otherwise `wait_served_async` tells of it.
    """

    workers: Sequence[WorkerClass]
    activities: Sequence[Callable[..., Any]]
    schedules: Sequence[CronSchedule]
    slots: Mapping[Lane, int]
    grace_seconds: float
    local_only: bool
    lasting: bool
