"""The environment of everything the stack starts: the caller's, without the addresses meant for clients."""

from __future__ import annotations

import os
from pathlib import Path

from local_stack.internals.process_identity import RUN_ID_VARIABLE

CLIENT_PREFIXES = ("MONGODB_", "TEMPORAL_", "FCM_")


def server_environment(*, temporary: Path, run_id: str) -> dict[str, str]:
    """What a server inherits; `run_id` marks it and all it starts as ours."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(CLIENT_PREFIXES)}
    # Temporal asks a public server for newer versions unless told not to.
    own = {"TMPDIR": str(temporary), RUN_ID_VARIABLE: run_id, "TEMPORAL_VERSION_CHECK_DISABLED": "1"}
    return {**inherited, **own}
