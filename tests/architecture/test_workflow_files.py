"""Workflow files in the sandbox: no clock, no chance, no I/O; and Temporal is handed plain data only."""

from __future__ import annotations
import __future__

import ast
import dataclasses
import importlib
import inspect
import subprocess
import sys
import typing
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from temporalio.common import RetryPolicy

from modules.campaign import run_types
from modules.notification.types import DeliveryReport
from modules.notification.workers import params

ROOT = Path(__file__).resolve().parents[2]
WORKERS = sorted(ROOT.glob("modules/*/workers/*_worker.py"))
# What a worker's file leaves to others runs in the sandbox as well.
PARTS = [ROOT / f"modules/campaign/workers/campaign_{part}.py" for part in ("progress", "slices", "steps")]
FORBIDDEN = {"asyncio", "time", "random", "uuid", "os", "threading", "socket", "structlog", "secrets"}
CLOCKS = {"now", "utcnow", "today", "time", "time_ns", "monotonic", "perf_counter"}
CONTENT_FIELDS = {"title", "body", "data", "token", "address", "payload", "image_url", "click_action"}


@pytest.mark.parametrize("path", [*WORKERS, *PARTS], ids=lambda path: path.name)
def test_workflow_files_import_nothing_that_is_not_deterministic(path: Path) -> None:
    imported: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            imported.add((node.module or "").split(".")[0])
    assert len(WORKERS) == 4
    assert not imported & FORBIDDEN


@pytest.mark.parametrize("path", [*WORKERS, *PARTS], ids=lambda path: path.name)
def test_workflow_files_ask_no_clock_but_the_workflows_own(path: Path) -> None:
    clocks = [
        ast.unparse(node)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr in CLOCKS
    ]
    assert {clock for clock in clocks if not clock.startswith("workflow.")} == set()


@pytest.mark.parametrize("path", [*WORKERS, *PARTS], ids=lambda path: path.name)
def test_runs_share_nothing_of_a_workflow_file_that_can_change(path: Path) -> None:
    """Served runs have the file as the process has it: a list of its own would be every run's."""
    module = importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
    changing = {
        name: type(value).__name__
        for name, value in vars(module).items()
        if not name.startswith("__") and not _is_constant(value)
    }
    for name, value in vars(module).items():
        if getattr(value, "__module__", None) == module.__name__:
            changing |= {f"{name}.{part}": what for part, what in _changing_parts(value)}
    assert changing == {}
    assert not [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Global)]


def _changing_parts(value: object) -> Iterator[tuple[str, str]]:
    """What of a class or function could be changed by one run and be seen by another."""
    if hasattr(value, "cache_info"):
        yield "cache_info", "cache"
    for default in getattr(value, "__defaults__", None) or ():
        if not _is_constant(default):
            yield "__defaults__", type(default).__name__
    if inspect.isclass(value):
        for name, part in vars(value).items():
            is_ours = not name.startswith("__") and not isinstance(
                part, property | classmethod | staticmethod
            )
            if is_ours and not _is_constant(part) and not inspect.ismemberdescriptor(part):
                yield name, type(part).__name__
            if inspect.isfunction(part):
                yield from _changing_parts(part)


def _is_constant(value: object) -> bool:
    if isinstance(value, RetryPolicy):
        return True
    if isinstance(value, tuple | frozenset):
        return all(_is_constant(each) for each in value)
    if callable(value) or inspect.ismodule(value):
        return True
    return value is None or isinstance(value, str | int | float | timedelta | __future__._Feature)


@pytest.mark.parametrize("path", [*WORKERS, *PARTS], ids=lambda path: path.name)
def test_workflow_files_load_neither_mongodb_nor_firebase(path: Path) -> None:
    """Asked of the interpreter itself, in a process of its own."""
    module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    code = (
        f"import sys, {module}; "
        "print(sorted(n for n in ('pymongo', 'bson', 'firebase_admin', 'pyreqwest') if n in sys.modules))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    assert run.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "cls",
    [
        DeliveryReport,
        *(
            each
            for module in (params, run_types)
            for each in vars(module).values()
            if dataclasses.is_dataclass(each)
        ),
    ],
    ids=lambda cls: cls.__name__,
)
def test_what_travels_through_temporal_has_no_place_for_content(cls: type) -> None:
    names = {field.name for field in dataclasses.fields(cls)}
    assert names
    assert not names & CONTENT_FIELDS
    hints = typing.get_type_hints(cls)
    counts = str(hints).replace("dict[str, int]", "")
    assert "dict" not in counts, "an open mapping would have"


def test_every_activity_and_timer_has_explicit_bounds() -> None:
    for path in [*WORKERS, *PARTS]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("_activity"):
                given = {keyword.arg for keyword in node.keywords}
                assert given >= {
                    "start_to_close_timeout",
                    "schedule_to_close_timeout",
                    "retry_policy",
                    "result_type",
                }
