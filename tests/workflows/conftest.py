"""The real Temporal server, and a prefix of task queues for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.support.workflow_runs import WorkflowRuns, workflow_runs


@pytest.fixture
async def runs(temporal_address: str) -> AsyncIterator[WorkflowRuns]:
    async with workflow_runs(temporal_address) as prepared:
        yield prepared
