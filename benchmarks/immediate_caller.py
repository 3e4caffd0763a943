"""The calling process of `immediate_under_load`: sends between `start` and `stop` on its standard input."""

from __future__ import annotations

import json
import sys
import threading

from benchmarks.immediate import ACCOUNT_ID, TOKEN, milliseconds, send_immediate
from bootstrap import bootstrap
from demo.serve import run_process
from modules.device_token.device_token_service import DeviceTokenService
from modules.device_token.types import Platform, TargetKind

WARM_UP = 50
QUIET_CALLS = 50


def set_at_next_line(stopped: threading.Event) -> None:
    sys.stdin.readline()
    stopped.set()


def main() -> int:
    application = bootstrap()
    try:
        DeviceTokenService.register_device(
            account_id=ACCOUNT_ID, platform=Platform.ANDROID, kind=TargetKind.TOKEN, address=TOKEN
        )
        milliseconds(send_immediate, WARM_UP)
        print(json.dumps({"quiet_ms": milliseconds(send_immediate, QUIET_CALLS)}), flush=True)
        assert sys.stdin.readline().strip() == "start"
        stopped = threading.Event()
        threading.Thread(target=set_at_next_line, args=(stopped,), daemon=True).start()
        taken: list[float] = []
        while not stopped.is_set():
            taken += milliseconds(send_immediate, 1)
        print(json.dumps({"loaded_ms": taken}), flush=True)
    finally:
        application.close()
    return 0


if __name__ == "__main__":
    run_process(main)
