"""A corner of the shared stack, or a stack of its own, for each fault test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from local_stack.local_stack_service import LocalStack
from tests.support.fault_room import FaultRoom


@pytest.fixture
def room(stack: LocalStack, request: pytest.FixtureRequest) -> Iterator[FaultRoom]:
    """For faults of our own processes and of the provider: the servers stay whole.

    An indirect parameter holds further environment variables.
    """
    with FaultRoom.opened(stack, **getattr(request, "param", {})) as opened:
        yield opened


@pytest.fixture
def fresh_room(fresh_stack: LocalStack, request: pytest.FixtureRequest) -> Iterator[FaultRoom]:
    """For tests that stop the servers; parameters as for `room`."""
    with FaultRoom.opened(fresh_stack, **getattr(request, "param", {})) as opened:
        yield opened
