"""Leaves no stack process behind, however a test ends."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.local_stack.stacks import StackProcesses


@pytest.fixture
def stack_processes() -> Iterator[StackProcesses]:
    processes = StackProcesses()
    yield processes
    processes.end_all()
