"""Runs the demo as a process whose exit code and last line are its own, however it ends."""

from __future__ import annotations

import json
import os
import sys
import traceback
from typing import Any

from demo.interruption import Interruption


def main(interruption: Interruption) -> tuple[int, dict[str, Any]]:
    """The exit code, and what the last line says."""
    # The imports take a second, in which Ctrl-C is to work already.
    from demo.screen import Screen  # noqa: PLC0415
    from demo.types import DemoParams  # noqa: PLC0415
    from modules.application.errors import ServiceError  # noqa: PLC0415

    screen = Screen()
    demo = None
    try:
        screen.step("Loading")
        from demo.demo import Demo  # noqa: PLC0415
        from local_stack.local_stack_service import LocalStackService  # noqa: PLC0415

        LocalStackService.forget_sourced(os.environ)
        params = DemoParams.of(os.environ)
        demo = Demo(params, screen)
        result = demo.run()
        summary = {
            "demo": "ok" if result.ok else "failed",
            "sent": result.sent,
            "failed": result.failed,
            "devices": result.devices,
            "accepted": result.accepted,
            "audited": result.audited,
            "seconds": round(screen.seconds, 1),
        }
        if params.keep:
            # A signal that comes while the line is being read ends the demo, not its result.
            interruption.hold()
            _say(summary)
            interruption.wait()
    except ServiceError as error:
        print(f"demo: {error.reason}", file=sys.stderr, flush=True)
        return 1, {"demo": "failed", "error": error.code}
    finally:
        interruption.hold()
        if demo is not None:
            screen.step("Stopping what was started")
            demo.close()
    return (0 if result.ok else 1), summary


def run() -> int:
    """Whatever happens, the last line of standard output is one JSON object."""
    interruption = Interruption()
    interruption.install()
    try:
        code, summary = main(interruption)
    except KeyboardInterrupt:
        code, summary = 1, {"demo": "interrupted"}
    except BaseException as error:  # noqa: BLE001 - the process ends here
        traceback.print_exc()
        code, summary = 1, {"demo": "failed", "error": type(error).__name__}
    sys.stderr.flush()
    _say(summary)
    return interruption.exit_code or code


def _say(summary: dict[str, Any]) -> None:
    print(json.dumps(summary, separators=(",", ":")), flush=True)


if __name__ == "__main__":
    # temporalio now and then aborts while the interpreter ends, after all work is done.
    os._exit(run())
