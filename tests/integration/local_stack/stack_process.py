"""A process that starts a stack and waits: what tests kill or interrupt. Arguments: folder, then options."""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path

from local_stack.local_stack_service import LocalStackService
from local_stack.types import LocalStackParams
from modules.application.errors import ServiceError


def main() -> None:
    folder, *options = sys.argv[1:]
    params = LocalStackParams(
        folder=Path(folder),
        temporal="no-temporal" not in options,
        mongodb="no-mongodb" not in options,
        simulator="granian" if "granian" in options else None,
        keep_data=True,
        use_configured="configured" in options,
        on_progress=lambda line: print(json.dumps({"progress": line}), flush=True),
    )
    try:
        with LocalStackService.start(params) as stack:
            pids = {name: server.pid for name, server in stack.servers.items()}
            print(json.dumps({"pids": pids, "environment": stack.environment()}), flush=True)
            threading.Event().wait()
    except ServiceError as error:
        print(
            json.dumps({"error": error.code, "kind": type(error).__name__, "reason": error.reason}),
            flush=True,
        )
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
