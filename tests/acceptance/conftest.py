"""What the tests of the command share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from local_stack.local_stack_service import LocalStack
from tests.acceptance.command_line import CommandLine, bootstrapped


@pytest.fixture(scope="module")
def notifications(stack: LocalStack) -> Iterator[CommandLine]:
    """The command with a bootstrapped database and task queues of the module's own."""
    with bootstrapped(stack) as command:
        yield command
